//! What both ends of a connection are made of. For `rpc-client` and `rpc-server`; no stability.
//!
//! [`Link`] is the sending half that calls and replies share: an [`Outbox`] and the credit for
//! large bodies. [`ReadBuffer`] and [`Assembly`] are the receiving half. [`DelayMeter`] turns the
//! senders' clock readings into time lost on the way. [`Network`] is where both come from: TCP, or
//! what a test puts in its place.
//! [`Calm`] says when buffers are large for no reason any more.

mod assembly;
mod body;
mod calm;
mod credit;
mod delay;
mod large;
mod link;
mod network;
mod nudge;
mod outbox;
mod read_buffer;
mod socket;

pub use assembly::{Assembly, Progress, Room};
pub use body::Body;
pub use calm::Calm;
pub use credit::{BodyWindow, CreditError, SendCredit, Taken};
pub use delay::DelayMeter;
pub use large::Sending;
pub use link::{Link, Message};
pub use network::{Accept, Network, Port, Transport};
pub use outbox::{Ended, Outbox, Sent};
pub use read_buffer::ReadBuffer;
pub use socket::{Socket, Stream};

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks a mutex that guards plain data: a panic elsewhere leaves nothing half-done behind, since
/// no user code ever runs under a lock of ours.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
