//! The task that reads a connection: frames to the calls that wait for them.

use super::{Arrival, Connection, vigil::Sign};
use crate::clock::Time;
use rpc_core::{
    RpcError, defaults,
    transport::{Assembly, Body, Progress, ReadBuffer},
    wire::{
        HEADER, Header, Kind, Limits, ProtocolError, Reason, flag, next_header, put_close,
        put_error, put_signal, read_close, read_preface, read_total,
    },
};
use std::{
    io,
    sync::{Arc, atomic::Ordering},
    task::Waker,
    time::Duration,
};
use tokio::time::{Instant, timeout, timeout_at};

/// How long a connection that must end waits for its reason to be written.
const LAST_WORDS: Duration = Duration::from_millis(100);

/// How long a provider that has said that it closes may take to do so.
const FAREWELL: Duration = Duration::from_secs(1);

/// Unsent bytes beyond which a provider that pings is taken for one that does not read. Requests alone
/// are fewer: what has gathered, and what the socket has refused of it.
const MUTE: usize = 4 * defaults::MAX_UNSENT;

/// Bytes of the total that leads the first piece of a large body.
const TOTAL: usize = 4;

/// Reads until the connection ends, then ends it for everybody.
///
/// It never stops reading: what a client can receive is bounded by the credit it gave.
pub(super) async fn run(connection: Arc<Connection>, limits: Limits) {
    /// Ends the connection also when this task is dropped together with its runtime.
    struct End(Arc<Connection>, String);
    impl Drop for End {
        fn drop(&mut self) {
            self.0.end(&self.1);
        }
    }
    let gone = "the runtime of the client was shut down";
    let mut end = End(Arc::clone(&connection), gone.to_owned());
    let mut reader = Reader::new(connection, limits);
    end.1 = match reader.read().await {
        Ok(()) => reader.farewell.take().map_or_else(
            || "the provider closed the connection".to_owned(),
            |(words, _)| format!("the provider closed the connection: {words}"),
        ),
        Err(e) => e,
    };
}

struct Reader {
    connection: Arc<Connection>,
    buffer: ReadBuffer,
    /// The large replies that are on their way, by the headers that announced them.
    assembly: Assembly<Header>,
    max_message: u32,
    answers: Vec<(u64, Arrival)>,
    wakers: Vec<Waker>,
    /// Frames that answer what one read has brought: pongs, credit.
    out: Vec<u8>,
    /// When the last read ended.
    now: Time,
    /// What the provider said when it closed, and until when it has time to do it.
    farewell: Option<(String, Instant)>,
}

impl Reader {
    fn new(connection: Arc<Connection>, limits: Limits) -> Self {
        Self {
            connection,
            buffer: ReadBuffer::new(),
            assembly: Assembly::new(limits),
            max_message: limits.max_message,
            answers: Vec::new(),
            wakers: Vec::new(),
            out: Vec::new(),
            now: Time::now(),
            farewell: None,
        }
    }

    async fn read(&mut self) -> Result<(), String> {
        while self.fill().await.map_err(|e| format!("the connection broke: {e}"))? {
            if !self.greet()? {
                continue;
            }
            let parsed = self.parse();
            let slots = &self.connection.slots;
            self.connection.meter.answered(self.answers.len());
            let late = slots.complete(&mut self.answers, &mut self.wakers);
            if late > 0 {
                self.connection.dialer.counters.late_replies.fetch_add(late, Ordering::Relaxed);
            }
            self.tidy();
            if let Err(e) = parsed {
                self.last_words(&e).await;
                return Err(e.to_string());
            }
            if !self.out.is_empty() {
                let frames = std::mem::take(&mut self.out);
                let _ = self.connection.link.send(|out| out.extend_from_slice(&frames));
                self.out = frames;
                self.out.clear();
            }
        }
        Ok(())
    }

    /// Tells the provider what it did wrong, as far as it listens. No call is admitted meanwhile.
    async fn last_words(&self, error: &ProtocolError) {
        let Connection { slots, link, .. } = &*self.connection;
        slots.stop_admitting();
        if link.send(|out| put_close(out, error.0)).is_ok() {
            // Somebody else may be writing at the moment and take it along.
            let _ = timeout(LAST_WORDS, link.outbox().flushed()).await;
        }
    }

    /// Forgets what has come of replies that nobody waits for any more: their providers were told
    /// to stop, so no further piece of them may ever come.
    fn tidy(&mut self) {
        if !self.assembly.is_empty() && self.connection.given_up.swap(false, Ordering::Acquire) {
            self.assembly.retain(|header| self.connection.slots.is_waiting(header.id));
        }
    }

    /// Reads once; `false` at the end of the stream, also when that is late in coming.
    async fn fill(&mut self) -> io::Result<bool> {
        let Self { connection, buffer, assembly, farewell, .. } = self;
        let read = connection.link.read_piece(buffer, assembly.room());
        let count = match farewell {
            None => read.await?,
            Some((_, until)) => match timeout_at(*until, read).await {
                Ok(read) => read?,
                Err(_) => return Ok(false),
            },
        };
        self.now = Time::now();
        match connection.vigil.heard(self.now) {
            Sign::Usual => {}
            Sign::Cleared => connection.standing.endpoint.notify_one(),
            Sign::Resumed => connection.standing.resumed(self.now),
        }
        Ok(count > 0)
    }

    /// Reads the provider's preface, once; `false` while it is not complete.
    fn greet(&mut self) -> Result<bool, String> {
        if self.connection.is_greeted() {
            return Ok(true);
        }
        let read = read_preface(self.buffer.data()).map_err(|e| e.to_string())?;
        let Some((preface, length)) = read else { return Ok(false) };
        self.buffer.consume(length);
        self.connection.link.credit().greeted(preface.limits);
        let _ = self.connection.instance.set(preface.instance);
        self.connection.standing.endpoint.notify_one();
        Ok(true)
    }

    /// Takes every whole frame that is there, and what there is of a piece.
    fn parse(&mut self) -> Result<(), ProtocolError> {
        let mut buffer = std::mem::take(&mut self.buffer);
        let result = loop {
            match self.next(&mut buffer) {
                Ok(true) => {}
                Ok(false) => break Ok(()),
                Err(e) => break Err(e),
            }
        };
        self.buffer = buffer;
        result
    }

    /// Takes one frame, or the beginning or the rest of one with a piece; `false` when more must be
    /// read first.
    fn next(&mut self, buffer: &mut ReadBuffer) -> Result<bool, ProtocolError> {
        self.assembly.take(buffer);
        if self.assembly.is_waiting() {
            return Ok(false);
        }
        if let Some(Progress::Complete(header, body)) = self.assembly.settle(&mut self.out) {
            self.connection.meter.carried(body.total());
            self.answer(header, body);
        }
        let Some((header, length)) = next_header(buffer.data())? else { return Ok(false) };
        let payload = &buffer.data()[HEADER..];
        let payload = &payload[..length.min(payload.len())];
        let is_whole = payload.len() == length;
        let taken = match header.kind {
            Kind::Data => {
                self.data(header.id, length)?;
                0
            }
            Kind::Reply | Kind::AppError if header.flags & flag::CHUNKED != 0 => {
                if !is_whole && payload.len() < TOTAL {
                    return Ok(false);
                }
                let total = read_total(&mut &*payload)?;
                TOTAL + self.begin(header, total, length - TOTAL, &payload[TOTAL..])?
            }
            _ if !is_whole => return Ok(false),
            _ => {
                self.frame(header, payload)?;
                length
            }
        };
        buffer.consume(HEADER + taken);
        Ok(true)
    }

    fn frame(&mut self, header: Header, mut payload: &[u8]) -> Result<(), ProtocolError> {
        match header.kind {
            Kind::Reply | Kind::AppError if payload.len() > defaults::SMALL_BODY as usize => {
                Err(ProtocolError("a large body that does not come in pieces"))
            }
            Kind::Reply | Kind::AppError | Kind::Error => {
                if !self.assembly.is_empty() {
                    self.assembly.forget(header.id);
                }
                self.answer(header, Body::copy_of(payload));
                Ok(())
            }
            Kind::Credit => {
                let bytes = read_total(&mut payload)?;
                self.connection.link.credit().grant(header.id, bytes)
            }
            Kind::Ping => {
                // A provider that pings and does not read has no use for a pong.
                if self.connection.link.outbox().unsent() < MUTE {
                    put_signal(&mut self.out, Kind::Pong, header.id);
                }
                Ok(())
            }
            Kind::Leaving => {
                self.connection.leave();
                Ok(())
            }
            Kind::Close => {
                // What is sent from now on may not be read.
                self.connection.slots.stop_admitting();
                let until = self.now.instant() + FAREWELL;
                self.farewell.get_or_insert_with(|| (read_close(payload), until));
                Ok(())
            }
            // Data is taken piece by piece.
            Kind::Pong | Kind::Skipped | Kind::Data => Ok(()),
            Kind::Request | Kind::Cancel | Kind::Left => {
                Err(ProtocolError("a server sent a frame that only clients send"))
            }
        }
    }

    /// The first piece of a large reply, of which `start` is there, and how much of that was taken.
    /// One that nobody waits for only gives its credit back.
    fn begin(
        &mut self,
        header: Header,
        total: u32,
        length: usize,
        start: &[u8],
    ) -> Result<usize, ProtocolError> {
        if !self.connection.slots.is_waiting(header.id) {
            return self.assembly.data(header.id, length).map(|()| 0);
        }
        if total > self.max_message {
            self.too_large(header, total);
            return self.assembly.data(header.id, length).map(|()| 0);
        }
        self.assembly.begin(header.id, header, total, length, start)
    }

    /// A reply beyond what this client has announced: an error to its call alone.
    fn too_large(&mut self, header: Header, total: u32) {
        let text = format!(
            "the reply is {total} bytes, this client takes at most {}; ask for less at a time, or \
             raise its `max_message`",
            self.max_message
        );
        let mut body = Body::new();
        put_error(body.buffer(), Reason::BadAnswer, &RpcError::resource_exhausted(text));
        self.answer(Header { kind: Kind::Error, ..header }, body);
        put_signal(&mut self.out, Kind::Cancel, header.id);
    }

    fn data(&mut self, id: u64, length: usize) -> Result<(), ProtocolError> {
        if !self.connection.slots.is_waiting(id) {
            self.assembly.forget(id);
        }
        self.assembly.data(id, length)
    }

    fn answer(&mut self, header: Header, body: Body) {
        let Header { kind, flags, aux, id } = header;
        self.connection.standing.gauge.reported((aux >> 8) as u8);
        self.answers.push((id, Arrival::Answer { kind, flags, aux, body, at: self.now }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rpc_core::wire::put_frame;
    use std::time::Duration;

    async fn reader() -> Reader {
        Reader::new(Arc::new(Connection::idle().await.unwrap()), Limits::default())
    }

    /// The first piece of a reply of 1 MiB.
    fn first_piece(reader: &mut Reader, id: u64) {
        let mut frame = Vec::new();
        let header = Header { kind: Kind::Reply, flags: flag::CHUNKED, aux: 0, id };
        put_frame(&mut frame, header, |out| {
            out.extend_from_slice(&(1u32 << 20).to_le_bytes());
            out.resize(out.len() + 1000, 0);
        });
        receive(reader, &frame).unwrap();
    }

    fn receive(reader: &mut Reader, bytes: &[u8]) -> Result<(), ProtocolError> {
        for bytes in bytes.chunks(1000) {
            reader.buffer.room()[..bytes.len()].copy_from_slice(bytes);
            reader.buffer.filled(bytes.len());
            reader.parse()?;
        }
        Ok(())
    }

    #[tokio::test]
    async fn the_rest_of_a_reply_that_was_given_up_takes_no_memory() {
        let mut reader = reader().await;
        let connection = Arc::clone(&reader.connection);
        let deadline = Time::now() + Duration::from_secs(10);
        let waiters: Vec<_> = (0..3)
            .map(|_| {
                let mut waiter =
                    connection.admit(deadline, Time::NEVER, Waker::noop().clone()).unwrap();
                waiter.all_sent(0);
                first_piece(&mut reader, waiter.id());
                waiter
            })
            .collect();
        reader.tidy();
        assert!(waiters.iter().all(|waiter| reader.assembly.contains(waiter.id())));
        drop(waiters);
        reader.tidy();
        assert!(reader.assembly.is_empty());
    }

    #[tokio::test]
    async fn a_second_answer_to_a_call_leaves_nothing_of_the_first() {
        let mut reader = reader().await;
        let connection = Arc::clone(&reader.connection);
        let deadline = Time::now() + Duration::from_secs(10);
        let waiter = connection.admit(deadline, Time::NEVER, Waker::noop().clone()).unwrap();
        first_piece(&mut reader, waiter.id());
        assert!(reader.assembly.contains(waiter.id()));
        let mut second = Vec::new();
        let header = Header { kind: Kind::Reply, flags: 0, aux: 0, id: waiter.id() };
        put_frame(&mut second, header, |out| out.push(0xc0));
        receive(&mut reader, &second).unwrap();
        assert!(reader.assembly.is_empty());
    }

    #[tokio::test]
    async fn a_large_reply_in_one_frame_ends_the_connection() {
        for kind in [Kind::Reply, Kind::AppError] {
            for (length, is_fine) in [(32 * 1024, true), (32 * 1024 + 1, false)] {
                let mut frame = Vec::new();
                put_frame(&mut frame, Header { kind, flags: 0, aux: 0, id: 1 }, |out| {
                    out.resize(out.len() + length, 0);
                });
                assert_eq!(receive(&mut reader().await, &frame).is_ok(), is_fine, "{length}");
            }
        }
    }
}
