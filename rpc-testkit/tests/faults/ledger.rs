//! The contract of the fault tests and its handler, which writes down what it runs.

use rpc_core::{CallContext, RpcError, rpc_client, rpc_service};
use rpc_testkit::journal::Pen;
use std::{path::Path, time::Duration};

/// A service whose every execution can be counted.
#[rpc_client(name = "faults.Ledger")]
pub(crate) trait Ledger {
    /// Writes `key` down, takes `hold` ms, gives the key back.
    #[rpc(idempotent)]
    async fn look(&self, key: String, hold: u32) -> rpc_core::Result<String>;
    /// The same, and it must not run twice.
    async fn book(&self, key: String, hold: u32) -> rpc_core::Result<String>;
    /// Panics.
    async fn stumble(&self) -> rpc_core::Result<()>;
    /// The process that serves the call.
    #[rpc(idempotent)]
    async fn who(&self) -> rpc_core::Result<u32>;
    /// As many bytes as asked for.
    #[rpc(idempotent)]
    async fn fill(&self, length: u32) -> rpc_core::Result<Vec<u8>>;
    /// How many bytes came.
    #[rpc(idempotent)]
    async fn weigh(&self, data: Vec<u8>) -> rpc_core::Result<u64>;
    /// What is left of the time for the call, in ms.
    async fn remaining(&self) -> rpc_core::Result<u64>;
}

/// What a handler says when it panics.
pub(crate) const STUMBLED: &str = "a bug in a handler";

/// Serves it.
pub(crate) struct Clerk {
    pen: Pen,
}

impl Clerk {
    pub(crate) fn new(journal: &Path) -> Self {
        Self { pen: Pen::open(journal).unwrap() }
    }

    async fn run(&self, key: String, hold: u32) -> Result<String, RpcError> {
        self.pen.note(&key);
        if hold > 0 {
            tokio::time::sleep(Duration::from_millis(hold.into())).await;
        }
        Ok(key)
    }
}

#[rpc_service]
impl Ledger for Clerk {
    async fn look(&self, key: String, hold: u32) -> rpc_core::Result<String> {
        self.run(key, hold).await
    }

    async fn book(&self, key: String, hold: u32) -> rpc_core::Result<String> {
        self.run(key, hold).await
    }

    async fn stumble(&self) -> rpc_core::Result<()> {
        panic!("{STUMBLED}")
    }

    async fn who(&self) -> rpc_core::Result<u32> {
        Ok(std::process::id())
    }

    async fn fill(&self, length: u32) -> rpc_core::Result<Vec<u8>> {
        Ok(vec![7; length as usize])
    }

    async fn weigh(&self, data: Vec<u8>) -> rpc_core::Result<u64> {
        Ok(data.len() as u64)
    }

    async fn remaining(&self) -> rpc_core::Result<u64> {
        let remaining = CallContext::current().remaining().unwrap_or_default();
        Ok(u64::try_from(remaining.as_millis()).unwrap())
    }
}
