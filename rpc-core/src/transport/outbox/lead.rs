//! Leading: a sender that writes for others first lets them add their frames, while that pays.
//!
//! To give way is to go behind all that is runnable. Among callers that only send, a microsecond
//! each, that gathers their frames in one write, which costs as much as several of them. Beside
//! tasks that compute, it holds up what is there already, and gathers little.

use super::{Outbox, ROOM, Socket, lock};
use std::time::Duration;
use tokio::{task::yield_now, time::Instant};

/// How often a leader lets others go first.
const YIELDS: u32 = 4;
/// What a frame that was gathered may have cost in time: about what a write of its own does.
const FRAME: Duration = Duration::from_micros(20);
/// Leaders that write at once, after giving way has not paid, before one looks whether it would
/// now: at first, and at most. The number doubles each time that it would not.
const AT_ONCE: u32 = 64;
const AT_ONCE_MOST: u32 = 8192;

/// Who leads, and whether it pays.
#[derive(Debug, Default)]
pub(super) struct Lead {
    /// The number of the one that gives way at the moment; 0 when there is none.
    leader: u64,
    /// How many there have been.
    leaders: u64,
    /// The one that [`Outbox::relieve`] has seen.
    seen: u64,
    /// How often in a row it has not paid.
    lost: u32,
    /// How many more write at once, of how many in all, and of how many the next time.
    at_once: u32,
    of: u32,
    next: u32,
}

/// What a leader is to do.
#[derive(Debug, PartialEq, Eq)]
enum Turn {
    /// To give way and then write for all, as the leader of this number.
    Lead(u64),
    /// To write at once.
    Write,
    /// To write at once, and then see what giving way would have been: that holds nothing up.
    WriteAndLook,
}

impl Lead {
    /// A new leader's turn.
    fn begin(&mut self) -> Turn {
        if self.at_once > 0 {
            self.at_once -= 1;
            if self.at_once > 0 {
                return Turn::Write;
            }
            // Unless the look tells otherwise.
            self.rest();
            return Turn::WriteAndLook;
        }
        self.leaders += 1;
        self.leader = self.leaders;
        Turn::Lead(self.leader)
    }

    /// Lets leaders write at once for a while.
    fn rest(&mut self) {
        self.at_once = self.next.max(AT_ONCE);
        self.of = self.at_once;
        self.next = (self.at_once * 2).min(AT_ONCE_MOST);
    }

    /// Who has written at once was put behind all others for this time. Those who wrote meanwhile
    /// it would have gathered: if at their price, giving way is tried again.
    fn looked(&mut self, took: Duration) {
        let others = self.of.saturating_sub(self.at_once);
        if others > 0 && took <= FRAME * (others + 1) {
            self.at_once = 0;
        }
    }

    /// Takes the lead from whoever has it: the outbox is not its to write any more. False when nobody
    /// has it.
    pub(super) fn give_up(&mut self) -> bool {
        std::mem::take(&mut self.leader) != 0
    }

    /// Ends the lead of this leader, which has gathered so many frames with its own in this time;
    /// false when it had none any more. Then the outbox is not its to write.
    fn end(&mut self, number: u64, frames: u32, took: Duration) -> bool {
        if self.leader != number {
            return false;
        }
        self.leader = 0;
        if frames > 1 && took <= FRAME * frames {
            (self.lost, self.next) = (0, AT_ONCE);
            return true;
        }
        // That nobody else had anything to send may be chance; time that was lost is not.
        self.lost += if took <= FRAME * frames { 1 } else { YIELDS };
        if self.lost >= YIELDS {
            self.rest();
            // One try decides whether it is worth it again.
            self.lost = YIELDS - 1;
        }
        true
    }
}

impl Outbox {
    /// The owner's duty when others are about to send too: lets them go first while that pays,
    /// then writes for all.
    ///
    /// # Cancel safety
    ///
    /// Dropped half-way, it leaves the outbox to the flusher. Not polled any more, it holds the
    /// outbox up until [`relieve`](Self::relieve).
    pub async fn lead(&self, socket: &Socket) {
        struct Leader<'a> {
            outbox: &'a Outbox,
            number: u64,
            began: Instant,
        }
        impl Leader<'_> {
            fn end(&self) -> bool {
                let mut state = lock(&self.outbox.state);
                let frames = state.frames;
                state.lead.end(self.number, frames, self.began.elapsed())
            }
        }
        impl Drop for Leader<'_> {
            fn drop(&mut self) {
                if self.end() {
                    self.outbox.leave();
                }
            }
        }
        let turn = lock(&self.state).lead.begin();
        let number = match turn {
            Turn::Lead(number) => number,
            Turn::Write => return self.write_or_leave(socket),
            Turn::WriteAndLook => {
                self.write_or_leave(socket);
                let began = Instant::now();
                yield_now().await;
                return lock(&self.state).lead.looked(began.elapsed());
            }
        };
        let leader = Leader { outbox: self, number, began: Instant::now() };
        let mut before = 0;
        for _ in 0..YIELDS {
            yield_now().await;
            let now = lock(&self.state).buffer.len();
            if now == before || now >= ROOM {
                break;
            }
            before = now;
        }
        if leader.end() {
            self.write_or_leave(socket);
        }
    }

    /// Takes the outbox from a leader that was there at the last look already, and leaves it to
    /// the flusher. A leader belongs to a caller's future, which its owner may have put aside
    /// without dropping it; nobody else's calls may wait for that. To be called now and then.
    pub fn relieve(&self) {
        let mut state = lock(&self.state);
        let leader = state.lead.leader;
        if leader != 0 && leader == std::mem::replace(&mut state.lead.seen, leader) {
            state.lead.give_up();
            drop(state);
            self.leave();
        }
    }

    /// The number of the leader; 0 when there is none.
    #[cfg(test)]
    pub(super) fn leader(&self) -> u64 {
        lock(&self.state).lead.leader
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: Duration = Duration::from_micros(10);

    /// How many leaders of `count` give way, when each gathers so many frames in this time, or would
    /// have.
    fn giving_way(lead: &mut Lead, count: u32, frames: u32, took: Duration) -> u32 {
        let (mut gave_way, mut left) = (0, count);
        while left > 0 {
            left -= 1;
            match lead.begin() {
                Turn::Lead(number) => {
                    gave_way += 1;
                    assert!(lead.end(number, frames, took));
                }
                Turn::Write => {}
                Turn::WriteAndLook => {
                    let others = (1..frames).map(|_| assert_eq!(lead.begin(), Turn::Write));
                    left = left.saturating_sub(others.count().try_into().unwrap());
                    lead.looked(took);
                }
            }
        }
        gave_way
    }

    #[test]
    fn leaders_give_way_as_long_as_that_gathers_frames_at_their_price() {
        let lead = &mut Lead::default();
        assert_eq!(giving_way(lead, 1000, 64, FRAME * 64), 1000);
        assert_eq!(giving_way(lead, 3, 1, SHORT), 3, "alone a few times: by chance");
        assert_eq!(giving_way(lead, 1000, 2, SHORT), 1000);
    }

    #[test]
    fn beside_tasks_that_compute_they_write_at_once_and_look_ever_less_often() {
        let lead = &mut Lead::default();
        let dear = Duration::from_millis(3);
        assert_eq!(giving_way(lead, 100_000, 16, dear), 1, "the first has learned it");
        assert!(giving_way(lead, AT_ONCE_MOST + 1, 16, SHORT) > 0);
        assert_eq!(giving_way(lead, 1000, 16, SHORT), 1000, "one look is enough");
    }

    #[test]
    fn leaders_that_are_alone_write_at_once_after_a_while() {
        let lead = &mut Lead::default();
        assert_eq!(giving_way(lead, 100_000, 1, SHORT), YIELDS);
        assert!(giving_way(lead, AT_ONCE_MOST + 2, 2, SHORT) > 0, "until they are no more");
    }
}
