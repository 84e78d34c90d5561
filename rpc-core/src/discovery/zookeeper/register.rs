//! The keeper of one announcement: a task that makes its nodes and makes them again.
//!
//! ```text
//! Connecting ─► Verifying ─► Registered ─(own watch · every 30 s · reconnect · new session)─► Verifying
//!      ▲            │             │
//!      └────────────┴─────────────┴─ session over
//! ```
//!
//! A node is ours only when the session that owns it is the one we speak through. A node of an
//! earlier session is replaced in one transaction, so no reader sees a gap; a node that we own is
//! never deleted and made again.

mod nodes;

use self::nodes::{Nodes, Trouble, Verified, Watches};
use super::{
    link::{Link, LinkEvent},
    session::{Backoff, Target, jitter, supervised},
};
use crate::{
    discovery::{Announcement, Registered, RegistrationState},
    future::BoxFuture,
};
use std::{pin::pin, sync::Arc, time::Duration};
use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{Instant, sleep, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;

/// Nodes are looked at this often although their watches are silent.
const VERIFY_EVERY: Duration = Duration::from_secs(30);
/// Pause after an operation of which nothing is known.
const PAUSE_UNKNOWN: Duration = Duration::from_millis(100);
/// Pause after ZooKeeper refused for a reason that only people can remove.
const PAUSE_REFUSED: Duration = Duration::from_secs(30);
/// Pause when another live process takes the same address again and again.
const PAUSE_CONTESTED: Duration = Duration::from_secs(10);
/// Time for deleting the nodes when leaving.
const WITHDRAW: Duration = Duration::from_millis(500);
/// Time for all of leaving.
const LEAVE: Duration = Duration::from_secs(2);

/// Starts the keeper of `announcement`, if it can ever be made.
pub(super) fn spawn(target: Arc<Target>, announcement: &Announcement) -> Box<dyn Registered> {
    let reason = format!("waiting for {}", target.name());
    let state = Arc::new(watch::Sender::new(RegistrationState::Pending(reason)));
    let stop = CancellationToken::new();
    let progress = Progress { state: Arc::clone(&state), known: String::new() };
    let task = match Nodes::of(&target, announcement) {
        Ok(nodes) => Some(tokio::spawn(Keeper { target, nodes, progress }.run(stop.clone()))),
        Err(why) => {
            tracing::error!(why, "this can never be announced");
            state.send_replace(RegistrationState::Impossible(why));
            None
        }
    };
    Box::new(Registration { state, stop, task })
}

/// The handle of a keeper.
struct Registration {
    state: Arc<watch::Sender<RegistrationState>>,
    stop: CancellationToken,
    task: Option<JoinHandle<()>>,
}

impl Registered for Registration {
    fn state(&self) -> watch::Receiver<RegistrationState> {
        self.state.subscribe()
    }

    fn close(mut self: Box<Self>) -> BoxFuture<'static, ()> {
        self.stop.cancel();
        let task = self.task.take();
        Box::pin(async move {
            if let Some(task) = task {
                // Beyond the limit it goes on in the background.
                let _ = timeout(LEAVE, task).await;
            }
        })
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// What is told about the announcement: to the server through its state, to people in the log.
struct Progress {
    state: Arc<watch::Sender<RegistrationState>>,
    /// What the log says of the announcement: `Registered` is nothing.
    known: String,
}

impl Progress {
    fn registered(&mut self, nodes: &Nodes) {
        self.known.clear();
        let before = self.state.send_replace(RegistrationState::Registered);
        if before != RegistrationState::Registered {
            tracing::info!("registered {nodes}");
        }
    }

    fn pending(&mut self, reason: &str) {
        if self.known != reason {
            tracing::warn!(reason, "not registered");
            self.set(reason);
        }
    }

    /// Pending for a reason that only people can remove; said again each time.
    fn refused(&mut self, reason: &str) {
        tracing::error!(reason, "not registered");
        self.set(reason);
    }

    fn set(&mut self, reason: &str) {
        reason.clone_into(&mut self.known);
        self.state.send_replace(RegistrationState::Pending(reason.to_owned()));
    }
}

/// The task.
struct Keeper {
    target: Arc<Target>,
    nodes: Nodes,
    progress: Progress,
}

impl Keeper {
    async fn run(mut self, stop: CancellationToken) {
        let target = Arc::clone(&self.target);
        let connecting = Link::connect(target, |reason| self.progress.pending(&reason));
        let Some(mut link) = stop.run_until_cancelled(connecting).await else { return };
        let mut backoff = Backoff::new();
        loop {
            let since = Instant::now();
            let kept = stop.run_until_cancelled(supervised(self.keep(&mut link))).await;
            let Some(Ok(why) | Err(why)) = kept else { break };
            self.progress.pending(&why);
            if since.elapsed() > self.target.session {
                backoff.reset();
            }
            let renewing = async {
                // A session that ends at once each time must not make a busy loop.
                backoff.pause().await;
                link.renew(|reason| self.progress.pending(&reason)).await;
            };
            if stop.run_until_cancelled(renewing).await.is_none() {
                break;
            }
        }
        // The client crate cannot take a request back: a node that was asked for and given up may
        // be made yet. What is queued runs before this, and the end of the session ends the rest.
        let (client, ours) = (link.client().clone(), link.session_ids());
        let _ = timeout(WITHDRAW, supervised(self.nodes.withdraw(&client, &ours))).await;
        drop(client);
        link.close().await;
    }

    /// Verifying and Registered, until the session is over; says why it is.
    async fn keep(&mut self, link: &mut Link) -> String {
        loop {
            let ended = match self.verify(link).await {
                Ok(Verified { watches, refusal }) => {
                    link.settle(|session| self.nodes.has_owner(session));
                    match refusal {
                        None => self.progress.registered(&self.nodes),
                        Some(why) => self.progress.refused(&why),
                    }
                    self.attend(link, watches).await
                }
                Err(Trouble::Over(why)) => Some(why),
                Err(Trouble::Unknown(why)) => {
                    self.progress.pending(&why);
                    pause(link, jitter(PAUSE_UNKNOWN)).await
                }
                Err(Trouble::Refused(why)) => {
                    self.progress.refused(&why);
                    pause(link, jitter(PAUSE_REFUSED)).await
                }
                Err(Trouble::Contested(why)) => {
                    link.settle(|session| self.nodes.has_owner(session));
                    self.progress.refused(&why);
                    pause(link, PAUSE_CONTESTED).await
                }
            };
            if let Some(why) = ended {
                return why;
            }
        }
    }

    /// Makes the nodes ours, through whichever session the link has.
    async fn verify(&mut self, link: &mut Link) -> Result<Verified, Trouble> {
        loop {
            let client = link.client().clone();
            let mut verifying = pin!(self.nodes.verify(&client));
            loop {
                // Both arms are cancel safe in effect: what an abandoned verification has asked
                // for may happen, and the next one reads what is there.
                tokio::select! {
                    verified = &mut verifying => return verified,
                    event = link.event() => match event {
                        LinkEvent::Lost => self.progress.pending(&lost(&self.target)),
                        LinkEvent::Reconnected | LinkEvent::Replaced => break,
                        LinkEvent::Over(why) => return Err(Trouble::Over(why)),
                    },
                }
            }
        }
    }

    /// Registered as far as ZooKeeper lets us, and Suspect while disconnected: returns when the
    /// nodes have to be verified, or why the session is over.
    async fn attend(&mut self, link: &mut Link, watches: Watches) -> Option<String> {
        let mut fired = pin!(watches.any());
        let mut verify = pin!(sleep(jitter(VERIFY_EVERY)));
        loop {
            tokio::select! {
                () = &mut fired => return None,
                () = &mut verify => return None,
                event = link.event() => match event {
                    LinkEvent::Lost => self.progress.pending(&lost(&self.target)),
                    LinkEvent::Reconnected | LinkEvent::Replaced => return None,
                    LinkEvent::Over(why) => return Some(why),
                },
            }
        }
    }
}

fn lost(target: &Target) -> String {
    format!("the connection to {} is lost", target.name())
}

/// Waits, and says why the session is over if it is before that.
async fn pause(link: &mut Link, pause: Duration) -> Option<String> {
    let end = Instant::now() + pause;
    loop {
        tokio::select! {
            () = sleep_until(end) => return None,
            event = link.event() => if let LinkEvent::Over(why) = event {
                return Some(why);
            },
        }
    }
}
