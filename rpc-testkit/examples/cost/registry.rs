//! What consumers read from ZooKeeper when one provider of many comes or goes.

use crate::{Failure, row, stage::addresses};
use rpc_core::discovery::{
    Announcement, Instance, InstanceId, Register, RegistrationState, Subscription, Watch,
    zookeeper::ZookeeperRegistry,
};
use rpc_testkit::{proxy::ChaosProxy, zookeeper::ZooKeeper};
use std::{net::SocketAddr, sync::Arc, time::Duration};
use tokio::time::{sleep, timeout};

const CONSUMERS: usize = 50;
const PROVIDERS: u32 = 2000;
const SERVICE: &str = "cost.Listed";
/// Ten times what it takes.
const LIMIT: Duration = Duration::from_mins(2);

pub(crate) async fn run() -> Result<(), Failure> {
    let zookeeper = ZooKeeper::start().await?;
    let target: SocketAddr = zookeeper.hosts().parse()?;
    let proxy = ChaosProxy::start(target).await?;
    let providers = ZookeeperRegistry::new(&zookeeper.url("/rpc"))?;
    let announce = |addr| {
        let instance = Instance { id: Some(InstanceId::random()), ..Instance::at(addr) };
        let services = vec![SERVICE.to_owned()];
        providers.register(Announcement { services, instance: Arc::new(instance) })
    };
    let mut all: Vec<_> = addresses(PROVIDERS + 1, 9).collect();
    let last = all.pop().ok_or("there are some")?;
    let mut listed = Vec::new();
    for addr in all {
        listed.push(announce(addr));
    }
    for one in &listed {
        let mut state = one.state();
        timeout(LIMIT, state.wait_for(|s| *s == RegistrationState::Registered)).await??;
    }
    let consumers = (0..CONSUMERS)
        .map(|_| ZookeeperRegistry::new(&format!("zookeeper://{}/rpc", proxy.addr())))
        .collect::<Result<Vec<_>, _>>()?;
    let before = proxy.carried()[1];
    let mut mirrors: Vec<_> = consumers.iter().map(|c| c.watch(SERVICE)).collect();
    until(&mut mirrors, PROVIDERS as usize).await?;
    let whole = (proxy.carried()[1] - before) / CONSUMERS as u64;
    row(&format!("bytes read by a consumer, list of {PROVIDERS}"), &whole.to_string());
    // The watches that were set while the list was read have told what they had to.
    sleep(Duration::from_secs(1)).await;

    let before = proxy.carried()[1];
    let one = announce(last);
    until(&mut mirrors, PROVIDERS as usize + 1).await?;
    let came = (proxy.carried()[1] - before) / CONSUMERS as u64;
    row(&format!("bytes read by a consumer, one more than {PROVIDERS} comes"), &came.to_string());

    sleep(Duration::from_secs(1)).await;
    let before = proxy.carried()[1];
    one.close().await;
    until(&mut mirrors, PROVIDERS as usize).await?;
    let went = (proxy.carried()[1] - before) / CONSUMERS as u64;
    row(&format!("bytes read by a consumer, one more than {PROVIDERS} goes"), &went.to_string());
    zookeeper.stop().await;
    Ok(())
}

/// Waits until every consumer lists so many.
async fn until(mirrors: &mut [Subscription], count: usize) -> Result<(), Failure> {
    for mirror in mirrors {
        timeout(LIMIT, async {
            while mirror.current().instances.len() != count {
                mirror.changed().await.ok_or("the registry has ended")?;
            }
            Ok::<_, Failure>(())
        })
        .await??;
    }
    Ok(())
}
