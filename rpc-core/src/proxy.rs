//! The client half of a call: a generated client's connection to whatever carries its calls.

use crate::{
    CallContext, CallOptions, Invoke, RpcError,
    args::write::{Writer, Written},
    invoke::Call,
    reply::Decode,
    service::{MethodMeta, ServiceMeta},
};
use std::{fmt, sync::Arc};

/// What a generated client holds: who carries its calls, and the options they have.
#[derive(Clone)]
pub struct Proxy {
    invoke: Arc<dyn Invoke>,
    options: Arc<CallOptions>,
}

impl Proxy {
    /// A proxy whose calls `invoke` carries.
    pub fn new(invoke: Arc<dyn Invoke>) -> Self {
        Self { invoke, options: Arc::default() }
    }

    /// The same proxy with `options` over those it has.
    #[must_use]
    pub fn with_options(&self, options: CallOptions) -> Self {
        let merged = (*self.options).clone().merged_with(options);
        Self { invoke: Arc::clone(&self.invoke), options: Arc::new(merged) }
    }

    /// Makes one call; `write` writes its arguments, once for each attempt, and `decode` reads
    /// its answer.
    ///
    /// The context is read here and not when the future is polled: a future that is handed to
    /// another task still belongs to the handler that made it.
    #[doc(hidden)]
    pub fn call<'a, R, F>(
        &'a self,
        service: &'static ServiceMeta,
        method: &'static MethodMeta,
        write: F,
        decode: Decode<R>,
    ) -> impl Future<Output = R> + Send + use<'a, R, F>
    where
        F: FnMut(&mut Writer<'_>) -> Result<(), RpcError> + Send,
    {
        let context = CallContext::current();
        async move {
            let mut args = Written { method, write };
            let options = &*self.options;
            let call = Call { service, method, args: &mut args, options, context: &context };
            decode(self.invoke.invoke(call).await, service, method)
        }
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxy").field("options", &self.options).finish_non_exhaustive()
    }
}

/// What every generated client is.
pub trait RpcProxy: From<Proxy> + Clone + Send + Sync + 'static {
    /// The contract.
    const SERVICE: &'static ServiceMeta;
}
