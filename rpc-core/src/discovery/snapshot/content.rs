//! What a snapshot's file says. Pure.
//!
//! One JSON object that a person can read: the registry and the service that it is of, when it
//! was written in Unix seconds, the instances with what they say of themselves in the registry,
//! those of them that an operator had taken out, and the weights that one had set.

use crate::{
    defaults,
    discovery::{Instance, InstanceId, Instances, View},
};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

const FORMAT: u32 = 1;
const MAX_WEIGHT: u32 = 10_000;

/// The part of a view that is kept.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Content {
    pub(super) instances: Arc<Instances>,
    /// Of these instances.
    pub(super) disabled: Arc<BTreeSet<SocketAddr>>,
    /// Set by hand, of these instances.
    pub(super) weights: Arc<BTreeMap<SocketAddr, u32>>,
}

impl Content {
    /// What is to be kept of a view: as many instances as a file takes. `None`: nothing.
    pub(super) fn of(view: &View) -> Option<Self> {
        if view.instances.is_empty() {
            return None;
        }
        let whole = view.instances.len() <= defaults::SNAPSHOT_INSTANCES;
        let instances = if whole { Arc::clone(&view.instances) } else { cut(&view.instances) };
        let listed = |addr: &SocketAddr| instances.contains_key(addr);
        let disabled = view.disabled.iter().filter(|addr| listed(addr)).copied().collect();
        let weights = view.weights.iter().filter(|(addr, _)| listed(addr));
        let weights = weights.map(|(addr, weight)| (*addr, *weight)).collect();
        Some(Self { instances, disabled: Arc::new(disabled), weights: Arc::new(weights) })
    }
}

fn cut(instances: &Instances) -> Arc<Instances> {
    let some = instances.iter().take(defaults::SNAPSHOT_INSTANCES);
    Arc::new(some.map(|(addr, instance)| (*addr, Arc::clone(instance))).collect())
}

#[derive(Serialize, Deserialize)]
struct File {
    format: u32,
    registry: String,
    service: String,
    saved_at: u64,
    instances: Vec<Saved>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    disabled: Vec<SocketAddr>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    weights: BTreeMap<SocketAddr, u32>,
}

#[derive(Serialize, Deserialize)]
struct Saved {
    addr: SocketAddr,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    instance: Option<String>,
    protocol: u32,
    weight: u32,
    started_at: u64,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    labels: BTreeMap<String, String>,
}

impl Saved {
    fn of(instance: &Instance) -> Self {
        Self {
            addr: instance.addr,
            instance: instance.id.map(|id| id.to_string()),
            protocol: instance.protocol,
            weight: instance.weight,
            started_at: instance.started_at,
            labels: instance.labels.clone(),
        }
    }

    fn instance(self) -> Result<Instance, String> {
        if self.addr.port() == 0 || self.addr.ip().is_unspecified() {
            return Err(format!("{} cannot be dialled", self.addr));
        }
        let id = self.instance.as_deref().map(str::parse::<InstanceId>).transpose();
        Ok(Instance {
            addr: self.addr,
            id: id.map_err(|error| format!("{}: {error}", self.addr))?,
            protocol: self.protocol,
            weight: self.weight.min(MAX_WEIGHT),
            started_at: self.started_at,
            labels: self.labels,
        })
    }
}

/// The bytes of a file. When they would be too many, the last instances are left out.
pub(super) fn encode(content: &Content, registry: &str, service: &str, now: SystemTime) -> Vec<u8> {
    let saved_at = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let mut count = content.instances.len();
    loop {
        let instances: Vec<_> =
            content.instances.values().take(count).map(|i| Saved::of(i)).collect();
        let file = File {
            format: FORMAT,
            registry: registry.to_owned(),
            service: service.to_owned(),
            saved_at,
            instances,
            disabled: content.disabled.iter().copied().collect(),
            weights: BTreeMap::clone(&content.weights),
        };
        let bytes = serde_json::to_vec(&file).unwrap_or_default();
        if bytes.len() <= defaults::SNAPSHOT_BYTES || count == 0 {
            return bytes;
        }
        count /= 2;
    }
}

/// What the bytes of a file say, and when they were written.
///
/// # Errors
///
/// Why they are of no use for this service of this registry.
pub(super) fn decode(
    bytes: &[u8],
    registry: &str,
    service: &str,
) -> Result<(Content, SystemTime), String> {
    let file: File = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    if file.format != FORMAT {
        return Err(format!("it has the format {}, not {FORMAT}", file.format));
    }
    if file.registry != registry || file.service != service {
        return Err(format!("it is of {:.200} in {:.200}", file.service, file.registry));
    }
    if file.instances.len() > defaults::SNAPSHOT_INSTANCES {
        let (count, most) = (file.instances.len(), defaults::SNAPSHOT_INSTANCES);
        return Err(format!("it has {count} instances, more than {most}"));
    }
    let read = file.instances.into_iter().map(|saved| saved.instance().map(Arc::new));
    let read: Vec<_> = read.collect::<Result<_, _>>()?;
    let written = UNIX_EPOCH.checked_add(Duration::from_secs(file.saved_at));
    let content = Content {
        instances: Arc::new(read.into_iter().map(|i| (i.addr, i)).collect()),
        disabled: Arc::new(file.disabled.into_iter().collect()),
        weights: Arc::new(
            file.weights.into_iter().map(|(addr, weight)| (addr, weight.min(MAX_WEIGHT))).collect(),
        ),
    };
    Ok((content, written.ok_or("its time cannot be")?))
}
