//! Faults for integration tests: a laboratory that plays a script of faults in simulated time or
//! for real, and what it is made of: a simulated network and registry, throw-away ZooKeeper
//! servers, a TCP chaos proxy, a scripted peer, processes to kill, and a load whose every call is
//! accounted for.
//!
//! Begin with [`lab`].

pub mod journal;
pub mod lab;
pub mod load;
pub mod peer;
pub mod process;
pub mod proxy;
pub mod sim;
pub mod zookeeper;

/// The examples of the documents are compiled, and those that can be are run.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
#[doc = include_str!("../../docs/overload.md")]
mod readme {}
