//! Makes each kind of call once, and says in plain words what happened.
//!
//! Each stop checks what it says: when something else happens, the tour ends and says what.

mod stops;

use demo_api::{ChatClient, OrdersClient, UsersClient};
use rpc_client::Client;
use std::fmt::Display;

/// What the stops of the tour share.
struct Tour {
    chat: ChatClient,
    users: UsersClient,
    orders: OrdersClient,
}

/// What happened is not what should have: how so.
type Surprise = String;

/// Makes the tour.
///
/// # Errors
///
/// The first thing that happened otherwise than it should.
pub(crate) async fn tour(client: &Client) -> Result<(), Surprise> {
    let tour = Tour { chat: client.get(), users: client.get(), orders: client.get() };
    title(1, "A plain call");
    tour.plain_call().await?;
    title(2, "Borrowed arguments");
    tour.borrowed_arguments().await?;
    title(3, "An error of the application");
    tour.application_error().await?;
    title(4, "An error of the framework, from a handler");
    tour.framework_error().await?;
    title(5, "Nobody there");
    tour.nobody_there().await?;
    title(6, "A call that takes too long");
    tour.timeout().await?;
    title(7, "Options and metadata");
    tour.metadata().await?;
    title(8, "A call within a call");
    tour.nested().await?;
    title(9, "Many calls at once");
    tour.concurrent().await?;
    title(10, "What may be sent again");
    tour.idempotent().await?;
    println!("\nThat was the tour: everything went as it should.");
    Ok(())
}

fn title(number: u32, text: &str) {
    println!("{number:>2}. {text}");
}

fn say(text: impl Display) {
    println!("    {text}");
}

/// The error of a call that should have failed.
fn failure<T, E>(result: Result<T, E>, call: &str) -> Result<E, Surprise> {
    result.err().ok_or_else(|| format!("{call} succeeded"))
}

/// The result of a call that should not have failed.
fn success<T, E: Display>(result: Result<T, E>, call: &str) -> Result<T, Surprise> {
    result.map_err(|error| format!("{call} failed: {error}"))
}

/// Something that should be true.
fn expect(truth: bool, otherwise: impl Display) -> Result<(), Surprise> {
    if truth { Ok(()) } else { Err(otherwise.to_string()) }
}
