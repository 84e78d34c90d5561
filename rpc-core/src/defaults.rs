//! Every default and limit in one place; `docs/defaults.md` is compared with it by a test.

use std::time::Duration;

macro_rules! defaults {
    ($($(#[doc = $doc:literal])+ $name:ident: $type:ty = $value:expr;)*) => {
        $($(#[doc = $doc])+ pub const $name: $type = $value;)*

        /// Name and value of each default, as the table in the documents shows them.
        pub fn table() -> Vec<(&'static str, String)> {
            vec![$((stringify!($name), format!("{:?}", $name))),*]
        }
    };
}

defaults! {
    /// Deadline of a call that names none.
    CALL_TIMEOUT: Duration = Duration::from_secs(10);
    /// Attempts after the first, at another endpoint where there is one.
    RETRIES: u32 = 2;
    /// Retries that each call to a service adds to its budget.
    RETRY_SHARE: f64 = 0.2;
    /// Retries that each second adds to it.
    RETRIES_PER_SECOND: u32 = 10;
    /// Longest pause before the first retry; it doubles, and half of it is random.
    BACKOFF_MIN: Duration = Duration::from_millis(10);
    /// Longest pause before a retry.
    BACKOFF_MAX: Duration = Duration::from_millis(200);
    /// Hedged requests, as share of the calls to a service.
    HEDGE_SHARE: f64 = 0.05;
    /// Part of the calls of a method that take less time than one that is hedged.
    HEDGE_QUANTILE: f64 = 0.95;
    /// No call is hedged before this time.
    HEDGE_MIN: Duration = Duration::from_millis(5);
    /// Largest message, in bytes.
    MAX_MESSAGE: u32 = 4 * 1024 * 1024;
    /// Largest piece of a message in one frame, in bytes.
    CHUNK: u32 = 64 * 1024;
    /// A body up to this many bytes travels whole and needs no credit.
    SMALL_BODY: u32 = 32 * 1024;
    /// Bytes of one large body that may be on their way: 256 KiB of somebody's, and what is around
    /// them.
    CREDIT_PER_BODY: u32 = 260 * 1024;
    /// Bytes of all large bodies of one connection and direction that may be on their way.
    CREDIT_PER_CONNECTION: u32 = 4 * 1024 * 1024;
    /// Calls in flight on one connection.
    MAX_IN_FLIGHT_PER_CONNECTION: u32 = 16_384;
    /// Calls in flight in one process.
    MAX_IN_FLIGHT_PER_PROCESS: u32 = 131_072;
    /// Bytes of requests, and of answers that wait for their client, that a server holds for one
    /// connection.
    MAX_HELD_PER_CONNECTION: usize = 512 * 1024 * 1024;
    /// The same for all connections together.
    MAX_HELD_PER_PROCESS: usize = 1024 * 1024 * 1024;
    /// What an adaptive limit of a server begins with.
    ADAPTIVE_START: u32 = 40;
    /// The least that an adaptive limit goes down to.
    ADAPTIVE_LEAST: u32 = 8;
    /// The most that an adaptive limit goes up to.
    ADAPTIVE_MOST: u32 = 10_000;
    /// Bytes that wait for a peer to read them before a server stops reading from that peer.
    MAX_UNSENT: usize = 8 * 1024 * 1024;
    /// Time for a connection to be made and greeted.
    DIAL_TIMEOUT: Duration = Duration::from_secs(1);
    /// First pause before dialling again; it doubles.
    REDIAL_MIN: Duration = Duration::from_millis(50);
    /// Longest pause before dialling again.
    REDIAL_MAX: Duration = Duration::from_secs(5);
    /// Calls outstanding and no byte for this long: a ping is sent.
    SILENCE_BEFORE_PING: Duration = Duration::from_millis(700);
    /// The ping unanswered for this long: the endpoint is silent.
    SILENCE_AFTER_PING: Duration = Duration::from_secs(1);
    /// An idle connection is pinged this often, jittered by a quarter.
    IDLE_PING: Duration = Duration::from_secs(10);
    /// The kernel gives a connection up when sent data stays unacknowledged for this long.
    TCP_USER_TIMEOUT: Duration = Duration::from_secs(15);
    /// A peer that has connected must have greeted within this time, a frame that has begun must be
    /// complete within it, and of the large requests that are on their way some piece must come.
    SLOW_PEER_TIMEOUT: Duration = Duration::from_secs(10);
    /// A leaving server goes on serving for this long after it told everybody.
    NOTICE: Duration = Duration::from_secs(1);
    /// A leaving server waits this long for running calls.
    DRAIN: Duration = Duration::from_secs(30);
    /// Session timeout asked of ZooKeeper.
    ZOOKEEPER_SESSION: Duration = Duration::from_secs(10);
    /// `start()` waits this long for the registration.
    REGISTRATION_WAIT: Duration = Duration::from_secs(5);
    /// An instance that vanished from the registry without leaving, but answers, stays this long.
    PROBATION: Duration = Duration::from_mins(10);
    /// A call waits for an endpoint when one was lost or listed less than this long ago.
    ENDPOINT_GRACE: Duration = Duration::from_secs(5);
    /// A call fails at once when a live registry has listed no instance for this long.
    EMPTY_GRACE: Duration = Duration::from_secs(2);
    /// A client that starts uses the list of its snapshot when the registry was not read by then.
    SNAPSHOT_AFTER: Duration = Duration::from_millis(200);
    /// The snapshot of a service is written at most this often.
    SNAPSHOT_EVERY: Duration = Duration::from_secs(1);
    /// One that still holds is written anew this often, so that its age tells when it was last known to.
    SNAPSHOT_CONFIRM: Duration = Duration::from_hours(1);
    /// Most instances in a snapshot.
    SNAPSHOT_INSTANCES: usize = 10_000;
    /// Most bytes of a snapshot's file.
    SNAPSHOT_BYTES: usize = 4 * 1024 * 1024;
    /// Instances of a service that are dialled ahead of need.
    MAX_DIALLED: usize = 64;
    /// Beyond that many, the fewest that are.
    MIN_SUBSET: usize = 12;
    /// Connections to an endpoint: how many it begins with.
    CONNECTIONS_INITIAL: u32 = 1;
    /// Connections to an endpoint: the fewest.
    CONNECTIONS_MIN: u32 = 1;
    /// Connections to an endpoint: the most, when those open are kept busy.
    CONNECTIONS_MAX: u32 = 8;
    /// Connections and endpoints that were not needed for this long are closed.
    CONNECTION_IDLE: Duration = Duration::from_mins(1);
    /// Calls of a service that wait because all its connections are full.
    MAX_WAITING: u32 = 10_000;
    /// People are told that a service is full when calls have waited for this long.
    PRESSURE_AFTER: Duration = Duration::from_secs(1);
    /// People are told of one service at most this often.
    PRESSURE_WINDOW: Duration = Duration::from_mins(1);
    /// A webhook, a command or the registry has this long to take what it is told.
    PRESSURE_LIMIT: Duration = Duration::from_secs(10);
    /// Faults in a row after which an endpoint is ejected.
    FAULTS_IN_A_ROW: u32 = 5;
    /// An endpoint is ejected when fewer of its results are good, in percent, of five at least.
    GOOD_SHARE: u32 = 80;
    /// Results count for this long.
    FAULT_WINDOW: Duration = Duration::from_secs(30);
    /// First time for which an endpoint is ejected; it doubles.
    EJECTION_MIN: Duration = Duration::from_secs(1);
    /// Longest time for which an endpoint is ejected.
    EJECTION_MAX: Duration = Duration::from_mins(1);
    /// A new instance gets less than its share for this long, where another is older.
    WARM_UP: Duration = Duration::from_secs(10);
    /// Weight of an instance; 0 to 10,000.
    WEIGHT: u32 = 100;
    /// Deepest nesting of a message.
    MAX_DEPTH: usize = 64;
}
