//! The line of waiting calls, and what it counts.

use super::*;

fn queue(limit: usize) -> Arc<Queue> {
    Queue::new(limit, Arc::default())
}

fn is_called(place: &Place) -> bool {
    let mut called = std::pin::pin!(place.called());
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    called.as_mut().poll(&mut cx).is_ready()
}

#[test]
fn the_first_is_called_first_and_who_leaves_calls_the_next() {
    let queue = queue(3);
    let [a, b, c] = [(); 3].map(|()| queue.join(true).unwrap());
    assert!(a.is_next() && !b.is_next() && queue.is_busy());
    queue.freed();
    assert!(!is_called(&b) && is_called(&a));
    a.looks();
    drop(a);
    assert!(is_called(&b), "there may be more than it needed");
    b.looks();
    b.pass_on();
    assert!(!is_called(&b) && is_called(&c));
    drop((b, c));
    assert!(!queue.is_busy());
    let Waiting { now, since, refused, .. } = queue.look();
    assert_eq!((now, since, refused), (0, None, 0));
}

/// What the timekeeper does after so many ms.
fn relieve(queue: &Queue, ms: u64) {
    queue.relieve(Time::from_nanos(ms * 1_000_000));
}

#[test]
fn who_was_called_and_does_not_look_holds_up_nobody() {
    let queue = queue(4);
    let [aside, b, c] = [(); 3].map(|()| queue.join(true).unwrap());
    queue.freed();
    queue.freed();
    assert!(is_called(&aside) && is_called(&b), "each is offered room of its own");
    assert!(!c.is_next(), "it is theirs");
    b.looks();
    relieve(&queue, 1_000);
    assert!(is_called(&b) && !is_called(&c), "who looks keeps its turn");
    b.looks();
    drop(b);
    assert!(is_called(&c));
    c.looks();
    assert!(c.is_next() && queue.look().now == 2, "only one is there that was passed over");
    aside.looks();
    assert!(!c.is_next(), "until it looks");
    queue.freed();
    assert!(is_called(&aside) && !is_called(&c));
}

#[test]
fn those_behind_who_does_not_look_are_called_in_time_without_more_room() {
    let queue = queue(9);
    let places = [(); 8].map(|()| queue.join(true).unwrap());
    queue.freed();
    let called = |ms| {
        relieve(&queue, ms);
        places.iter().filter(|place| is_called(place)).count()
    };
    assert_eq!(called(1_000), 2, "and as many as were called");
    assert_eq!(called(1_050), 0, "not for every connection");
    assert_eq!([called(1_100), called(1_200), called(1_300)], [2, 4, 0]);
    let new = queue.join(true).unwrap();
    relieve(&queue, 1_400);
    assert!(new.is_next() && is_called(&new));
}

#[test]
fn who_does_not_look_keeps_nobody_out_of_the_line() {
    let queue = queue(2);
    let aside = [(); 2].map(|()| queue.join(true).unwrap());
    queue.freed();
    queue.freed();
    assert!(queue.join(true).is_none(), "they may take the room yet");
    relieve(&queue, 1_000);
    let new = queue.join(true).unwrap();
    assert!(new.is_next());
    aside[0].looks();
    assert!(!new.is_next() && queue.look().now == 3);
    assert!(queue.join(true).is_none());
}

#[test]
fn the_line_is_bounded_and_says_how_many_it_refused() {
    let queue = queue(2);
    let places = [queue.join(true).unwrap(), queue.join(false).unwrap()];
    assert!(queue.join(true).is_none());
    assert_eq!(queue.look().refused, 1);
    assert!(queue.look().since.is_some());
    drop(places);
    assert!(queue.join(true).is_some());
}

#[tokio::test]
async fn the_first_refusal_after_an_alert_is_told_and_none_is_missed() {
    let changed = Arc::new(Notify::new());
    let told = || async {
        let brief = Duration::from_millis(1);
        tokio::time::timeout(brief, changed.notified()).await.is_ok()
    };
    let queue = Queue::new(0, Arc::clone(&changed));
    let seen = queue.look();
    assert!(queue.join(true).is_none() && told().await);
    queue.turned_away();
    assert!(!told().await);
    // Two came since it was looked at.
    queue.alert(&seen);
    assert!(told().await);
    queue.alert(&queue.look());
    assert!(!told().await);
    queue.turned_away();
    queue.turned_away();
    assert!(told().await && !told().await);
    let Waiting { refused, turned_away, .. } = queue.look();
    assert_eq!((refused, turned_away), (1, 3));
}

#[test]
fn it_counts_who_came_who_had_a_turn_and_how_many_waited_at_once() {
    let queue = queue(2);
    let [a, b] = [(); 2].map(|()| queue.join(true).unwrap());
    assert!(queue.join(true).is_none());
    a.admitted();
    drop(b);
    let Waiting { now, ended, joined, admitted, refused, most, .. } = queue.look();
    assert_eq!((now, joined, admitted, refused, most), (0, 2, 1, 1, 2));
    assert!(ended.is_some());
    queue.forget_most();
    let _c = queue.join(true).unwrap();
    assert_eq!(queue.look().most, 1);
}

#[test]
fn new_calls_overtake_only_those_that_cannot_go_anywhere() {
    let queue = queue(2);
    let _picky = queue.join(false).unwrap();
    assert!(!queue.is_busy());
    let any = queue.join(true).unwrap();
    assert!(queue.is_busy() && any.is_next());
}
