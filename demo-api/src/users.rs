//! The contract of a directory of users.

use crate::Stamp;
use rpc_core::{RpcError, rpc_client};
use serde::{Deserialize, Serialize};
use std::fmt;

/// A directory of users. Every provider knows `ada`, `grace` and `linus`, and those that were
/// added to it.
#[rpc_client(timeout = "5s")]
pub trait Users {
    /// Looks up a user.
    #[rpc(idempotent)]
    async fn find(&self, key: &str, id: &str) -> Result<Found, UserError>;

    /// Adds a user and gives it a number. Fails with [`UserError::NoName`] for an empty name.
    ///
    /// Not idempotent: asked twice, it makes two users.
    async fn add(&self, key: &str, name: String) -> Result<Added, UserError>;

    /// Replaces a user's picture, at most 1 MiB; the caption stays as it was if none is given.
    ///
    /// Idempotent, since the second time changes nothing.
    #[rpc(idempotent, timeout = "3s")]
    async fn set_picture(
        &self,
        key: &str,
        id: &str,
        picture: &[u8],
        caption: Option<&str>,
    ) -> Result<Picture, UserError>;
}

/// A user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// What the user is looked up by.
    pub id: String,
    /// What the user is called.
    pub name: String,
}

/// A user was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// The user.
    pub user: User,
    /// Who found it.
    pub by: Stamp,
}

/// A user was added.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Added {
    /// The user.
    pub user: User,
    /// Who knows it now.
    pub by: Stamp,
}

/// A picture as the directory keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Picture {
    /// Its size in bytes.
    pub bytes: u64,
    /// Its caption.
    pub caption: Option<String>,
    /// Who keeps it.
    pub by: Stamp,
}

/// Why the directory did not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum UserError {
    /// There is no user with this id.
    Unknown(String),
    /// A user must have a name.
    NoName,
    /// The call itself failed.
    Rpc(RpcError),
}

impl UserError {
    /// The framework's error, if it is one.
    pub fn rpc(&self) -> Option<&RpcError> {
        match self {
            Self::Rpc(error) => Some(error),
            Self::Unknown(_) | Self::NoName => None,
        }
    }
}

impl fmt::Display for UserError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(id) => write!(f, "there is no user {id}"),
            Self::NoName => f.write_str("a user must have a name"),
            Self::Rpc(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for UserError {}

impl From<RpcError> for UserError {
    fn from(error: RpcError) -> Self {
        Self::Rpc(error)
    }
}
