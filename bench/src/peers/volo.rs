//! volo-thrift: thrift with its header over TCP, a connection for each call outstanding.

use crate::{listen, load::Caller, message::impl_message, work::Work};
use anyhow::{Result, anyhow};
use std::net::SocketAddr;
use volo::net::{Address, incoming::DefaultIncoming};
use volo_echo::{
    Echo, EchoService, EchoServiceClient, EchoServiceClientBuilder, EchoServiceServer,
};
use volo_thrift::ServerError;

impl_message!(Echo, i64);

struct Echoing(Work);

impl EchoService for Echoing {
    async fn echo(&self, message: Echo) -> Result<Echo, ServerError> {
        self.0.run().await;
        Ok(message)
    }
}

pub async fn serve(work: Work) -> Result<()> {
    let incoming = DefaultIncoming::from(listen::bind().await?);
    let server = EchoServiceServer::new(Echoing(work));
    server.run(incoming).await.map_err(|error| anyhow!(error))
}

#[derive(Clone)]
pub struct Client(EchoServiceClient);

impl Client {
    pub fn new(server: SocketAddr) -> Self {
        Self(EchoServiceClientBuilder::new("bench").address(Address::from(server)).build())
    }
}

impl Caller for Client {
    type Message = Echo;

    async fn echo(&self, message: Echo) -> Result<Echo> {
        Ok(self.0.echo(message).await?)
    }
}
