//! Who looks at the registry from outside.

use crate::scene::SOON;
use rpc_core::discovery::{Source, Subscription, Watch as _, zookeeper::ZookeeperRegistry};
use tokio::time::timeout;

pub(crate) const DIRECTORY: &str = "/rpc/faults.Ledger";

/// Follows the service as a client does, and notes the shortest list that was published since the
/// first one was full.
pub(crate) struct Witness {
    task: tokio::task::JoinHandle<Subscription>,
    least: std::sync::Arc<std::sync::atomic::AtomicUsize>,
}

impl Witness {
    pub(crate) async fn of(url: &str, full: usize) -> Self {
        let registry = ZookeeperRegistry::new(url).unwrap();
        let mut subscription = registry.watch("faults.Ledger");
        let listed = |s: &Subscription| s.current().instances.len();
        let first = timeout(SOON, async {
            while listed(&subscription) < full {
                subscription.changed().await.unwrap();
            }
        });
        first.await.unwrap();
        let least = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(full));
        let seen = std::sync::Arc::clone(&least);
        let task = tokio::spawn(async move {
            let _registry = registry;
            while let Some(view) = subscription.changed().await {
                seen.fetch_min(view.instances.len(), std::sync::atomic::Ordering::Relaxed);
            }
            subscription
        });
        Self { task, least }
    }

    /// The shortest list so far.
    pub(crate) fn least(&self) -> usize {
        self.least.load(std::sync::atomic::Ordering::Relaxed)
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Waits until the registry is read and lists this many instances.
pub(crate) async fn until_listed(url: &str, instances: usize) {
    let mut subscription = ZookeeperRegistry::new(url).unwrap().watch("faults.Ledger");
    let reached = timeout(3 * SOON, async {
        loop {
            let view = subscription.current();
            if matches!(view.source, Source::Live { .. }) && view.instances.len() == instances {
                return;
            }
            subscription.changed().await.unwrap();
        }
    });
    let reached = reached.await.is_ok();
    assert!(reached, "{instances} instances are wanted: {:?}", subscription.current());
}
