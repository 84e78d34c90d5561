//! What calls choose from: an immutable list of endpoints and their connections.

use super::{Outlook, Side};
use crate::{
    balance::{Field, Load, Member, Query},
    clock::Time,
    connection::Connection,
    standing::Standing,
};
use rpc_core::Balance;
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

/// The endpoints of a service, for calls.
#[derive(Debug)]
pub(crate) struct Picks {
    /// Endpoints that take calls.
    pub(super) ready: Line,
    /// Endpoints whose providers are not those that were known; used when there are no others.
    pub(super) reserve: Line,
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
    standing: Arc<Standing>,
    first: Arc<Connection>,
    more: Box<[Arc<Connection>]>,
    member: Member,
}

/// What a call asks for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wish<'a> {
    pub(crate) balance: Balance,
    /// Where its key is on the ring; for consistent hashing alone.
    pub(crate) key: Option<u64>,
    /// Where it has been.
    pub(crate) tried: &'a [Tried],
    /// It can be made again elsewhere if it fails.
    pub(crate) again: bool,
    /// When it asks.
    pub(crate) now: Time,
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
#[derive(Debug, Default, Clone, Copy)]
struct Seen {
    full: bool,
    outdated: bool,
}

impl Tried {
    pub(crate) fn new(connection: &Connection, only_connection: bool) -> Self {
        let endpoint = connection.standing.number;
        Self { endpoint, connection: connection.number, only_connection }
    }

    /// Whether there may be another connection to the same endpoint, for the same call.
    pub(crate) fn may_come_back(&self) -> bool {
        self.only_connection
    }
}

impl Candidate {
    /// `None` without a connection.
    pub(super) fn new(
        standing: &Arc<Standing>,
        mut connections: Vec<Arc<Connection>>,
        member: Member,
    ) -> Option<Self> {
        if connections.is_empty() {
            return None;
        }
        let first = connections.remove(0);
        Some(Self { standing: Arc::clone(standing), first, more: connections.into(), member })
    }

    pub(super) fn connections(&self) -> impl Iterator<Item = &Arc<Connection>> {
        std::iter::once(&self.first).chain(&self.more)
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

    /// The number of its endpoint.
    pub(super) fn number(&self) -> u64 {
        self.standing.number
    }

    /// What the strategies see of it.
    pub(super) fn side(&self) -> Side {
        let Member { addr, weight, age } = self.member;
        let full = self.connections().all(|c| c.is_full());
        Side { number: self.number(), addr, weight, age, load: self.load(true, Time::now()), full }
    }

    /// How busy it is, for a call that can, or can't, be made again elsewhere.
    fn load(&self, again: bool, now: Time) -> Load {
        let more: usize = self.more.iter().map(|c| c.in_flight()).sum();
        self.standing.gauge.load(self.first.in_flight() + more, again, now)
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
    /// `earlier` is the line that this one takes the place of.
    pub(super) fn new(
        candidates: Vec<Candidate>,
        warm_up: Duration,
        earlier: Option<&Self>,
    ) -> Self {
        let members: Vec<_> = candidates.iter().map(|candidate| candidate.member).collect();
        let field = Field::new(&members, warm_up, earlier.map(|line| &line.field));
        Self { candidates: candidates.into(), field }
    }

    /// Makes the tables of a strategy now rather than in the first call that uses it.
    pub(super) fn prepare(&self, balance: Balance) {
        self.field.prepare(balance);
    }
}

/// What a strategy may ask while it chooses from a line, and what comes of asking.
struct Choice<'a> {
    candidates: &'a [Candidate],
    turn: &'a AtomicUsize,
    tried: &'a [Tried],
    /// The call can be made again elsewhere.
    again: bool,
    now: Time,
    /// The endpoint that fitted last, and its connection.
    fitted: Option<(usize, &'a Arc<Connection>)>,
    seen: Seen,
}

impl<'a> Choice<'a> {
    fn connection(&mut self, index: usize) -> Option<&'a Arc<Connection>> {
        let candidate = &self.candidates[index];
        let number = candidate.standing.number;
        if !self.tried.is_empty() && self.tried.iter().any(|tried| tried.endpoint == number) {
            // What has become of it may be news.
            self.seen.outdated |= candidate.connections().all(|c| !c.is_usable());
            return None;
        }
        candidate.connection(&mut self.seen, |_| true)
    }
}

impl Query for Choice<'_> {
    fn turn(&mut self) -> usize {
        self.turn.fetch_add(1, Ordering::Relaxed)
    }

    fn random(&mut self) -> u64 {
        fastrand::u64(..)
    }

    fn load(&self, index: usize) -> Load {
        self.candidates[index].load(self.again, self.now)
    }

    fn fits(&mut self, index: usize) -> bool {
        let connection = self.connection(index);
        self.fitted = connection.map(|connection| (index, connection));
        connection.is_some()
    }
}

impl Picks {
    pub(super) fn empty(outlook: Outlook) -> Self {
        let line = || Line::new(Vec::new(), Duration::ZERO, None);
        Self { ready: line(), reserve: line(), probing: Box::default(), outlook }
    }

    /// A connection of an endpoint that the call has not tried: of the one that the strategy
    /// chooses, or of another that takes calls. When there is none, one of an endpoint whose
    /// connection failed the call, if it has another that answers. `turn` counts calls.
    pub(super) fn choose(&self, turn: &AtomicUsize, wish: &Wish<'_>) -> Pick {
        if !self.probing.is_empty()
            && let Some(connection) = self.probe(wish)
        {
            return Pick::Found(connection);
        }
        self.choose_trusted(turn, wish)
    }

    /// The same, among endpoints that are not being probed.
    pub(super) fn choose_trusted(&self, turn: &AtomicUsize, wish: &Wish<'_>) -> Pick {
        let mut seen = Seen::default();
        if let [only] = &*self.ready.candidates
            && wish.tried.is_empty()
            && let Some(connection) = only.connection(&mut seen, |_| true)
        {
            // No strategy would choose another.
            return Pick::Found(Arc::clone(connection));
        }
        for line in [&self.ready, &self.reserve] {
            let candidates = &*line.candidates;
            let Wish { tried, again, now, .. } = *wish;
            let mut choice = Choice { candidates, turn, tried, again, now, fitted: None, seen };
            if let Some(index) = line.field.choose(wish.balance, wish.key, &mut choice) {
                let connection = match choice.fitted {
                    Some((fitted, connection)) if fitted == index => Some(connection),
                    // It was asked before others were.
                    _ => choice.connection(index),
                };
                if let Some(connection) = connection {
                    return Pick::Found(Arc::clone(connection));
                }
            }
            seen = choice.seen;
        }
        if !wish.tried.is_empty()
            && let Some(connection) = self.go_back(wish, &mut seen)
        {
            return Pick::Found(connection);
        }
        match seen {
            Seen { full: true, .. } => Pick::Full,
            Seen { outdated: true, .. } => Pick::Outdated,
            Seen { .. } => Pick::Nobody,
        }
    }

    /// An ejected endpoint that may be tried with this call.
    #[cold]
    fn probe(&self, wish: &Wish<'_>) -> Option<Arc<Connection>> {
        let new = |c: &Connection| wish.tried.iter().all(|t| t.endpoint != c.standing.number);
        let open = |candidate| Candidate::connection(candidate, &mut Seen::default(), new);
        let mut open = self.probing.iter().filter_map(open);
        open.find(|connection| connection.standing.try_probe(wish.again)).cloned()
    }

    /// Another connection of an endpoint that was tried, if only a connection was in trouble.
    #[cold]
    fn go_back(&self, wish: &Wish<'_>, seen: &mut Seen) -> Option<Arc<Connection>> {
        let other = |c: &Connection| wish.may_go_back_to(c);
        for candidate in &self.ready.candidates {
            let lives = |c: &Connection| other(c) && c.has_outlived();
            if let Some(connection) = candidate.connection(seen, lives) {
                return Some(Arc::clone(connection));
            }
            // They are asked whether they live, and a list follows the answer.
            seen.outdated |=
                candidate.connections().any(|c| c.is_usable() && other(c) && !c.has_outlived());
        }
        None
    }

    /// Sees to it that places which were given back are seen, for a call that waits for one.
    pub(super) fn look_closely(&self) {
        let lines = self.ready.candidates.iter().chain(&self.reserve.candidates);
        lines.flat_map(Candidate::connections).for_each(|c| c.look_closely());
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
