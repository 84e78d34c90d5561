//! The grammar of `#[rpc_client(..)]`, `#[rpc(..)]` and `#[rpc_service(..)]`.

use crate::{errors::Errors, names};
use proc_macro2::TokenStream;
use syn::{
    Expr, ExprLit, ExprPath, Ident, Lit, LitStr, Token,
    ext::IdentExt,
    parse::{Parse, ParseStream, Parser},
    punctuated::Punctuated,
};

/// The options of one attribute. Each is taken by its key; unknown and repeated ones are already
/// reported.
pub(crate) struct Options(Vec<Entry>);

/// `key` or `key = value`.
struct Entry {
    key: Ident,
    value: Option<Expr>,
}

impl Parse for Entry {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let key = input.call(Ident::parse_any)?;
        let value = input.parse::<Option<Token![=]>>()?.map(|_| input.parse()).transpose()?;
        Ok(Self { key, value })
    }
}

impl Options {
    /// Parses the tokens between the parentheses.
    pub(crate) fn parse(tokens: TokenStream, known: &[&str], errors: &mut Errors) -> Self {
        let mut options = Self(Vec::new());
        options.extend(tokens, known, errors);
        options
    }

    /// Adds those of another attribute of the same name.
    pub(crate) fn extend(&mut self, tokens: TokenStream, known: &[&str], errors: &mut Errors) {
        let parsed = match Punctuated::<Entry, Token![,]>::parse_terminated.parse2(tokens) {
            Ok(parsed) => parsed,
            Err(error) => return errors.push(error),
        };
        for entry in parsed {
            let key = entry.key.unraw().to_string();
            if !known.contains(&key.as_str()) {
                let known = known.join("`, `");
                errors.on(&entry.key, format!("unknown option `{key}`; there are: `{known}`"));
            } else if self.0.iter().any(|earlier| earlier.key == entry.key) {
                errors.on(&entry.key, format!("option `{key}` is given twice; remove one"));
            } else {
                self.0.push(entry);
            }
        }
    }

    /// An option without a value.
    pub(crate) fn flag(&mut self, key: &str, errors: &mut Errors) -> bool {
        let Some(entry) = self.take(key) else { return false };
        if let Some(value) = &entry.value {
            errors.on(value, format!("`{key}` takes no value; write `{key}`"));
        }
        true
    }

    /// An option whose value is a string.
    pub(crate) fn string(&mut self, key: &str, errors: &mut Errors) -> Option<LitStr> {
        let Entry { key: ident, value } = self.take(key)?;
        match value.map(ungrouped) {
            Some(Expr::Lit(ExprLit { lit: Lit::Str(text), .. })) => return Some(text),
            Some(other) => errors.on(&other, format!("`{key}` is a string: `{key} = \"..\"`")),
            None => errors.on(&ident, format!("`{key}` needs a value: `{key} = \"..\"`")),
        }
        None
    }

    /// An option whose value is the path of a function.
    pub(crate) fn path(&mut self, key: &str, errors: &mut Errors) -> Option<ExprPath> {
        let Entry { key: ident, value } = self.take(key)?;
        let example = format!("`{key} = MyType::open`");
        match value.map(ungrouped) {
            Some(Expr::Path(path)) => return Some(path),
            Some(other) => errors.on(&other, format!("`{key}` is a function's path: {example}")),
            None => errors.on(&ident, format!("`{key}` needs a function: {example}")),
        }
        None
    }

    /// An option whose value is a single name.
    pub(crate) fn ident(&mut self, key: &str, errors: &mut Errors) -> Option<Ident> {
        let Entry { key: ident, value } = self.take(key)?;
        let example = format!("`{key} = user`");
        match value.map(ungrouped) {
            Some(Expr::Path(path)) if path.path.get_ident().is_some() => {
                return path.path.get_ident().cloned();
            }
            Some(other) => {
                errors.on(&other, format!("`{key}` is the name of an argument: {example}"));
            }
            None => errors.on(&ident, format!("`{key}` needs an argument's name: {example}")),
        }
        None
    }

    /// The option `timeout`, in milliseconds.
    pub(crate) fn timeout(&mut self, errors: &mut Errors) -> Option<u64> {
        let text = self.string("timeout", errors)?;
        match milliseconds(&text.value()) {
            Some(0) => errors.on(&text, "a timeout of zero fails every call; leave it out"),
            Some(timeout) => return Some(timeout),
            None => errors.on(&text, "not a duration; write it as \"200ms\", \"2s\" or \"1m\""),
        }
        None
    }

    /// An option whose value is a name that is registered.
    pub(crate) fn registered(
        &mut self,
        key: &str,
        max: usize,
        errors: &mut Errors,
    ) -> Option<LitStr> {
        let text = self.string(key, errors)?;
        match names::check_registered(&text.value(), max) {
            Ok(()) => return Some(text),
            Err(what) => errors.on(&text, format!("a service's {key} {what}")),
        }
        None
    }

    fn take(&mut self, key: &str) -> Option<Entry> {
        let at = self.0.iter().position(|entry| entry.key.unraw() == key)?;
        Some(self.0.swap_remove(at))
    }
}

/// Without the invisible group that a `macro_rules!` variable leaves around its expression.
fn ungrouped(expr: Expr) -> Expr {
    match expr {
        Expr::Group(group) => ungrouped(*group.expr),
        other => other,
    }
}

fn milliseconds(text: &str) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let scale = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(scale)
}

#[cfg(test)]
mod tests {
    use super::milliseconds;

    #[test]
    fn durations_have_a_number_and_a_unit() {
        assert_eq!(milliseconds("200ms"), Some(200));
        assert_eq!(milliseconds("2s"), Some(2000));
        assert_eq!(milliseconds("1m"), Some(60_000));
        for wrong in ["", "s", "2", "2 s", "-2s", "1.5s", "2h", "99999999999999999999s"] {
            assert_eq!(milliseconds(wrong), None, "{wrong}");
        }
    }
}
