//! What a client does while nothing happens: next to nothing, also while an endpoint is out of
//! rotation. Looks are counted under paused time, where a task that wakes another without end
//! would never let the clock go on.

use crate::ledger::{Ledger as _, LedgerClient, clerks, client};
use rpc_client::{Client, EndpointState};
use rpc_testkit::lab::{Event, Lab};
use serde_bytes::ByteBuf;
use std::{
    panic::resume_unwind,
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::Duration,
};
use tokio::time::{Instant, sleep};

/// Runs a story of the laboratory; one that does not end fails.
fn story(story: impl AsyncFnOnce(Lab) + Send + 'static) {
    let (done, ended) = mpsc::channel();
    let run = thread::spawn(move || {
        Lab::simulated(1).run(story);
        let _ = done.send(());
    });
    // It takes some 50 ms.
    let ended = ended.recv_timeout(MINUTE);
    assert_ne!(ended, Err(RecvTimeoutError::Timeout), "tasks wake one another without end");
    if let Err(panic) = run.join() {
        resume_unwind(panic);
    }
}

const MINUTE: Duration = Duration::from_mins(1);

async fn looks_in_a_minute(client: &Client) -> u64 {
    let before = client.stats().reviews;
    sleep(MINUTE).await;
    client.stats().reviews - before
}

fn states(client: &Client) -> Vec<EndpointState> {
    let known = client.explain("lab.Ledger").known.unwrap();
    known.endpoints.into_iter().map(|endpoint| endpoint.state).collect()
}

/// Waits until the first provider is in this state, the second serves.
async fn until(client: &Client, state: EndpointState) {
    let end = Instant::now() + MINUTE;
    while states(client) != [state, EndpointState::Serving] {
        assert!(Instant::now() < end, "{}", client.explain("lab.Ledger"));
        sleep(Duration::from_millis(1)).await;
    }
}

#[test]
fn nobody_looks_at_endpoints_to_which_nothing_happens() {
    story(async |mut lab: Lab| {
        clerks(&mut lab, 2).await;
        let client = client(&mut lab, |client| client).await;
        // Warmed up.
        sleep(Duration::from_secs(15)).await;
        assert_eq!(looks_in_a_minute(&client).await, 0);
    });
}

#[test]
fn an_endpoint_that_waits_to_be_tried_by_a_call_is_looked_at_once_a_second() {
    story(async |mut lab: Lab| {
        clerks(&mut lab, 2).await;
        let client = client(&mut lab, |client| client).await;
        sleep(Duration::from_secs(15)).await;
        let ledger: LedgerClient = client.get();
        // Five deadlines that pass take it out.
        let hasty = rpc_core::CallOptions::new().timeout(Duration::from_millis(50)).retries(0);
        let hasty = ledger.with_options(hasty.balance(rpc_client::Balance::RoundRobin));
        lab.apply(Event::Slow(0, Duration::from_millis(100))).await;
        for n in 0..10 {
            let _ = hasty.book(format!("late-{n}"), 0, ByteBuf::new()).await;
        }
        lab.apply(Event::Heal(0)).await;
        assert_eq!(states(&client), [EndpointState::Ejected, EndpointState::Serving]);
        // It is out for a second at most, and then on probe.
        sleep(Duration::from_secs(2)).await;
        assert_eq!(looks_in_a_minute(&client).await, 60);
        assert_eq!(states(&client), [EndpointState::Ejected, EndpointState::Serving]);
        // Two calls bring it back, and each is a reason to look.
        let before = client.stats().reviews;
        for _ in 0..2 {
            ledger.who().await.unwrap();
        }
        until(&client, EndpointState::Serving).await;
        assert_eq!(client.stats().reviews - before, 2);
    });
}

#[test]
fn an_endpoint_whose_connections_broke_is_tried_with_one_ping() {
    story(async |mut lab: Lab| {
        clerks(&mut lab, 2).await;
        let client = client(&mut lab, |client| client).await;
        sleep(Duration::from_secs(15)).await;
        for _ in 0..5 {
            until(&client, EndpointState::Serving).await;
            lab.apply(Event::Reset(0)).await;
            sleep(Duration::from_millis(200)).await;
        }
        until(&client, EndpointState::Ejected).await;
        until(&client, EndpointState::Serving).await;
        // Its faults would be forgotten by now if a call had gone well since.
        sleep(Duration::from_secs(40)).await;
        assert_eq!(looks_in_a_minute(&client).await, 60);
        let ledger: LedgerClient = client.get();
        while ledger.who().await.unwrap() != 0 {}
        sleep(Duration::from_secs(1)).await;
        assert_eq!(looks_in_a_minute(&client).await, 0);
    });
}
