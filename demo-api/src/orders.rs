//! The contract of a shop's orders, whose provider asks the directory of users in turn.

use crate::Stamp;
use rpc_core::{RpcError, rpc_client};
use serde::{Deserialize, Serialize};
use std::fmt;

/// The orders of a shop. Each provider keeps the orders that it took.
#[rpc_client]
pub trait Orders {
    /// Takes an order, after it has asked the directory of users who orders.
    ///
    /// Not idempotent: asked twice, the goods are sent twice.
    async fn place(&self, key: &str, order: &Order) -> Result<Placed, OrderError>;

    /// What has become of an order.
    #[rpc(idempotent)]
    async fn status(&self, key: &str, number: u64) -> Result<Status, OrderError>;

    /// How much will be ordered in the next days. Takes 100 ms for each of them: the demo's way
    /// to be slow.
    #[rpc(idempotent, timeout = "2s")]
    async fn forecast(&self, key: &str, days: u32) -> Result<Forecast, OrderError>;
}

/// What is ordered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// The id of the user who orders.
    pub user: String,
    /// What.
    pub item: String,
    /// How many of it, at least one.
    pub quantity: u32,
}

/// An order was taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placed {
    /// The order's number with this provider.
    pub number: u64,
    /// The name of the user who ordered, as the directory has it.
    pub name: String,
    /// Who took the order.
    pub by: Stamp,
    /// Who knew the user, and what had reached it of the call that it was part of.
    pub user_by: Stamp,
}

/// What has become of an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The order; `None` when this provider took none with this number.
    pub order: Option<Order>,
    /// Who says so.
    pub by: Stamp,
}

/// What will be ordered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forecast {
    /// How many orders are expected.
    pub orders: u64,
    /// Who expects them.
    pub by: Stamp,
}

/// Why an order was not taken or not found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum OrderError {
    /// The directory knows no user with this id.
    UnknownUser(String),
    /// The call itself failed, or one that the provider made to serve it.
    Rpc(RpcError),
}

impl OrderError {
    /// The framework's error, if it is one.
    pub fn rpc(&self) -> Option<&RpcError> {
        match self {
            Self::Rpc(error) => Some(error),
            Self::UnknownUser(_) => None,
        }
    }
}

impl fmt::Display for OrderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownUser(id) => write!(f, "nobody with the id {id} can order"),
            Self::Rpc(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for OrderError {}

impl From<RpcError> for OrderError {
    fn from(error: RpcError) -> Self {
        Self::Rpc(error)
    }
}
