//! Fault tests: providers, networks and registries that fail under load, and what calls see of it.
//!
//! Consumers here have no retry and no filter of their own. Each handler writes the key of its
//! call down before it answers, and every test compares what callers were told with what was
//! written. Counts are asserted exactly; times are only limits of waits, ten times what is
//! expected. One test runs at a time.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod ledger;
#[path = "../nodes/mod.rs"]
mod nodes;
mod scene;
mod steady;
mod witness;

mod abuse;
mod consumer;
mod crowd;
mod garbage;
mod links;
mod network;
mod overload;
mod process;
mod registry;
mod sessions;
mod snapshot;
mod tokens;

/// What the processes that other tests start run; nothing by itself.
#[test]
#[ignore = "runs in processes that other tests start"]
fn provider_process() {
    scene::provider_process();
}

/// The same, for clients.
#[test]
#[ignore = "runs in processes that other tests start"]
fn consumer_process() {
    consumer::consumer_process();
}
