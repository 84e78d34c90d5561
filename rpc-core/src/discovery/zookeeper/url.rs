//! The URL of a ZooKeeper registry.

use super::session::Target;
use crate::{SetupError, defaults};
use std::{net::Ipv6Addr, time::Duration};

const DEFAULT_PORT: u16 = 2181;
const DEFAULT_ROOT: &str = "/rpc";
const FORM: &str = "write zookeeper://host:2181,host:2181/root, for example \
                    zookeeper://127.0.0.1:2181/rpc";

/// Reads `zookeeper://h1:2181,h2:2181/root?session=10s`.
pub(super) fn parse(url: &str) -> Result<Target, SetupError> {
    let refuse = |why: String| SetupError::new(format!("{url}: {why}: {FORM}"));
    let rest = url.strip_prefix("zookeeper://").unwrap_or(url);
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (hosts, root) = match rest.find('/') {
        Some(at) => rest.split_at(at),
        None => (rest, ""),
    };
    if hosts.contains('@') {
        // Not shown: it may have a password in it.
        let why = "a user and a password in the URL are not supported";
        return Err(SetupError::new(format!("the registry's URL: {why}: {FORM}")));
    }
    let hosts = hosts.split(',').map(host).collect::<Result<Vec<_>, _>>().map_err(refuse)?;
    let root = path(root).map_err(refuse)?;
    let timeout = session_timeout(query).map_err(refuse)?;
    Ok(Target::new(&hosts, &root, timeout.unwrap_or(defaults::ZOOKEEPER_SESSION)))
}

fn host(entry: &str) -> Result<String, String> {
    let (host, port) = match entry.rfind(':') {
        Some(at) if !entry[at..].contains(']') => (&entry[..at], Some(&entry[at + 1..])),
        _ => (entry, None),
    };
    let in_brackets = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let usable = in_brackets.map_or_else(
        || !host.is_empty() && host.chars().all(allowed),
        |host| host.parse::<Ipv6Addr>().is_ok(),
    );
    if !usable {
        return Err(format!("{entry:?} has no usable host"));
    }
    match port.map_or(Ok(DEFAULT_PORT), str::parse) {
        Ok(port @ 1..) => Ok(format!("{host}:{port}")),
        _ => Err(format!("{entry:?} has no port from 1 to 65535")),
    }
}

fn path(path: &str) -> Result<String, String> {
    let path = path.trim_end_matches('/');
    if path.is_empty() {
        return Ok(DEFAULT_ROOT.to_owned());
    }
    let usable = |part: &str| {
        !matches!(part, "" | "." | ".." | "zookeeper")
            && part.chars().all(|c| c.is_ascii_graphic() && c != '#')
    };
    match path[1..].split('/').find(|part| !usable(part)) {
        Some(part) => Err(format!("the root {path:?} has the part {part:?}, which cannot be")),
        None => Ok(path.to_owned()),
    }
}

fn session_timeout(query: &str) -> Result<Option<Duration>, String> {
    let mut timeout = None;
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        match pair.split_once('=') {
            Some(("session", value)) => timeout = Some(duration(value)?),
            _ => return Err(format!("{pair:?} is not known, only session=10s is")),
        }
    }
    Ok(timeout)
}

fn duration(text: &str) -> Result<Duration, String> {
    let unit_at = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(unit_at);
    let millis = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        _ => 0,
    };
    match number.parse::<u64>().ok().and_then(|number| number.checked_mul(millis)) {
        Some(millis) if (100..=600_000).contains(&millis) => Ok(Duration::from_millis(millis)),
        _ => Err(format!("session={text} is not between 100ms and 10m")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usual_urls_are_read() {
        let target = parse("zookeeper://zk-1,zk-2:2182,[::1]:2183/eu/rpc/?session=2s").unwrap();
        assert_eq!(target.hosts, ["zk-1:2181", "zk-2:2182", "[::1]:2183"]);
        assert_eq!(target.root, "/eu/rpc");
        assert_eq!(target.session, Duration::from_secs(2));
        let target = parse("zookeeper://127.0.0.1").unwrap();
        assert_eq!((&*target.root, target.session), ("/rpc", defaults::ZOOKEEPER_SESSION));
        assert_eq!(parse("zookeeper://[::1]/").unwrap().hosts, ["[::1]:2181"]);
    }

    #[test]
    fn a_refusal_says_what_to_write() {
        for (url, why) in [
            ("zookeeper://", "no usable host"),
            ("zookeeper:///rpc", "no usable host"),
            ("zookeeper://a,,b", "no usable host"),
            ("zookeeper://a b", "no usable host"),
            ("zookeeper://[::x]:1", "no usable host"),
            ("zookeeper://a:0", "no port from 1"),
            ("zookeeper://a:b", "no port from 1"),
            ("zookeeper://me:pw@a", "not supported"),
            ("zookeeper://a/x//y", "cannot be"),
            ("zookeeper://a/../y", "cannot be"),
            ("zookeeper://a/zookeeper/x", "cannot be"),
            ("zookeeper://a?timeout=2s", "only session=10s"),
            ("zookeeper://a?session=2h", "not between"),
            ("zookeeper://a?session=99ms", "not between"),
            ("zookeeper://a?session=99999999999999999999s", "not between"),
        ] {
            let text = parse(url).unwrap_err().to_string();
            assert!(!text.contains("pw@"), "{text}");
            assert!(text.contains(why) && text.contains("write zookeeper://"), "{url}: {text}");
        }
    }
}
