//! Small providers at the beginning of a load, of which quicker calls have said little.

use crate::ledger::{Ledger as _, LedgerClient, clerks_with, client};
use rpc_client::Balance;
use rpc_core::CallOptions;
use rpc_testkit::lab::{Event, Lab};
use std::time::Duration;
use tokio::time::sleep;

const LIMIT: u32 = 8;
/// Half of what three such providers can do with calls of [`HOLD`] ms.
const RATE: u32 = 120;
const HOLD: u32 = 100;

/// Nobody is filled while the others have room, though one was the quickest by far, or the others
/// have not answered a call yet.
async fn half_load(mut lab: Lab, known: usize) {
    clerks_with(&mut lab, 3, |server| server.max_in_flight(LIMIT)).await;
    let client = client(&mut lab, |client| client).await;
    let once = CallOptions::new().retries(0);
    let ledger: LedgerClient = client.get();
    for slow in [1, 2] {
        lab.apply(Event::Slow(slow, Duration::from_millis(2))).await;
    }
    // Whatever was known is forgotten, but of those that answer now.
    sleep(Duration::from_secs(20)).await;
    let turns = ledger.with_options(once.clone().balance(Balance::RoundRobin));
    for _ in 0..known {
        turns.who().await.unwrap();
    }
    let once = ledger.with_options(once);
    let load = lab.load(RATE, move |turn| {
        let once = once.clone();
        async move { Ok(once.book(turn.key, HOLD, Vec::new()).await?.key) }
    });
    sleep(Duration::from_secs(1)).await;
    let calls = load.finish().await;
    assert!(calls.0.len() >= 100);
    calls.none_failed();
}

#[test]
fn half_of_what_all_can_do_fills_nobody_whatever_quicker_calls_have_said() {
    for seed in 0..20 {
        for known in 0..=3 {
            Lab::simulated(seed).run(async |lab| half_load(lab, known).await);
        }
    }
}
