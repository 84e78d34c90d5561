//! What the user's other attributes mean to generated code.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::{Attribute, Expr, ExprLit, Lit, Meta, Token, punctuated::Punctuated};

/// The doc comment as plain text.
pub(crate) fn docs(attrs: &[Attribute]) -> String {
    let lines = attrs.iter().filter_map(|attr| match &attr.meta {
        Meta::NameValue(doc) if doc.path.is_ident("doc") => match &doc.value {
            Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => Some(text.value()),
            _ => None,
        },
        _ => None,
    });
    let lines: Vec<_> =
        lines.map(|l| l.strip_prefix(' ').unwrap_or(&l).trim_end().into()).collect();
    let lines: &[String] = &lines;
    lines.join("\n").trim().to_owned()
}

/// The attributes that decide whether an item is there; whatever belongs to it has them too.
pub(crate) fn cfgs(attrs: &[Attribute]) -> Vec<TokenStream> {
    attrs.iter().filter_map(|attr| cfg(&attr.meta)).map(|meta| quote!(#[#meta])).collect()
}

fn cfg(meta: &Meta) -> Option<TokenStream> {
    if meta.path().is_ident("cfg") {
        return Some(meta.to_token_stream());
    }
    let (predicate, rest) = cfg_attr(meta)?;
    let kept: Vec<_> = rest.iter().filter_map(cfg).collect();
    (!kept.is_empty()).then(|| quote!(cfg_attr(#predicate, #(#kept),*)))
}

/// Whether an attribute with this name hides in a `cfg_attr`.
pub(crate) fn is_conditional(attr: &Attribute, name: &str) -> bool {
    fn contains(meta: &Meta, name: &str) -> bool {
        cfg_attr(meta).is_some_and(|(_, rest)| {
            rest.iter().any(|meta| meta.path().is_ident(name) || contains(meta, name))
        })
    }
    contains(&attr.meta, name)
}

/// The condition and the attributes of a `cfg_attr`.
fn cfg_attr(meta: &Meta) -> Option<(Meta, Vec<Meta>)> {
    let Meta::List(list) = meta else { return None };
    if !list.path.is_ident("cfg_attr") {
        return None;
    }
    let parts = list.parse_args_with(Punctuated::<Meta, Token![,]>::parse_terminated).ok()?;
    let mut parts = parts.into_iter();
    Some((parts.next()?, parts.collect()))
}

/// Whether this attribute sets a lint level, which is all that is allowed on an argument.
pub(crate) fn is_lint(attr: &Attribute) -> bool {
    ["allow", "expect", "warn", "deny", "forbid"].iter().any(|level| attr.path().is_ident(level))
}
