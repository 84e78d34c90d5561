//! The consumer's side: one session for all services, one view for each subscription.

use super::{
    content::{ServiceSink, Settings, SettingsSink, orders},
    follow::{Connection, Session, follow},
    layout,
    link::{Link, LinkEvent},
    session::{Backoff, Target, supervised},
};
use crate::discovery::{Source, Subscription, View, names};
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::watch,
    time::{Instant, timeout},
};
use tokio_util::sync::{CancellationToken, DropGuard};

/// The session of all subscriptions, and the operators' settings. It ends with the last of them.
pub(super) struct Hub {
    sessions: watch::Receiver<Session>,
    /// `None` until it was read.
    settings: watch::Receiver<Settings>,
    _end: DropGuard,
}

impl Hub {
    pub(super) fn spawn(target: Arc<Target>) -> Arc<Self> {
        let end = CancellationToken::new();
        let waiting = format!("waiting for {}", target.name());
        let (sessions, sessions_seen) = watch::channel(Session::Down(waiting));
        let (settings, settings_seen) = watch::channel(None);
        let dir = layout::service_dir(&target.root, layout::CONFIG);
        let sessions_followed = sessions_seen.clone();
        let tasks = async move {
            let sink = SettingsSink::new(&dir, settings);
            tokio::join!(keep_session(target, sessions), follow(&dir, sessions_followed, &sink),);
        };
        tokio::spawn(end.clone().run_until_cancelled_owned(tasks));
        Arc::new(Self { sessions: sessions_seen, settings: settings_seen, _end: end.drop_guard() })
    }

    /// The session, once it is connected.
    ///
    /// # Errors
    ///
    /// Why it is not by then.
    pub(super) async fn connected(&self, limit: Duration) -> Result<Connection, String> {
        let mut sessions = self.sessions.clone();
        let up = timeout(limit, sessions.wait_for(|session| matches!(session, Session::Up(_))));
        // What is waited for is dropped before it is looked at again.
        drop(up.await);
        match &*sessions.borrow() {
            Session::Up(connection) => Ok(connection.clone()),
            Session::Down(why) => Err(why.clone()),
        }
    }

    /// Whether its task lives; it does not when the runtime it was spawned on is gone.
    pub(super) fn is_running(&self) -> bool {
        self.sessions.has_changed().is_ok()
    }
}

/// Keeps a session open and tells of it in order.
async fn keep_session(target: Arc<Target>, sessions: watch::Sender<Session>) {
    let mut backoff = Backoff::new();
    loop {
        let kept = supervised(keep_session_until_panic(&target, &sessions)).await;
        if let Err(panic) = kept {
            sessions.send_replace(Session::Down(panic));
        }
        backoff.pause().await;
    }
}

async fn keep_session_until_panic(target: &Arc<Target>, sessions: &watch::Sender<Session>) {
    let down = |reason: String| {
        sessions.send_replace(Session::Down(reason));
    };
    let mut told = String::new();
    let first = |reason: String| {
        // Said once for all services; what is lost later is said for each list.
        if told != reason {
            tracing::warn!(reason, "no provider can be looked up yet; it is tried again");
            told.clone_from(&reason);
        }
        down(reason);
    };
    let mut link = Link::connect(Arc::clone(target), first).await;
    let mut backoff = Backoff::new();
    loop {
        let broken = CancellationToken::new();
        let connection = Connection { client: link.client().clone(), broken: broken.clone() };
        sessions.send_replace(Session::Up(connection));
        let since = Instant::now();
        let over = loop {
            let event = tokio::select! {
                event = link.event() => event,
                () = broken.cancelled() => LinkEvent::Over("the session is of no use".into()),
            };
            match event {
                LinkEvent::Reconnected | LinkEvent::Replaced => break None,
                LinkEvent::Lost => down(format!("the connection to {} is lost", target.name())),
                LinkEvent::Over(why) => break Some(why),
            }
        };
        if let Some(why) = over {
            down(why);
            if since.elapsed() > target.session {
                backoff.reset();
            }
            backoff.pause().await;
            link.renew(down).await;
        }
        link.settle(|_| false);
    }
}

/// Starts following `service`.
pub(super) fn spawn(hub: Arc<Hub>, target: &Target, service: &str) -> Subscription {
    let dir = layout::service_dir(&target.root, service);
    let since = Instant::now();
    let invalid = names::check_registered_name(service).err();
    let reason = invalid.as_ref().map(ToString::to_string).unwrap_or_default();
    let (view, seen) = watch::channel(View {
        instances: Arc::default(),
        disabled: Arc::default(),
        weights: Arc::default(),
        source: Source::Connecting { since, reason: reason.into() },
        place: format!("{dir} in {}", target.name()).into(),
        removals_are_final: false,
    });
    if let Some(error) = invalid {
        tracing::error!(%error, "this service cannot be followed");
        return Subscription::new(seen, None);
    }
    let end = CancellationToken::new();
    let service = service.to_owned();
    let task = async move {
        let sink = ServiceSink::new(&service, &dir, hub.settings.clone(), &view);
        tokio::join!(
            follow(&dir, hub.sessions.clone(), &sink),
            apply_settings(&service, hub.settings.clone(), &view),
        );
    };
    tokio::spawn(end.clone().run_until_cancelled_owned(task));
    Subscription::new(seen, Some(end.drop_guard()))
}

/// Brings the operators' settings for one service into its view.
async fn apply_settings(
    service: &str,
    mut settings: watch::Receiver<Settings>,
    view: &watch::Sender<View>,
) {
    loop {
        let orders = orders(&settings.borrow_and_update(), service);
        view.send_if_modified(|view| orders.apply(view));
        if settings.changed().await.is_err() {
            return;
        }
    }
}
