//! Collects the services that are linked in, registers them and serves them.
//!
//! ```no_run
//! # async fn main_() -> Result<(), rpc_core::SetupError> {
//! use rpc_server::Server;
//!
//! // Serves every `#[rpc_service]` impl of the program until Ctrl-C or SIGTERM.
//! Server::builder().bind("0.0.0.0:0").registry("zookeeper://127.0.0.1:2181/rpc").run().await
//! # }
//! ```
//!
//! In reading order, each file knowing only those below it: [`builder`](ServerBuilder) and
//! [`server`](Server) are what a program touches; `lifecycle` has the order of starting and of
//! leaving; `selection` decides what is served and `advertise` under which address; `listener`
//! accepts, `connection` reads frames, `dispatch` is the order of policies for one request;
//! the rest are the parts these are made of.

mod builder;
mod config;
mod server;
mod signals;

mod lifecycle;

mod advertise;
mod runtime;
mod selection;

mod listener;

mod connection;

mod dispatch;
mod task;

mod reply;

mod handler;
mod inline;

mod peers;
mod serving;

mod relief;

mod router;

mod backlog;
mod gates;
mod limits;
mod method_stats;
mod running;
mod stats;

pub use builder::ServerBuilder;
pub use config::Config;
pub use gates::{Limit, UnknownLimit};
pub use method_stats::{LatencyStats, LimitStats, MethodStats};
pub use server::Server;
pub use stats::{Refused, ServerStats};
