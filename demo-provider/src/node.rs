//! What is one per process: who the provider is, and its journal of the calls that it runs.

use crate::settings::Settings;
use demo_api::Stamp;
use rpc_core::{RpcError, SetupError};
use std::{
    fs::{File, OpenOptions},
    io::Write,
    net::SocketAddr,
    sync::OnceLock,
    time::Duration,
};

/// The provider that this process is.
#[derive(Debug, Default)]
pub(crate) struct Node {
    name: Option<String>,
    /// Known once the server has started.
    address: OnceLock<SocketAddr>,
    /// Where the keys of calls are noted.
    journal: Option<File>,
    /// How long each call takes.
    delay: Duration,
}

static NODE: OnceLock<Node> = OnceLock::new();

impl Node {
    /// Makes the node of this process, as `settings` describe it.
    ///
    /// # Errors
    ///
    /// The journal cannot be opened.
    pub(crate) fn install(settings: &Settings) -> Result<&'static Self, SetupError> {
        let journal = settings.executions.as_ref().map(|path| {
            // Appended to, so that nothing is lost when the process is killed and started again.
            OpenOptions::new()
                .create(true)
                .append(true)
                .open(path)
                .map_err(|e| SetupError::new(format!("--executions {}: {e}", path.display())))
        });
        let node = Self {
            name: settings.name.clone(),
            address: OnceLock::new(),
            journal: journal.transpose()?,
            delay: Duration::from_millis(settings.delay),
        };
        Ok(NODE.get_or_init(|| node))
    }

    fn current() -> &'static Self {
        NODE.get_or_init(Self::default)
    }

    pub(crate) fn serves_at(&self, address: SocketAddr) {
        self.address.get_or_init(|| address);
    }

    pub(crate) fn name(&self) -> &str {
        self.name.as_deref().unwrap_or("without a name")
    }

    fn stamp(&self) -> Stamp {
        // A call may arrive before the server's start has returned.
        let address = self.address.get().map(ToString::to_string);
        let address = address.as_deref().unwrap_or("starting");
        match &self.name {
            Some(name) => Stamp::of_current_call(format!("{address} ({name})")),
            None => Stamp::of_current_call(address),
        }
    }

    fn note(&self, key: &str) -> Result<(), RpcError> {
        let Some(mut journal) = self.journal.as_ref() else { return Ok(()) };
        // One write each, so that a line is there as a whole or not at all. It blocks the thread,
        // as short as it is: the line has to be in the file before the call is answered.
        journal
            .write_all(format!("{key}\n").as_bytes())
            .map_err(|e| RpcError::internal(format!("the journal cannot be written: {e}")))
    }
}

/// What each handler does first: notes the key, takes its time, and stamps the call.
///
/// # Errors
///
/// The key cannot be noted. Nothing has been done then.
pub(crate) async fn begin(key: &str) -> Result<Stamp, RpcError> {
    let node = Node::current();
    let stamp = node.stamp();
    node.note(key)?;
    if !node.delay.is_zero() {
        tokio::time::sleep(node.delay).await;
    }
    Ok(stamp)
}
