//! Frames that are left to whoever sends next, instead of being written by who appended them.

use super::{Outbox, Socket, lock};

/// With as many bytes a write is not dear.
const MANY: usize = 16 * 1024;

impl Outbox {
    /// The owner's choice when others are about to send: leaves what there is to the next that
    /// appends, who is its owner then, unless that is `enough` frames or many bytes already. False:
    /// it is still the owner's to write.
    ///
    /// Somebody has to see to it that what is left leaves when nobody sends after all, with
    /// [`write_left`](Self::write_left).
    #[must_use]
    pub fn leave_to_next(&self, enough: u32) -> bool {
        let mut state = lock(&self.state);
        let leaves = state.frames < enough && state.buffer.len() < MANY;
        if leaves {
            state.owned = false;
        }
        leaves
    }

    /// Writes what was left to the next sender, if it is `enough` frames.
    pub fn write_left(&self, enough: u32, socket: &Socket) {
        let mut state = lock(&self.state);
        if !state.owned && !state.buffer.is_empty() && state.frames >= enough {
            state.owned = true;
            drop(state);
            self.write_or_leave(socket);
        }
    }
}
