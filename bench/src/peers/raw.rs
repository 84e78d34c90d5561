//! A socket with a window of messages in flight, encoded and decoded as by raw-mux, and no future
//! for a call: the limit of the wire.

use crate::{
    codec,
    frame::{HEAD, Head},
    listen,
    load::Load,
    message::{Echo, Message},
    read_buf::ReadBuf,
    record,
    work::Work,
};
use anyhow::{Result, ensure};
use bytes::{Buf, BytesMut};
use std::{collections::VecDeque, io, net::SocketAddr};
use tokio::{io::Interest, net::TcpStream, task::JoinSet, time::Instant};

const READ: usize = 128 * 1024;
/// A server with so many bytes of replies unsent stops reading.
const UNSENT: usize = 1024 * 1024;

/// A socket and what has to go out on it.
struct Pump {
    stream: TcpStream,
    input: ReadBuf,
    output: BytesMut,
    /// With so many bytes to go out, nothing is read.
    max_output: usize,
}

impl Pump {
    fn new(stream: TcpStream, max_output: usize) -> Self {
        Self { stream, input: ReadBuf::new(READ), output: BytesMut::new(), max_output }
    }

    fn push(&mut self, id: u64, message: &Echo) -> Result<()> {
        codec::encode(&mut self.output, id, message)
    }

    /// The next message of what was read.
    fn pull(&mut self) -> Result<Option<(u64, Echo)>> {
        let Some(head) = Head::parse(self.input.unparsed()) else { return Ok(None) };
        let Some(body) = self.input.unparsed().get(HEAD..HEAD + head.len) else { return Ok(None) };
        let message = codec::decode(body)?;
        self.input.consume(HEAD + head.len);
        Ok(Some((head.id, message)))
    }

    /// Writes what there is and returns once something was read; false at the end.
    async fn turn(&mut self) -> Result<bool> {
        loop {
            let sent = self.write()?;
            let may_read = self.output.len() < self.max_output;
            if may_read && let Some(count) = self.read()? {
                return Ok(count > 0);
            }
            let interest = match (may_read, sent) {
                (false, _) => Interest::WRITABLE,
                (true, false) => Interest::READABLE | Interest::WRITABLE,
                (true, true) => Interest::READABLE,
            };
            self.stream.ready(interest).await?;
        }
    }

    /// Whether all is out.
    fn write(&mut self) -> io::Result<bool> {
        while !self.output.is_empty() {
            match self.stream.try_write(&self.output) {
                Ok(count) => self.output.advance(count),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        self.output.clear();
        Ok(true)
    }

    fn read(&mut self) -> io::Result<Option<usize>> {
        match self.stream.try_read(self.input.space(READ / 2)) {
            Ok(count) => {
                self.input.filled(count);
                Ok(Some(count))
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }
}

pub async fn serve(work: Work) -> Result<()> {
    listen::accept(listen::bind().await?, move |stream| answer(stream, work)).await
}

async fn answer(stream: TcpStream, work: Work) -> Result<()> {
    let mut pump = Pump::new(stream, UNSENT);
    while pump.turn().await? {
        while let Some((id, message)) = pump.pull()? {
            work.run().await;
            pump.push(id, &message)?;
        }
    }
    Ok(())
}

/// Shares the outstanding frames out over the connections.
pub async fn load(server: SocketAddr, load: Load) -> Result<()> {
    let mut tasks = JoinSet::new();
    for index in 0..load.conns {
        let window = (load.outstanding + index) / load.conns;
        let stream = listen::dial(server).await?;
        tasks.spawn(keep_in_flight(stream, window as u64, load.payload));
    }
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    Ok(())
}

/// Replies come in order, so the times of sending are a queue; the clock is read once for each
/// batch.
async fn keep_in_flight(stream: TcpStream, window: u64, payload: usize) -> Result<()> {
    let template = Echo::new(vec![7; payload]);
    let mut pump = Pump::new(stream, usize::MAX);
    let mut sent = VecDeque::from([(Instant::now(), window)]);
    let push = |pump: &mut Pump, id| {
        let mut message = template.clone();
        message.set_id(id);
        pump.push(id, &message)
    };
    for id in 0..window {
        push(&mut pump, id)?;
    }
    let mut next = 0;
    while pump.turn().await? {
        let first = next;
        while let Some((_, reply)) = pump.pull()? {
            let expected = reply.id == next && reply.payload.len() == payload;
            ensure!(expected, "another reply than expected");
            push(&mut pump, next + window)?;
            next += 1;
        }
        if next > first {
            let now = Instant::now();
            count(&mut sent, now, next - first);
            sent.push_back((now, next - first));
        }
    }
    Ok(())
}

/// Counts so many answers of the frames that were sent first.
fn count(sent: &mut VecDeque<(Instant, u64)>, now: Instant, mut answers: u64) {
    while answers > 0
        && let Some((when, left)) = sent.front_mut()
    {
        let these = answers.min(*left);
        record::calls(now - *when, these);
        answers -= these;
        *left -= these;
        if *left == 0 {
            sent.pop_front();
        }
    }
}
