//! One of the attempts that run at the same time: it sends its request, waits for the answer, and
//! says when its provider falls silent.

use crate::{
    call::{Attempt, Observer, ended},
    clock::Time,
    connection::{Connection, Ending, Request, Reserved, Sending, Waiter},
};
use rpc_core::{BoxFuture, transport::Body};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

/// One of the attempts.
pub(super) struct Racer<'a> {
    pub(super) connection: Arc<Connection>,
    /// Its provider has fallen silent.
    silent: Arc<AtomicBool>,
    pub(super) hedge: bool,
    pub(super) began: Time,
    /// What it comes to, and when.
    future: BoxFuture<'a, (Attempt, Time)>,
}

/// An attempt that is over.
pub(super) struct Over<'a> {
    pub(super) racer: Racer<'a>,
    pub(super) attempt: Attempt,
    pub(super) at: Time,
}

impl<'a> Racer<'a> {
    /// The attempt that all began with: its request is on its way.
    pub(super) fn of_first(
        connection: &'a Arc<Connection>,
        waiter: &'a mut Waiter<'_>,
        observer: Observer<'a>,
        silent: bool,
    ) -> Self {
        let silent = Arc::new(AtomicBool::new(silent));
        let (flag, began) = (Arc::clone(&silent), observer.since);
        let future =
            Box::pin(async move { observer.saw(ended(end(connection, waiter, &flag).await)) });
        Self { connection: Arc::clone(connection), silent, hedge: false, began, future }
    }

    /// Another, at a place that it has.
    pub(super) fn at(place: Reserved, request: Request<'a>, body: Body, hedge: bool) -> Self {
        let (connection, began) = (Arc::clone(place.connection()), request.now);
        let silent = Arc::new(AtomicBool::new(false));
        let future = Box::pin(run(place, request, body, Arc::clone(&silent)));
        Self { connection, silent, hedge, began, future }
    }

    /// Whether its provider has been silent since it began.
    pub(super) fn is_silent(&self) -> bool {
        self.silent.load(Ordering::Relaxed)
    }
}

/// One attempt at a place that it has, whatever its provider takes for it.
async fn run(
    place: Reserved,
    request: Request<'_>,
    body: Body,
    silent: Arc<AtomicBool>,
) -> (Attempt, Time) {
    let (connection, mut waiter) = (place.connection(), place.waiter());
    let observer = Observer::begin(&connection.standing.gauge, request.now);
    let ending = match connection.send(&mut waiter, &request, &body) {
        Sending::Done => None,
        Sending::Leads => {
            connection.lead(&mut waiter).await;
            None
        }
        Sending::Waits => {
            // It stays where it is: others run beside it, if they can.
            connection.send_slowly(&mut waiter, request, &body, std::future::pending).await
        }
        Sending::Ended(ending) => Some(ending),
    };
    drop(body);
    let ending = match ending {
        None | Some(Ending::Late) => end(connection, &mut waiter, &silent).await,
        Some(Ending::Silent) => {
            silent.store(true, Ordering::Relaxed);
            end(connection, &mut waiter, &silent).await
        }
        Some(ending) => ending,
    };
    observer.saw(ended(ending))
}

/// Waits for the end of an attempt whose request is on its way, and says when its provider falls
/// silent.
async fn end(connection: &Connection, waiter: &mut Waiter<'_>, silent: &AtomicBool) -> Ending {
    loop {
        match connection.wait(waiter).await {
            Ending::Silent => silent.store(true, Ordering::Relaxed),
            Ending::Late => {}
            ending => return ending,
        }
    }
}

/// The next thing that happens to one of them: that it is over, or silent.
pub(super) fn next<'a>(
    racers: &mut Vec<Racer<'a>>,
    cx: &mut Context<'_>,
) -> Poll<Option<Over<'a>>> {
    let mut silent = false;
    for index in 0..racers.len() {
        let racer = &mut racers[index];
        let was_silent = racer.is_silent();
        if let Poll::Ready((attempt, at)) = racer.future.as_mut().poll(cx) {
            return Poll::Ready(Some(Over { racer: racers.remove(index), attempt, at }));
        }
        // One that is still being sent does not say so.
        if racer.connection.is_silent() {
            racer.silent.store(true, Ordering::Relaxed);
        }
        silent |= !was_silent && racer.is_silent();
    }
    if silent { Poll::Ready(None) } else { Poll::Pending }
}
