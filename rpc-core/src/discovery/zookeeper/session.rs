//! Opening a ZooKeeper session, and operations that always end.
//!
//! The client crate waits where it cannot answer: operations made while it is disconnected are
//! queued without a limit in time, and its pauses between reconnects double without a cap. So
//! every operation here has its own deadline, connecting has its own pauses, and a session that
//! stays disconnected gets another one opened beside it (`link`).

use std::{
    fmt,
    future::poll_fn,
    net::SocketAddr,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::atomic::{AtomicBool, Ordering},
    task::Poll,
    time::Duration,
};
use tokio::{
    net::lookup_host,
    time::{sleep, timeout},
};
use zookeeper_client as zk;

/// Time for one operation. Beyond, whether it was done is not known.
const OPERATION: Duration = Duration::from_secs(5);
/// Time for one look-up of a host name.
const LOOKUP: Duration = Duration::from_secs(1);
const PAUSE_MIN: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(1);
/// Pause after wrong credentials, which do not become right by trying.
const PAUSE_AUTH: Duration = Duration::from_secs(5);
const SESSION_MIN: Duration = Duration::from_millis(100);
const SESSION_MAX: Duration = Duration::from_mins(10);

pub(super) const DIRECTORY: zk::CreateOptions<'static> =
    zk::CreateMode::Persistent.with_acls(zk::Acls::anyone_all());
pub(super) const EPHEMERAL: zk::CreateOptions<'static> =
    zk::CreateMode::Ephemeral.with_acls(zk::Acls::anyone_all());

/// Which ZooKeeper, and where in it.
#[derive(Debug)]
pub(super) struct Target {
    /// `host:port` each.
    pub(super) hosts: Vec<String>,
    /// The path that everything is under, without a slash at its end.
    pub(super) root: String,
    /// Session timeout to ask for.
    pub(super) session: Duration,
    warned: AtomicBool,
}

impl Target {
    pub(super) fn new(hosts: &[String], root: &str, session: Duration) -> Self {
        Self {
            hosts: hosts.to_vec(),
            root: root.to_owned(),
            session: session.clamp(SESSION_MIN, SESSION_MAX),
            warned: AtomicBool::new(false),
        }
    }

    /// `ZooKeeper at host:port,host:port`, for people.
    pub(super) fn name(&self) -> String {
        format!("ZooKeeper at {}", self.hosts.join(","))
    }

    /// The server has bounds of its own for session timeouts, and a different one changes how
    /// long a dead provider stays listed.
    fn check_timeout(&self, granted: Duration) {
        if granted != self.session && !self.warned.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                asked = ?self.session,
                ?granted,
                "{} grants another session timeout than was asked for; its bounds are \
                 minSessionTimeout and maxSessionTimeout, 2 and 20 times tickTime by default",
                self.name()
            );
        }
    }

    /// One attempt may try every server, each for 2/5 of the session timeout.
    fn connect_limit(&self) -> Duration {
        let hosts = u32::try_from(self.hosts.len()).unwrap_or(u32::MAX);
        self.session + self.session / 2 * hosts.saturating_sub(1)
    }
}

/// Why an operation brought nothing.
#[derive(Debug)]
pub(super) enum Failure {
    /// ZooKeeper answered: no.
    Refused(zk::Error),
    /// No answer: it may have been done or not, or may yet be.
    Unknown(String),
    /// The session is of no use any more.
    Over(String),
}

impl From<zk::Error> for Failure {
    fn from(error: zk::Error) -> Self {
        use zk::Error as E;
        match error {
            E::NoNode
            | E::NoAuth
            | E::BadVersion
            | E::NoChildrenForEphemerals
            | E::NodeExists
            | E::NotEmpty
            | E::InvalidAcl
            | E::QuotaExceeded
            | E::MarshallingError
            | E::Unimplemented
            | E::BadArguments(_) => Self::Refused(error),
            // An unexpected error is what the crate reports when its session task is gone.
            E::SessionExpired
            | E::SessionMoved
            | E::AuthFailed
            | E::ClientClosed
            | E::RuntimeInconsistent
            | E::UnexpectedError(_) => Self::Over(error.to_string()),
            _ => Self::Unknown(error.to_string()),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(error) => error.fmt(f),
            Self::Unknown(why) | Self::Over(why) => f.write_str(why),
        }
    }
}

/// Runs one operation within its deadline.
pub(super) async fn operation<T, E>(future: impl Future<Output = Result<T, E>>) -> Result<T, E>
where
    E: From<zk::Error>,
{
    // `Timeout` is among the errors that become `Failure::Unknown`.
    timeout(OPERATION, future).await.unwrap_or_else(|_| Err(zk::Error::Timeout.into()))
}

/// `pause`, made half as long to half as long again at random, so that many do not act together.
pub(super) fn jitter(pause: Duration) -> Duration {
    pause.mul_f64(0.5 + fastrand::f64())
}

/// Pauses that double, from 50 ms to 1 s.
#[derive(Debug)]
pub(super) struct Backoff(Duration);

impl Backoff {
    pub(super) fn new() -> Self {
        Self(PAUSE_MIN)
    }

    pub(super) fn reset(&mut self) {
        self.0 = PAUSE_MIN;
    }

    pub(super) async fn pause(&mut self) {
        let pause = jitter(self.0);
        self.0 = (self.0 * 2).min(PAUSE_MAX);
        sleep(pause).await;
    }
}

/// Runs `future`, and turns a panic in it into an error text.
///
/// The client crate panics on some replies and when its watchers are polled at the wrong time; no
/// content of a registry may end the task that reads it.
///
/// # Cancel safety
///
/// As cancel safe as `future`.
pub(super) async fn supervised<T>(future: impl Future<Output = T>) -> Result<T, String> {
    let mut future = pin!(future);
    poll_fn(|cx| {
        // After a panic the future is never polled again. What it shares is read anew by the
        // caller: both state machines begin with reading everything.
        match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(value)) => Poll::Ready(Ok(value)),
            Err(panic) => {
                let text = panic.downcast_ref::<String>().map(String::as_str);
                let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
                let text = text.unwrap_or("no text");
                tracing::error!(panic = text, "the ZooKeeper client panicked");
                Poll::Ready(Err(format!("the ZooKeeper client panicked: {text}")))
            }
        }
    })
    .await
}

/// Opens a session, however long that takes; `report` is told why it is not there yet.
pub(super) async fn connect(target: &Target, mut report: impl FnMut(String)) -> zk::Client {
    let mut backoff = Backoff::new();
    let hosts = target.hosts.join(",");
    loop {
        // Eagerly: one round over the servers, after which the pause is ours to choose.
        let connector =
            zk::Client::connector().with_session_timeout(target.session).with_fail_eagerly();
        let attempt = supervised(connector.connect(&hosts));
        let why = match timeout(target.connect_limit(), attempt).await {
            Ok(Ok(Ok(client))) => {
                target.check_timeout(client.session_timeout());
                return client;
            }
            Ok(Ok(Err(zk::Error::AuthFailed))) => {
                tracing::error!("{} refuses our credentials", target.name());
                report(format!("{} refuses our credentials", target.name()));
                sleep(jitter(PAUSE_AUTH)).await;
                continue;
            }
            Ok(Ok(Err(zk::Error::NoHosts))) => silence(&target.hosts).await,
            Ok(Ok(Err(error))) => error.to_string(),
            Ok(Err(panic)) => panic,
            Err(_) => "no session within the time for one".to_owned(),
        };
        tracing::debug!(why, "no session with {} yet", target.name());
        report(format!("{} cannot be reached: {why}", target.name()));
        backoff.pause().await;
    }
}

/// Why no server answers: to the client crate a name that does not resolve is the same.
async fn silence(hosts: &[String]) -> String {
    let names = hosts.iter().filter(|host| host.parse::<SocketAddr>().is_err());
    for host in names {
        if let Ok(Err(error)) = timeout(LOOKUP, lookup_host(host)).await {
            return format!("no server answers, and {host} does not resolve: {error}");
        }
    }
    "no server answers (does it run, and is the registry's URL right?)".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_becomes_an_error() {
        let broken = async {
            tokio::task::yield_now().await;
            panic!("reply of {} bytes", 3)
        };
        let error = supervised::<()>(broken).await.unwrap_err();
        assert_eq!(error, "the ZooKeeper client panicked: reply of 3 bytes");
        assert_eq!(supervised(async { 7 }).await, Ok(7));
    }

    #[tokio::test]
    async fn a_name_that_does_not_resolve_is_told() {
        let text = silence(&["127.0.0.1:1".to_owned(), "no.such.host.invalid:1".to_owned()]).await;
        assert!(text.contains("no.such.host.invalid:1 does not resolve"), "{text}");
        let text = silence(&["127.0.0.1:1".to_owned(), "[::1]:1".to_owned()]).await;
        assert!(text.contains("does it run"), "{text}");
    }

    #[test]
    fn only_named_answers_are_answers() {
        assert!(matches!(zk::Error::NoNode.into(), Failure::Refused(_)));
        assert!(matches!(zk::Error::Timeout.into(), Failure::Unknown(_)));
        assert!(matches!(zk::Error::ConnectionLoss.into(), Failure::Unknown(_)));
        assert!(matches!(zk::Error::NotReadOnly.into(), Failure::Unknown(_)));
        assert!(matches!(zk::Error::SessionExpired.into(), Failure::Over(_)));
    }
}
