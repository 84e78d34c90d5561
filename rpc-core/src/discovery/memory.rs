//! `memory://name`: a registry inside this process, for tests and for programs in one binary.
//!
//! Tests can also write its script: list instances that do not exist, hide ones that do, make the
//! registry unreachable.

mod state;

use super::{
    Announcement, Instance, Notice, Register, Registered, RegistrationState, Subscription, Watch,
};
use crate::future::BoxFuture;
use dashmap::DashMap;
use state::Shared;
use std::{
    net::SocketAddr,
    sync::{Arc, LazyLock},
};
use tokio::{sync::watch, time::Instant};

/// The registries of this process by name.
static NAMED: LazyLock<DashMap<String, MemoryRegistry>> = LazyLock::new(DashMap::new);

/// A registry inside this process. Clones are the same registry.
///
/// Removals from it are final: an instance that is missing has left.
#[derive(Debug, Clone)]
pub struct MemoryRegistry(Arc<Shared>);

impl MemoryRegistry {
    /// The registry of this process with this name, made when it is first named.
    pub fn named(name: &str) -> Self {
        NAMED.entry(name.to_owned()).or_insert_with(|| Self::create(name)).clone()
    }

    /// A registry that only its clones reach.
    #[expect(clippy::new_without_default, reason = "two of them are not the same registry")]
    pub fn new() -> Self {
        Self::create("")
    }

    fn create(name: &str) -> Self {
        Self(Arc::new(Shared::new(name)))
    }

    /// Lists an instance of `service` until it is removed, whether or not anything answers there.
    pub fn add(&self, service: &str, instance: Instance) {
        let number = self.0.next_announcement();
        self.0.change(service, |known| {
            known.listed.insert(instance.addr, (number, Arc::new(instance)));
        });
    }

    /// Removes the instance of `service` at `addr`, whoever announced it.
    pub fn remove(&self, service: &str, addr: SocketAddr) {
        self.0.change(service, |known| {
            known.listed.remove(&addr);
        });
    }

    /// Takes addresses of `service` out by hand, as operators do with the configuration node in
    /// ZooKeeper. Replaces the earlier set.
    pub fn disable(&self, service: &str, addrs: impl IntoIterator<Item = SocketAddr>) {
        let addrs = Arc::new(addrs.into_iter().collect());
        self.0.change(service, |known| known.disabled = addrs);
    }

    /// Sets weights of `service` by hand, as operators do with the configuration node in ZooKeeper:
    /// they hold in place of those that the instances announced. Replaces the earlier ones.
    pub fn weigh(&self, service: &str, weights: impl IntoIterator<Item = (SocketAddr, u32)>) {
        let weights = Arc::new(weights.into_iter().collect());
        self.0.change(service, |known| known.weights = weights);
    }

    /// What a client told operators last of `service`: that it was full, or no longer is.
    pub fn notice(&self, service: &str) -> Option<Notice> {
        self.0.notices.get(service).map(|notice| notice.clone())
    }

    /// Leaves `addr` out of every list, as if its session had ended, though it stays announced.
    pub fn hide(&self, addr: SocketAddr) {
        self.0.set(|condition| {
            condition.hidden.insert(addr);
        });
    }

    /// Ends [`hide`](Self::hide).
    pub fn show(&self, addr: SocketAddr) {
        self.0.set(|condition| {
            condition.hidden.remove(&addr);
        });
    }

    /// Makes the registry unreachable for this reason: views turn stale and keep their list,
    /// announcements wait, and changes are seen only when it is [reachable](Self::set_reachable).
    pub fn set_unreachable(&self, reason: &str) {
        self.0.set(|condition| condition.outage = Some((reason.into(), Instant::now())));
    }

    /// Ends [`set_unreachable`](Self::set_unreachable).
    pub fn set_reachable(&self) {
        self.0.set(|condition| condition.outage = None);
    }

    /// Says whether a missing instance is known to be gone; true unless this is called. With false
    /// the registry is like ZooKeeper, where a session may have ended while the provider lives.
    pub fn set_removals_are_final(&self, removals_are_final: bool) {
        self.0.set(|condition| condition.removals_are_final = removals_are_final);
    }
}

impl Watch for MemoryRegistry {
    fn watch(&self, service: &str) -> Subscription {
        let mut view = None;
        self.0.change(service, |known| view = Some(known.view.subscribe()));
        // The sender lives in the map for as long as the registry, so there is no task to end.
        Subscription::new(view.unwrap_or_else(|| unreachable!("`change` calls once")), None)
    }

    fn tell(&self, notice: Notice) -> BoxFuture<'static, Result<(), String>> {
        let told = self.0.outage().map_or(Ok(()), Err);
        if told.is_ok() {
            self.0.notices.insert(notice.service.clone(), notice);
        }
        Box::pin(std::future::ready(told))
    }
}

impl Register for MemoryRegistry {
    fn register(&self, announcement: Announcement) -> Box<dyn Registered> {
        let number = self.0.next_announcement();
        for service in &announcement.services {
            let instance = Arc::clone(&announcement.instance);
            self.0.change(service, |known| {
                known.listed.insert(instance.addr, (number, instance));
            });
        }
        Box::new(InMemory { registry: Arc::clone(&self.0), announcement, number })
    }
}

/// An announcement; its instances are removed when it is dropped.
struct InMemory {
    registry: Arc<Shared>,
    announcement: Announcement,
    number: u64,
}

impl Registered for InMemory {
    fn state(&self) -> watch::Receiver<RegistrationState> {
        self.registry.registration.subscribe()
    }

    fn close(self: Box<Self>) -> BoxFuture<'static, ()> {
        drop(self);
        Box::pin(async {})
    }
}

impl Drop for InMemory {
    fn drop(&mut self) {
        let addr = self.announcement.instance.addr;
        for service in &self.announcement.services {
            self.registry.change(service, |known| {
                // Another process start may have taken the address since.
                if known.listed.get(&addr).is_some_and(|(number, _)| *number == self.number) {
                    known.listed.remove(&addr);
                }
            });
        }
    }
}

#[cfg(test)]
mod tests;
