//! Under which address a server can be reached: worked out or given, and proven by calling it.

use rpc_core::{
    SetupError, defaults,
    discovery::InstanceId,
    transport::{Link, Network, ReadBuffer},
    wire::{Limits, Preface, read_preface},
};
use std::{
    io::{self, ErrorKind},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};
use tokio::{
    net::{UdpSocket, lookup_host},
    time::timeout,
};

/// How long the name of a registry's host may take to resolve.
const LOOKUP: Duration = Duration::from_secs(2);
/// How often an address that does not answer in time is dialled.
const DIALS: u32 = 3;

/// The address to register.
///
/// # Errors
///
/// An address that nobody else could use, or none that can be worked out; what to write instead.
pub(crate) async fn address(
    bound: SocketAddr,
    given: Option<&str>,
    hosts: &[String],
) -> Result<SocketAddr, SetupError> {
    let hosts = resolve_all(hosts).await;
    let address = match given {
        Some(given) => explicit(given).await?,
        None if !bound.ip().is_unspecified() => bound,
        None => SocketAddr::new(route(bound, &hosts).await?, bound.port()),
    };
    if address.ip().is_loopback()
        && let Some(Host { name, .. }) = hosts.iter().find(|host| host.is_remote())
    {
        return Err(SetupError::new(format!(
            "the address {address} means this machine alone, but the registry at {name} is read \
             by others: write .bind(\"0.0.0.0:0\"), or .advertise(\"host:port\") with an address \
             that they can reach"
        )));
    }
    Ok(address)
}

/// Calls `address` as a client would; the server that answers must be `instance`.
///
/// # Errors
///
/// What happened instead, in words.
pub(crate) async fn prove(
    network: &Network,
    address: SocketAddr,
    instance: InstanceId,
) -> Result<(), String> {
    let limit = defaults::DIAL_TIMEOUT;
    for _ in 0..DIALS {
        match timeout(limit, ask(network, address)).await {
            // A machine that has just started everything may be that busy.
            Err(_) => {}
            Ok(Err(error)) => return Err(format!("{address} did not answer: {error}")),
            Ok(Ok(answered)) if answered == Some(instance) => return Ok(()),
            Ok(Ok(_)) => {
                return Err(format!("at {address} another server answers, not this one"));
            }
        }
    }
    Err(format!("{address} did not answer within {DIALS} times {limit:?}"))
}

/// The instance that answers at an address.
async fn ask(network: &Network, address: SocketAddr) -> io::Result<Option<InstanceId>> {
    let link = Link::new(network.dial(address).await?);
    // A preface fits into any socket that is new.
    let put = |out: &mut Vec<u8>| Preface::new(None, Limits::default()).put(out);
    link.send(put).map_err(|_| ErrorKind::NotConnected)?;
    let mut buffer = ReadBuffer::new();
    loop {
        match read_preface(buffer.data()) {
            Ok(Some((preface, _))) => return Ok(preface.instance),
            Ok(None) => {}
            Err(error) => return Err(io::Error::new(ErrorKind::InvalidData, error)),
        }
        if link.read(&mut buffer).await? == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
    }
}

/// The address that the program gave.
async fn explicit(given: &str) -> Result<SocketAddr, SetupError> {
    let refuse = |why: &str| {
        SetupError::new(format!(
            "cannot advertise {given:?}: {why}: write the `host:port` by which clients reach this \
             server, for example \"10.0.0.5:9000\""
        ))
    };
    let found = match given.parse() {
        Ok(address) => address,
        Err(_) => match timeout(LOOKUP, lookup_host(given)).await {
            Err(_) => return Err(refuse("the host name does not resolve in time")),
            Ok(Err(error)) => return Err(refuse(&error.to_string())),
            Ok(Ok(mut found)) => found.next().ok_or_else(|| refuse("the host has no address"))?,
        },
    };
    if found.ip().is_unspecified() {
        return Err(refuse("it stands for every address of a machine and is none itself"));
    }
    if found.port() == 0 {
        return Err(refuse("port 0 is none"));
    }
    Ok(found)
}

/// The source address of the route to the registry, or loopback when it is this process.
async fn route(bound: SocketAddr, hosts: &[Host]) -> Result<IpAddr, SetupError> {
    if hosts.is_empty() {
        return Ok(match bound {
            SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    let mut failure = None;
    for address in hosts.iter().flat_map(|host| &host.addresses) {
        // A socket bound to IPv4 alone cannot be reached by IPv6.
        if bound.is_ipv4() && address.is_ipv6() {
            continue;
        }
        match source(*address).await {
            Ok(ip) if !ip.is_unspecified() => return Ok(ip),
            Ok(_) => {}
            Err(error) => failure = Some(error),
        }
    }
    let names: Vec<_> = hosts.iter().map(|host| host.name.as_str()).collect();
    let why = failure.map_or_else(|| "no address found".to_owned(), |error| error.to_string());
    Err(SetupError::new(format!(
        "cannot work out which address to register: there is no route to the registry at {} \
         ({why}): write .advertise(\"host:port\"), or .bind(..) with a concrete address",
        names.join(", ")
    )))
}

/// The address that this machine uses towards another. Connecting a datagram socket sends nothing.
async fn source(to: SocketAddr) -> io::Result<IpAddr> {
    let any: IpAddr =
        if to.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0)).await?;
    socket.connect(to).await?;
    Ok(socket.local_addr()?.ip())
}

/// A server of the registry.
#[derive(Debug)]
struct Host {
    name: String,
    addresses: Vec<SocketAddr>,
}

impl Host {
    /// Whether it is known not to be on loopback.
    fn is_remote(&self) -> bool {
        self.addresses.iter().any(|address| !address.ip().is_loopback())
    }
}

/// Resolves the registry's hosts side by side; one that does not resolve has no addresses.
async fn resolve_all(names: &[String]) -> Vec<Host> {
    let lookups: Vec<_> = names
        .iter()
        .map(|name| {
            let name = name.clone();
            tokio::spawn(async move {
                let found = timeout(LOOKUP, lookup_host(name.clone())).await;
                let addresses = match found {
                    Ok(Ok(found)) => found.collect(),
                    Ok(Err(_)) | Err(_) => Vec::new(),
                };
                Host { name, addresses }
            })
        })
        .collect();
    let mut hosts = Vec::with_capacity(lookups.len());
    for lookup in lookups {
        hosts.extend(lookup.await);
    }
    hosts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[tokio::test]
    async fn a_concrete_address_is_taken_as_it_is() {
        let found = address(at("10.1.2.3:9000"), None, &["192.0.2.1:2181".into()]).await;
        assert_eq!(found, Ok(at("10.1.2.3:9000")));
    }

    #[tokio::test]
    async fn without_registry_hosts_an_unspecified_address_is_loopback() {
        assert_eq!(address(at("0.0.0.0:9"), None, &[]).await, Ok(at("127.0.0.1:9")));
        assert_eq!(address(at("[::]:9"), None, &[]).await, Ok(at("[::1]:9")));
    }

    #[tokio::test]
    async fn the_route_to_the_registry_decides() {
        let found = address(at("0.0.0.0:9"), None, &["127.0.0.1:2181".into()]).await;
        assert_eq!(found, Ok(at("127.0.0.1:9")));
    }

    #[tokio::test]
    async fn loopback_with_a_remote_registry_is_refused() {
        let hosts = ["127.0.0.1:2181".to_owned(), "192.0.2.1:2181".to_owned()];
        let text = address(at("127.0.0.1:9"), None, &hosts).await.unwrap_err().to_string();
        assert!(text.contains(".bind(\"0.0.0.0:0\")") && text.contains("192.0.2.1"), "{text}");
    }

    #[tokio::test]
    async fn a_given_address_must_be_one() {
        for given in ["0.0.0.0:9", "[::]:9", "10.0.0.1:0", "10.0.0.1", "nowhere.invalid:9"] {
            let text = address(at("0.0.0.0:9"), Some(given), &[]).await.unwrap_err().to_string();
            assert!(text.contains(given) && text.contains("write the `host:port`"), "{text}");
        }
        let found = address(at("0.0.0.0:9"), Some("localhost:9"), &[]).await.unwrap();
        assert!(found.ip().is_loopback());
    }

    #[tokio::test]
    async fn a_registry_that_does_not_resolve_leaves_no_route() {
        let hosts = ["nowhere.invalid:2181".to_owned()];
        let text = address(at("0.0.0.0:9"), None, &hosts).await.unwrap_err().to_string();
        assert!(text.contains(".advertise"), "{text}");
    }
}
