//! Leading: a sender that writes for others first lets them add their frames, while that pays.
//!
//! To give way is to go behind all that is runnable. Among callers that only send, a microsecond
//! each, that gathers their frames in one write, which costs as much as several of them. Beside
//! tasks that compute, it holds up what is there already, and gathers little.

use super::{Outbox, Socket, lock};
use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};
use tokio::{task::yield_now, time::Instant};

/// How often a leader lets others go first.
const YIELDS: u32 = 4;
/// What a frame that was gathered may have cost in time: about what a write does beside other
/// programs.
const FRAME: Duration = Duration::from_micros(20);
/// Leaders that write at once, once giving way does not pay, before one looks whether it would now:
/// at least, and at most. The number doubles each time that it would not.
const AT_ONCE: u32 = 64;
const AT_ONCE_MOST: u32 = 1024;
/// So many of them in a row have to find that it would, if the last found it dear. Beside tasks that
/// compute, one of three finds so by chance, and a leader that gave way then would hold up all calls
/// for milliseconds. After leaders that were alone, one is enough.
const LOOKS: u32 = 4;
/// What speaks against giving way, added up: 1 for a leader that was alone, which cost next to
/// nothing, and this for one that lost time. One that gathered takes as much away: now and then
/// time is lost to other programs.
const COSTLY: u32 = 4;
/// With this much against it, giving way does not pay.
const TOO_MUCH: u32 = 4 * COSTLY;

/// Writes of all outboxes of this process, modulo 2^32. While others write no time is lost: they
/// would have done so anyway.
static WRITES: AtomicU32 = AtomicU32::new(0);

/// To be called for each write.
pub(super) fn count_write() {
    WRITES.fetch_add(1, Ordering::Relaxed);
}

pub(super) fn writes() -> u32 {
    WRITES.load(Ordering::Relaxed)
}

/// Being behind all others for a while.
#[derive(Debug, Clone, Copy)]
struct Wait {
    began: Instant,
    /// [`WRITES`] when it began.
    writes: u32,
}

impl Wait {
    fn begin() -> Self {
        Self { began: Instant::now(), writes: writes() }
    }

    /// What it would have come to, when all these frames but one were written meanwhile, each alone.
    fn looked(self, frames: u64) -> Outcome {
        Outcome::of_look(frames, self.began.elapsed(), self.written())
    }

    /// Writes since it began.
    fn written(self) -> u32 {
        writes().wrapping_sub(self.writes)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// Frames were gathered at their price.
    Gathered,
    /// Nobody else had anything to send, and little time was lost.
    Alone,
    Costly,
}

impl Outcome {
    /// Of a look: the frames have been written meanwhile, each alone, but for the first.
    fn of_look(frames: u64, took: Duration, writes: u32) -> Self {
        let own = u32::try_from(frames.saturating_sub(1)).unwrap_or(u32::MAX);
        Self::of(frames, took, writes.saturating_sub(own))
    }

    fn of(frames: u64, took: Duration, writes: u32) -> Self {
        let frames = u32::try_from(frames).unwrap_or(u32::MAX);
        match took <= FRAME.saturating_mul(frames.saturating_add(writes)) {
            true if frames > 1 => Self::Gathered,
            true => Self::Alone,
            false => Self::Costly,
        }
    }
}

/// Who leads, and whether it pays.
#[derive(Debug, Default)]
pub(super) struct Lead {
    /// The number of the one that gives way at the moment; 0 when there is none.
    leader: u64,
    /// How many there have been.
    leaders: u64,
    /// The one that [`Outbox::relieve`] has seen.
    seen: u64,
    /// What speaks against giving way.
    doubt: u32,
    /// How many more write at once.
    at_once: u32,
    /// Of how many, the last time; less since giving way pays.
    rest: u32,
    /// How many looks in a row have said that giving way would pay.
    agreed: u32,
    /// The last one that gave way, or looked, lost time.
    dear: bool,
}

/// What a leader is to do, and its number.
#[derive(Debug, PartialEq, Eq)]
enum Turn {
    /// To give way and then write for all.
    Lead(u64),
    /// To write at once.
    Write,
    /// To write at once, and then see what giving way would have been: that holds nothing up.
    WriteAndLook(u64),
}

impl Lead {
    /// A new leader's turn.
    fn begin(&mut self) -> Turn {
        self.leaders += 1;
        match self.at_once {
            0 => {
                self.leader = self.leaders;
                Turn::Lead(self.leader)
            }
            1 => {
                // Unless the look tells otherwise, which may be dropped.
                self.at_once = self.rest;
                Turn::WriteAndLook(self.leaders)
            }
            _ => {
                self.at_once -= 1;
                Turn::Write
            }
        }
    }

    /// Lets leaders write at once for a while.
    fn rest(&mut self) {
        self.rest = (self.rest * 2).clamp(AT_ONCE, AT_ONCE_MOST);
        self.at_once = self.rest;
    }

    /// How many frames the leader of this number would have gathered, with its own, had it not
    /// written at once.
    fn since(&self, number: u64) -> u64 {
        self.leaders - number + 1
    }

    /// What giving way would have come to. If it would have paid, and where it was dear a few times in
    /// a row, it is done again: leaders that lose time end that.
    fn looked(&mut self, outcome: Outcome) {
        if outcome != Outcome::Gathered {
            self.dear = outcome == Outcome::Costly;
            self.agreed = 0;
            return self.rest();
        }
        let enough = if self.dear { LOOKS } else { 1 };
        self.agreed = (self.agreed + 1) % enough;
        self.at_once = u32::from(self.agreed != 0);
    }

    /// Takes the lead from whoever has it: the outbox is not its to write any more. False when
    /// nobody has it.
    pub(super) fn give_up(&mut self) -> bool {
        std::mem::take(&mut self.leader) != 0
    }

    /// Ends the lead of this leader, which came to this; false when it had none any more. Then the
    /// outbox is not its to write.
    fn end(&mut self, number: u64, outcome: Outcome) -> bool {
        if self.leader != number {
            return false;
        }
        self.leader = 0;
        self.dear = outcome == Outcome::Costly;
        match outcome {
            Outcome::Gathered => {
                self.doubt = self.doubt.saturating_sub(COSTLY);
                self.rest /= 2;
            }
            Outcome::Alone => self.doubt += 1,
            Outcome::Costly => self.doubt += COSTLY,
        }
        if self.doubt >= TOO_MUCH {
            self.rest();
            self.doubt = TOO_MUCH - COSTLY;
        }
        true
    }
}

impl Outbox {
    /// The owner's duty when others are about to send too: lets them go first while that pays,
    /// then writes for all. True: it has written at once, because beside it there are tasks that
    /// compute, or other programs.
    ///
    /// # Cancel safety
    ///
    /// Dropped half-way, it leaves the outbox to the flusher. Not polled any more, it holds the
    /// outbox up until [`relieve`](Self::relieve).
    pub async fn lead(&self, socket: &Socket) -> bool {
        struct Leader<'a> {
            outbox: &'a Outbox,
            number: u64,
            wait: Wait,
        }
        impl Leader<'_> {
            fn end(&self) -> bool {
                let (took, written) = (self.wait.began.elapsed(), self.wait.written());
                let mut state = lock(&self.outbox.state);
                let outcome = Outcome::of(state.frames.into(), took, written);
                state.lead.end(self.number, outcome)
            }
        }
        impl Drop for Leader<'_> {
            fn drop(&mut self) {
                if self.end() {
                    self.outbox.leave();
                }
            }
        }
        let (turn, dear) = {
            let lead = &mut lock(&self.state).lead;
            (lead.begin(), lead.dear)
        };
        let number = match turn {
            Turn::Lead(number) => number,
            Turn::Write => {
                self.write_or_leave(socket);
                return dear;
            }
            Turn::WriteAndLook(number) => {
                self.write_or_leave(socket);
                let wait = Wait::begin();
                yield_now().await;
                let lead = &mut lock(&self.state).lead;
                let outcome = wait.looked(lead.since(number));
                lead.looked(outcome);
                return false;
            }
        };
        let leader = Leader { outbox: self, number, wait: Wait::begin() };
        let mut before = 0;
        for _ in 0..YIELDS {
            yield_now().await;
            let (now, full) = {
                let state = lock(&self.state);
                (state.buffer.len(), state.is_full())
            };
            if now == before || full {
                break;
            }
            before = now;
        }
        let leads = leader.end();
        // There is nothing left that its drop could end.
        std::mem::forget(leader);
        if leads {
            self.write_or_leave(socket);
        }
        false
    }

    /// Takes the outbox from a leader that was there at the last look already, and leaves it to
    /// the flusher. A leader belongs to a caller's future, which its owner may have put aside
    /// without dropping it; nobody else's calls may wait for that. The flusher gets what was left
    /// to the next sender, too, and who waits for room although nothing is to be written is woken.
    /// To be called now and then.
    pub fn relieve(&self) {
        let mut state = lock(&self.state);
        let leader = state.lead.leader;
        let late = leader != 0 && leader == std::mem::replace(&mut state.lead.seen, leader);
        if !state.owned && state.buffer.is_empty() {
            // Who was woken and is not polled any more has not passed its turn on.
            drop(state);
            return self.room.wake_all();
        }
        let left = !state.owned;
        if late || left {
            state.lead.give_up();
            state.owned = true;
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

    const DEAR: Duration = Duration::from_millis(3);

    /// How many leaders of `count` give way, when each gathers so many frames in this time, or would
    /// have.
    fn giving_way(lead: &mut Lead, count: u64, frames: u64, took: Duration) -> u64 {
        let outcome = Outcome::of(frames, took, 0);
        let end = lead.leaders + count;
        let mut gave_way = 0;
        while lead.leaders < end {
            match lead.begin() {
                Turn::Lead(number) => {
                    gave_way += 1;
                    assert!(lead.end(number, outcome));
                }
                Turn::Write => {}
                Turn::WriteAndLook(number) => {
                    (1..frames).for_each(|_| assert_eq!(lead.begin(), Turn::Write));
                    assert_eq!(lead.since(number), frames);
                    lead.looked(outcome);
                }
            }
        }
        gave_way
    }

    #[test]
    fn leaders_give_way_as_long_as_that_gathers_frames_at_their_price() {
        let lead = &mut Lead::default();
        assert_eq!(giving_way(lead, 1000, 64, FRAME * 64), 1000);
        assert_eq!(giving_way(lead, 15, 1, FRAME), 15, "alone a few times: by chance");
        assert_eq!(giving_way(lead, 1000, 2, FRAME), 1000);
    }

    #[test]
    fn time_lost_now_and_then_is_put_up_with() {
        let lead = &mut Lead::default();
        for _ in 0..1000 {
            assert_eq!(giving_way(lead, 1, 16, DEAR), 1);
            assert_eq!(giving_way(lead, 1, 16, FRAME), 1);
        }
    }

    #[test]
    fn beside_tasks_that_compute_they_write_at_once_and_look_whether_it_still_costs() {
        let lead = &mut Lead::default();
        assert_eq!(giving_way(lead, 100_000, 16, DEAR), 4, "the first have learned it");
        let soon = u64::from(AT_ONCE_MOST) + 16;
        assert!(giving_way(lead, soon, 16, FRAME) > 0);
        assert_eq!(giving_way(lead, 1000, 16, FRAME), 1000, "a few looks are enough");
        assert_eq!(giving_way(lead, 1, 16, FRAME), 1);
    }

    #[test]
    fn looks_that_were_wrong_cost_nothing_and_many_in_a_row_one_leader_its_time() {
        let lead = &mut Lead::default();
        giving_way(lead, 100, 16, DEAR);
        for _ in 1..LOOKS {
            lead.looked(Outcome::Gathered);
        }
        assert_eq!(giving_way(lead, 1000, 16, DEAR), 0);
        for _ in 0..LOOKS {
            lead.looked(Outcome::Gathered);
        }
        assert_eq!(giving_way(lead, 1000, 16, DEAR), 1);
    }

    #[test]
    fn leaders_that_are_alone_write_at_once_after_a_while() {
        let lead = &mut Lead::default();
        assert_eq!(giving_way(lead, 100_000, 1, FRAME), u64::from(TOO_MUCH));
        assert!(giving_way(lead, u64::from(AT_ONCE_MOST) + 2, 2, FRAME) > 0, "until they are not");
    }

    #[test]
    fn after_leaders_that_were_alone_one_look_is_enough() {
        let lead = &mut Lead::default();
        assert_eq!(giving_way(lead, 1000, 1, FRAME), u64::from(TOO_MUCH));
        lead.looked(Outcome::Gathered);
        assert_eq!(giving_way(lead, 10, 2, FRAME), 10);
    }

    #[test]
    fn a_look_does_not_take_writes_of_its_own_frames_for_those_of_others() {
        assert_eq!(Outcome::of_look(16, FRAME * 16, 15), Outcome::Gathered);
        assert_eq!(Outcome::of_look(16, FRAME * 17, 15), Outcome::Costly);
        assert_eq!(Outcome::of_look(16, FRAME * 17, 16), Outcome::Gathered);
    }

    #[test]
    fn time_in_which_others_write_is_not_lost() {
        assert_eq!(Outcome::of(4, FRAME * 20, 0), Outcome::Costly);
        assert_eq!(Outcome::of(4, FRAME * 20, 16), Outcome::Gathered);
        assert_eq!(Outcome::of(1, FRAME, 0), Outcome::Alone);
        assert_eq!(Outcome::of(u64::MAX, Duration::MAX, u32::MAX), Outcome::Costly);
    }
}
