//! The paths that expansions use; they name nothing else outside of the user's code.

use proc_macro2::{Span, TokenStream};
use quote::quote;

/// Brings what generated code needs into scope as `__rpc`.
pub(crate) fn import() -> TokenStream {
    quote!(
        use ::rpc_core::__private as __rpc;
    )
}

/// The description of a contract, for implementations `Self`.
pub(crate) fn service_def() -> TokenStream {
    quote!(::rpc_core::__private::ServiceDef<Self>)
}

/// Calls from a generated client go through it.
pub(crate) fn proxy() -> TokenStream {
    quote!(::rpc_core::Proxy)
}

/// What every generated client implements.
pub(crate) fn rpc_proxy() -> TokenStream {
    quote!(::rpc_core::RpcProxy)
}

/// The hidden function through which `#[rpc_service]` reaches what `#[rpc_client]` generated.
pub(crate) fn hidden_fn(span: Span) -> syn::Ident {
    syn::Ident::new("__rpc_service", span)
}

/// Where generated code is: names that it introduces are invisible to the user's code, errors and
/// go-to-definition lead to `span`.
pub(crate) fn glue(span: Span) -> Span {
    Span::mixed_site().located_at(span)
}
