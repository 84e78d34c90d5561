//! The task that reads a connection: frames to the calls that wait for them.

use super::{Arrival, Connection, now_ms};
use rpc_core::{
    RpcError, defaults,
    transport::{Assembly, Body, Progress, ReadBuffer},
    wire::{
        Header, Kind, Limits, PrefaceError, ProtocolError, Reason, flag, next_frame, put_close,
        put_error, put_signal, read_close, read_preface, read_total,
    },
};
use std::{
    io,
    sync::{Arc, atomic::Ordering},
    task::Waker,
    time::Duration,
};
use tokio::time::{Instant, timeout};

/// How long a connection that must end waits for its reason to be written.
const LAST_WORDS: Duration = Duration::from_millis(100);

/// What a large reply was announced as.
type Announced = (Kind, u16);

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
    let mut reader = Reader {
        connection,
        buffer: ReadBuffer::new(),
        assembly: Assembly::new(limits),
        limit: limits.max_message,
        answers: Vec::new(),
        wakers: Vec::new(),
        out: Vec::new(),
        farewell: None,
    };
    end.1 = match reader.read().await {
        Ok(()) => reader.farewell.take().map_or_else(
            || "the provider closed the connection".to_owned(),
            |words| format!("the provider closed the connection: {words}"),
        ),
        Err(e) => e,
    };
}

struct Reader {
    connection: Arc<Connection>,
    buffer: ReadBuffer,
    assembly: Assembly<Announced>,
    /// The largest reply that is taken.
    limit: u32,
    answers: Vec<(u64, Arrival)>,
    wakers: Vec<Waker>,
    /// Frames that answer what one read has brought: pongs, credit.
    out: Vec<u8>,
    /// What the provider said when it closed.
    farewell: Option<String>,
}

impl Reader {
    async fn read(&mut self) -> Result<(), String> {
        while self.fill().await.map_err(|e| format!("the connection broke: {e}"))? {
            if !self.greet()? {
                continue;
            }
            let parsed = self.parse();
            let slots = &self.connection.slots;
            let late = slots.complete(&mut self.answers, &mut self.wakers);
            if late > 0 {
                self.connection.dialer.counters.late_replies.fetch_add(late, Ordering::Relaxed);
            }
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

    /// Reads once; `false` at the end of the stream.
    async fn fill(&mut self) -> io::Result<bool> {
        let count = self.connection.link.read(&mut self.buffer).await?;
        if self.connection.vigil.heard(now_ms(Instant::now())) {
            self.connection.changed.notify_one();
        }
        Ok(count > 0)
    }

    /// Reads the provider's preface, once; `false` while it is not complete.
    fn greet(&mut self) -> Result<bool, String> {
        if self.connection.is_greeted() {
            return Ok(true);
        }
        let read = read_preface(self.buffer.data()).map_err(|e| {
            let stranger = !matches!(e, PrefaceError::Broken);
            self.connection.stranger.store(stranger, Ordering::Relaxed);
            e.to_string()
        });
        let Some((preface, length)) = read? else { return Ok(false) };
        self.buffer.consume(length);
        self.connection.link.credit().greeted(preface.limits);
        let _ = self.connection.instance.set(preface.instance);
        self.connection.changed.notify_one();
        Ok(true)
    }

    /// Takes every whole frame that is there.
    fn parse(&mut self) -> Result<(), ProtocolError> {
        let mut at = 0;
        let buffer = std::mem::take(&mut self.buffer);
        let result = loop {
            match next_frame(&buffer.data()[at..]) {
                Ok(Some((header, payload, length))) => {
                    at += length;
                    if let Err(e) = self.frame(header, payload) {
                        break Err(e);
                    }
                }
                Ok(None) => break Ok(()),
                Err(e) => break Err(e),
            }
        };
        self.buffer = buffer;
        self.buffer.consume(at);
        result
    }

    fn frame(&mut self, header: Header, mut payload: &[u8]) -> Result<(), ProtocolError> {
        match header.kind {
            Kind::Reply | Kind::AppError if header.flags & flag::CHUNKED != 0 => {
                let total = read_total(&mut payload)?;
                self.begin(header, total, payload)
            }
            Kind::Reply | Kind::AppError | Kind::Error => {
                let Header { kind, aux, id, flags: _ } = header;
                let body = Body::copy_of(payload);
                self.answers.push((id, Arrival::Answer { kind, aux, body }));
                Ok(())
            }
            Kind::Data => self.data(header.id, payload),
            Kind::Credit => {
                let bytes = read_total(&mut payload)?;
                self.connection.link.credit().grant(header.id, bytes)
            }
            Kind::Ping => {
                // One who does not read what it is sent would not read that either.
                if self.connection.link.outbox().unsent() < defaults::MAX_UNSENT {
                    put_signal(&mut self.out, Kind::Pong, header.id);
                }
                Ok(())
            }
            Kind::Leaving => {
                self.connection.leave();
                Ok(())
            }
            Kind::Close => {
                self.farewell = Some(read_close(payload));
                Ok(())
            }
            Kind::Pong | Kind::Skipped => Ok(()),
            Kind::Request | Kind::Cancel | Kind::Left => {
                Err(ProtocolError("a server sent a frame that only clients send"))
            }
        }
    }

    /// The first piece of a large reply. One that nobody waits for, or that is too large, only
    /// gives its credit back.
    fn begin(&mut self, header: Header, total: u32, piece: &[u8]) -> Result<(), ProtocolError> {
        let what = (header.kind, header.aux);
        let waiting = self.connection.slots.is_waiting(header.id);
        if waiting && total > self.limit {
            self.answers.push((header.id, too_large(total, self.limit)));
        }
        let progress = if waiting && total <= self.limit {
            self.assembly.begin(header.id, what, total, piece, &mut self.out)?
        } else {
            self.assembly.data(header.id, piece, &mut self.out)?
        };
        self.progress(header.id, progress);
        Ok(())
    }

    fn data(&mut self, id: u64, piece: &[u8]) -> Result<(), ProtocolError> {
        if !self.connection.slots.is_waiting(id) {
            self.assembly.forget(id);
        }
        let progress = self.assembly.data(id, piece, &mut self.out)?;
        self.progress(id, progress);
        Ok(())
    }

    fn progress(&mut self, id: u64, progress: Progress<Announced>) {
        if let Progress::Complete((kind, aux), body) = progress {
            self.answers.push((id, Arrival::Answer { kind, aux, body }));
        }
    }
}

/// What the caller of a reply is told that is larger than this client takes. A provider that keeps
/// to the protocol says so itself.
fn too_large(total: u32, limit: u32) -> Arrival {
    let text = format!(
        "the reply is {total} bytes, the largest message is {limit}; ask for less, or raise \
         `max_message` of the client"
    );
    let mut body = Body::new();
    put_error(body.buffer(), Reason::BadAnswer, &RpcError::resource_exhausted(text));
    Arrival::Answer { kind: Kind::Error, aux: 0, body }
}
