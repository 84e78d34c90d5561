//! The client against a provider that says exactly what a test wants it to say.

#![allow(clippy::unwrap_used, reason = "the helpers of tests fail as tests do")]
#![allow(unreachable_pub, reason = "there is nobody to reach them")]

mod balance;
mod beside;
mod busy;
mod endpoints;
mod explain;
mod hedging;
mod large;
mod moving;
mod outbox;
mod polled;
mod pool;
mod pressure;
mod script;
mod silence;
mod whole;
