//! What calls choose from, for people.

use super::{Picks, picks::Candidate};
use crate::balance::Load;
use std::{net::SocketAddr, time::Duration};

/// An endpoint that takes calls, as the strategies see it.
#[derive(Debug, Clone)]
pub(crate) struct Side {
    /// That of its [`Standing`](crate::standing::Standing).
    pub(crate) number: u64,
    pub(crate) addr: SocketAddr,
    pub(crate) weight: u32,
    /// Since its instance was first seen to take calls.
    pub(crate) age: Duration,
    pub(crate) load: Load,
    /// All its connections have as many calls as they take.
    pub(crate) full: bool,
}

impl Picks {
    /// The endpoints that calls choose from.
    pub(crate) fn sides(&self) -> Vec<Side> {
        self.ready.candidates.iter().map(Candidate::side).collect()
    }

    /// Whether calls are put on it if they find no other endpoint.
    pub(crate) fn is_in_reserve(&self, number: u64) -> bool {
        self.reserve.candidates.iter().any(|candidate| candidate.number() == number)
    }
}
