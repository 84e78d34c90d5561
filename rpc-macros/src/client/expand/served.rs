//! The trait as it is emitted, and the handlers that it carries.
//!
//! The handlers are in a provided function of the trait and not with the impl: an impl does not
//! show the methods that it inherits, and its crate need not name anything but the trait.

use super::{super::is_bound, Contract};
use crate::{
    method::{Arg, Method},
    paths,
};
use proc_macro2::{Span, TokenStream};
use quote::{format_ident, quote_spanned};
use syn::{
    Ident, ItemTrait, ReturnType, Signature, TraitItem, TraitItemFn, parse_quote,
    parse_quote_spanned, spanned::Spanned,
};

/// Output: the trait with rewritten methods, the supertraits of every service, and the hidden
/// function.
pub(super) fn item(contract: &Contract) -> ItemTrait {
    let mut item = contract.item.clone();
    for (name, bound) in [
        ("Send", parse_quote!(::core::marker::Send)),
        ("Sync", parse_quote!(::core::marker::Sync)),
        ("static", parse_quote!('static)),
    ] {
        if !item.supertraits.iter().any(|given| is_bound(given, name)) {
            item.supertraits.push(bound);
        }
    }
    item.colon_token.get_or_insert_default();
    for item in &mut item.items {
        if let TraitItem::Fn(method) = item {
            rewrite(method);
        }
    }
    item.items.push(hidden_fn(contract));
    item
}

/// Input: `async fn greet(..) -> R { body }`.
/// Output: `fn greet(..) -> impl Future<Output = R> + Send { async move { body } }`.
///
/// The compiler infers the type of an async block from its contents alone. Two annotations tell it
/// what an `async fn` would know, one for `return` and one for the tail, so that a mistake in the
/// body is reported where it is.
fn rewrite(method: &mut TraitItemFn) {
    let written = method.sig.clone();
    method.sig = sending(&written);
    let (Some(body), ReturnType::Type(_, output)) = (method.default.take(), written.output) else {
        return;
    };
    let span = paths::glue(output.span());
    method.default = Some(parse_quote_spanned! {span=> {
        async move {
            if let ::core::option::Option::Some(__result) = ::core::option::Option::None::<#output> {
                return __result;
            }
            #[allow(clippy::diverging_sub_expression, reason = "a body may diverge")]
            let __result: #output = #body;
            #[allow(unreachable_code, reason = "a body may diverge")]
            __result
        }
    }});
}

/// The signature that the trait and the impls of this macro have.
pub(super) fn sending(written: &Signature) -> Signature {
    let mut sig = written.clone();
    sig.asyncness = None;
    if let ReturnType::Type(arrow, output) = &written.output {
        let span = Span::call_site().located_at(output.span());
        let future = quote_spanned! {span=>
            impl ::core::future::Future<Output = #output> + ::core::marker::Send
        };
        sig.output = ReturnType::Type(*arrow, Box::new(syn::Type::Verbatim(future)));
    }
    sig
}

/// Output: the function that gives `#[rpc_service]` the description and the handlers of `Self`.
fn hidden_fn(contract: &Contract) -> TraitItem {
    let hidden = paths::hidden_fn(Span::mixed_site());
    let (def, import, rpc_proxy) = (paths::service_def(), paths::import(), paths::rpc_proxy());
    let client = &contract.client;
    let handlers = contract.methods.iter().map(|method| handler(&contract.item.ident, method));
    parse_quote! {
        #[doc(hidden)]
        #[allow(deprecated, reason = "deprecated methods are served too")]
        fn #hidden() -> &'static #def where Self: ::core::marker::Sized {
            #import
            #[allow(unused_imports, reason = "which are used depends on the types")]
            use __rpc::{
                EncodeNothing as _, EncodeReply as _,ReadBytes as _, ReadNothing as _, ReadReferent as _, ReadSlice as _, ReadValue as _};
            const {
                &__rpc::ServiceDef {
                    meta: <#client as #rpc_proxy>::SERVICE,
                    handlers: &[#(#handlers),*],
                }
            }
        }
    }
}

/// Output: one element of `handlers`: a function from an instance and a request to a future that
/// reads the arguments, runs the method and writes its result.
fn handler(contract: &Ident, method: &Method) -> TokenStream {
    let Method { ident, cfgs, args, .. } = method;
    let span = paths::glue(ident.span());
    let locals: Vec<_> =
        (0..args.len()).map(|i| format_ident!("__arg{i}", span = Span::mixed_site())).collect();
    let reads = args.iter().enumerate().map(|(i, Arg { ty, .. })| {
        let span = paths::glue(ty.span());
        quote_spanned!(span=> (&&&&__rpc::Slot::<#ty>::new()).rpc_read(&__args, #i)?)
    });
    let located = if args.is_empty() {
        quote_spanned!(span=> __rpc::without_args(&__request)?;)
    } else {
        quote_spanned! {span=>
            let (#(#locals,)*) = {
                let __args = __rpc::args(&__request)?;
                (#(#reads,)*)
            };
        }
    };
    quote_spanned! {span=>
        #(#cfgs)*
        |__service, __request| __rpc::handle(async move {
            #located
            let __result = __rpc::Returned(
                <Self as #contract>::#ident(&*__service, #(#locals.rpc_give()),*).await,
            );
            ::core::result::Result::Ok(__result.rpc_answer(__rpc::codec(&__request)))
        })
    }
}
