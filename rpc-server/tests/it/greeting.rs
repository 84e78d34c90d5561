//! Whoever calls here without speaking the protocol gets an answer that it understands.

use crate::support::*;
use rpc_core::wire::{BASE_LIMITS, Limits, PREFACE, next_frame, read_close, read_preface};
use std::net::SocketAddr;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{pause, timeout},
};

/// Everything that the server says to `bytes` until it closes.
async fn answer_to(addr: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut answer = Vec::new();
    // A reset instead of an end would be an error here.
    timeout(BOUND, stream.read_to_end(&mut answer)).await.unwrap().unwrap();
    answer
}

/// The text of the close frame after the server's preface.
fn last_words(answer: &[u8]) -> String {
    let (_, length) = read_preface(answer).unwrap().unwrap();
    let (_, payload, _) = next_frame(&answer[length..]).unwrap().unwrap();
    read_close(payload)
}

#[tokio::test]
async fn a_browser_is_told_what_this_port_is() {
    let (server, _) = start_lab().await;
    let hello = b"GET / HTTP/1.1\r\nHost: localhost\r\nUser-Agent: curl/8\r\n\r\n";
    let answer = String::from_utf8(answer_to(server.local_addr(), hello).await).unwrap();
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert!(answer.contains("rpc-client") && answer.contains("test.Lab"), "{answer}");
    // A refusal survives input that nobody reads.
    let post = [b"POST / HTTP/1.1\r\n\r\n".as_slice(), &vec![b'x'; 200_000]].concat();
    assert!(answer_to(server.local_addr(), &post).await.starts_with(b"HTTP/1.1 400 "));
}

#[tokio::test]
async fn a_tls_client_gets_an_alert() {
    let (server, _) = start_lab().await;
    let hello = [0x16, 3, 1, 0, 5, 1, 0, 0, 1, 0];
    let answer = answer_to(server.local_addr(), &hello).await;
    assert_eq!(answer, [0x15, 3, 1, 0, 2, 2, 40]);
}

#[tokio::test]
async fn other_protocols_are_closed_on() {
    let (server, _) = start_lab().await;
    assert!(answer_to(server.local_addr(), &[0x94, 0, 1, 0xa1]).await.is_empty());
    assert!(answer_to(server.local_addr(), &[0xf5, b'x', 0, 0]).await.is_empty());
}

#[tokio::test]
async fn an_incompatible_version_is_told_which_one_is_spoken() {
    let (server, _) = start_lab().await;
    let mut bytes = preface(Limits::default());
    (bytes[4], bytes[5]) = (7, 9);
    let text = last_words(&answer_to(server.local_addr(), &bytes).await);
    assert!(text.contains("7 to 9") && text.contains("this side 1 to 1"), "{text}");
    let mut bytes = preface(Limits { max_in_flight: 1, ..BASE_LIMITS });
    bytes.truncate(PREFACE);
    let text = last_words(&answer_to(server.local_addr(), &bytes).await);
    assert!(text.contains("broken"), "{text}");
}

#[tokio::test]
async fn a_peer_that_does_not_greet_is_cut_off() {
    let (server, _) = start_lab().await;
    let mut stream = TcpStream::connect(server.local_addr()).await.unwrap();
    stream.write_all(&preface(Limits::default())[..20]).await.unwrap();
    until("it is accepted", || server.stats().accepted >= 2).await;
    pause();
    let mut answer = Vec::new();
    timeout(BOUND, stream.read_to_end(&mut answer)).await.unwrap().unwrap();
    assert!(last_words(&answer).contains("no greeting within 10s"));
}

#[tokio::test]
async fn a_peer_that_connects_and_goes_is_no_trouble() {
    let (server, _) = start_lab().await;
    for length in [0, 1, 8, PREFACE - 1] {
        let mut stream = TcpStream::connect(server.local_addr()).await.unwrap();
        stream.write_all(&preface(Limits::default())[..length]).await.unwrap();
        drop(stream);
    }
    RawPeer::connect(server.local_addr()).await.check_alive().await;
}
