//! When to end: after a time, or with Ctrl-C or SIGTERM.

use rpc_core::SetupError;
use std::time::Duration;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
    time::sleep,
};

/// Becomes true when it is time to end.
pub(crate) type Stop = watch::Receiver<bool>;

/// Listens for signals from here on, and for the end of `after`.
///
/// # Errors
///
/// Signals cannot be listened for.
pub(crate) fn stop(after: Option<Duration>) -> Result<Stop, SetupError> {
    let listen = |kind| signal(kind).map_err(|e| SetupError::new(e.to_string()));
    let mut interrupt = listen(SignalKind::interrupt())?;
    let mut terminate = listen(SignalKind::terminate())?;
    let (sender, receiver) = watch::channel(false);
    tokio::spawn(async move {
        let time = async {
            match after {
                Some(after) => sleep(after).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = time => {}
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        // Nobody listens any more: then it has ended already.
        let _ = sender.send(true);
    });
    Ok(receiver)
}
