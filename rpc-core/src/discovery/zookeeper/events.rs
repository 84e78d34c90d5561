//! What clients tell operators: one node for each service that was ever full, `_events/<service>`.
//!
//! However many clients find a service full, its node is written about once per window: a client
//! looks first, and leaves what another one has written lately. Who is slower than another loses to
//! the version of the node and leaves it at that.

use super::{
    layout::{self, EventData},
    session::{DIRECTORY, Failure, Target, operation, supervised},
    watch::Hub,
};
use crate::discovery::{Notice, names};
use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};
use tokio::time::sleep;
use zookeeper_client as zk;

/// Clients that find the same at the same time look within this time, and not at once.
const SPREAD: Duration = Duration::from_secs(1);
/// A notice waits this long for a connection.
const CONNECTED: Duration = Duration::from_secs(5);
/// Looks and writes until it is given up: the directory, the node and its data may be missing.
const ROUNDS: usize = 4;

/// Writes `notice`, unless it is not needed.
pub(super) async fn tell(hub: Arc<Hub>, target: Arc<Target>, notice: Notice) -> Result<(), String> {
    names::check_registered_name(&notice.service).map_err(|error| error.to_string())?;
    if notice.json.len() > layout::MAX_DATA {
        return Err(format!("{} bytes are more than a node may hold", notice.json.len()));
    }
    sleep(SPREAD.mul_f64(fastrand::f64())).await;
    let client = hub.connected(CONNECTED).await?.client;
    let dir = layout::service_dir(&target.root, layout::EVENTS);
    let path = format!("{dir}/{}", notice.service);
    let written = supervised(write(&client, &dir, &path, &notice)).await?;
    written.map_err(|failure| format!("{path}: {failure}"))
}

async fn write(client: &zk::Client, dir: &str, path: &str, notice: &Notice) -> Result<(), Failure> {
    let data = notice.json.as_bytes();
    for _ in 0..ROUNDS {
        let written = match operation(client.get_data(path)).await {
            Ok((held, stat)) => {
                let age = age(stat.mtime, SystemTime::now());
                if !is_news(notice, layout::decode_event(&held).as_ref(), age) {
                    return Ok(());
                }
                operation(client.set_data(path, data, Some(stat.version))).await.map(drop)
            }
            // There is nothing to take back.
            Err(zk::Error::NoNode) if notice.over => return Ok(()),
            Err(zk::Error::NoNode) => {
                match operation(client.create(path, data, &DIRECTORY)).await.map(drop) {
                    Err(zk::Error::NoNode) => {
                        operation(client.mkdir(dir, &DIRECTORY)).await?;
                        continue;
                    }
                    created => created,
                }
            }
            Err(error) => Err(error),
        };
        match written {
            // Somebody was faster; deleted meanwhile: once more.
            Err(zk::Error::NodeExists | zk::Error::NoNode) => {}
            Ok(()) | Err(zk::Error::BadVersion) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
    Err(Failure::Unknown("it changes faster than it can be written".to_owned()))
}

/// How far the clocks of the node and of this machine are apart.
fn age(written_ms: i64, now: SystemTime) -> Duration {
    let written = Duration::from_millis(u64::try_from(written_ms).unwrap_or_default());
    now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().abs_diff(written)
}

/// Whether `notice` is to replace what was written `age` ago; `held` is `None` when that cannot be
/// read. Pure.
fn is_news(notice: &Notice, held: Option<&EventData>, age: Duration) -> bool {
    match held {
        // Only its own word is a client's to take back.
        Some(held) if notice.over => held.client == notice.client && !held.over,
        Some(held) => held.client == notice.client || held.over || age >= notice.window,
        None => !notice.over,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_mins(1);

    fn notice(over: bool) -> Notice {
        let (service, client) = ("demo.Chat".to_owned(), "me".to_owned());
        Notice { service, client, over, window: WINDOW, json: String::new() }
    }

    fn held(client: &str, over: bool) -> EventData {
        EventData { client: client.to_owned(), over }
    }

    #[test]
    fn a_node_is_written_once_per_window_however_many_clients_there_are() {
        let (full, new, old) = (notice(false), Duration::from_secs(59), WINDOW);
        assert!(!is_news(&full, Some(&held("another", false)), new));
        assert!(is_news(&full, Some(&held("another", false)), old));
        assert!(is_news(&full, Some(&held("another", true)), new));
        assert!(is_news(&full, Some(&held("me", false)), new));
        assert!(is_news(&full, None, new));
    }

    #[test]
    fn a_client_takes_back_its_own_word_alone() {
        let over = notice(true);
        assert!(is_news(&over, Some(&held("me", false)), WINDOW));
        for held in [Some(held("another", false)), Some(held("me", true)), None] {
            assert!(!is_news(&over, held.as_ref(), WINDOW), "{held:?}");
        }
    }

    #[test]
    fn a_clock_that_is_ahead_makes_nothing_new_for_ever() {
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        assert_eq!(age(5_000, at(65)), WINDOW);
        assert_eq!(age(65_000, at(5)), WINDOW);
        assert_eq!(age(-1, at(5)), Duration::from_secs(5));
    }
}
