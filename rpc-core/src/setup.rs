//! Why a client or a server could not be set up.

use std::fmt;

/// A configuration or start-up mistake: what is wrong and what to do about it.
///
/// `Debug` reads like `Display`, so that `fn main() -> Result<(), SetupError>` prints the text.
#[derive(Clone, PartialEq, Eq)]
pub struct SetupError(String);

impl SetupError {
    /// An error with this text: what failed, then what to do.
    pub fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

impl fmt::Display for SetupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for SetupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for SetupError {}
