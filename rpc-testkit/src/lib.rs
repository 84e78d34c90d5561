//! Faults for integration tests: throw-away ZooKeeper servers, a TCP chaos proxy.

pub mod proxy;
pub mod zookeeper;

/// The example of the README is compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
mod readme {}
