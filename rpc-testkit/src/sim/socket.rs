//! One end of a simulated connection.

use super::state::{End, Inner, State};
use rpc_core::{BoxFuture, transport::Stream};
use std::{
    io::{self, ErrorKind},
    net::Shutdown,
    pin::pin,
    sync::Arc,
};
use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};

/// Reads and writes that are cut short though there is more, to try what follows: one in so many.
const SHORT: u32 = 16;

/// One end of a connection; closed when dropped.
#[derive(Debug)]
pub(super) struct SimSocket {
    net: Arc<Inner>,
    number: u64,
    side: usize,
    changed: Arc<Notify>,
}

/// What an end waits for.
#[derive(Debug, Clone, Copy)]
enum Want {
    Read,
    Write,
}

/// Whether it is there.
enum Look {
    Ready,
    /// Not before this, unless something changes.
    At(Option<Instant>),
}

impl SimSocket {
    pub(super) fn new(net: Arc<Inner>, number: u64, side: usize, changed: Arc<Notify>) -> Self {
        Self { net, number, side, changed }
    }

    async fn ready(&self, want: Want) -> io::Result<()> {
        loop {
            let mut changed = pin!(self.changed.notified());
            // Registered before the look, so that no change is missed.
            changed.as_mut().enable();
            let look = self.net.lock().look(self.number, self.side, want);
            match look {
                Look::Ready => return Ok(()),
                Look::At(None) => changed.await,
                Look::At(Some(at)) => tokio::select! {
                    biased;
                    () = changed => {}
                    () = sleep_until(at) => {}
                },
            }
        }
    }
}

impl Stream for SimSocket {
    fn readable(&self) -> BoxFuture<'_, io::Result<()>> {
        Box::pin(self.ready(Want::Read))
    }

    fn writable(&self) -> BoxFuture<'_, io::Result<()>> {
        Box::pin(self.ready(Want::Write))
    }

    fn try_read(&self, room: &mut [u8]) -> io::Result<usize> {
        self.net.lock().read(self.number, self.side, room)
    }

    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.net.lock().write(self.number, self.side, bytes)
    }

    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.net.lock().shutdown(self.number, self.side, how)
    }
}

impl Drop for SimSocket {
    fn drop(&mut self) {
        self.net.lock().close(self.number, self.side);
    }
}

impl State {
    /// Brings both directions of a connection up to date; `None` when it is over for this end.
    fn update(&mut self, number: u64, side: usize) -> Option<()> {
        let now = Instant::now();
        let ips = {
            let connection = self.connections.get(&number)?;
            [connection.ends[0].addr.ip(), connection.ends[1].addr.ip()]
        };
        let paths = [self.path(ips[0], ips[1]), self.path(ips[1], ips[0])];
        let connection = self.connections.get_mut(&number)?;
        for (from, path) in paths.iter().enumerate() {
            let [first, second] = &mut connection.ends;
            let (end, other) = if from == 0 { (first, second) } else { (second, first) };
            if end.out.settle(path, now) {
                other.changed.notify_waiters();
            }
            if end.out.reset && other.broken.is_none() {
                other.broken = Some(ErrorKind::ConnectionReset);
                other.changed.notify_waiters();
            }
            if Self::breaks_at(end).is_some_and(|at| at <= now) && end.broken.is_none() {
                end.broken = Some(ErrorKind::TimedOut);
            }
        }
        (!connection.ends[side].closed).then_some(())
    }

    fn look(&mut self, number: u64, side: usize, want: Want) -> Look {
        if self.update(number, side).is_none() {
            return Look::Ready;
        }
        let connection = &self.connections[&number];
        let (end, other) = (&connection.ends[side], &connection.ends[1 - side]);
        let (here, there) = (end.addr.ip(), other.addr.ip());
        if self.is_frozen(here) {
            return Look::At(None);
        }
        let ready = end.broken.is_some()
            || match want {
                Want::Read => other.out.has_bytes() || other.out.at_end || end.deaf,
                Want::Write => end.out.finished || end.out.room(&self.path(here, there)) > 0,
            };
        if ready {
            return Look::Ready;
        }
        let arrives = other.out.next(&self.path(there, here));
        Look::At([arrives, Self::breaks_at(end)].into_iter().flatten().min())
    }

    fn read(&mut self, number: u64, side: usize, room: &mut [u8]) -> io::Result<usize> {
        self.update(number, side).ok_or(ErrorKind::ConnectionReset)?;
        let cut = self.cut(room.len());
        let frozen = self.is_frozen(self.connections[&number].ends[side].addr.ip());
        let connection = self.connections.get_mut(&number).ok_or(ErrorKind::ConnectionReset)?;
        let [first, second] = &mut connection.ends;
        let (end, other) = if side == 0 { (first, second) } else { (second, first) };
        if frozen || room.is_empty() {
            return Err(ErrorKind::WouldBlock.into());
        }
        let count = other.out.read(&mut room[..cut]);
        if count > 0 {
            other.changed.notify_waiters();
            return Ok(count);
        }
        match end.broken {
            Some(kind) => Err(kind.into()),
            None if other.out.at_end || end.deaf => Ok(0),
            None => Err(ErrorKind::WouldBlock.into()),
        }
    }

    fn write(&mut self, number: u64, side: usize, bytes: &[u8]) -> io::Result<usize> {
        self.update(number, side).ok_or(ErrorKind::ConnectionReset)?;
        let now = Instant::now();
        let (random, cut) = (self.random.f64(), self.cut(bytes.len()));
        let (here, there) = {
            let ends = &self.connections[&number].ends;
            (ends[side].addr.ip(), ends[1 - side].addr.ip())
        };
        let (frozen, path, back) =
            (self.is_frozen(here), self.path(here, there), self.path(there, here));
        let connection = self.connections.get_mut(&number).ok_or(ErrorKind::ConnectionReset)?;
        let [first, second] = &mut connection.ends;
        let (end, other) = if side == 0 { (first, second) } else { (second, first) };
        if let Some(kind) = end.broken {
            return Err(kind.into());
        }
        if end.out.finished {
            return Err(ErrorKind::BrokenPipe.into());
        }
        let count = cut.min(end.out.room(&path));
        if frozen || count == 0 {
            return Err(ErrorKind::WouldBlock.into());
        }
        let arrives = end.out.send(&bytes[..count], &path, random, now);
        if path.held || back.held {
            end.out.unacknowledged.get_or_insert(now);
        }
        if other.closed {
            // Nobody is there any more to read it.
            other.out.send_reset(arrives + back.latency);
        }
        other.changed.notify_waiters();
        end.changed.notify_waiters();
        Ok(count)
    }

    fn shutdown(&mut self, number: u64, side: usize, how: Shutdown) -> io::Result<()> {
        self.update(number, side).ok_or(ErrorKind::NotConnected)?;
        let connection = &self.connections[&number];
        let (here, there) = (connection.ends[side].addr.ip(), connection.ends[1 - side].addr.ip());
        let path = self.path(here, there);
        let connection = self.connections.get_mut(&number).ok_or(ErrorKind::NotConnected)?;
        let [first, second] = &mut connection.ends;
        let (end, other): (&mut End, &mut End) =
            if side == 0 { (first, second) } else { (second, first) };
        if end.broken.is_some() {
            return Err(ErrorKind::NotConnected.into());
        }
        if matches!(how, Shutdown::Write | Shutdown::Both) {
            end.out.finish(&path, Instant::now());
        }
        if matches!(how, Shutdown::Read | Shutdown::Both) {
            end.deaf = true;
        }
        other.changed.notify_waiters();
        end.changed.notify_waiters();
        Ok(())
    }

    /// How many of so many bytes a read or a write takes at once: all of them, as a rule.
    fn cut(&mut self, length: usize) -> usize {
        if length > 1 && self.random.u32(..SHORT) == 0 {
            self.random.usize(1..length.min(100))
        } else {
            length
        }
    }
}
