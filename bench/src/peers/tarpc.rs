//! tarpc: bincode in length-delimited frames over TCP, a task for each request.

use crate::{listen, load::Caller, message::Echo, work::Work};
use anyhow::Result;
use futures_util::StreamExt;
use std::net::SocketAddr;
use tarpc::{
    client,
    context::{self, Context},
    serde_transport::Transport,
    server::{BaseChannel, Channel},
};
use tokio::net::TcpStream;
use tokio_serde::formats::Bincode;

#[tarpc::service]
pub trait Bench {
    async fn echo(message: Echo) -> Echo;
}

#[derive(Clone)]
struct Echoing(Work);

impl Bench for Echoing {
    async fn echo(self, _: Context, message: Echo) -> Echo {
        self.0.run().await;
        message
    }
}

pub async fn serve(work: Work) -> Result<()> {
    listen::accept(listen::bind().await?, move |stream| connection(stream, work)).await
}

async fn connection(stream: TcpStream, work: Work) -> Result<()> {
    let channel = BaseChannel::with_defaults(Transport::from((stream, Bincode::default())));
    let mut requests = std::pin::pin!(channel.execute(Echoing(work).serve()));
    while let Some(request) = requests.next().await {
        tokio::spawn(request);
    }
    Ok(())
}

pub async fn connect(server: SocketAddr) -> Result<BenchClient> {
    let transport = Transport::from((listen::dial(server).await?, Bincode::default()));
    Ok(BenchClient::new(client::Config::default(), transport).spawn())
}

impl Caller for BenchClient {
    type Message = Echo;

    async fn echo(&self, message: Echo) -> Result<Echo> {
        Ok(BenchClient::echo(self, context::current(), message).await?)
    }
}
