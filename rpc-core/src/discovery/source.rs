//! Where a registry comes from: a URL or a value.

use super::{FixedRegistry, MemoryRegistry, Registry};
use crate::SetupError;
use std::{fmt, sync::Arc};

const FORMS: &str =
    "write zookeeper://host:2181/rpc, static://host:port,host:port or memory://name";

/// What `.registry(..)` takes: a URL as `&str` or `String`, a value that implements both
/// [`Register`](super::Register) and [`Watch`](super::Watch), or an `Arc<dyn Registry>`.
#[derive(Clone)]
pub struct RegistrySource(Kind);

#[derive(Clone)]
enum Kind {
    Url(String),
    Value(Arc<dyn Registry>),
}

impl RegistrySource {
    /// The registry. Does no I/O; a registry that cannot be reached is no error.
    ///
    /// # Errors
    ///
    /// The URL has another scheme than `zookeeper`, `static` and `memory`, or says something that
    /// its scheme does not understand.
    pub fn open(self) -> Result<Arc<dyn Registry>, SetupError> {
        let url = match self.0 {
            Kind::Value(registry) => return Ok(registry),
            Kind::Url(url) => url,
        };
        let Some((scheme, rest)) = url.split_once("://") else {
            return Err(SetupError::new(format!("the registry {url:?} is no URL: {FORMS}")));
        };
        match scheme {
            "zookeeper" => open_zookeeper(&url),
            "static" => Ok(Arc::new(FixedRegistry::parse(rest)?)),
            "memory" if rest.is_empty() || rest.contains(['/', '?', '#', ',']) => {
                let text = format!("{url}: a name is missing or has '/', '?', '#' or ',' in it");
                Err(SetupError::new(format!("{text}: write memory://name")))
            }
            "memory" => Ok(Arc::new(MemoryRegistry::named(rest))),
            _ => Err(SetupError::new(format!(
                "the registry {url:?} has the unknown scheme {scheme:?}: {FORMS}"
            ))),
        }
    }
}

#[cfg(feature = "zookeeper")]
fn open_zookeeper(url: &str) -> Result<Arc<dyn Registry>, SetupError> {
    Ok(Arc::new(super::zookeeper::ZookeeperRegistry::new(url)?))
}

#[cfg(not(feature = "zookeeper"))]
fn open_zookeeper(url: &str) -> Result<Arc<dyn Registry>, SetupError> {
    Err(SetupError::new(format!(
        "{url}: this program was built without ZooKeeper: turn on the feature `zookeeper` of \
         rpc-client, rpc-server or rpc-core"
    )))
}

impl From<&str> for RegistrySource {
    fn from(url: &str) -> Self {
        Self(Kind::Url(url.to_owned()))
    }
}

impl From<String> for RegistrySource {
    fn from(url: String) -> Self {
        Self(Kind::Url(url))
    }
}

impl From<&String> for RegistrySource {
    fn from(url: &String) -> Self {
        Self(Kind::Url(url.clone()))
    }
}

impl From<Arc<dyn Registry>> for RegistrySource {
    fn from(registry: Arc<dyn Registry>) -> Self {
        Self(Kind::Value(registry))
    }
}

impl<R: Registry> From<R> for RegistrySource {
    fn from(registry: R) -> Self {
        Self(Kind::Value(Arc::new(registry)))
    }
}

impl fmt::Debug for RegistrySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Url(url) => write!(f, "RegistrySource({url})"),
            Kind::Value(_) => f.write_str("RegistrySource(a value)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(url: &str) -> String {
        match RegistrySource::from(url).open() {
            Ok(_) => panic!("{url} was taken"),
            Err(error) => error.to_string(),
        }
    }

    #[tokio::test]
    async fn urls_and_values_open() {
        let url = "memory://source-test".to_owned();
        let registry = RegistrySource::from(&url).open().unwrap();
        assert_eq!(&*registry.watch("a").current().place, "a in memory://source-test");
        assert!(RegistrySource::from(url).open().is_ok());
        assert!(RegistrySource::from("static://10.0.0.1:9").open().is_ok());
        assert!(RegistrySource::from(MemoryRegistry::new()).open().is_ok());
        assert!(RegistrySource::from(registry).open().is_ok());
    }

    #[test]
    fn a_refusal_says_what_to_write() {
        for url in ["", "127.0.0.1:2181", "consul://a"] {
            let text = refusal(url);
            assert!(text.contains("write zookeeper://host:2181/rpc"), "{url}: {text}");
        }
        assert!(refusal("memory://").contains("write memory://name"));
        assert!(refusal("static://").contains("write static://host:port"));
        #[cfg(not(feature = "zookeeper"))]
        assert!(refusal("zookeeper://a").contains("feature `zookeeper`"));
        #[cfg(feature = "zookeeper")]
        assert!(refusal("zookeeper://").contains("write zookeeper://"));
    }
}
