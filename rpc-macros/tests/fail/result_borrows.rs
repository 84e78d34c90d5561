//! A result can't borrow from anything.
use rpc_core::rpc_client;
use std::borrow::Cow;

#[rpc_client]
trait Contract {
    async fn text(&self) -> rpc_core::Result<&str>; //~ ERROR a result can't borrow; return an owned type, as `String`
    async fn inner(&self) -> rpc_core::Result<Option<&'static str>>; //~ ERROR a result can't borrow
    async fn cow(&self) -> rpc_core::Result<Cow<'_, str>>; //~ ERROR a result can't borrow; return an owned type, or `'static`
    async fn bare(&self) -> rpc_core::Result<Vec<Cow<str>>>; //~ ERROR a result can't borrow; write `Cow<'static, T>`
    async fn fine(&self) -> rpc_core::Result<Cow<'static, str>>;
}

fn main() {}
