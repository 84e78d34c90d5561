//! The stops of the tour, each a kind of call.

use super::{Surprise, Tour, expect, failure, say, success};
use demo_api::{
    Chat, ChatClient, Orders, OrdersClient, Users, UsersClient, chat::ChatError, orders::Order,
};
use rpc_client::Client;
use rpc_core::{CallOptions, Outcome, RpcCode, RpcError, RpcProxy, TraceId};
use std::{collections::BTreeMap, net::TcpListener, time::Duration};
use tokio::{task::JoinSet, time::Instant};

const TRACE: TraceId = TraceId(0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736);

impl Tour {
    pub(super) async fn plain_call(&self) -> Result<(), Surprise> {
        let start = Instant::now();
        let sent = success(self.chat.send("tour-1", "Hello, everybody").await, "Chat.send")?;
        say(format_args!("chat.send(\"Hello, everybody\") was answered by {}", sent.by));
        say(format_args!(
            "after {:.1?}, with its message number {}.",
            start.elapsed(),
            sent.number
        ));
        Ok(())
    }

    pub(super) async fn borrowed_arguments(&self) -> Result<(), Surprise> {
        let picture: Vec<u8> = (0..200_000_u32).map(|n| n.to_le_bytes()[0]).collect();
        let caption = Some("on holiday");
        let kept = self.users.set_picture("tour-2", "ada", &picture, caption).await;
        let kept = success(kept, "Users.set_picture")?;
        say(format_args!(
            "users.set_picture(.., picture: &[u8], caption: Option<&str>): {}",
            kept.by
        ));
        say(format_args!("keeps {} bytes with the caption {:?}.", kept.bytes, kept.caption));
        expect(kept.bytes == 200_000 && kept.caption.as_deref() == caption, "other bytes arrived")
    }

    pub(super) async fn application_error(&self) -> Result<(), Surprise> {
        let error = failure(self.chat.send_to("tour-3", "nobody", "Hi").await, "Chat.send_to")?;
        expect(error == ChatError::NoSuchUser("nobody".into()), format_args!("it was {error:?}"))?;
        say(format_args!("chat.send_to(\"nobody\", ..) came back as {error:?},"));
        say("the contract's own error type, just as the handler returned it.");
        Ok(())
    }

    pub(super) async fn framework_error(&self) -> Result<(), Surprise> {
        let order = Order { user: "ada".into(), item: "cogs".into(), quantity: 0 };
        let error = failure(self.orders.place("tour-4", &order).await, "Orders.place")?;
        let error = rpc(error.rpc(), &error)?;
        say("An order of nothing is answered with an `RpcError` inside the contract's error:");
        say(error);
        say(format_args!(
            "Its code is {:?}; it came from the provider: {}; the call: {:?}.",
            error.code(),
            error.is_remote(),
            error.outcome()
        ));
        expect(error.code() == RpcCode::InvalidArgument, "the code is another")?;
        expect(error.outcome() == Outcome::Ran && error.is_remote(), "it did not come from there")
    }

    pub(super) async fn nobody_there(&self) -> Result<(), Surprise> {
        // A port that was free a moment ago.
        let port = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr());
        let port = success(port, "looking for a free port")?;
        let lonely = success(Client::connect(format!("static://{port}")).await, "Client::connect")?;
        let chat: ChatClient = lonely.get();
        let chat = chat.with_options(CallOptions::new().timeout(Duration::from_millis(300)));
        let error = failure(chat.send("tour-5", "Anybody?").await, "Chat.send")?;
        let error = rpc(error.rpc(), &error)?;
        say("A client that knows one address, where nobody listens, waits for it within the");
        say("deadline of the call, 300 ms here, and then fails:");
        say(error);
        say("`NotSent` means that the call cannot have run, so it is safe to make it again.");
        expect(error.outcome() == Outcome::NotSent, "the outcome is another")
    }

    pub(super) async fn timeout(&self) -> Result<(), Surprise> {
        let hasty =
            self.orders.with_options(CallOptions::new().timeout(Duration::from_millis(200)));
        let error = failure(hasty.forecast("tour-6", 15).await, "Orders.forecast")?;
        let error = rpc(error.rpc(), &error)?;
        say("orders.forecast(15 days) takes 1.5 s, and was given 200 ms by `with_options`:");
        say(error);
        say("`Unknown`: it may have run. The provider was told to stop, and drops the handler.");
        expect(error.code() == RpcCode::DeadlineExceeded, "the code is another")?;
        expect(error.outcome() == Outcome::Unknown, "the outcome is another")?;
        let elapsed = error.elapsed();
        expect(elapsed < Duration::from_secs(1), format_args!("it took {elapsed:?}"))
    }

    pub(super) async fn metadata(&self) -> Result<(), Surprise> {
        let users = self.users.with_options(
            CallOptions::new().metadata("note", "first visit").propagate("tenant", "acme"),
        );
        let by = success(users.find("tour-7", "ada").await, "Users.find")?.by;
        say(format_args!("{by} saw the note {:?} and the tenant {:?},", by.note, by.tenant));
        say(format_args!(
            "and {:.1?} left of the 5 s that the contract gives.",
            left(by.remaining)
        ));
        expect(by.note.as_deref() == Some("first visit"), "the note did not arrive")?;
        expect(by.tenant.as_deref() == Some("acme"), "the tenant did not arrive")
    }

    pub(super) async fn nested(&self) -> Result<(), Surprise> {
        let orders = self.orders.with_options(
            CallOptions::new()
                .timeout(Duration::from_secs(2))
                .metadata("note", "for you only")
                .propagate("tenant", "acme")
                .trace_id(TRACE),
        );
        let order = Order { user: "grace".into(), item: "bearings".into(), quantity: 3 };
        let placed = success(orders.place("tour-8", &order).await, "Orders.place")?;
        let (outer, inner) = (&placed.by, &placed.user_by);
        say(format_args!("orders.place(..) was answered by {outer}, which asked"));
        say(format_args!("users.find(\"grace\") of {inner} to learn the name {:?}.", placed.name));
        say("No argument says so, and yet the second call knew of the first:");
        say(format_args!(
            "  time left {} ms, then {} ms",
            left(outer.remaining).as_millis(),
            left(inner.remaining).as_millis()
        ));
        say(format_args!("  tenant (propagates) {:?}, then {:?}", outer.tenant, inner.tenant));
        say(format_args!("  note (one hop) {:?}, then {:?}", outer.note, inner.note));
        say(format_args!("  trace {:?}, then {:?}", outer.trace, inner.trace));
        let trace = Some(TRACE.to_string());
        expect(inner.trace == trace && outer.trace == trace, "the trace was lost")?;
        expect(inner.tenant == outer.tenant && inner.tenant.is_some(), "the tenant was lost")?;
        expect(outer.note.is_some() && inner.note.is_none(), "the note went too far")?;
        // Time travels in whole milliseconds, rounded up.
        let inherited = left(inner.remaining) <= left(outer.remaining) + Duration::from_millis(1)
            && left(outer.remaining) <= Duration::from_secs(2)
            && left(inner.remaining) > Duration::ZERO;
        expect(inherited, "the deadline was not inherited")
    }

    pub(super) async fn concurrent(&self) -> Result<(), Surprise> {
        let start = Instant::now();
        let mut calls = JoinSet::new();
        for number in 0..60 {
            let users = self.users.clone();
            calls.spawn(async move { users.find(&format!("tour-9-{number}"), "linus").await });
        }
        let mut spread = BTreeMap::<String, u32>::new();
        for found in calls.join_all().await {
            *spread.entry(success(found, "Users.find")?.by.provider).or_default() += 1;
        }
        say(format_args!("60 calls at once took {:.1?} together:", start.elapsed()));
        for (provider, calls) in &spread {
            say(format_args!("  {calls:>2} answered by {provider}"));
        }
        say("They share one connection to each provider, and wait for nobody but themselves.");
        Ok(())
    }

    pub(super) async fn idempotent(&self) -> Result<(), Surprise> {
        for service in [ChatClient::SERVICE, OrdersClient::SERVICE, UsersClient::SERVICE] {
            let named = |idempotent| {
                let methods = service.methods.iter().filter(|m| m.idempotent == idempotent);
                methods.map(|m| m.name).collect::<Vec<_>>().join(", ")
            };
            say(format_args!(
                "{:<16} once: {:<16} again: {}",
                service.name,
                named(false),
                named(true)
            ));
        }
        let once = self.users.with_options(CallOptions::new().retries(0));
        let found = success(once.find("tour-10", "ada").await, "Users.find")?;
        say("When a provider dies with a call in flight, the call is sent to another one if its");
        say("method is marked #[rpc(idempotent)]; if not, it fails at once with `Unknown`, and");
        say(format_args!(
            "never runs twice. `retries(0)` turns even that off: {} answered.",
            found.by
        ));
        Ok(())
    }
}

/// The framework's error in `error`, or what it was instead.
fn rpc<'a>(found: Option<&'a RpcError>, error: &impl ToString) -> Result<&'a RpcError, Surprise> {
    found.ok_or_else(|| error.to_string())
}

fn left(remaining: Option<Duration>) -> Duration {
    remaining.unwrap_or(Duration::MAX)
}
