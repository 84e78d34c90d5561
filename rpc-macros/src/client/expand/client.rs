//! The generated client, and the impls of the contract for it and for `Arc<T>`.

use super::{Contract, served};
use crate::{
    method::{Arg, Method},
    paths,
};
use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::{FnArg, Pat, Signature, TraitItem, spanned::Spanned};

/// Output: `pub struct GreeterClient(Proxy)` with its one inherent method.
pub(super) fn item(contract: &Contract) -> TokenStream {
    let Contract { item, client, cfgs, .. } = contract;
    let (vis, name, proxy) = (&item.vis, &item.ident, paths::proxy());
    let doc = format!(" A client of [`{name}`], which it implements by calling a provider.");
    quote! {
        #(#cfgs)*
        #[doc = #doc]
        ///
        /// Cheap to clone: all clones share their connections.
        #[derive(::core::clone::Clone, ::core::fmt::Debug)]
        #vis struct #client(#proxy);

        #(#cfgs)*
        #[automatically_derived]
        impl #client {
            /// The same client with `options` over those that it has.
            #[must_use]
            #[allow(dead_code, reason = "not every program sets options")]
            #vis fn with_options(&self, options: ::rpc_core::CallOptions) -> Self {
                Self(#proxy::with_options(&self.0, options))
            }
        }
    }
}

/// Output: `From<Proxy>`, `RpcProxy` and the contract for the client, the contract for `Arc<T>`.
pub(super) fn impls(contract: &Contract) -> TokenStream {
    let Contract { item, client, methods, .. } = contract;
    let (name, proxy, rpc_proxy) = (&item.ident, paths::proxy(), paths::rpc_proxy());
    let signatures: Vec<_> = item.items.iter().filter_map(signature).collect();
    let calls = methods.iter().zip(&signatures).map(|(method, sig)| call(method, sig));
    let forwards = methods.iter().zip(&signatures).map(|(method, sig)| {
        let Method { ident, cfgs, this, args, .. } = method;
        let args = args.iter().map(|arg| &arg.ident);
        quote_spanned! {paths::glue(ident.span())=>
            #(#cfgs)*
            #sig { <__T as #name>::#ident(&**#this, #(#args),*) }
        }
    });
    let supertraits = &item.supertraits;
    let bounds = (!supertraits.is_empty()).then(|| quote!(where __rpc::Arc<__T>: #supertraits));
    quote! {
        #[automatically_derived]
        impl ::core::convert::From<#proxy> for #client {
            fn from(proxy: #proxy) -> Self {
                Self(proxy)
            }
        }

        #[automatically_derived]
        impl #rpc_proxy for #client {
            const SERVICE: &'static __rpc::ServiceMeta = &__META;
        }

        #[allow(unused_imports, reason = "which are used depends on the types")]
        use __rpc::{
            DecodeNothing as _, DecodeReply as _, WriteBytes as _, WriteNothing as _,
            WriteValue as _,
        };

        #[automatically_derived]
        impl #name for #client {
            #(#calls)*
        }

        #[automatically_derived]
        impl<__T: #name> #name for __rpc::Arc<__T> #bounds {
            #(#forwards)*
        }
    }
}

/// Output: a method of the client; the closure writes the arguments, once for each attempt, and
/// the one that is the call's key when it is asked for that.
fn call(method: &Method, sig: &Signature) -> TokenStream {
    let Method { ident, wire, cfgs, this, args, output, hash_key, .. } = method;
    let proxy = paths::proxy();
    let write = |Arg { ident, ty, .. }: &Arg| {
        let span = paths::glue(ty.span());
        quote_spanned!(span=> (&&&__rpc::Out(&#ident)).rpc_write(__writer)?;)
    };
    let writes = args.iter().map(write);
    let key = hash_key.and_then(|index| args.get(index)).map(|arg| {
        let write = write(arg);
        quote_spanned! {paths::glue(ident.span())=>
            if __writer.is_for_key() {
                #write
                return ::core::result::Result::Ok(());
            }
        }
    });
    let span = paths::glue(ident.span());
    quote_spanned! {span=>
        #(#cfgs)*
        #sig {
            const __METHOD: &__rpc::MethodMeta = __rpc::method(&__META, #wire);
            let __decode = (&&__rpc::Expected::<#output>::new()).rpc_decode();
            let __write = move |__writer: &mut __rpc::Writer<'_>| {
                #key
                #(#writes)*
                ::core::result::Result::Ok(())
            };
            #proxy::call(&#this.0, &__META, __METHOD, __write, __decode)
        }
    }
}

/// The signature of a method in an impl: as in the trait, without `mut` and attributes.
fn signature(item: &TraitItem) -> Option<Signature> {
    let TraitItem::Fn(item) = item else { return None };
    let mut sig = served::sending(&item.sig);
    for input in &mut sig.inputs {
        if let FnArg::Typed(input) = input {
            input.attrs.clear();
            if let Pat::Ident(pattern) = &mut *input.pat {
                pattern.mutability = None;
            }
        }
    }
    Some(sig)
}
