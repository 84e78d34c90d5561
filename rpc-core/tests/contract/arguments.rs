//! Every form of argument that a contract may have, there and back.

use crate::loopback::{client, client_with, serve};
use rpc_core::{
    Outcome, RpcCode, rpc_client, rpc_service,
    service::{HandlerAnswer, Provided, registrations},
};
use serde::{Deserialize, Serialize};
use std::{borrow::Cow, cell::Cell, collections::HashMap};

/// A type of the user's own.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Point {
    /// Right.
    pub x: i32,
    /// Down.
    pub y: i32,
}

/// A borrowing type of the user's own.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Line<'a> {
    /// Its text.
    pub text: &'a str,
    /// Where it is.
    pub at: Option<Point>,
}

/// Aliases stand for what they name, also where a syntax tree does not show it.
pub(crate) type Name<'a> = &'a str;
/// Bytes by another name.
pub(crate) type Raw<'a> = &'a [u8];
/// Maybe bytes by another name.
pub(crate) type MaybeRaw<'a> = Option<&'a [u8]>;
/// A referent by another name.
pub(crate) type PointRef<'a> = &'a Point;
/// A slice by another name.
pub(crate) type Points<'a> = &'a [Point];

/// `Send` and not `Sync`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct NotSync(pub Cell<u32>);

/// One method for each group of forms.
#[rpc_client(name = "test.Forms")]
pub(crate) trait Forms {
    /// Strings.
    async fn strings(
        &self,
        owned: String,
        borrowed: &str,
        maybe: Option<&str>,
        many: Vec<&str>,
        cow: Cow<'_, str>,
        alias: Name<'_>,
    ) -> rpc_core::Result<String>;

    /// Bytes.
    async fn bytes(
        &self,
        borrowed: &[u8],
        maybe: Option<&[u8]>,
        owned: Vec<u8>,
        boxed: Box<[u8]>,
        cow: Cow<'_, [u8]>,
        alias: Raw<'_>,
        maybe_alias: MaybeRaw<'_>,
        maybe_owned: Option<Vec<u8>>,
    ) -> rpc_core::Result<Vec<u8>>;

    /// Types of the user's.
    async fn values(
        &self,
        value: Point,
        lent: &Point,
        slice: &[Point],
        map: &HashMap<&str, u32>,
        tuple: (u8, &str, Option<Point>),
        line: Line<'_>,
        lent_alias: PointRef<'_>,
        slice_alias: Points<'_>,
        r#type: u32,
    ) -> rpc_core::Result<i64>;

    /// References to what has no form of its own.
    async fn more(&self, list: &Vec<u8>, text: &String, number: &u64) -> rpc_core::Result<u64>;

    /// Options.
    async fn optional(&self, a: Option<u32>, b: Option<&str>) -> rpc_core::Result<String>;

    /// Needs `Send` alone.
    async fn not_sync(&self, value: NotSync) -> rpc_core::Result<u32>;

    /// Nothing at all.
    async fn none(&self) -> rpc_core::Result<()>;

    /// More than are located without allocating.
    async fn twelve(
        &self,
        a: u8,
        b: u8,
        c: u8,
        d: u8,
        e: u8,
        f: u8,
        g: u8,
        h: u8,
        i: u8,
        j: u8,
        k: u8,
        l: u8,
    ) -> rpc_core::Result<Vec<u8>>;

    /// Names that generated code might use too.
    async fn shadows(
        &self,
        self_: u8,
        call: u8,
        service: u8,
        payload: u8,
        __args: u8,
        __request: u8,
        __writer: u8,
        __arg0: u8,
        proxy: u8,
    ) -> rpc_core::Result<u32>;
}

#[derive(Default)]
struct Provider;

#[rpc_service]
impl Forms for Provider {
    async fn strings(
        &self,
        owned: String,
        borrowed: &str,
        maybe: Option<&str>,
        many: Vec<&str>,
        cow: Cow<'_, str>,
        alias: Name<'_>,
    ) -> rpc_core::Result<String> {
        tokio::task::yield_now().await;
        Ok(format!("{owned} {borrowed} {maybe:?} {many:?} {cow} {alias}"))
    }

    async fn bytes(
        &self,
        borrowed: &[u8],
        maybe: Option<&[u8]>,
        owned: Vec<u8>,
        boxed: Box<[u8]>,
        cow: Cow<'_, [u8]>,
        alias: Raw<'_>,
        maybe_alias: MaybeRaw<'_>,
        maybe_owned: Option<Vec<u8>>,
    ) -> rpc_core::Result<Vec<u8>> {
        tokio::task::yield_now().await;
        let present = |is: bool| if is { &[1][..] } else { &[0] };
        let owned_maybe = maybe_owned.as_deref();
        Ok([
            borrowed,
            present(maybe.is_some()),
            maybe.unwrap_or_default(),
            &owned,
            &boxed,
            &cow,
            alias,
            present(maybe_alias.is_some()),
            maybe_alias.unwrap_or_default(),
            present(owned_maybe.is_some()),
            owned_maybe.unwrap_or_default(),
        ]
        .concat())
    }

    async fn values(
        &self,
        value: Point,
        lent: &Point,
        slice: &[Point],
        map: &HashMap<&str, u32>,
        tuple: (u8, &str, Option<Point>),
        line: Line<'_>,
        lent_alias: PointRef<'_>,
        slice_alias: Points<'_>,
        r#type: u32,
    ) -> rpc_core::Result<i64> {
        tokio::task::yield_now().await;
        assert_eq!((tuple.0, tuple.1, line.text), (7, "seven", "a line"));
        let points = [value, lent.clone(), lent_alias.clone()]
            .into_iter()
            .chain(slice.iter().cloned())
            .chain(slice_alias.iter().cloned())
            .chain(tuple.2)
            .chain(line.at);
        let sum: i32 = points.map(|p| p.x + p.y).sum();
        Ok(i64::from(sum) + i64::from(map["one"]) + i64::from(r#type))
    }

    async fn more(&self, list: &Vec<u8>, text: &String, number: &u64) -> rpc_core::Result<u64> {
        tokio::task::yield_now().await;
        Ok((list.len() + text.len()) as u64 + number)
    }

    async fn optional(&self, a: Option<u32>, b: Option<&str>) -> rpc_core::Result<String> {
        Ok(format!("{a:?} {b:?}"))
    }

    async fn not_sync(&self, value: NotSync) -> rpc_core::Result<u32> {
        Ok(value.0.get())
    }

    async fn none(&self) -> rpc_core::Result<()> {
        Ok(())
    }

    async fn twelve(
        &self,
        a: u8,
        b: u8,
        c: u8,
        d: u8,
        e: u8,
        f: u8,
        g: u8,
        h: u8,
        i: u8,
        j: u8,
        k: u8,
        l: u8,
    ) -> rpc_core::Result<Vec<u8>> {
        Ok(vec![a, b, c, d, e, f, g, h, i, j, k, l])
    }

    async fn shadows(
        &self,
        self_: u8,
        call: u8,
        service: u8,
        payload: u8,
        __args: u8,
        __request: u8,
        __writer: u8,
        __arg0: u8,
        proxy: u8,
    ) -> rpc_core::Result<u32> {
        let all = [self_, call, service, payload, __args, __request, __writer, __arg0, proxy];
        Ok(all.into_iter().fold(0, |sum, digit| sum * 10 + u32::from(digit)))
    }
}

async fn forms() -> FormsClient {
    client::<Provider, FormsClient>().await
}

#[tokio::test]
async fn strings_travel_owned_and_borrowed() {
    let text = String::from("text");
    let told = forms()
        .await
        .strings("a".into(), &text, Some(&text), vec!["b", &text], Cow::from("c"), "d")
        .await
        .unwrap();
    assert_eq!(told, r#"a text Some("text") ["b", "text"] c d"#);
}

#[tokio::test]
async fn bytes_travel_in_every_form() {
    let told = forms()
        .await
        .bytes(
            &[1],
            Some(&[2]),
            vec![3],
            Box::new([4]),
            Cow::from(vec![5]),
            &[6],
            Some(&[7]),
            Some(vec![8]),
        )
        .await
        .unwrap();
    assert_eq!(told, [1, 1, 2, 3, 4, 5, 6, 1, 7, 1, 8]);
}

#[tokio::test]
async fn empty_bytes_stay_empty_and_present() {
    let empty: &[u8] = &[];
    let told = forms()
        .await
        .bytes(
            empty,
            Some(empty),
            vec![],
            Box::default(),
            Cow::from(empty),
            empty,
            Some(empty),
            Some(vec![]),
        )
        .await
        .unwrap();
    assert_eq!(told, [1, 1, 1]);
    let told = forms()
        .await
        .bytes(empty, None, vec![], Box::default(), Cow::from(empty), empty, None, None)
        .await
        .unwrap();
    assert_eq!(told, [0, 0, 0]);
}

#[tokio::test]
async fn values_travel_by_value_and_by_reference() {
    let p = Point { x: 1, y: 2 };
    let many = vec![p.clone(), p.clone()];
    let map = HashMap::from([("one", 1000)]);
    let line = Line { text: "a line", at: Some(p.clone()) };
    let tuple = (7, "seven", Some(p.clone()));
    let sum = forms()
        .await
        .values(p.clone(), &p, &many, &map, tuple, line, &p, &many, 40_000)
        .await
        .unwrap();
    assert_eq!(sum, 9 * 3 + 1000 + 40_000);
}

#[tokio::test]
async fn references_to_owned_types_travel() {
    assert_eq!(forms().await.more(&vec![1, 2], &"abc".to_owned(), &10).await.unwrap(), 15);
}

#[tokio::test]
async fn arguments_need_send_alone() {
    assert_eq!(forms().await.not_sync(NotSync(Cell::new(5))).await.unwrap(), 5);
}

#[tokio::test]
async fn no_argument_and_twelve() {
    forms().await.none().await.unwrap();
    let told = forms().await.twelve(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12).await.unwrap();
    assert_eq!(told, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
}

#[tokio::test]
async fn names_of_generated_code_are_free_to_use() {
    assert_eq!(forms().await.shadows(1, 2, 3, 4, 5, 6, 7, 8, 9).await.unwrap(), 123_456_789);
}

#[tokio::test]
async fn arguments_are_kept_and_encoded_again_for_each_attempt() {
    let forms = client_with::<Provider, FormsClient>(3).await;
    assert_eq!(forms.optional(Some(1), Some("b")).await.unwrap(), r#"Some(1) Some("b")"#);
}

/// The answer of `optional` to these arguments.
async fn optional(arguments: &impl Serialize) -> Result<String, rpc_core::RpcError> {
    let mut body = Vec::new();
    rpc_core::codec::Codec::Named.encode(arguments, &mut body).unwrap();
    raw("optional", &body).await
}

async fn raw<T: serde::de::DeserializeOwned>(
    method: &str,
    body: &[u8],
) -> Result<T, rpc_core::RpcError> {
    let all = registrations();
    let registration = all.iter().find(|r| r.meta().name == "test.Forms").unwrap();
    let instance = registration.make(&Provided::default()).await.unwrap();
    match serve(&registration.bind(instance).unwrap(), method, body).await {
        Ok(HandlerAnswer::Ok(body)) => rpc_core::codec::Codec::Named.decode(&body),
        Err(error) => Err(error),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_missing_option_is_none_and_an_unknown_argument_is_ignored() {
    let none: HashMap<&str, u32> = HashMap::new();
    assert_eq!(optional(&none).await.unwrap(), "None None");
    let later = HashMap::from([("a", 1), ("added later", 2)]);
    assert_eq!(optional(&later).await.unwrap(), "Some(1) None");
}

#[tokio::test]
async fn arguments_are_found_in_any_order() {
    assert_eq!(
        raw::<String>("optional", b"\x82\xa1b\xa1x\xa1a\x05").await.unwrap(),
        r#"Some(5) Some("x")"#
    );
}

#[tokio::test]
async fn mistakes_in_arguments_name_the_argument() {
    let cases: &[(&str, &[u8], &str)] = &[
        ("optional", b"\x81\xa1a\xa1x", "argument `a`: "),
        ("more", b"\x80", "argument `list` is missing"),
        ("optional", b"\x82\xa1a\x01\xa1a\x02", "argument `a` was given twice"),
        ("optional", b"\x92\x01\x02", "the arguments are malformed: they are not a map"),
        ("optional", b"\x81\x01\x02", "the arguments are malformed: a name is not a string"),
        ("optional", b"\x81\xa1a", "the arguments are malformed: "),
        ("optional", b"\x80\x80", "the arguments are malformed: "),
        ("none", b"\x90", "the arguments are malformed: they are not a map"),
        ("optional", b"", "the arguments are malformed: "),
    ];
    for (method, body, text) in cases {
        let error = raw::<String>(method, body).await.unwrap_err();
        assert_eq!(error.code(), RpcCode::InvalidArgument);
        assert!(error.message().starts_with(text), "{} for {body:?}", error.message());
    }
}

#[tokio::test]
async fn bytes_are_taken_from_an_array_of_numbers_too() {
    assert_eq!(raw("more", b"\x83\xa4list\x92\x01\x02\xa4text\xa0\xa6number\x00").await, Ok(2));
}

/// Refuses to be written.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Stubborn;

impl Serialize for Stubborn {
    fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom("never"))
    }
}

/// Takes and gives what can't be written.
#[rpc_client]
pub(crate) trait Unwritable {
    /// Takes.
    async fn take(&self, it: Stubborn) -> rpc_core::Result<()>;
    /// Gives.
    async fn give(&self) -> rpc_core::Result<Stubborn>;
}

#[derive(Default)]
struct Unwriting;

#[rpc_service]
impl Unwritable for Unwriting {
    async fn take(&self, _: Stubborn) -> rpc_core::Result<()> {
        Ok(())
    }

    async fn give(&self) -> rpc_core::Result<Stubborn> {
        Ok(Stubborn)
    }
}

#[tokio::test]
async fn what_serde_refuses_to_write_is_an_error_that_names_it() {
    let client: UnwritableClient = client::<Unwriting, _>().await;
    let error = client.take(Stubborn).await.unwrap_err();
    assert_eq!((error.code(), error.outcome()), (RpcCode::InvalidArgument, Outcome::NotSent));
    assert!(error.message().starts_with("argument `it` can't be encoded: "), "{error}");
    let error = client.give().await.unwrap_err();
    assert_eq!((error.code(), error.outcome()), (RpcCode::Internal, Outcome::Ran));
    assert!(error.message().contains("never"), "{error}");
}
