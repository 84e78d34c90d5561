//! What can be done to providers, to ZooKeeper and to the ways between them, as data: a fault is a
//! list of acts with their times.

use clap::ValueEnum;
use std::time::Duration;

/// One thing that is done, to a provider by its place from 0 where it concerns one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Act {
    /// Kills its process.
    Kill(usize),
    /// Starts a new process in its place, at a new address unless it is to be the old one.
    Start(usize, Addr),
    /// Ends it in order once another has taken its place.
    Replace(usize),
    /// Ends it in order and then starts it at the address it had.
    Restart(usize),
    /// Stops its process from running, and lets it run on.
    Pause(usize),
    Resume(usize),
    /// What it does to its calls from here on.
    Behave(usize, Manner),
    /// Something happens to the ZooKeeper server.
    ZooKeeper(Server),
    /// All nodes of the service are deleted by hand.
    DeleteNodes,
    /// No byte passes between these and ZooKeeper until it is healed.
    Cut(Way),
    Heal(Way),
    /// An address is listed that is not what the registry says it is.
    List(Lie),
    /// The surplus load that makes it twice what the providers can do begins and ends.
    Surge(bool),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Addr {
    New,
    Old,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    Well,
    Slow,
    Failing,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Server {
    Kill,
    Up,
    /// It has to be down.
    Wipe,
    Pause,
    Resume,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Client,
    /// Those of the providers that are started as [`super::stage::Stage`] says: the first, or all.
    FirstProvider,
    Providers,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lie {
    /// Nobody listens there.
    Dead,
    /// Somebody listens who speaks another protocol.
    Foreign,
    /// It accepts, and says nothing at all.
    Mute,
    /// It greets as a provider, and answers neither calls nor pings.
    Deaf,
    /// It greets as a provider and answers pings, but no call.
    Stuck,
    /// A provider, of other services only.
    OtherService,
    /// A provider of the service, but not the instance that is listed.
    OtherInstance,
}

/// A fault by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Fault {
    /// A provider is killed with SIGKILL; a new one starts a few seconds later
    Kill,
    /// A provider is stopped with SIGSTOP and goes on later
    Pause,
    /// All providers are replaced in order, one after the other
    Roll,
    /// The same, each at the address it had
    RollSame,
    /// ZooKeeper is killed and comes back later
    ZkDown,
    /// ZooKeeper is killed and comes back at once with nothing in it
    ZkWiped,
    /// ZooKeeper hangs for longer than a session
    ZkHangs,
    /// The sessions of the client and of a provider expire
    Expiry,
    /// All nodes of the service are deleted by hand
    NodesDeleted,
    /// All providers are cut off from ZooKeeper until their nodes are gone
    CutOff,
    /// Each call to one provider takes a second more
    Slow,
    /// One provider answers each call at once with an error
    Failing,
    /// An address is listed that accepts connections and says nothing
    Mute,
    /// An address is listed that greets as a provider and then never answers
    Deaf,
    /// An address is listed that greets as a provider, answers pings, and never a call
    Stuck,
    /// The registry lists dead addresses, other protocols, other services and other instances
    Lies,
    /// Twice as many calls as the providers can do
    Overload,
}

/// How long things last.
#[derive(Debug, Clone)]
pub(crate) struct Times {
    /// Load before the first fault, and after the last.
    pub(crate) before: Duration,
    pub(crate) after: Duration,
    /// How long a paused provider stays so.
    pub(crate) pause: Duration,
    /// How long ZooKeeper is down.
    pub(crate) outage: Duration,
    /// How long everything else lasts that ends again.
    pub(crate) spell: Duration,
}

/// Longer than the sessions that the scoreboard asks ZooKeeper for, with time for them to expire.
pub(crate) const BEYOND_SESSION: Duration = Duration::from_secs(6);
/// A killed provider is started again after this time.
const REVIVED: Duration = Duration::from_secs(3);
/// From one provider to the next in a rolling restart: each takes the notice of a second, and a
/// little to start.
const ROLLS: Duration = Duration::from_secs(3);

impl Fault {
    /// The acts of this fault and when they are done, from its beginning; `victim` is the provider
    /// that it is about, where it is about one.
    pub(crate) fn acts(
        self,
        victim: usize,
        providers: usize,
        times: &Times,
    ) -> Vec<(Duration, Act)> {
        let now = Duration::ZERO;
        let step = |at| ROLLS * u32::try_from(at).unwrap_or(u32::MAX);
        match self {
            Self::Kill => {
                vec![(now, Act::Kill(victim)), (REVIVED, Act::Start(victim, Addr::New))]
            }
            Self::Pause => vec![(now, Act::Pause(victim)), (times.pause, Act::Resume(victim))],
            Self::Roll => (0..providers).map(|at| (step(at), Act::Replace(at))).collect(),
            Self::RollSame => (0..providers).map(|at| (step(at), Act::Restart(at))).collect(),
            Self::ZkDown => vec![
                (now, Act::ZooKeeper(Server::Kill)),
                (times.outage, Act::ZooKeeper(Server::Up)),
            ],
            Self::ZkWiped => vec![
                (now, Act::ZooKeeper(Server::Kill)),
                (now, Act::ZooKeeper(Server::Wipe)),
                (now, Act::ZooKeeper(Server::Up)),
            ],
            Self::ZkHangs => vec![
                (now, Act::ZooKeeper(Server::Pause)),
                (BEYOND_SESSION, Act::ZooKeeper(Server::Resume)),
            ],
            Self::Expiry => vec![
                (now, Act::Cut(Way::Client)),
                (now, Act::Cut(Way::FirstProvider)),
                (BEYOND_SESSION, Act::Heal(Way::Client)),
                (BEYOND_SESSION, Act::Heal(Way::FirstProvider)),
            ],
            Self::NodesDeleted => vec![(now, Act::DeleteNodes)],
            Self::CutOff => {
                vec![(now, Act::Cut(Way::Providers)), (BEYOND_SESSION, Act::Heal(Way::Providers))]
            }
            Self::Slow => vec![
                (now, Act::Behave(victim, Manner::Slow)),
                (times.spell, Act::Behave(victim, Manner::Well)),
            ],
            Self::Failing => vec![
                (now, Act::Behave(victim, Manner::Failing)),
                (times.spell, Act::Behave(victim, Manner::Well)),
            ],
            Self::Mute => vec![(now, Act::List(Lie::Mute))],
            Self::Deaf => vec![(now, Act::List(Lie::Deaf))],
            Self::Stuck => vec![(now, Act::List(Lie::Stuck))],
            Self::Lies => [Lie::Dead, Lie::Foreign, Lie::OtherService, Lie::OtherInstance]
                .map(|lie| (now, Act::List(lie)))
                .into(),
            Self::Overload => vec![(now, Act::Surge(true)), (times.spell, Act::Surge(false))],
        }
    }
}

/// The acts of several faults, each beginning `apart` after the one before. The last provider is
/// never the victim of one, so that it can answer.
pub(crate) fn timeline(
    faults: &[Fault],
    apart: Duration,
    providers: usize,
    times: &Times,
) -> Vec<(Duration, Act)> {
    let mut acts = Vec::new();
    for (number, fault) in faults.iter().enumerate() {
        let number = u32::try_from(number).unwrap_or(u32::MAX);
        let victim = number as usize % (providers - 1).max(1);
        let begin = apart * number;
        let of_one = fault.acts(victim, providers, times);
        acts.extend(of_one.into_iter().map(|(at, act)| (begin + at, act)));
    }
    // Stable: what happens at one time keeps its order.
    acts.sort_by_key(|(at, _)| *at);
    acts
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMES: Times = Times {
        before: Duration::from_secs(1),
        after: Duration::from_secs(1),
        pause: Duration::from_secs(5),
        outage: Duration::from_mins(1),
        spell: Duration::from_secs(10),
    };

    #[test]
    fn faults_one_after_the_other_keep_their_order_and_spare_the_last_provider() {
        let apart = Duration::from_millis(300);
        let acts = timeline(&[Fault::Pause, Fault::Kill, Fault::Pause], apart, 3, &TIMES);
        let expected = [
            (0, Act::Pause(0)),
            (300, Act::Kill(1)),
            (600, Act::Pause(0)),
            (3300, Act::Start(1, Addr::New)),
            (5000, Act::Resume(0)),
            (5600, Act::Resume(0)),
        ];
        assert_eq!(acts, expected.map(|(at, act)| (Duration::from_millis(at), act)));
        let alone = timeline(&[Fault::Pause, Fault::Pause], apart, 1, &TIMES);
        assert!(alone.iter().all(|(_, act)| matches!(act, Act::Pause(0) | Act::Resume(0))));
    }

    #[test]
    fn what_is_stopped_cut_or_turned_on_is_undone() {
        for fault in Fault::value_variants() {
            let acts: Vec<_> = fault.acts(0, 3, &TIMES).into_iter().map(|(_, act)| act).collect();
            for (at, act) in acts.iter().enumerate() {
                let undone = match *act {
                    Act::Kill(provider) => Act::Start(provider, Addr::New),
                    Act::Pause(provider) => Act::Resume(provider),
                    Act::Behave(provider, manner) if manner != Manner::Well => {
                        Act::Behave(provider, Manner::Well)
                    }
                    Act::ZooKeeper(Server::Kill) => Act::ZooKeeper(Server::Up),
                    Act::ZooKeeper(Server::Pause) => Act::ZooKeeper(Server::Resume),
                    Act::Cut(way) => Act::Heal(way),
                    Act::Surge(true) => Act::Surge(false),
                    _ => continue,
                };
                assert!(acts[at..].contains(&undone), "{fault:?}: {undone:?}");
            }
        }
    }
}
