//! The calls that make up a load: three idempotent methods and three that are not, in turn.

use crate::record::Ended;
use demo_api::{
    Chat, ChatClient, Orders, OrdersClient, Stamp, Users, UsersClient,
    chat::ChatError,
    orders::{Order, OrderError},
    users::UserError,
};
use rpc_client::Client;

/// The proxies that the calls are made through.
#[derive(Debug, Clone)]
pub(crate) struct Mix {
    chat: ChatClient,
    users: UsersClient,
    orders: OrdersClient,
}

/// One of the six.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Find,
    Send,
    Latest,
    Add,
    Status,
    Place,
}

/// Why a call failed.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) ended: Ended,
    pub(crate) text: String,
}

impl Kind {
    /// The kind of the call with this number; every other one is idempotent.
    pub(crate) fn of(number: u64) -> Self {
        use Kind::{Add, Find, Latest, Place, Send, Status};
        match number % 6 {
            0 => Find,
            1 => Send,
            2 => Latest,
            3 => Add,
            4 => Status,
            _ => Place,
        }
    }

    /// Whether the contract says that it may be sent again.
    pub(crate) fn idempotent(self) -> bool {
        matches!(self, Self::Find | Self::Latest | Self::Status)
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Find => "Users.find",
            Self::Send => "Chat.send",
            Self::Latest => "Chat.latest",
            Self::Add => "Users.add",
            Self::Status => "Orders.status",
            Self::Place => "Orders.place",
        }
    }
}

impl Mix {
    pub(crate) fn new(client: &Client) -> Self {
        Self { chat: client.get(), users: client.get(), orders: client.get() }
    }

    /// Makes one call, once: whatever can be done about a failure the client has done by then.
    pub(crate) async fn call(&self, kind: Kind, key: &str) -> Result<Stamp, Failure> {
        match kind {
            Kind::Find => Ok(self.users.find(key, "ada").await?.by),
            Kind::Send => Ok(self.chat.send(key, "Good morning, everybody").await?.by),
            Kind::Latest => Ok(self.chat.latest(key, 3).await?.by),
            Kind::Add => Ok(self.users.add(key, "Alan".to_owned()).await?.by),
            Kind::Status => Ok(self.orders.status(key, 1).await?.by),
            Kind::Place => {
                let order = Order { user: "grace".into(), item: "bearings".into(), quantity: 2 };
                Ok(self.orders.place(key, &order).await?.by)
            }
        }
    }
}

impl From<ChatError> for Failure {
    fn from(error: ChatError) -> Self {
        Self { ended: Ended::failed(error.rpc()), text: error.to_string() }
    }
}

impl From<UserError> for Failure {
    fn from(error: UserError) -> Self {
        Self { ended: Ended::failed(error.rpc()), text: error.to_string() }
    }
}

impl From<OrderError> for Failure {
    fn from(error: OrderError) -> Self {
        Self { ended: Ended::failed(error.rpc()), text: error.to_string() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rpc_core::RpcProxy;

    #[test]
    fn half_of_the_calls_are_idempotent_and_the_contracts_say_the_same() {
        let kinds: Vec<_> = (0..6).map(Kind::of).collect();
        assert_eq!(kinds.iter().filter(|kind| kind.idempotent()).count(), 3);
        let services = [ChatClient::SERVICE, UsersClient::SERVICE, OrdersClient::SERVICE];
        for kind in kinds {
            let (contract, method) = kind.name().split_once('.').unwrap();
            let service = services.iter().find(|s| s.name.ends_with(contract)).unwrap();
            let method = service.methods.iter().find(|m| m.name == method).unwrap();
            assert_eq!(method.idempotent, kind.idempotent(), "{}", kind.name());
        }
    }
}
