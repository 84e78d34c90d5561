//! `static://host:port,host:port`: the instances are the ones that are written down.
//!
//! Addresses are listed at once. Host names are resolved in the background, again and again until
//! it works, and every minute after that, so that a change of the name is followed.

use super::{
    Announcement, Instance, Instances, Register, Registered, RegistrationState, Source,
    Subscription, View, Watch,
};
use crate::{SetupError, future::BoxFuture};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};
use tokio::{net::lookup_host, sync::watch, task::JoinSet, time};
use tokio_util::sync::CancellationToken;

/// Time for one look-up of a host name.
const LOOKUP: Duration = Duration::from_secs(5);
const RETRY_MIN: Duration = Duration::from_millis(50);
const RETRY_MAX: Duration = Duration::from_secs(5);
/// Host names are resolved again after this time.
const REFRESH: Duration = Duration::from_mins(1);

/// A list of addresses that does not come from a registry; every service is at all of them.
///
/// Announcing oneself here does nothing and reports success.
#[derive(Debug, Clone)]
pub struct FixedRegistry {
    place: Arc<str>,
    addrs: Instances,
    names: Arc<[String]>,
}

impl FixedRegistry {
    /// The registry for `host:port,host:port`, with or without `static://` before it.
    ///
    /// # Errors
    ///
    /// The list is empty, or an entry has no host or no port from 1 to 65535.
    pub fn parse(hosts: &str) -> Result<Self, SetupError> {
        let list = hosts.strip_prefix("static://").unwrap_or(hosts);
        if list.is_empty() {
            return Err(malformed(list, list, "lists no address"));
        }
        let mut addrs = BTreeSet::new();
        let mut names = BTreeSet::new();
        for entry in list.split(',') {
            match entry.parse::<SocketAddr>() {
                Ok(addr) if addr.port() == 0 || addr.ip().is_unspecified() => {
                    return Err(malformed(list, entry, "is no address that can be dialled"));
                }
                Ok(addr) => {
                    addrs.insert(addr);
                }
                Err(_) => {
                    check_host(entry).map_err(|why| malformed(list, entry, why))?;
                    names.insert(entry.to_owned());
                }
            }
        }
        Ok(Self { names: names.into_iter().collect(), ..Self::of(addrs) })
    }

    /// The registry for these addresses.
    pub fn of(addrs: impl IntoIterator<Item = SocketAddr>) -> Self {
        let addrs: Instances = addrs.into_iter().map(listed).collect();
        Self { place: "the static list".into(), addrs, names: Arc::new([]) }
    }
}

fn listed(addr: SocketAddr) -> (SocketAddr, Arc<Instance>) {
    (addr, Arc::new(Instance::at(addr)))
}

fn malformed(list: &str, entry: &str, why: &str) -> SetupError {
    SetupError::new(format!(
        "static://{list}: {entry:?} {why}: write static://host:port,host:port, for example \
         static://10.0.0.1:9000,web-2:9000"
    ))
}

fn check_host(entry: &str) -> Result<(), &'static str> {
    let Some((host, port)) = entry.rsplit_once(':') else { return Err("has no port") };
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if host.is_empty() || !host.chars().all(allowed) {
        return Err("has no usable host");
    }
    match port.parse::<u16>() {
        Ok(1..) => Ok(()),
        _ => Err("has no port from 1 to 65535"),
    }
}

impl Register for FixedRegistry {
    fn register(&self, _: Announcement) -> Box<dyn Registered> {
        Box::new(Nothing(watch::channel(RegistrationState::Registered).0))
    }
}

/// The announcement that announces nothing.
struct Nothing(watch::Sender<RegistrationState>);

impl Registered for Nothing {
    fn state(&self) -> watch::Receiver<RegistrationState> {
        self.0.subscribe()
    }

    fn close(self: Box<Self>) -> BoxFuture<'static, ()> {
        Box::pin(async {})
    }
}

impl Watch for FixedRegistry {
    fn watch(&self, service: &str) -> Subscription {
        let since = time::Instant::now();
        let source = if self.addrs.is_empty() {
            Source::Connecting { since, reason: "".into() }
        } else {
            Source::Live { since }
        };
        let (sender, receiver) = watch::channel(View {
            instances: Arc::new(self.addrs.clone()),
            disabled: Arc::default(),
            weights: Arc::default(),
            source,
            place: format!("{service} in {}", self.place).into(),
            // A name that resolves to fewer addresses says nothing about the others.
            removals_are_final: false,
        });
        if self.names.is_empty() {
            return Subscription::new(receiver, None);
        }
        let end = CancellationToken::new();
        let resolver =
            Resolver { fixed: self.addrs.clone(), names: Arc::clone(&self.names), view: sender };
        let run = end.clone().run_until_cancelled_owned(resolver.run());
        tokio::spawn(run);
        Subscription::new(receiver, Some(end.drop_guard()))
    }
}

/// The task that resolves the host names of one subscription.
struct Resolver {
    fixed: Instances,
    names: Arc<[String]>,
    view: watch::Sender<View>,
}

impl Resolver {
    async fn run(self) {
        let mut found: BTreeMap<String, Vec<SocketAddr>> = BTreeMap::new();
        let mut pause = RETRY_MIN;
        let mut told = Vec::new();
        loop {
            let mut failures = Vec::new();
            // All at once: one that does not answer must not hide the others.
            let mut lookups: JoinSet<_> = self.names.iter().cloned().map(resolve).collect();
            while let Some(answer) = lookups.join_next().await {
                match answer {
                    Ok((name, Ok(addrs))) => {
                        found.insert(name, addrs);
                    }
                    // What was found before stays: a name server that is away removes nobody.
                    Ok((name, Err(why))) => failures.push(format!("{name}: {why}")),
                    Err(panic) => failures.push(panic.to_string()),
                }
                self.publish(&found, &failures);
            }
            // In the order in which they came, which is by chance.
            failures.sort();
            if failures != told && !failures.is_empty() {
                tracing::warn!(
                    failures = failures.join("; "),
                    "hosts of the static list are not resolved; it is tried again and again"
                );
            }
            pause = match (failures.is_empty(), pause) {
                (true, _) => REFRESH,
                (false, REFRESH) => RETRY_MIN,
                (false, pause) => (pause * 2).min(RETRY_MAX),
            };
            told = failures;
            time::sleep(pause.mul_f64(0.5 + fastrand::f64())).await;
        }
    }

    fn publish(&self, found: &BTreeMap<String, Vec<SocketAddr>>, failures: &[String]) {
        let mut instances = self.fixed.clone();
        instances.extend(found.values().flatten().copied().map(listed));
        self.view.send_if_modified(|view| {
            let mut changed = false;
            if let Source::Connecting { since, reason } = &view.source {
                let known = failures.join("; ");
                if !instances.is_empty() {
                    view.source = Source::Live { since: time::Instant::now() };
                    changed = true;
                } else if **reason != *known {
                    view.source = Source::Connecting { since: *since, reason: known.into() };
                    changed = true;
                }
            }
            if *view.instances != instances {
                view.instances = Arc::new(instances);
                changed = true;
            }
            changed
        });
    }
}

async fn resolve(name: String) -> (String, Result<Vec<SocketAddr>, String>) {
    let answer = match time::timeout(LOOKUP, lookup_host(&name)).await {
        Err(_) => Err("no answer from the name server".into()),
        Ok(Err(error)) => Err(error.to_string()),
        Ok(Ok(addrs)) => {
            let addrs: Vec<_> = addrs.collect();
            if addrs.is_empty() { Err("no address".into()) } else { Ok(addrs) }
        }
    };
    (name, answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn addresses_are_live_at_once() {
        let registry = FixedRegistry::parse("static://10.0.0.1:9000,[::1]:9001").unwrap();
        let view = registry.watch("demo.Chat").current();
        let addrs: Vec<_> = view.instances.keys().map(ToString::to_string).collect();
        assert_eq!(addrs, ["10.0.0.1:9000", "[::1]:9001"]);
        assert!(matches!(view.source, Source::Live { .. }));
        assert_eq!(&*view.place, "demo.Chat in the static list");
    }

    #[tokio::test]
    async fn host_names_are_resolved_in_the_background() {
        let registry = FixedRegistry::parse("localhost:9000").unwrap();
        let mut subscription = registry.watch("demo.Chat");
        assert!(matches!(subscription.current().source, Source::Connecting { .. }));
        let view = time::timeout(Duration::from_secs(20), subscription.changed()).await.unwrap();
        let view = view.unwrap();
        assert!(matches!(view.source, Source::Live { .. }));
        assert!(view.instances.keys().all(|addr| addr.ip().is_loopback() && addr.port() == 9000));
    }

    #[tokio::test]
    async fn a_name_that_does_not_resolve_is_told_and_hides_nobody() {
        let registry = FixedRegistry::parse("10.0.0.1:9000,nowhere.invalid:9000").unwrap();
        let view = registry.watch("demo.Chat").current();
        assert_eq!(view.instances.len(), 1);
        let mut subscription =
            FixedRegistry::parse("nowhere.invalid:9000").unwrap().watch("demo.Chat");
        let view = time::timeout(Duration::from_mins(1), subscription.changed()).await.unwrap();
        let Source::Connecting { reason, .. } = view.unwrap().source else { panic!() };
        assert!(reason.contains("nowhere.invalid:9000"), "{reason}");
    }

    #[tokio::test]
    async fn registering_succeeds_and_does_nothing() {
        let registry = FixedRegistry::parse("10.0.0.1:9000").unwrap();
        let instance = Arc::new(Instance::at(([10, 0, 0, 9], 1).into()));
        let registered = registry.register(Announcement { services: vec![], instance });
        assert_eq!(*registered.state().borrow(), RegistrationState::Registered);
        registered.close().await;
    }

    #[test]
    fn what_is_malformed_is_named() {
        for (list, why) in [
            ("", "lists no address"),
            ("a", "has no port"),
            ("10.0.0.1:0", "no address that can be dialled"),
            ("0.0.0.0:9000", "no address that can be dialled"),
            ("a:0", "no port from 1"),
            ("a:99999", "no port from 1"),
            (":9", "no usable host"),
            ("a b:9", "no usable host"),
            ("a:1,,b:2", "has no port"),
            ("a:1/rpc", "no port from 1"),
        ] {
            let text = FixedRegistry::parse(list).unwrap_err().to_string();
            assert!(text.contains(why) && text.contains("write static://"), "{list}: {text}");
        }
    }
}
