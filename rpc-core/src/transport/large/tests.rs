use super::*;
use crate::{
    transport::{Assembly, Network, Progress, ReadBuffer},
    wire::{BASE_LIMITS, HEADER, Limits, next_header, put_signal, read_total},
};
use std::{sync::Arc, time::Duration};
use tokio::{sync::mpsc, time::timeout};

/// Ten times what any of it takes.
const BOUND: Duration = Duration::from_mins(1);

/// Two links that are connected, each with what its peer has announced.
async fn pair(limits: Limits) -> (Arc<Link>, Arc<Link>) {
    let port = Network::TCP.listen("127.0.0.1:0").await.unwrap();
    let addr = port.local_addr().unwrap();
    let (near, far) = tokio::join!(Network::TCP.dial(addr), port.accept());
    let links = (Arc::new(Link::new(near.unwrap())), Arc::new(Link::new(far.unwrap().0)));
    for link in [&links.0, &links.1] {
        link.credit().greeted(limits);
        let link = Arc::clone(link);
        tokio::spawn(async move { link.flush().await });
    }
    links
}

/// What a side has received: the id and the body of a message, or the id of a ping.
type Received = (u64, Option<Vec<u8>>);

/// Reads a link as both sides do, and gives credit.
async fn read(link: Arc<Link>, limits: Limits, received: mpsc::Sender<Received>) {
    let (mut buffer, mut assembly) = (ReadBuffer::new(), Assembly::new(limits));
    while let Ok(1..) = link.read_piece(&mut buffer, assembly.room()).await {
        let mut out = Vec::new();
        loop {
            assembly.take(&mut buffer);
            if assembly.is_waiting() {
                break;
            }
            if let Some(Progress::Complete(id, body)) = assembly.settle(&mut out) {
                let _ = received.try_send((id, Some(body.to_vec())));
            }
            let Some((header, length)) = next_header(buffer.data()).unwrap() else { break };
            let mut payload = &buffer.data()[HEADER..];
            let taken = match header.kind {
                Kind::Data => {
                    assembly.data(header.id, length).unwrap();
                    0
                }
                Kind::Reply if payload.len() < 4 => break,
                Kind::Reply => {
                    let total = read_total(&mut payload).unwrap();
                    assembly.begin(header.id, header.id, total, length - 4, &[]).unwrap();
                    4
                }
                _ if payload.len() < length => break,
                Kind::Credit => {
                    link.credit().grant(header.id, read_total(&mut payload).unwrap()).unwrap();
                    length
                }
                _ => {
                    let _ = received.try_send((header.id, None));
                    length
                }
            };
            buffer.consume(HEADER + taken);
        }
        let _ = link.send(|all| all.extend_from_slice(&out));
    }
}

fn body(id: u64, length: usize) -> Vec<u8> {
    (0..length).map(|at| (at as u64 * 31 + id).to_le_bytes()[0]).collect()
}

fn reply(id: u64, body: &[u8]) -> Message<'_> {
    let header = Header { kind: Kind::Reply, flags: 0, aux: 0, id };
    Message { header, head: &[], body }
}

/// Sends many bodies at once in both directions, with small frames among them, and checks that all
/// of them arrive.
async fn exchange(limits: Limits, lengths: &'static [usize]) {
    let (near, far) = pair(limits).await;
    let (told, mut received) = mpsc::channel(1000);
    for (link, side) in [(&near, 0), (&far, 1000)] {
        tokio::spawn(read(Arc::clone(link), limits, told.clone()));
        for (id, length) in (1..).zip(lengths) {
            let (link, id) = (Arc::clone(link), side + id);
            tokio::spawn(async move {
                link.send(|out| put_signal(out, Kind::Ping, id)).unwrap();
                let body = body(id, *length);
                if !link.try_send_large(reply(id, &body)).unwrap() {
                    link.send_large(reply(id, &body)).await.unwrap();
                }
            });
        }
    }
    let (mut bodies, mut pings) = (0, 0);
    while bodies < 2 * lengths.len() || pings < 2 * lengths.len() {
        let (id, arrived) = timeout(BOUND, received.recv()).await.expect("it hangs").unwrap();
        match arrived {
            Some(bytes) => {
                let length = lengths[usize::try_from(id % 1000).unwrap() - 1];
                assert!(bytes == body(id, length), "body {id} is not what was sent");
                bodies += 1;
            }
            None => pings += 1,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_bodies_both_ways_through_the_smallest_windows_all_arrive() {
    exchange(BASE_LIMITS, &[1_000_000; 24]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_bodies_of_any_length_arrive_with_small_frames_among_them() {
    const LENGTHS: [usize; 14] = [
        16_385,
        65_535,
        65_536,
        65_537,
        131_072,
        200_000,
        262_143,
        262_144,
        262_145,
        1 << 20,
        3_000_000,
        17_000,
        70_000,
        4 << 20,
    ];
    exchange(Limits::default(), &LENGTHS).await;
}

#[tokio::test]
async fn what_the_socket_refuses_follows_in_order() {
    let limits =
        Limits { credit_per_body: 64 << 20, credit_per_connection: 64 << 20, ..BASE_LIMITS };
    let (near, far) = pair(limits).await;
    let bodies: Vec<_> = (1..40).map(|id| (id, body(id, 200_000))).collect();
    for (id, body) in &bodies {
        assert!(near.try_send_large(reply(*id, body)).unwrap(), "there is credit for all");
    }
    assert!(near.outbox().unsent() > 0, "the socket takes less");
    let (told, mut received) = mpsc::channel(1000);
    tokio::spawn(read(far, limits, told));
    for (id, body) in bodies {
        let arrived = timeout(BOUND, received.recv()).await.expect("it hangs").unwrap();
        assert!(arrived == (id, Some(body)), "body {id} is not what was sent");
    }
    near.outbox().flushed().await;
}

#[tokio::test]
async fn nothing_of_a_large_request_is_sent_once_the_outbox_is_sealed() {
    let (near, _far) = pair(Limits::default()).await;
    let body = body(1, 100_000);
    let header = Header { kind: Kind::Request, ..reply(1, &body).header };
    let begun = near.begin_large(Message { header, ..reply(1, &body) }).await.unwrap();
    assert!(begun.is_complete());
    assert!(near.outbox().seal(|_| ()).is_ok());
    let late = near.begin_large(Message { header, ..reply(1, &body) }).await;
    assert_eq!(late.map(|_| ()), Err(Ended::Sealed));
    assert!(near.try_send_large(reply(2, &body)).unwrap(), "answers may follow");
    near.close();
    assert_eq!(near.try_send_large(reply(3, &body)), Ok(false), "nobody gives credit");
    assert!(near.credit().grant(0, 200_001).is_err(), "the credit of what was not sent is back");
}

#[tokio::test]
async fn what_comes_before_the_last_piece_is_done_before_it_is_sent() {
    let (link, _far) = pair(BASE_LIMITS).await;
    for length in [20_000, 64 * 1024] {
        let body = body(1, length);
        let mut before = None;
        let appended = || link.outbox().written() + link.outbox().unsent() as u64;
        let end = link.send_large_then(reply(1, &body), || before = Some(appended())).await;
        let (before, end) = (before.unwrap(), end.unwrap());
        assert!(before < end, "{before} {end}");
    }
}
