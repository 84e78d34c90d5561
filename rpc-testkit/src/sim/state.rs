//! The state of the network: addresses, the paths between them, connections, and who listens where.

use super::{Path, pipe::Pipe};
use rpc_core::{defaults, transport::Socket};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    io,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::Waker,
    time::Duration,
};
use tokio::{sync::Notify, time::Instant};

/// What everybody on the network shares.
#[derive(Debug)]
pub(super) struct Inner {
    state: Mutex<State>,
    /// A path, a port or a frozen host has changed.
    pub(super) changed: Notify,
}

/// All there is at one moment. Whoever waits is woken by who changes it.
#[derive(Debug)]
pub(super) struct State {
    pub(super) random: fastrand::Rng,
    pub(super) usual: Path,
    pub(super) paths: BTreeMap<(IpAddr, IpAddr), Path>,
    pub(super) frozen: BTreeSet<IpAddr>,
    pub(super) refusing: BTreeSet<SocketAddr>,
    pub(super) ports: BTreeMap<SocketAddr, Queue>,
    pub(super) connections: BTreeMap<u64, Connection>,
    numbers: u64,
    last_port: u16,
}

/// Connections that wait to be accepted.
#[derive(Debug, Default)]
pub(super) struct Queue {
    /// Tells one listener of an address from the next.
    pub(super) number: u64,
    pub(super) waiting: VecDeque<(Socket, SocketAddr)>,
    pub(super) waker: Option<Waker>,
}

/// Both ends of a connection; the first has dialled.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) ends: [End; 2],
}

/// One end of a connection.
#[derive(Debug)]
pub(super) struct End {
    pub(super) addr: SocketAddr,
    /// What this end sends.
    pub(super) out: Pipe,
    /// Told of everything that concerns this end.
    pub(super) changed: Arc<Notify>,
    /// Its program has closed it, or was killed.
    pub(super) closed: bool,
    /// It reads nothing any more.
    pub(super) deaf: bool,
    pub(super) broken: Option<io::ErrorKind>,
}

/// A connection that was just made, of which nobody has an end yet.
#[derive(Debug)]
pub(super) struct Made {
    pub(super) number: u64,
    /// The address of who has dialled.
    pub(super) near: SocketAddr,
    /// What tells either end.
    pub(super) changed: [Arc<Notify>; 2],
}

impl Inner {
    pub(super) fn new(seed: u64) -> Self {
        Self { state: Mutex::new(State::new(seed)), changed: Notify::new() }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes something for everybody.
    pub(super) fn change<T>(&self, change: impl FnOnce(&mut State) -> T) {
        let (result, ends) = {
            let mut state = self.lock();
            let result = change(&mut state);
            let ends = state.connections.values().flat_map(|c| &c.ends);
            let ends: Vec<_> = ends.map(|end| Arc::clone(&end.changed)).collect();
            for queue in state.ports.values_mut() {
                queue.waker.take().inspect(Waker::wake_by_ref);
            }
            (result, ends)
        };
        drop(result);
        self.changed.notify_waiters();
        for end in ends {
            end.notify_waiters();
        }
    }
}

impl Connection {
    /// Whether one of its ends is there.
    pub(super) fn concerns(&self, ip: IpAddr) -> bool {
        self.ends.iter().any(|end| end.addr.ip() == ip)
    }
}

impl State {
    /// Nobody listens, and every path is as usual.
    pub(super) fn new(seed: u64) -> Self {
        Self {
            random: fastrand::Rng::with_seed(seed),
            usual: Path::default(),
            paths: BTreeMap::new(),
            frozen: BTreeSet::new(),
            refusing: BTreeSet::new(),
            ports: BTreeMap::new(),
            connections: BTreeMap::new(),
            numbers: 0,
            last_port: 40_000,
        }
    }

    pub(super) fn path(&self, from: IpAddr, to: IpAddr) -> Path {
        // Nothing comes between a host and itself.
        let usual = if from == to {
            Path { latency: Duration::ZERO, ..Path::default() }
        } else {
            self.usual
        };
        self.paths.get(&(from, to)).copied().unwrap_or(usual)
    }

    pub(super) fn is_frozen(&self, ip: IpAddr) -> bool {
        self.frozen.contains(&ip)
    }

    pub(super) fn is_open(&self, addr: SocketAddr) -> bool {
        self.ports.contains_key(&addr) && !self.refusing.contains(&addr)
    }

    pub(super) fn free_port(&mut self) -> u16 {
        self.last_port = self.last_port.checked_add(1).unwrap_or(40_001);
        self.last_port
    }

    pub(super) fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    /// Makes a connection, if somebody listens there.
    pub(super) fn connect(&mut self, from: IpAddr, to: SocketAddr) -> Option<Made> {
        if !self.is_open(to) {
            return None;
        }
        let now = Instant::now();
        let near = SocketAddr::new(from, self.free_port());
        let end = |addr| End {
            addr,
            out: Pipe::new(now),
            changed: Arc::default(),
            closed: false,
            deaf: false,
            broken: None,
        };
        let connection = Connection { ends: [end(near), end(to)] };
        let changed = connection.ends.each_ref().map(|end| Arc::clone(&end.changed));
        let number = self.number();
        self.connections.insert(number, connection);
        Some(Made { number, near, changed })
    }

    /// Puts the far end of a connection that was just made where it waits to be accepted.
    pub(super) fn offer(&mut self, to: SocketAddr, end: Socket, near: SocketAddr) {
        let queue = self.ports.entry(to).or_default();
        queue.waiting.push_back((end, near));
        queue.waker.take().inspect(Waker::wake_by_ref);
    }

    /// The program at one end closes it: in order when it has read everything, with a reset when
    /// it has not.
    pub(super) fn close(&mut self, number: u64, side: usize) {
        let now = Instant::now();
        let Some(connection) = self.connections.get(&number) else { return };
        let path = self.path(connection.ends[side].addr.ip(), connection.ends[1 - side].addr.ip());
        let Some(connection) = self.connections.get_mut(&number) else { return };
        let unread = connection.ends[1 - side].out.has_unread();
        let [first, second] = &mut connection.ends;
        let (end, other) = if side == 0 { (first, second) } else { (second, first) };
        if !end.closed {
            end.closed = true;
            if unread && end.broken.is_none() {
                end.out.send_reset(now + path.latency);
            } else {
                end.out.finish(&path, now);
            }
        }
        other.changed.notify_waiters();
        end.changed.notify_waiters();
        if end.closed && other.closed {
            self.connections.remove(&number);
        }
    }

    /// What was held up on a path is sent again.
    pub(super) fn resend(&mut self, from: IpAddr, to: IpAddr) {
        let (path, back) = (self.path(from, to), self.path(to, from));
        let now = Instant::now();
        for (end, _) in self.directions(from, to) {
            end.out.resend(&path, now);
            if !back.held {
                end.out.unacknowledged = None;
            }
        }
        if !path.held {
            for (end, _) in self.directions(to, from) {
                if !back.held {
                    end.out.unacknowledged = None;
                }
            }
        }
    }

    /// From now on nothing arrives on a path: what is on its way there is not acknowledged.
    pub(super) fn hold(&mut self, from: IpAddr, to: IpAddr) {
        let now = Instant::now();
        for (end, _) in self.directions(from, to) {
            if end.out.has_unread() {
                end.out.unacknowledged.get_or_insert(now);
            }
        }
    }

    /// The ends that send from one address to another.
    fn directions(
        &mut self,
        from: IpAddr,
        to: IpAddr,
    ) -> impl Iterator<Item = (&mut End, SocketAddr)> {
        self.connections.values_mut().filter_map(move |connection| {
            let side = connection
                .ends
                .iter()
                .position(|end| end.addr.ip() == from)
                .filter(|side| connection.ends[1 - side].addr.ip() == to)?;
            let other = connection.ends[1 - side].addr;
            Some((&mut connection.ends[side], other))
        })
    }

    /// When an end breaks because nothing that it sent is acknowledged.
    pub(super) fn breaks_at(end: &End) -> Option<Instant> {
        end.out.unacknowledged.map(|since| since + defaults::TCP_USER_TIMEOUT)
    }
}
