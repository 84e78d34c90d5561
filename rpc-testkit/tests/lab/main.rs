//! Scenarios of the laboratory: the same scripts in simulated time and for real, with exact
//! counts, and random ones in simulated time.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod attempts;
mod failing;
mod filled;
mod ledger;
mod patient;
mod quiet;
mod random;
mod scenarios;
mod seeds;
