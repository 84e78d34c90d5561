//! Addresses in ZooKeeper that are not what the registry says, and nodes that are deleted by hand.

use crate::{
    Result,
    fault::Lie,
    provider::{LEDGER, LEVERS},
};
use rpc_core::wire::{Kind, Limits};
use rpc_testkit::{peer::PeerListener, process::Process};
use std::{net::SocketAddr, path::PathBuf, time::Duration};
use tokio::{io::AsyncWriteExt, net::TcpListener, task::JoinSet, time::timeout};
use zookeeper_client as zk;

const DIRECTORY: &str = "/rpc/scoreboard.Ledger";
const PERSISTENT: zk::CreateOptions<'static> =
    zk::CreateMode::Persistent.with_acls(zk::Acls::anyone_all());
/// While ZooKeeper is away nothing can be listed or deleted; that is left out then.
const PATIENCE: Duration = Duration::from_secs(1);

/// Whoever writes into the registry by hand, and the peers that its lies lead to.
pub(crate) struct Liar {
    hosts: String,
    journal: PathBuf,
    listeners: JoinSet<()>,
    processes: Vec<Process>,
}

impl Liar {
    pub(crate) fn new(hosts: String, journal: PathBuf) -> Self {
        Self { hosts, journal, listeners: JoinSet::new(), processes: Vec::new() }
    }

    /// Deletes all nodes of the service.
    pub(crate) async fn delete_nodes(&self) -> Result<()> {
        let deleted = async {
            let admin = zk::Client::connector().connect(&self.hosts).await?;
            for name in admin.list_children(DIRECTORY).await? {
                match admin.delete(&format!("{DIRECTORY}/{name}"), None).await {
                    Ok(()) | Err(zk::Error::NoNode) => {}
                    Err(error) => return Err(error),
                }
            }
            Ok(())
        };
        ignore_absence(timeout(PATIENCE, deleted).await)
    }

    /// Lists an address that is what `lie` says; returns it.
    pub(crate) async fn list(&mut self, lie: Lie) -> Result<Option<SocketAddr>> {
        let addr = match lie {
            Lie::Dead => TcpListener::bind("127.0.0.1:0").await?.local_addr()?,
            Lie::Foreign => self.foreign().await?,
            Lie::Mute => self.mute().await?,
            Lie::Deaf => self.greeter(false).await?,
            Lie::Stuck => self.greeter(true).await?,
            Lie::OtherService => self.provider(LEVERS).await?,
            Lie::OtherInstance => self.provider(LEDGER).await?,
        };
        let data = br#"{"instance":"00000000deadbeef","protocol":1,"weight":100}"#;
        let created = async {
            let admin = zk::Client::connector().connect(&self.hosts).await?;
            admin.create(&format!("{DIRECTORY}/{addr}"), data, &PERSISTENT).await?;
            Ok(())
        };
        ignore_absence(timeout(PATIENCE, created).await)?;
        Ok(Some(addr))
    }

    async fn foreign(&mut self) -> Result<SocketAddr> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let addr = listener.local_addr()?;
        self.listeners.spawn(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                let _ = socket.write_all(b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n").await;
            }
        });
        Ok(addr)
    }

    async fn mute(&mut self) -> Result<SocketAddr> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let addr = listener.local_addr()?;
        self.listeners.spawn(async move {
            let mut kept = Vec::new();
            while let Ok((socket, _)) = listener.accept().await {
                kept.push(socket);
            }
        });
        Ok(addr)
    }

    /// It greets, and never answers a call; pings only if told to.
    async fn greeter(&mut self, pongs: bool) -> Result<SocketAddr> {
        let listener = PeerListener::bind().await?;
        let addr = listener.addr();
        self.listeners.spawn(async move {
            let mut peers = JoinSet::new();
            loop {
                let Ok(mut peer) = listener.greet(Limits::default()).await else { continue };
                peers.spawn(async move {
                    if pongs {
                        // It answers pings until what it expects has come.
                        let _ = peer.expect(Kind::Left).await;
                    } else {
                        let _ = tokio::io::copy(peer.stream(), &mut tokio::io::sink()).await;
                    }
                });
            }
        });
        Ok(addr)
    }

    /// A provider process that is registered elsewhere.
    async fn provider(&mut self, services: &str) -> Result<SocketAddr> {
        let number = self.processes.len();
        let log = self.journal.join(format!("other-{number}.log"));
        let journal = self.journal.display().to_string();
        let registry = format!("zookeeper://{}/elsewhere", self.hosts);
        let words = [&*journal, "127.0.0.1:0", &registry, "0", services];
        let mut process = Process::start_program(&words, log)?;
        let said = timeout(Duration::from_secs(20), process.hear()).await??;
        self.processes.push(process);
        Ok(said.parse()?)
    }
}

fn ignore_absence(
    done: std::result::Result<std::result::Result<(), zk::Error>, tokio::time::error::Elapsed>,
) -> Result<()> {
    use zk::Error::{ConnectionLoss, NoHosts, NoNode, SessionExpired, Timeout};
    match done {
        Ok(Err(ConnectionLoss | NoHosts | NoNode | SessionExpired | Timeout)) | Err(_) => Ok(()),
        Ok(done) => Ok(done?),
    }
}
