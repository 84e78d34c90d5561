//! The sending half of a connection, as calls, replies and the reader share it.

use super::{
    Ended, Outbox, ReadBuffer, Room, SendCredit, Socket,
    nudge::{Cause, Nudge},
};
use crate::{
    defaults,
    wire::{Header, put_frame},
};
use std::{io, net::Shutdown, pin::pin};

/// One connection's socket, outbox and credit.
#[derive(Debug)]
pub struct Link {
    pub(super) stream: Socket,
    pub(super) outbox: Outbox,
    pub(super) credit: SendCredit,
    nudge: Nudge,
}

/// A request, reply or application error, encoded and ready to travel.
#[derive(Debug, Clone, Copy)]
pub struct Message<'a> {
    /// Kind, flags without [`flag::CHUNKED`](crate::wire::flag::CHUNKED), aux and call id.
    pub header: Header,
    /// What its kind says before the body: a request's head; nothing for others.
    pub head: &'a [u8],
    /// The body.
    pub body: &'a [u8],
}

impl Message<'_> {
    /// Whether it needs credit.
    pub fn is_large(&self) -> bool {
        self.body.len() > defaults::SMALL_BODY as usize
    }

    /// Appends it as one frame; for messages that are not large.
    #[inline]
    pub fn put(&self, out: &mut Vec<u8>) {
        put_frame(out, self.header, |out| {
            out.extend_from_slice(self.head);
            out.extend_from_slice(self.body);
        });
    }
}

impl Link {
    /// A link over a connected socket.
    pub fn new(stream: Socket) -> Self {
        let (outbox, credit) = (Outbox::new(), SendCredit::new());
        Self { stream, outbox, credit, nudge: Nudge::default() }
    }

    /// The socket, to read from.
    pub fn stream(&self) -> &Socket {
        &self.stream
    }

    /// Reads what is there into `buffer`; 0 at the end of the stream.
    ///
    /// # Errors
    ///
    /// The socket's.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: dropped while it waits, nothing was read.
    pub async fn read(&self, buffer: &mut ReadBuffer) -> io::Result<usize> {
        self.read_piece(buffer, None).await
    }

    /// The same; what belongs to the piece of a large body that is arriving is read straight to
    /// where it stays. Then nothing may wait in `buffer`.
    ///
    /// # Errors
    ///
    /// The socket's.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: dropped while it waits, nothing was read.
    pub async fn read_piece(
        &self,
        buffer: &mut ReadBuffer,
        mut piece: Option<Room<'_>>,
    ) -> io::Result<usize> {
        loop {
            let mut ready = pin!(self.stream.readable());
            let cause = self.nudge.wait(|cx| ready.as_mut().poll(cx)).await?;
            let read = if let Some(piece) = &mut piece {
                self.read_into(piece, buffer)
            } else {
                let read = match cause {
                    Cause::Ready => self.stream.try_read(buffer.room()),
                    Cause::Nudged => self.stream.try_read_now(buffer.room()),
                };
                read.inspect(|count| buffer.filled(*count))
            };
            match read {
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                read => return read,
            }
        }
    }

    /// Reads once, to behind what has come of a piece and past its end; what follows it goes on to
    /// `buffer`.
    fn read_into(&self, piece: &mut Room<'_>, buffer: &mut ReadBuffer) -> io::Result<usize> {
        let before = piece.bytes.len();
        let room = (piece.most + Room::BEYOND).min(piece.bytes.capacity() - before);
        let count = self.stream.try_read_more(piece.bytes, room)?;
        let taken = count.min(piece.most);
        *piece.left -= taken;
        buffer.passed(taken, &piece.bytes[before + taken..]);
        piece.bytes.truncate(before + taken);
        Ok(count)
    }

    /// Has the task that reads try, although the runtime does not know that something is there.
    pub fn nudge(&self) {
        self.nudge.nudge();
    }

    /// The bytes to send.
    pub fn outbox(&self) -> &Outbox {
        &self.outbox
    }

    /// The credit for large bodies.
    pub fn credit(&self) -> &SendCredit {
        &self.credit
    }

    /// Appends frames that need no credit and sees to it that they are written.
    ///
    /// # Errors
    ///
    /// [`Ended::Closed`].
    pub fn send(&self, write: impl FnOnce(&mut Vec<u8>)) -> Result<(), Ended> {
        if self.outbox.append(write)?.owner {
            self.outbox.write_or_leave(&self.stream);
        }
        Ok(())
    }

    /// Appends a request, waiting for room.
    ///
    /// # Errors
    ///
    /// [`Ended::Sealed`] or [`Ended::Closed`], never [`Ended::Full`].
    ///
    /// # Cancel safety
    ///
    /// Dropped while it waits, nothing was appended.
    pub async fn request(&self, mut write: impl FnMut(&mut Vec<u8>)) -> Result<super::Sent, Ended> {
        let mut sent = self.outbox.append_request(&mut write);
        while matches!(sent, Err(Ended::Full)) {
            self.outbox.room().await;
            sent = self.outbox.append_request(&mut write);
            self.outbox.pass_on();
        }
        sent
    }

    /// Runs the task that writes what the socket refused, until the connection ends.
    pub async fn flush(&self) {
        if self.outbox.flusher(&self.stream).await.is_err() {
            // What the peer has sent can still be read; then the reader sees the end.
            self.shutdown();
        }
    }

    /// Ends everything that is sent; the position that reached the kernel.
    pub fn close(&self) -> u64 {
        self.credit.close();
        self.outbox.close()
    }

    /// Shuts the socket down in both directions: the reader sees the end of the stream.
    pub fn shutdown(&self) {
        let _ = self.stream.shutdown(Shutdown::Both);
    }

    /// Says that nothing more will be sent; the peer may still send.
    ///
    /// # Errors
    ///
    /// When the socket is gone already.
    pub fn half_close(&self) -> io::Result<()> {
        self.stream.shutdown(Shutdown::Write)
    }
}
