//! `#[rpc_client]`: from a trait to the model of a contract.

mod expand;

use crate::{
    attrs,
    errors::Errors,
    method::{self, Method},
    names,
    options::Options,
    paths,
};
use proc_macro2::{Span, TokenStream};
use quote::quote;
use syn::{
    Attribute, Ident, ItemTrait, LitStr, TraitItem, TypeParamBound, ext::IdentExt, parse_quote,
};

/// A trait without mistakes.
struct Contract {
    /// The trait as written, without `#[rpc(..)]`.
    item: ItemTrait,
    /// `GreeterClient` for `Greeter`.
    client: Ident,
    /// `None`: the package's name, which only the user's crate knows, and the trait's.
    name: Option<LitStr>,
    version: Option<LitStr>,
    is_compact: bool,
    doc: String,
    /// Attributes that decide whether the trait is there.
    cfgs: Vec<TokenStream>,
    /// In the order of the trait, which has no other items.
    methods: Vec<Method>,
}

/// The attribute.
pub(crate) fn attribute(options: TokenStream, item: &TokenStream) -> TokenStream {
    let mut errors = Errors::default();
    let parsed = syn::parse2::<ItemTrait>(item.clone());
    let Ok(mut written) = parsed.map_err(|error| errors.push(on_trait(item, error))) else {
        Options::parse(options, KNOWN, &mut errors);
        let errors = errors.finish(None::<()>).expect_err("one was pushed");
        return quote!(#item #errors);
    };
    let contract = Contract::read(options, &mut written, &mut errors);
    match errors.finish(contract) {
        Ok(contract) => expand::expand(&contract),
        Err(errors) => {
            let item = recovered(written);
            quote!(#item #errors)
        }
    }
}

const KNOWN: &[&str] = &["name", "version", "timeout", "codec"];

impl Contract {
    /// Reads a trait, from which it takes the attributes that are for this macro alone.
    fn read(options: TokenStream, item: &mut ItemTrait, errors: &mut Errors) -> Option<Self> {
        let mut options = Options::parse(options, KNOWN, errors);
        let name = options.registered("name", names::MAX_NAME, errors);
        let version = options.registered("version", names::MAX_VERSION, errors);
        let timeout_ms = options.timeout(errors);
        let is_compact = is_compact(&mut options, errors);
        check_trait(item, name.is_some(), errors);
        let methods = methods(item, timeout_ms, errors);
        for item in &mut item.items {
            if let TraitItem::Fn(item) = item {
                item.attrs
                    .retain(|attr| !method::is_rpc(attr) && !attrs::is_conditional(attr, "rpc"));
            }
        }
        Some(Self {
            client: Ident::new(&format!("{}Client", item.ident.unraw()), item.ident.span()),
            doc: attrs::docs(&item.attrs),
            cfgs: attrs::cfgs(&item.attrs),
            item: item.clone(),
            name,
            version,
            is_compact,
            methods: methods?,
        })
    }
}

fn is_compact(options: &mut Options, errors: &mut Errors) -> bool {
    let Some(codec) = options.string("codec", errors) else { return false };
    match codec.value().as_str() {
        "compact" => return true,
        "named" => {}
        _ => errors.on(&codec, "unknown codec; there are: \"named\", \"compact\""),
    }
    false
}

fn check_trait(item: &ItemTrait, is_named: bool, errors: &mut Errors) {
    if let Some(token) = &item.unsafety {
        errors.on(token, "a contract can't be `unsafe`; remove it");
    }
    if let Some(token) = &item.modifiers.auto_token {
        errors.on(token, "a contract can't be an `auto` trait; remove it");
    }
    if !item.generics.params.is_empty() {
        errors.on(
            &item.generics.params,
            "a contract can't be generic, since a service has one name; write concrete types",
        );
    }
    if let Some(clause) = &item.generics.where_clause {
        errors.on(clause, "a contract can't have a `where` clause; remove it");
    }
    if !is_named
        && let Err(what) = names::check_wire(&item.ident.unraw().to_string(), names::MAX_NAME)
    {
        let what = format!(
            "the trait's name is part of the service's and {what}; give the service one with \
             `#[rpc_client(name = \"..\")]`"
        );
        errors.on(&item.ident, what);
    }
}

fn methods(item: &ItemTrait, timeout_ms: Option<u64>, errors: &mut Errors) -> Option<Vec<Method>> {
    let mut methods = Vec::new();
    for item in &item.items {
        let what = match item {
            TraitItem::Fn(item) => {
                let method = Method::read(item, errors);
                if let Some(Method { ident, wire, cfgs, .. }) = &method {
                    check_unique(ident, wire, cfgs, &methods, errors);
                }
                methods.push(method);
                continue;
            }
            TraitItem::Const(_) => "a contract has no constants; move it out of the trait",
            TraitItem::Type(_) => "a contract has no associated types; write a concrete type",
            TraitItem::Macro(_) => {
                "a contract can't be made by a macro inside of it; write the \
                                    methods, or let the macro write the whole trait"
            }
            _ => "a contract has methods alone; move it out of the trait",
        };
        errors.on(item, what);
    }
    let with_default =
        |method: Method| Method { timeout_ms: method.timeout_ms.or(timeout_ms), ..method };
    methods.into_iter().map(|method| method.map(with_default)).collect()
}

/// Refuses a wire name that an earlier method has, or one with the same id. Methods under `cfg`
/// may exclude each other; generated code compares those that are left.
fn check_unique(
    ident: &Ident,
    wire: &str,
    cfgs: &[TokenStream],
    earlier: &[Option<Method>],
    errors: &mut Errors,
) {
    let both = |other: &&Method| cfgs.is_empty() || other.cfgs.is_empty();
    for other in earlier.iter().flatten().filter(both) {
        let id = names::method_id(wire);
        if id != names::method_id(&other.wire) {
            continue;
        }
        let other_ident = &other.ident;
        let what = if wire == other.wire {
            format!("`{other_ident}` has the wire name `{wire}` too")
        } else {
            format!("the wire names `{wire}` and `{}` have the same id {id:#x}", other.wire)
        };
        let help = "give one of them another with `#[rpc(name = \"..\")]`";
        errors.on(ident, format!("{what}; {help}"));
    }
}

/// The error for an item that is not a trait, unless it is one that syn finds fault with.
fn on_trait(item: &TokenStream, error: syn::Error) -> syn::Error {
    match syn::parse2::<syn::Item>(item.clone()) {
        Ok(syn::Item::Trait(_) | syn::Item::Verbatim(_)) | Err(_) => error,
        Ok(_) => syn::Error::new(
            Span::call_site(),
            "`#[rpc_client]` goes on a trait; for an impl write `#[rpc_service]`",
        ),
    }
}

/// A trait with mistakes as it is emitted: as written, so that nothing else breaks, and with a
/// stand-in for the hidden function, so that its impls report no error of their own.
fn recovered(mut item: ItemTrait) -> ItemTrait {
    let hidden = paths::hidden_fn(Span::mixed_site());
    let def = paths::service_def();
    item.attrs.push(allow_async_fn());
    item.items.push(parse_quote! {
        #[doc(hidden)]
        fn #hidden() -> &'static #def where Self: ::core::marker::Sized + 'static {
            ::core::panic!("its contract has mistakes")
        }
    });
    item
}

fn allow_async_fn() -> Attribute {
    parse_quote!(#[allow(async_fn_in_trait, reason = "the contract has other mistakes")])
}

/// Whether a supertrait is this one: by its name alone, or as one of `core::marker` or
/// `std::marker`. One of this name in another module is another trait.
fn is_bound(bound: &TypeParamBound, name: &str) -> bool {
    match bound {
        TypeParamBound::Trait(bound) => {
            let path: Vec<_> = bound.path.segments.iter().map(|s| s.ident.to_string()).collect();
            let path = path.join("::");
            let path = ["core::marker::", "std::marker::"]
                .iter()
                .find_map(|module| path.strip_prefix(module))
                .unwrap_or(&path);
            path == name
        }
        TypeParamBound::Lifetime(lifetime) => lifetime.ident == name,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_supertrait_is_known_by_its_whole_path() {
        let given: [TypeParamBound; 3] = [
            parse_quote!(Sync),
            parse_quote!(::core::marker::Sync),
            parse_quote!(std::marker::Sync),
        ];
        assert!(given.iter().all(|bound| is_bound(bound, "Sync")));
        let others: [TypeParamBound; 3] =
            [parse_quote!(mine::Sync), parse_quote!(marker::Sync), parse_quote!(Send)];
        assert!(!others.iter().any(|bound| is_bound(bound, "Sync")));
        assert!(is_bound(&parse_quote!('static), "static"));
    }
}
