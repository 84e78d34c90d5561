//! Every form of argument, silent under every lint that a user can set.
#![deny(warnings, missing_docs, future_incompatible, rust_2018_idioms, rust_2024_compatibility)]
#![forbid(unsafe_code)]

use rpc_core::{rpc_client, rpc_service};
use std::{borrow::Cow, collections::HashMap};

/// What a call can find.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub struct Found {
    /// How many.
    pub n: u32,
}

/// An error of the user's own.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
pub struct Odd;

impl From<rpc_core::RpcError> for Odd {
    fn from(_: rpc_core::RpcError) -> Self {
        Self
    }
}

/// Finds things.
#[rpc_client(version = "1.0", timeout = "1s")]
pub trait Finder {
    /// Finds one.
    #[rpc(idempotent, timeout = "200ms", hash_key = r#type)]
    async fn find(&self, name: &str, data: &[u8], r#type: Option<&str>) -> rpc_core::Result<Found>;

    /// Finds many.
    #[rpc(hash_key = found)]
    async fn many(
        &self,
        names: Vec<&str>,
        by: &HashMap<&str, u64>,
        how: Cow<'_, str>,
        tuple: (u8, &str),
        found: &Found,
        all: &[Found],
    ) -> rpc_core::Result<Vec<Found>>;

    /// Does nothing.
    async fn nothing(&self) -> rpc_core::Result<()> {
        Ok(())
    }

    /// Diverges.
    async fn never(&self) -> rpc_core::Result<()> {
        panic!("not for now")
    }

    /// Returns early, and converts what it gets.
    async fn early(&self, text: &str) -> Result<u32, Odd> {
        if text.is_empty() {
            return Err(Odd);
        }
        self.nothing().await?;
        Ok(text.parse().unwrap_or_default())
    }

    /// Returns and nothing else.
    async fn straight(&self) -> rpc_core::Result<u8> {
        return self.nothing().await.map(|()| 1);
    }

    /// Takes what it does not use.
    async fn unused(&self, _text: String) -> rpc_core::Result<()> {
        Ok(())
    }

    /// Is on its way out.
    #[deprecated]
    async fn old(&self, mut n: u32) -> rpc_core::Result<u32> {
        n += 1;
        self.nothing().await?;
        Ok(n)
    }

    /// Is there.
    #[cfg(not(windows))]
    async fn somewhere(&self, path: Option<&[u8]>) -> rpc_core::Result<()>;
}

#[derive(Debug, Default)]
struct Impl;

#[rpc_service]
impl Finder for Impl {
    async fn find(&self, name: &str, data: &[u8], r#type: Option<&str>) -> rpc_core::Result<Found> {
        let len = name.len() + data.len() + r#type.map_or(0, str::len);
        Ok(Found { n: u32::try_from(len).unwrap_or(u32::MAX) })
    }

    async fn many(
        &self,
        names: Vec<&str>,
        by: &HashMap<&str, u64>,
        _how: Cow<'_, str>,
        _tuple: (u8, &str),
        found: &Found,
        all: &[Found],
    ) -> rpc_core::Result<Vec<Found>> {
        let known = names.iter().filter(|name| by.contains_key(**name)).count();
        Ok(all.iter().chain([found]).take(known).cloned().collect())
    }

    async fn somewhere(&self, _path: Option<&[u8]>) -> rpc_core::Result<()> {
        Ok(())
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    assert_eq!(Impl.find("a", &[1], Some("b")).await.map(|f| f.n), Ok(3));
    let collected = rpc_core::service::registrations();
    assert_eq!(collected.len(), 1);
    assert_eq!(collected[0].meta().registered, "cases.Finder@1.0");
    assert_eq!(collected[0].meta().methods.len(), 9);
    assert_eq!(collected[0].type_name(), "silent_under_every_lint::Impl");
}
