//! Contracts in use: what the attributes generate, called through an in-process [`loopback`].
#![deny(warnings, clippy::pedantic)]
#![allow(clippy::unwrap_used, reason = "a test that can't go on panics")]
#![allow(
    clippy::many_single_char_names,
    clippy::too_many_arguments,
    clippy::ptr_arg,
    reason = "unusual arguments are the point of some tests"
)]

mod arguments;
mod context;
mod contracts;
mod instances;
mod keys;
mod loopback;
mod metadata;
mod results;
