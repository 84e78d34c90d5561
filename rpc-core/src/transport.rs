//! What both ends of a connection are made of. For `rpc-client` and `rpc-server`; no stability.

mod body;

pub use body::Body;
