//! The client half of a call: a generated client's connection to whatever carries its calls.

use crate::{CallOptions, Invoke, service::ServiceMeta};
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
