//! What an interface of futures over one multiplexed connection allows, with nothing else: no
//! errors worth the name, deadlines, limits, credit or cancellation. The yardstick.
//!
//! A call takes a [slot](slots) for its reply and encodes into the connection's [outbox]. The
//! server polls a handler where its request was read, and spawns it only if it has to wait.

mod client;
mod outbox;
mod server;
mod slots;
mod steps;

pub use client::Client;
pub use server::serve;

/// Bytes that are read at once.
const READ: usize = 128 * 1024;
/// A body longer than this is read straight to where it stays.
const LONG: usize = 32 * 1024;

/// What is done differently to be compared with it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Variant {
    /// The server spawns a task for each request.
    pub spawn: bool,
    /// A caller that finds the outbox unowned writes at once, without waiting for others.
    pub at_once: bool,
}
