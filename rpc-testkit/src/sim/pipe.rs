//! One direction of a connection: what is on its way, and what has arrived and waits to be read.
//! Pure: the time is an argument.

use super::Path;
use std::collections::VecDeque;
use tokio::time::Instant;

/// Bytes from one end of a connection to the other.
#[derive(Debug)]
pub(super) struct Pipe {
    flight: VecDeque<Segment>,
    /// What waits to be read begins at `read` of the first.
    arrived: VecDeque<Vec<u8>>,
    read: usize,
    /// Bytes in `flight`, and bytes that wait to be read.
    flying: usize,
    waiting: usize,
    /// When the path has carried what was sent so far.
    busy_until: Instant,
    /// The sender has said that nothing more will come.
    pub(super) finished: bool,
    /// That has arrived.
    pub(super) at_end: bool,
    /// A reset has arrived.
    pub(super) reset: bool,
    /// Since when there are bytes that cannot be acknowledged.
    pub(super) unacknowledged: Option<Instant>,
}

#[derive(Debug)]
struct Segment {
    at: Instant,
    content: Content,
}

#[derive(Debug)]
enum Content {
    Bytes(Vec<u8>),
    End,
    Reset,
}

impl Pipe {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            flight: VecDeque::new(),
            arrived: VecDeque::new(),
            read: 0,
            flying: 0,
            waiting: 0,
            busy_until: now,
            finished: false,
            at_end: false,
            reset: false,
            unacknowledged: None,
        }
    }

    /// Bytes that the sender still gets rid of.
    pub(super) fn room(&self, path: &Path) -> usize {
        path.buffer.max(1).saturating_sub(self.flying + self.waiting)
    }

    /// Whether bytes have arrived.
    pub(super) fn has_bytes(&self) -> bool {
        !self.arrived.is_empty()
    }

    /// Whether bytes are on their way, or wait to be read.
    pub(super) fn has_unread(&self) -> bool {
        self.flying > 0 || self.has_bytes()
    }

    /// Sends bytes; when they arrive.
    pub(super) fn send(&mut self, bytes: &[u8], path: &Path, random: f64, now: Instant) -> Instant {
        self.flying += bytes.len();
        let sent = self.busy_until.max(now) + path.transfer(bytes.len());
        self.busy_until = sent;
        self.put(Content::Bytes(bytes.to_vec()), sent + path.delay(random))
    }

    /// Says that nothing more will come.
    pub(super) fn finish(&mut self, path: &Path, now: Instant) {
        if !self.finished {
            self.finished = true;
            self.put(Content::End, now + path.latency);
        }
    }

    /// Sends a reset, which arrives after all that was sent before.
    pub(super) fn send_reset(&mut self, at: Instant) {
        self.finished = true;
        self.put(Content::Reset, at);
    }

    fn put(&mut self, content: Content, at: Instant) -> Instant {
        // Nothing overtakes what was sent before.
        let at = self.flight.back().map_or(at, |last| at.max(last.at));
        self.flight.push_back(Segment { at, content });
        at
    }

    /// Lets arrive what is due; whether something did.
    pub(super) fn settle(&mut self, path: &Path, now: Instant) -> bool {
        let mut some = false;
        while !path.held
            && let Some(segment) = self.flight.pop_front_if(|segment| segment.at <= now)
        {
            some = true;
            match segment.content {
                Content::Bytes(bytes) => {
                    self.flying -= bytes.len();
                    self.waiting += bytes.len();
                    self.arrived.push_back(bytes);
                }
                Content::End => self.at_end = true,
                Content::Reset => self.reset = true,
            }
        }
        some
    }

    /// When the next of what is on its way arrives.
    pub(super) fn next(&self, path: &Path) -> Option<Instant> {
        self.flight.front().filter(|_| !path.held).map(|segment| segment.at)
    }

    /// What was held up is sent again.
    pub(super) fn resend(&mut self, path: &Path, now: Instant) {
        let earliest = now + path.latency;
        for segment in &mut self.flight {
            segment.at = segment.at.max(earliest);
        }
    }

    /// Takes what has arrived; how much.
    pub(super) fn read(&mut self, room: &mut [u8]) -> usize {
        let mut filled = 0;
        while filled < room.len()
            && let Some(first) = self.arrived.front()
        {
            let rest = &first[self.read..];
            let count = rest.len().min(room.len() - filled);
            room[filled..filled + count].copy_from_slice(&rest[..count]);
            filled += count;
            self.read += count;
            if count == rest.len() {
                self.arrived.pop_front();
                self.read = 0;
            }
        }
        self.waiting -= filled;
        filled
    }

    /// Forgets everything: a reset throws away what was not read.
    pub(super) fn discard(&mut self) {
        self.flight.clear();
        self.arrived.clear();
        (self.read, self.flying, self.waiting) = (0, 0, 0);
    }
}
