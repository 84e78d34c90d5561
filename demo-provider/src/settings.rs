//! What the provider is told by flags and environment variables.

use clap::Parser;
use std::path::PathBuf;

/// Serves the demo's contracts until Ctrl-C or SIGTERM, and then leaves in order.
#[derive(Debug, Parser)]
pub(crate) struct Settings {
    /// Where to register: zookeeper://host:port,../root, or static://host:port to register
    /// nowhere
    #[arg(long, env = "RPC_REGISTRY", default_value = "zookeeper://127.0.0.1:2181/rpc")]
    pub(crate) registry: String,

    /// Where to listen; port 0 takes a free one
    #[arg(long, env = "RPC_BIND", default_value = "127.0.0.1:0")]
    pub(crate) bind: String,

    /// The address to register, if it is not the one that is found by itself
    #[arg(long, env = "RPC_ADVERTISE")]
    pub(crate) advertise: Option<String>,

    /// A label of this instance, such as region=eu; may be repeated
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = label)]
    pub(crate) labels: Vec<(String, String)>,

    /// This instance's weight, 0 to 10000
    #[arg(long, env = "RPC_WEIGHT", default_value_t = 100)]
    pub(crate) weight: u32,

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
