//! The first bytes of a connection: the peer's preface, or whatever else has called here.

use crate::serving::Serving;
use rpc_core::{
    defaults,
    transport::{Link, ReadBuffer},
    wire::{Preface, PrefaceError, put_close, read_preface},
};
use std::{fmt::Write as _, time::Duration};
use tokio::time::sleep;

/// A server that refuses new calls gives peers that have just connected this long to greet, so
/// that requests that travel with their preface are answered.
const LATE_GREETING: Duration = Duration::from_secs(1);

/// How a greeting went.
#[derive(Debug)]
pub(super) enum Greeting {
    /// The peer's preface; what follows it waits in the buffer.
    Greeted(Preface),
    /// What to say before the connection is closed.
    Refused(Vec<u8>),
    /// Nobody to say anything to.
    Gone,
}

/// Reads the peer's preface. Ours is not sent before, so that a peer of another protocol gets an
/// answer that it understands.
pub(super) async fn greet(link: &Link, serving: &Serving, buffer: &mut ReadBuffer) -> Greeting {
    let patience = async {
        tokio::select! {
            () = sleep(defaults::SLOW_PEER_TIMEOUT) => {}
            () = async { serving.draining().cancelled().await; sleep(LATE_GREETING).await } => {}
        }
    };
    tokio::select! {
        biased;
        () = serving.stop().cancelled() => Greeting::Gone,
        greeting = read(link, serving, buffer) => greeting,
        () = patience => Greeting::Refused(with_preface(
            serving,
            &format!("no greeting within {:?}", defaults::SLOW_PEER_TIMEOUT),
        )),
    }
}

async fn read(link: &Link, serving: &Serving, buffer: &mut ReadBuffer) -> Greeting {
    loop {
        match link.read(buffer).await {
            Ok(1..) => {}
            Ok(0) | Err(_) => return Greeting::Gone,
        }
        match read_preface(buffer.data()) {
            Ok(None) => {}
            Ok(Some((preface, length))) => {
                buffer.consume(length);
                return Greeting::Greeted(preface);
            }
            Err(PrefaceError::NotThisProtocol(first)) => {
                return Greeting::Refused(foreign(first, serving));
            }
            Err(error) => return Greeting::Refused(with_preface(serving, &error.to_string())),
        }
    }
}

/// Our preface, so that the peer can read the rest, and why it is not served.
fn with_preface(serving: &Serving, why: &str) -> Vec<u8> {
    let mut out = Vec::new();
    Preface::new(Some(serving.instance), serving.limits.announced()).put(&mut out);
    put_close(&mut out, why);
    out
}

/// What a peer of another protocol understands.
fn foreign(first: u8, serving: &Serving) -> Vec<u8> {
    const TLS_HANDSHAKE: u8 = 0x16;
    /// A fatal alert, `handshake_failure`, in a TLS 1.0 record, which every version reads.
    const TLS_ALERT: [u8; 7] = [0x15, 3, 1, 0, 2, 2, 40];
    match first {
        TLS_HANDSHAKE => TLS_ALERT.to_vec(),
        b'A'..=b'Z' | b'a'..=b'z' => {
            let mut body = "This port speaks the binary RPC protocol of rpc-server, not HTTP.\n\
                 Call it through rpc-client.\n"
                .to_owned();
            if !serving.is_guarded() {
                body.push_str("Served here:\n");
                for service in serving.router.registered() {
                    let _ = writeln!(body, "  {service}");
                }
            }
            format!(
                "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\n\
                 Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
                body.len()
            )
            .into_bytes()
        }
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{gates::LimitPlan, limits::ServerLimits, router::Router};
    use rpc_core::discovery::InstanceId;

    #[test]
    fn every_kind_of_caller_gets_what_it_understands() {
        let router = Router::new(Vec::new(), &LimitPlan::default()).unwrap();
        let tokens = Vec::new();
        let serving = Serving::new(router, ServerLimits::default(), tokens, InstanceId::random());
        assert!(foreign(b'G', &serving).starts_with(b"HTTP/1.1 400"));
        assert_eq!(foreign(0x16, &serving)[0], 0x15);
        assert!(foreign(0x93, &serving).is_empty(), "MessagePack-RPC has no words for it");
    }
}
