//! The nodes of one announcement: looking at them, making them ours, taking them away.

use super::super::{
    layout,
    session::{DIRECTORY, EPHEMERAL, Failure, Target, operation},
};
use crate::discovery::{Announcement, InstanceId, names};
use std::{
    collections::BTreeSet, fmt, future::poll_fn, net::SocketAddr, pin::Pin, task::Poll,
    time::Duration,
};
use tokio::time::Instant;
use zookeeper_client as zk;

/// Two displacements within this time make an address contested. It is longer than the pause that
/// follows, so that an address stays contested for as long as the other process lives.
const CONTEST_WINDOW: Duration = Duration::from_secs(30);
/// Rounds of looking and repairing, beyond one for each node that is refused.
const ROUNDS: usize = 5;
/// Repairs in one transaction; each is one or two operations.
const REPAIRS: usize = 50;

/// Why the nodes are not ours.
#[derive(Debug)]
pub(super) enum Trouble {
    /// No answer, or they change faster than they are repaired.
    Unknown(String),
    /// ZooKeeper does not even let us look.
    Refused(String),
    /// Another live process announces the same address.
    Contested(String),
    /// The session has ended.
    Over(String),
}

impl Trouble {
    fn from(failure: Failure, path: &str) -> Self {
        match failure {
            Failure::Refused(error) => Self::Refused(format!("{path}: {error}")),
            Failure::Unknown(why) => Self::Unknown(format!("{path}: {why}")),
            Failure::Over(why) => Self::Over(why),
        }
    }
}

/// The nodes of one announcement.
pub(super) struct Nodes {
    addr: SocketAddr,
    id: Option<InstanceId>,
    all: Vec<Node>,
    data: Vec<u8>,
    /// When another process took the address from us, the last times.
    displacements: Vec<Instant>,
}

struct Node {
    dir: String,
    path: String,
    /// Whether it was ours when it was looked at last.
    held: bool,
    /// The session that owned it then.
    owner: Option<i64>,
}

/// A node that is not ours.
struct Repair {
    node: usize,
    /// The version of the node that is in the place of ours, if there is one.
    replaces: Option<i32>,
}

/// What a verification came to.
pub(super) struct Verified {
    pub(super) watches: Watches,
    /// Why ZooKeeper does not let us have some of the nodes; the others are ours.
    pub(super) refusal: Option<String>,
}

/// The watches on all nodes.
pub(super) struct Watches(Vec<zk::OneshotWatcher>);

impl Watches {
    /// Waits until one of them fires.
    pub(super) async fn any(self) {
        type Fired = Pin<Box<dyn Future<Output = zk::WatchedEvent> + Send>>;
        let mut all: Vec<Fired> =
            self.0.into_iter().map(|watch| Box::pin(watch.changed()) as Fired).collect();
        poll_fn(|cx| {
            let fired = all.iter_mut().any(|watch| watch.as_mut().poll(cx).is_ready());
            if fired { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
}

impl Nodes {
    /// The nodes of `announcement`, or why it can never be made.
    pub(super) fn of(target: &Target, announcement: &Announcement) -> Result<Self, String> {
        let instance = &announcement.instance;
        let name = instance.addr.to_string();
        if layout::address(&name).is_none() {
            return Err(format!("{name} is no address that a client can dial"));
        }
        let data = layout::encode(instance);
        if data.len() > layout::MAX_DATA {
            let (size, most) = (data.len(), layout::MAX_DATA);
            return Err(format!(
                "the labels make {size} bytes of node data, {most} are allowed: write fewer or \
                 shorter ones"
            ));
        }
        let node = |service: &String| {
            names::check_registered_name(service).map_err(|error| error.to_string())?;
            let dir = layout::service_dir(&target.root, service);
            Ok(Node { path: format!("{dir}/{name}"), dir, held: false, owner: None })
        };
        let services: BTreeSet<&String> = announcement.services.iter().collect();
        let all = services.into_iter().map(node).collect::<Result<Vec<_>, String>>()?;
        Ok(Self { addr: instance.addr, id: instance.id, all, data, displacements: Vec::new() })
    }

    /// Looks at every node, repairs what is not ours, and looks again until all are that may be.
    pub(super) async fn verify(&mut self, client: &zk::Client) -> Result<Verified, Trouble> {
        let me = client.session_id().0;
        let mut refused: BTreeSet<usize> = BTreeSet::new();
        let mut refusal = None;
        for _ in 0..ROUNDS + self.all.len() {
            let found = self.look(client).await?;
            for (node, (stat, _)) in self.all.iter_mut().zip(&found) {
                node.owner = stat.as_ref().map(|stat| stat.ephemeral_owner);
            }
            let repairs = Self::repairs(found.iter().map(|(stat, _)| stat.as_ref()), me);
            if let Some(node) = self.displaced(&repairs) {
                self.check_contested(client, node).await?;
            }
            let is_complete = repairs.is_empty();
            let possible: Vec<_> =
                repairs.into_iter().filter(|repair| !refused.contains(&repair.node)).collect();
            if possible.is_empty() {
                let watches = Watches(found.into_iter().map(|(_, watch)| watch).collect());
                // Nothing is refused any more when all are ours by now.
                return Ok(Verified { watches, refusal: refusal.filter(|_| !is_complete) });
            }
            for chunk in possible.chunks(REPAIRS) {
                // The rest is still tried: one directory that is closed to us must not keep the
                // other services from being announced.
                if let Some((node, why)) = self.repair(client, chunk).await? {
                    refusal = Some(format!("{}: {why}", self.all[node].path));
                    refused.insert(node);
                }
            }
        }
        Err(Trouble::Unknown("the nodes change faster than they are repaired".into()))
    }

    /// Reads the state of every node and sets a watch on each, all in one round trip.
    async fn look(
        &self,
        client: &zk::Client,
    ) -> Result<Vec<(Option<zk::Stat>, zk::OneshotWatcher)>, Trouble> {
        // The request leaves when the future is made, not when it is polled.
        let asked: Vec<_> = self
            .all
            .iter()
            .map(|node| (node, Box::pin(client.check_and_watch_stat(&node.path))))
            .collect();
        let mut found = Vec::with_capacity(asked.len());
        for (node, answer) in asked {
            let answer = operation(answer).await;
            found.push(answer.map_err(|error| Trouble::from(error.into(), &node.path))?);
        }
        Ok(found)
    }

    fn repairs<'a>(found: impl Iterator<Item = Option<&'a zk::Stat>>, me: i64) -> Vec<Repair> {
        let foreign = found.enumerate().filter_map(|(node, stat)| match stat {
            Some(stat) if stat.ephemeral_owner == me => None,
            Some(stat) => Some(Repair { node, replaces: Some(stat.version) }),
            None => Some(Repair { node, replaces: None }),
        });
        foreign.collect()
    }

    /// Remembers which nodes are ours; returns one that was and now has another owner.
    fn displaced(&mut self, repairs: &[Repair]) -> Option<usize> {
        let mut displaced = None;
        for (index, node) in self.all.iter_mut().enumerate() {
            let repair = repairs.iter().find(|repair| repair.node == index);
            let was_held = std::mem::replace(&mut node.held, repair.is_none());
            if was_held && repair.is_some_and(|repair| repair.replaces.is_some()) {
                displaced = Some(index);
            }
        }
        displaced
    }

    /// Whether this session owned one of the nodes when they were looked at last.
    pub(super) fn has_owner(&self, session: i64) -> bool {
        self.all.iter().any(|node| node.owner == Some(session))
    }

    /// Stops a fight: another process takes our address, for the second time.
    async fn check_contested(&mut self, client: &zk::Client, node: usize) -> Result<(), Trouble> {
        let path = &self.all[node].path;
        let Some(other) = other_process(client, self.addr, self.id, path).await? else {
            return Ok(());
        };
        let now = Instant::now();
        self.displacements.retain(|at| now.duration_since(*at) < CONTEST_WINDOW);
        self.displacements.push(now);
        if self.displacements.len() < 2 {
            return Ok(());
        }
        let addr = self.addr;
        Err(Trouble::Contested(format!(
            "two processes advertise {addr}: instance {other} took it from us again; \
             give one of them another address with .advertise(..)"
        )))
    }

    /// Makes nodes ours in one transaction. `None`: done, or to be looked at again; else the node
    /// for which ZooKeeper refused, and why.
    async fn repair(
        &self,
        client: &zk::Client,
        repairs: &[Repair],
    ) -> Result<Option<(usize, zk::Error)>, Trouble> {
        let mut writer = client.new_multi_writer();
        let mut touched = Vec::new();
        for repair in repairs {
            let path = &self.all[repair.node].path;
            let bad = |error: zk::Error| Trouble::from(error.into(), path);
            if let Some(version) = repair.replaces {
                writer.add_delete(path, Some(version)).map_err(bad)?;
                touched.push(repair.node);
            }
            writer.add_create(path, &self.data, &EPHEMERAL).map_err(bad)?;
            touched.push(repair.node);
        }
        let (index, error) = match operation(writer.commit()).await {
            Ok(_) => return Ok(None),
            Err(zk::MultiWriteError::RequestFailed { source }) => {
                return Err(Trouble::from(source.into(), &self.all[repairs[0].node].path));
            }
            Err(zk::MultiWriteError::OperationFailed { index, source }) => (index, source),
        };
        let node = touched.get(index).copied().unwrap_or(repairs[0].node);
        match error {
            // Somebody was faster.
            zk::Error::NodeExists | zk::Error::BadVersion => Ok(None),
            zk::Error::NoNode => self.make_directories(client, repairs).await,
            error => match Failure::from(error) {
                Failure::Refused(error) => Ok(Some((node, error))),
                failure => Err(Trouble::from(failure, &self.all[node].path)),
            },
        }
    }

    /// Makes the directories of nodes, all but the first of them in one round trip.
    async fn make_directories(
        &self,
        client: &zk::Client,
        repairs: &[Repair],
    ) -> Result<Option<(usize, zk::Error)>, Trouble> {
        let Some((first, others)) = repairs.split_first() else { return Ok(None) };
        // This one makes the root as well.
        let made = operation(client.mkdir(&self.all[first.node].dir, &DIRECTORY)).await;
        let mut answers = vec![(first.node, made)];
        let asked: Vec<_> = others
            .iter()
            .map(|repair| {
                let dir = &self.all[repair.node].dir;
                (repair.node, Box::pin(client.create(dir, b"", &DIRECTORY)))
            })
            .collect();
        for (node, answer) in asked {
            answers.push((node, operation(answer).await.map(drop)));
        }
        for (node, answer) in answers {
            match answer.map_err(Failure::from) {
                // Without its parent it is tried again from the beginning.
                Ok(()) | Err(Failure::Refused(zk::Error::NodeExists | zk::Error::NoNode)) => {}
                Err(Failure::Refused(error)) => return Ok(Some((node, error))),
                Err(failure) => return Err(Trouble::from(failure, &self.all[node].dir)),
            }
        }
        Ok(None)
    }

    /// Deletes the nodes that one of these sessions owns.
    pub(super) async fn withdraw(&self, client: &zk::Client, ours: &[i64]) {
        let asked: Vec<_> =
            self.all.iter().map(|node| Box::pin(client.check_stat(&node.path))).collect();
        let mut deletions = Vec::new();
        for (node, answer) in self.all.iter().zip(asked) {
            match answer.await {
                Ok(Some(stat)) if ours.contains(&stat.ephemeral_owner) => {
                    deletions.push(Box::pin(client.delete(&node.path, Some(stat.version))));
                }
                // Not there, or of another process.
                Ok(_) => {}
                Err(error) => tracing::debug!(%error, path = node.path, "not withdrawn"),
            }
        }
        for deletion in deletions {
            if let Err(error) = deletion.await {
                tracing::debug!(%error, "a node was not deleted; it ends with the session");
            }
        }
    }
}

/// The process that owns the node at `path`, if it is known to be another one than `ours`.
async fn other_process(
    client: &zk::Client,
    addr: SocketAddr,
    ours: Option<InstanceId>,
    path: &str,
) -> Result<Option<InstanceId>, Trouble> {
    let data = match operation(client.get_data(path)).await.map_err(Failure::from) {
        Ok((data, _)) => data,
        Err(Failure::Refused(_)) => return Ok(None),
        Err(failure) => return Err(Trouble::from(failure, path)),
    };
    let id = layout::decode(addr, &data).ok().and_then(|instance| instance.id);
    Ok(id.filter(|id| Some(*id) != ours))
}

impl fmt::Display for Nodes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let paths: Vec<_> = self.all.iter().map(|node| node.path.as_str()).collect();
        f.write_str(&paths.join(", "))
    }
}
