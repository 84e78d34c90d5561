//! The description of a contract that both sides share: names, ids, documentation.

use super::Contract;
use crate::method::{Arg, Method};
use crate::source;
use proc_macro2::TokenStream;
use quote::quote;
use syn::ext::IdentExt;

/// Output: `static __META: ServiceMeta` and a check of what only the compiler knows, and
/// the contract's entry in the list of those that are linked into the program.
pub(super) fn description(contract: &Contract) -> TokenStream {
    let Contract { item, name, version, doc, .. } = contract;
    let name = name.as_ref().map_or_else(
        || {
            let suffix = format!(".{}", item.ident.unraw());
            quote!(::core::concat!(::core::env!("CARGO_PKG_NAME"), #suffix))
        },
        quote::ToTokens::to_token_stream,
    );
    let (registered, version) = match version {
        Some(version) => (
            quote!(::core::concat!(#name, "@", #version)),
            quote!(::core::option::Option::Some(#version)),
        ),
        None => (name.clone(), quote!(::core::option::Option::None)),
    };
    let codec = if contract.is_compact { quote!(Compact) } else { quote!(Named) };
    let methods = contract.methods.iter().map(method);
    quote! {
        static __META: __rpc::ServiceMeta = __rpc::ServiceMeta {
            registered: #registered,
            name: #name,
            version: #version,
            id: __rpc::service_id(#registered),
            doc: #doc,
            codec: __rpc::Codec::#codec,
            methods: &[#(#methods),*],
        };
        const _: () = __rpc::check(&__META);
        __rpc::inventory::submit! { __rpc::Contract(&__META) }
    }
}

/// Output: one element of `methods`.
fn method(method: &Method) -> TokenStream {
    let Method { wire, doc, cfgs, args, output, idempotent, hash_key, .. } = method;
    let args = args.iter().map(|Arg { name, ty, .. }| {
        let ty = source::text(ty);
        quote!(__rpc::ArgMeta { name: #name, ty: #ty })
    });
    let output = source::text(output);
    let timeout = method.timeout_ms.map_or_else(
        || quote!(::core::option::Option::None),
        |ms| quote!(::core::option::Option::Some(::core::time::Duration::from_millis(#ms))),
    );
    let hash_key = hash_key.map_or_else(
        || quote!(::core::option::Option::None),
        |index| quote!(::core::option::Option::Some(#index)),
    );
    quote! {
        #(#cfgs)*
        &__rpc::MethodMeta {
            name: #wire,
            id: __rpc::method_id(#wire),
            doc: #doc,
            args: &[#(#args),*],
            output: #output,
            idempotent: #idempotent,
            timeout: #timeout,
            hash_key: #hash_key,
        }
    }
}
