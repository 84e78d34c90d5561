//! Who is told that a service is full.

use super::ClientBuilder;
use crate::{
    config::Config,
    pressure::{Audience, Command, Hook, Pressure},
};
use rpc_core::SetupError;
use std::{sync::Arc, time::Duration};

impl ClientBuilder {
    /// Code that is told when calls of a service wait, or are refused, because every connection to
    /// every provider of it has as many calls in flight as the provider takes, or fail because the
    /// providers refuse them as overloaded. Default: none; the log and the registry (in ZooKeeper
    /// `/_events/<service>`) are told in any case.
    ///
    /// It is called one second after calls began to wait, if they still do (two after they began to
    /// be refused as overloaded, if they still are), once per
    /// [`pressure_window`](Self::pressure_window) for as long as that goes on, and once more when it
    /// is [over](Pressure::over). It runs on a thread of its own, within the client's runtime, so it
    /// may block, spawn tasks and panic: no call waits for it, and a panic is logged. While one
    /// call of it lasts, up to 64 events wait for the next and more are dropped. The hook that is
    /// set last holds.
    pub fn on_pressure(mut self, hook: impl Fn(&Pressure) + Send + Sync + 'static) -> Self {
        self.hook = Some(Hook(Arc::new(hook)));
        self
    }

    /// People are told at most this often that a service is full, whatever happens. Default 1 min;
    /// 1 s to 24 h.
    pub fn pressure_window(mut self, window: Duration) -> Self {
        self.set.pressure_window = Some(window);
        self
    }

    /// Where to post what [`on_pressure`](Self::on_pressure) is told, as a JSON object:
    /// `http://host:port/path`. Default: nowhere.
    ///
    /// Each event is one HTTP/1.1 POST with 10 s for all of it. An answer other than 2xx is logged
    /// and the event is not sent again. For https let
    /// [`pressure_command`](Self::pressure_command) run a program that speaks it. It needs the
    /// feature `webhook`, which is on by default.
    pub fn pressure_webhook(mut self, url: impl Into<String>) -> Self {
        self.set.pressure_webhook = Some(url.into());
        self
    }

    /// A program and its arguments, to run for what [`on_pressure`](Self::on_pressure) is told, with
    /// a JSON object on its standard input. Default: none.
    ///
    /// No shell is involved. What it prints is thrown away. One is run at a time; after 10 s, and
    /// when the client ends, it is killed (it alone: not what it has started itself).
    pub fn pressure_command<S: Into<String>>(mut self, argv: impl IntoIterator<Item = S>) -> Self {
        self.set.pressure_command = Some(argv.into_iter().map(Into::into).collect());
        self
    }
}

/// Who is told that a service is full.
pub(super) fn audience(hook: Option<Hook>, config: &Config) -> Result<Audience, SetupError> {
    let webhook = config.pressure_webhook.as_deref();
    #[cfg(feature = "webhook")]
    let webhook = webhook.map(crate::pressure::Webhook::parse).transpose()?;
    #[cfg(not(feature = "webhook"))]
    if webhook.is_some() {
        return Err(SetupError::new(
            "`pressure_webhook` is set, but this program was built without it: turn on the feature \
             `webhook` of rpc-client",
        ));
    }
    let command = config.pressure_command.clone().map(Command::new).transpose()?;
    Ok(Audience {
        hook,
        #[cfg(feature = "webhook")]
        webhook,
        command,
    })
}
