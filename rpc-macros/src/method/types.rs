//! What can be seen of a type before the compiler knows it: forms that can't travel.
//!
//! Aliases hide from this. What slips through is refused by the bounds of the generated code,
//! except for nested `Option`s, which only their syntax shows.

use crate::errors::Errors;
use syn::{
    GenericArgument, Lifetime, Path, PathArguments, PathSegment, Type, TypeFnPtr, TypeImplTrait,
    TypeInfer, TypePtr, TypeReference, TypeTraitObject,
    visit::{self, Visit},
};

/// Checks the type of an argument.
pub(super) fn check_argument(ty: &Type, errors: &mut Errors) {
    match ungrouped(ty) {
        Type::Path(path) if path.path.is_ident("str") => {
            errors.on(ty, "a `str` has no size of its own; write `&str` or `String`");
        }
        Type::Slice(_) => {
            errors.on(ty, "a slice has no size of its own; write `&[T]` or `Vec<T>`");
        }
        _ => {}
    }
    Check { errors, is_output: false }.visit_type(ty);
}

/// Checks a return type.
pub(super) fn check_output(ty: &Type, errors: &mut Errors) {
    Check { errors, is_output: true }.visit_type(ty);
}

/// Why a value of this type can't say which calls belong together; `None` if it can.
pub(super) fn no_key(ty: &Type) -> Option<&'static str> {
    struct Find(Option<&'static str>);
    impl<'ast> Visit<'ast> for Find {
        fn visit_path(&mut self, path: &'ast Path) {
            let what =
                path.segments.last().and_then(|last| match last.ident.to_string().as_str() {
                    "f32" | "f64" => {
                        Some("equal numbers can have different forms as a float; round it")
                    }
                    "HashMap" | "HashSet" => Some(
                        "the order of its entries differs from one to the next; take a `BTreeMap`, \
                          a `BTreeSet` or a single value",
                    ),
                    _ => None,
                });
            self.0 = self.0.or(what);
            visit::visit_path(self, path);
        }

        fn visit_type_tuple(&mut self, ty: &'ast syn::TypeTuple) {
            if ty.elems.is_empty() {
                self.0 = self.0.or(Some("`()` has one value alone; name another argument"));
            }
            visit::visit_type_tuple(self, ty);
        }
    }
    let mut find = Find(None);
    find.visit_type(ty);
    find.0
}

struct Check<'a> {
    errors: &'a mut Errors,
    is_output: bool,
}

impl<'ast> Visit<'ast> for Check<'_> {
    fn visit_type_reference(&mut self, ty: &'ast TypeReference) {
        if self.is_output {
            self.errors.on(ty, "a result can't borrow; return an owned type, as `String`");
            return;
        }
        if let Some(mutability) = &ty.mutability {
            let what = "the callee gets a copy, so an argument can't be `&mut`; write `&` and \
                        return what changes";
            self.errors.on(mutability, what);
        }
        if let Some(lifetime) = ty.lifetime.as_ref().filter(|lifetime| lifetime.ident != "_") {
            let what = "an argument is borrowed for the call alone; remove the lifetime";
            self.errors.on(lifetime, what);
        }
        self.visit_type(&ty.elem);
    }

    fn visit_lifetime(&mut self, lifetime: &'ast Lifetime) {
        if self.is_output && lifetime.ident != "static" {
            self.errors.on(lifetime, "a result can't borrow; return an owned type, or `'static`");
        }
    }

    fn visit_type_impl_trait(&mut self, ty: &'ast TypeImplTrait) {
        self.errors.on(ty, "the peer must know the type; write a concrete type for `impl Trait`");
    }

    fn visit_type_trait_object(&mut self, ty: &'ast TypeTraitObject) {
        self.errors.on(ty, "a trait object can't travel; write an enum of what it can be");
    }

    fn visit_type_fn_ptr(&mut self, ty: &'ast TypeFnPtr) {
        self.errors.on(ty, "a function can't travel; write a type with data");
    }

    fn visit_type_ptr(&mut self, ty: &'ast TypePtr) {
        self.errors.on(ty, "a pointer can't travel; write the type that it points to");
    }

    fn visit_type_infer(&mut self, ty: &'ast TypeInfer) {
        self.errors.on(ty, "a contract names its types; write one for `_`");
    }

    fn visit_path(&mut self, path: &'ast Path) {
        if path.segments.first().is_some_and(|segment| segment.ident == "Self") {
            let what = "client and provider are different `Self`s; write a concrete type";
            self.errors.on(path, what);
        }
        let Some(last) = path.segments.last() else { return };
        if last.ident == "RpcStream" {
            let what = "streaming methods do not exist yet; take or return a `Vec<T>`, in pages \
                        if it can be long";
            self.errors.on(path, what);
        }
        if last.ident == "Option" {
            self.check_option(path, last);
        }
        if self.is_output && last.ident == "Cow" && is_without_lifetime(last) {
            self.errors
                .on(path, "a result can't borrow; write `Cow<'static, T>`, or its owned type");
        }
        visit::visit_path(self, path);
    }
}

impl Check<'_> {
    fn check_option(&mut self, path: &Path, option: &PathSegment) {
        match only_type(option).map(ungrouped) {
            Some(Type::Path(inner))
                if inner.path.segments.last().is_some_and(|s| s.ident == "Option") =>
            {
                let what = "`Some(None)` arrives as `None`, so an `Option<Option<_>>` can't \
                            travel; write an enum with three variants";
                self.errors.on(path, what);
            }
            Some(Type::Tuple(unit)) if unit.elems.is_empty() => {
                let what = "`Some(())` arrives as `None`, so an `Option<()>` can't travel; \
                            write `bool`";
                self.errors.on(path, what);
            }
            _ => {}
        }
    }
}

/// Whether arguments are given and none of them is a lifetime.
fn is_without_lifetime(segment: &PathSegment) -> bool {
    let PathArguments::AngleBracketed(arguments) = &segment.arguments else { return false };
    !arguments.args.iter().any(|argument| matches!(argument, GenericArgument::Lifetime(_)))
}

/// The `T` of `Option<T>`.
fn only_type(segment: &PathSegment) -> Option<&Type> {
    let PathArguments::AngleBracketed(arguments) = &segment.arguments else { return None };
    match arguments.args.first()? {
        GenericArgument::Type(ty) => Some(ty),
        _ => None,
    }
}

fn ungrouped(ty: &Type) -> &Type {
    match ty {
        Type::Group(group) => ungrouped(&group.elem),
        Type::Paren(paren) => ungrouped(&paren.elem),
        other => other,
    }
}
