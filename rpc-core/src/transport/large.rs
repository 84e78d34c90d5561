//! Sending large messages: piece by piece, as credit comes, from where the body lies.

use super::{Body, BodyWindow, CreditError, Ended, Link, Message, Sent, Taken, outbox::SLICES};
use crate::wire::{Header, Kind, flag, put_header};
use std::io::IoSlice;

/// Pieces that leave in one write. Small frames queue behind them, but a window bounds that, too.
const AT_ONCE: usize = SLICES / 2;

/// A large message that has begun to leave.
///
/// Dropped before its end, the peer waits for the rest: send a cancel for a request; a reply must
/// be sent to its end.
#[derive(Debug)]
pub struct Sending<'a> {
    link: &'a Link,
    window: BodyWindow<'a>,
    id: u64,
    rest: &'a [u8],
    /// The position after the last byte so far.
    end: u64,
}

impl Link {
    /// Sends a large message piece by piece, as credit comes, and returns the position after its
    /// last byte.
    ///
    /// # Errors
    ///
    /// [`Ended::Sealed`] when a request came too late, [`Ended::Closed`] when the connection ended.
    ///
    /// # Cancel safety
    ///
    /// As [`Sending`].
    pub async fn send_large(&self, message: Message<'_>) -> Result<u64, Ended> {
        self.send_large_then(message, || {}).await
    }

    /// The same; `before_last` is run before the last piece is sent, once nothing is waited for any
    /// more.
    ///
    /// # Errors
    ///
    /// As [`send_large`](Self::send_large).
    ///
    /// # Cancel safety
    ///
    /// As [`Sending`].
    pub async fn send_large_then(
        &self,
        message: Message<'_>,
        before_last: impl FnOnce(),
    ) -> Result<u64, Ended> {
        let mut before_last = Some(before_last);
        let sending = self.begin(message, &mut before_last).await?;
        sending.rest(&mut before_last).await
    }

    /// Sends the first pieces of a large message.
    ///
    /// # Errors
    ///
    /// As [`send_large`](Self::send_large).
    ///
    /// # Cancel safety
    ///
    /// Dropped while it waits, nothing was sent.
    pub async fn begin_large<'a>(&'a self, message: Message<'a>) -> Result<Sending<'a>, Ended> {
        self.begin(message, &mut None::<fn()>).await
    }

    async fn begin<'a>(
        &'a self,
        message: Message<'a>,
        before_last: &mut Option<impl FnOnce()>,
    ) -> Result<Sending<'a>, Ended> {
        let mut sending = Sending::new(self, message);
        let first = Pieces::first(message);
        let taken = sending.window.take(message.body.len(), AT_ONCE).await;
        let taken = taken.map_err(|CreditError| Ended::Closed)?;
        let (length, mut waited) = (taken.length(), false);
        let sent = loop {
            if length == message.body.len()
                && let Some(before_last) = before_last.take()
            {
                before_last();
            }
            let sent = first.send(self, message.body, &taken);
            if waited {
                self.outbox.pass_on();
            }
            match sent {
                Err(Ended::Full) => self.outbox.room().await,
                sent => break sent?,
            }
            waited = true;
        };
        taken.sent();
        (sending.end, sending.rest) = (sent.end, &message.body[length..]);
        Ok(sending)
    }

    /// Sends all of a large message if it need not wait for credit, and says whether it did.
    ///
    /// # Errors
    ///
    /// As [`send_large`](Self::send_large).
    pub fn try_send_large(&self, message: Message<'_>) -> Result<bool, Ended> {
        let window = self.credit.open(message.header.id, message.body.len());
        let Some(taken) = window.take_all(message.body.len(), AT_ONCE) else { return Ok(false) };
        let _ = Pieces::first(message).send(self, message.body, &taken)?;
        taken.sent();
        Ok(true)
    }
}

impl<'a> Sending<'a> {
    fn new(link: &'a Link, message: Message<'a>) -> Self {
        let id = message.header.id;
        let window = link.credit.open(id, message.body.len());
        Self { link, window, id, rest: message.body, end: 0 }
    }

    /// Whether nothing is left to be sent.
    pub fn is_complete(&self) -> bool {
        self.rest.is_empty()
    }

    /// The position after the last byte that was sent.
    pub fn end(&self) -> u64 {
        self.end
    }

    /// Sends the next pieces of what is left, once there is credit.
    ///
    /// # Errors
    ///
    /// [`Ended::Closed`].
    ///
    /// # Cancel safety
    ///
    /// Dropped while it waits, none of these pieces was sent.
    pub async fn more(&mut self) -> Result<(), Ended> {
        self.step(&mut None::<fn()>).await
    }

    async fn rest(mut self, before_last: &mut Option<impl FnOnce()>) -> Result<u64, Ended> {
        while !self.rest.is_empty() {
            self.step(before_last).await?;
        }
        Ok(self.end)
    }

    async fn step(&mut self, before_last: &mut Option<impl FnOnce()>) -> Result<(), Ended> {
        let header = Header { kind: Kind::Data, flags: 0, aux: 0, id: self.id };
        let pieces = Pieces { header, head: &[], total: None };
        let taken = self.window.take(self.rest.len(), AT_ONCE).await;
        let taken = taken.map_err(|CreditError| Ended::Closed)?;
        let (now, later) = self.rest.split_at(taken.length());
        if later.is_empty()
            && let Some(before_last) = before_last.take()
        {
            before_last();
        }
        self.end = pieces.send(self.link, now, &taken)?.end;
        self.rest = later;
        taken.sent();
        Ok(())
    }
}

/// How the next pieces of a body are framed.
struct Pieces<'a> {
    /// Of the first of them; the others are data.
    header: Header,
    head: &'a [u8],
    total: Option<u32>,
}

impl<'a> Pieces<'a> {
    /// Those with which a message begins.
    fn first(message: Message<'a>) -> Self {
        let flags = message.header.flags | flag::CHUNKED;
        Self {
            header: Header { flags, ..message.header },
            head: message.head,
            total: Some(u32::try_from(message.body.len()).unwrap_or(u32::MAX)),
        }
    }

    /// Sends as much of `body` as `taken` is credit for.
    fn send(&self, link: &Link, body: &[u8], taken: &Taken<'_>) -> Result<Sent, Ended> {
        let body = &body[..taken.length()];
        let mut heads = Body::new();
        let mut ends = [0; AT_ONCE];
        let mut count = 0;
        for (piece, end) in body.chunks(taken.piece()).zip(&mut ends) {
            self.put_head(count == 0, piece.len(), heads.buffer());
            *end = heads.len();
            count += 1;
        }
        let mut slices = [IoSlice::new(&[]); SLICES];
        let mut start = 0;
        for ((piece, end), pair) in
            body.chunks(taken.piece()).zip(ends).zip(slices.chunks_exact_mut(2))
        {
            pair[0] = IoSlice::new(&heads[start..end]);
            pair[1] = IoSlice::new(piece);
            start = end;
        }
        let begins_request = self.header.kind == Kind::Request;
        let slices = &slices[..2 * count as usize];
        link.outbox.send_slices(&link.stream, slices, count, begins_request)
    }

    /// What a frame with a piece of `length` bytes has in front of it.
    fn put_head(&self, is_first: bool, length: usize, out: &mut Vec<u8>) {
        if let (true, Some(total)) = (is_first, self.total) {
            put_header(out, self.header, self.head.len() + size_of::<u32>() + length);
            out.extend_from_slice(self.head);
            out.extend_from_slice(&total.to_le_bytes());
        } else {
            let header = Header { kind: Kind::Data, flags: 0, aux: 0, id: self.header.id };
            put_header(out, header, length);
        }
    }
}

#[cfg(test)]
mod tests;
