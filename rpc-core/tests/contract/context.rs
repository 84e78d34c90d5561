//! When a call reads its context, and when the code of a handler runs.

use crate::loopback;
use rpc_core::{
    Answer, BoxFuture, Call, CallContext, CallOptions, Invoke, MetadataEntry, Proxy, RawReply,
    RpcError,
    codec::Codec,
    rpc_client, rpc_service,
    service::{Provided, registrations},
    transport::Body,
};
use std::{
    pin::pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Waker},
};

#[rpc_client(name = "test.Seen")]
pub(crate) trait Seen {
    async fn see(&self, what: &str) -> rpc_core::Result<()>;
}

static RAN: AtomicUsize = AtomicUsize::new(0);

#[derive(Default)]
struct Counter;

#[rpc_service]
impl Seen for Counter {
    async fn see(&self, _: &str) -> rpc_core::Result<()> {
        RAN.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
}

/// Records what calls bring.
#[derive(Default)]
struct Recorder(Mutex<Vec<(Option<String>, CallOptions)>>);

impl Invoke for Recorder {
    fn invoke<'a>(&'a self, call: Call<'a>) -> BoxFuture<'a, Result<RawReply, RpcError>> {
        let tenant = call.context.metadata("tenant").map(str::to_owned);
        self.0.lock().unwrap().push((tenant, call.options.clone()));
        Box::pin(async {
            Ok(RawReply {
                answer: Answer::Ok(Body::copy_of(&[0xc0])),
                codec: Codec::Named,
                endpoint: loopback::endpoint(),
                attempts: 1,
                began: tokio::time::Instant::now(),
            })
        })
    }
}

fn handler_of(tenant: &str) -> CallContext {
    let entry = MetadataEntry { key: "tenant".into(), value: tenant.into(), propagates: true };
    CallContext::of_request(loopback::endpoint(), None, None, Some(Arc::new([entry])), false)
}

#[tokio::test]
async fn a_call_reads_the_context_when_it_is_made() {
    let recorder = Arc::new(Recorder::default());
    let client = SeenClient::from(Proxy::new(recorder.clone()));
    let call = handler_of("a").enter(|| client.see("x"));
    let mut call = pin!(call);
    let polled =
        handler_of("b").enter(|| call.as_mut().poll(&mut Context::from_waker(Waker::noop())));
    assert!(polled.is_ready());
    let seen = recorder.0.lock().unwrap();
    assert_eq!(seen[0].0.as_deref(), Some("a"));
    drop(seen);
}

#[tokio::test]
async fn options_merge_and_the_first_client_keeps_its_own() {
    let recorder = Arc::new(Recorder::default());
    let client = SeenClient::from(Proxy::new(recorder.clone()));
    let careful = client.with_options(CallOptions::new().retries(1));
    let both = careful.with_options(CallOptions::new().hash_key("k"));
    for client in [&client, &careful, &both] {
        client.see("x").await.unwrap();
    }
    let seen: Vec<_> = recorder.0.lock().unwrap().iter().map(|(_, o)| o.clone()).collect();
    let one = CallOptions::new().retries(1);
    assert_eq!(seen, [CallOptions::new(), one.clone(), one.hash_key("k")]);
}

#[tokio::test]
async fn a_handler_runs_nothing_before_its_first_poll() {
    let all = registrations();
    let registration = all.iter().find(|r| r.meta().name == "test.Seen").unwrap();
    let instance = registration.make(&Provided::default()).await.unwrap();
    let service = registration.bind(instance).unwrap();
    let body = || Body::copy_of(b"\x81\xa4what\xa1x");
    drop(service.call(0, body(), Codec::Named));
    assert_eq!(RAN.load(Ordering::SeqCst), 0);
    service.call(0, body(), Codec::Named).await.unwrap();
    assert_eq!(RAN.load(Ordering::SeqCst), 1);
}

#[test]
fn clients_are_cheap_to_clone_and_print() {
    let client = SeenClient::from(Proxy::new(Arc::new(Recorder::default())));
    assert!(format!("{:?}", client.clone()).starts_with("SeenClient(Proxy"));
    assert_eq!(size_of::<SeenClient>(), 3 * size_of::<usize>());
}
