//! A ZooKeeper session that is replaced when it ends or stalls.

use super::session::{Target, connect, jitter, supervised};
use crate::future::BoxFuture;
use std::{sync::Arc, time::Duration};
use tokio::time::{sleep, timeout};
use zookeeper_client as zk;

/// Time for a session to close in order.
const CLOSE: Duration = Duration::from_secs(1);

/// What happened to a [`Link`].
#[derive(Debug)]
pub(super) enum LinkEvent {
    /// The connection is lost; the session may live.
    Lost,
    /// The session is connected again, perhaps to another server.
    Reconnected,
    /// Another session has taken the place of one that stayed disconnected.
    Replaced,
    /// The session has ended; why. [`Link::renew`] makes another.
    Over(String),
}

/// A session, and the one that is being opened beside it when it stays disconnected.
pub(super) struct Link {
    target: Arc<Target>,
    client: zk::Client,
    states: zk::StateWatcher,
    /// Sessions whose place was taken, kept until what they own is taken over: closing them
    /// earlier would delete nodes that nobody has made again.
    previous: Vec<zk::Client>,
    spare: Option<BoxFuture<'static, zk::Client>>,
}

impl Link {
    pub(super) async fn connect(target: Arc<Target>, report: impl FnMut(String)) -> Self {
        let client = connect(&target, report).await;
        let states = client.state_watcher();
        Self { target, client, states, previous: Vec::new(), spare: None }
    }

    pub(super) fn client(&self) -> &zk::Client {
        &self.client
    }

    /// The ids of the session and of those it replaces.
    pub(super) fn session_ids(&self) -> Vec<i64> {
        let all = self.previous.iter().chain([&self.client]);
        all.map(|client| client.session_id().0).collect()
    }

    /// The next thing that happens to the session.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the session that is being opened beside this one is kept in `self`.
    pub(super) async fn event(&mut self) -> LinkEvent {
        loop {
            tokio::select! {
                state = self.states.changed() => match state {
                    zk::SessionState::Disconnected => {
                        self.open_spare();
                        return LinkEvent::Lost;
                    }
                    zk::SessionState::SyncConnected => {
                        self.spare = None;
                        return LinkEvent::Reconnected;
                    }
                    // Of no use: nothing can be written.
                    zk::SessionState::ConnectedReadOnly => {}
                    state => return LinkEvent::Over(format!("the session is {state}")),
                },
                client = opened(&mut self.spare) => {
                    self.spare = None;
                    self.take(client);
                    return LinkEvent::Replaced;
                }
            }
        }
    }

    /// Opens another session when this one stays disconnected for a third of its timeout: early
    /// enough to take its nodes over before the server ends it, and late enough that a restart
    /// of ZooKeeper makes no second session.
    fn open_spare(&mut self) {
        let target = Arc::clone(&self.target);
        self.spare.get_or_insert_with(|| {
            Box::pin(async move {
                sleep(jitter(target.session / 3)).await;
                connect(&target, |_| ()).await
            })
        });
    }

    fn take(&mut self, client: zk::Client) {
        self.states = client.state_watcher();
        self.previous.push(std::mem::replace(&mut self.client, client));
    }

    /// Opens a session in the place of one that is over.
    pub(super) async fn renew(&mut self, report: impl FnMut(String)) {
        let client = connect(&self.target, report).await;
        self.spare = None;
        self.take(client);
    }

    /// Lets go the earlier sessions of which everything is taken over; `owns` says of a session's
    /// id whether it still has something.
    pub(super) fn settle(&mut self, owns: impl Fn(i64) -> bool) {
        self.previous.retain(|client| owns(client.session_id().0));
    }

    /// Closes all sessions and waits until they are, for at most a second.
    pub(super) async fn close(self) {
        let Self { client, previous, spare, states, .. } = self;
        let mut closing: Vec<_> = previous.iter().map(zk::Client::state_watcher).collect();
        closing.push(states);
        // A session closes when the last handle on it is gone.
        drop((client, previous, spare));
        let closed = async {
            for states in &mut closing {
                while !states.state().is_terminated() {
                    states.changed().await;
                }
            }
        };
        if timeout(CLOSE, supervised(closed)).await.is_err() {
            tracing::debug!("a ZooKeeper session was left to its timeout");
        }
    }
}

/// The session that is being opened, once it is there; never without one.
async fn opened(spare: &mut Option<BoxFuture<'static, zk::Client>>) -> zk::Client {
    match spare {
        Some(spare) => spare.await,
        None => std::future::pending().await,
    }
}
