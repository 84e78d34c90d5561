//! The network as a test holds it: what can be done to paths, ports and hosts.

use super::{
    Path, SimHost,
    state::{Inner, State},
};
use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

/// A simulated network. Clones are the same network.
///
/// Only for runtimes whose clock is paused, or at least all of whose users share it.
#[derive(Debug, Clone)]
pub struct SimNet(Arc<Inner>);

impl SimNet {
    /// A network whose every random choice follows from `seed`.
    pub fn new(seed: u64) -> Self {
        Self(Arc::new(Inner::new(seed)))
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
