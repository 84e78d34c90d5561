//! `memory://name`: a registry inside this process, for tests and for programs in one binary.
//!
//! Tests can also write its script: list instances that do not exist, hide ones that do, make the
//! registry unreachable.

use super::{
    Announcement, Instance, Instances, Notice, Register, Registered, RegistrationState, Source,
    Subscription, View, Watch,
};
use crate::future::BoxFuture;
use dashmap::DashMap;
use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError},
};
use tokio::{sync::watch, time::Instant};

/// The registries of this process by name.
static NAMED: LazyLock<DashMap<String, MemoryRegistry>> = LazyLock::new(DashMap::new);

/// A registry inside this process. Clones are the same registry.
///
/// Removals from it are final: an instance that is missing has left.
#[derive(Debug, Clone)]
pub struct MemoryRegistry(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    name: Box<str>,
    services: DashMap<String, Service>,
    /// What was told last of each service.
    notices: DashMap<String, Notice>,
    condition: Mutex<Condition>,
    /// The state of every announcement: it depends on nothing but whether the registry answers.
    registration: watch::Sender<RegistrationState>,
}

/// How the registry as a whole behaves.
#[derive(Debug)]
struct Condition {
    /// Why it cannot be reached and since when.
    outage: Option<(Arc<str>, Instant)>,
    hidden: BTreeSet<SocketAddr>,
    removals_are_final: bool,
    /// Tells one announcement of an address from the next.
    announcements: u64,
}

/// What is known of one service, and who follows it.
#[derive(Debug)]
struct Service {
    /// The instances and the number of the announcement that each came with.
    listed: BTreeMap<SocketAddr, (u64, Arc<Instance>)>,
    disabled: Arc<BTreeSet<SocketAddr>>,
    weights: Arc<BTreeMap<SocketAddr, u32>>,
    view: watch::Sender<View>,
}

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
        Self(Arc::new(Shared {
            name: name.into(),
            services: DashMap::new(),
            notices: DashMap::new(),
            condition: Mutex::new(Condition {
                outage: None,
                hidden: BTreeSet::new(),
                removals_are_final: true,
                announcements: 0,
            }),
            registration: watch::channel(RegistrationState::Registered).0,
        }))
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

impl Shared {
    /// The lock order is condition, then service; neither is held across anything that waits.
    fn condition(&self) -> MutexGuard<'_, Condition> {
        self.condition.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next_announcement(&self) -> u64 {
        let mut condition = self.condition();
        condition.announcements += 1;
        condition.announcements
    }

    fn change(&self, service: &str, change: impl FnOnce(&mut Service)) {
        let condition = self.condition();
        let mut known = self
            .services
            .entry(service.to_owned())
            .or_insert_with(|| Service::new(self.place(service), &condition));
        change(&mut known);
        known.publish(&condition);
    }

    fn set(&self, change: impl FnOnce(&mut Condition)) {
        let mut condition = self.condition();
        change(&mut condition);
        for known in &self.services {
            known.publish(&condition);
        }
        self.registration.send_if_modified(|state| {
            let now = condition.registration();
            let changed = *state != now;
            *state = now;
            changed
        });
    }

    fn place(&self, service: &str) -> Arc<str> {
        format!("{service} in memory://{}", self.name).into()
    }
}

impl Condition {
    fn source(&self) -> Source {
        match &self.outage {
            None => Source::Live { since: Instant::now() },
            Some((reason, since)) => Source::Stale { since: *since, reason: Arc::clone(reason) },
        }
    }

    fn registration(&self) -> RegistrationState {
        match &self.outage {
            None => RegistrationState::Registered,
            Some((reason, _)) => RegistrationState::Pending(reason.as_ref().to_owned()),
        }
    }
}

impl Service {
    fn new(place: Arc<str>, condition: &Condition) -> Self {
        // A list that was never read is awaited, not stale.
        let source = match condition.source() {
            Source::Stale { since, reason } => Source::Connecting { since, reason },
            live => live,
        };
        let view = View {
            instances: Arc::default(),
            disabled: Arc::default(),
            weights: Arc::default(),
            source,
            place,
            removals_are_final: condition.removals_are_final,
        };
        Self {
            listed: BTreeMap::new(),
            disabled: Arc::default(),
            weights: Arc::default(),
            view: watch::channel(view).0,
        }
    }

    /// Brings the view up to date as far as the condition of the registry lets it be seen.
    fn publish(&self, condition: &Condition) {
        let instances = || -> Instances {
            let seen = self.listed.iter().filter(|(addr, _)| !condition.hidden.contains(addr));
            seen.map(|(addr, (_, instance))| (*addr, Arc::clone(instance))).collect()
        };
        self.view.send_if_modified(|view| {
            let mut changed = false;
            match (&view.source, condition.source()) {
                (Source::Live { .. }, Source::Live { .. })
                | (Source::Connecting { .. } | Source::Stale { .. }, Source::Stale { .. }) => {}
                (_, source) => {
                    view.source = source;
                    changed = true;
                }
            }
            if condition.outage.is_some() {
                return changed;
            }
            let instances = instances();
            changed |= *view.instances != instances
                || view.disabled != self.disabled
                || view.weights != self.weights
                || view.removals_are_final != condition.removals_are_final;
            view.instances = Arc::new(instances);
            view.disabled = Arc::clone(&self.disabled);
            view.weights = Arc::clone(&self.weights);
            view.removals_are_final = condition.removals_are_final;
            changed
        });
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
        let outage = self.0.condition().outage.as_ref().map(|(reason, _)| reason.to_string());
        if outage.is_none() {
            self.0.notices.insert(notice.service.clone(), notice);
        }
        Box::pin(std::future::ready(outage.map_or(Ok(()), Err)))
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
mod tests {
    use super::*;

    fn addr(port: u16) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], port))
    }

    fn announce(registry: &MemoryRegistry, port: u16) -> Box<dyn Registered> {
        let instance = Arc::new(Instance::at(addr(port)));
        registry.register(Announcement { services: vec!["a".into(), "b".into()], instance })
    }

    fn ports(view: &View) -> Vec<u16> {
        view.instances.keys().map(SocketAddr::port).collect()
    }

    #[tokio::test]
    async fn what_is_announced_is_listed_until_it_is_closed_or_dropped() {
        let registry = MemoryRegistry::new();
        let mut a = registry.watch("a");
        assert!(matches!(a.current().source, Source::Live { .. }));
        let first = announce(&registry, 1);
        let second = announce(&registry, 2);
        assert_eq!(ports(&a.changed().await.unwrap()), [1, 2]);
        assert_eq!(ports(&registry.watch("b").current()), [1, 2]);
        first.close().await;
        assert_eq!(ports(&a.changed().await.unwrap()), [2]);
        drop(second);
        assert_eq!(ports(&a.changed().await.unwrap()), [0_u16; 0]);
    }

    #[tokio::test]
    async fn a_new_announcement_of_an_address_outlives_the_old_one() {
        let registry = MemoryRegistry::new();
        let old = announce(&registry, 1);
        let _new = announce(&registry, 1);
        old.close().await;
        assert_eq!(ports(&registry.watch("a").current()), [1]);
    }

    #[tokio::test]
    async fn a_name_is_one_registry_in_the_process() {
        let _announced = announce(&MemoryRegistry::named("one-name"), 7);
        assert_eq!(ports(&MemoryRegistry::named("one-name").watch("a").current()), [7]);
        assert_eq!(ports(&MemoryRegistry::named("another").watch("a").current()), [0_u16; 0]);
    }

    #[tokio::test]
    async fn an_outage_keeps_the_list_and_delays_what_happens() {
        let registry = MemoryRegistry::new();
        let _first = announce(&registry, 1);
        let subscription = registry.watch("a");
        registry.set_unreachable("pulled out");
        let second = announce(&registry, 2);
        assert_eq!(*second.state().borrow(), RegistrationState::Pending("pulled out".into()));
        let view = subscription.current();
        assert_eq!(ports(&view), [1]);
        assert!(matches!(view.source, Source::Stale { reason, .. } if &*reason == "pulled out"));
        let unread = registry.watch("never read").current();
        assert!(matches!(unread.source, Source::Connecting { .. }));
        registry.set_reachable();
        assert_eq!(*second.state().borrow(), RegistrationState::Registered);
        assert_eq!(ports(&subscription.current()), [1, 2]);
        assert!(matches!(registry.watch("never read").current().source, Source::Live { .. }));
    }

    #[tokio::test]
    async fn the_last_notice_of_a_service_is_kept() {
        let registry = MemoryRegistry::new();
        let notice = |over| Notice {
            service: "a".into(),
            client: "me".into(),
            over,
            window: std::time::Duration::from_mins(1),
            json: "{}".into(),
        };
        assert_eq!(registry.notice("a"), None);
        assert_eq!(registry.tell(notice(false)).await, Ok(()));
        registry.set_unreachable("pulled out");
        assert_eq!(registry.tell(notice(true)).await, Err("pulled out".to_owned()));
        assert_eq!(registry.notice("a"), Some(notice(false)));
        registry.set_reachable();
        assert_eq!(registry.tell(notice(true)).await, Ok(()));
        assert_eq!(registry.notice("a"), Some(notice(true)));
    }

    #[tokio::test]
    async fn a_script_can_hide_add_remove_and_disable() {
        let registry = MemoryRegistry::new();
        let _first = announce(&registry, 1);
        let subscription = registry.watch("a");
        registry.add("a", Instance::at(addr(9)));
        registry.hide(addr(1));
        assert_eq!(ports(&subscription.current()), [9]);
        registry.show(addr(1));
        registry.remove("a", addr(9));
        registry.disable("a", [addr(1)]);
        let view = subscription.current();
        assert_eq!(ports(&view), [1]);
        assert!(view.disabled.contains(&addr(1)) && view.removals_are_final);
        registry.set_removals_are_final(false);
        assert!(!subscription.current().removals_are_final);
    }
}
