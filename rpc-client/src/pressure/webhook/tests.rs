//! A webhook against listeners that answer well, badly, without end, or not at all.

use super::*;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

#[test]
fn urls_are_taken_apart() {
    let parts = |url: &str| {
        let hook = Webhook::parse(url).unwrap();
        (hook.authority, hook.host, hook.port, hook.target.to_string())
    };
    let own = |a: &str, b: &str, port, d: &str| (a.to_owned(), b.to_owned(), port, d.to_owned());
    assert_eq!(
        parts("http://alerts:8080/rpc?team=a%20b"),
        own("alerts:8080", "alerts", 8080, "/rpc?team=a%20b")
    );
    assert_eq!(parts("http://alerts"), own("alerts", "alerts", 80, "/"));
    assert_eq!(parts("http://[::1]:9/x"), own("[::1]:9", "::1", 9, "/x"));
}

#[test]
fn a_refusal_says_what_to_write() {
    for url in [
        "",
        "alerts:8080/x",
        "/x",
        "ftp://alerts/x",
        "http://",
        "http:///x",
        "http://alerts:0/",
        "http://alerts:70000/",
        "http://alerts:/",
        "http://a b/",
        "http://alerts/a b",
        "http://alerts/\r\nX: y",
        "http://user:word@alerts/",
    ] {
        let text = Webhook::parse(url).unwrap_err().to_string();
        assert!(text.contains("write http://host:port/path"), "{url}: {text}");
    }
    let text = Webhook::parse("https://alerts/").unwrap_err().to_string();
    assert!(text.contains("`pressure_command`"), "{text}");
}

/// A webhook and who listens there.
async fn webhook() -> (Webhook, TcpListener) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let webhook =
        Webhook::parse(&format!("http://{}/secret?a=b", listener.local_addr().unwrap())).unwrap();
    (webhook, listener)
}

/// The next request, up to the end of its body `{}`.
async fn request(listener: &TcpListener) -> (String, TcpStream) {
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut text = Vec::new();
    while !text.ends_with(b"{}") {
        assert_ne!(stream.read_buf(&mut text).await.unwrap(), 0);
    }
    (String::from_utf8(text).unwrap(), stream)
}

/// What comes of a post that is answered with these bytes, after which the connection ends.
async fn answered(bytes: &[u8]) -> Result<(), String> {
    let (webhook, listener) = webhook().await;
    let serve = async {
        let (_, mut stream) = request(&listener).await;
        // Who has read enough may have gone.
        let _ = stream.write_all(bytes).await;
    };
    tokio::join!(webhook.post("{}"), serve).0
}

#[tokio::test]
async fn an_event_is_posted_as_json_and_the_body_of_the_answer_is_not_waited_for() {
    let (webhook, listener) = webhook().await;
    let serve = async {
        let (text, mut stream) = request(&listener).await;
        stream.write_all(b"HTTP/1.1 204 No Content\r\ncontent-length: 9\r\n\r\n").await.unwrap();
        (text, stream)
    };
    let (posted, (text, _stream)) = tokio::join!(webhook.post("{}"), serve);
    assert_eq!(posted, Ok(()));
    let text = text.to_ascii_lowercase();
    let host = format!("\r\nhost: {}\r\n", webhook.authority);
    for words in ["post /secret?a=b http/1.1\r\n", &host, "\r\ncontent-type: application/json\r\n"]
    {
        assert!(text.contains(words), "{words}: {text}");
    }
    assert!(text.contains("\r\ncontent-length: 2\r\n"), "{text}");
}

#[tokio::test]
async fn what_is_no_success_is_told_without_the_path() {
    let status = |status| format!("HTTP/1.1 {status} x\r\ncontent-length: 0\r\n\r\n").into_bytes();
    assert_eq!(answered(&status(200)).await, Ok(()));
    for bad in [301, 404, 500] {
        let why = answered(&status(bad)).await.unwrap_err();
        assert!(
            why.ends_with(&format!(": the answer is {bad}")) && !why.contains("secret"),
            "{why}"
        );
    }
    // No HTTP, a head without an end, and nothing at all.
    let endless = format!("HTTP/1.1 200 OK\r\nx: {}", "y".repeat(1_000_000)).into_bytes();
    for bytes in [b"SSH-2.0-x\r\n".to_vec(), endless, Vec::new()] {
        assert!(answered(&bytes).await.is_err());
    }
    let (webhook, listener) = webhook().await;
    drop(listener);
    assert!(webhook.post("{}").await.unwrap_err().contains("refused"));
}

#[tokio::test]
async fn who_never_answers_is_given_up() {
    let (mut webhook, listener) = webhook().await;
    webhook.limit = Duration::from_millis(200);
    let why = webhook.post("{}").await.unwrap_err();
    assert!(why.ends_with(": no answer within 200ms"), "{why}");
    drop(listener);
}
