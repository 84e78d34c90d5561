//! What a server can be told by a file, by variables, or by its builder.

use crate::gates::Limit;
use rpc_core::{
    Token,
    config::{Count, Flag, List, Named, Secrets, Size, Span, Text},
    defaults, wire,
};
use std::{collections::BTreeMap, time::Duration};

/// The longest time that can be asked for.
const DAY: Duration = Duration::from_hours(24);
/// The largest message that can be asked for, in bytes.
const MAX_MESSAGE: u32 = 1024 * 1024 * 1024;
/// The most bytes held that can be asked for: 1 TiB, or all that can be addressed.
const MAX_HELD: usize = match 1_usize.checked_shl(40) {
    Some(bytes) => bytes,
    None => usize::MAX,
};
/// The largest weight of an instance.
const MAX_WEIGHT: u32 = 10_000;
/// How a limit is written.
const LIMIT: Named<Limit> = Named::new(
    "a number of calls, `adaptive`, `adaptive 8-10000` or `none`; calls are 1 to 1000000",
);
const ADDRESS: Text = Text("`host:port`");

rpc_core::settings! {
    "server"
    /// The configuration of a server: what its builder has setters for, each value set or not.
    ///
    /// [`Config::load`] reads it from the table `[server]` of the file that `$RPC_CONFIG` names and
    /// then from `RPC_*` variables; a program may also fill it in, or deserialize it as a part of a
    /// configuration of its own. [`ServerBuilder::config`](crate::ServerBuilder::config) hands it to
    /// a builder, whose setters hold over it in whatever order they are called. What is not set
    /// keeps its default. `docs/configuration.md` has every key with its range.
    ///
    /// ```
    /// use rpc_server::{Config, Server};
    ///
    /// # fn main() -> Result<(), rpc_core::SetupError> {
    /// let config = Config::parse("[server]\nbind = \"0.0.0.0:9000\"\nweight = 50\n", "rpc.toml")?;
    /// assert_eq!(config.weight, Some(50));
    /// let server = Server::builder().config(config).registry("memory://example");
    /// # drop(server);
    /// # Ok(()) }
    /// ```
    pub struct Config {
        /// Where the server registers. The key may also stand above the tables, for both sides.
        pub registry: Option<String>
            = Text("`zookeeper://host:port,..`, `static://host:port,..` or `memory://name`");
        /// Where to listen; port 0 takes a free one.
        pub bind: Option<String> = ADDRESS, "127.0.0.1:0".to_owned();
        /// The address to register, if it is not the one that is found by itself.
        pub advertise: Option<String> = ADDRESS;
        /// Takes calls from those clients alone that show this token, or one of these.
        pub token: Option<Vec<Token>> = Secrets;
        /// Serves these services alone: `name` for all versions, or `name@version`.
        pub only: Option<Vec<String>> = List("services");
        /// Labels of this instance, such as `region` or `zone`, for people and programs that read
        /// the registry.
        pub labels: BTreeMap<String, String> = Text("a text, not empty");
        /// This instance's share of the calls under strategies that heed weights.
        pub weight: Option<u32> = Count(0..=MAX_WEIGHT), defaults::WEIGHT;
        /// Whether it is an error when the server is not registered within 5 s.
        pub require_registration: Option<bool> = Flag, false;
        /// How long a leaving server goes on serving after it told everybody.
        pub notice: Option<Duration> = Span(Duration::ZERO..=DAY), defaults::NOTICE;
        /// How long a leaving server waits for running calls.
        pub drain: Option<Duration> = Span(Duration::ZERO..=DAY), defaults::DRAIN;
        /// Largest request.
        pub max_message: Option<u32>
            = Size(wire::BASE_LIMITS.max_message..=MAX_MESSAGE), defaults::MAX_MESSAGE;
        /// Most calls in flight on one connection.
        pub max_in_flight_per_connection: Option<u32>
            = Count(1..=u32::MAX), defaults::MAX_IN_FLIGHT_PER_CONNECTION;
        /// Most calls in flight in all.
        pub max_in_flight: Option<u32>
            = Count(1..=u32::MAX), defaults::MAX_IN_FLIGHT_PER_PROCESS;
        /// Limits of services and methods by name: `demo-api.Greeter`, `demo-api.Greeter/greet`.
        pub limits: BTreeMap<String, Limit> = LIMIT;
        /// A limit for every service, each by itself, that has none in `limits`.
        pub limit_each: Option<Limit> = LIMIT;
        /// Most bytes of request and reply bodies held for one connection.
        pub max_held_per_connection: Option<usize>
            = Size(1..=MAX_HELD), defaults::MAX_HELD_PER_CONNECTION;
        /// Most bytes of request and reply bodies held in all.
        pub max_held: Option<usize> = Size(1..=MAX_HELD), defaults::MAX_HELD_PER_PROCESS;
        /// Bytes of one large request that a client may have on their way.
        pub credit_per_body: Option<u32>
            = Size(wire::BASE_LIMITS.credit_per_body..=MAX_MESSAGE), defaults::CREDIT_PER_BODY;
        /// Bytes of all large requests of a connection that a client may have on their way.
        pub credit_per_connection: Option<u32>
            = Size(wire::BASE_LIMITS.credit_per_connection..=MAX_MESSAGE),
            defaults::CREDIT_PER_CONNECTION;
    }
}
