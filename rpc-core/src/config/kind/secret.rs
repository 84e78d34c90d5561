//! Settings that are never shown.

use super::{Kind, List};
use crate::{Token, config::Value};

/// What an error shows of a secret.
pub(in crate::config) const HIDDEN: &str = "(not shown)";

const TOKEN: &str = "a secret of 1 to 512 visible ASCII characters, without a comma";

/// A [`Token`].
#[derive(Debug)]
pub struct Secret;

/// Tokens of which each will do; as a text, with commas between them.
#[derive(Debug)]
pub struct Secrets;

impl Kind for Secret {
    type Value = Token;

    fn name(&self) -> String {
        TOKEN.to_owned()
    }

    fn range(&self) -> String {
        String::new()
    }

    fn read(&self, value: &Value) -> Option<Token> {
        value.text().map(|text| Token::from(text.trim()))
    }

    fn fits(&self, value: &Token) -> bool {
        value.is_well_formed()
    }

    fn show(&self, _: &Token) -> String {
        HIDDEN.to_owned()
    }

    fn is_secret(&self) -> bool {
        true
    }
}

impl Kind for Secrets {
    type Value = Vec<Token>;

    fn name(&self) -> String {
        format!("{TOKEN}, or a list of them")
    }

    fn range(&self) -> String {
        String::new()
    }

    fn read(&self, value: &Value) -> Option<Vec<Token>> {
        let tokens = List("").read(value)?;
        Some(tokens.iter().map(|text| Token::from(text.trim())).collect())
    }

    // An empty list would open a server, not close it.
    fn fits(&self, value: &Vec<Token>) -> bool {
        !value.is_empty() && value.iter().all(Token::is_well_formed)
    }

    fn show(&self, _: &Vec<Token>) -> String {
        HIDDEN.to_owned()
    }

    fn is_secret(&self) -> bool {
        true
    }
}
