//! The sending half of a connection, as calls, replies and the reader share it.

use super::{CreditError, Ended, Outbox, ReadBuffer, Room, SendCredit, Socket};
use crate::{
    defaults,
    wire::{Header, Kind, flag, put_frame},
};
use std::{io, net::Shutdown};

/// One connection's socket, outbox and credit.
#[derive(Debug)]
pub struct Link {
    stream: Socket,
    outbox: Outbox,
    credit: SendCredit,
}

/// A request, reply or application error, encoded and ready to travel.
#[derive(Debug, Clone, Copy)]
pub struct Message<'a> {
    /// Kind, flags without [`flag::CHUNKED`], aux and call id.
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
        Self { stream, outbox: Outbox::new(), credit: SendCredit::new() }
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
            self.stream.readable().await?;
            let read = match &mut piece {
                Some(piece) => self.read_into(piece, buffer),
                None => self.stream.try_read(buffer.room()).inspect(|count| buffer.filled(*count)),
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
        let room = (*piece.left + Room::BEYOND).min(piece.bytes.capacity() - before);
        let count = self.stream.try_read_more(piece.bytes, room)?;
        let taken = count.min(*piece.left);
        *piece.left -= taken;
        buffer.passed(taken, &piece.bytes[before + taken..]);
        piece.bytes.truncate(before + taken);
        Ok(count)
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

    /// Sends a large message piece by piece, as credit comes, and returns the position after its
    /// last byte.
    ///
    /// # Errors
    ///
    /// [`Ended::Sealed`] when a request came too late, [`Ended::Closed`] when the connection ended.
    ///
    /// # Cancel safety
    ///
    /// Dropped half-way, the peer waits for the rest: send a cancel for a request; a reply must be
    /// sent to its end.
    pub async fn send_large(&self, message: Message<'_>) -> Result<u64, Ended> {
        self.send_large_then(message, || {}).await
    }

    /// The same; `before_last` is run before the last piece is appended, once nothing is waited
    /// for any more.
    ///
    /// # Errors
    ///
    /// As [`send_large`](Self::send_large).
    ///
    /// # Cancel safety
    ///
    /// As [`send_large`](Self::send_large).
    pub async fn send_large_then(
        &self,
        message: Message<'_>,
        before_last: impl FnOnce(),
    ) -> Result<u64, Ended> {
        let mut before_last = Some(before_last);
        let window = self.credit.open(message.header.id);
        let total = u32::try_from(message.body.len()).unwrap_or(u32::MAX);
        let mut rest = message.body;
        let mut first = true;
        loop {
            let taken = window.take(rest.len()).await.map_err(|CreditError| Ended::Closed)?;
            let (piece, later) = rest.split_at(taken.length());
            rest = later;
            if rest.is_empty()
                && let Some(before_last) = before_last.take()
            {
                before_last();
            }
            let put = |out: &mut Vec<u8>| {
                let header = if first {
                    Header { flags: message.header.flags | flag::CHUNKED, ..message.header }
                } else {
                    Header { kind: Kind::Data, flags: 0, aux: 0, id: message.header.id }
                };
                put_frame(out, header, |out| {
                    if first {
                        out.extend_from_slice(message.head);
                        out.extend_from_slice(&total.to_le_bytes());
                    }
                    out.extend_from_slice(piece);
                });
            };
            let request = first && message.header.kind == Kind::Request;
            let sent = if request { self.request(put).await? } else { self.outbox.append(put)? };
            taken.sent();
            if sent.owner {
                self.outbox.write_or_leave(&self.stream);
            }
            if rest.is_empty() {
                return Ok(sent.end);
            }
            first = false;
        }
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
        loop {
            match self.outbox.append_request(&mut write) {
                Err(Ended::Full) => self.outbox.room().await,
                other => return other,
            }
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::{TcpListener, TcpStream};

    #[tokio::test]
    async fn what_comes_before_the_last_piece_is_done_before_it_is_sent() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let _far = listener.accept().await.unwrap();
        let link = Link::new(Socket::tcp(near).unwrap());
        let header = Header { kind: Kind::Reply, flags: 0, aux: 0, id: 1 };
        let body = vec![0; defaults::SMALL_BODY as usize * 3];
        let mut before = None;
        let message = Message { header, head: &[], body: &body };
        let appended = || link.outbox().written() + link.outbox().unsent() as u64;
        let end = link.send_large_then(message, || before = Some(appended())).await;
        let (before, end) = (before.unwrap(), end.unwrap());
        assert!(before < end, "{before} {end}");
    }
}
