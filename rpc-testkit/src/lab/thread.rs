//! A provider in a thread of its own, which can be stopped, killed and made to stand still.

use super::Build;
use rpc_core::SetupError;
use rpc_server::{Server, ServerStats};
use std::{
    net::SocketAddr,
    sync::mpsc::{Receiver, Sender, channel},
    thread::JoinHandle,
};
use tokio::{
    runtime::Builder,
    sync::{mpsc, oneshot},
};

/// A running provider. Dropped, it dies without a word.
#[derive(Debug)]
pub(super) struct ProviderThread {
    commands: mpsc::Sender<Command>,
    /// Held while it stands still.
    still: Option<Sender<()>>,
    _thread: JoinHandle<()>,
}

#[derive(Debug)]
enum Command {
    /// Stands still until the other half is dropped.
    Still(Receiver<()>),
    Stats(oneshot::Sender<ServerStats>),
    /// Leaves in order, and tells.
    Leave(oneshot::Sender<()>),
}

impl ProviderThread {
    /// Starts it and waits until it serves.
    pub(super) async fn start(
        build: Build,
        bind: SocketAddr,
        advertise: SocketAddr,
        registry: String,
    ) -> Result<Self, SetupError> {
        let (commands, received) = mpsc::channel(8);
        let (tell, started) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            let described =
                build(Server::builder().bind(bind).advertise(advertise).registry(registry));
            // One thread for all of it, so that one task can hold it all up.
            let runtime = match Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => runtime,
                Err(error) => {
                    let _ = tell.send(Err(SetupError::new(format!("no runtime: {error}"))));
                    return;
                }
            };
            runtime.block_on(async {
                match described.start().await {
                    Ok(server) => {
                        let _ = tell.send(Ok(()));
                        serve(server, received).await;
                    }
                    Err(error) => {
                        let _ = tell.send(Err(error));
                    }
                }
            });
            runtime.shutdown_background();
        });
        let gone = || Err(SetupError::new("its thread ended"));
        started.await.unwrap_or_else(|_| gone())?;
        Ok(Self { commands, still: None, _thread: thread })
    }

    /// Lets it stand still: no task of it runs.
    pub(super) async fn pause(&mut self) {
        let (still, resumed) = channel();
        if self.still.is_none() && self.commands.send(Command::Still(resumed)).await.is_ok() {
            self.still = Some(still);
        }
    }

    /// Ends [`pause`](Self::pause).
    pub(super) fn resume(&mut self) {
        self.still = None;
    }

    /// What it has counted; `None` when it has ended. Waits while it stands still.
    pub(super) async fn stats(&self) -> Option<ServerStats> {
        let (tell, told) = oneshot::channel();
        self.commands.send(Command::Stats(tell)).await.ok()?;
        told.await.ok()
    }

    /// Lets it leave in order; the receiver is told at its end.
    pub(super) async fn leave(&self) -> oneshot::Receiver<()> {
        let (tell, left) = oneshot::channel();
        let _ = self.commands.send(Command::Leave(tell)).await;
        left
    }
}

async fn serve(server: Server, mut commands: mpsc::Receiver<Command>) {
    while let Some(command) = commands.recv().await {
        match command {
            // Blocks the thread, which is what is meant; ends with an error when it is released.
            Command::Still(resumed) => {
                let _ = resumed.recv();
            }
            Command::Stats(tell) => {
                let _ = tell.send(server.stats());
            }
            Command::Leave(tell) => {
                tokio::select! {
                    () = server.shutdown() => {
                        let _ = tell.send(());
                    }
                    // Killed meanwhile.
                    _ = commands.recv() => {}
                }
                return;
            }
        }
    }
}
