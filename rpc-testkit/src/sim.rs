//! A network and a registry inside one process, for tests under tokio's paused clock.
//!
//! Nothing here touches a socket or a thread: bytes are on their way for as long as the
//! [`Path`] between two addresses says, and everybody who waits is woken by a timer or by the
//! other side. So a test of minutes takes milliseconds, and whatever is random comes from a seed.
//!
//! [`Lab`](crate::lab::Lab) puts these together; use them directly for what it does not cover.

mod host;
mod net;
mod path;
mod pipe;
mod records;
mod registry;
mod session;
mod socket;
mod state;

pub use host::SimHost;
pub use net::SimNet;
pub use path::Path;
pub use registry::{SimRegistry, SimRegistryHandle};
