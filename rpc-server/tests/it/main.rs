//! The server against scripted peers that speak the protocol byte by byte.
//!
//! Waits are bounded at ten times what the promise says; nothing asserts how fast something is.

#![allow(clippy::unwrap_used, reason = "the helpers of tests fail as tests do")]
#![allow(unreachable_pub, reason = "there is nobody to reach them")]

mod support;

mod calls;
mod cancel;
mod config;
mod deadlines;
mod descriptors;
mod drops;
mod gathered;
mod greeting;
mod hostile;
mod large;
mod leaving;
mod limits;
mod overload;
mod panics;
mod selection;
mod signals;
mod start;
mod tokens;
mod turns;
