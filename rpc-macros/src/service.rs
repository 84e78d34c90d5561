//! `#[rpc_service]`: from an impl to what is collected of it.

mod expand;

use crate::{attrs, errors::Errors, options::Options};
use proc_macro2::{Span, TokenStream};
use quote::quote;
use syn::{
    ExprPath, ItemImpl, Path, Type,
    visit::{self, Visit},
};

/// An impl without mistakes.
struct Service {
    contract: Path,
    ty: Type,
    /// The function that makes the instance.
    init: Option<ExprPath>,
    /// Attributes that decide whether the impl is there.
    cfgs: Vec<TokenStream>,
}

/// The attribute. The impl is emitted as it was written, also when it has mistakes.
pub(crate) fn attribute(options: TokenStream, item: &TokenStream) -> TokenStream {
    let mut errors = Errors::default();
    let init = Options::parse(options, &["init"], &mut errors).path("init", &mut errors);
    let service = match syn::parse2::<ItemImpl>(item.clone()) {
        Ok(parsed) => Service::read(parsed, init, &mut errors),
        Err(error) => {
            errors.push(on_impl(item, error));
            None
        }
    };
    let rest = match errors.finish(service) {
        Ok(service) => expand::expand(&service),
        Err(errors) => errors,
    };
    quote!(#item #rest)
}

impl Service {
    fn read(item: ItemImpl, init: Option<ExprPath>, errors: &mut Errors) -> Option<Self> {
        if let Some(token) = &item.unsafety {
            errors.on(token, "an impl that is served can't be `unsafe`; remove it");
        }
        if let Some(token) = &item.modifiers.polarity {
            errors.on(token, "a negative impl can't be served; remove `!`");
        }
        if !item.generics.params.is_empty() {
            errors.on(
                &item.generics.params,
                "a generic impl can't be served, since there is one instance; write an impl for \
                 a concrete type",
            );
        }
        Lifetimes(errors).visit_type(&item.self_ty);
        let Some((contract, _)) = item.trait_ else {
            errors.on(&item.self_ty, "only a contract can be served; write `impl Trait for Type`");
            return None;
        };
        Some(Self { contract, ty: *item.self_ty, init, cfgs: attrs::cfgs(&item.attrs) })
    }
}

/// Refuses lifetimes in the type of an instance, which lives as long as the server.
struct Lifetimes<'a>(&'a mut Errors);

impl<'ast> Visit<'ast> for Lifetimes<'_> {
    fn visit_lifetime(&mut self, lifetime: &'ast syn::Lifetime) {
        if lifetime.ident == "_" {
            self.0.on(lifetime, "an instance lives as long as its server; write `'static`");
        }
        visit::visit_lifetime(self, lifetime);
    }
}

/// The error for an item that is not an impl, unless it is one that syn finds fault with.
fn on_impl(item: &TokenStream, error: syn::Error) -> syn::Error {
    match syn::parse2::<syn::Item>(item.clone()) {
        Ok(syn::Item::Impl(_) | syn::Item::Verbatim(_)) | Err(_) => error,
        Ok(_) => syn::Error::new(
            Span::call_site(),
            "`#[rpc_service]` goes on `impl Trait for Type`; for a trait write `#[rpc_client]`",
        ),
    }
}
