//! The nodes in a ZooKeeper, looked at and changed by hand.

#![allow(dead_code, reason = "each program of tests uses some of it")]

use rpc_testkit::zookeeper::ZooKeeper;
use std::time::Duration;
use tokio::time::{Instant, sleep};
use zookeeper_client as zk;

/// How nodes are made by hand.
pub(crate) const PERSISTENT: zk::CreateOptions<'static> =
    zk::CreateMode::Persistent.with_acls(zk::Acls::anyone_all());
/// Limit for what is expected within a second.
const SOON: Duration = Duration::from_secs(10);

/// A client of ZooKeeper that knows nothing of the registry.
pub(crate) async fn admin(zookeeper: &ZooKeeper) -> zk::Client {
    zk::Client::connector().connect(&zookeeper.hosts()).await.unwrap()
}

/// The session that owns the node at `path`; `None` without a node, 0 for one that stays.
pub(crate) async fn owner(admin: &zk::Client, path: &str) -> Option<i64> {
    admin.check_stat(path).await.unwrap().map(|stat| stat.ephemeral_owner)
}

/// Waits until the owner of the node at `path` satisfies `wanted`.
pub(crate) async fn until_owned(
    admin: &zk::Client,
    path: &str,
    wanted: impl Fn(Option<i64>) -> bool,
) -> i64 {
    let end = Instant::now() + SOON;
    loop {
        let owner = owner(admin, path).await;
        if wanted(owner) {
            return owner.unwrap_or_default();
        }
        assert!(Instant::now() < end, "{path} is still owned by {owner:?}");
        sleep(Duration::from_millis(10)).await;
    }
}
