//! How servers announce themselves and clients find them.
//!
//! The vocabulary ([`Instance`], [`View`]), the two traits ([`Register`], [`Watch`]) and the
//! registries: `zookeeper://hosts/root`, `static://host:port,..` and `memory://name`. A program
//! may bring its own by implementing both traits.
//!
//! Nothing here is on the path of a call: a client reads the view it was given last, however long
//! ago, and a registry that is away changes nothing about it.

mod fixed;
mod instance;
mod memory;
mod names;
mod notice;
mod snapshot;
mod source;
#[cfg(feature = "zookeeper")]
pub mod zookeeper;

pub use fixed::FixedRegistry;
pub use instance::{Instance, InstanceId};
pub use memory::MemoryRegistry;
pub use names::{check_service_name, check_version};
pub use notice::Notice;
pub use snapshot::SnapshotRegistry;
pub use source::RegistrySource;

use crate::future::BoxFuture;
use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};
use tokio::{sync::watch, time::Instant};
use tokio_util::sync::DropGuard;

/// The instances of one service by address.
pub type Instances = BTreeMap<SocketAddr, Arc<Instance>>;

/// Announces instances.
pub trait Register: Send + Sync + 'static {
    /// Announces `announcement` and keeps it announced, whatever happens to the registry, until
    /// the handle is closed or dropped. Returns at once and never fails: an unreachable registry
    /// is tried again for as long as it takes. What this registry can't hold at all, as a name
    /// that it has no place for, is told by [`RegistrationState::Impossible`].
    ///
    /// # Panics
    ///
    /// May panic outside of a tokio runtime.
    fn register(&self, announcement: Announcement) -> Box<dyn Registered>;

    /// `host:port` of the servers behind this registry, if there are any: the route to them
    /// decides which of its addresses a server advertises. Empty: the registry is this process.
    fn hosts(&self) -> Vec<String> {
        Vec::new()
    }
}

/// Follows the instances of a service.
pub trait Watch: Send + Sync + 'static {
    /// Starts following a service (`name` or `name@version`). Returns at once; the view begins
    /// with [`Source::Connecting`] if it is not known yet.
    ///
    /// # Panics
    ///
    /// May panic outside of a tokio runtime.
    fn watch(&self, service: &str) -> Subscription;

    /// What tells this registry from every other, the same in each process that uses it: for
    /// example `zookeeper://h1:2181,h2:2181/rpc`. Lists are remembered under it, see
    /// [`SnapshotRegistry`]. Default `None`: its lists are not worth remembering.
    fn identity(&self) -> Option<String> {
        None
    }

    /// Leaves word for operators that a service is full, or no longer is, where they can watch it.
    /// Nothing waits for it but the task that tells; it is given up after 10 s. Default: a registry
    /// has no place for it, and that is no error.
    ///
    /// # Errors
    ///
    /// Why it is not there; people find that in the log. It is not repeated.
    ///
    /// # Panics
    ///
    /// May panic outside of a tokio runtime.
    fn tell(&self, notice: Notice) -> BoxFuture<'static, Result<(), String>> {
        drop(notice);
        Box::pin(async { Ok(()) })
    }
}

/// Both halves, as a server or a client is given them.
pub trait Registry: Register + Watch {}

impl<T: Register + Watch> Registry for T {}

/// What a server announces: one instance under each of its services.
#[derive(Debug, Clone)]
pub struct Announcement {
    /// `name` or `name@version` each.
    pub services: Vec<String>,
    /// Who announces itself.
    pub instance: Arc<Instance>,
}

/// A running announcement. Dropping it withdraws the instance without waiting.
pub trait Registered: Send + Sync {
    /// Where the announcement stands, now and later.
    fn state(&self) -> watch::Receiver<RegistrationState>;

    /// Withdraws the instance from every service. Returns when it is withdrawn, or after a bounded
    /// time when the registry cannot be reached: at most 500 ms for that, 2 s in all. Given up
    /// half-way, it goes on without being waited for.
    fn close(self: Box<Self>) -> BoxFuture<'static, ()>;
}

/// Where an announcement stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RegistrationState {
    /// Not there yet, or lost and being made again; why, in words.
    Pending(String),
    /// Every service is announced.
    Registered,
    /// It can never be made, whatever becomes of the registry; why, in words. The state stays.
    Impossible(String),
}

/// What is known about the instances of one service.
#[derive(Debug, Clone)]
pub struct View {
    /// The instances that the registry listed when it was last read.
    pub instances: Arc<Instances>,
    /// Addresses that an operator has taken out by hand.
    pub disabled: Arc<BTreeSet<SocketAddr>>,
    /// Weights that an operator has set by hand, 0 to 10,000; they hold in place of those that the
    /// instances announce.
    pub weights: Arc<BTreeMap<SocketAddr, u32>>,
    /// Whether the registry can be read now.
    pub source: Source,
    /// Where the registry keeps the service, for people: for example
    /// `/rpc/demo-api.Chat in ZooKeeper at 127.0.0.1:2181`.
    pub place: Arc<str>,
    /// Whether an instance that is missing is known to be gone. In ZooKeeper it is not: a session
    /// may have ended while the provider lives.
    pub removals_are_final: bool,
}

/// Whether a registry can be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// The first list is not there yet; since when it is awaited, and what stands in the way.
    Connecting {
        /// When the subscription began.
        since: Instant,
        /// The last failure, empty when there was none.
        reason: Arc<str>,
    },
    /// The registry has not been read since the start; the list is one that was kept in a file,
    /// see [`SnapshotRegistry`]. An address on it may belong to another process by now: it is to
    /// be used once whoever answers there has said that it is the instance on the list.
    Snapshot {
        /// Since when the registry is awaited.
        since: Instant,
        /// The last failure, empty when there was none.
        reason: Arc<str>,
        /// How old the list was at `since`.
        age: Duration,
    },
    /// The list is kept current.
    Live {
        /// When it became so.
        since: Instant,
    },
    /// The list is the last one that was read.
    Stale {
        /// When the registry was lost.
        since: Instant,
        /// Why, in words.
        reason: Arc<str>,
    },
}

/// A running subscription: the current [`View`] and a signal when it changes. It ends when
/// dropped.
#[derive(Debug)]
pub struct Subscription {
    view: watch::Receiver<View>,
    _end: Option<DropGuard>,
}

impl Subscription {
    /// A subscription that reads `view`; `end` is triggered when it is dropped.
    pub fn new(view: watch::Receiver<View>, end: Option<DropGuard>) -> Self {
        Self { view, _end: end }
    }

    /// The newest view.
    pub fn current(&self) -> View {
        self.view.borrow().clone()
    }

    /// Waits for a view that was not seen yet and returns it; `None` when there will be no more,
    /// and the last view stays valid.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: no view is lost.
    pub async fn changed(&mut self) -> Option<View> {
        self.view.changed().await.ok()?;
        Some(self.view.borrow_and_update().clone())
    }
}
