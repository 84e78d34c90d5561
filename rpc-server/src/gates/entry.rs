//! Who may enter: a call of a method against the limits that apply to it, the method's own and its
//! service's.
//!
//! Entering and leaving cost an atomic each for every limit that applies, and no clock reading: a
//! call's beginning is the time at which its batch was read, and its end is timed for a sample of
//! the calls alone.

use super::{gate::Gate, tally::Tally};
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;

/// The limits that apply to one method.
#[derive(Debug)]
pub(crate) struct Gates {
    method: Gate,
    service: Option<Arc<Gate>>,
    limited: bool,
    /// Where the microseconds of the gates begin.
    epoch: Instant,
}

/// A call within its limits. Dropped, it leaves them.
#[derive(Debug)]
pub(crate) struct Place {
    gates: Arc<Gates>,
    began: u64,
    /// Whether the method's gate and the service's want to know how long it takes.
    timed: [bool; 2],
    answered: bool,
}

impl Gates {
    pub(crate) fn new(method: Gate, service: Option<Arc<Gate>>, epoch: Instant) -> Self {
        let limited = method.is_limited() || service.is_some();
        Self { method, service, limited, epoch }
    }

    /// Whether any limit applies.
    pub(crate) fn is_limited(&self) -> bool {
        self.limited
    }

    /// Whether there would be a place for a call that has this much time left. Asked before its
    /// body is taken.
    ///
    /// # Errors
    ///
    /// Which limit is in the way, for people.
    pub(crate) fn check(&self, left: Duration) -> Result<(), String> {
        let has_room = |tally: &Tally, places| tally.running() < places;
        self.method.ask(left, has_room)?;
        self.service.as_ref().map_or(Ok(()), |service| service.ask(left, has_room))
    }

    /// Takes a place for a call that was read at `now` and has this much time left.
    ///
    /// # Errors
    ///
    /// Which limit is in the way, for people.
    pub(crate) fn enter(self: &Arc<Self>, now: Instant, left: Duration) -> Result<Place, String> {
        self.method.ask(left, Tally::enter)?;
        if let Some(service) = &self.service
            && let Err(text) = service.ask(left, Tally::enter)
        {
            self.method.leave(false);
            return Err(text);
        }
        Ok(self.place(now))
    }

    /// Counts a call of a method without limits.
    pub(crate) fn count(self: &Arc<Self>, now: Instant) -> Place {
        self.method.count();
        self.place(now)
    }

    fn place(self: &Arc<Self>, now: Instant) -> Place {
        let began = self.micros(now);
        let timed = [Some(&self.method), self.service.as_deref()]
            .map(|gate| gate.is_some_and(|gate| gate.wants_sample(began)));
        Place { gates: Arc::clone(self), began, timed, answered: false }
    }

    /// The fullest of its limits, in 255ths.
    pub(crate) fn load(&self) -> u8 {
        if !self.limited {
            return 0;
        }
        self.service.as_ref().map_or(0, |service| service.load()).max(self.method.load())
    }

    /// The method's own gate.
    pub(crate) fn method(&self) -> &Gate {
        &self.method
    }

    /// Its service's, if that has a limit.
    pub(crate) fn service(&self) -> Option<&Gate> {
        self.service.as_deref()
    }

    fn micros(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.epoch).as_micros()).unwrap_or(u64::MAX)
    }
}

impl Place {
    /// The call's handler has done its work.
    pub(crate) fn answered(mut self) {
        self.answered = true;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Self { gates, began, timed, answered } = self;
        let now = if *timed == [false; 2] { *began } else { gates.micros(Instant::now()) };
        let entered = [Some(&gates.method), gates.service.as_deref()];
        for (gate, timed) in entered.into_iter().zip(*timed) {
            let Some(gate) = gate else { continue };
            if timed {
                gate.sample(now, now.saturating_sub(*began), *answered);
            }
            gate.leave(*answered);
        }
    }
}

#[cfg(test)]
mod tests;
