//! How far an address is trusted that is known from a snapshot alone.

use rpc_core::{
    defaults,
    discovery::{InstanceId, Source, View},
};
use std::net::SocketAddr;
use tokio::time::Instant;

/// What speaks for an address whose connection has greeted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Proof {
    /// The registry lists it, or listed it when it was read last; or the instance of the snapshot
    /// answers there.
    Good,
    /// Another instance than that of the snapshot answers there. It may be the same provider,
    /// started anew, or one of another service, which refuses our calls before it runs them. It is
    /// better than nobody, and worse than anybody else.
    Poor,
    /// The same, while the other addresses have not all been tried.
    Awaited,
}

impl Proof {
    /// What speaks for `addr`, where `answers` is. Pure.
    pub(crate) fn of(
        view: &View,
        addr: SocketAddr,
        answers: Option<InstanceId>,
        now: Instant,
    ) -> Self {
        let Source::Snapshot { since, .. } = &view.source else { return Self::Good };
        let kept = view.instances.get(&addr).and_then(|instance| instance.id);
        if kept.is_some() && kept == answers {
            Self::Good
        } else if now < all_tried(*since) {
            Self::Awaited
        } else {
            Self::Poor
        }
    }
}

/// When every address of a snapshot has been dialled, and has answered if it does.
pub(crate) fn all_tried(since: Instant) -> Instant {
    since + defaults::SNAPSHOT_AFTER + defaults::DIAL_TIMEOUT
}

#[cfg(test)]
mod tests {
    use super::*;
    use rpc_core::discovery::Instance;
    use std::{sync::Arc, time::Duration};

    #[tokio::test(start_paused = true)]
    async fn the_instance_of_the_snapshot_is_preferred_and_others_come_last() {
        let addr: SocketAddr = "10.0.0.1:9".parse().unwrap();
        let id = InstanceId::from_u64;
        let kept = Arc::new(Instance { id: id(1), ..Instance::at(addr) });
        let since = Instant::now();
        let mut view = View {
            instances: Arc::new([(addr, kept)].into()),
            disabled: Arc::default(),
            weights: Arc::default(),
            source: Source::Snapshot { since, reason: "".into(), age: Duration::ZERO },
            place: "x".into(),
            removals_are_final: false,
        };
        let later = since + Duration::from_secs(2);
        let proofs =
            |view: &View, answers| [since, later].map(|now| Proof::of(view, addr, answers, now));
        assert_eq!(proofs(&view, id(1)), [Proof::Good, Proof::Good]);
        assert_eq!(proofs(&view, id(2)), [Proof::Awaited, Proof::Poor]);
        assert_eq!(proofs(&view, None), [Proof::Awaited, Proof::Poor]);
        view.instances = Arc::new([(addr, Arc::new(Instance::at(addr)))].into());
        assert_eq!(proofs(&view, None), [Proof::Awaited, Proof::Poor], "nothing to compare with");
        view.source = Source::Live { since };
        assert_eq!(proofs(&view, id(2)), [Proof::Good, Proof::Good]);
    }
}
