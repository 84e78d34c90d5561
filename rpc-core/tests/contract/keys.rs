//! What a method's `hash_key` makes of the arguments of a call.

use rpc_core::{BoxFuture, Call, Invoke, Proxy, RawReply, RpcCode, RpcError, rpc_client};
use serde::{Deserialize, Serialize, Serializer};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

/// An id in a type of its own.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct UserId(u64);

/// Refuses to be written.
#[derive(Debug, Deserialize)]
pub(crate) struct Unwritable;

impl Serialize for Unwritable {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom("not today"))
    }
}

#[rpc_client(name = "test.Keys")]
pub(crate) trait Keys {
    #[rpc(hash_key = user)]
    async fn text(&self, before: u8, user: &str, after: Vec<u8>) -> rpc_core::Result<()>;
    #[rpc(hash_key = r#type)]
    async fn owned(&self, r#type: String) -> rpc_core::Result<()>;
    #[rpc(hash_key = n)]
    async fn small(&self, n: i8) -> rpc_core::Result<()>;
    #[rpc(hash_key = n)]
    async fn large(&self, n: u64) -> rpc_core::Result<()>;
    #[rpc(hash_key = user)]
    async fn id(&self, user: &UserId) -> rpc_core::Result<()>;
    #[rpc(hash_key = user)]
    async fn maybe(&self, user: Option<&str>) -> rpc_core::Result<()>;
    #[rpc(hash_key = data)]
    async fn bytes(&self, data: &[u8]) -> rpc_core::Result<()>;
    #[rpc(hash_key = map)]
    async fn map(&self, map: BTreeMap<String, u8>) -> rpc_core::Result<()>;
    #[rpc(hash_key = user)]
    async fn tricky(&self, user: Unwritable) -> rpc_core::Result<()>;
    #[rpc(hash_key = user)]
    async fn beside(&self, user: &str, rest: Unwritable) -> rpc_core::Result<()>;
    async fn none(&self, user: &str) -> rpc_core::Result<()>;
}

/// What an argument came to.
type Key = Result<Option<Vec<u8>>, RpcError>;

/// Notes the keys of its calls and answers none.
#[derive(Default)]
struct Recorder(Mutex<Vec<Key>>);

impl Invoke for Recorder {
    fn invoke<'a>(&'a self, call: Call<'a>) -> BoxFuture<'a, Result<RawReply, RpcError>> {
        let mut key = b"what was there".to_vec();
        let named = call.args.key(call.service.codec, &mut key);
        let key = named.map(|named| {
            assert!(key.starts_with(b"what was there"), "only appended to");
            let key = key.split_off(14);
            assert!(named || key.is_empty());
            named.then_some(key)
        });
        self.0.lock().unwrap().push(key);
        Box::pin(async { Err(RpcError::unavailable("nobody is there")) })
    }
}

/// The key of one call.
async fn key<F: Future<Output = rpc_core::Result<()>>>(call: impl FnOnce(KeysClient) -> F) -> Key {
    let recorder = Arc::new(Recorder::default());
    let client = KeysClient::from(Proxy::new(Arc::clone(&recorder) as Arc<dyn Invoke>));
    let _ = call(client).await;
    recorder.0.lock().unwrap().pop().unwrap()
}

/// The key of one call, as text.
macro_rules! text {
    ($call:expr) => {
        String::from_utf8(key($call).await.unwrap().unwrap()).unwrap()
    };
}

#[tokio::test]
async fn strings_and_integers_are_the_keys_that_a_caller_would_write() {
    assert_eq!(text!(async |c: KeysClient| c.text(1, "user-7", vec![2]).await), "user-7");
    assert_eq!(text!(async |c: KeysClient| c.owned("user-7".into()).await), "user-7");
    let long = "u".repeat(70_000);
    assert_eq!(text!(async |c: KeysClient| c.owned(long.clone()).await), long);
    assert_eq!(text!(async |c: KeysClient| c.owned(String::new()).await), "");
    assert_eq!(text!(async |c: KeysClient| c.small(-7).await), "-7");
    assert_eq!(text!(async |c: KeysClient| c.large(7).await), "7");
    assert_eq!(text!(async |c: KeysClient| c.large(u64::MAX).await), u64::MAX.to_string());
    assert_eq!(text!(async |c: KeysClient| c.id(&UserId(4711)).await), "4711");
    assert_eq!(text!(async |c: KeysClient| c.maybe(Some("user-7")).await), "user-7");
}

#[tokio::test]
async fn other_values_are_their_encoding() {
    let bytes = key(async |c: KeysClient| c.bytes(&[1, 2]).await).await.unwrap();
    assert_eq!(bytes.unwrap(), [0xc4, 2, 1, 2]);
    let map = BTreeMap::from([("b".to_owned(), 2), ("a".to_owned(), 1)]);
    let map = key(async |c: KeysClient| c.map(map).await).await.unwrap();
    assert_eq!(map.unwrap(), [0x82, 0xa1, b'a', 1, 0xa1, b'b', 2]);
}

#[tokio::test]
async fn no_argument_and_an_empty_one_are_no_key() {
    assert_eq!(key(async |c: KeysClient| c.none("user-7").await).await, Ok(None));
    assert_eq!(key(async |c: KeysClient| c.maybe(None).await).await, Ok(None));
}

#[tokio::test]
async fn only_the_key_is_encoded_and_its_refusal_names_it() {
    let key_beside = key(async |c: KeysClient| c.beside("user-7", Unwritable).await).await;
    assert_eq!(key_beside, Ok(Some(b"user-7".to_vec())));
    let e = key(async |c: KeysClient| c.tricky(Unwritable).await).await.unwrap_err();
    assert_eq!(e.code(), RpcCode::InvalidArgument);
    assert!(e.message().contains("`user`") && e.message().contains("not today"), "{e}");
}
