//! From the model of a contract to code. Total: it sees only models without mistakes.

mod client;
mod metadata;
mod served;

use super::Contract;
use crate::{method::Method, paths};
use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;

/// Input: `trait Greeter { async fn greet(..) -> R; }`.
///
/// Output: the trait with `Send` futures and its hidden function, `struct GreeterClient`, and in
/// an unnamed const, where nothing of it can clash with the user's names: the contract's
/// description, checks of it, and the impls for `GreeterClient` and `Arc<T>`.
pub(super) fn expand(contract: &Contract) -> TokenStream {
    let cfgs = &contract.cfgs;
    let import = paths::import();
    let item = served::item(contract);
    let client = client::item(contract);
    let description = metadata::description(contract);
    let checks = contract.methods.iter().map(check_output);
    let impls = client::impls(contract);
    quote! {
        #item
        #client
        #(#cfgs)*
        #[allow(deprecated, reason = "deprecated methods are served too")]
        const _: () = {
            #import
            #description
            #(#checks)*
            #impls
        };
    }
}

/// Input: a method that returns `R`. Output: the requirement that `R` is a result that can travel,
/// at the place where the user wrote it.
fn check_output(method: &Method) -> TokenStream {
    let Method { cfgs, output, .. } = method;
    quote_spanned! {paths::glue(output.span())=>
        #(#cfgs)*
        const _: () = __rpc::returns::<#output>();
    }
}
