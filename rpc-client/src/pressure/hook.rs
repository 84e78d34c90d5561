//! Code of the program that is told: on a thread of its own, so that it may block and panic.

use super::Pressure;
use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, OnceLock,
        mpsc::{SyncSender, sync_channel},
    },
    thread,
};
use tokio::runtime::Handle;

/// Events that wait for the hook; more are dropped.
const WAITING: usize = 64;

/// What the program wants to be called with.
#[derive(Clone)]
pub(crate) struct Hook(pub(crate) Arc<dyn Fn(&Pressure) + Send + Sync>);

/// The thread of a hook, which is started when there is something to tell.
///
/// It ends when this is dropped, once the hook has returned. A blocking task of the runtime would
/// not do: a hook that never returns would keep the runtime from ending.
#[derive(Debug)]
pub(super) struct HookThread {
    hook: Hook,
    runtime: Handle,
    events: OnceLock<SyncSender<Pressure>>,
}

impl HookThread {
    pub(super) fn new(hook: Hook, runtime: Handle) -> Self {
        Self { hook, runtime, events: OnceLock::new() }
    }

    /// Hands an event to the hook; never waits.
    ///
    /// # Errors
    ///
    /// Why the hook is not told.
    pub(super) fn tell(&self, pressure: &Pressure) -> Result<(), String> {
        let events = self.events.get_or_init(|| self.start());
        events.try_send(pressure.clone()).map_err(|_| {
            format!("it has not returned yet, {WAITING} events wait for it, or it has no thread")
        })
    }

    fn start(&self) -> SyncSender<Pressure> {
        let (events, told) = sync_channel::<Pressure>(WAITING);
        let (hook, runtime) = (self.hook.clone(), self.runtime.clone());
        let run = move || {
            // So that it may spawn tasks.
            let _runtime = runtime.enter();
            for pressure in told {
                // It shares nothing with us but the event, which is dropped.
                if catch_unwind(AssertUnwindSafe(|| (hook.0)(&pressure))).is_err() {
                    let service = pressure.service;
                    tracing::error!(service, "the hook for full services panicked");
                }
            }
        };
        if let Err(error) = thread::Builder::new().name("rpc-pressure".into()).spawn(run) {
            tracing::error!(%error, "there is no thread for the hook for full services");
        }
        events
    }
}

impl fmt::Debug for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hook")
    }
}
