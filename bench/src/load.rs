//! The closed loop that every peer with futures is measured by.

use crate::{
    message::{LARGE, Message},
    record, work,
};
use anyhow::{Context, Result, ensure};
use clap::Args;
use serde::{Deserialize, Serialize};
use std::{future::Future, time::Duration};
use tokio::{task::JoinSet, time::Instant};

/// What a client does.
#[derive(Args, Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Load {
    /// Bytes of the payload.
    #[arg(long, default_value_t = 32)]
    pub payload: usize,
    /// Calls outstanding, over all connections together.
    #[arg(long, default_value_t = 64)]
    pub outstanding: usize,
    /// Connections, as far as the caller decides: so many clients are made.
    #[arg(long, default_value_t = 1)]
    pub conns: usize,
    /// Calls of 4 MiB outstanding beside the measured ones.
    #[arg(long, default_value_t = 0)]
    pub large: usize,
    /// Tasks on the client's runtime that compute 100 µs, yield, and so on.
    #[arg(long, default_value_t = 0)]
    pub busy: usize,
}

/// A peer's client. Clones are handed to the tasks.
pub trait Caller: Clone + Send + Sync + 'static {
    type Message: Message;
    fn echo(&self, message: Self::Message) -> impl Future<Output = Result<Self::Message>> + Send;
}

/// Calls until a call fails; each task takes one of the clients.
pub async fn run<C: Caller>(clients: Vec<C>, load: Load) -> Result<()> {
    let mut tasks = JoinSet::new();
    let mut turns = clients.iter().cycle();
    let mut next = || turns.next().cloned().context("no client");
    for _ in 0..load.outstanding {
        tasks.spawn(call_forever(next()?, load.payload, record::call));
    }
    for _ in 0..load.large {
        tasks.spawn(call_forever(next()?, LARGE, |_| record::large_call()));
    }
    for _ in 0..load.busy {
        tasks.spawn(compute_forever());
    }
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    Ok(())
}

/// Reads the clock once for each call: making the message counts as part of it.
async fn call_forever<C: Caller>(client: C, payload: usize, done: fn(Duration)) -> Result<()> {
    let template = C::Message::new(vec![7; payload]);
    let mut sent = Instant::now();
    for id in 0.. {
        let mut message = template.clone();
        message.set_id(id);
        let reply = client.echo(message).await?;
        ensure!(reply.id() == id && reply.payload_len() == payload, "another reply than expected");
        let now = Instant::now();
        done(now - sent);
        sent = now;
    }
    Ok(())
}

async fn compute_forever() -> Result<()> {
    loop {
        work::spin(Duration::from_micros(100));
        tokio::task::yield_now().await;
    }
}
