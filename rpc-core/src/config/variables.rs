//! Variables of the environment that look like a setting and are none.
//!
//! A misspelled one would go unnoticed. It is told and no error: other programs have variables that
//! begin with `RPC_`, too, and Kubernetes makes some for a service called `rpc-server`. Both sides
//! run in one environment, so each knows the names of the other's settings.

use super::{nearest::nearest, value::short};
use std::ffi::OsStr;

/// The settings of a client, as `rpc_client::Config` has them.
pub const CLIENT_KEYS: &[&str] = &[
    "registry",
    "token",
    "balance",
    "service_balance",
    "warm_up",
    "timeout",
    "retries",
    "retry_budget_share",
    "retry_budget_per_second",
    "hedging",
    "max_message",
    "max_in_flight",
    "max_waiting",
    "connections_min",
    "connections_max",
    "initial_connections",
    "pressure_window",
    "pressure_webhook",
    "pressure_command",
    "snapshots",
];

/// The settings of a server, as `rpc_server::Config` has them.
pub const SERVER_KEYS: &[&str] = &[
    "registry",
    "bind",
    "advertise",
    "token",
    "only",
    "labels",
    "weight",
    "require_registration",
    "notice",
    "drain",
    "max_message",
    "max_in_flight_per_connection",
    "max_in_flight",
    "limits",
    "limit_each",
    "max_held_per_connection",
    "max_held",
    "credit_per_body",
    "credit_per_connection",
];

/// What may stand before a key, and the keys before which it may.
const SIDES: [(&str, &[&str]); 2] = [("client_", CLIENT_KEYS), ("server_", SERVER_KEYS)];
/// What every variable of ours begins with.
const OURS: &str = "RPC_";
/// The variable that names the file.
pub(super) const FILE: &str = "RPC_CONFIG";

/// Of the names of variables those that are nearly the name of a setting, in words.
pub(super) fn doubtful<'a>(names: impl Iterator<Item = &'a OsStr>) -> Vec<String> {
    let doubt = |name: &OsStr| {
        let name = name.to_str()?;
        let meant = meant(name)?;
        Some(format!("the variable {} names no setting; did you mean {meant}?", short(name)))
    };
    names.filter_map(doubt).collect()
}

/// The variable that is meant by one that is none of ours, if it is near enough.
fn meant(name: &str) -> Option<String> {
    let key = name.to_ascii_uppercase().strip_prefix(OURS)?.to_ascii_lowercase();
    let own = SIDES.into_iter().find_map(|(side, keys)| {
        let rest = key.strip_prefix(side)?;
        Some(of_side(side, keys, rest))
    });
    let near = own.unwrap_or_else(|| of_both(&key))?;
    let meant = format!("{OURS}{}", near.to_ascii_uppercase());
    (meant != name).then_some(meant)
}

fn of_side(side: &str, keys: &[&str], key: &str) -> Option<String> {
    let near = nearest(key, keys).map(|near| format!("{side}{near}"));
    // It may be a setting of the other side.
    near.or_else(|| both().find(|known| *known == key).map(str::to_owned))
}

fn of_both(key: &str) -> Option<String> {
    let of = |(side, keys): (&'static str, &'static [&str])| {
        keys.iter().map(move |key| format!("{side}{key}"))
    };
    let known = both().chain(["config"]).map(str::to_owned);
    let known: Vec<_> = known.chain(SIDES.into_iter().flat_map(of)).collect();
    let known: Vec<_> = known.iter().map(String::as_str).collect();
    nearest(key, &known).map(str::to_owned)
}

fn both() -> impl Iterator<Item = &'static str> {
    CLIENT_KEYS.iter().chain(SERVER_KEYS).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_of_either_side_is_known() {
        for (side, keys) in [("CLIENT", CLIENT_KEYS), ("SERVER", SERVER_KEYS)] {
            for key in keys {
                let key = key.to_ascii_uppercase();
                assert_eq!(meant(&format!("RPC_{key}")), None);
                assert_eq!(meant(&format!("RPC_{side}_{key}")), None);
            }
        }
        assert_eq!(meant(FILE), None);
    }

    #[test]
    fn a_slip_is_told_with_what_was_meant() {
        for (name, right) in [
            ("RPC_TIMEOTU", "RPC_TIMEOUT"),
            ("RPC_TIMEOUT_MS", "RPC_TIMEOUT"),
            ("RPC_REGISTERY", "RPC_REGISTRY"),
            ("RPC_MAX_INFLIGHT", "RPC_MAX_IN_FLIGHT"),
            ("RPC_CONFG", "RPC_CONFIG"),
            ("rpc_drain", "RPC_DRAIN"),
            ("RPC_SERVER_WIEGHT", "RPC_SERVER_WEIGHT"),
            ("RPC_CLEINT_TIMEOUT", "RPC_CLIENT_TIMEOUT"),
            // A setting of the other side.
            ("RPC_SERVER_TIMEOUT", "RPC_TIMEOUT"),
            ("RPC_CLIENT_DRAIN", "RPC_DRAIN"),
        ] {
            assert_eq!(meant(name).as_deref(), Some(right), "{name}");
        }
        let told = doubtful([OsStr::new("PATH"), OsStr::new("RPC_TIMEOTU")].into_iter());
        assert_eq!(told, ["the variable RPC_TIMEOTU names no setting; did you mean RPC_TIMEOUT?"]);
    }

    #[test]
    fn what_belongs_to_others_is_left_alone() {
        let long = format!("RPC_{}", "X".repeat(1_000_000));
        for name in [
            "",
            "RPC",
            "RPC_",
            "TIMEOUT",
            "XRPC_TIMEOUT",
            "RPC_URL",
            "RPC_PORT",
            "RPC_HOST",
            "RPC_USER",
            "RPC_LOG",
            "RPC_SERVER_PORT",
            "RPC_SERVER_SERVICE_HOST",
            "RPC_SERVER_PORT_9000_TCP_ADDR",
            "RPC_CLIENT_SERVICE_PORT",
            "RPC_TEST_ZOOKEEPER",
            "RPC_LAB_SEED",
            "RPC_é",
            &long,
        ] {
            assert_eq!(meant(name), None, "{name}");
        }
    }
}
