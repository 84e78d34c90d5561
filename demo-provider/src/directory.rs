//! Serves `Users`: a directory in memory.

use crate::node;
use demo_api::users::{Added, Found, Picture, User, UserError, Users};
use rpc_core::{RpcError, rpc_service};
use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

/// Users that are kept beside the first ones.
const CAPACITY: usize = 100_000;
/// The largest picture, in bytes.
const MAX_PICTURE: usize = 1024 * 1024;

/// A directory of users. Having a `Default`, it needs no mention in the program.
#[derive(Debug)]
pub(crate) struct Directory {
    entries: Mutex<HashMap<String, Entry>>,
}

#[derive(Debug)]
struct Entry {
    name: String,
    /// Of the picture.
    caption: Option<String>,
}

impl Default for Directory {
    fn default() -> Self {
        let first = [("ada", "Ada Lovelace"), ("grace", "Grace Hopper"), ("linus", "Linus T.")];
        let entry = |name: &str| Entry { name: name.to_owned(), caption: None };
        let entries = first.into_iter().map(|(id, name)| (id.to_owned(), entry(name))).collect();
        Self { entries: Mutex::new(entries) }
    }
}

#[rpc_service]
impl Users for Directory {
    async fn find(&self, key: &str, id: &str) -> Result<Found, UserError> {
        let by = node::begin(key).await?;
        let name = self.with(|entries| entries.get(id).map(|entry| entry.name.clone()));
        match name {
            Some(name) => Ok(Found { user: User { id: id.to_owned(), name }, by }),
            None => Err(UserError::Unknown(id.to_owned())),
        }
    }

    async fn add(&self, key: &str, name: String) -> Result<Added, UserError> {
        let by = node::begin(key).await?;
        if name.is_empty() {
            return Err(UserError::NoName);
        }
        let id = self.with(|entries| {
            if entries.len() >= CAPACITY {
                return Err(RpcError::resource_exhausted("the directory is full"));
            }
            let id = format!("user-{}", entries.len());
            entries.insert(id.clone(), Entry { name: name.clone(), caption: None });
            Ok(id)
        })?;
        Ok(Added { user: User { id, name }, by })
    }

    async fn set_picture(
        &self,
        key: &str,
        id: &str,
        picture: &[u8],
        caption: Option<&str>,
    ) -> Result<Picture, UserError> {
        let by = node::begin(key).await?;
        if picture.len() > MAX_PICTURE {
            let text = format!("a picture has at most {MAX_PICTURE} bytes");
            return Err(RpcError::invalid_argument(text).into());
        }
        let caption = self.with(|entries| {
            let entry = entries.get_mut(id)?;
            if let Some(caption) = caption {
                entry.caption = Some(caption.to_owned());
            }
            Some(entry.caption.clone())
        });
        match caption {
            Some(caption) => Ok(Picture { bytes: picture.len() as u64, caption, by }),
            None => Err(UserError::Unknown(id.to_owned())),
        }
    }
}

impl Directory {
    fn with<R>(&self, f: impl FnOnce(&mut HashMap<String, Entry>) -> R) -> R {
        // Each change is a single insertion, or an assignment.
        f(&mut self.entries.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
