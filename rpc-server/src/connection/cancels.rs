//! The cancels that wait in what was read: a call that is cancelled further on is not started.

use std::collections::HashMap;

/// Cancelled calls with the stream position of the last of their cancels. Found by hash, since one
/// read may hold thousands of requests and of cancels; no more than were read are kept.
#[derive(Debug, Default)]
pub(super) struct Cancels(HashMap<u64, u64>);

impl Cancels {
    /// The cancel of a call was found at this position.
    pub(super) fn found(&mut self, id: u64, at: u64) {
        self.0.insert(id, at);
    }

    /// The frame at this position, a cancel, is done with. A call that comes later may have the
    /// same id.
    pub(super) fn passed(&mut self, id: u64, at: u64) {
        if self.0.get(&id) == Some(&at) {
            self.0.remove(&id);
        }
    }

    /// Whether the cancel of this call is further on.
    pub(super) fn is_ahead(&self, id: u64) -> bool {
        !self.0.is_empty() && self.0.contains_key(&id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cancel_counts_until_it_is_passed() {
        let mut cancels = Cancels::default();
        assert!(!cancels.is_ahead(1));
        for (id, at) in [(1, 10), (2, 20), (1, 30)] {
            cancels.found(id, at);
        }
        cancels.passed(1, 10);
        assert!(cancels.is_ahead(1), "there is another");
        cancels.passed(2, 20);
        assert!(!cancels.is_ahead(2));
        cancels.passed(1, 30);
        // One that was never found, as its read was looked at before it was whole.
        cancels.passed(7, 40);
        assert!(cancels.0.is_empty());
    }
}
