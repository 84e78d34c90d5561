//! The contract of a chat: messages to everybody and to one user.

use crate::Stamp;
use rpc_core::{RpcError, rpc_client};
use serde::{Deserialize, Serialize};
use std::fmt;

/// A chat. Each provider keeps the messages that it was sent.
#[rpc_client]
pub trait Chat {
    /// Says something to everybody.
    ///
    /// Not idempotent: said twice, it is read twice.
    async fn send(&self, key: &str, text: &str) -> Result<Delivery, ChatError>;

    /// Says something to one user. Fails with [`ChatError::NoSuchUser`] when there is none of
    /// that name, and with [`ChatError::Muted`] when the user does not want to be written to.
    async fn send_to(&self, key: &str, user: &str, text: &str) -> Result<Delivery, ChatError>;

    /// The last messages to everybody that this provider was sent, the newest first.
    #[rpc(idempotent)]
    async fn latest(&self, key: &str, count: u32) -> Result<Messages, ChatError>;
}

/// A message was taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// How many messages the provider has taken, this one included.
    pub number: u64,
    /// Who took it.
    pub by: Stamp,
}

/// Messages of one provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Messages {
    /// The newest first.
    pub texts: Vec<String>,
    /// Whose they are.
    pub by: Stamp,
}

/// Why the chat did not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ChatError {
    /// There is no user of this name.
    NoSuchUser(String),
    /// The user of this name reads no messages.
    Muted(String),
    /// The call itself failed.
    Rpc(RpcError),
}

impl ChatError {
    /// The framework's error, if it is one.
    pub fn rpc(&self) -> Option<&RpcError> {
        match self {
            Self::Rpc(error) => Some(error),
            Self::NoSuchUser(_) | Self::Muted(_) => None,
        }
    }
}

impl fmt::Display for ChatError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSuchUser(name) => write!(f, "nobody is called {name}"),
            Self::Muted(name) => write!(f, "{name} reads no messages"),
            Self::Rpc(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ChatError {}

impl From<RpcError> for ChatError {
    fn from(error: RpcError) -> Self {
        Self::Rpc(error)
    }
}
