//! Serves `Chat`: keeps the last messages that it was sent.

use crate::node;
use demo_api::chat::{Chat, ChatError, Delivery, Messages};
use rpc_core::rpc_service;
use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
};

/// Messages that are kept.
const KEPT: usize = 100;
/// Who can be written to.
const READERS: [&str; 2] = ["ada", "grace"];
/// Who exists, but reads nothing.
const MUTED: &str = "linus";

/// A chat room. The program hands one to the server with `.service(..)`.
#[derive(Debug, Default)]
pub(crate) struct Room {
    messages: Mutex<Log>,
}

#[derive(Debug, Default)]
struct Log {
    taken: u64,
    /// The newest first.
    last: VecDeque<String>,
}

#[rpc_service]
impl Chat for Room {
    async fn send(&self, key: &str, text: &str) -> Result<Delivery, ChatError> {
        let by = node::begin(key).await?;
        Ok(Delivery { number: self.take(text), by })
    }

    async fn send_to(&self, key: &str, user: &str, text: &str) -> Result<Delivery, ChatError> {
        let by = node::begin(key).await?;
        if user == MUTED {
            return Err(ChatError::Muted(user.to_owned()));
        }
        if !READERS.contains(&user) {
            return Err(ChatError::NoSuchUser(user.to_owned()));
        }
        Ok(Delivery { number: self.take(&format!("to {user}: {text}")), by })
    }

    async fn latest(&self, key: &str, count: u32) -> Result<Messages, ChatError> {
        let by = node::begin(key).await?;
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        Ok(Messages { texts: self.with(|log| log.last.iter().take(count).cloned().collect()), by })
    }
}

impl Room {
    /// Keeps a message; how many have been taken by then.
    fn take(&self, text: &str) -> u64 {
        self.with(|log| {
            log.taken += 1;
            log.last.push_front(text.to_owned());
            log.last.truncate(KEPT);
            log.taken
        })
    }

    fn with<R>(&self, f: impl FnOnce(&mut Log) -> R) -> R {
        // Each change is complete before anything in it can panic.
        f(&mut self.messages.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
