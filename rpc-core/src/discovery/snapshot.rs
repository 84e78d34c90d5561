//! What a registry listed last, kept in files for a start without it.
//!
//! [`SnapshotRegistry`] stands before another registry. It passes views on, keeps the newest list
//! of each service in a file (`folder`, `content`), and offers that list while the registry has
//! not been read since the start. A list from a file proves nothing: who uses it has to ask each
//! address who is there, see [`Source::Snapshot`].

mod content;
mod folder;
mod save;
#[cfg(all(test, unix))]
mod tests;

use self::{
    content::Content,
    folder::Folder,
    save::{Saver, Wanted},
};
use super::{
    Announcement, Notice, Register, Registered, Registry, Source, Subscription, View, Watch, names,
};
use crate::{SetupError, defaults, future::BoxFuture, wire::fnv1a_64};
use std::{
    collections::BTreeMap,
    fmt,
    path::Path,
    sync::Arc,
    time::{Duration, SystemTime},
};
use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

/// A registry whose lists are kept in a directory, for clients that start while it is away.
///
/// Each service has a file of its own, named after the service and the
/// [identity](Watch::identity) of the registry. It is written beside the calls, when a list has
/// changed, at most once a second, and each hour in which it has not, so that its age is that of the
/// knowledge. It is replaced in one step; several processes may share the directory. A list without any instance is not kept: the one before it is more likely to help.
///
/// When the registry has not been read within 200 ms, the list in the file is published with
/// [`Source::Snapshot`]; the first list that is read replaces it for good. A file that is broken,
/// over 4 MiB, of another registry or of another service is ignored with a warning.
///
/// A registry without an identity, such as `static://` and `memory://`, has nothing to remember
/// and is passed on as it is.
#[derive(Clone)]
pub struct SnapshotRegistry {
    inner: Arc<dyn Registry>,
    folder: Arc<Folder>,
}

impl SnapshotRegistry {
    /// Keeps the lists of `registry` in `directory`, which is made, for its user alone, if it is
    /// not there.
    ///
    /// # Errors
    ///
    /// The directory cannot be made or written, or others may write in it or own it: whoever can
    /// write a snapshot decides where calls go.
    pub fn new(
        registry: Arc<dyn Registry>,
        directory: impl AsRef<Path>,
    ) -> Result<Self, SetupError> {
        Ok(Self { inner: registry, folder: Arc::new(Folder::open(directory.as_ref())?) })
    }
}

impl Register for SnapshotRegistry {
    fn register(&self, announcement: Announcement) -> Box<dyn Registered> {
        self.inner.register(announcement)
    }

    fn hosts(&self) -> Vec<String> {
        self.inner.hosts()
    }
}

impl Watch for SnapshotRegistry {
    fn watch(&self, service: &str) -> Subscription {
        let inner = self.inner.watch(service);
        let Some(registry) = self.inner.identity() else { return inner };
        // The name of the file begins with the service's.
        if names::check_registered_name(service).is_err() {
            return inner;
        }
        let page = Page {
            folder: Arc::clone(&self.folder),
            file: file_name(&registry, service),
            registry,
            service: service.to_owned(),
        };
        let (view, seen) = watch::channel(inner.current());
        let end = CancellationToken::new();
        tokio::spawn(end.clone().run_until_cancelled_owned(run(page, inner, view)));
        Subscription::new(seen, Some(end.drop_guard()))
    }

    fn identity(&self) -> Option<String> {
        self.inner.identity()
    }

    fn tell(&self, notice: Notice) -> BoxFuture<'static, Result<(), String>> {
        self.inner.tell(notice)
    }
}

impl fmt::Debug for SnapshotRegistry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SnapshotRegistry").field("folder", &self.folder).finish_non_exhaustive()
    }
}

/// For example `demo-api.Chat-8f3c2a9e11d04b7c.json`.
fn file_name(registry: &str, service: &str) -> String {
    let hash = fnv1a_64(format!("{registry}\n{service}").as_bytes());
    format!("{service}-{hash:016x}.json")
}

/// Where the list of one service is kept.
#[derive(Debug, Clone)]
struct Page {
    folder: Arc<Folder>,
    file: String,
    registry: String,
    service: String,
}

impl Page {
    /// What the file holds and when it was written; `None` when there is none.
    ///
    /// # Errors
    ///
    /// Why it cannot be used.
    fn read(&self) -> Result<Option<(Content, SystemTime)>, String> {
        match self.folder.read(&self.file) {
            Ok(Some(bytes)) => content::decode(&bytes, &self.registry, &self.service).map(Some),
            Ok(None) => Ok(None),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Makes the file hold `content`, unless it does already, and was confirmed lately.
    fn write(&self, content: &Content) -> Result<(), String> {
        let now = SystemTime::now();
        let lately =
            |written| now.duration_since(written).is_ok_and(|age| age < defaults::SNAPSHOT_CONFIRM);
        if matches!(self.read(), Ok(Some((held, at))) if held == *content && lately(at)) {
            return Ok(());
        }
        let bytes = content::encode(content, &self.registry, &self.service, now);
        self.folder.write(&self.file, &bytes).map_err(|error| error.to_string())
    }

    fn path(&self) -> String {
        self.folder.path(&self.file).display().to_string()
    }
}

/// A snapshot that was found.
struct Found {
    content: Content,
    age: Duration,
    read: Instant,
}

/// The task of a subscription.
async fn run(page: Page, inner: Subscription, view: watch::Sender<View>) {
    let (save, saver) = Saver::new(page.clone());
    tokio::join!(forward(page, inner, view, save), saver.run());
}

/// Passes views on; before the first list of the registry is there, with the one of the snapshot.
async fn forward(
    page: Page,
    mut inner: Subscription,
    view: watch::Sender<View>,
    save: watch::Sender<Wanted>,
) {
    let offer_at = Instant::now() + defaults::SNAPSHOT_AFTER;
    let mut offer = std::pin::pin!(async {
        let found = read(page).await;
        sleep_until(offer_at).await;
        found
    });
    let (mut offered, mut waiting, mut ended) = (None::<Found>, true, false);
    loop {
        let mut current = inner.current();
        if matches!(current.source, Source::Connecting { .. }) {
            if let Some(found) = &offered {
                current = remembered(current, found);
            }
        } else {
            (offered, waiting) = (None, false);
            if matches!(current.source, Source::Live { .. }) {
                save.send_replace(Wanted { content: Content::of(&current), holds: true });
            } else {
                save.send_modify(|wanted| wanted.holds = false);
            }
        }
        view.send_replace(current);
        if ended && !waiting {
            return;
        }
        // Cancel safe: the offer is kept, and no view is lost.
        tokio::select! {
            changed = inner.changed(), if !ended => ended = changed.is_none(),
            found = &mut offer, if waiting => (offered, waiting) = (found, false),
        }
    }
}

/// What the file holds. Files are read where they may block.
async fn read(page: Page) -> Option<Found> {
    let path = page.path();
    let (content, written) = match tokio::task::spawn_blocking(move || page.read()).await.ok()? {
        Ok(found) => found?,
        Err(why) => {
            tracing::warn!(path, why, "a snapshot is of no use and ignored");
            return None;
        }
    };
    // A clock that was set back makes no snapshot younger than new.
    let age = SystemTime::now().duration_since(written).unwrap_or_default();
    Some(Found { content, age, read: Instant::now() })
}

/// The view of a registry that has not been read yet, with the list of a snapshot.
fn remembered(view: View, found: &Found) -> View {
    let Source::Connecting { since, reason } = view.source else { return view };
    if view.instances.is_empty() {
        tracing::debug!(place = &*view.place, age = ?found.age, "the list of a snapshot is used");
    }
    let age = found.age.saturating_sub(found.read.saturating_duration_since(since));
    // Operators' settings may have been read already, and those hold.
    let mut weights = BTreeMap::clone(&found.content.weights);
    weights.extend(view.weights.iter());
    View {
        instances: Arc::clone(&found.content.instances),
        disabled: Arc::new(&*found.content.disabled | &*view.disabled),
        weights: Arc::new(weights),
        source: Source::Snapshot { since, reason, age },
        ..view
    }
}
