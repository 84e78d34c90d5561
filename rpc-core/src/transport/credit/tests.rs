use super::*;
use std::time::Duration;
use tokio::time::timeout;

const SOON: Duration = Duration::from_millis(20);

#[tokio::test]
async fn a_body_waits_for_its_own_window_and_for_the_connections() {
    let credit = SendCredit::new();
    credit.greeted(Limits { credit_per_connection: 256 * 1024, ..Limits::default() });
    let (a, b) = (credit.open(1, 1 << 20), credit.open(2, 1 << 20));
    for _ in 0..4 {
        assert_eq!(take(&a, 1 << 20).await, Ok(64 * 1024));
    }
    assert!(timeout(SOON, a.take(1 << 20, 1)).await.is_err(), "its own window is used up");
    assert!(timeout(SOON, b.take(1, 1)).await.is_err(), "and the connection's too");
    credit.grant(0, 64 * 1024).unwrap();
    assert_eq!(take(&b, 10).await, Ok(10));
    // Its own window also lost the byte that it took before it waited for the connection.
    assert!(credit.grant(2, 12).is_err(), "more than was used");
    credit.grant(7, 1).unwrap();
}

#[tokio::test]
async fn the_peers_preface_widens_windows_that_are_open() {
    let credit = SendCredit::new();
    let body = credit.open(1, 1 << 20);
    assert_eq!(take(&body, 1 << 20).await, Ok(32 * 1024));
    assert_eq!(take(&body, 1 << 20).await, Ok(32 * 1024));
    assert!(timeout(SOON, body.take(1 << 20, 1)).await.is_err());
    credit.greeted(Limits::default());
    assert_eq!(take(&body, 1 << 20).await, Ok(64 * 1024));
}

#[tokio::test]
async fn credit_for_a_piece_that_is_not_sent_goes_back() {
    let credit = SendCredit::new();
    for id in 1..100 {
        let body = credit.open(id, 1 << 20);
        let piece = timeout(SOON, body.take(1 << 20, 1)).await.expect("credit is lost");
        assert_eq!(piece.unwrap().length(), 32 * 1024);
    }
    assert!(credit.grant(0, 1).is_err(), "nothing is used");
}

#[tokio::test]
async fn the_end_of_a_window_leaves_a_later_one_of_the_same_id() {
    let credit = SendCredit::new();
    let (old, new) = (credit.open(1, 1 << 20), credit.open(1, 1 << 20));
    take(&new, 10).await.unwrap();
    drop(old);
    assert!(credit.grant(1, 11).is_err(), "the grant reaches the new one, which used 10");
}

/// Takes credit for a piece that is sent.
async fn take(window: &BodyWindow<'_>, rest: usize) -> Result<usize, CreditError> {
    let taken = window.take(rest, 1).await?;
    let length = taken.length();
    taken.sent();
    Ok(length)
}

#[tokio::test]
async fn the_end_of_the_connection_ends_every_wait() {
    let credit = SendCredit::new();
    let body = credit.open(1, 1 << 20);
    take(&body, 1 << 20).await.unwrap();
    take(&body, 1 << 20).await.unwrap();
    let (taken, ()) = tokio::join!(take(&body, 1), async {
        tokio::task::yield_now().await;
        credit.close();
    });
    assert_eq!(taken, Err(CreditError));
}

#[tokio::test]
async fn as_many_pieces_are_taken_at_once_as_there_is_credit_for() {
    let credit = SendCredit::new();
    credit.greeted(Limits { credit_per_connection: 400_000, ..Limits::default() });
    let (a, b) = (credit.open(1, 1 << 20), credit.open(2, 1 << 20));
    let taken = a.take(1 << 20, 4).await.unwrap();
    assert_eq!((taken.length(), taken.piece()), (256 * 1024, 64 * 1024), "the body's window");
    let other = b.take(1 << 20, 4).await.unwrap();
    assert_eq!(other.length(), 128 * 1024, "what is left of the connection's, by pieces");
    drop(other);
    assert_eq!(b.take(70_000, 4).await.unwrap().length(), 70_000, "the end of a body");
    taken.sent();
    assert!(credit.grant(1, 256 * 1024 + 1).is_err());
    assert!(credit.grant(0, 256 * 1024).is_ok());
    assert!(credit.grant(2, 1).is_err(), "what was not sent has gone back to both");
}

#[tokio::test]
async fn a_body_within_its_window_waits_for_the_connections_alone() {
    let credit = SendCredit::new();
    let body = credit.open(1, 64 * 1024);
    assert!(credit.bodies.lock().unwrap().is_empty());
    assert!(body.take_all(64 * 1024, 1).is_none(), "two pieces");
    for _ in 0..4 {
        body.take_all(64 * 1024, 2).unwrap().sent();
    }
    assert!(body.take_all(1, 2).is_none(), "the connection's is used up");
    assert!(credit.grant(1, 1).is_ok(), "ignored");
    credit.grant(0, 10).unwrap();
    assert_eq!(body.take_all(10, 2).unwrap().length(), 10);
    let large = credit.open(2, 64 * 1024 + 1);
    assert!(large.take_all(64 * 1024 + 1, 4).is_none());
    assert!(credit.grant(2, 1).is_err(), "nothing of its own is used");
}
