//! Clients that show a token, another or none, of providers that want one.

use crate::{
    ledger::{Clerk, Ledger as _, LedgerClient},
    scene::{NONE, Scene, load, until},
};
use rpc_client::Client;
use rpc_core::{Outcome, RpcCode};
use rpc_server::Server;
use rpc_testkit::load::Load;
use std::{net::SocketAddr, time::Duration};

const OLD: &str = "the-token-until-now";
const NEW: &str = "the-token-from-now-on";

async fn provider(scene: &Scene, at: &str, tokens: &[&str]) -> Server {
    let clerk = Clerk::new(scene.journal.folder());
    let server = Server::builder().registry(NONE).bind(at).service(clerk).collected(false);
    let server = tokens.iter().fold(server, |server, token| server.token(*token));
    server.notice(Duration::ZERO).start().await.unwrap()
}

async fn client(providers: &[SocketAddr], token: Option<&str>) -> Client {
    let list: Vec<_> = providers.iter().map(SocketAddr::to_string).collect();
    let client = Client::builder().registry(format!("static://{}", list.join(",")));
    match token {
        Some(token) => client.token(token).build().await.unwrap(),
        None => client.build().await.unwrap(),
    }
}

#[tokio::test]
async fn s2_a_client_without_the_token_or_with_another_makes_no_handler_run() {
    let scene = Scene::new().await;
    let one = provider(&scene, "127.0.0.1:0", &[OLD]).await;
    let two = provider(&scene, "127.0.0.1:0", &[OLD]).await;
    let addrs = [one.local_addr(), two.local_addr()];
    for (token, words) in [(None, "showed none"), (Some(NEW), "showed another")] {
        let client = client(&addrs, token).await;
        let ledger: LedgerClient = client.get();
        let (look, book) =
            (ledger.look("look".into(), 0).await, ledger.book("book".into(), 0).await);
        for error in [look.unwrap_err(), book.unwrap_err()] {
            assert_eq!(error.code(), RpcCode::Unauthenticated, "{error}");
            assert_eq!(error.outcome(), Outcome::Refused, "{error}");
            assert!(error.to_string().contains(words), "{error}");
            assert!(error.to_string().contains("RPC_TOKEN"), "{error}");
            assert!(error.endpoint().is_some_and(|endpoint| addrs.contains(&endpoint)), "{error}");
        }
    }
    assert!(scene.journal.read().unwrap().is_empty());
    assert!(one.stats().refused.not_permitted + two.stats().refused.not_permitted >= 4);

    let client = client(&addrs, Some(OLD)).await;
    let calls = load(&client, 0);
    calls.more(200).await;
    scene.none_failed(calls).await;
}

/// It does not look quick because it refuses at once, and what it refuses another provider takes.
#[tokio::test]
async fn a_provider_that_wants_another_token_costs_no_call_and_gets_few() {
    let scene = Scene::new().await;
    let other = provider(&scene, "127.0.0.1:0", &[NEW]).await;
    let ours = provider(&scene, "127.0.0.1:0", &[OLD]).await;
    let client = client(&[other.local_addr(), ours.local_addr()], Some(OLD)).await;
    let calls = load(&client, 1);
    calls.more(1_000).await;
    let explained = client.explain("faults.Ledger").to_string();
    assert!(explained.contains("it wants another token than this client shows"), "{explained}");
    assert!(explained.contains("`token` of the client"), "{explained}");
    scene.none_failed(calls).await;
    let refused = other.stats().refused.not_permitted;
    assert!((1..=50).contains(&refused), "{refused} of 1,000");
}

/// First providers that take both, then clients that show the new one, then providers that take
/// that alone.
#[tokio::test]
async fn a_token_is_changed_without_the_loss_of_a_call() {
    let scene = Scene::new().await;
    let mut servers = Vec::new();
    for _ in 0..2 {
        servers.push(provider(&scene, "127.0.0.1:0", &[OLD]).await);
    }
    let addrs: Vec<_> = servers.iter().map(Server::local_addr).collect();
    let (before, after) = (client(&addrs, Some(OLD)).await, client(&addrs, Some(NEW)).await);
    let old = load(&before, 1);
    restart(&scene, &mut servers, &[OLD, NEW], &old).await;
    scene.none_failed(old).await;
    let new = load(&after, 1);
    restart(&scene, &mut servers, &[NEW], &new).await;
    scene.none_failed(new).await;
    let ledger: LedgerClient = before.get();
    assert_eq!(ledger.who().await.unwrap_err().code(), RpcCode::Unauthenticated);
}

/// Restarts one after the other at its address; each serves before the next goes.
async fn restart(scene: &Scene, servers: &mut [Server], tokens: &[&str], load: &Load) {
    for server in servers {
        load.more(100).await;
        let at = server.local_addr().to_string();
        server.shutdown().await;
        *server = provider(scene, &at, tokens).await;
        until("the load reaches it again", || server.stats().served > 0).await;
    }
    load.more(100).await;
}
