//! Following one directory: its nodes and their data, kept current whatever happens.
//!
//! ```text
//! Connecting ─► Arming ─► Reading ─► Live ─(every 60 s · reconnect · other session)─► Arming
//! ```
//!
//! The watch is a hint and the list is the truth. The client crate loses recursive watches on
//! every reconnect without saying so, and the server forgets what happened meanwhile: so each
//! reconnect sets a new watch and reads the whole list. While the connection lasts, the new watch is
//! set before the old one is dropped.

use super::session::{Backoff, DIRECTORY, Failure, jitter, operation, supervised};
use std::{collections::BTreeSet, time::Duration};
use tokio::{
    sync::watch,
    time::{Instant, sleep, sleep_until},
};
use tokio_util::sync::CancellationToken;
use zookeeper_client as zk;

/// The list is read again after this time although the watch is silent.
const READ_EVERY: Duration = Duration::from_mins(1);
/// Events are collected for this long after the first.
const COLLECT: Duration = Duration::from_millis(20);
/// Under a stream of events the changed nodes are read this often.
const READ_CHANGES_EVERY: Duration = Duration::from_millis(200);
/// Nodes in one read; requests over 1 MB end the connection.
const CHUNK: usize = 500;
/// Pause before asking a server again that does not know what is needed.
const PAUSE_REFUSED: Duration = Duration::from_secs(30);

/// The session that is followed through.
#[derive(Clone)]
pub(super) enum Session {
    /// None, or not connected; why.
    Down(String),
    /// Connected.
    Up(Connection),
}

/// A session that is connected; another one after each reconnect.
#[derive(Clone)]
pub(super) struct Connection {
    pub(super) client: zk::Client,
    /// To be cancelled by who finds that the session is of no use: it may not say so itself.
    pub(super) broken: CancellationToken,
}

/// Where the content of a directory goes.
pub(super) trait Sink: Sync {
    /// Waits until the content can be taken.
    fn ready(&self) -> impl Future<Output = ()> + Send;
    /// Chooses from all names in the directory the ones that are wanted.
    fn select(&self, names: Vec<String>) -> Vec<String>;
    /// Whether a changed or new node with this name is wanted.
    fn wants(&self, name: &str) -> bool;
    /// The whole content, as selected. It is current from now on.
    fn replace(&self, nodes: Vec<(String, Vec<u8>)>);
    /// Changed nodes; without data: it is gone.
    fn update(&self, nodes: Vec<(String, Option<Vec<u8>>)>);
    /// The content is not kept current; why.
    fn trouble(&self, reason: &str);
}

/// Follows `dir` for as long as there may be sessions.
pub(super) async fn follow(dir: &str, mut sessions: watch::Receiver<Session>, sink: &impl Sink) {
    let mut follower = Follower { dir, sink, watch: None };
    let mut backoff = Backoff::new();
    loop {
        let session = sessions.borrow_and_update().clone();
        let connection = match session {
            Session::Up(connection) => connection,
            Session::Down(reason) => {
                sink.trouble(&reason);
                if sessions.changed().await.is_err() {
                    return;
                }
                continue;
            }
        };
        let since = Instant::now();
        tokio::select! {
            changed = sessions.changed() => match changed {
                // What was being read is read anew.
                Ok(()) => continue,
                Err(_) => return,
            },
            ended = supervised(follower.run(&connection.client)) => {
                let (Ok(why) | Err(why)) = ended;
                sink.trouble(&why);
                follower.watch = None;
                connection.broken.cancel();
            }
        }
        // Another session follows; this only keeps a fault from making a busy loop.
        if since.elapsed() > READ_EVERY {
            backoff.reset();
        }
        backoff.pause().await;
    }
}

struct Follower<'a, S> {
    dir: &'a str,
    sink: &'a S,
    /// The watch that was set last, until the next one is. A connection that ends takes its watch
    /// with it.
    watch: Option<zk::PersistentWatcher>,
}

/// Why the live state ended.
enum Ended {
    /// The list has to be read again.
    ReadAgain,
    Over(String),
}

/// What an event of the watch says.
enum Noted {
    Node(String),
    /// The directory itself was made or deleted.
    Directory,
    Nothing,
    Over(String),
}

impl<S: Sink> Follower<'_, S> {
    /// Arming, Reading and Live on one connection, until the session is over; says why it is.
    async fn run(&mut self, client: &zk::Client) -> String {
        loop {
            let failure = match self.arm(client).await {
                Ok(mut watch) => match self.read_all(client).await {
                    Ok(nodes) => {
                        self.sink.ready().await;
                        tracing::debug!(dir = self.dir, nodes = nodes.len(), "read");
                        self.sink.replace(nodes);
                        let ended = self.live(client, &mut watch).await;
                        self.watch = Some(watch);
                        match ended {
                            Ok(Ended::ReadAgain) => continue,
                            Ok(Ended::Over(why)) => return why,
                            Err(failure) => failure,
                        }
                    }
                    Err(failure) => {
                        self.watch = Some(watch);
                        failure
                    }
                },
                Err(failure) => failure,
            };
            match failure {
                Failure::Over(why) => return why,
                Failure::Refused(error) => {
                    let why = self.explain(&error);
                    tracing::error!(why, "a directory cannot be followed");
                    self.sink.trouble(&why);
                    sleep(jitter(PAUSE_REFUSED)).await;
                }
                Failure::Unknown(why) => {
                    self.sink.trouble(&format!("{}: {why}", self.dir));
                    sleep(jitter(Duration::from_millis(100))).await;
                }
            }
        }
    }

    fn explain(&self, error: &zk::Error) -> String {
        match error {
            zk::Error::Unimplemented => {
                "the ZooKeeper server is older than 3.6, which is the oldest that works".into()
            }
            error => format!("{}: {error}", self.dir),
        }
    }

    /// Sets a new watch, then drops the old one.
    async fn arm(&mut self, client: &zk::Client) -> Result<zk::PersistentWatcher, Failure> {
        let recursive = zk::AddWatchMode::PersistentRecursive;
        let new = operation(client.watch(self.dir, recursive)).await?;
        self.watch = None;
        Ok(new)
    }

    /// Reads every node that is wanted. A directory that is missing is made: it is where the
    /// first provider, or an operator, will write.
    async fn read_all(&self, client: &zk::Client) -> Result<Vec<(String, Vec<u8>)>, Failure> {
        let names = match operation(client.list_children(self.dir)).await {
            Ok(names) => self.sink.select(names),
            Err(zk::Error::NoNode) => {
                match operation(client.mkdir(self.dir, &DIRECTORY)).await.map_err(Failure::from) {
                    // Who may not make it can follow it all the same.
                    Ok(()) | Err(Failure::Refused(_)) => Vec::new(),
                    Err(failure) => return Err(failure),
                }
            }
            Err(error) => return Err(error.into()),
        };
        let read = self.read(client, names).await?;
        Ok(read.into_iter().filter_map(|(name, data)| Some((name, data?))).collect())
    }

    async fn read(
        &self,
        client: &zk::Client,
        names: Vec<String>,
    ) -> Result<Vec<(String, Option<Vec<u8>>)>, Failure> {
        let mut read = Vec::with_capacity(names.len());
        for chunk in names.chunks(CHUNK) {
            let mut reader = client.new_multi_reader();
            for name in chunk {
                reader.add_get_data(&format!("{}/{name}", self.dir))?;
            }
            let results = operation(reader.commit()).await?;
            if results.len() != chunk.len() {
                return Err(Failure::Unknown("a read with another number of answers".into()));
            }
            for (name, result) in chunk.iter().zip(results) {
                let data = match result {
                    zk::MultiReadResult::Data { data, .. } => Some(data),
                    // Gone since it was listed, or closed to us.
                    _ => None,
                };
                read.push((name.clone(), data));
            }
        }
        Ok(read)
    }

    /// Takes in changes as they are told.
    async fn live(
        &self,
        client: &zk::Client,
        watch: &mut zk::PersistentWatcher,
    ) -> Result<Ended, Failure> {
        let mut read_again = std::pin::pin!(sleep(jitter(READ_EVERY)));
        let mut noted: BTreeSet<String> = BTreeSet::new();
        let mut due = None;
        let mut last_read: Option<Instant> = None;
        loop {
            // The watch is a queue, the timers are kept: nothing is lost when another arm wins.
            tokio::select! {
                event = watch.changed() => match self.note(&event) {
                    Noted::Nothing => {}
                    Noted::Directory => return Ok(Ended::ReadAgain),
                    // Polled again after this, the watch would panic.
                    Noted::Over(why) => return Ok(Ended::Over(why)),
                    Noted::Node(name) => {
                        noted.insert(name);
                        due.get_or_insert_with(|| {
                            let soon = Instant::now() + COLLECT;
                            last_read.map_or(soon, |last| soon.max(last + READ_CHANGES_EVERY))
                        });
                    }
                },
                () = until(due) => {
                    due = None;
                    let names = std::mem::take(&mut noted).into_iter().collect();
                    self.sink.update(self.read(client, names).await?);
                    last_read = Some(Instant::now());
                }
                () = &mut read_again => return Ok(Ended::ReadAgain),
            }
        }
    }

    fn note(&self, event: &zk::WatchedEvent) -> Noted {
        if event.event_type == zk::EventType::Session {
            // Reconnects are told by the owner of the session, in one place and in order.
            return if event.session_state.is_terminated() {
                Noted::Over(format!("the session is {}", event.session_state))
            } else {
                Noted::Nothing
            };
        }
        match event.path.strip_prefix(self.dir) {
            Some("") if event.event_type == zk::EventType::NodeDataChanged => Noted::Nothing,
            Some("") => Noted::Directory,
            Some(rest) => match rest.strip_prefix('/') {
                Some(name) if !name.contains('/') && self.sink.wants(name) => {
                    Noted::Node(name.to_owned())
                }
                _ => Noted::Nothing,
            },
            None => Noted::Nothing,
        }
    }
}

/// Waits for an instant; for ever without one.
async fn until(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due).await,
        None => std::future::pending().await,
    }
}
