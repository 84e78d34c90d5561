//! What calls choose from: an immutable list of endpoints and their connections.

use super::Outlook;
use crate::{
    balance::{Balance, Field, Load},
    connection::Connection,
};
use std::sync::Arc;

/// The endpoints of a service, for calls.
#[derive(Debug)]
pub(crate) struct Picks {
    /// Endpoints that take calls.
    pub(super) ready: Arc<Line>,
    /// Endpoints whose providers have not greeted yet; used when there are no others.
    pub(super) greeting: Arc<Line>,
    /// Ejected endpoints, each of which one call at a time may try.
    pub(super) probing: Box<[Candidate]>,
    /// What is known about the rest, for calls that find nothing.
    pub(crate) outlook: Outlook,
}

/// Endpoints to choose from, and what the strategy knows of them.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) candidates: Box<[Candidate]>,
    field: Field,
}

/// An endpoint and its connections, of which there is one at least.
#[derive(Debug)]
pub(super) struct Candidate {
    first: Arc<Connection>,
    more: Box<[Arc<Connection>]>,
    weight: u32,
}

/// What a call asks for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wish<'a> {
    /// The hash of its key, if it has one.
    pub(crate) key: Option<u64>,
    /// Where it has been.
    pub(crate) tried: &'a [Tried],
    /// It can be made again elsewhere if it fails.
    pub(crate) again: bool,
}

/// An attempt's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tried {
    endpoint: u64,
    connection: u64,
    /// Only the connection was in trouble: another one to the same endpoint may be tried when
    /// there is no other endpoint.
    only_connection: bool,
}

/// What a call finds.
#[derive(Debug)]
pub(crate) enum Pick {
    /// A connection that takes it.
    Found(Arc<Connection>),
    /// All that take calls have as many as they can, or others wait already.
    Full,
    /// No connection takes calls, but some did when the list was made: the next one, which knows
    /// what has become of them, is on its way.
    Outdated,
    /// No connection takes calls.
    Nobody,
}

/// What was seen on the way to finding nothing.
#[derive(Debug, Default)]
struct Seen {
    full: bool,
    outdated: bool,
}

impl Tried {
    pub(crate) fn new(connection: &Connection, only_connection: bool) -> Self {
        let endpoint = connection.standing.number;
        Self { endpoint, connection: connection.number, only_connection }
    }
}

impl Candidate {
    /// `None` without a connection.
    pub(super) fn new(mut connections: Vec<Arc<Connection>>, weight: u32) -> Option<Self> {
        if connections.is_empty() {
            return None;
        }
        let first = connections.remove(0);
        Some(Self { first, more: connections.into(), weight })
    }

    pub(super) fn connections(&self) -> impl Iterator<Item = &Arc<Connection>> {
        std::iter::once(&self.first).chain(&self.more)
    }

    /// Whether it is the same as `other`, so that a list with it need not be made again.
    fn is(&self, other: &Self) -> bool {
        self.weight == other.weight
            && self.more.len() == other.more.len()
            && self.connections().zip(other.connections()).all(|(a, b)| Arc::ptr_eq(a, b))
    }

    /// Its connection with the fewest calls in flight, among those that take another.
    fn connection(
        &self,
        seen: &mut Seen,
        fits: impl Fn(&Connection) -> bool,
    ) -> Option<&Arc<Connection>> {
        if self.more.is_empty() {
            return takes(&self.first, seen, &fits).then_some(&self.first);
        }
        let open = self.connections().filter(|c| takes(c, seen, &fits));
        open.min_by_key(|c| c.in_flight())
    }

    /// How busy it is.
    fn load(&self) -> Load {
        let more: usize = self.more.iter().map(|c| c.in_flight()).sum();
        let latency = self.first.standing.latency.nanos();
        Load { active: self.first.in_flight() + more, latency }
    }
}

fn takes(connection: &Connection, seen: &mut Seen, fits: impl Fn(&Connection) -> bool) -> bool {
    if !connection.is_usable() {
        seen.outdated = true;
        return false;
    }
    if !fits(connection) {
        return false;
    }
    if connection.is_full() {
        seen.full = true;
        return false;
    }
    true
}

impl Line {
    pub(super) fn new(balance: Balance, candidates: Vec<Candidate>) -> Self {
        let weights: Vec<_> = candidates.iter().map(|c| (c.first.addr, c.weight)).collect();
        Self { field: Field::new(balance, &weights), candidates: candidates.into() }
    }

    /// A line of `candidates`: this one if it is the same, as preparing one takes time.
    pub(super) fn renewed(
        self: &Arc<Self>,
        balance: Balance,
        candidates: Vec<Candidate>,
    ) -> Arc<Self> {
        let same = self.candidates.len() == candidates.len()
            && self.candidates.iter().zip(&candidates).all(|(a, b)| a.is(b));
        if same { Arc::clone(self) } else { Arc::new(Self::new(balance, candidates)) }
    }

    /// The candidates, from the one on that the strategy chooses.
    fn in_turn(&self, turn: usize, key: Option<u64>) -> impl Iterator<Item = &Candidate> {
        let load = |index: usize| self.candidates[index].load();
        let start = if self.candidates.is_empty() {
            0
        } else {
            self.field.choose(turn, fastrand::u64(..), key, load)
        };
        let (before, from) = self.candidates.split_at(start);
        from.iter().chain(before)
    }
}

impl Picks {
    pub(super) fn empty(balance: Balance, outlook: Outlook) -> Self {
        let line = || Arc::new(Line::new(balance, Vec::new()));
        Self { ready: line(), greeting: line(), probing: Box::default(), outlook }
    }

    /// A connection of an endpoint that the call has not tried: of the one that the strategy
    /// chooses, or of the next that takes calls. When there is none, one of an endpoint whose
    /// connection failed the call, if it has another that answers. `turn` counts calls.
    pub(crate) fn choose(&self, turn: usize, wish: &Wish<'_>) -> Pick {
        let mut seen = Seen::default();
        let new = |c: &Connection| wish.tried.iter().all(|t| t.endpoint != c.standing.number);
        if !self.probing.is_empty() {
            for candidate in &self.probing {
                if let Some(connection) = candidate.connection(&mut Seen::default(), new)
                    && connection.standing.try_probe(wish.again)
                {
                    return Pick::Found(Arc::clone(connection));
                }
            }
        }
        for line in [&*self.ready, &*self.greeting] {
            for candidate in line.in_turn(turn, wish.key) {
                if let Some(connection) = candidate.connection(&mut seen, new) {
                    return Pick::Found(Arc::clone(connection));
                }
            }
        }
        if !wish.tried.is_empty() {
            let other = |c: &Connection| wish.may_go_back_to(c);
            for candidate in &self.ready.candidates {
                let lives = |c: &Connection| other(c) && c.has_outlived();
                if let Some(connection) = candidate.connection(&mut seen, lives) {
                    return Pick::Found(Arc::clone(connection));
                }
                // They are asked whether they live, and a list follows the answer.
                seen.outdated |=
                    candidate.connections().any(|c| c.is_usable() && other(c) && !c.has_outlived());
            }
        }
        match seen {
            Seen { full: true, .. } => Pick::Full,
            Seen { outdated: true, .. } => Pick::Outdated,
            Seen { .. } => Pick::Nobody,
        }
    }
}

impl Picks {
    /// The same for a call that waits for room: it misses no place that was given back before.
    pub(crate) fn choose_closely(&self, turn: usize, wish: &Wish<'_>) -> Pick {
        let lines = self.ready.candidates.iter().chain(&self.greeting.candidates);
        lines.flat_map(Candidate::connections).for_each(|c| c.look_closely());
        self.choose(turn, wish)
    }
}

impl Wish<'_> {
    /// Whether the endpoint of `connection` was tried through other connections, which alone were
    /// in trouble.
    fn may_go_back_to(&self, connection: &Connection) -> bool {
        let endpoint = connection.standing.number;
        let here = |tried: &&Tried| tried.endpoint == endpoint;
        let other = |t: &Tried| t.only_connection && t.connection != connection.number;
        self.tried.iter().filter(here).all(other)
    }
}
