//! Sessions of the simulated registry: how they are kept, how they end, and what is announced
//! through them.

use super::records::{Held, Inner};
use rpc_core::{
    BoxFuture,
    discovery::{Announcement, Registered, RegistrationState},
};
use std::{
    sync::{Arc, Weak},
    time::Duration,
};
use tokio::{
    sync::watch,
    time::{Instant, sleep, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;

/// A process notices within this time that it has lost a node or a session, and acts.
const NOTICE: Duration = Duration::from_millis(50);
/// How long withdrawing waits for a registry that cannot be reached.
const PATIENCE: Duration = Duration::from_millis(500);

/// Ends the sessions that were not heard of in time; ends with the registry.
pub(super) async fn expire(registry: Weak<Inner>) {
    loop {
        let (mut changed, next) = {
            let Some(registry) = registry.upgrade() else { return };
            let changed = registry.changed.subscribe();
            let (ended, next) = {
                let state = registry.lock();
                if state.is_away() {
                    (Vec::new(), None)
                } else {
                    let now = Instant::now();
                    let ends = |held: &Held| held.heard + registry.session;
                    let all = state.sessions.iter();
                    let ended: Vec<_> =
                        all.filter(|(_, held)| ends(held) <= now).map(|(id, _)| *id).collect();
                    (ended, state.sessions.values().map(ends).filter(|at| *at > now).min())
                }
            };
            if !ended.is_empty() {
                registry.change(|state| state.end_sessions(&ended));
            }
            (changed, next)
        };
        tokio::select! {
            biased;
            ended = changed.changed() => if ended.is_err() {
                return;
            },
            () = until(next) => {}
        }
    }
}

/// Keeps an announcement until it is withdrawn.
pub(super) async fn keep(
    registry: Arc<Inner>,
    process: Arc<str>,
    announcement: Announcement,
    publish: watch::Sender<RegistrationState>,
    end: CancellationToken,
) {
    let mut session = 0;
    let mut changed = registry.changed.subscribe();
    while !end.is_cancelled() {
        changed.mark_unchanged();
        let unreachable = registry.lock().unreachable(&process);
        let state = match unreachable {
            Some((_, why)) => RegistrationState::Pending(why.to_owned()),
            None if beat(&registry, session)
                && registry.lock().is_announced(&announcement, session) =>
            {
                RegistrationState::Registered
            }
            None => {
                let delay = NOTICE.mul_f64(registry.lock().random.f64());
                sleep(delay).await;
                if registry.lock().unreachable(&process).is_none() && !end.is_cancelled() {
                    if !beat(&registry, session) {
                        session = registry.lock().new_session(&process);
                    }
                    registry.change(|state| state.announce(&announcement, session));
                }
                continue;
            }
        };
        publish.send_if_modified(|known| {
            let differs = *known != state;
            *known = state;
            differs
        });
        tokio::select! {
            biased;
            () = end.cancelled() => {}
            _ = changed.changed() => {}
            () = sleep(registry.session / 3) => {}
        }
    }
    // As a program that leaves: what cannot be withdrawn in time ends with its session.
    let reached = async {
        while registry.lock().unreachable(&process).is_some() && changed.changed().await.is_ok() {}
    };
    if timeout(PATIENCE, reached).await.is_ok() {
        registry.change(|state| state.end_sessions(&[session]));
    }
}

/// A sign of life of a session; false when it has ended.
fn beat(registry: &Inner, session: u64) -> bool {
    let mut state = registry.lock();
    let held = state.sessions.get_mut(&session);
    held.is_some_and(|held| {
        held.heard = Instant::now();
        true
    })
}

/// An announcement; withdrawn when dropped.
#[derive(Debug)]
pub(super) struct Announced {
    pub(super) state: watch::Receiver<RegistrationState>,
    pub(super) end: CancellationToken,
}

impl Registered for Announced {
    fn state(&self) -> watch::Receiver<RegistrationState> {
        self.state.clone()
    }

    fn close(self: Box<Self>) -> BoxFuture<'static, ()> {
        self.end.cancel();
        let mut state = self.state.clone();
        Box::pin(async move {
            // Its keeper ends when it has withdrawn, and the channel with it.
            while state.changed().await.is_ok() {}
        })
    }
}

impl Drop for Announced {
    fn drop(&mut self) {
        self.end.cancel();
    }
}

/// Waits until a moment, or for ever.
async fn until(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}
