//! Faults for integration tests: throw-away ZooKeeper servers, a TCP chaos proxy, a scripted peer,
//! processes to kill, and a load whose every call is accounted for.

pub mod journal;
pub mod load;
pub mod peer;
pub mod process;
pub mod proxy;
pub mod zookeeper;

/// The example of the README is compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
mod readme {}
