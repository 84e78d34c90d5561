//! tonic: gRPC over HTTP/2. The message and the service are what its generator would write, so
//! that no `protoc` is needed.

use crate::{listen, load::Caller, message::impl_message, work::Work};
use anyhow::Result;
use std::{
    convert::Infallible,
    net::SocketAddr,
    task::{Context, Poll},
};
use tonic::{
    Request, Response, Status,
    body::Body,
    client::Grpc,
    codegen::{BoxFuture, Service, http, http::uri::PathAndQuery},
    server::{self, NamedService, UnaryService},
    transport::{Channel, Endpoint, Server, server::TcpIncoming},
};
use tonic_prost::ProstCodec;

#[derive(Clone, PartialEq, prost::Message)]
pub struct Echo {
    #[prost(uint64, tag = "1")]
    id: u64,
    #[prost(bool, tag = "2")]
    flag: bool,
    #[prost(bytes = "vec", tag = "3")]
    payload: Vec<u8>,
}

impl_message!(Echo, u64);

#[derive(Clone)]
struct Echoing(Work);

impl UnaryService<Echo> for Echoing {
    type Response = Echo;
    type Future = BoxFuture<Response<Echo>, Status>;

    fn call(&mut self, request: Request<Echo>) -> Self::Future {
        let work = self.0;
        Box::pin(async move {
            work.run().await;
            Ok(Response::new(request.into_inner()))
        })
    }
}

impl NamedService for Echoing {
    const NAME: &'static str = "bench.Bench";
}

impl Service<http::Request<Body>> for Echoing {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Self::Error>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let service = self.clone();
        Box::pin(async move {
            let mut grpc = server::Grpc::new(ProstCodec::default());
            Ok(match request.uri().path() {
                "/bench.Bench/Echo" => grpc.unary(service, request).await,
                _ => Status::unimplemented("no such method").into_http(),
            })
        })
    }
}

pub async fn serve(work: Work) -> Result<()> {
    let incoming = TcpIncoming::from(listen::bind().await?).with_nodelay(Some(true));
    Ok(Server::builder().add_service(Echoing(work)).serve_with_incoming(incoming).await?)
}

#[derive(Clone)]
pub struct Client(Grpc<Channel>);

impl Client {
    pub async fn connect(server: SocketAddr) -> Result<Self> {
        let endpoint = Endpoint::from_shared(format!("http://{server}"))?.tcp_nodelay(true);
        Ok(Self(Grpc::new(endpoint.connect().await?)))
    }
}

impl Caller for Client {
    type Message = Echo;

    async fn echo(&self, message: Echo) -> Result<Echo> {
        let mut grpc = self.0.clone();
        grpc.ready().await?;
        let path = PathAndQuery::from_static("/bench.Bench/Echo");
        let reply = grpc.unary(Request::new(message), path, ProstCodec::default()).await?;
        Ok(reply.into_inner())
    }
}
