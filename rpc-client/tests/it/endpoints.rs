//! Which addresses a client dials, and when.

use crate::script::{BOUND, Peer, Provider, Raw, RawClient};
use rpc_client::Client;
use rpc_core::{
    Outcome,
    discovery::{Instance, InstanceId, MemoryRegistry},
    wire::{Kind, Limits, Preface, put_close, put_signal},
};
use std::{net::SocketAddr, time::Duration};
use tokio::{
    net::{TcpListener, TcpSocket},
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
        let mut peer = Peer::new(accepted.unwrap().0);
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
    // Nobody else gets the port, and nobody listens there yet.
    let port = TcpSocket::new_v4().unwrap();
    port.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let addr = port.local_addr().unwrap();
    let instance = |n| Instance { id: InstanceId::from_u64(n), ..Instance::at(addr) };
    registry.add("test.Raw", instance(1));
    let client: RawClient = Client::connect(registry.clone()).await.unwrap().get();
    // By now it is dialled every five seconds or so, and calls no longer wait for it.
    tokio::time::sleep(Duration::from_secs(9)).await;
    let provider = Provider { listener: port.listen(16).unwrap(), addr };
    registry.add("test.Raw", instance(2));
    let call = tokio::spawn(async move { client.put("a".into()).await });
    let peer = timeout(Duration::from_secs(1), provider.greet()).await;
    let mut peer = peer.expect("the new instance is not dialled");
    let id = timeout(BOUND, peer.expect(Kind::Request)).await.unwrap().id();
    peer.reply(id, &"b").await;
    assert_eq!(call.await.unwrap().as_deref(), Ok("b"));
}

/// Says CLOSE with these words and keeps its side open.
async fn say_close(peer: &mut Peer, words: &str) {
    let mut out = Vec::new();
    put_close(&mut out, words);
    peer.send(&out).await;
}

#[tokio::test]
async fn a_provider_that_says_that_it_closes_and_does_not_is_dialled_again() {
    let provider = Provider::bind().await;
    let client: RawClient = provider.client().await.get();
    let mut lingering = provider.greet().await;
    let caller = client.clone();
    let call = tokio::spawn(async move { caller.put("a".into()).await });
    lingering.expect(Kind::Request).await;
    say_close(&mut lingering, "so long").await;
    // It goes on talking, which puts nothing off.
    let talks = tokio::spawn(async move {
        while !lingering.is_closed().await {
            lingering.try_signal(Kind::Ping, 1).await;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    });
    let mut peer = provider.greet().await;
    let error = timeout(BOUND, call).await.unwrap().unwrap().unwrap_err();
    assert_eq!(error.outcome(), Outcome::Unknown);
    assert!(error.to_string().contains("the provider closed the connection: so long"), "{error}");
    let call = tokio::spawn(async move { client.put("b".into()).await });
    let id = peer.expect(Kind::Request).await.id();
    peer.reply(id, &"c").await;
    assert_eq!(call.await.unwrap().as_deref(), Ok("c"));
    timeout(BOUND, talks).await.expect("the client keeps its side open").unwrap();
}

/// It is still listed, as when the registry is away, and says that it leaves on each connection.
#[tokio::test]
async fn a_provider_that_leaves_and_goes_on_accepting_is_dialled_with_pauses() {
    let provider = Provider::bind().await;
    let client = provider.client().await;
    let _proxy: RawClient = client.get();
    let (mut open, mut dials) = (Vec::new(), 0);
    let until = Instant::now() + Duration::from_secs(2);
    while let Ok(accepted) = tokio::time::timeout_at(until, provider.listener.accept()).await {
        let mut peer = Peer::new(accepted.unwrap().0);
        let mut both = Vec::new();
        Preface::new(InstanceId::from_u64(7), Limits::default()).put(&mut both);
        put_signal(&mut both, Kind::Leaving, 0);
        peer.send(&both).await;
        open.push(peer);
        dials += 1;
    }
    // At once, and then after 50 ms and twice as long each time, half of it at random.
    assert!((2..=8).contains(&dials), "{dials} dials");
}
