//! What changed between two lists of instances.

use super::{Instance, Instances};
use std::{net::SocketAddr, sync::Arc};

/// One difference between two lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// An address that was not listed before.
    Up(Arc<Instance>),
    /// An address that says something else of itself. With another id it is another process.
    Changed {
        /// What was listed.
        old: Arc<Instance>,
        /// What is listed now.
        new: Arc<Instance>,
    },
    /// An address that is listed no more.
    Gone(SocketAddr),
}

/// The changes that lead from `old` to `new`, in the order of their addresses, removals first.
pub fn diff(old: &Instances, new: &Instances) -> Vec<Change> {
    let gone = old.keys().filter(|addr| !new.contains_key(addr)).map(|addr| Change::Gone(*addr));
    let rest = new.iter().filter_map(|(addr, new)| match old.get(addr) {
        None => Some(Change::Up(Arc::clone(new))),
        Some(old) if old == new => None,
        Some(old) => Some(Change::Changed { old: Arc::clone(old), new: Arc::clone(new) }),
    });
    gone.chain(rest).collect()
}

/// Makes one change to a list.
pub fn apply(instances: &mut Instances, change: Change) {
    match change {
        Change::Up(new) | Change::Changed { new, .. } => {
            instances.insert(new.addr, new);
        }
        Change::Gone(addr) => {
            instances.remove(&addr);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::discovery::InstanceId;
    use proptest::prelude::*;

    fn instances() -> impl Strategy<Value = Instances> {
        let one = (1_u16..20, 0_u32..3, proptest::option::of(1_u64..3));
        proptest::collection::vec(one, 0..20).prop_map(|list| {
            let made = list.into_iter().map(|(port, weight, id)| {
                let addr = SocketAddr::from(([10, 0, 0, 1], port));
                let id = id.and_then(InstanceId::from_u64);
                (addr, Arc::new(Instance { id, weight, ..Instance::at(addr) }))
            });
            made.collect()
        })
    }

    proptest! {
        #[test]
        fn applying_the_difference_gives_the_new_list(old in instances(), new in instances()) {
            let mut list = old.clone();
            for change in diff(&old, &new) {
                apply(&mut list, change);
            }
            prop_assert_eq!(list, new);
        }

        #[test]
        fn equal_lists_differ_in_nothing(list in instances()) {
            prop_assert!(diff(&list, &list.clone()).is_empty());
        }
    }

    #[test]
    fn each_kind_of_change_is_told_apart() {
        let at = |port: u16, weight| {
            let addr = SocketAddr::from(([10, 0, 0, 1], port));
            (addr, Arc::new(Instance { weight, ..Instance::at(addr) }))
        };
        let old = Instances::from([at(1, 1), at(2, 1), at(3, 1)]);
        let new = Instances::from([at(2, 1), at(3, 9), at(4, 1)]);
        assert_eq!(
            diff(&old, &new),
            [
                Change::Gone(at(1, 1).0),
                Change::Changed { old: at(3, 1).1, new: at(3, 9).1 },
                Change::Up(at(4, 1).1)
            ]
        );
    }
}
