//! The load: a quarter of the calls of each kind, made on time whether earlier ones have ended or
//! not.

use crate::{
    Result,
    provider::{Ledger as _, LedgerClient},
    scenario::Scenario,
    stage::Stage,
};
use rpc_client::Client;
use rpc_core::CallOptions;
use rpc_testkit::{
    journal::Executions,
    load::{Call, Load, scatter},
};
use std::time::Duration;
use tokio::time::{Instant, sleep, sleep_until};

/// Calls in flight at most: what a load of 400 a second has if nothing answers within a deadline.
const IN_FLIGHT: usize = 4_096;
/// A handler has begun this long after its deadline at most, by the clocks of two processes.
pub(crate) const DEADLINE: Duration = Duration::from_millis(10_100);

/// Which calls a row is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Kind {
    pub(crate) idempotent: bool,
    /// Whether failed attempts may be followed by others, by the default of the client.
    pub(crate) retries: bool,
}

impl Kind {
    pub(crate) const ALL: [Self; 4] = [
        Self { idempotent: true, retries: true },
        Self { idempotent: true, retries: false },
        Self { idempotent: false, retries: true },
        Self { idempotent: false, retries: false },
    ];

    /// The kind of the call with this number in its load.
    fn of_number(number: u64) -> Self {
        // The first as the load decides it.
        let number = scatter(number);
        Self { idempotent: number.is_multiple_of(2), retries: number % 4 < 2 }
    }

    pub(crate) fn of(call: &Call) -> Self {
        Self::of_number(call.number)
    }
}

/// What came of a scenario.
pub(crate) struct Run {
    pub(crate) calls: Vec<Call>,
    pub(crate) executions: Executions,
}

/// Begins to call.
fn start(client: &Client, per_second: u32, hold: u32) -> Load {
    let usual: LedgerClient = client.get();
    let once = usual.with_options(CallOptions::new().retries(0));
    Load::bounded(per_second, IN_FLIGHT, move |turn| {
        let kind = Kind::of_number(turn.number);
        let ledger = if kind.retries { usual.clone() } else { once.clone() };
        async move {
            if kind.idempotent {
                ledger.look(turn.key, hold).await
            } else {
                ledger.book(turn.key, hold).await
            }
        }
    })
}

/// Plays a scenario on its stage, under load.
pub(crate) async fn play(scenario: &Scenario, stage: &mut Stage) -> Result<Run> {
    let load = start(&stage.client, scenario.load.rate, scenario.load.hold);
    let (mut surge, mut calls) = (None, Vec::new());
    sleep(scenario.before).await;
    let mut begin = Instant::now();
    for (at, act) in &scenario.acts {
        sleep_until(begin + *at).await;
        // What took long delays what follows, so that nothing is shorter than it was meant to be.
        begin += (begin + *at).elapsed();
        match act {
            crate::fault::Act::Surge(true) => {
                surge = Some(start(&stage.client, scenario.load.surge, scenario.load.hold));
            }
            crate::fault::Act::Surge(false) => {
                if let Some(surge) = surge.take() {
                    calls.extend(surge.finish().await.0);
                }
            }
            _ => {}
        }
        let before = Instant::now();
        stage.perform(*act).await?;
        begin += before.elapsed();
    }
    stage.settle().await?;
    sleep(scenario.after).await;
    calls.extend(load.finish().await.0);
    calls.sort_by_key(|call| call.due);
    Ok(Run { calls, executions: stage.journal.read()? })
}
