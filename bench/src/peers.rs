//! What is compared: each peer has a server and a client that answers to [`Caller`].
//!
//! [`Caller`]: crate::load::Caller

mod raw;
mod raw_mux;
mod rpc;
mod tarpc;
mod tonic;
mod volo;

use crate::{
    load::{self, Load},
    work::Work,
};
use anyhow::Result;
use clap::ValueEnum;
use raw_mux::Variant;
use serde::{Deserialize, Serialize};
use std::{fmt, future::Future, net::SocketAddr};

#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Peer {
    /// This framework.
    Rpc,
    /// This framework, of whose message the payload is counted.
    RpcBytes,
    Raw,
    RawMux,
    /// raw-mux whose server spawns a task for each request.
    RawMuxSpawn,
    /// raw-mux whose callers write at once.
    RawMuxAtOnce,
    Tarpc,
    Tonic,
    VoloThrift,
}

impl Peer {
    /// Without the variants of raw-mux, which are for scenarios.
    pub const MAIN: [Self; 6] =
        [Self::Rpc, Self::Raw, Self::RawMux, Self::Tarpc, Self::Tonic, Self::VoloThrift];

    /// Frameworks that others have made.
    pub fn is_other_framework(self) -> bool {
        matches!(self, Self::Tarpc | Self::Tonic | Self::VoloThrift)
    }

    /// What is set, where it is not the peer's default or matters to what is measured.
    pub fn settings(self) -> &'static str {
        match self {
            Self::Rpc => "defaults: deadlines, metrics, named MessagePack; static registry",
            Self::RpcBytes => "as rpc, the payload is `bytes::Bytes`, as it is volo-thrift's",
            Self::Raw => "a window of messages, rmp-serde, no future for a call",
            Self::RawMux => "a future for each call, rmp-serde, no errors, limits or deadlines",
            Self::RawMuxSpawn => "as raw-mux, the server spawns a task for each request",
            Self::RawMuxAtOnce => "as raw-mux, callers write without waiting for others",
            Self::Tarpc => "defaults: deadlines; bincode, length-delimited TCP, request tasks",
            Self::Tonic => "defaults: HTTP/2 windows, 200 streams; prost",
            Self::VoloThrift => "defaults: TTHeader, a connection for each call outstanding",
        }
    }

    /// Serves until the process ends.
    pub async fn serve(self, work: Work) -> Result<()> {
        match self {
            Self::Rpc | Self::RpcBytes => rpc::serve(work).await,
            Self::Raw => raw::serve(work).await,
            Self::RawMux | Self::RawMuxSpawn | Self::RawMuxAtOnce => {
                raw_mux::serve(work, self.variant()).await
            }
            Self::Tarpc => tarpc::serve(work).await,
            Self::Tonic => tonic::serve(work).await,
            Self::VoloThrift => volo::serve(work).await,
        }
    }

    /// Calls until a call fails.
    pub async fn load(self, server: SocketAddr, load: Load) -> Result<()> {
        match self {
            Self::Rpc => call(load, || rpc::connect(server)).await,
            Self::RpcBytes => {
                call(load, async || Ok(rpc::CountedClient(rpc::connect(server).await?))).await
            }
            Self::Raw => raw::load(server, load).await,
            Self::RawMux | Self::RawMuxSpawn | Self::RawMuxAtOnce => {
                call(load, || raw_mux::Client::connect(server, self.variant())).await
            }
            Self::Tarpc => call(load, || tarpc::connect(server)).await,
            Self::Tonic => call(load, || tonic::Client::connect(server)).await,
            Self::VoloThrift => call(load, async || Ok(volo::Client::new(server))).await,
        }
    }

    fn variant(self) -> Variant {
        Variant { spawn: self == Self::RawMuxSpawn, at_once: self == Self::RawMuxAtOnce }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.to_possible_value().expect("no peer is skipped");
        f.pad(value.get_name())
    }
}

async fn call<C, F>(load: Load, connect: impl Fn() -> F) -> Result<()>
where
    C: load::Caller,
    F: Future<Output = Result<C>>,
{
    let mut clients = Vec::new();
    for _ in 0..load.conns {
        clients.push(connect().await?);
    }
    load::run(clients, load).await
}
