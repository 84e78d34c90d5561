//! The network: addresses, the paths between them, and who listens where.

use super::{Path, SimHost, pipe::Pipe, socket::SimSocket};
use rpc_core::{defaults, transport::Socket};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    io,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::Waker,
};
use tokio::{sync::Notify, time::Instant};

/// A simulated network. Clones are the same network.
///
/// Only for runtimes whose clock is paused, or at least all of whose users share it.
#[derive(Debug, Clone)]
pub struct SimNet(Arc<Inner>);

#[derive(Debug)]
pub(super) struct Inner {
    state: Mutex<State>,
    /// A path, a port or a frozen host has changed.
    pub(super) changed: Notify,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) random: fastrand::Rng,
    usual: Path,
    paths: BTreeMap<(IpAddr, IpAddr), Path>,
    frozen: BTreeSet<IpAddr>,
    refusing: BTreeSet<SocketAddr>,
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

impl SimNet {
    /// A network whose every random choice follows from `seed`.
    pub fn new(seed: u64) -> Self {
        Self(Arc::new(Inner {
            state: Mutex::new(State {
                random: fastrand::Rng::with_seed(seed),
                usual: Path::default(),
                paths: BTreeMap::new(),
                frozen: BTreeSet::new(),
                refusing: BTreeSet::new(),
                ports: BTreeMap::new(),
                connections: BTreeMap::new(),
                numbers: 0,
                last_port: 40_000,
            }),
            changed: Notify::new(),
        }))
    }

    /// The host with this address: what is dialled or listened on through it comes from there.
    pub fn host(&self, ip: IpAddr) -> SimHost {
        SimHost::new(Arc::clone(&self.0), ip)
    }

    /// The paths that have no settings of their own.
    pub fn set_usual(&self, path: Path) {
        self.0.change(|state| state.usual = path);
    }

    /// The path from one address to another, as it is now.
    pub fn path(&self, from: IpAddr, to: IpAddr) -> Path {
        self.0.lock().path(from, to)
    }

    /// Changes the path from one address to another.
    pub fn set_path(&self, from: IpAddr, to: IpAddr, path: Path) {
        self.0.change(|state| {
            let held = state.path(from, to).held;
            state.paths.insert((from, to), path);
            if held && !path.held {
                state.resend(from, to);
            } else if path.held && !held {
                state.hold(from, to);
            }
        });
    }

    /// Refuses connections to `addr`, or no longer; those that are made go on.
    pub fn refuse(&self, addr: SocketAddr, refuse: bool) {
        self.0.change(|state| {
            if refuse {
                state.refusing.insert(addr)
            } else {
                state.refusing.remove(&addr)
            };
        });
    }

    /// Resets every connection to or from `ip`, on both sides. Bytes that were on their way, or
    /// not read yet, are lost or not, at random.
    pub fn reset(&self, ip: IpAddr) {
        self.0.change(|state| {
            let State { connections, random, .. } = state;
            for connection in connections.values_mut().filter(|c| c.concerns(ip)) {
                for end in &mut connection.ends {
                    end.broken = Some(io::ErrorKind::ConnectionReset);
                }
                for end in &mut connection.ends {
                    if random.bool() {
                        end.out.discard();
                    }
                }
            }
        });
    }

    /// Stops the host as SIGSTOP stops a process: the other side still connects and sends, as far
    /// as buffers go, and nothing is accepted, read or written here until this ends.
    pub fn freeze(&self, ip: IpAddr, freeze: bool) {
        self.0.change(|state| {
            if freeze {
                state.frozen.insert(ip)
            } else {
                state.frozen.remove(&ip)
            };
        });
    }

    /// Ends everything on the host as the death of its process does: ports and connections are
    /// closed, with a reset where input was not read. A program that goes on there finds all of
    /// them broken; it can listen anew.
    pub fn kill(&self, ip: IpAddr) {
        self.0.change(|state| {
            state.frozen.remove(&ip);
            let ports: Vec<_> = state.ports.keys().filter(|p| p.ip() == ip).copied().collect();
            // Dropping what waits in them takes the lock.
            let queues: Vec<_> = ports.iter().filter_map(|p| state.ports.remove(p)).collect();
            let numbers: Vec<_> = state.connections.keys().copied().collect();
            for number in numbers {
                for side in 0..2 {
                    if state.connections.get(&number).is_some_and(|c| c.ends[side].addr.ip() == ip)
                    {
                        state.close(number, side);
                    }
                }
            }
            queues
        });
    }
}

impl Connection {
    fn concerns(&self, ip: IpAddr) -> bool {
        self.ends.iter().any(|end| end.addr.ip() == ip)
    }
}

impl Inner {
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes something for everybody.
    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) {
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

impl State {
    pub(super) fn path(&self, from: IpAddr, to: IpAddr) -> Path {
        // Nothing comes between a host and itself.
        let usual = if from == to {
            Path { latency: std::time::Duration::ZERO, ..Path::default() }
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

    /// Connects: the dialler's end; the other waits to be accepted.
    pub(super) fn connect(
        &mut self,
        net: &Arc<Inner>,
        from: IpAddr,
        to: SocketAddr,
    ) -> Option<Socket> {
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
        let number = self.number();
        let socket = |side: usize| {
            let changed = Arc::clone(&connection.ends[side].changed);
            Socket::other(SimSocket::new(Arc::clone(net), number, side, changed))
        };
        let (ours, theirs) = (socket(0), socket(1));
        self.connections.insert(number, connection);
        let queue = self.ports.get_mut(&to)?;
        queue.waiting.push_back((theirs, near));
        queue.waker.take().inspect(Waker::wake_by_ref);
        Some(ours)
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
    fn resend(&mut self, from: IpAddr, to: IpAddr) {
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
    fn hold(&mut self, from: IpAddr, to: IpAddr) {
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
