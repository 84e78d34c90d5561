//! What the nodes of a directory mean: the instances of a service, or the operators' settings.

use super::{
    follow::Sink,
    layout::{self, Orders},
};
use crate::discovery::{Instance, Instances, Source, View, names};
use std::{
    collections::{BTreeMap, HashSet},
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    sync::watch,
    time::{Instant, timeout},
};

/// Most instances of one service, and most services with settings.
const MAX_NODES: usize = 20_000;
/// Most names that are remembered as warned about.
const MAX_WARNED: usize = 1_000;
/// The first list waits this long for the operators' settings, so that an address that they took
/// out is not used in between.
const SETTINGS_FIRST: Duration = Duration::from_millis(500);

/// What operators wrote, by service; `None` until it was read.
pub(super) type Settings = Option<Arc<BTreeMap<String, Orders>>>;

/// What operators wrote for one service.
pub(super) fn orders(settings: &Settings, service: &str) -> Orders {
    settings.as_ref().and_then(|all| all.get(service).cloned()).unwrap_or_default()
}

impl Orders {
    /// Makes them part of a view; says whether that changes it.
    pub(super) fn apply(self, view: &mut View) -> bool {
        let changed = view.disabled != self.disabled || view.weights != self.weights;
        view.disabled = self.disabled;
        view.weights = self.weights;
        changed
    }
}

/// Turns the nodes of a service into its view.
pub(super) struct ServiceSink<'a> {
    service: &'a str,
    settings: watch::Receiver<Settings>,
    known: Mutex<Instances>,
    warned: Warned,
    view: &'a watch::Sender<View>,
}

impl<'a> ServiceSink<'a> {
    /// A sink for `service` in `dir`, whose content goes into `view`.
    pub(super) fn new(
        service: &'a str,
        dir: &str,
        settings: watch::Receiver<Settings>,
        view: &'a watch::Sender<View>,
    ) -> Self {
        Self { service, settings, known: Mutex::default(), warned: Warned::new(dir), view }
    }

    fn instance(&self, name: &str, data: &[u8]) -> Option<Arc<Instance>> {
        let addr = layout::address(name)?;
        if data.len() > layout::MAX_DATA {
            self.warned.warn(name, &format!("ignored: it holds {} bytes", data.len()));
            return None;
        }
        match layout::decode(addr, data) {
            Ok(instance) => {
                self.warned.forget(name);
                Some(Arc::new(instance))
            }
            Err(why) => {
                self.warned.warn(name, &format!("its data is broken, defaults are used: {why}"));
                Some(Arc::new(Instance::at(addr)))
            }
        }
    }

    /// Publishes `known` as what the registry lists now.
    fn publish(&self, known: &Instances) {
        // With the list and not after it: in between, a disabled address would be used.
        let orders = orders(&self.settings.borrow(), self.service);
        self.view.send_if_modified(|view| {
            let was_live = matches!(view.source, Source::Live { .. });
            if !was_live {
                view.source = Source::Live { since: Instant::now() };
            }
            let changed = *view.instances != *known;
            if changed {
                view.instances = Arc::new(known.clone());
            }
            let settings_changed = orders.apply(view);
            changed || settings_changed || !was_live
        });
    }
}

impl Sink for ServiceSink<'_> {
    async fn ready(&self) {
        let mut settings = self.settings.clone();
        let _ = timeout(SETTINGS_FIRST, settings.wait_for(Option::is_some)).await;
    }

    fn select(&self, names: Vec<String>) -> Vec<String> {
        let mut wanted: Vec<(SocketAddr, String)> = Vec::with_capacity(names.len());
        for name in names {
            match layout::address(&name) {
                Some(addr) => wanted.push((addr, name)),
                None => self.warned.warn(&name, "ignored: it is no address"),
            }
        }
        // Sorted, so that everybody refuses the same surplus.
        wanted.sort_unstable();
        if wanted.len() > MAX_NODES {
            let surplus = wanted.len() - MAX_NODES;
            self.warned.warn("", &format!("{surplus} instances over {MAX_NODES} are refused"));
            wanted.truncate(MAX_NODES);
        }
        wanted.into_iter().map(|(_, name)| name).collect()
    }

    fn wants(&self, name: &str) -> bool {
        let Some(addr) = layout::address(name) else {
            self.warned.warn(name, "ignored: it is no address");
            return false;
        };
        let known = lock(&self.known);
        let wanted = known.len() < MAX_NODES || known.contains_key(&addr);
        if !wanted {
            self.warned.warn("", &format!("instances over {MAX_NODES} are refused"));
        }
        wanted
    }

    fn replace(&self, nodes: Vec<(String, Vec<u8>)>) {
        let read = nodes.iter().filter_map(|(name, data)| self.instance(name, data));
        let read: Instances = read.map(|instance| (instance.addr, instance)).collect();
        let mut known = lock(&self.known);
        *known = read;
        self.publish(&known);
    }

    fn update(&self, nodes: Vec<(String, Option<Vec<u8>>)>) {
        let mut known = lock(&self.known);
        for (name, data) in nodes {
            let Some(addr) = layout::address(&name) else { continue };
            match data.and_then(|data| self.instance(&name, &data)) {
                Some(instance) if known.len() < MAX_NODES || known.contains_key(&addr) => {
                    known.insert(addr, instance);
                }
                Some(_) => {}
                None => {
                    known.remove(&addr);
                }
            }
        }
        self.publish(&known);
    }

    fn trouble(&self, reason: &str) {
        self.view.send_if_modified(|view| {
            let source = match &view.source {
                Source::Live { .. } => {
                    tracing::warn!(reason, place = &*view.place, "the list is no longer current");
                    Source::Stale { since: Instant::now(), reason: reason.into() }
                }
                Source::Connecting { reason: known, .. } | Source::Stale { reason: known, .. }
                    if **known == *reason =>
                {
                    return false;
                }
                // A snapshot stands before this registry, not in it.
                Source::Connecting { since, .. } | Source::Snapshot { since, .. } => {
                    Source::Connecting { since: *since, reason: reason.into() }
                }
                Source::Stale { since, .. } => {
                    Source::Stale { since: *since, reason: reason.into() }
                }
            };
            view.source = source;
            true
        });
    }
}

/// Turns the nodes of the configuration directory into what operators wrote.
pub(super) struct SettingsSink {
    settings: watch::Sender<Settings>,
    known: Mutex<BTreeMap<String, Orders>>,
    warned: Warned,
}

impl SettingsSink {
    /// A sink for the configuration in `dir`, whose content goes into `settings`.
    pub(super) fn new(dir: &str, settings: watch::Sender<Settings>) -> Self {
        Self { settings, known: Mutex::default(), warned: Warned::new(dir) }
    }

    fn orders(&self, name: &str, data: &[u8]) -> Option<Orders> {
        if data.len() > layout::MAX_DATA {
            self.warned.warn(name, &format!("ignored: it holds {} bytes", data.len()));
            return None;
        }
        match layout::decode_config(data) {
            Ok((orders, broken)) => {
                if broken.is_empty() {
                    self.warned.forget(name);
                } else {
                    let entries = format!("{:.200}", broken.join(", "));
                    self.warned.warn(name, &format!("these entries are ignored: {entries}"));
                }
                Some(orders)
            }
            Err(why) => {
                self.warned.warn(name, &format!("ignored: {why}"));
                None
            }
        }
    }
}

impl Sink for SettingsSink {
    async fn ready(&self) {}

    fn select(&self, mut names: Vec<String>) -> Vec<String> {
        names.retain(|name| self.wants(name));
        names.sort_unstable();
        names.truncate(MAX_NODES);
        names
    }

    fn wants(&self, name: &str) -> bool {
        let usable = names::check_registered_name(name).is_ok();
        if !usable {
            self.warned.warn(name, "ignored: it is no name of a service");
        }
        usable
    }

    fn replace(&self, nodes: Vec<(String, Vec<u8>)>) {
        let read = nodes.into_iter().filter_map(|(name, data)| {
            let orders = self.orders(&name, &data)?;
            Some((name, orders))
        });
        let read = read.collect();
        let mut known = lock(&self.known);
        *known = read;
        self.settings.send_replace(Some(Arc::new(known.clone())));
    }

    fn update(&self, nodes: Vec<(String, Option<Vec<u8>>)>) {
        let mut known = lock(&self.known);
        for (name, data) in nodes {
            match data.and_then(|data| self.orders(&name, &data)) {
                Some(orders) if known.len() < MAX_NODES || known.contains_key(&name) => {
                    known.insert(name, orders);
                }
                Some(_) => {}
                None => {
                    known.remove(&name);
                }
            }
        }
        self.settings.send_replace(Some(Arc::new(known.clone())));
    }

    /// What operators said last goes on.
    fn trouble(&self, _reason: &str) {}
}

/// The nodes of one directory that were warned about: once each, until they are right again.
struct Warned {
    dir: String,
    names: Mutex<HashSet<String>>,
}

impl Warned {
    fn new(dir: &str) -> Self {
        Self { dir: dir.to_owned(), names: Mutex::default() }
    }

    fn warn(&self, name: &str, what: &str) {
        let mut names = lock(&self.names);
        if names.len() < MAX_WARNED && names.insert(name.to_owned()) {
            tracing::warn!(node = ?format_args!("{}/{name}", self.dir), what, "odd node");
        }
    }

    fn forget(&self, name: &str) {
        lock(&self.names).remove(name);
    }
}

/// A panic while one of these is locked leaves content that the next full read replaces.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
