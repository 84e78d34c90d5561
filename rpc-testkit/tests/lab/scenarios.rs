//! Single faults and pairs of them, each in both kinds of laboratory.

use crate::ledger::{Ledger as _, LedgerClient, check, clerks, client, load};
use rpc_testkit::lab::{Event, Lab, Lie, Script};
use serde_bytes::ByteBuf;
use std::time::Duration;

/// Seeds that each scenario is simulated with.
const SEEDS: u64 = 5;

/// A scenario as two tests.
macro_rules! scenarios {
    ($($name:ident: $scenario:expr;)*) => {$(
        mod $name {
            use super::*;

            #[test]
            fn simulated() {
                for seed in 0..SEEDS {
                    let run = || Lab::simulated(seed).run($scenario);
                    if std::panic::catch_unwind(run).is_err() {
                        panic!("with seed {seed}");
                    }
                }
            }

            #[test]
            fn real() {
                let name = concat!("lab::", stringify!($name));
                Lab::real(name).run($scenario);
            }
        }
    )*};
}

scenarios! {
    session_expired: session_expired;
    half_of_the_nodes_gone: async |lab| nodes_gone(lab, vec![0, 1]).await;
    all_nodes_gone: async |lab| nodes_gone(lab, vec![0, 1, 2, 3]).await;
    partition_of_one_provider: partition;
    replies_of_one_provider_lost: replies_lost;
    slow_peer: slow_peer;
    resets_under_load: resets;
    registry_down_then_wiped: registry_wiped;
    provider_paused: paused;
    provider_killed_and_restarted: killed;
    rolling_restart: rolling;
    two_faults_within_a_second: two_faults;
    only_provider_killed_and_restarted: the_only_one;
    all_providers_unlisted_and_their_connections_reset: unlisted_and_reset;
    new_clients_beside_a_mute_address: new_clients;
}

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// Plays the script under load against so many providers; how many calls failed that are not
/// idempotent. None of the others may.
async fn failed(lab: &mut Lab, providers: usize, hold: u32, script: Script) -> usize {
    clerks(lab, providers).await;
    // Hedges are second executions too, and have tests of their own.
    let client = client(lab, |client| client.hedging(0.0)).await;
    let load = load(lab, &client, hold);
    lab.play(script).await;
    let calls = load.finish().await;
    assert!(calls.0.len() >= 100, "only {} calls", calls.0.len());
    let slack = if lab.is_simulated() { ms(10) } else { secs(1) };
    assert!(calls.failed().iter().all(|(call, _)| !call.idempotent), "{}", calls.failures());
    check(lab, &calls, slack)
}

async fn session_expired(mut lab: Lab) {
    let script = Script::new()
        .at(secs(1), Event::SessionExpired(0))
        .at(secs(2), Event::SessionExpired(1))
        .until(secs(6));
    assert_eq!(failed(&mut lab, 2, 5, script).await, 0);
    assert_eq!(lab.tally().repeated(), 0);
}

async fn nodes_gone(mut lab: Lab, gone: Vec<usize>) {
    let mut script = Script::new().at(secs(1), Event::NodesGone(gone.clone())).until(secs(7));
    for provider in gone {
        script = script.at(secs(5), Event::RegistryBack(provider));
    }
    assert_eq!(failed(&mut lab, 4, 5, script).await, 0);
    assert_eq!(lab.tally().repeated(), 0);
}

async fn partition(mut lab: Lab) {
    let script =
        Script::new().at(secs(1), Event::Partition(0)).at(secs(6), Event::Heal(0)).until(secs(9));
    assert_eq!(failed(&mut lab, 3, 5, script).await, 0, "the partition ends before the deadline");
}

async fn replies_lost(mut lab: Lab) {
    let script =
        Script::new().at(secs(1), Event::RepliesLost(0)).at(secs(6), Event::Heal(0)).until(secs(9));
    assert_eq!(failed(&mut lab, 3, 5, script).await, 0, "it ends before the deadline");
}

async fn slow_peer(mut lab: Lab) {
    let script = Script::new()
        .at(secs(1), Event::Slow(0, ms(300)))
        .at(secs(4), Event::Narrow(0, 20_000))
        .at(secs(6), Event::Heal(0))
        .until(secs(8));
    assert_eq!(failed(&mut lab, 2, 5, script).await, 0);
    assert_eq!(lab.tally().repeated(), 0);
}

async fn resets(mut lab: Lab) {
    let mut script = Script::new().until(secs(7));
    for (at, provider) in [(1, 0), (2, 1), (3, 0), (4, 1), (5, 0)] {
        script = script.at(secs(at), Event::Reset(provider));
    }
    let failed = failed(&mut lab, 2, 20, script).await;
    // Of 100 calls a second that take 20 ms and a little, some 2 are in flight, at 2 providers.
    assert!(failed <= 5 * 4, "{failed} failed");
}

async fn registry_wiped(mut lab: Lab) {
    let script = Script::new()
        .at(secs(1), Event::RegistryDown)
        .at(secs(5), Event::RegistryWiped)
        .at(secs(6), Event::RegistryUp)
        .until(secs(10));
    assert_eq!(failed(&mut lab, 3, 5, script).await, 0);
    assert_eq!(lab.tally().repeated(), 0);
}

async fn paused(mut lab: Lab) {
    let script =
        Script::new().at(secs(1), Event::Pause(1)).at(secs(6), Event::Resume(1)).until(secs(9));
    assert_eq!(failed(&mut lab, 2, 5, script).await, 0, "the pause ends before the deadline");
}

async fn killed(mut lab: Lab) {
    let script = Script::new()
        .at(secs(1), Event::Kill(0))
        .at(secs(3), Event::Restart(0))
        .at(secs(5), Event::Kill(1))
        .at(ms(5_500), Event::Restart(1))
        .until(secs(8));
    let failed = failed(&mut lab, 2, 20, script).await;
    assert!(failed <= 2 * 4, "{failed} failed");
}

async fn rolling(mut lab: Lab) {
    let mut script = Script::new();
    for (provider, at) in [(0, 1), (1, 4), (2, 7)] {
        let begin = secs(at);
        script =
            script.at(begin, Event::Stop(provider)).at(begin + ms(100), Event::Restart(provider));
    }
    assert_eq!(failed(&mut lab, 3, 20, script.until(secs(11))).await, 0);
    assert_eq!(lab.tally().repeated(), 0);
}

async fn two_faults(mut lab: Lab) {
    let script = Script::new()
        .at(secs(1), Event::RegistryDown)
        .at(ms(1_400), Event::Kill(0))
        .at(ms(1_900), Event::Reset(1))
        .at(secs(3), Event::RegistryUp)
        .at(secs(4), Event::Partition(1))
        .at(ms(4_500), Event::Restart(0))
        .at(secs(8), Event::Heal(1))
        .until(secs(11));
    let failed = failed(&mut lab, 3, 20, script).await;
    assert!(failed <= 2 * 4, "{failed} failed");
}

async fn the_only_one(mut lab: Lab) {
    let script =
        Script::new().at(secs(1), Event::Kill(0)).at(secs(2), Event::Restart(0)).until(secs(5));
    let failed = failed(&mut lab, 1, 20, script).await;
    assert!(failed <= 6, "{failed} failed");
}

/// What takes the providers off the list cuts their connections, too, and they stay off it for
/// longer than a call waits for one that was lost.
async fn unlisted_and_reset(mut lab: Lab) {
    let mut script = Script::new().at(secs(1), Event::NodesGone(vec![0, 1]));
    for provider in [0, 1] {
        script = script
            .at(ms(1_200), Event::Reset(provider))
            .at(secs(12), Event::RegistryBack(provider));
    }
    let failed = failed(&mut lab, 2, 20, script.until(secs(14))).await;
    assert!(failed <= 2 * 4, "{failed} failed");
}

/// The first call of a client finds one address that never answers and one that does.
async fn new_clients(mut lab: Lab) {
    clerks(&mut lab, 1).await;
    lab.apply(Event::Listed("lab.Ledger".to_owned(), Lie::Mute)).await;
    for n in 0..20 {
        let client = lab.client(|client| client).await;
        let ledger: LedgerClient = client.get();
        let page = ledger.book(format!("new-{n}"), 0, ByteBuf::new()).await;
        assert!(page.is_ok(), "{page:?}\n{}", client.explain("lab.Ledger"));
    }
    assert_eq!(lab.tally().repeated(), 0);
}
