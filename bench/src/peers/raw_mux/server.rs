//! The answering side: replies of one read leave in one write.

use super::{
    LONG, READ, Variant,
    outbox::{Added, Outbox},
    steps::{self, Step},
};
use crate::{codec, frame::HEAD, listen, message::Echo, read_buf::ReadBuf, work::Work};
use anyhow::Result;
use bytes::BytesMut;
use std::{future::poll_fn, sync::Arc, task::Poll};
use tokio::{io::AsyncReadExt, net::TcpStream};
use tokio_util::sync::ReusableBoxFuture;

/// Replies are sent on before there are more bytes than this.
const REPLIES: usize = 128 * 1024;

type Handler = ReusableBoxFuture<'static, Echo>;

pub async fn serve(work: Work, variant: Variant) -> Result<()> {
    listen::accept(listen::bind().await?, move |stream| connection(stream, work, variant)).await
}

async fn handle(message: Echo, work: Work) -> Echo {
    work.run().await;
    message
}

async fn connection(stream: TcpStream, work: Work, variant: Variant) -> Result<()> {
    let (mut socket, writer) = stream.into_split();
    let mut input = ReadBuf::new(READ);
    let mut answers = Answers::new(Outbox::start(writer), work, variant);
    loop {
        loop {
            match steps::step(&input) {
                Step::Frame(id, body) => {
                    let message = codec::decode(body)?;
                    let len = body.len();
                    input.consume(HEAD + len);
                    answers.answer(id, message).await?;
                }
                Step::Long(head) => {
                    let body = steps::long_body(&mut socket, &mut input, head.len).await?;
                    answers.answer(head.id, codec::decode(&body)?).await?;
                }
                Step::Short => break,
            }
        }
        answers.send().await?;
        match socket.read(input.space(LONG)).await? {
            0 => return Ok(()),
            count => input.filled(count),
        }
    }
}

/// The replies of one read, as they come.
struct Answers {
    outbox: Arc<Outbox>,
    work: Work,
    variant: Variant,
    frames: BytesMut,
    /// The memory of a handler that is done.
    reuse: Option<Handler>,
}

impl Answers {
    fn new(outbox: Arc<Outbox>, work: Work, variant: Variant) -> Self {
        Self { outbox, work, variant, frames: BytesMut::with_capacity(REPLIES / 2), reuse: None }
    }

    async fn answer(&mut self, id: u64, message: Echo) -> Result<()> {
        let handler = handle(message, self.work);
        if self.variant.spawn {
            tokio::spawn(answer_later(Arc::clone(&self.outbox), id, handler));
            return Ok(());
        }
        let mut handler = match self.reuse.take() {
            Some(mut reuse) => {
                reuse.set(handler);
                reuse
            }
            None => ReusableBoxFuture::new(handler),
        };
        match poll_fn(|context| Poll::Ready(handler.poll(context))).await {
            Poll::Ready(reply) => {
                codec::encode(&mut self.frames, id, &reply)?;
                self.reuse = Some(handler);
            }
            Poll::Pending => {
                let rest = async move { poll_fn(|context| handler.poll(context)).await };
                tokio::spawn(answer_later(Arc::clone(&self.outbox), id, rest));
            }
        }
        if self.frames.len() >= REPLIES {
            self.send().await?;
        }
        Ok(())
    }

    async fn send(&mut self) -> Result<()> {
        self.outbox.send(&mut self.frames).await
    }
}

async fn answer_later(
    outbox: Arc<Outbox>,
    id: u64,
    handler: impl Future<Output = Echo> + Send,
) -> Result<()> {
    let reply = handler.await;
    if outbox.add_anyway(id, &reply)? == Added::Owner {
        outbox.gather_and_write().await?;
    }
    Ok(())
}
