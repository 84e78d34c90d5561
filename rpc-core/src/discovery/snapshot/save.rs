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

/// What the file is to hold.
#[derive(Debug, Clone, Default)]
pub(super) struct Wanted {
    /// `None`: whatever it holds.
    pub(super) content: Option<Content>,
    /// The registry can be read, and says so now.
    pub(super) holds: bool,
}

/// Writes the newest of the lists that it is sent, not more often than once a second.
pub(super) struct Saver {
    page: Page,
    wanted: watch::Receiver<Wanted>,
}

impl Saver {
    /// What takes lists, and what writes them.
    pub(super) fn new(page: Page) -> (watch::Sender<Wanted>, Self) {
        let (sender, wanted) = watch::channel(Wanted::default());
        (sender, Self { page, wanted })
    }

    /// Runs until there will be no more lists.
    pub(super) async fn run(mut self) {
        let mut written: Option<Content> = None;
        let mut failing = false;
        let mut next = Instant::now();
        let mut confirm = next + defaults::SNAPSHOT_CONFIRM;
        loop {
            let confirms = tokio::select! {
                changed = self.wanted.changed(), if !failing => match changed {
                    Ok(()) => false,
                    Err(_) => return,
                },
                () = sleep_until(next), if failing => false,
                () = sleep_until(confirm) => true,
            };
            if confirms {
                confirm = Instant::now() + defaults::SNAPSHOT_CONFIRM;
            }
            // What changes while this waits, or while the file is written, is one write.
            sleep_until(next).await;
            let Wanted { content, holds } = self.wanted.borrow_and_update().clone();
            let is_new = |content: &Content| written.as_ref() != Some(content);
            let content = content.filter(|content| is_new(content) || confirms && holds);
            let Some(content) = content else {
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
