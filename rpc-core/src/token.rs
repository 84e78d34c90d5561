//! A secret by which a server tells its clients from others.

use std::{fmt, sync::Arc};
use subtle::ConstantTimeEq as _;

/// Longest token, in bytes.
const MAX_BYTES: usize = 512;

/// A secret that a client shows and a server compares. It is well-formed when it has 1 to 512
/// bytes of visible ASCII and no comma; builders refuse others.
///
/// `Debug` does not show it. How long a comparison takes depends on the lengths alone, so that
/// nobody can guess a token byte by byte; the comparison is that of the crate `subtle`.
#[derive(Clone)]
pub struct Token(Arc<str>);

impl Token {
    /// The secret itself.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it can travel, and be one of several in a variable.
    pub fn is_well_formed(&self) -> bool {
        (1..=MAX_BYTES).contains(&self.0.len())
            && self.0.bytes().all(|byte| byte.is_ascii_graphic() && byte != b',')
    }
}

impl From<&str> for Token {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl From<String> for Token {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl PartialEq for Token {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_bytes().ct_eq(other.0.as_bytes()).into()
    }
}

impl Eq for Token {}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_equal_when_every_byte_is_and_are_never_shown() {
        let token = |text: &str| Token::from(text);
        assert_eq!(token("secret"), Token::from("secret".to_owned()));
        for other in ["", "secre", "secrets", "Secret", "secreT", "tecret"] {
            assert_ne!(token("secret"), token(other));
        }
        assert_eq!(format!("{:?}", token("secret")), "Token { .. }");
    }

    #[test]
    fn what_could_not_travel_or_stand_in_a_list_is_not_well_formed() {
        let is_well_formed = |text: &str| Token::from(text).is_well_formed();
        assert!(is_well_formed("a") && is_well_formed(&"~".repeat(512)));
        for text in ["", "a b", "a,b", "a\n", "ä", &"a".repeat(513)] {
            assert!(!is_well_formed(text), "{text:?}");
        }
    }
}
