//! What a call takes along besides its arguments, and where its key is.

use crate::balance;
use rpc_core::{
    Balance, Call, CallContext, CallOptions, MetadataEntry, RpcError, transport::Body,
    wire::put_metadata,
};

/// The encoded metadata section of a call; empty when it carries none.
pub(super) struct Metadata(pub(super) Vec<u8>);

/// What propagates from the context, under what the options say.
pub(super) fn metadata(context: &CallContext, options: &CallOptions) -> Result<Metadata, RpcError> {
    let own = &options.settings().metadata;
    let inherited = context.entries();
    let mut section = Vec::new();
    if own.is_empty() && inherited.is_empty() {
        return Ok(Metadata(section));
    }
    let hidden = |m: &&MetadataEntry| m.propagates && !own.iter().any(|o| o.key == m.key);
    let mut entries = own.iter().chain(inherited.iter().filter(hidden)).peekable();
    if entries.peek().is_some() {
        put_metadata(&mut section, entries)?;
    }
    Ok(Metadata(section))
}

/// Where the call's key is on the ring, if the strategy has one: that of its options, or of the
/// argument that its method names.
pub(super) fn key(balance: Balance, call: &mut Call<'_>) -> Result<Option<u64>, RpcError> {
    if balance != Balance::ConsistentHash {
        return Ok(None);
    }
    if let Some(key) = &call.options.settings().hash_key {
        return Ok(Some(balance::position(key.as_bytes())));
    }
    // Encoded into memory that is used again.
    let mut key = Body::new();
    let named = call.args.key(call.service.codec, key.buffer())?;
    Ok(named.then(|| balance::position(&key)))
}
