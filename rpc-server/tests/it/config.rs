//! What a server takes from a configuration.

use crate::support::LabService;
use rpc_core::discovery::{MemoryRegistry, Watch as _};
use rpc_server::{Config, Limit, Server, ServerBuilder};
use std::time::Duration;

fn builder(config: Config) -> ServerBuilder {
    Server::builder().config(config).service(LabService::default()).collected(false)
}

#[tokio::test]
async fn a_server_is_what_its_configuration_says_unless_its_builder_says_otherwise() {
    let registry = MemoryRegistry::new();
    let text = "[server]\nbind = \"127.0.0.2:0\"\nweight = 7\nlabels = { region = \"eu\", zone = \"1\" }\n\
                notice = \"0s\"\nlimit_each = 5\n";
    let config = Config::parse(text, "rpc.toml").unwrap();
    assert_eq!(config.limit_each, Some(Limit::fixed(5)));
    let server = builder(config).label("zone", "2").weight(9).registry(registry.clone());
    let server = server.start().await.unwrap();
    assert_eq!(server.local_addr().ip().to_string(), "127.0.0.2");
    let service = server.services()[0].to_string();
    let view = registry.watch(&service).current();
    let (_, instance) = view.instances.first_key_value().unwrap();
    assert_eq!(instance.weight, 9);
    let labels: Vec<_> = instance.labels.iter().map(|(k, v)| format!("{k}={v}")).collect();
    assert_eq!(labels, ["region=eu", "zone=2"]);
    let stats = server.method_stats();
    assert!(stats.iter().all(|method| method.service_limit.as_ref().is_some_and(|l| l.limit == 5)));
    server.shutdown().await;
}

#[tokio::test]
async fn mistakes_in_a_configuration_are_told_when_it_is_read_and_when_it_is_used() {
    let text = "[server]\nweight = 10001\nlimits = { \"a.B\" = \"lots\" }\ndrian = \"1s\"\n";
    let text = Config::parse(text, "rpc.toml").unwrap_err().to_string();
    for words in [
        "server.weight = 10001 (line 2 of rpc.toml): write a number, from 0 to 10000",
        "its a.B is \"lots\": write a number of calls, `adaptive`",
        "server.drian (line 4 of rpc.toml) is not known; did you mean `drain`?",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
    let config = Config::parse("[server]\nlimits = { \"a.B\" = 1 }\n", "rpc.toml").unwrap();
    let refused = builder(config).registry(MemoryRegistry::new()).start().await;
    let text = refused.err().unwrap().to_string();
    assert!(text.contains("no service \"a.B\" is served here"), "{text}");
    let mut config = Config::default();
    config.drain = Some(Duration::from_hours(25));
    let refused = builder(config).registry(MemoryRegistry::new()).start().await;
    let text = refused.err().unwrap().to_string();
    assert!(text.contains("`drain` is") && text.contains("0s to 24h"), "{text}");
}
