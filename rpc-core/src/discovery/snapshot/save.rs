//! When a snapshot is written.

use super::{Page, content::Content};
use crate::defaults;
use std::time::Duration;
use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};

/// Pause after a write that failed.
const RETRY: Duration = Duration::from_secs(30);

/// Writes the newest of the lists that it is sent, not more often than once a second.
pub(super) struct Saver {
    page: Page,
    wanted: watch::Receiver<Option<Content>>,
}

impl Saver {
    /// What takes lists, and what writes them.
    pub(super) fn new(page: Page) -> (watch::Sender<Option<Content>>, Self) {
        let (sender, wanted) = watch::channel(None);
        (sender, Self { page, wanted })
    }

    /// Runs until there will be no more lists.
    pub(super) async fn run(mut self) {
        let mut written: Option<Content> = None;
        let mut failing = false;
        let mut next = Instant::now();
        // What changes while this waits, or while the file is written, is one write.
        while failing || self.wanted.changed().await.is_ok() {
            sleep_until(next).await;
            let wanted = self.wanted.borrow_and_update().clone();
            let Some(content) = wanted.filter(|wanted| written.as_ref() != Some(wanted)) else {
                failing = false;
                continue;
            };
            let result = self.write(content.clone()).await;
            if let Err(why) = &result
                && !failing
            {
                // Told once, not each time.
                tracing::warn!(path = self.page.path(), why, "no snapshot is written");
            }
            failing = result.is_err();
            next = Instant::now() + if failing { RETRY } else { defaults::SNAPSHOT_EVERY };
            written = result.ok().map(|()| content);
        }
    }

    async fn write(&self, content: Content) -> Result<(), String> {
        let page = self.page.clone();
        let write = tokio::task::spawn_blocking(move || page.write(&content));
        write.await.map_err(|error| error.to_string())?
    }
}
