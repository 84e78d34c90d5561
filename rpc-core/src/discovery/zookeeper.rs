//! `zookeeper://h1:2181,h2:2181/root`: providers as ephemeral nodes in ZooKeeper.
//!
//! Servers announce themselves through a session of their own (`register`), clients follow all
//! their services through another (`watch`, `follow`, `content`), through which they also leave word
//! for operators (`events`); both sessions replace themselves (`link`, `session`).
//! `docs/zookeeper.md` has the layout and the state machines. This folder alone names the
//! `zookeeper-client` crate.

mod content;
mod events;
mod follow;
mod layout;
mod link;
mod register;
mod session;
mod url;
mod watch;

use self::{session::Target, watch::Hub};
use super::{Announcement, Notice, Register, Registered, Subscription, Watch};
use crate::{SetupError, future::BoxFuture};
use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

/// Instances kept in ZooKeeper.
///
/// The URL is `zookeeper://host:port,host:port/root?session=10s`. Without a port 2181 is meant,
/// without a root `/rpc`, without `session` 10 s; `session` is written in `ms`, `s` or `m`.
///
/// Nothing here waits for ZooKeeper: making a registry does no I/O, and what is announced or
/// followed is tried again for as long as ZooKeeper is away.
pub struct ZookeeperRegistry {
    target: Arc<Target>,
    /// The session of the subscriptions; it lasts as long as one of them.
    hub: Mutex<Weak<Hub>>,
}

impl ZookeeperRegistry {
    /// The registry at `url`.
    ///
    /// # Errors
    ///
    /// The URL is malformed; the text says what to write.
    pub fn new(url: &str) -> Result<Self, SetupError> {
        Ok(Self { target: Arc::new(url::parse(url)?), hub: Mutex::default() })
    }

    /// Asks ZooKeeper for this session timeout instead of 10 s: an instance whose process was
    /// killed stays listed for about that long. Brought into 100 ms to 10 min; the server has
    /// bounds of its own, and a warning is logged when it grants something else.
    #[must_use]
    pub fn session_timeout(mut self, timeout: Duration) -> Self {
        let target = Target::new(&self.target.hosts, &self.target.root, timeout);
        self.target = Arc::new(target);
        self
    }

    fn hub(&self) -> Arc<Hub> {
        let mut known = self.hub.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(hub) = known.upgrade().filter(|hub| hub.is_running()) {
            return hub;
        }
        let hub = Hub::spawn(Arc::clone(&self.target));
        *known = Arc::downgrade(&hub);
        hub
    }
}

impl Register for ZookeeperRegistry {
    fn register(&self, announcement: Announcement) -> Box<dyn Registered> {
        register::spawn(Arc::clone(&self.target), &announcement)
    }

    fn hosts(&self) -> Vec<String> {
        self.target.hosts.clone()
    }
}

impl Watch for ZookeeperRegistry {
    fn watch(&self, service: &str) -> Subscription {
        watch::spawn(self.hub(), &self.target, service)
    }

    /// The URL with its hosts in order and without the session: neither changes what is listed.
    fn identity(&self) -> Option<String> {
        let mut hosts: Vec<_> = self.target.hosts.iter().map(|h| h.to_ascii_lowercase()).collect();
        hosts.sort_unstable();
        hosts.dedup();
        Some(format!("zookeeper://{}{}", hosts.join(","), self.target.root))
    }

    /// Replaces the data of `/_events/<service>` under the root, unless another client did within
    /// the window.
    fn tell(&self, notice: Notice) -> BoxFuture<'static, Result<(), String>> {
        Box::pin(events::tell(self.hub(), Arc::clone(&self.target), notice))
    }
}

impl fmt::Debug for ZookeeperRegistry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ZookeeperRegistry").field("target", &self.target).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_that_mean_the_same_are_one_registry() {
        let identity = |url: &str| ZookeeperRegistry::new(url).unwrap().identity().unwrap();
        let one = identity("zookeeper://zk-2,ZK-1:2181,zk-1/rpc/?session=2s");
        assert_eq!(one, "zookeeper://zk-1:2181,zk-2:2181/rpc");
        assert_eq!(one, identity("zookeeper://zk-1,zk-2"));
        assert_ne!(one, identity("zookeeper://zk-1,zk-2/eu"));
    }
}
