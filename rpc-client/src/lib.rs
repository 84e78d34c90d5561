//! The client: finds the providers of a service, spreads calls over them, and sees to it that no
//! call is lost that could be saved.
//!
//! ```no_run
//! # use rpc_core::rpc_client;
//! # #[rpc_client]
//! # pub trait Greeter { async fn greet(&self, name: String) -> rpc_core::Result<String>; }
//! # async fn main_() -> Result<(), Box<dyn std::error::Error>> {
//! use rpc_client::Client;
//!
//! let client = Client::connect("zookeeper://127.0.0.1:2181/rpc").await?;
//! let greeter: GreeterClient = client.get();
//! println!("{}", greeter.greet("Ada".into()).await?);
//! # Ok(()) }
//! ```
//!
//! In reading order: `call` is the policy of one call, `verdict` the table of what is sent again,
//! `budget` what that may cost, `pace` when a call is late,
//! `cluster` the endpoints of a service, `endpoint` one address, `connection` one TCP connection,
//! `pressure` who is told when all of them are full.

#[cfg(feature = "bench")]
#[doc(hidden)]
pub mod bench;

mod builder;
mod explain;

mod client;
mod config;

mod budget;
mod call;
mod pace;
mod verdict;

mod cluster;
mod endpoint;

mod shared;

mod connection;
mod timekeeper;

mod pressure;
mod queue;
mod standing;

mod stats;

mod balance;
mod clock;
mod permits;
mod pool;

pub use builder::ClientBuilder;
pub use client::Client;
pub use config::Config;
pub use endpoint::{EndpointReport, EndpointState};
pub use explain::{Explanation, Knowledge};
pub use pressure::Pressure;
pub use rpc_core::{Balance, UnknownBalance};
pub use stats::ClientStats;

/// Smallest and largest value of `max_message`, in bytes.
pub(crate) const MIN_MESSAGE: u32 = 64 * 1024;
pub(crate) const MAX_MESSAGE: u32 = 1024 * 1024 * 1024;
