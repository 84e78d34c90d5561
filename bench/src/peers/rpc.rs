//! This framework as its users have it: a contract, a proxy, a server, a static registry, defaults.

use crate::{
    listen,
    load::Caller,
    message::{Echo, impl_message},
    work::Work,
};
use anyhow::Result;
use bytes::Bytes;
use rpc_client::Client;
use rpc_core::{rpc_client, rpc_service};
use rpc_server::Server;
use serde::{Deserialize, Serialize};
use std::{future::pending, net::SocketAddr};

#[rpc_client]
pub trait Bench {
    async fn echo(&self, message: Echo) -> rpc_core::Result<Echo>;
    async fn echo_counted(&self, message: Counted) -> rpc_core::Result<Counted>;
}

/// The message with counted bytes, which volo-thrift's generated code has.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Counted {
    pub id: u64,
    pub flag: bool,
    pub payload: Bytes,
}

impl_message!(Counted, u64);

#[derive(Default)]
struct Echoing(Work);

#[rpc_service]
impl Bench for Echoing {
    async fn echo(&self, message: Echo) -> rpc_core::Result<Echo> {
        self.0.run().await;
        Ok(message)
    }

    async fn echo_counted(&self, message: Counted) -> rpc_core::Result<Counted> {
        self.0.run().await;
        Ok(message)
    }
}

pub async fn serve(work: Work) -> Result<()> {
    // Clients are given the address; the URL names none that matters.
    let server = Server::builder().registry("static://127.0.0.1:1").service(Echoing(work));
    let server = server.start().await?;
    listen::announce(server.local_addr())?;
    pending().await
}

pub async fn connect(server: SocketAddr) -> Result<BenchClient> {
    Ok(Client::connect(format!("static://{server}")).await?.get())
}

impl Caller for BenchClient {
    type Message = Echo;

    async fn echo(&self, message: Echo) -> Result<Echo> {
        Ok(Bench::echo(self, message).await?)
    }
}

/// A client that sends the message with counted bytes.
#[derive(Clone)]
pub struct CountedClient(pub BenchClient);

impl Caller for CountedClient {
    type Message = Counted;

    async fn echo(&self, message: Counted) -> Result<Counted> {
        Ok(self.0.echo_counted(message).await?)
    }
}
