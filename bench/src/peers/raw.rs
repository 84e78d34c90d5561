//! A socket with a window of frames in flight and no future for a call: the limit of the wire.

use crate::{
    frame::{HEAD, Head},
    listen,
    load::Load,
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
}

impl Pump {
    fn new(stream: TcpStream) -> Self {
        Self { stream, input: ReadBuf::new(READ), output: BytesMut::new() }
    }

    fn push(&mut self, id: u64, payload: &[u8]) {
        self.output.extend_from_slice(&Head { len: payload.len(), id }.to_bytes());
        self.output.extend_from_slice(payload);
    }

    /// Writes what there is and returns once something was read; false at the end.
    async fn turn(&mut self) -> Result<bool> {
        loop {
            let sent = self.write()?;
            let may_read = self.output.len() < UNSENT;
            if may_read && let Some(count) = self.read()? {
                return Ok(count > 0);
            }
            if !sent {
                let writable = Interest::WRITABLE;
                let both = Interest::READABLE | writable;
                self.stream.ready(if may_read { both } else { writable }).await?;
            } else {
                self.stream.readable().await?;
            }
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
    let mut pump = Pump::new(stream);
    while pump.turn().await? {
        while let Some(head) = Head::parse(pump.input.unparsed()) {
            let Some(frame) = pump.input.unparsed().get(..HEAD + head.len) else { break };
            work.run().await;
            pump.output.extend_from_slice(frame);
            pump.input.consume(HEAD + head.len);
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
        tasks.spawn(keep_in_flight(stream, window as u64, vec![7; load.payload]));
    }
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    Ok(())
}

/// Replies come in order, so the times of sending are a queue; the clock is read once for each
/// batch.
async fn keep_in_flight(stream: TcpStream, window: u64, payload: Vec<u8>) -> Result<()> {
    let mut pump = Pump::new(stream);
    let mut sent = VecDeque::from([(Instant::now(), window)]);
    let mut expected = 0;
    for id in 0..window {
        pump.push(id, &payload);
    }
    while pump.turn().await? {
        let first = expected;
        while let Some(head) = Head::parse(pump.input.unparsed()) {
            if pump.input.unparsed().len() < HEAD + head.len {
                break;
            }
            ensure!(
                head.id == expected && head.len == payload.len(),
                "another reply than expected"
            );
            pump.input.consume(HEAD + head.len);
            expected += 1;
            pump.push(expected - 1 + window, &payload);
        }
        if expected > first {
            let now = Instant::now();
            count(&mut sent, now, expected - first);
            sent.push_back((now, expected - first));
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
