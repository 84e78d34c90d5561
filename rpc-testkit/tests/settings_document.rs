//! The settings of both sides: `docs/configuration.md`, the types and the builders agree, setting
//! by setting. `BLESS=1` rewrites the tables of the document.

use rpc_core::config::{CLIENT_KEYS, SERVER_KEYS, Settings, rows};
use std::{env, fs, process::Command};

const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/configuration.md");
const HEAD: &str = "\
| key | variable | value | range | default | what it does |
|---|---|---|---|---|---|
";

#[test]
fn the_document_has_every_setting_as_it_is() {
    let found = fs::read_to_string(DOCUMENT).unwrap();
    let wanted = with_table::<rpc_server::Config>(&with_table::<rpc_client::Config>(&found));
    if env::var_os("BLESS").is_some() && found != wanted {
        fs::write(DOCUMENT, wanted).unwrap();
        return;
    }
    for (found, wanted) in found.lines().zip(wanted.lines()) {
        assert_eq!(found, wanted);
    }
    assert_eq!(found.len(), wanted.len(), "a table has too many rows or too few");
}

/// The document with the table of a side as it is to be.
fn with_table<C: Settings>(document: &str) -> String {
    let begin = format!("<!-- {} -->\n", C::SIDE);
    let (before, rest) = document.split_once(&begin).expect("the side's table");
    let (_, after) = rest.split_once("<!-- end -->").expect("its end");
    format!("{before}{begin}{HEAD}{}\n<!-- end -->{after}", rows::<C>().join("\n"))
}

#[test]
fn every_setter_of_a_builder_has_its_setting() {
    let client = concat!(
        include_str!("../../rpc-client/src/builder.rs"),
        include_str!("../../rpc-client/src/builder/pressure.rs")
    );
    compare_setters::<rpc_client::Config>(client, &["config", "network", "on_pressure"]);
    let server = include_str!("../../rpc-server/src/builder.rs");
    let values = ["config", "network", "provide", "service", "bound_service", "collected"];
    compare_setters::<rpc_server::Config>(server, &values);
}

/// Compares the settings of a side with the setters in the source of its builder, but for those
/// of what stands in no file.
fn compare_setters<C: Settings>(builder: &str, not_in_a_file: &[&str]) {
    let fields = C::fields();
    let setters: Vec<_> = (builder.lines())
        .filter_map(|line| line.strip_prefix("    pub fn ")?.split_once("(mut self"))
        .map(|(name, _)| name.split('<').next().unwrap_or(name))
        .collect();
    assert!(setters.contains(&"max_message"), "{setters:?}");
    for setter in setters.iter().filter(|setter| !not_in_a_file.contains(setter)) {
        let has = fields.iter().any(|field| field.key.starts_with(setter));
        assert!(has, "`{setter}` of the {} is missing in its config.rs", C::SIDE);
    }
    for field in fields {
        let has = setters.iter().any(|setter| field.key.starts_with(setter));
        assert!(has, "`{}` of the {} has no setter", field.key, C::SIDE);
    }
}

#[test]
fn each_side_knows_the_keys_of_both() {
    fn keys<C: Settings>() -> Vec<&'static str> {
        C::fields().into_iter().map(|field| field.key).collect()
    }
    assert_eq!(keys::<rpc_client::Config>(), CLIENT_KEYS);
    assert_eq!(keys::<rpc_server::Config>(), SERVER_KEYS);
}

/// Set in a process of this test that loads a configuration.
const CHILD: &str = "SETTINGS_DOCUMENT_CHILD";

#[test]
fn a_misspelled_variable_is_told_in_the_log_and_one_of_the_other_side_is_not() {
    if env::var_os(CHILD).is_some() {
        tracing_subscriber::fmt().with_ansi(false).with_writer(std::io::stderr).init();
        let config = rpc_client::Config::load().unwrap();
        assert_eq!((config.timeout, config.retries), (None, Some(1)));
        return;
    }
    let name = "a_misspelled_variable_is_told_in_the_log_and_one_of_the_other_side_is_not";
    let child = Command::new(env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env_clear()
        .envs([(CHILD, "1"), ("RPC_TIMEOTU", "1s"), ("RPC_DRAIN", "1m"), ("RPC_RETRIES", "1")])
        .output()
        .unwrap();
    let text = String::from_utf8(child.stderr).unwrap();
    assert!(child.status.success(), "{text}");
    let told: Vec<_> = text.lines().filter(|line| line.contains("names no setting")).collect();
    assert_eq!(told.len(), 1, "{text}");
    let words = "the variable RPC_TIMEOTU names no setting; did you mean RPC_TIMEOUT?";
    assert!(told[0].contains("WARN") && told[0].contains(words), "{text}");
}
