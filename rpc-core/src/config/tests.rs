#![cfg_attr(
    not(feature = "config-file"),
    allow(dead_code, reason = "what reads files is tested where there is the feature")
)]
#![expect(unreachable_pub, reason = "the macro makes what other crates show")]

use super::*;
use crate::{Balance, Token};
use std::{collections::BTreeMap, ffi::OsString, path::PathBuf, time::Duration};

crate::settings! {
    "client"
    /// A configuration with a setting of each kind.
    pub struct Config {
        /// Where.
        pub registry: Option<String> = Text("a URL");
        /// How long.
        ///
        /// Not in the table.
        pub timeout: Option<Duration>
            = Span(Duration::from_millis(10)..=Duration::from_mins(1)), Duration::from_secs(10);
        /// How many.
        pub retries: Option<u32> = Count(0..=9_u32), 2;
        /// How large.
        pub max_message: Option<usize> = Size(1024..=1_usize << 30), 4_usize << 20;
        /// How much.
        pub share: Option<f64> = Share, 0.2;
        /// Whether.
        pub require: Option<bool> = Flag, false;
        /// Which.
        pub only: Option<Vec<String>> = List("names");
        /// How.
        pub balance: Option<Balance> = Named::<Balance>::new("a strategy"), Balance::Random;
        /// How each.
        pub balances: BTreeMap<String, Balance> = Named::<Balance>::new("a strategy");
        /// What else.
        pub labels: BTreeMap<String, String> = Text("a text");
        /// Where to.
        pub directory: Option<PathBuf> = Path("directory");
        /// By what it is known.
        pub token: Option<Token> = Secret;
        /// Whom it knows.
        pub tokens: Option<Vec<Token>> = Secrets;
    }
}

fn variables(set: &[(&str, &str)]) -> impl Fn(&str) -> Option<OsString> {
    let set: BTreeMap<String, OsString> =
        set.iter().map(|(name, value)| ((*name).to_owned(), OsString::from(value))).collect();
    move |name| set.get(name).cloned()
}

fn table<const N: usize, V>(entries: [(&str, V); N]) -> BTreeMap<String, V> {
    entries.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

#[test]
fn every_kind_is_read_from_variables() {
    let config = Config::load_with(variables(&[
        ("RPC_REGISTRY", "memory://a"),
        ("RPC_TIMEOUT", "200ms"),
        ("RPC_RETRIES", "0"),
        ("RPC_MAX_MESSAGE", "64KiB"),
        ("RPC_SHARE", "0.5"),
        ("RPC_REQUIRE", "true"),
        ("RPC_ONLY", "a, b"),
        ("RPC_BALANCE", "least-active"),
        ("RPC_BALANCES", "a=random,b=round-robin"),
        ("RPC_LABELS", "region=eu,note=x=y"),
        ("RPC_DIRECTORY", "/var/lib/x"),
        ("RPC_TOKEN", "s3cret\n"),
        ("RPC_TOKENS", "new, old\n"),
        ("RPC_UNKNOWN", "is somebody else's"),
    ]));
    let expected = Config {
        registry: Some("memory://a".to_owned()),
        timeout: Some(Duration::from_millis(200)),
        retries: Some(0),
        max_message: Some(65_536),
        share: Some(0.5),
        require: Some(true),
        only: Some(vec!["a".to_owned(), "b".to_owned()]),
        balance: Some(Balance::LeastActive),
        balances: table([("a", Balance::Random), ("b", Balance::RoundRobin)]),
        labels: table([("region", "eu".to_owned()), ("note", "x=y".to_owned())]),
        directory: Some("/var/lib/x".into()),
        token: Some(Token::from("s3cret")),
        tokens: Some(vec![Token::from("new"), Token::from("old")]),
    };
    assert_eq!(config, Ok(expected));
}

#[test]
fn a_sides_own_variable_holds_over_the_common_one_and_an_empty_one_says_nothing() {
    let config = Config::load_with(variables(&[
        ("RPC_RETRIES", "1"),
        ("RPC_CLIENT_RETRIES", "3"),
        ("RPC_SERVER_RETRIES", "4"),
        ("RPC_TIMEOUT", ""),
        ("RPC_CONFIG", ""),
    ]));
    assert_eq!(config, Ok(Config { retries: Some(3), ..Config::default() }));
}

#[test]
fn the_environment_is_that_of_the_process() {
    assert_eq!(Config::load(), Config::load_with(|name| std::env::var_os(name)));
}

#[test]
fn all_mistakes_in_variables_are_told_at_once() {
    let text = Config::load_with(variables(&[
        ("RPC_TIMEOUT", "2h"),
        ("RPC_CLIENT_RETRIES", "many"),
        ("RPC_MAX_MESSAGE", "99999999999999999999GiB"),
        ("RPC_SHARE", "NaN"),
        ("RPC_BALANCES", "a=best"),
        ("RPC_LABELS", "region"),
    ]));
    let text = text.unwrap_err().to_string();
    for words in [
        "the configuration has 6 mistakes:\n  - ",
        "client.timeout = \"2h\" (the variable RPC_TIMEOUT): write a duration, such as 200ms, 1s, 5m \
         or 1h, from 10ms to 1m\n",
        "client.retries = \"many\" (the variable RPC_CLIENT_RETRIES): write a number, from 0 to 9\n",
        "client.max_message = \"99999999999999999999GiB\"",
        "from 1KiB to 1GiB\n",
        "client.share = \"NaN\"",
        "client.balances = \"a=best\" (the variable RPC_BALANCES): its a is \"best\": write a \
         strategy\n",
        "\"region\" is not of the form name=value",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
}

#[test]
fn a_secret_is_never_shown_and_an_empty_one_is_not_taken_for_none() {
    let text = Config::load_with(variables(&[
        ("RPC_CLIENT_TOKEN", "my secret"),
        ("RPC_TOKENS", "my-secret,,"),
    ]));
    let text = text.unwrap_err().to_string();
    assert!(text.contains("client.token = (not shown) (the variable RPC_CLIENT_TOKEN)"), "{text}");
    assert!(text.contains("client.tokens = (not shown) (the variable RPC_TOKENS)"), "{text}");
    assert!(!text.contains("my"), "{text}");
    for name in ["RPC_TOKEN", "RPC_CLIENT_TOKEN", "RPC_TOKENS"] {
        let text = Config::load_with(variables(&[(name, "")])).unwrap_err().to_string();
        assert!(text.contains("write a secret of 1 to 512 visible ASCII"), "{text}");
    }
    let config = Config { token: Some(Token::from("my secret")), ..Config::default() };
    let text = check(&config).unwrap_err().to_string();
    assert!(text.contains("`token` is (not shown): write a secret"), "{text}");
    assert!(!format!("{config:?}").contains("my"), "{config:?}");
    let config = Config { tokens: Some(Vec::new()), ..Config::default() };
    assert!(check(&config).is_err(), "no token at all is no token that is taken");
}

#[test]
fn later_holds_over_earlier_and_tables_are_joined() {
    let one = Config {
        retries: Some(1),
        share: Some(0.1),
        labels: table([("a", "1".to_owned()), ("b", "1".to_owned())]),
        ..Config::default()
    };
    let other = Config {
        retries: Some(2),
        labels: table([("b", "2".to_owned())]),
        only: Some(Vec::new()),
        ..Config::default()
    };
    let both = one.overlaid_with(other);
    assert_eq!(
        (both.retries, both.share, both.only.as_deref()),
        (Some(2), Some(0.1), Some(&[][..]))
    );
    assert_eq!(both.labels, table([("a", "1".to_owned()), ("b", "2".to_owned())]));
}

#[test]
fn what_a_program_has_filled_in_is_checked_too() {
    assert_eq!(check(&Config::default()), Ok(()));
    let config = Config {
        timeout: Some(Duration::from_nanos(1)),
        max_message: Some(1),
        labels: table([("zone", String::new())]),
        ..Config::default()
    };
    let text = check(&config).unwrap_err().to_string();
    assert!(text.contains("`timeout` is 1ns: write a duration"), "{text}");
    assert!(text.contains("`max_message` is 1: write bytes"), "{text}");
    assert!(text.contains("`labels` is \"\" for zone: write a text"), "{text}");
}

#[test]
fn it_is_deserialized_from_any_format() {
    let json = r#"{"timeout":"5s","retries":1,"share":0.25,"max_message":2048,"require":true,
        "only":["a"],"balances":{"a":"random"}}"#;
    let config: Config = serde_json::from_str(json).unwrap();
    assert_eq!((config.timeout, config.retries), (Some(Duration::from_secs(5)), Some(1)));
    assert_eq!((config.share, config.max_message), (Some(0.25), Some(2048)));
    assert_eq!((config.require, config.only), (Some(true), Some(vec!["a".to_owned()])));
    assert_eq!(config.balances, table([("a", Balance::Random)]));
    let json = r#"{"timeot":"5s","retries":-1,"share":null,"max_message":18446744073709551615}"#;
    let text = serde_json::from_str::<Config>(json).unwrap_err().to_string();
    assert!(text.contains("4 mistakes"), "{text}");
    assert!(text.contains("client.timeot is not known; did you mean `timeout`?"), "{text}");
    assert!(text.contains("client.retries = -1: write a number, from 0 to 9"), "{text}");
    assert!(text.contains("client.share = null: write"), "{text}");
    assert!(serde_json::from_str::<Config>("[]").unwrap_err().to_string().contains("no table"));
}

#[test]
fn the_rows_of_the_document_are_made_of_the_fields() {
    let rows = rows::<Config>();
    assert_eq!(rows.len(), 13);
    assert_eq!(
        rows[1],
        "| `timeout` | `RPC_TIMEOUT` | a duration, such as 200ms, 1s, 5m or 1h | 10ms to 1m | 10s | \
         How long. |"
    );
    assert_eq!(
        rows[3],
        "| `max_message` | `RPC_MAX_MESSAGE` | bytes, such as 65536 or 4MiB | 1KiB to 1GiB | 4MiB | \
         How large. |"
    );
    assert_eq!(rows[9], "| `labels` | `RPC_LABELS` | table of: a text |  | none | What else. |");
}

#[cfg(feature = "config-file")]
mod file {
    use super::*;
    use std::fs;

    const TEXT: &str = r#"
        registry = "memory://both"

        [client]
        timeout = "1m"
        retries = 0x3
        max_message = 65_536
        share = 1e-1
        require = true
        only = ["a", "b"]
        labels = { region = "eu", zone = "eu-1" }
        [client.balances]
        "a.B@2" = "random"

        [server]
        anything = "is the other side's to judge"
    "#;

    #[test]
    fn a_file_is_read_and_variables_hold_over_it() {
        let path = std::env::temp_dir().join(format!("rpc-config-{}.toml", std::process::id()));
        fs::write(&path, TEXT).unwrap();
        let config = Config::load_with(variables(&[
            ("RPC_CONFIG", path.to_str().unwrap()),
            ("RPC_RETRIES", "4"),
            ("RPC_LABELS", "zone=eu-2"),
        ]));
        fs::remove_file(&path).unwrap();
        let config = config.unwrap();
        assert_eq!(config.registry.as_deref(), Some("memory://both"));
        assert_eq!((config.timeout, config.retries), (Some(Duration::from_mins(1)), Some(4)));
        assert_eq!((config.max_message, config.share), (Some(65_536), Some(0.1)));
        assert_eq!(config.only, Some(vec!["a".to_owned(), "b".to_owned()]));
        assert_eq!(
            config.labels,
            table([("region", "eu".to_owned()), ("zone", "eu-2".to_owned())])
        );
        assert_eq!(config.balances, table([("a.B@2", Balance::Random)]));

        let text = Config::load_with(variables(&[("RPC_CONFIG", path.to_str().unwrap())]));
        let text = text.unwrap_err().to_string();
        assert!(text.contains("RPC_CONFIG=/") && text.contains("No such file"), "{text}");
        let text = Config::load_with(variables(&[("RPC_CONFIG", "/")])).unwrap_err().to_string();
        assert!(text.contains("RPC_CONFIG=/: it is no file"), "{text}");
    }

    #[test]
    fn what_is_said_for_one_side_holds_over_what_is_said_for_both() {
        let text = "registry = \"a\"\n[client]\nregistry = \"b\"\n";
        assert_eq!(Config::parse(text, "x").unwrap().registry.as_deref(), Some("b"));
        assert_eq!(Config::parse("", "x"), Ok(Config::default()));
        assert_eq!(Config::parse("[server]\nx = 1", "x"), Ok(Config::default()));
    }

    #[test]
    fn mistakes_in_a_file_are_told_with_their_lines() {
        let text = "retries = 1\n[client]\ntimeot = \"1s\"\nretries = 10\nmax_message = \"4MB\"\n\
                    labels = { zone = 7 }\nonly = [1]\nbalance = 2020-01-01\n[cleint]\n[other]\n";
        let text = Config::parse(text, "rpc.toml").unwrap_err().to_string();
        for words in [
            "the configuration has 9 mistakes",
            "retries (line 1 of rpc.toml): write it below [client]",
            "client.timeot (line 3 of rpc.toml) is not known; did you mean `timeout`?",
            "client.retries = 10 (line 4 of rpc.toml): write a number, from 0 to 9",
            "client.max_message = \"4MB\" (line 5 of rpc.toml): write bytes, such as 65536 or 4MiB",
            "client.labels = a table of 1 (line 6 of rpc.toml): its zone is 7: write a text",
            "client.only = a list of 1 (line 7 of rpc.toml): write a list of names",
            "client.balance = 2020-01-01 (line 8 of rpc.toml): write a strategy",
            "cleint (line 9 of rpc.toml) is not known; did you mean `client`?",
            "other (line 10 of rpc.toml) is not known; there are client, server, registry",
        ] {
            assert!(text.contains(words), "{words}: {text}");
        }
        let refusal = |text: &str| Config::parse(text, "rpc.toml").unwrap_err().to_string();
        let text = refusal("[client]\nretries = \n");
        assert!(text.contains("no TOML (line 2 of rpc.toml)"), "{text}");
        let text = refusal("client = 1");
        assert!(text.contains("client (line 1 of rpc.toml) is no table: write [client]"), "{text}");
        let text = refusal("[client]\nretries = 99999999999999999999\n");
        assert!(text.contains("client.retries = 99999999999999999999"), "{text}");
    }

    #[test]
    fn no_text_brings_it_down() {
        let many = (0..100_000).map(|n| format!("x{n}=1")).collect::<Vec<_>>().join("\n");
        for text in [
            "[".repeat(500_000),
            format!("client = {}1{}", "[".repeat(100_000), "]".repeat(100_000)),
            format!("client.{}x = 1", "a.".repeat(100_000)),
            format!("[client]\n{} = 1", "x".repeat(1_000_000)),
            many.clone(),
            format!("[client]\n{many}"),
            format!("[client]\nregistry = 5\nlabels = \"{}\"", "é".repeat(300_000)),
        ] {
            let error = Config::parse(&text, "x").unwrap_err().to_string();
            assert!(error.len() < 10_000, "{} bytes", error.len());
        }
    }
}
