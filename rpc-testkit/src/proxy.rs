//! A TCP proxy that can reset, hold up, slow down or refuse what goes through it.

use socket2::SockRef;
use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    task::{JoinHandle, JoinSet},
    time::sleep,
};

/// A proxy on loopback to one target. It ends when it is dropped, with all its connections.
#[derive(Debug)]
pub struct ChaosProxy {
    addr: SocketAddr,
    faults: watch::Sender<Faults>,
    listening: watch::Receiver<bool>,
    carried: Arc<Carried>,
    task: JoinHandle<()>,
}

/// Bytes that went on, by direction.
type Carried = [AtomicU64; 2];

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Faults {
    /// How many times all connections have been reset.
    resets: u64,
    /// Requests and replies that are held up.
    held: [bool; 2],
    latency: Duration,
    bandwidth: Option<u64>,
    refuse: bool,
}

impl ChaosProxy {
    /// Starts a proxy to `target`.
    ///
    /// # Errors
    ///
    /// If no port can be listened on.
    pub async fn start(target: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let addr = listener.local_addr()?;
        let (faults, seen) = watch::channel(Faults::default());
        let (listens, listening) = watch::channel(true);
        let carried = Arc::<Carried>::default();
        let counts = Arc::clone(&carried);
        let task = tokio::spawn(serve(listener, addr, target, seen, listens, counts));
        Ok(Self { addr, faults, listening, carried, task })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// How many bytes have gone through since it started: to the target, and from it.
    pub fn carried(&self) -> [u64; 2] {
        [0, 1].map(|direction| self.carried[direction].load(Ordering::Relaxed))
    }

    /// Resets all connections, on both sides.
    pub fn reset_all(&self) {
        self.faults.send_modify(|faults| faults.resets += 1);
    }

    /// Holds up all bytes in both directions, and those of new connections. What was held up goes
    /// on when it ends, as after lost packets.
    pub fn set_blackhole(&self, blackhole: bool) {
        self.faults.send_modify(|faults| faults.held = [blackhole; 2]);
    }

    /// Holds up what comes from the target, or no longer. What goes to it passes.
    pub fn hold_replies(&self, hold: bool) {
        self.faults.send_modify(|faults| faults.held[1] = hold);
    }

    /// Delays bytes this long each way; those that come while others wait, up to twice as long.
    pub fn set_latency(&self, latency: Duration) {
        self.faults.send_modify(|faults| faults.latency = latency);
    }

    /// Lets so many bytes a second pass each way, on each connection.
    pub fn set_bandwidth(&self, bandwidth: Option<u64>) {
        self.faults.send_modify(|faults| faults.bandwidth = bandwidth);
    }

    /// Refuses new connections, or listens again on the same port. Returns when that holds.
    pub async fn refuse(&self, refuse: bool) {
        self.faults.send_modify(|faults| faults.refuse = refuse);
        let mut listening = self.listening.clone();
        let _ = listening.wait_for(|listening| *listening != refuse).await;
    }

    /// Ends everything that was set. Returns when it listens.
    pub async fn heal(&self) {
        self.faults
            .send_modify(|faults| *faults = Faults { resets: faults.resets, ..Faults::default() });
        self.refuse(false).await;
    }
}

impl Drop for ChaosProxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(
    listener: TcpListener,
    addr: SocketAddr,
    target: SocketAddr,
    mut faults: watch::Receiver<Faults>,
    listens: watch::Sender<bool>,
    carried: Arc<Carried>,
) {
    let mut connections = JoinSet::new();
    let mut listener = Some(listener);
    loop {
        if faults.borrow_and_update().refuse {
            listener = None;
        } else if listener.is_none() {
            match TcpListener::bind(addr).await {
                Ok(bound) => listener = Some(bound),
                Err(_) => sleep(Duration::from_millis(10)).await,
            }
        }
        listens.send_replace(listener.is_some());
        tokio::select! {
            accepted = accept(listener.as_ref()) => if let Ok((client, _)) = accepted {
                connections.spawn(forward(client, target, faults.clone(), Arc::clone(&carried)));
            },
            Some(_) = connections.join_next() => {}
            changed = faults.changed() => if changed.is_err() {
                return;
            },
        }
    }
}

async fn accept(listener: Option<&TcpListener>) -> io::Result<(TcpStream, SocketAddr)> {
    match listener {
        Some(listener) => listener.accept().await,
        None => std::future::pending().await,
    }
}

/// Carries one connection until an end closes it or it is reset.
async fn forward(
    client: TcpStream,
    target: SocketAddr,
    mut faults: watch::Receiver<Faults>,
    carried: Arc<Carried>,
) {
    let resets = faults.borrow().resets;
    let mut held = faults.clone();
    if held.wait_for(|faults| !faults.held[0]).await.is_err() {
        return;
    }
    let Ok(server) = TcpStream::connect(target).await else { return reset(&client) };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let (client_read, client_write) = client.into_split();
    let (server_read, server_write) = server.into_split();
    let pump = |direction, from, to| {
        let (faults, carried) = (faults.clone(), Arc::clone(&carried));
        Pump { direction, from, to, faults, carried }
    };
    let mut requests = pump(0, client_read, server_write);
    let mut replies = pump(1, server_read, client_write);
    let both = async { tokio::join!(requests.run(), replies.run()) };
    let cut = tokio::select! {
        _ = both => false,
        cut = faults.wait_for(|faults| faults.resets > resets) => cut.is_ok(),
    };
    if cut {
        reset(requests.from.as_ref());
        reset(replies.from.as_ref());
    }
}

/// Makes the close of a connection a reset.
fn reset(stream: &TcpStream) {
    let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
}

/// One direction of a connection.
struct Pump {
    direction: usize,
    from: OwnedReadHalf,
    to: OwnedWriteHalf,
    faults: watch::Receiver<Faults>,
    carried: Arc<Carried>,
}

impl Pump {
    async fn run(&mut self) -> io::Result<()> {
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let count = self.from.read(&mut buffer).await?;
            let pause = self.pause(count);
            if !pause.is_zero() {
                sleep(pause).await;
            }
            let direction = self.direction;
            let open = self.faults.wait_for(|faults| !faults.held[direction]).await.is_ok();
            if count == 0 || !open {
                return self.to.shutdown().await;
            }
            self.to.write_all(&buffer[..count]).await?;
            self.carried[direction].fetch_add(count as u64, Ordering::Relaxed);
        }
    }

    /// How long so many bytes are on their way.
    fn pause(&self, bytes: usize) -> Duration {
        let Faults { latency, bandwidth, .. } = *self.faults.borrow();
        let transfer = bandwidth.map_or(Duration::ZERO, |rate| {
            Duration::from_micros(bytes as u64 * 1_000_000 / rate.max(1))
        });
        latency + transfer
    }
}
