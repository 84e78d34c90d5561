//! One seed is one story.

use crate::ledger::{clerks, client, load_with};
use rpc_testkit::lab::{Event, Lab, Script};
use std::time::Duration;
use tokio::time::Instant;

/// Everything that a caller can see of a run: when each call ended, and how.
fn history(seed: u64) -> Vec<(String, Duration, Duration, String)> {
    let run = Lab::simulated(seed).run(async |mut lab: Lab| {
        clerks(&mut lab, 3).await;
        let client = client(&mut lab, |client| client).await;
        let load = load_with(&mut lab, &client, 100, |turn| {
            (u32::from(turn.idempotent) * 30 + 100, 10_000)
        });
        let began = Instant::now();
        let ms = Duration::from_millis;
        let script = Script::new()
            .at(ms(400), Event::Reset(0))
            .at(ms(700), Event::Kill(1))
            .at(ms(900), Event::SessionExpired(2))
            .at(ms(1_000), Event::Partition(0))
            .at(ms(4_000), Event::Restart(1))
            .at(ms(4_500), Event::Heal(0))
            .until(ms(6_000));
        lab.play(script).await;
        let calls = load.finish().await;
        let mut history: Vec<_> = calls
            .0
            .into_iter()
            .map(|call| {
                let result = call.result.unwrap_or_else(|e| e.to_string());
                (call.key, call.began - began, call.ended - began, result)
            })
            .collect();
        history.sort();
        history
    });
    run.unwrap()
}

/// Whether two calls are the same part of a story. Periods of the client begin at multiples of
/// their length since the process began, not the run: a tick may fall a few ms earlier or later.
fn alike(
    one: &(String, Duration, Duration, String),
    other: &(String, Duration, Duration, String),
) -> bool {
    let near = |a: Duration, b: Duration| a.abs_diff(b) <= Duration::from_millis(5);
    one.0 == other.0 && near(one.1, other.1) && near(one.2, other.2) && one.3 == other.3
}

#[test]
fn a_seed_tells_the_same_story_each_time() {
    let first = history(7);
    assert!(first.iter().any(|(key, _, _, result)| key != result), "a call was lost");
    for _ in 0..3 {
        let again = history(7);
        let differ = first.iter().zip(&again).find(|(one, other)| !alike(one, other));
        assert_eq!(differ, None);
        assert_eq!(first.len(), again.len());
    }
    assert_ne!(first, history(8), "another seed, another story");
}
