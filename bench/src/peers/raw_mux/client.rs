//! The calling side: a future for each call.

use super::{
    LONG, READ, Variant,
    outbox::{Added, Outbox},
    slots::{Batch, Slots},
    steps::{self, Step},
};
use crate::{codec, frame::HEAD, listen, load::Caller, message::Echo, read_buf::ReadBuf};
use anyhow::{Result, bail};
use std::{net::SocketAddr, sync::Arc};
use tokio::{io::AsyncReadExt, net::tcp::OwnedReadHalf};

#[derive(Clone)]
pub struct Client {
    connection: Arc<Connection>,
    variant: Variant,
}

struct Connection {
    outbox: Arc<Outbox>,
    slots: Slots,
}

impl Client {
    pub async fn connect(server: SocketAddr, variant: Variant) -> Result<Self> {
        let (reader, writer) = listen::dial(server).await?.into_split();
        let outbox = Outbox::start(writer);
        let connection = Arc::new(Connection { outbox, slots: Slots::default() });
        tokio::spawn(read(Arc::clone(&connection), reader));
        Ok(Self { connection, variant })
    }
}

impl Caller for Client {
    type Message = Echo;

    async fn echo(&self, message: Echo) -> Result<Echo> {
        let Connection { outbox, slots } = &*self.connection;
        let reply = slots.take();
        if outbox.add(reply.id(), &message).await? == Added::Owner {
            if self.variant.at_once || slots.one_taken() {
                outbox.write()?;
            } else {
                outbox.gather_and_write().await?;
            }
        }
        drop(message);
        codec::decode(&reply.await)
    }
}

/// Parses every whole frame of a read and completes them together. Callers decode for themselves.
async fn read(connection: Arc<Connection>, mut socket: OwnedReadHalf) -> Result<()> {
    let mut input = ReadBuf::new(READ);
    let mut batch = Batch::default();
    loop {
        loop {
            match steps::step(&input) {
                Step::Frame(id, body) => {
                    let len = body.len();
                    batch.replies.push((id, body.to_vec()));
                    input.consume(HEAD + len);
                }
                Step::Long(head) => {
                    connection.slots.complete(&mut batch);
                    let body = steps::long_body(&mut socket, &mut input, head.len).await?;
                    batch.replies.push((head.id, body));
                }
                Step::Short => break,
            }
        }
        connection.slots.complete(&mut batch);
        match socket.read(input.space(LONG)).await? {
            0 => bail!("closed"),
            count => input.filled(count),
        }
    }
}
