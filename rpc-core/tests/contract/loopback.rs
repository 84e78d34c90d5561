//! An `Invoke` that hands every call to a service of this process, as client and server would.

use rpc_core::{
    Answer, BoxFuture, Call, Invoke, Outcome, Place, Proxy, RawReply, RpcError, RpcProxy,
    codec::Codec,
    service::{self, BoundService, HandlerAnswer, Provided},
    transport::Body,
};
use std::{net::SocketAddr, sync::Arc, time::Duration};

/// Where calls pretend to go.
pub(crate) fn endpoint() -> SocketAddr {
    ([10, 0, 0, 5], 9000).into()
}

/// Carries calls to one service.
pub(crate) struct Loopback {
    service: Arc<dyn BoundService>,
    /// How often the arguments are encoded: once for each attempt.
    attempts: u32,
}

/// A client of the instance of `S` that its registration makes.
pub(crate) async fn client<S: 'static, C: RpcProxy>() -> C {
    client_with::<S, C>(1).await
}

/// The same with more than one attempt for each call.
pub(crate) async fn client_with<S: 'static, C: RpcProxy>(attempts: u32) -> C {
    let registration = service::registrations()
        .into_iter()
        .find(|r| r.instance_type() == std::any::TypeId::of::<S>() && r.meta().id == C::SERVICE.id)
        .expect("it is registered");
    let instance = registration.make(&Provided::default()).await.expect("it has an instance");
    let service = registration.bind(instance).expect("it is of the right type");
    C::from(Proxy::new(Arc::new(Loopback { service, attempts })))
}

/// A client whose calls all get `body` as their answer.
pub(crate) fn answered_with<C: RpcProxy>(body: &[u8]) -> C {
    C::from(Proxy::new(Arc::new(Fixed(body.to_vec()))))
}

/// The encoded arguments handed to a service, and its answer.
pub(crate) async fn serve(
    service: &Arc<dyn BoundService>,
    method: &str,
    body: &[u8],
) -> Result<HandlerAnswer, RpcError> {
    let index = service.meta().methods.iter().position(|m| m.name == method).expect("a method");
    service.call(index, Body::copy_of(body), Codec::Named).await
}

impl Invoke for Loopback {
    fn invoke<'a>(&'a self, call: Call<'a>) -> BoxFuture<'a, Result<RawReply, RpcError>> {
        Box::pin(async move {
            let codec = call.service.codec;
            let place = Place {
                service: call.service.registered,
                method: call.method.name,
                endpoint: Some(endpoint()),
                attempts: self.attempts,
                elapsed: Duration::from_millis(1),
                outcome: None,
            };
            let mut body = Body::new();
            for _ in 0..self.attempts {
                body = Body::new();
                call.args
                    .encode(codec, body.buffer())
                    .map_err(|e| e.placed(Place { outcome: Some(Outcome::NotSent), ..place }))?;
            }
            let meta = self.service.meta();
            assert_eq!(meta.id, call.service.id);
            let method = meta.methods.iter().position(|m| m.id == call.method.id).expect("known");
            let answer = match self.service.call(method, body, codec).await {
                Ok(HandlerAnswer::Ok(body)) => Answer::Ok(body),
                Ok(HandlerAnswer::App(body)) => Answer::App(body),
                Ok(HandlerAnswer::Error(e) | HandlerAnswer::Unencodable(e)) => {
                    return Err(e.placed(Place { outcome: Some(Outcome::Ran), ..place }));
                }
                Err(e) => {
                    return Err(e.placed(Place { outcome: Some(Outcome::Refused), ..place }));
                }
            };
            Ok(RawReply {
                answer,
                codec,
                endpoint: endpoint(),
                attempts: place.attempts,
                // A moment ago.
                began: tokio::time::Instant::now() - place.elapsed,
            })
        })
    }
}

struct Fixed(Vec<u8>);

impl Invoke for Fixed {
    fn invoke<'a>(&'a self, _: Call<'a>) -> BoxFuture<'a, Result<RawReply, RpcError>> {
        Box::pin(async move {
            Ok(RawReply {
                answer: Answer::Ok(Body::copy_of(&self.0)),
                codec: Codec::Named,
                endpoint: endpoint(),
                attempts: 2,
                began: tokio::time::Instant::now(),
            })
        })
    }
}
