//! What takes minutes, or very many providers: in simulated time alone.

use crate::ledger::{Ledger as _, LedgerClient, clerks, clerks_with, client, load_with};
use rpc_client::{Balance, Client, EndpointReport, EndpointState as State};
use rpc_core::{CallOptions, defaults};
use rpc_testkit::lab::{Event, Lab};
use serde_bytes::ByteBuf;
use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::atomic::Ordering,
    time::Duration,
};
use tokio::{task::JoinSet, time::sleep};

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

fn endpoints(client: &Client) -> Vec<EndpointReport> {
    client.explain("lab.Ledger").known.unwrap().endpoints
}

fn at(client: &Client, addr: SocketAddr) -> Option<EndpointReport> {
    endpoints(client).into_iter().find(|endpoint| endpoint.addr == addr)
}

/// One of two is off the list and goes on answering: it takes calls for ten minutes, and none after.
#[test]
fn who_is_off_the_list_and_answers_is_kept_for_ten_minutes_and_no_longer() {
    Lab::simulated(1).run(async |mut lab| {
        let manners = clerks(&mut lab, 2).await;
        let given = || manners[0].given.load(Ordering::Relaxed);
        let client = client(&mut lab, |client| client.balance(Balance::RoundRobin)).await;
        let load = load_with(&mut lab, &client, 5, |_| (1, 0));
        lab.apply(Event::NodesGone(vec![0])).await;
        sleep(defaults::PROBATION.mul_f64(0.98)).await;
        let kept = at(&client, lab.addr(0)).unwrap();
        assert_eq!(kept.state, State::Probation, "{kept}");
        assert!(kept.why.contains("answers as the same instance; it is given up in "), "{kept}");
        let before = given();
        assert!(before >= 2 * 500, "{before} calls");
        sleep(secs(5)).await;
        assert!(given() > before, "it takes calls to the end");
        sleep(secs(10)).await;
        let gone = at(&client, lab.addr(0)).unwrap();
        assert_eq!((gone.state, gone.eligible), (State::Gone, false), "{gone}");
        assert!(gone.why.starts_with("the registry has not listed it for 10 min"), "{gone}");
        let before = given();
        sleep(secs(5)).await;
        assert_eq!(given(), before, "its time is over");
        // It comes back like a new one.
        lab.apply(Event::RegistryBack(0)).await;
        sleep(secs(20)).await;
        assert_eq!(at(&client, lab.addr(0)).unwrap().state, State::Serving);
        assert!(given() > before);
        let calls = load.finish().await;
        calls.none_failed();
        calls.agree_with(&lab.tally().executions(), secs(10));
    });
}

/// Connections that many calls at once have made are closed when nothing needs them.
#[test]
fn connections_that_were_not_needed_for_a_minute_are_closed() {
    const AT_ONCE: usize = 200;
    Lab::simulated(2).run(async |mut lab| {
        clerks_with(&mut lab, 1, |server| server.max_in_flight_per_connection(64)).await;
        let client = client(&mut lab, |client| client.connections(1..=4)).await;
        let ledger: LedgerClient = client.get();
        let mut calls = JoinSet::new();
        for n in 0..AT_ONCE {
            let ledger = ledger.clone();
            calls.spawn(async move { ledger.book(format!("{n}"), 2_000, ByteBuf::new()).await });
        }
        sleep(secs(1)).await;
        assert_eq!(lab.stats(0).await.unwrap().connections, 4);
        while let Some(call) = calls.join_next().await {
            call.unwrap().unwrap();
        }
        let load = load_with(&mut lab, &client, 5, |_| (1, 0));
        sleep(defaults::CONNECTION_IDLE / 2).await;
        assert_eq!(lab.stats(0).await.unwrap().connections, 4, "they may be needed again");
        sleep(3 * defaults::CONNECTION_IDLE).await;
        assert_eq!(lab.stats(0).await.unwrap().connections, 1);
        load.finish().await.none_failed();
    });
}

/// Of a hundred listed providers a client uses some, whatever its strategy.
#[test]
fn every_strategy_works_within_a_subset() {
    Lab::simulated(3).run(async |mut lab| {
        clerks(&mut lab, 100).await;
        for &balance in Balance::ALL {
            let client = client(&mut lab, |client| client.balance(balance)).await;
            let serving = endpoints(&client).iter().filter(|e| e.state == State::Serving).count();
            assert_eq!(serving, defaults::MIN_SUBSET, "{balance}");
            let ledger: LedgerClient = client.get();
            let mut seen = BTreeMap::<usize, BTreeSet<usize>>::new();
            for n in 0..240 {
                let key = n % 24;
                let options = CallOptions::new().hash_key(key.to_string());
                let who = ledger.clone().with_options(options).who().await.unwrap();
                seen.entry(key).or_default().insert(who);
            }
            let all: BTreeSet<_> = seen.values().flatten().collect();
            assert!((2..=defaults::MIN_SUBSET).contains(&all.len()), "{balance}: {all:?}");
            let keeps = seen.values().all(|who| who.len() == 1);
            assert!(keeps || balance != Balance::ConsistentHash, "{seen:?}");
        }
    });
}
