//! The server half of a call: arguments are read, the user's method runs, its result is written.
//!
//! All of it happens inside the handler's future, so that no user code (a `Deserialize`, the
//! method, a `Serialize`) runs before the first poll, and cancelling is dropping.

use crate::{
    RpcError,
    args::Args,
    codec::Codec,
    service::{BoundService, HandlerAnswer, HandlerFuture, Instance, MethodMeta, ServiceMeta},
    transport::Body,
};
use std::{fmt, sync::Arc};

/// How implementations `S` of a contract are served. The contract's trait provides it.
pub struct ServiceDef<S: 'static> {
    /// The contract.
    pub meta: &'static ServiceMeta,
    /// One for each of `meta.methods`.
    pub handlers: &'static [Handler<S>],
}

/// Starts one method.
pub type Handler<S> = fn(Arc<S>, Request) -> HandlerFuture;

/// What a handler's future owns. The arguments borrow from it.
#[derive(Debug)]
pub struct Request {
    method: &'static MethodMeta,
    codec: Codec,
    body: Body,
}

/// The arguments of a request, located.
///
/// # Errors
///
/// `InvalidArgument`: they are malformed.
pub fn args(request: &Request) -> Result<Args<'_>, RpcError> {
    Args::new(request.body.encoded(), request.codec, request.method)
}

/// Checks the arguments of a request to a method that takes none.
///
/// # Errors
///
/// `InvalidArgument`: they are malformed.
pub fn without_args(request: &Request) -> Result<(), RpcError> {
    args(request).map(drop)
}

/// The codec of a request, which its answer has too.
pub const fn codec(request: &Request) -> Codec {
    request.codec
}

/// Boxes the body of a handler, once.
#[inline]
pub fn handle<F>(body: F) -> HandlerFuture
where
    F: Future<Output = Result<HandlerAnswer, RpcError>> + Send + 'static,
{
    Box::pin(body)
}

/// The instance as a service, if it is an `S`.
pub fn bind<S: Send + Sync + 'static>(
    def: &'static ServiceDef<S>,
    instance: Instance,
) -> Option<Arc<dyn BoundService>> {
    let instance = instance.downcast::<S>().ok()?;
    Some(Arc::new(Bound { def, instance }))
}

struct Bound<S: 'static> {
    def: &'static ServiceDef<S>,
    instance: Arc<S>,
}

impl<S: Send + Sync + 'static> BoundService for Bound<S> {
    fn meta(&self) -> &'static ServiceMeta {
        self.def.meta
    }

    fn call(&self, method: usize, body: Body, codec: Codec) -> HandlerFuture {
        let request = Request { method: self.def.meta.methods[method], codec, body };
        self.def.handlers[method](Arc::clone(&self.instance), request)
    }
}

impl<S> fmt::Debug for ServiceDef<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceDef").field("meta", &self.meta).finish_non_exhaustive()
    }
}
