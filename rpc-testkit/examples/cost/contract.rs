//! What is called.

use rpc_core::{rpc_client, rpc_service};
use serde::{Deserialize, Serialize};
use std::future::pending;

/// 32 bytes and what goes with them, as in the benchmark against other frameworks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Echo {
    id: u64,
    flag: bool,
    #[serde(with = "serde_bytes")]
    payload: Vec<u8>,
}

impl Echo {
    pub(crate) fn new() -> Self {
        Self { id: 4_711, flag: true, payload: (0..32).collect() }
    }
}

#[rpc_client]
pub(crate) trait Cost {
    async fn echo(&self, message: Echo) -> rpc_core::Result<Echo>;
    async fn add(&self, left: u64, right: u64) -> rpc_core::Result<u64>;
    /// Never answers.
    async fn hold(&self) -> rpc_core::Result<()>;
}

#[derive(Default)]
pub(crate) struct Adding;

#[rpc_service]
impl Cost for Adding {
    async fn echo(&self, message: Echo) -> rpc_core::Result<Echo> {
        Ok(message)
    }

    async fn add(&self, left: u64, right: u64) -> rpc_core::Result<u64> {
        Ok(left.wrapping_add(right))
    }

    async fn hold(&self) -> rpc_core::Result<()> {
        pending().await
    }
}
