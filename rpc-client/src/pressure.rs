//! What is known when all connections to all providers of a service are full.

use serde::Serialize;
use std::{fmt, time::Duration};

/// A service whose connections are full, or were a moment ago: calls wait for room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Pressure {
    /// `name` or `name@version`.
    pub service: String,
    /// Endpoints that take calls.
    pub endpoints: usize,
    /// Connections to them.
    pub connections: usize,
    /// Calls in flight on them.
    pub in_flight: usize,
    /// Calls that they take at once.
    pub capacity: usize,
    /// Calls that wait for room now.
    pub waiting: usize,
    /// Calls that may wait at most.
    pub max_waiting: usize,
    /// Calls that were refused because too many waited, since the client began.
    pub refused: u64,
    /// How long calls have been waiting without a break; zero when none waits.
    pub lasting: Duration,
}

impl fmt::Display for Pressure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { endpoints, connections, in_flight, capacity, waiting, .. } = self;
        write!(f, "{in_flight} of {capacity} calls in flight on {connections} connections to ")?;
        write!(f, "{endpoints} endpoints, {waiting} wait for room")?;
        if *waiting > 0 {
            write!(f, " (for {:.1} s)", self.lasting.as_secs_f32())?;
        }
        if self.refused > 0 {
            write!(f, ", {} were refused because {} waited", self.refused, self.max_waiting)?;
        }
        Ok(())
    }
}
