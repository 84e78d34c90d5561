//! Types as a person writes them, for reflection and messages.

use proc_macro2::{Delimiter, Spacing, TokenStream, TokenTree};
use quote::ToTokens;

/// The source text of a type: `Result<Greeting, GreetError>`, with rustfmt's spaces.
pub(crate) fn text(tokens: &impl ToTokens) -> String {
    let mut out = String::new();
    write(tokens.to_token_stream(), &mut out);
    out
}

fn write(tokens: TokenStream, out: &mut String) {
    let mut joint = false;
    for token in tokens {
        match token {
            TokenTree::Group(group) => {
                let (open, close) = match group.delimiter() {
                    Delimiter::Parenthesis => ("(", ")"),
                    Delimiter::Bracket => ("[", "]"),
                    Delimiter::Brace => ("{", "}"),
                    // What a `macro_rules!` variable leaves around its type.
                    Delimiter::None => ("", ""),
                };
                out.push_str(open);
                write(group.stream(), out);
                out.push_str(close);
                joint = false;
            }
            TokenTree::Punct(punct) => {
                let c = punct.as_char();
                let spaced = "+=-;,".contains(c) && !joint;
                if spaced && !";,".contains(c) {
                    out.push(' ');
                }
                out.push(c);
                let is_arrow = c == '>' && joint;
                joint = punct.spacing() == Spacing::Joint;
                if is_arrow || spaced && !joint {
                    out.push(' ');
                }
            }
            word => {
                if out.ends_with(|c: char| c.is_alphanumeric() || c == '_') && !joint {
                    out.push(' ');
                }
                out.push_str(&word.to_string());
                joint = false;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::text;

    #[test]
    fn types_read_as_they_are_written() {
        for ty in [
            "Result<Greeting, GreetError>",
            "rpc_core::Result<()>",
            "&[u8]",
            "Option<&str>",
            "&HashMap<&str, Vec<(u8, i64)>>",
            "Cow<'_, str>",
            "[u8; 16]",
            "&'static str",
            "Box<dyn Fn(u8) -> u8 + Send>",
        ] {
            let parsed: syn::Type = syn::parse_str(ty).unwrap();
            assert_eq!(text(&parsed), ty);
        }
    }
}
