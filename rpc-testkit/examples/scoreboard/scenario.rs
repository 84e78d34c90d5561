//! The table of what is run: each scenario is a name, its faults, and what differs from the usual.

use crate::fault::{Act, Fault, Times, timeline};
use std::time::Duration;

/// One run, with providers, a ZooKeeper and a load of its own.
#[derive(Debug, Clone)]
pub(crate) struct Scenario {
    pub(crate) name: String,
    pub(crate) providers: usize,
    pub(crate) acts: Vec<(Duration, Act)>,
    /// Load before the first act, and after the last.
    pub(crate) before: Duration,
    pub(crate) after: Duration,
    pub(crate) load: Load,
    /// Whether the kinds of call have rows of their own, or one together.
    pub(crate) apart: bool,
}

/// What is called, and how often.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    /// Calls a second, and how many more in a surge.
    pub(crate) rate: u32,
    pub(crate) surge: u32,
    /// What a call takes, in ms.
    pub(crate) hold: u32,
    /// Calls that a provider takes at a time; 0: its default.
    pub(crate) limit: u32,
}

const USUAL: Load = Load { rate: 400, surge: 0, hold: 20, limit: 0 };

impl Load {
    /// Half of what so many providers can do, and twice as much in a surge: each does 8 calls of
    /// 100 ms at a time.
    fn of_overload(providers: usize) -> Self {
        const LIMIT: u32 = 8;
        const HOLD: u32 = 100;
        let capacity = u32::try_from(providers).unwrap_or(1) * LIMIT * 1000 / HOLD;
        Self { rate: capacity / 2, surge: capacity * 3 / 2, hold: HOLD, limit: LIMIT }
    }

    /// Calls a second that so many providers can do; without a limit that is not known.
    pub(crate) fn capacity(self, providers: usize) -> Option<f64> {
        let each = f64::from(self.limit) * 1000.0 / f64::from(self.hold.max(1));
        (self.limit > 0).then_some(each * f64::from(u32::try_from(providers).unwrap_or(1)))
    }
}

/// What decides the scenarios, beside their table.
#[derive(Debug, Clone)]
pub(crate) struct Setting {
    pub(crate) providers: usize,
    pub(crate) rate: Option<u32>,
    pub(crate) times: Times,
    /// Time between the beginnings of faults that are combined.
    pub(crate) between: Duration,
}

struct Entry {
    name: &'static str,
    faults: &'static [Fault],
    /// Providers, if it needs to be a certain number.
    providers: Option<usize>,
    apart: bool,
}

const fn entry(name: &'static str, faults: &'static [Fault]) -> Entry {
    Entry { name, faults, providers: None, apart: false }
}

impl Entry {
    const fn apart(self) -> Self {
        Self { apart: true, ..self }
    }

    const fn with(self, providers: usize) -> Self {
        Self { providers: Some(providers), ..self }
    }
}

/// What the README shows.
const MAIN: &[Entry] = &[
    entry("kill -9", &[Fault::Kill]).apart(),
    entry("pause", &[Fault::Pause]).apart(),
    entry("rolling restart", &[Fault::Roll]),
    entry("ZooKeeper down", &[Fault::ZkDown]),
    entry("ZooKeeper wiped", &[Fault::ZkWiped]),
    entry("session expiry", &[Fault::Expiry]),
    entry("all nodes deleted", &[Fault::NodesDeleted]),
    entry("all providers cut off from ZooKeeper", &[Fault::CutOff]),
    entry("slow provider", &[Fault::Slow]).apart(),
    entry("overload", &[Fault::Overload]).apart(),
];

/// Other faults, and the same in other combinations.
const MORE: &[Entry] = &[
    entry("ZooKeeper hangs", &[Fault::ZkHangs]),
    entry("rolling restart, same addresses", &[Fault::RollSame]),
    entry("kill -9, two providers", &[Fault::Kill]).apart().with(2),
    entry("pause, two providers", &[Fault::Pause]).apart().with(2),
    entry("rolling restart, two providers", &[Fault::Roll]).with(2),
    entry("ZooKeeper down, then kill -9", &[Fault::ZkDown, Fault::Kill]).apart(),
    entry("pause, then kill -9", &[Fault::Pause, Fault::Kill]).apart(),
    entry("kill -9, then ZooKeeper wiped", &[Fault::Kill, Fault::ZkWiped]).apart(),
    entry("nodes deleted, then kill -9", &[Fault::NodesDeleted, Fault::Kill]).apart(),
    // New addresses nobody would know of.
    entry(
        "ZooKeeper down, then a rolling restart, same addresses",
        &[Fault::ZkDown, Fault::RollSame],
    ),
    entry("accepts and says nothing", &[Fault::Mute]).apart(),
    entry("greets and never answers", &[Fault::Deaf]).apart(),
    entry("answers pings and no call", &[Fault::Stuck]).apart(),
    entry("answers errors fast", &[Fault::Failing]).apart(),
    entry("answers errors fast, two providers", &[Fault::Failing]).apart().with(2),
    entry("a registry that lies", &[Fault::Lies]).apart(),
    entry("overload, two providers", &[Fault::Overload]).apart().with(2),
];

/// The scenarios of the table.
pub(crate) fn table(setting: &Setting, more: bool) -> Vec<Scenario> {
    let rest = if more { MORE } else { &[] };
    let entries = MAIN.iter().chain(rest);
    entries
        .map(|entry| {
            let providers = entry.providers.unwrap_or(setting.providers);
            scenario(entry.name.to_owned(), entry.faults, providers, entry.apart, setting)
        })
        .collect()
}

/// The one that is made of these faults.
pub(crate) fn combined(faults: &[Fault], setting: &Setting) -> Scenario {
    let names: Vec<_> = faults.iter().map(|fault| format!("{fault:?}")).collect();
    scenario(names.join(" + "), faults, setting.providers, true, setting)
}

fn scenario(
    name: String,
    faults: &[Fault],
    providers: usize,
    apart: bool,
    setting: &Setting,
) -> Scenario {
    let overload = faults.contains(&Fault::Overload);
    let mut load = if overload { Load::of_overload(providers) } else { USUAL };
    if let Some(rate) = setting.rate.filter(|_| !overload) {
        load.rate = rate;
    }
    let name = match faults {
        [Fault::ZkDown] => format!("{name} for {} s", setting.times.outage.as_secs()),
        [Fault::Pause] => format!("{name} for {} s", setting.times.pause.as_secs()),
        _ => name,
    };
    Scenario {
        name,
        providers,
        acts: timeline(faults, setting.between, providers, &setting.times),
        before: setting.times.before,
        after: setting.times.after,
        load,
        apart,
    }
}

/// A scenario of random acts.
pub(crate) fn random(seed: u64, length: Duration, setting: &Setting) -> Scenario {
    let mut scenario = scenario(format!("chaos {seed}"), &[], setting.providers, true, setting);
    scenario.acts = crate::chaos::acts(seed, length, setting.providers);
    scenario
}
