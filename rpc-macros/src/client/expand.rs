//! From the model of a contract to code. Total: it sees only models without mistakes.

mod client;
mod metadata;
mod served;

use super::Contract;
use crate::paths;
use proc_macro2::TokenStream;
use quote::quote;

/// Input: `trait Greeter { async fn greet(..) -> R; }`.
///
/// Output: the trait with `Send` futures and its hidden function, `struct GreeterClient`, and in
/// an unnamed const, where nothing of it can clash with the user's names: the contract's
/// description and the impls for `GreeterClient` and `Arc<T>`.
pub(super) fn expand(contract: &Contract) -> TokenStream {
    let cfgs = &contract.cfgs;
    let import = paths::import();
    let item = served::item(contract);
    let client = client::item(contract);
    let description = metadata::description(contract);
    let impls = client::impls(contract);
    quote! {
        #item
        #client
        #(#cfgs)*
        #[allow(deprecated, reason = "deprecated methods are served too")]
        const _: () = {
            #import
            #description
            #impls
        };
    }
}
