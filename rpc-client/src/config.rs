//! What a client can be told by a file, by variables, or by its builder.

use rpc_core::{
    Balance, Token,
    config::{Count, List, Named, Path, Secret, Share, Size, Span, Text},
    defaults,
};
use std::{collections::BTreeMap, path::PathBuf, time::Duration};

/// The longest time that can be asked for.
const DAY: Duration = Duration::from_hours(24);
/// The most connections to one endpoint that can be asked for.
const MAX_CONNECTIONS: u32 = 1_024;
/// How a strategy is written.
const BALANCE: Named<Balance> = Named::new(
    "`random`, `weighted-random`, `round-robin`, `weighted-round-robin`, `consistent-hash`, \
     `least-active` or `peak-ewma`",
);

rpc_core::settings! {
    "client"
    /// The configuration of a client: what its builder has setters for, each value set or not.
    ///
    /// [`Config::load`] reads it from the table `[client]` of the file that `$RPC_CONFIG` names and
    /// then from `RPC_*` variables; a program may also fill it in, or deserialize it as a part of a
    /// configuration of its own. [`ClientBuilder::config`](crate::ClientBuilder::config) hands it to
    /// a builder, whose setters hold over it in whatever order they are called. What is not set
    /// keeps its default. `docs/configuration.md` has every key with its range.
    ///
    /// ```
    /// use rpc_client::{Client, Config};
    /// use std::time::Duration;
    ///
    /// # fn main() -> Result<(), rpc_core::SetupError> {
    /// let config = Config::parse("[client]\ntimeout = \"2s\"\nretries = 1\n", "rpc.toml")?;
    /// assert_eq!((config.timeout, config.retries), (Some(Duration::from_secs(2)), Some(1)));
    /// let client = Client::builder().config(config).registry("static://127.0.0.1:9000");
    /// # drop(client);
    /// # Ok(()) }
    /// ```
    pub struct Config {
        /// Where providers are found. The key may also stand above the tables, for both sides.
        pub registry: Option<String>
            = Text("`zookeeper://host:port,..`, `static://host:port,..` or `memory://name`");
        /// What is shown to providers that take calls from those alone who know it.
        pub token: Option<Token> = Secret;
        /// How calls are spread over providers.
        pub balance: Option<Balance> = BALANCE, Balance::default();
        /// How the calls of one service are spread, by `name` or `name@version`.
        pub service_balance: BTreeMap<String, Balance> = BALANCE;
        /// How long a new instance gets less than its share; `0s` turns it off.
        pub warm_up: Option<Duration> = Span(Duration::ZERO..=DAY), defaults::WARM_UP;
        /// How long a call may take when neither it, nor its method, nor its contract says.
        pub timeout: Option<Duration>
            = Span(Duration::from_millis(1)..=DAY), defaults::CALL_TIMEOUT;
        /// Further attempts of a call after its first, at another endpoint where there is one.
        pub retries: Option<u32> = Count(0..=100_u32), defaults::RETRIES;
        /// Retries that each call to a service adds to what its retries may cost.
        pub retry_budget_share: Option<f64> = Share, defaults::RETRY_SHARE;
        /// Retries that each second adds to it.
        pub retry_budget_per_second: Option<u32>
            = Count(0..=1_000_000_u32), defaults::RETRIES_PER_SECOND;
        /// Share of the calls to a service that may be hedged; 0 turns hedging off.
        pub hedging: Option<f64> = Share, defaults::HEDGE_SHARE;
        /// Largest message that is sent or received.
        pub max_message: Option<u32>
            = Size(crate::MIN_MESSAGE..=crate::MAX_MESSAGE), defaults::MAX_MESSAGE;
        /// Calls in flight at once, those that wait for an endpoint included.
        pub max_in_flight: Option<u32>
            = Count(1..=u32::MAX), defaults::MAX_IN_FLIGHT_PER_PROCESS;
        /// Calls of one service that may wait at once because every connection is full.
        pub max_waiting: Option<u32> = Count(0..=u32::MAX), defaults::MAX_WAITING;
        /// The fewest connections to one endpoint.
        pub connections_min: Option<u32>
            = Count(1..=MAX_CONNECTIONS), defaults::CONNECTIONS_MIN;
        /// The most connections to one endpoint.
        pub connections_max: Option<u32>
            = Count(1..=MAX_CONNECTIONS), defaults::CONNECTIONS_MAX;
        /// Connections that an endpoint begins with, from the fewest to the most.
        pub initial_connections: Option<u32>
            = Count(1..=MAX_CONNECTIONS), defaults::CONNECTIONS_INITIAL;
        /// People are told at most this often that a service is full.
        pub pressure_window: Option<Duration>
            = Span(Duration::from_secs(1)..=DAY), defaults::PRESSURE_WINDOW;
        /// Where a JSON object is posted when a service is full.
        pub pressure_webhook: Option<String> = Text("`http://host:port/path`");
        /// A program and its arguments, run without a shell when a service is full, with a JSON
        /// object on its standard input.
        pub pressure_command: Option<Vec<String>> = List("words: a program and its arguments");
        /// Directory in which the newest list of each service is kept for a start without the
        /// registry.
        pub snapshots: Option<PathBuf> = Path("a directory");
    }
}
