//! The two attributes: `#[rpc_client]` on a contract's trait, `#[rpc_service]` on an impl of it.
//!
//! Use them through `rpc_core`, which re-exports them. Both go the same way: tokens are parsed
//! into a model (`client.rs`, `method.rs`, `service.rs`) while every mistake is collected, and
//! only a model without mistakes is expanded (`client/expand.rs`, `service/expand.rs`).

mod client;
mod service;

mod method;

mod attrs;
mod names;
mod options;
mod source;

mod errors;
mod paths;

#[cfg(test)]
mod golden;

use proc_macro::TokenStream;

/// Makes a trait the contract of a service.
///
/// Every method is an `async fn` with `&self` that returns `Result<T, E>`, where `E` implements
/// `From<RpcError>` and `T` and `E` are serde types. Arguments are serde types, owned or borrowed:
/// `&str`, `&[u8]`, `&[T]`, `&T`, `Option<&str>`, `Vec<&str>`, `Cow<'_, str>` and so on. Methods
/// may have default bodies.
///
/// Generated are, for a trait `Greeter`:
///
/// - the trait, with each `async fn` rewritten to return a `Send` future (impls keep writing
///   `async fn`) and with the supertraits `Send + Sync + 'static`;
/// - `GreeterClient`, cheap to clone, which implements `Greeter` by calling a provider. Its only
///   inherent method is `with_options`;
/// - `Greeter` for `Arc<T>` of every `T: Greeter`.
///
/// # Options
///
/// `#[rpc_client(..)]` on the trait:
///
/// - `name = "shop.Orders"`: the service's name, 1 to 128 letters, digits, `.`, `_` and `-` of ASCII, not
///   beginning with `_` and not dots alone. Default: `<package>.<Trait>`.
/// - `version = "2"`: registers and looks up the service as `name@version`. The same characters, 1 to 32.
/// - `timeout = "200ms"`, in `ms`, `s` or `m`: for each call, unless the method has its own.
/// - `codec = "compact"`: arrays and binary forms; freezes every type of the contract. Default
///   `"named"`, with which fields and arguments can be added.
///
/// `#[rpc(..)]` on a method:
///
/// - `idempotent`: the method may be sent again even when it may have run already.
/// - `timeout = "1s"`: for each call.
/// - `name = "wireName"`: the name that travels. Default: the method's.
/// - `hash_key = user`: under `Balance::ConsistentHash`, calls with the same value of this argument
///   go to the same provider, unless `CallOptions::hash_key` says another key. A string is the key
///   that `CallOptions::hash_key` would be given, and so are the decimal digits of an integer; of
///   bytes and of any other type the key is their encoding in the contract's codec. `None` is no
///   key. Floats, `HashMap` and `HashSet` are refused, since equal ones can be encoded differently.
///
/// # Examples
///
/// ```
/// use rpc_core::rpc_client;
///
/// /// Says hello.
/// #[rpc_client(timeout = "1s")]
/// pub trait Greeter {
///     /// Greets somebody.
///     #[rpc(idempotent, hash_key = name)]
///     async fn greet(&self, name: &str) -> rpc_core::Result<String>;
///
///     /// Answers.
///     async fn ping(&self) -> rpc_core::Result<()> {
///         Ok(())
///     }
/// }
///
/// /// Code can be generic over local and remote.
/// async fn twice(greeter: &impl Greeter) -> rpc_core::Result<String> {
///     greeter.ping().await?;
///     greeter.greet("you").await
/// }
/// ```
#[proc_macro_attribute]
pub fn rpc_client(options: TokenStream, item: TokenStream) -> TokenStream {
    client::attribute(options.into(), &item.into()).into()
}

/// Serves an impl of a contract: every `rpc_server::Server` of a program that this impl is linked
/// into offers it.
///
/// The impl is emitted as written. The instance that serves is, in this order: one that was given
/// to the server with `.service(..)`, the one that `init` makes, `Default::default()`.
///
/// # Options
///
/// - `init = Orders::open`: a function, sync or async, with up to eight parameters `Shared<T>`
///   (from `.provide(..)` on the server), that returns `Self` or `Result<Self, E>`.
///
/// # Examples
///
/// ```
/// use rpc_core::{Shared, rpc_client, rpc_service};
///
/// #[rpc_client]
/// trait Greeter {
///     async fn greet(&self, name: &str) -> rpc_core::Result<String>;
/// }
///
/// struct Polite(Shared<String>);
///
/// impl Polite {
///     async fn open(greeting: Shared<String>) -> Result<Self, std::io::Error> {
///         Ok(Self(greeting))
///     }
/// }
///
/// #[rpc_service(init = Polite::open)]
/// impl Greeter for Polite {
///     async fn greet(&self, name: &str) -> rpc_core::Result<String> {
///         Ok(format!("{}, {name}", *self.0))
///     }
/// }
/// ```
#[proc_macro_attribute]
pub fn rpc_service(options: TokenStream, item: TokenStream) -> TokenStream {
    service::attribute(options.into(), &item.into()).into()
}
