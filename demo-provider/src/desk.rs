//! Serves `Orders`: asks the directory of users who orders, and keeps the last orders.

use crate::node;
use demo_api::{
    Users, UsersClient,
    orders::{Forecast, Order, OrderError, Orders, Placed, Status},
    users::UserError,
};
use rpc_core::{RpcError, Shared, rpc_service};
use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

/// Orders that are kept.
const KEPT: usize = 1000;
/// How long the forecast thinks about one day.
const DAY: Duration = Duration::from_millis(100);

/// The desk that takes orders.
#[derive(Debug)]
pub(crate) struct Desk {
    users: Shared<UsersClient>,
    book: Mutex<Book>,
}

#[derive(Debug, Default)]
struct Book {
    taken: u64,
    last: BTreeMap<u64, Order>,
}

impl Desk {
    /// What the server calls to get its desk, with the client that was given to `.provide(..)`.
    fn open(users: Shared<UsersClient>) -> Self {
        Self { users, book: Mutex::default() }
    }

    fn with<R>(&self, f: impl FnOnce(&mut Book) -> R) -> R {
        // At worst an order was counted and is not kept, which `status` says.
        f(&mut self.book.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[rpc_service(init = Desk::open)]
impl Orders for Desk {
    async fn place(&self, key: &str, order: &Order) -> Result<Placed, OrderError> {
        let by = node::begin(key).await?;
        if order.quantity == 0 {
            return Err(RpcError::invalid_argument("the quantity is 0; order at least 1").into());
        }
        // A call like any other: what is left of the time for this one, its trace and the metadata
        // that propagates go along by themselves.
        let found = self.users.find(&format!("{key}/user"), &order.user).await;
        let found = found.map_err(|error| match error {
            UserError::Rpc(error) => OrderError::Rpc(error),
            UserError::Unknown(_) | UserError::NoName => {
                OrderError::UnknownUser(order.user.clone())
            }
        })?;
        let number = self.with(|book| {
            book.taken += 1;
            book.last.insert(book.taken, order.clone());
            if book.last.len() > KEPT {
                book.last.pop_first();
            }
            book.taken
        });
        Ok(Placed { number, name: found.user.name, by, user_by: found.by })
    }

    async fn status(&self, key: &str, number: u64) -> Result<Status, OrderError> {
        let by = node::begin(key).await?;
        Ok(Status { order: self.with(|book| book.last.get(&number).cloned()), by })
    }

    async fn forecast(&self, key: &str, days: u32) -> Result<Forecast, OrderError> {
        let by = node::begin(key).await?;
        // When the caller goes away, or its time has passed, the handler ends here.
        tokio::time::sleep(DAY * days).await;
        Ok(Forecast { orders: self.with(|book| book.taken) * u64::from(days), by })
    }
}
