//! Paths and node data in ZooKeeper, as docs/zookeeper.md fixes them. Pure.

use crate::{
    defaults,
    discovery::{Instance, InstanceId},
};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::Arc,
};

/// The directory of the operators' settings, under the root.
pub(super) const CONFIG: &str = "_config";
/// The directory of what clients tell operators, under the root.
pub(super) const EVENTS: &str = "_events";
/// Most bytes that a node may hold; beyond, it is ignored.
pub(super) const MAX_DATA: usize = 16 * 1024;
const MAX_WEIGHT: u32 = 10_000;

/// The directory of a service.
pub(super) fn service_dir(root: &str, service: &str) -> String {
    format!("{root}/{service}")
}

/// The address that a node name stands for. `None` for what is not exactly how an address is
/// written, so that no two names are one address, and for addresses that nobody can dial.
pub(super) fn address(name: &str) -> Option<SocketAddr> {
    let addr: SocketAddr = name.parse().ok()?;
    let dialable = addr.port() != 0 && !addr.ip().is_unspecified();
    (dialable && addr.to_string() == name).then_some(addr)
}

/// What a provider writes into its node.
#[derive(Serialize, Deserialize)]
struct NodeData {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    instance: Option<String>,
    #[serde(default = "protocol")]
    protocol: u32,
    #[serde(default = "weight")]
    weight: u32,
    #[serde(default)]
    started_at: u64,
    #[serde(default)]
    labels: BTreeMap<String, String>,
}

fn protocol() -> u32 {
    u32::from(crate::wire::VERSION)
}

fn weight() -> u32 {
    defaults::WEIGHT
}

/// The data of an instance's node.
pub(super) fn encode(instance: &Instance) -> Vec<u8> {
    let data = NodeData {
        instance: instance.id.map(|id| id.to_string()),
        protocol: instance.protocol,
        weight: instance.weight.min(MAX_WEIGHT),
        started_at: instance.started_at,
        labels: instance.labels.clone(),
    };
    serde_json::to_vec(&data).unwrap_or_default()
}

/// The instance at `addr` whose node holds `data`.
///
/// # Errors
///
/// Why the data cannot be read. The instance is then known by its address alone.
pub(super) fn decode(addr: SocketAddr, data: &[u8]) -> Result<Instance, String> {
    let data: NodeData = serde_json::from_slice(data).map_err(|error| error.to_string())?;
    let id = match data.instance {
        Some(text) => Some(text.parse::<InstanceId>().map_err(|error| error.to_string())?),
        None => None,
    };
    Ok(Instance {
        addr,
        id,
        protocol: data.protocol,
        weight: data.weight.min(MAX_WEIGHT),
        started_at: data.started_at,
        labels: data.labels,
    })
}

/// What operators write into `_config/<service>`.
#[derive(Deserialize)]
struct ConfigData {
    #[serde(default)]
    disabled: Vec<String>,
    #[serde(default)]
    weights: BTreeMap<String, serde_json::Value>,
}

/// What operators have decided about the instances of a service.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Orders {
    /// Take no calls.
    pub(super) disabled: Arc<BTreeSet<SocketAddr>>,
    /// In place of the weights that the instances announce.
    pub(super) weights: Arc<BTreeMap<SocketAddr, u32>>,
}

/// What a configuration node says, and its entries that cannot be understood.
///
/// # Errors
///
/// Why the data cannot be read at all. Empty data says nothing and is no error.
pub(super) fn decode_config(data: &[u8]) -> Result<(Orders, Vec<String>), String> {
    if data.is_empty() {
        return Ok(Default::default());
    }
    let data: ConfigData = serde_json::from_slice(data).map_err(|error| error.to_string())?;
    let (mut addrs, mut weights) = (BTreeSet::new(), BTreeMap::new());
    let mut broken = Vec::new();
    for entry in data.disabled {
        match entry.parse() {
            Ok(addr) => {
                addrs.insert(addr);
            }
            Err(_) => broken.push(entry),
        }
    }
    for (entry, weight) in data.weights {
        match (entry.parse(), weight.as_u64()) {
            (Ok(addr), Some(weight)) => {
                let weight = u32::try_from(weight).unwrap_or(MAX_WEIGHT).min(MAX_WEIGHT);
                weights.insert(addr, weight);
            }
            _ => broken.push(format!("{entry}: {weight}")),
        }
    }
    Ok((Orders { disabled: Arc::new(addrs), weights: Arc::new(weights) }, broken))
}

/// What clients have to know of what another one has written into `_events/<service>`.
#[derive(Debug, PartialEq, Eq, Deserialize)]
pub(super) struct EventData {
    /// Who wrote it.
    pub(super) client: String,
    /// Whether it said that the service is no longer full.
    pub(super) over: bool,
}

/// What the node of an event says; `None` when it cannot be read.
pub(super) fn decode_event(data: &[u8]) -> Option<EventData> {
    serde_json::from_slice(data).ok().filter(|_| data.len() <= MAX_DATA)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn addr() -> SocketAddr {
        SocketAddr::from(([10, 0, 0, 5], 9000))
    }

    #[test]
    fn node_data_reads_as_the_document_shows() {
        let instance = Instance {
            id: InstanceId::from_u64(0x8f3c_2a9e_11d0_4b7c),
            started_at: 1_795_215_660,
            labels: BTreeMap::from([("region".to_owned(), "eu".to_owned())]),
            ..Instance::at(addr())
        };
        let text = r#"{"instance":"8f3c2a9e11d04b7c","protocol":1,"weight":100,"started_at":1795215660,"labels":{"region":"eu"}}"#;
        assert_eq!(String::from_utf8(encode(&instance)).unwrap(), text);
        assert_eq!(decode(addr(), text.as_bytes()), Ok(instance));
    }

    #[test]
    fn unknown_keys_are_ignored_and_missing_ones_have_defaults() {
        let instance = decode(addr(), br#"{"color":["red"],"weight":20000}"#).unwrap();
        assert_eq!(instance, Instance { weight: 10_000, ..Instance::at(addr()) });
    }

    #[test]
    fn broken_data_is_an_error() {
        let deep = "[".repeat(10_000);
        for data in
            ["", "null", "7", "{", "\u{0}", r#"{"weight":-1}"#, r#"{"instance":"x"}"#, &deep]
        {
            assert!(decode(addr(), data.as_bytes()).is_err(), "{data:?}");
        }
        assert!(decode(addr(), b"\xff\xfe").is_err());
    }

    #[test]
    fn only_addresses_that_can_be_dialled_are_names() {
        for name in ["10.0.0.1:9000", "[2001:db8::1]:9000", "127.0.0.1:1"] {
            assert_eq!(address(name).unwrap().to_string(), name);
        }
        for name in [
            "",
            "..%2f",
            "a:b",
            ":0",
            "10.0.0.1",
            "10.0.0.1:0",
            "0.0.0.0:9000",
            "[::]:9000",
            "[2001:DB8::1]:9000",
            "[0:0:0:0:0:0:0:1]:9000",
            "10.0.0.1:09000",
            "10.0.0.1:9000 ",
            "host:9000",
        ] {
            assert_eq!(address(name), None, "{name}");
        }
    }

    #[test]
    fn the_configuration_node_is_read_leniently() {
        let text = br#"{"disabled":["10.0.0.1:9000","web-1","[::1]:2"],"note":"x",
            "weights":{"10.0.0.1:9000":20,"[::1]:2":99999,"web-1":1,"10.0.0.2:9000":"5","10.0.0.3:9000":-1}}"#;
        let (orders, broken) = decode_config(text).unwrap();
        let addrs: Vec<_> = orders.disabled.iter().map(ToString::to_string).collect();
        assert_eq!(addrs, ["10.0.0.1:9000", "[::1]:2"]);
        let weights: Vec<_> = orders.weights.iter().map(|(a, w)| format!("{a}={w}")).collect();
        assert_eq!(weights, ["10.0.0.1:9000=20", "[::1]:2=10000"]);
        assert_eq!(broken, ["web-1", "10.0.0.2:9000: \"5\"", "10.0.0.3:9000: -1", "web-1: 1"]);
        assert_eq!(decode_config(b"").unwrap().0, Orders::default());
        assert!(decode_config(br#"{"disabled":7}"#).is_err());
        assert!(decode_config(br#"{"weights":[]}"#).is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_panic(name in ".{0,40}", data in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = address(&name);
            let _ = decode(addr(), &data);
            let _ = decode_config(&data);
            let _ = decode_event(&data);
        }

        #[test]
        fn what_is_written_is_read(
            id in proptest::option::of(1_u64..),
            weight in 0_u32..=10_000,
            started_at: u64,
            labels in proptest::collection::btree_map(".{0,9}", ".{0,9}", 0..5),
        ) {
            let id = id.and_then(InstanceId::from_u64);
            let instance = Instance { id, weight, started_at, labels, ..Instance::at(addr()) };
            prop_assert_eq!(decode(addr(), &encode(&instance)), Ok(instance));
        }
    }
}
