//! Small providers at the beginning of a load, of which quicker calls have said little.

use crate::ledger::{Ledger as _, LedgerClient, clerks_with, client};
use rpc_client::Balance;
use rpc_core::CallOptions;
use rpc_testkit::{
    lab::{Event, Lab},
    load::Calls,
};
use serde_bytes::ByteBuf;
use std::time::Duration;
use tokio::time::{Instant, sleep};

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
        async move { Ok(once.book(turn.key, HOLD, ByteBuf::new()).await?.key) }
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

/// A provider that was silent has its share of the load again at once, so that the others are not
/// filled for as long as its slowness would be remembered.
async fn resumed(mut lab: Lab) {
    clerks_with(&mut lab, 3, |server| server.max_in_flight(LIMIT)).await;
    let client = client(&mut lab, |client| client).await;
    let once: LedgerClient = client.get();
    let once = once.with_options(CallOptions::new().retries(0));
    let load = lab.load(RATE, move |turn| {
        let once = once.clone();
        async move { Ok(once.book(turn.key, HOLD, ByteBuf::new()).await?.key) }
    });
    sleep(Duration::from_secs(1)).await;
    lab.apply(Event::Pause(1)).await;
    sleep(Duration::from_secs(5)).await;
    lab.apply(Event::Resume(1)).await;
    let resumed = Instant::now();
    sleep(Duration::from_secs(5)).await;
    let Calls(calls) = load.finish().await;
    let after = calls.into_iter().filter(|call| call.began > resumed + Duration::from_millis(300));
    let after = Calls(after.collect());
    assert!(after.0.len() >= 500);
    after.none_failed();
}

#[test]
fn who_was_silent_has_its_share_again_at_once() {
    for seed in 0..20 {
        Lab::simulated(seed).run(resumed);
    }
}
