//! The message that is echoed, and what the harness needs of each peer's form of it.

use serde::{Deserialize, Serialize};

/// A message as this framework, raw-mux and tarpc send it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Echo {
    pub id: u64,
    pub flag: bool,
    #[serde(with = "serde_bytes")]
    pub payload: Vec<u8>,
}

/// Bytes of the calls that run beside the measured ones in the scenario `mixed`. With its other
/// fields the message stays below 4 MiB, the default limit of several peers.
pub const LARGE: usize = 4 * 1024 * 1024 - 1024;

/// What the load loop does with a message, whatever made its type.
pub trait Message: Clone + Send + Sync + 'static {
    fn new(payload: Vec<u8>) -> Self;
    fn set_id(&mut self, id: u64);
    fn id(&self) -> u64;
    fn payload_len(&self) -> usize;
}

/// Implements [`Message`] for a struct with the three fields; its payload is made of a `Vec<u8>`.
macro_rules! impl_message {
    ($type:ty, $id:ty) => {
        impl $crate::message::Message for $type {
            fn new(payload: Vec<u8>) -> Self {
                Self { id: 0, flag: true, payload: payload.into() }
            }

            fn set_id(&mut self, id: u64) {
                self.id = id as $id;
            }

            fn id(&self) -> u64 {
                self.id as u64
            }

            fn payload_len(&self) -> usize {
                self.payload.len()
            }
        }
    };
}
pub(crate) use impl_message;

impl_message!(Echo, u64);
