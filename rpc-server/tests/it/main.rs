//! The server against scripted peers that speak the protocol byte by byte.
//!
//! Waits are bounded at ten times what the promise says; nothing asserts how fast something is.

mod support;

mod calls;
mod cancel;
mod deadlines;
mod descriptors;
mod drops;
mod greeting;
mod hostile;
mod large;
mod leaving;
mod limits;
mod panics;
mod selection;
mod start;
