//! Expansions as a reviewer reads them: `tests/expand/*.rs` beside `*.expanded`.
//!
//! `BLESS=1 cargo test -p rpc-macros golden` writes what is generated now.

use crate::{client, service};
use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use std::{env, fs, path::Path};
use syn::{Attribute, Item, Meta};

#[test]
fn expansions_are_as_reviewed() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/expand");
    for entry in fs::read_dir(folder).expect("the folder exists") {
        let input = entry.expect("is readable").path();
        if input.extension().is_some_and(|extension| extension == "rs") {
            compare(&input);
        }
    }
}

fn compare(input: &Path) {
    let written =
        syn::parse_file(&fs::read_to_string(input).expect("is readable")).expect("parses");
    let items: TokenStream = written.items.into_iter().map(expanded).collect();
    let now = prettyplease::unparse(&syn::parse2(items).expect("expansions parse"));
    let golden = input.with_extension("expanded");
    if env::var_os("BLESS").is_some() {
        fs::write(&golden, now).expect("is writable");
        return;
    }
    let reviewed = fs::read_to_string(&golden).unwrap_or_default();
    assert!(
        now == reviewed,
        "{} differs; review it after BLESS=1. Now it is:\n{now}",
        golden.display()
    );
}

/// An item as the compiler would see it.
fn expanded(mut item: Item) -> TokenStream {
    let attrs = match &mut item {
        Item::Trait(item) => &mut item.attrs,
        Item::Impl(item) => &mut item.attrs,
        _ => return quote!(#item),
    };
    let ours = |attr: &Attribute| attr.path().segments.last().map(|s| s.ident.to_string());
    let at = attrs.iter().position(|attr| ours(attr).is_some_and(|name| name.starts_with("rpc_")));
    let Some(at) = at else { return quote!(#item) };
    let attr = attrs.remove(at);
    let options = match &attr.meta {
        Meta::List(list) => list.tokens.clone(),
        _ => TokenStream::new(),
    };
    let item = item.to_token_stream();
    match ours(&attr).as_deref() {
        Some("rpc_client") => client::attribute(options, &item),
        _ => service::attribute(options, &item),
    }
}
