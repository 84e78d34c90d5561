//! A thousand services besides the one that is called: more than one writes down.

use rpc_client::Client;
use rpc_core::{
    Proxy, RpcProxy,
    codec::Codec,
    service::{BoundService, HandlerFuture, ServiceMeta, service_id},
    transport::Body,
};

/// One of them. It has no methods, so a proxy is of no use to it.
#[derive(Clone)]
struct Other<const N: usize>;

impl<const N: usize> Other<N> {
    const NAME: [u8; 13] = name(N);
    const REGISTERED: &'static str = match str::from_utf8(&Self::NAME) {
        Ok(name) => name,
        Err(_) => unreachable!(),
    };
}

const fn name(number: usize) -> [u8; 13] {
    const DIGITS: &[u8; 10] = b"0123456789";
    let mut name = *b"cost.Other000";
    name[10] = DIGITS[number / 100 % 10];
    name[11] = DIGITS[number / 10 % 10];
    name[12] = DIGITS[number % 10];
    name
}

impl<const N: usize> From<Proxy> for Other<N> {
    fn from(_: Proxy) -> Self {
        Self
    }
}

impl<const N: usize> RpcProxy for Other<N> {
    const SERVICE: &'static ServiceMeta = &ServiceMeta {
        registered: Self::REGISTERED,
        name: Self::REGISTERED,
        version: None,
        id: service_id(Self::REGISTERED),
        doc: "",
        codec: Codec::Named,
        methods: &[],
    };
}

/// What is to be done with each of them.
trait Visit {
    fn visit<P: RpcProxy>(&mut self);
}

macro_rules! ones {
    ($visit:ident $h:literal $t:literal: $($o:literal)*) => {
        $($visit.visit::<Other<{ $h * 100 + $t * 10 + $o }>>();)*
    };
}

macro_rules! tens {
    ($visit:ident $h:literal: $($t:literal)*) => {
        $(ones!($visit $h $t: 0 1 2 3 4 5 6 7 8 9);)*
    };
}

macro_rules! hundreds {
    ($visit:ident: $($h:literal)*) => {
        $(tens!($visit $h: 0 1 2 3 4 5 6 7 8 9);)*
    };
}

fn visit_all(visit: &mut impl Visit) {
    hundreds!(visit: 0 1 2 3 4 5 6 7 8 9);
}

struct Contracts(Vec<&'static ServiceMeta>);

impl Visit for Contracts {
    fn visit<P: RpcProxy>(&mut self) {
        self.0.push(P::SERVICE);
    }
}

/// All of them as a server has them.
pub(crate) fn served() -> impl Iterator<Item = Served> {
    let mut contracts = Contracts(Vec::new());
    visit_all(&mut contracts);
    contracts.0.into_iter().map(Served)
}

/// The server's side of one.
pub(crate) struct Served(&'static ServiceMeta);

impl BoundService for Served {
    fn meta(&self) -> &'static ServiceMeta {
        self.0
    }

    fn call(&self, _: usize, _: Body, _: Codec) -> HandlerFuture {
        Box::pin(std::future::pending())
    }
}

struct Follow<'a>(&'a Client);

impl Visit for Follow<'_> {
    fn visit<P: RpcProxy>(&mut self) {
        // The client keeps it in mind after the proxy has gone.
        drop(self.0.get::<P>());
    }
}

/// Has a client follow all of them.
pub(crate) fn follow_all(client: &Client) {
    visit_all(&mut Follow(client));
}
