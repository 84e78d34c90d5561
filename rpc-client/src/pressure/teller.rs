//! Tells people: the log at once, everybody else beside the calls.

use super::{
    Command, Hook, Pressure,
    hook::HookThread,
    outlet::{Event, Outlet},
};
use rpc_core::{
    defaults,
    discovery::{Notice, Registry},
};
use serde::Serialize;
use std::{
    fs,
    sync::Arc,
    time::{Duration, SystemTime},
};
use tokio::{runtime::Handle, time::timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Who wants to be told, besides the log and the registry.
#[derive(Debug, Default)]
pub(crate) struct Audience {
    pub(crate) hook: Option<Hook>,
    #[cfg(feature = "webhook")]
    pub(crate) webhook: Option<super::Webhook>,
    pub(crate) command: Option<Command>,
}

/// The ways to all who are told.
#[derive(Debug)]
pub(crate) struct Teller {
    /// Which client it is, for people.
    client: String,
    window: Duration,
    hook: Option<HookThread>,
    outlets: Vec<Outlet>,
}

/// What a webhook, a command and operators read.
#[derive(Serialize)]
struct Document<'a> {
    text: &'a str,
    #[serde(flatten)]
    pressure: &'a Pressure,
    /// Seconds between two of them at least.
    window: u64,
    /// Unix seconds.
    at: u64,
    client: &'a str,
}

impl Teller {
    /// Starts a task for each who is told; they end with `end`. Called within the client's runtime.
    pub(crate) fn start(
        audience: Audience,
        window: Duration,
        registry: Arc<dyn Registry>,
        tasks: &TaskTracker,
        end: &CancellationToken,
    ) -> Self {
        let limit = defaults::PRESSURE_LIMIT;
        let mut outlets = vec![Outlet::start("registry", tasks, end, move |event| {
            let registry = Arc::clone(&registry);
            async move {
                let told = timeout(limit, registry.tell(event.notice.clone())).await;
                told.unwrap_or_else(|_| Err(format!("no answer within {limit:?}")))
            }
        })];
        #[cfg(feature = "webhook")]
        if let Some(webhook) = audience.webhook {
            let webhook = Arc::new(webhook);
            outlets.push(Outlet::start("webhook", tasks, end, move |event| {
                let webhook = Arc::clone(&webhook);
                async move { webhook.post(&event.notice.json).await }
            }));
        }
        if let Some(command) = audience.command {
            let command = Arc::new(command);
            outlets.push(Outlet::start("command", tasks, end, move |event| {
                let command = Arc::clone(&command);
                async move { command.run(&event.notice.json).await }
            }));
        }
        let hook = audience.hook.map(|hook| HookThread::new(hook, Handle::current()));
        Self { client: name(), window, hook, outlets }
    }

    /// Tells everybody; never waits for anybody.
    pub(crate) fn tell(&self, pressure: Pressure) {
        let text = headline(&pressure);
        log(&pressure, &text);
        let document = Document {
            text: &text,
            pressure: &pressure,
            window: self.window.as_secs(),
            at: SystemTime::now()
                .duration_since(SystemTime::UNIX_EPOCH)
                .unwrap_or_default()
                .as_secs(),
            client: &self.client,
        };
        let notice = Notice {
            service: pressure.service.clone(),
            client: self.client.clone(),
            over: pressure.over,
            window: self.window,
            json: serde_json::to_string(&document).unwrap_or_default(),
        };
        let event = Arc::new(Event { pressure, notice });
        let hook = self.hook.iter().map(|hook| ("hook", hook.tell(&event.pressure)));
        let outlets = self.outlets.iter().map(|outlet| (outlet.name, outlet.tell(&event)));
        for (who, told) in hook.chain(outlets) {
            if let Err(why) = told {
                let service = &event.pressure.service;
                tracing::warn!(service, why, "the {who} is not told that a service is full");
            }
        }
    }
}

/// All of it in one line.
fn headline(pressure: &Pressure) -> String {
    let (service, lasting) = (&pressure.service, pressure.lasting.as_secs_f32());
    match pressure {
        // What was in the way of calls has gone, and so have those who took them.
        Pressure { over: true, endpoints: 0, .. } => format!(
            "{service} has no provider that takes calls; before, it was full for {lasting:.1} s: \
             {pressure}"
        ),
        Pressure { over: true, .. } => {
            format!("{service} is no longer full; it was for {lasting:.1} s: {pressure}")
        }
        Pressure { most_waiting: 0, refused: 0, .. } => {
            format!("the providers of {service} are overloaded: {pressure}")
        }
        _ => format!("every connection to every provider of {service} is full: {pressure}"),
    }
}

fn log(pressure: &Pressure, text: &str) {
    let Pressure { service, endpoints, in_flight, capacity, waiting, more_providers, .. } =
        pressure;
    let lasting = pressure.lasting.as_secs_f64();
    if pressure.over {
        tracing::info!(service, lasting, "{text}");
    } else {
        tracing::warn!(
            service,
            endpoints,
            in_flight,
            capacity,
            waiting,
            refused = pressure.refused,
            lasting,
            more_providers,
            "{text}"
        );
    }
}

/// Longest part of a client's name, in characters.
const PART: usize = 64;

/// `host/program:pid#random`: which client of which process of which machine it is.
fn name() -> String {
    let host = fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let host = host.or_else(|| std::env::var("HOSTNAME").ok()).unwrap_or_default();
    let program = std::env::current_exe().unwrap_or_default();
    let program = program.file_name().unwrap_or_default().to_string_lossy();
    let part = |text: &str| text.trim().chars().take(PART).collect::<String>();
    let number = fastrand::u16(..);
    format!("{}/{}:{}#{number:04x}", part(&host), part(&program), std::process::id())
}
