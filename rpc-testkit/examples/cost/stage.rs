//! A client and a server in one process and on one thread.

use crate::{
    Failure,
    contract::{Adding, Cost, CostClient, Echo},
    services::{follow_all, served},
};
use rpc_client::Client;
use rpc_core::CallOptions;
use rpc_server::Server;
use std::{
    fmt::Write as _,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    sync::Arc,
    time::Duration,
};
use tokio::{
    runtime::{Builder, Runtime},
    task::JoinSet,
    time::sleep,
};

/// Beyond any number of calls outstanding that is measured.
const CALLS: u32 = 200_000;

/// What there is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scene {
    /// Addresses that are listed; one server listens on all of them.
    pub(crate) endpoints: u32,
    /// A thousand services more, which the server has and the client follows.
    pub(crate) services: bool,
    /// Calls that are never answered.
    pub(crate) held: u32,
}

impl Scene {
    pub(crate) const PLAIN: Self = Self { endpoints: 1, services: false, held: 0 };
}

pub(crate) struct Stage {
    pub(crate) client: Client,
    proxy: CostClient,
    _server: Server,
    held: JoinSet<()>,
}

/// A runtime of one thread. With a clock that stands still nothing depends on how fast the machine
/// is: then it runs the same instructions each time.
pub(crate) fn runtime(still: bool) -> Result<Runtime, Failure> {
    Ok(Builder::new_current_thread().enable_all().start_paused(still).build()?)
}

/// So many addresses of this machine.
pub(crate) fn addresses(count: u32, port: u16) -> impl Iterator<Item = SocketAddr> {
    (0..count).map(move |n| SocketAddr::from((Ipv4Addr::from(0x7f01_0001 + n), port)))
}

/// A server that listens on every address of this machine, and its port.
pub(crate) async fn serve(thousand: bool) -> Result<(Server, u16), Failure> {
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let mut server = Server::builder()
        .collected(false)
        .service(Adding)
        .bind(format!("0.0.0.0:{port}"))
        .advertise(format!("127.0.0.1:{port}"))
        // Clients are given their addresses; this one is not used.
        .registry("static://127.0.0.1:1")
        .max_in_flight_per_connection(CALLS)
        .max_in_flight(CALLS);
    for other in served().filter(|_| thousand) {
        server = server.bound_service(Arc::new(other));
    }
    Ok((server.start().await?, port))
}

/// A client that knows so many addresses, the same ones for every service.
pub(crate) async fn connect(endpoints: u32, port: u16) -> Result<Client, Failure> {
    let mut url = "static://".to_owned();
    for addr in addresses(endpoints, port) {
        write!(url, "{addr},")?;
    }
    let url = url.trim_end_matches(',');
    Ok(Client::builder().registry(url).max_in_flight(CALLS).build().await?)
}

impl Stage {
    pub(crate) async fn set(scene: Scene) -> Result<Self, Failure> {
        let (server, port) = serve(scene.services).await?;
        let client = connect(scene.endpoints, port).await?;
        if scene.services {
            follow_all(&client);
        }
        let proxy: CostClient = client.get();
        let mut stage = Self { client, proxy, _server: server, held: JoinSet::new() };
        stage.hold(scene.held, Duration::from_hours(1));
        // The endpoints that are dialled ahead greet, the memory that is used again is made, and
        // the methods earn the short way.
        stage.calls(2000, 64).await?;
        Ok(stage)
    }

    /// Makes so many calls more that are never answered.
    pub(crate) fn hold(&mut self, calls: u32, timeout: Duration) {
        let proxy = self.proxy.with_options(CallOptions::new().timeout(timeout));
        for _ in 0..calls {
            let proxy = proxy.clone();
            self.held.spawn(async move {
                let _ = proxy.hold().await;
            });
        }
    }

    /// Waits until so many calls are on their way.
    pub(crate) async fn until_held(&self, calls: u32) {
        while self.client.stats().in_flight < calls {
            sleep(Duration::from_millis(1)).await;
        }
    }

    /// Echoes so often, as many at a time as are told.
    pub(crate) async fn calls(&self, calls: usize, outstanding: usize) -> Result<(), Failure> {
        let mut tasks = JoinSet::new();
        for task in 0..outstanding {
            let proxy = self.proxy.clone();
            // As many as are told in all.
            let share = calls / outstanding + usize::from(task < calls % outstanding);
            tasks.spawn(async move {
                let message = Echo::new();
                for _ in 0..share {
                    let answer = proxy.echo(message.clone()).await?;
                    debug_assert_eq!(answer, message);
                }
                Ok::<_, rpc_core::RpcError>(())
            });
        }
        while let Some(ended) = tasks.join_next().await {
            ended??;
        }
        Ok(())
    }
}
