//! One method of a contract: its model, and the rules of its signature.

mod types;

use crate::{attrs, errors::Errors, names, options::Options};
use proc_macro2::TokenStream;
use syn::{
    Attribute, FnArg, Ident, Meta, Pat, PatType, Receiver, ReceiverKind, ReturnType, Safety,
    Signature, Token, TraitItemFn, Type, ext::IdentExt,
};

/// A method without mistakes.
pub(crate) struct Method {
    pub(crate) ident: Ident,
    /// The name that travels.
    pub(crate) wire: String,
    pub(crate) doc: String,
    /// Attributes that decide whether the method is there.
    pub(crate) cfgs: Vec<TokenStream>,
    /// The user's own `self` token: another would not be in scope where the user's are used.
    pub(crate) this: Token![self],
    pub(crate) args: Vec<Arg>,
    pub(crate) output: Type,
    pub(crate) idempotent: bool,
    pub(crate) timeout_ms: Option<u64>,
    /// The argument whose value is the call's key under consistent hashing.
    pub(crate) hash_key: Option<usize>,
}

/// An argument of a method.
pub(crate) struct Arg {
    pub(crate) ident: Ident,
    /// The name that travels.
    pub(crate) name: String,
    pub(crate) ty: Type,
}

impl Method {
    /// Reads a method of a contract. `None` if a part of the model is missing; then, and for
    /// every other mistake, `errors` has been told.
    pub(crate) fn read(item: &TraitItemFn, errors: &mut Errors) -> Option<Self> {
        let sig = &item.sig;
        let mut options = method_options(&item.attrs, errors);
        let idempotent = options.flag("idempotent", errors);
        let timeout_ms = options.timeout(errors);
        let key = options.ident("hash_key", errors);
        let wire = wire_name(sig, &mut options, errors);
        check_qualifiers(sig, errors);
        check_name(&sig.ident, errors);
        let this = receiver(sig, errors);
        let args = sig.inputs.iter().filter_map(|input| match input {
            FnArg::Receiver(_) => None,
            FnArg::Typed(typed) => Some(Arg::read(typed, errors)),
        });
        let args: Vec<_> = args.collect();
        let hash_key = key.and_then(|key| hash_key(&key, &args, errors));
        let output = output(sig, errors);
        Some(Self {
            ident: sig.ident.clone(),
            wire: wire?,
            doc: attrs::docs(&item.attrs),
            cfgs: attrs::cfgs(&item.attrs),
            this: this?,
            args: args.into_iter().collect::<Option<_>>()?,
            output: output?,
            idempotent,
            timeout_ms,
            hash_key,
        })
    }
}

impl Arg {
    fn read(input: &PatType, errors: &mut Errors) -> Option<Self> {
        types::check_argument(&input.ty, errors);
        for attr in input.attrs.iter().filter(|attr| !attrs::is_lint(attr)) {
            errors.on(attr, "an argument of an rpc method has no attributes; remove it");
        }
        let Pat::Ident(pattern) = &*input.pat else {
            errors.on(&input.pat, "an argument travels by its name; write `name: Type`");
            return None;
        };
        if let Some((at, _)) = &pattern.subpat {
            errors.on(at, "an argument travels by its name; write `name: Type`");
        }
        if let Some(by_ref) = &pattern.by_ref {
            errors.on(by_ref, "an argument travels by its name; remove `ref`");
        }
        let name = pattern.ident.unraw().to_string();
        if let Err(what) = names::check_wire(&name, names::MAX_NAME) {
            errors.on(&pattern.ident, format!("the name of an argument travels and {what}"));
        }
        Some(Self { ident: pattern.ident.clone(), name, ty: (*input.ty).clone() })
    }
}

/// Whether an attribute is `#[rpc(..)]`, which is for this macro alone.
pub(crate) fn is_rpc(attr: &Attribute) -> bool {
    attr.path().is_ident("rpc")
}

fn method_options(attrs: &[Attribute], errors: &mut Errors) -> Options {
    const KNOWN: &[&str] = &["idempotent", "timeout", "name", "hash_key"];
    let mut options = Options::parse(TokenStream::new(), KNOWN, errors);
    for attr in attrs {
        if attrs::is_conditional(attr, "rpc") {
            errors.on(attr, "`rpc` can't be conditional; write two methods under `#[cfg(..)]`");
        } else if is_rpc(attr) {
            match &attr.meta {
                Meta::List(list) => options.extend(list.tokens.clone(), KNOWN, errors),
                _ => errors.on(attr, "write the options in parentheses: `#[rpc(idempotent)]`"),
            }
        }
    }
    options
}

/// The index of the argument that `hash_key` names.
fn hash_key(key: &Ident, args: &[Option<Arg>], errors: &mut Errors) -> Option<usize> {
    let name = key.unraw().to_string();
    let is_meant = |arg: &Option<Arg>| arg.as_ref().is_some_and(|arg| arg.name == name);
    let Some(index) = args.iter().position(is_meant) else {
        // One that could not be read may be the one that is meant.
        if args.iter().all(Option::is_some) {
            let all: Vec<_> = args.iter().flatten().map(|arg| format!("`{}`", arg.name)).collect();
            let there = if all.is_empty() {
                "the method has no arguments".to_owned()
            } else {
                format!("there are: {}", all.join(", "))
            };
            errors.on(key, format!("no argument is called `{name}`; {there}"));
        }
        return None;
    };
    if let Some(Some(arg)) = args.get(index)
        && let Some(what) = types::no_key(&arg.ty)
    {
        errors.on(key, format!("`{name}` can't be a key: {what}"));
    }
    Some(index)
}

fn wire_name(sig: &Signature, options: &mut Options, errors: &mut Errors) -> Option<String> {
    let given = options.string("name", errors);
    let name = given.as_ref().map_or_else(|| sig.ident.unraw().to_string(), syn::LitStr::value);
    let Err(what) = names::check_wire(&name, names::MAX_NAME) else { return Some(name) };
    match given {
        Some(given) => errors.on(&given, format!("the wire name of a method {what}")),
        None => errors.on(
            &sig.ident,
            format!("the wire name of a method {what}; give it one with `#[rpc(name = \"..\")]`"),
        ),
    }
    None
}

fn check_qualifiers(sig: &Signature, errors: &mut Errors) {
    if sig.asyncness.is_none() {
        errors.on(&sig.fn_token, "an rpc method is asynchronous; write `async fn`");
    }
    if let Some(constness) = &sig.constness {
        errors.on(constness, "an rpc method can't be `const`; remove it");
    }
    match &sig.safety {
        Safety::Unsafe(token) => errors.on(token, "an rpc method can't be `unsafe`; remove it"),
        Safety::Safe(token) => errors.on(token, "an rpc method can't be `safe`; remove it"),
        Safety::Default => {}
    }
    if let Some(abi) = &sig.abi {
        errors.on(abi, "an rpc method can't be `extern`; remove it");
    }
    if let Some(variadic) = &sig.variadic {
        errors.on(variadic, "an rpc method can't be variadic; take a `Vec<T>`");
    }
    if !sig.generics.params.is_empty() {
        errors.on(
            &sig.generics.params,
            "an rpc method can't be generic, not in lifetimes either; write concrete types \
             and `&T`",
        );
    }
    if let Some(clause) = &sig.generics.where_clause {
        errors.on(clause, "an rpc method can't have a `where` clause; write concrete types");
    }
}

fn check_name(ident: &Ident, errors: &mut Errors) {
    let name = ident.unraw().to_string();
    if names::collides(&name) {
        errors.on(
            ident,
            format!(
                "`{name}` collides with a method that every client has; rename it, the name \
                 that travels can stay with `#[rpc(name = \"{name}\")]`"
            ),
        );
    }
}

fn receiver(sig: &Signature, errors: &mut Errors) -> Option<Token![self]> {
    let Some(receiver) = sig.receiver() else {
        errors.on(&sig.ident, "an rpc method is called on a service; take `&self` first");
        return None;
    };
    let Receiver { attrs, mutability: None, self_token, kind } = receiver else {
        errors.on(receiver, "a service is shared by all calls; write `&self`");
        return None;
    };
    if let Some(attr) = attrs.first() {
        errors.on(attr, "an argument of an rpc method has no attributes; remove it");
    }
    match kind {
        ReceiverKind::Reference(_, None, None) => return Some(*self_token),
        ReceiverKind::Reference(_, Some(lifetime), None) => {
            errors.on(lifetime, "an rpc method has no lifetimes of its own; write `&self`");
        }
        ReceiverKind::Reference(_, _, Some(_)) => errors.on(
            receiver,
            "a service is shared by all calls; write `&self`, and keep what changes in a `Mutex`",
        ),
        _ => errors.on(receiver, "a service is shared by all calls; write `&self`"),
    }
    None
}

fn output(sig: &Signature, errors: &mut Errors) -> Option<Type> {
    let ReturnType::Type(_, ty) = &sig.output else {
        errors.on(
            &sig.ident,
            "every call can fail, so an rpc method returns a result; write \
             `-> rpc_core::Result<()>`",
        );
        return None;
    };
    types::check_output(ty, errors);
    Some((**ty).clone())
}
