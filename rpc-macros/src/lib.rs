//! The two attributes.
use proc_macro::TokenStream;

/// Makes a trait a service contract.
#[proc_macro_attribute]
pub fn rpc_client(_: TokenStream, item: TokenStream) -> TokenStream {
    item
}

/// Serves an impl.
#[proc_macro_attribute]
pub fn rpc_service(_: TokenStream, item: TokenStream) -> TokenStream {
    item
}
