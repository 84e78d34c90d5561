//! What the provider is told by flags; file and variables are the framework's.

use clap::Parser;
use rpc_core::SetupError;
use rpc_server::Config;
use std::path::PathBuf;

/// What the flags are not told.
const REST: &str = "What is not said here is read from RPC_REGISTRY, RPC_BIND, RPC_ADVERTISE, RPC_LABELS, \
                    RPC_WEIGHT and the other RPC_* variables, and from the file that RPC_CONFIG names: see \
                    docs/configuration.md. Without them the registry is zookeeper://127.0.0.1:2181/rpc, and a \
                    free port of 127.0.0.1 is listened at.";

/// Serves the demo's contracts until Ctrl-C or SIGTERM, and then leaves in order.
#[derive(Debug, Parser)]
#[command(after_help = REST)]
pub(crate) struct Settings {
    /// Where to register: zookeeper://host:port,../root, or static://host:port to register
    /// nowhere
    #[arg(long)]
    registry: Option<String>,

    /// Where to listen; port 0 takes a free one
    #[arg(long)]
    bind: Option<String>,

    /// The address to register, if it is not the one that is found by itself
    #[arg(long)]
    advertise: Option<String>,

    /// A label of this instance, such as region=eu; may be repeated
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = label)]
    labels: Vec<(String, String)>,

    /// This instance's weight, 0 to 10000
    #[arg(long)]
    weight: Option<u32>,

    /// A name to show beside the address
    #[arg(long)]
    pub(crate) name: Option<String>,

    /// Note the key of each call that runs, a line for each, at the end of this file
    #[arg(long, value_name = "FILE")]
    pub(crate) executions: Option<PathBuf>,

    /// How long each call takes, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 0)]
    pub(crate) delay: u64,
}

impl Settings {
    /// What is said here, over what file and variables say.
    ///
    /// # Errors
    ///
    /// What is wrong with the file or the variables.
    pub(crate) fn server(&self) -> Result<Config, SetupError> {
        let mut config = Config::load()?;
        config.registry = (self.registry.clone())
            .or(config.registry)
            .or_else(|| Some("zookeeper://127.0.0.1:2181/rpc".to_owned()));
        config.bind = self.bind.clone().or(config.bind);
        config.advertise = self.advertise.clone().or(config.advertise);
        config.weight = self.weight.or(config.weight);
        config.labels.extend(self.labels.iter().cloned());
        Ok(config)
    }
}

fn label(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("write KEY=VALUE, for example region=eu".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_a_key_and_a_value() {
        assert_eq!(label("region=eu"), Ok(("region".into(), "eu".into())));
        assert_eq!(label("note=a=b"), Ok(("note".into(), "a=b".into())));
        assert!(label("region").is_err());
        assert!(label("=eu").is_err());
    }

    #[test]
    fn the_flags_make_sense() {
        use clap::CommandFactory;
        Settings::command().debug_assert();
    }
}
