//! Which addresses a client dials, and when.

use crate::script::{BOUND, Provider, Raw, RawClient};
use rpc_client::Client;
use rpc_core::{
    discovery::{Instance, InstanceId, MemoryRegistry},
    wire::{Kind, Limits},
};
use std::{net::SocketAddr, time::Duration};
use tokio::{
    net::TcpListener,
    time::{Instant, timeout},
};

#[cfg(target_os = "linux")]
#[tokio::test]
async fn of_many_instances_some_are_dialled_and_none_that_is_disabled() {
    let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let registry = MemoryRegistry::new();
    let addrs: Vec<SocketAddr> = (1..=200).map(|n| ([127, 0, 1, n], port).into()).collect();
    registry.disable("test.Raw", addrs[..80].iter().copied());
    for addr in &addrs {
        registry.add("test.Raw", Instance::at(*addr));
    }
    let client = Client::connect(registry.clone()).await.unwrap();
    let _proxy: RawClient = client.get();
    let (mut open, mut to) = (Vec::new(), Vec::new());
    let until = Instant::now() + Duration::from_secs(3);
    while let Ok(accepted) = tokio::time::timeout_at(until, listener.accept()).await {
        let mut peer = crate::script::Peer::new(accepted.unwrap().0);
        to.push(peer.local_addr());
        peer.greet(Limits::default()).await;
        open.push(peer);
    }
    assert_eq!(to.len(), 12);
    assert!(to.iter().all(|addr| addrs[80..].contains(addr)), "disabled ones were dialled");
}

#[tokio::test]
async fn a_new_instance_at_an_old_address_is_dialled_as_soon_as_it_is_listed() {
    let registry = MemoryRegistry::new();
    let port = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = port.local_addr().unwrap();
    drop(port);
    let instance = |n| Instance { id: InstanceId::from_u64(n), ..Instance::at(addr) };
    registry.add("test.Raw", instance(1));
    let client: RawClient = Client::connect(registry.clone()).await.unwrap().get();
    // By now it is dialled every five seconds or so, and calls no longer wait for it.
    tokio::time::sleep(Duration::from_secs(9)).await;
    let provider = Provider::at(addr).await;
    registry.add("test.Raw", instance(2));
    let call = tokio::spawn(async move { client.put("a".into()).await });
    let peer = timeout(Duration::from_secs(1), provider.greet()).await;
    let mut peer = peer.expect("the new instance is not dialled");
    let id = timeout(BOUND, peer.expect(Kind::Request)).await.unwrap().id();
    peer.reply(id, &"b").await;
    assert_eq!(call.await.unwrap().as_deref(), Ok("b"));
}
