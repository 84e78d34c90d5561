//! Closing a connection so that its last bytes arrive.

use rpc_core::transport::{Link, ReadBuffer};
use std::time::Duration;
use tokio::time::timeout;

/// How long last bytes may take to leave, and a peer to close its side.
const PATIENCE: Duration = Duration::from_secs(1);

/// Sends `last`, says that nothing more will come, and reads to the end: input that nobody has
/// read would turn the close into a reset, which destroys what the peer has not read yet.
pub(super) async fn close_with(link: &Link, last: &[u8]) {
    if link.send(|out| out.extend_from_slice(last)).is_err() {
        return;
    }
    let sent = async {
        tokio::select! {
            () = link.outbox().flushed() => {}
            // Nobody else is there to write what the socket refuses.
            () = link.flush() => {}
        }
    };
    let _ = timeout(PATIENCE, sent).await;
    close(link).await;
}

/// The same when everything has been sent.
pub(super) async fn close(link: &Link) {
    if link.half_close().is_err() {
        return;
    }
    let mut rest = ReadBuffer::new();
    let read_to_end = async {
        while let Ok(1..) = link.read(&mut rest).await {
            rest.consume(usize::MAX);
        }
    };
    let _ = timeout(PATIENCE, read_to_end).await;
}
