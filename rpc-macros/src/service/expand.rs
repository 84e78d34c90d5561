//! From the model of an impl to its registration.

use super::Service;
use crate::{paths, source};
use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::{ExprPath, Type, parse_quote, spanned::Spanned};

/// Input: `impl Greeter for Polite`. Output: its registration, in an unnamed const.
pub(super) fn expand(service: &Service) -> TokenStream {
    let Service { contract, ty, cfgs, .. } = service;
    let import = paths::import();
    // An error about the hidden function is one about the trait: it is no contract.
    let hidden = paths::hidden_fn(paths::glue(contract.span()));
    let def = quote_spanned!(paths::glue(contract.span())=> <#ty as #contract>::#hidden());
    let make = make(service);
    quote! {
        #(#cfgs)*
        const _: () = {
            #import
            __rpc::inventory::submit! {
                __rpc::Registration {
                    file: ::core::file!(),
                    line: ::core::line!(),
                    type_name: ::core::any::type_name::<#ty>,
                    instance_type: ::core::any::TypeId::of::<#ty>,
                    meta: || #def.meta,
                    make: #make,
                    bind: |__instance| __rpc::bind(#def, __instance),
                }
            }
        };
    }
}

/// Output: how an instance is made: by `init`, or by `Default` if the type has it.
fn make(service: &Service) -> TokenStream {
    let ty = &service.ty;
    let Some(init) = &service.init else {
        return quote! {
            __rpc::Make::Default(|| {
                #[allow(unused_imports, reason = "which is used depends on the type")]
                use __rpc::{ViaDefault as _, ViaNothing as _};
                (&&__rpc::Probe::<#ty>::new()).rpc_make()
            })
        };
    };
    let path = source::text(init);
    let init = outside_of_impl(init, ty);
    let span = paths::glue(init.span());
    quote_spanned! {span=>
        __rpc::Make::Init {
            path: #path,
            call: |__provided| __rpc::init::<#ty, _, _>(#init, __provided),
        }
    }
}

/// Input: `Self::open`, which means nothing outside of the impl. Output: `<Polite>::open`.
fn outside_of_impl(path: &ExprPath, ty: &Type) -> ExprPath {
    let is_self = path.path.segments.first().is_some_and(|first| first.ident == "Self");
    if path.qself.is_some() || !is_self {
        return path.clone();
    }
    let rest = path.path.segments.iter().skip(1);
    parse_quote!(<#ty>::#(#rest)::*)
}
