//! Faults for integration tests: throw-away ZooKeeper servers, a TCP chaos proxy.

pub mod proxy;
pub mod zookeeper;
