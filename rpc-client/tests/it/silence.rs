//! Providers that say nothing.

use crate::script::{BOUND, Provider, Raw, RawClient};
use rpc_client::EndpointState;
use rpc_core::{CallOptions, RpcCode, wire::Kind};
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};

#[tokio::test]
async fn a_provider_that_lets_the_time_of_a_short_call_pass_is_asked_at_once() {
    let provider = Provider::bind().await;
    let client = provider.client().await;
    let proxy: RawClient = client.get();
    let mut mute = provider.greet().await;
    sleep(Duration::from_millis(200)).await;
    let short = proxy.with_options(CallOptions::new().timeout(Duration::from_millis(100)));
    let error = short.put("x".into()).await.unwrap_err();
    assert_eq!(error.code(), RpcCode::DeadlineExceeded, "{error}");
    // Well before an idle connection would be asked.
    let asked = async { while mute.next().await.header.kind != Kind::Ping {} };
    timeout(Duration::from_secs(5), asked).await.expect("it was not asked");
    let began = Instant::now();
    let state = || client.explain("test.Raw").known.unwrap().endpoints[0].state;
    while state() != EndpointState::Silent {
        assert!(began.elapsed() < BOUND, "{}", client.explain("test.Raw"));
        sleep(Duration::from_millis(20)).await;
    }
}
