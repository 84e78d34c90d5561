//! Contracts in use: what the attributes generate, called through an in-process [`loopback`].
#![deny(warnings, clippy::pedantic, clippy::nursery)]

mod arguments;
mod context;
mod contracts;
mod instances;
mod loopback;
mod metadata;
mod results;
