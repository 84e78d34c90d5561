//! A task that hands events to one receiver outside of the program, one at a time.

use super::Pressure;
use rpc_core::discovery::Notice;
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Events that wait for a receiver; more are dropped.
const WAITING: usize = 64;

/// What people are told.
#[derive(Debug)]
pub(super) struct Event {
    pub(super) pressure: Pressure,
    /// The same as operators read it.
    pub(super) notice: Notice,
}

/// The way to one receiver.
#[derive(Debug)]
pub(super) struct Outlet {
    pub(super) name: &'static str,
    events: mpsc::Sender<Arc<Event>>,
}

impl Outlet {
    /// Starts the task, which ends with `end`. What `deliver` returns ends by itself.
    pub(super) fn start<F>(
        name: &'static str,
        tasks: &TaskTracker,
        end: &CancellationToken,
        mut deliver: impl FnMut(Arc<Event>) -> F + Send + 'static,
    ) -> Self
    where
        F: Future<Output = Result<(), String>> + Send,
    {
        let (events, mut told) = mpsc::channel::<Arc<Event>>(WAITING);
        let run = async move {
            while let Some(event) = told.recv().await {
                let service = event.pressure.service.clone();
                // Not repeated: while it lasts the next one follows, with newer figures.
                if let Err(why) = deliver(event).await {
                    tracing::warn!(service, why, "the {name} was not told that a service is full");
                }
            }
        };
        tasks.spawn(end.clone().run_until_cancelled_owned(run));
        Self { name, events }
    }

    /// Hands an event over; never waits.
    ///
    /// # Errors
    ///
    /// Why the receiver is not told.
    pub(super) fn tell(&self, event: &Arc<Event>) -> Result<(), String> {
        self.events.try_send(Arc::clone(event)).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => format!("{WAITING} events wait for it already"),
            mpsc::error::TrySendError::Closed(_) => "its task has ended".to_owned(),
        })
    }
}
