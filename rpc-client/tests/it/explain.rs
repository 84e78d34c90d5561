//! What a client says of its endpoints, and that it acts on it.

use crate::script::{Peer, Provider, Raw, RawClient};
use rpc_client::{Balance, Client, EndpointReport, EndpointState as State};
use rpc_core::{
    RpcError,
    discovery::{Instance, InstanceId, MemoryRegistry},
    wire::{Header, Kind, Reason, put_error, put_frame},
};
use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{net::TcpListener, time::Instant};

const SERVICE: &str = "test.Raw";

fn listed(addr: SocketAddr) -> Instance {
    Instance { id: InstanceId::from_u64(7), ..Instance::at(addr) }
}

fn report(client: &Client, addr: SocketAddr) -> Option<EndpointReport> {
    let known = client.explain(SERVICE).known.unwrap();
    known.endpoints.into_iter().find(|e| e.addr == addr)
}

/// Waits until an endpoint is in this state.
async fn until(client: &Client, addr: SocketAddr, state: State) -> EndpointReport {
    let end = Instant::now() + crate::script::BOUND;
    loop {
        match report(client, addr) {
            Some(report) if report.state == state => return report,
            other => assert!(Instant::now() < end, "not {state}: {other:?}"),
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A provider that answers every call, with an error while it is told to, and counts them.
#[derive(Default)]
struct Conduct {
    fails: AtomicBool,
    calls: AtomicUsize,
}

impl Conduct {
    fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    async fn serve(self: Arc<Self>, mut peer: Peer) {
        while let Some(frame) = peer.frame_or_end().await {
            if frame.header.kind != Kind::Request {
                continue;
            }
            self.calls.fetch_add(1, Ordering::SeqCst);
            if self.fails.load(Ordering::SeqCst) {
                let mut out = Vec::new();
                let header = Header { kind: Kind::Error, flags: 0, aux: 0, id: frame.id() };
                put_frame(&mut out, header, |out| {
                    put_error(out, Reason::Handler, &RpcError::unavailable("out of order"));
                });
                peer.send(&out).await;
            } else {
                peer.reply(frame.id(), &"done").await;
            }
        }
    }
}

/// Starts a provider that serves every connection.
async fn provider() -> (SocketAddr, Arc<Conduct>) {
    let (provider, conduct) = (Provider::bind().await, Arc::new(Conduct::default()));
    let (addr, served) = (provider.addr, Arc::clone(&conduct));
    tokio::spawn(async move {
        loop {
            let peer = provider.patiently_greet().await;
            tokio::spawn(Arc::clone(&served).serve(peer));
        }
    });
    (addr, conduct)
}

async fn client(registry: &MemoryRegistry) -> (Client, RawClient) {
    let client = Client::connect(registry.clone()).await.unwrap();
    let proxy = client.get();
    (client, proxy)
}

#[tokio::test]
async fn of_two_providers_the_one_that_fails_is_left_out_and_comes_back_when_it_has_recovered() {
    let registry = MemoryRegistry::new();
    let [(bad, broken), (good, sound)] = [provider().await, provider().await];
    registry.add(SERVICE, listed(bad));
    registry.add(SERVICE, listed(good));
    let (client, proxy) = client(&registry).await;
    until(&client, bad, State::Serving).await;
    until(&client, good, State::Serving).await;
    broken.fails.store(true, Ordering::SeqCst);
    let mut failed = 0;
    while report(&client, bad).unwrap().state == State::Serving {
        failed += usize::from(proxy.put("a".into()).await.is_err());
    }
    assert!((5..=6).contains(&failed), "{failed} calls failed before it was ejected");
    let ejected = until(&client, bad, State::Ejected).await;
    assert!(!ejected.eligible);
    let said = "calls to it failed 5 times in a row (the last time: unavailable: out of order); it \
                is out for another ";
    assert!(ejected.why.starts_with(said) && ejected.why.ends_with(", then single calls try it"));
    let before = sound.calls();
    for _ in 0..20 {
        proxy.put("b".into()).await.unwrap();
    }
    assert_eq!(sound.calls() - before, 20);
    // The other one fails, too: half of two is one.
    sound.fails.store(true, Ordering::SeqCst);
    for _ in 0..20 {
        proxy.put("c".into()).await.unwrap_err();
    }
    assert_eq!(report(&client, good).unwrap().state, State::Serving);
    sound.fails.store(false, Ordering::SeqCst);
    broken.fails.store(false, Ordering::SeqCst);
    // Calls that can be made again elsewhere try it.
    let end = Instant::now() + crate::script::BOUND;
    while report(&client, bad).unwrap().state == State::Ejected {
        assert!(Instant::now() < end, "it does not come back");
        proxy.get("d".into()).await.unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(report(&client, bad).unwrap().state, State::Serving);
}

#[tokio::test]
async fn the_only_provider_is_never_left_out() {
    let registry = MemoryRegistry::new();
    let (addr, conduct) = provider().await;
    registry.add(SERVICE, listed(addr));
    let (client, proxy) = client(&registry).await;
    until(&client, addr, State::Serving).await;
    conduct.fails.store(true, Ordering::SeqCst);
    for _ in 0..30 {
        proxy.put("a".into()).await.unwrap_err();
    }
    assert_eq!(conduct.calls(), 30);
    conduct.fails.store(false, Ordering::SeqCst);
    proxy.put("b".into()).await.unwrap();
}

#[tokio::test]
async fn an_instance_that_vanished_is_on_probation_and_gone_once_it_breaks() {
    let registry = MemoryRegistry::new();
    registry.set_removals_are_final(false);
    let provider = Provider::bind().await;
    registry.add(SERVICE, listed(provider.addr));
    let (client, _proxy) = client(&registry).await;
    let peer = provider.greet().await;
    until(&client, provider.addr, State::Serving).await;
    registry.remove(SERVICE, provider.addr);
    let probation = until(&client, provider.addr, State::Probation).await;
    assert!(probation.eligible);
    assert!(probation.why.contains("answers as the same instance"), "{}", probation.why);
    // Where only the connection was lost it is back at once.
    drop(peer);
    let peer = provider.greet().await;
    let probation = until(&client, provider.addr, State::Probation).await;
    assert!(probation.eligible);
    // Where nobody answers any more it takes no calls, and is not waited for longer than calls are.
    let addr = provider.addr;
    drop((provider, peer));
    let lost = until(&client, addr, State::Connecting).await;
    assert!(!lost.eligible);
    let says = "; the registry no longer lists it, and it is given up in ";
    assert!(lost.why.contains(says), "{}", lost.why);
    let gone = until(&client, addr, State::Gone).await;
    assert!(gone.why.starts_with("the registry no longer lists it, and"), "{}", gone.why);
    // Listed again it is dialled again.
    let provider = Provider::at(addr).await;
    registry.add(SERVICE, listed(addr));
    let _peer = provider.greet().await;
    until(&client, addr, State::Serving).await;
}

#[tokio::test]
async fn an_instance_that_vanished_and_has_said_that_it_leaves_is_not_dialled_again() {
    let registry = MemoryRegistry::new();
    registry.set_removals_are_final(false);
    let provider = Provider::bind().await;
    registry.add(SERVICE, listed(provider.addr));
    let (client, _proxy) = client(&registry).await;
    let mut peer = provider.greet().await;
    until(&client, provider.addr, State::Serving).await;
    registry.remove(SERVICE, provider.addr);
    until(&client, provider.addr, State::Probation).await;
    peer.signal(Kind::Leaving, 0).await;
    peer.expect(Kind::Left).await;
    drop(peer);
    until(&client, provider.addr, State::Gone).await;
    let again = tokio::time::timeout(Duration::from_millis(300), provider.listener.accept()).await;
    assert!(again.is_err(), "it was dialled");
}

#[tokio::test]
async fn an_operator_s_word_wins_over_probation_and_over_the_list() {
    let registry = MemoryRegistry::new();
    registry.set_removals_are_final(false);
    let (addr, _conduct) = provider().await;
    registry.add(SERVICE, listed(addr));
    let (client, proxy) = client(&registry).await;
    until(&client, addr, State::Serving).await;
    registry.disable(SERVICE, [addr]);
    let disabled = until(&client, addr, State::Disabled).await;
    assert!(disabled.why.contains("an operator has disabled it"), "{}", disabled.why);
    let error = proxy.put("a".into()).await.unwrap_err().to_string();
    assert!(error.contains("disabled by an operator"), "{error}");
    registry.disable(SERVICE, []);
    until(&client, addr, State::Serving).await;
    registry.remove(SERVICE, addr);
    until(&client, addr, State::Probation).await;
    registry.disable(SERVICE, [addr]);
    let gone = until(&client, addr, State::Gone).await;
    assert_eq!(gone.why, "the registry no longer lists it, and an operator has disabled it");
}

#[tokio::test]
async fn a_registry_whose_removals_are_final_takes_an_endpoint_away_at_once() {
    let registry = MemoryRegistry::new();
    let (addr, _conduct) = provider().await;
    registry.add(SERVICE, listed(addr));
    let (client, _proxy) = client(&registry).await;
    let serving = until(&client, addr, State::Serving).await;
    assert_eq!((serving.why.as_str(), serving.eligible), ("it takes calls", true));
    registry.remove(SERVICE, addr);
    let gone = until(&client, addr, State::Gone).await;
    assert_eq!(gone.why, "the registry has taken it off its list for good");
}

#[tokio::test]
async fn a_provider_that_says_nothing_is_silent_and_one_that_leaves_is_leaving() {
    let registry = MemoryRegistry::new();
    let provider = Provider::bind().await;
    registry.add(SERVICE, listed(provider.addr));
    let (client, proxy) = client(&registry).await;
    let mut peer = provider.greet().await;
    let call = tokio::spawn(async move { proxy.put("a".into()).await });
    let id = peer.expect(Kind::Request).await.id();
    let silent = until(&client, provider.addr, State::Silent).await;
    assert!(silent.why.contains("does not answer a ping") && silent.why.contains("1 call waits"));
    assert_eq!((silent.in_flight, silent.eligible), (1, false));
    registry.set_removals_are_final(false);
    registry.remove(SERVICE, provider.addr);
    let end = Instant::now() + crate::script::BOUND;
    while !report(&client, provider.addr).unwrap().why.contains("the registry no longer lists it") {
        assert!(Instant::now() < end);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    registry.add(SERVICE, listed(provider.addr));
    peer.signal(Kind::Pong, 0).await;
    until(&client, provider.addr, State::Serving).await;
    peer.signal(Kind::Leaving, 0).await;
    let leaving = until(&client, provider.addr, State::Leaving).await;
    assert_eq!(leaving.why, "its provider has said that it leaves; 1 call still runs on it");
    peer.reply(id, &"b").await;
    assert_eq!(call.await.unwrap().as_deref(), Ok("b"));
}

#[tokio::test]
async fn what_cannot_be_reached_says_why_and_another_instance_is_not_on_probation() {
    let registry = MemoryRegistry::new();
    registry.set_removals_are_final(false);
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let provider = Provider::bind().await;
    registry.add(SERVICE, listed(closed));
    registry.add(SERVICE, Instance { id: InstanceId::from_u64(8), ..Instance::at(provider.addr) });
    let (client, _proxy) = client(&registry).await;
    let _peer = provider.greet().await;
    until(&client, provider.addr, State::Serving).await;
    let end = Instant::now() + crate::script::BOUND;
    while !report(&client, closed).unwrap().why.contains("dialling failed") {
        assert!(Instant::now() < end);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let lost = report(&client, closed).unwrap();
    assert!(lost.why.contains("refused") && lost.why.contains("; it has not been reached yet"));
    let text = client.explain(SERVICE).to_string();
    assert!(text.starts_with("test.Raw: 1 of 2 endpoints take calls\nregistry: "), "{text}");
    assert!(text.contains(&format!("\n  {closed} connecting for ")), "{text}");
    registry.remove(SERVICE, provider.addr);
    let gone = until(&client, provider.addr, State::Gone).await;
    assert!(gone.why.contains("another instance answers there"), "{}", gone.why);
}

#[tokio::test]
async fn a_provider_that_does_not_greet_takes_no_calls_and_says_so() {
    let registry = MemoryRegistry::new();
    let provider = Provider::bind().await;
    registry.add(SERVICE, listed(provider.addr));
    let (client, proxy) = client(&registry).await;
    let _mute = provider.accept().await;
    let end = Instant::now() + crate::script::BOUND;
    let says = async |what: &str| {
        loop {
            let mute = report(&client, provider.addr).unwrap();
            assert_eq!((mute.state, mute.eligible), (State::Connecting, false));
            if mute.why.starts_with(what) {
                break;
            }
            assert!(Instant::now() < end, "{mute}");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    says("connected, but the provider has not greeted yet").await;
    // A call waits for somebody else, and after a second it is dialled anew.
    let call = tokio::spawn(async move { proxy.put("a".into()).await });
    says("connected, but the provider does not greet").await;
    let (good, conduct) = self::provider().await;
    registry.add(SERVICE, listed(good));
    assert!(call.await.unwrap().is_ok());
    assert_eq!(conduct.calls(), 1);
}

#[tokio::test]
async fn a_provider_of_another_service_is_ejected_and_that_is_told() {
    let registry = MemoryRegistry::new();
    let (good, _conduct) = provider().await;
    let other = Provider::bind().await;
    registry.add(SERVICE, listed(good));
    registry.add(SERVICE, listed(other.addr));
    let addr = other.addr;
    tokio::spawn(async move {
        let mut peer = other.greet().await;
        while let Some(frame) = peer.frame_or_end().await {
            if frame.header.kind == Kind::Request {
                peer.refuse(frame.id(), Reason::UnknownService).await;
            }
        }
    });
    let client =
        Client::builder().registry(registry.clone()).balance(Balance::RoundRobin).build().await;
    let client = client.unwrap();
    let proxy: RawClient = client.get();
    until(&client, good, State::Serving).await;
    until(&client, addr, State::Serving).await;
    // One refusal is enough, and what was refused goes elsewhere.
    for _ in 0..2 {
        proxy.put("a".into()).await.unwrap();
    }
    let ejected = until(&client, addr, State::Ejected).await;
    let said = "it does not serve the service that it is listed for (the last time: unimplemented: \
                says the script); it is out for another ";
    assert!(ejected.why.starts_with(said), "{ejected}");
    assert_eq!(ejected.last_fault.as_deref(), Some("unimplemented: says the script"));
}

#[tokio::test]
async fn what_keeps_calls_from_an_endpoint_that_serves_is_told() {
    let registry = MemoryRegistry::new();
    let [(idle, _), (good, _), (other, _)] = [provider().await, provider().await, provider().await];
    registry.add(SERVICE, Instance { weight: 0, ..listed(idle) });
    registry.add(SERVICE, listed(good));
    registry.add(SERVICE, Instance { id: InstanceId::from_u64(8), ..Instance::at(other) });
    let (client, proxy) = client(&registry).await;
    for addr in [idle, good, other] {
        until(&client, addr, State::Serving).await;
    }
    let weightless = report(&client, idle).unwrap();
    assert!(!weightless.eligible);
    let says = "its weight is 0: it gets calls only when no other endpoint can take them";
    assert_eq!(weightless.why, says);
    let stranger = report(&client, other).unwrap();
    assert!(stranger.eligible);
    let says = "it takes calls; another instance answers here than the registry lists";
    assert_eq!(stranger.why, says);
    let text = client.explain(SERVICE).to_string();
    assert!(text.starts_with("test.Raw: 2 of 3 endpoints take calls\n"), "{text}");
    assert!(text.contains("\nstrategy: peak-ewma\n"), "{text}");
    // Nobody else is there.
    registry.disable(SERVICE, [good, other]);
    until(&client, good, State::Disabled).await;
    let only = report(&client, idle).unwrap();
    assert!(only.eligible && only.why == "it takes calls", "{only}");
    proxy.put("a".into()).await.unwrap();
}

#[tokio::test]
async fn an_endpoint_whose_connections_break_is_ejected_and_tried_with_a_ping() {
    let registry = MemoryRegistry::new();
    let (good, _conduct) = provider().await;
    let frail = Provider::bind().await;
    registry.add(SERVICE, listed(good));
    registry.add(SERVICE, listed(frail.addr));
    let (client, _proxy) = client(&registry).await;
    until(&client, good, State::Serving).await;
    for _ in 0..4 {
        let peer = frail.greet().await;
        until(&client, frail.addr, State::Serving).await;
        drop(peer);
        until(&client, frail.addr, State::Connecting).await;
        // Such as break together count once.
        tokio::time::sleep(Duration::from_millis(150)).await;
    }
    let peer = frail.greet().await;
    until(&client, frail.addr, State::Serving).await;
    drop(peer);
    let _peer = frail.greet().await;
    let ejected = until(&client, frail.addr, State::Ejected).await;
    let said = "its connections broke or fell silent 5 times in a row (the last time: the provider \
                closed the connection); it is out for another ";
    assert!(ejected.why.starts_with(said), "{ejected}");
    assert!(ejected.why.ends_with(", then a ping tries it"), "{ejected}");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn instances_beyond_the_subset_are_idle_and_an_unknown_service_is_named() {
    let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let registry = MemoryRegistry::new();
    for n in 1..=200 {
        registry.add(SERVICE, Instance::at(([127, 0, 2, n], port).into()));
    }
    let (client, _proxy) = client(&registry).await;
    let known = client.explain(SERVICE).known.unwrap();
    let idle: Vec<_> = known.endpoints.iter().filter(|e| e.state == State::Idle).collect();
    assert_eq!((known.endpoints.len(), idle.len()), (200, 188));
    assert!(idle[0].why.contains("of 200 listed instances this client uses 12"), "{}", idle[0].why);
    let text = client.explain(SERVICE).to_string();
    assert!(text.ends_with("and 180 more idle ones"), "{text}");
    assert_eq!(text.lines().count(), 4 + 12 + 8 + 1);
    let unknown = client.explain("test.Other");
    assert!(unknown.known.is_none());
    let says = "test.Other: this client has no proxy of that service; it has proxies of test.Raw";
    assert_eq!(unknown.to_string(), says);
}
