//! The contracts of the demo: what its consumer calls and its provider serves.
//!
//! A crate of contracts depends on `rpc-core` and serde alone. Each contract has a file of its
//! own: [`chat`], [`users`], and [`orders`], whose provider calls [`users`] in turn.
//!
//! The first argument of most methods is a `key` that names the call. A provider that is asked to
//! notes the key of each call that it runs, so that it can be counted afterwards how often each
//! call ran; see `demo-consumer check`.

pub mod chat;
pub mod orders;
pub mod users;

mod stamp;

pub use chat::{Chat, ChatClient};
pub use orders::{Orders, OrdersClient};
pub use stamp::Stamp;
pub use users::{Users, UsersClient};
