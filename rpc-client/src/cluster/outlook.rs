//! Whether a call that finds no endpoint should wait for one, and what to say when it should not.

use crate::endpoint::{Listing, Look, Reach, span};
use rpc_core::{
    defaults,
    discovery::{Source, View},
};
use std::{fmt::Write as _, net::SocketAddr, sync::Arc};
use tokio::time::Instant;

/// What is known of a service beside the endpoints that take calls.
#[derive(Debug, Clone)]
pub(crate) struct Outlook {
    source: Source,
    place: Arc<str>,
    listed: usize,
    disabled: usize,
    /// Since when the registry has listed no instance.
    empty: Option<Instant>,
    /// When an endpoint was lost, or listed without being reached, last.
    lost: Option<Instant>,
    /// An endpoint is connected and does not answer at the moment.
    silent: bool,
    /// One is connected and is about to say who it is.
    greets: bool,
    /// Each endpoint that takes no calls, and why.
    why: Vec<(SocketAddr, Arc<str>)>,
}

/// What a view no longer shows.
#[derive(Debug, Default)]
pub(crate) struct Past {
    /// When an endpoint was given up last.
    pub(crate) gone: Option<Instant>,
    /// Since when the registry has listed no instance.
    empty: Option<Instant>,
    /// Listed instances that an operator has disabled.
    disabled: usize,
}

impl Past {
    /// The registry has said something.
    pub(crate) fn listed(&mut self, view: &View, now: Instant) {
        self.empty = if view.instances.is_empty() { self.empty.or(Some(now)) } else { None };
        self.disabled = view.disabled.iter().filter(|a| view.instances.contains_key(a)).count();
    }
}

/// Endpoints that an error text names at most.
const NAMED: usize = 4;

impl Outlook {
    /// Before anything was dialled: what is listed already is about to be.
    pub(crate) fn new(view: &View) -> Self {
        let mut past = Past::default();
        past.listed(view, Instant::now());
        let none = Self::of(view, std::iter::empty(), &past);
        Self { lost: (none.listed > 0).then(Instant::now), ..none }
    }

    /// What `view` and the endpoints say; `past` is what they no longer show.
    pub(crate) fn of<'a>(
        view: &View,
        endpoints: impl Iterator<Item = (SocketAddr, &'a Look)>,
        past: &Past,
    ) -> Self {
        let (mut lost, mut silent, mut greets, mut why) = (past.gone, false, false, Vec::new());
        // Those that are disabled take no calls however they are.
        for (addr, look) in endpoints.filter(|(_, look)| look.listing != Listing::Disabled) {
            greets |= look.reach == Reach::Greeting;
            let reason = if look.reach == Reach::Silent {
                silent = true;
                Arc::from("silent: connected, but does not answer")
            } else if let Some((since, why)) = &look.lost {
                lost = lost.max(Some(*since));
                Arc::clone(why)
            } else {
                continue;
            };
            if why.len() < NAMED {
                why.push((addr, reason));
            }
        }
        Self {
            source: view.source.clone(),
            place: Arc::clone(&view.place),
            listed: view.instances.len(),
            disabled: past.disabled,
            empty: past.empty,
            lost,
            silent,
            greets,
            why,
        }
    }

    /// Whether an endpoint that is known may take calls again soon: a silent one, or one that was
    /// lost or listed a moment ago.
    pub(crate) fn may_come_back(&self, now: Instant) -> bool {
        self.silent || self.grace().is_some_and(|until| until > now)
    }

    /// Until when the endpoint that was lost last is waited for.
    fn grace(&self) -> Option<Instant> {
        self.lost.map(|lost| lost + defaults::ENDPOINT_GRACE)
    }

    /// What the registry and the endpoints say, for an error text.
    pub(crate) fn describe(&self, now: Instant) -> String {
        let ago = |since: Instant| now.saturating_duration_since(since).as_secs_f32();
        let place = &self.place;
        let mut text = match &self.source {
            Source::Connecting { since, reason } => {
                let why = if reason.is_empty() { "no answer yet" } else { reason };
                format!("{place} could not be read for {:.1} s: {why}", ago(*since))
            }
            Source::Snapshot { since, reason, age } => {
                let why = if reason.is_empty() { "no answer yet" } else { reason };
                let old = *age + now.saturating_duration_since(*since);
                format!(
                    "{place} could not be read for {:.1} s: {why}; a snapshot that was taken {} \
                     before lists {}",
                    ago(*since),
                    span(old),
                    instances(self.listed)
                )
            }
            Source::Live { .. } if self.listed == 0 => {
                format!("{place} lists no instance; is a provider running?")
            }
            Source::Live { .. } => format!("{place} lists {}", instances(self.listed)),
            Source::Stale { since, reason } => format!(
                "the registry has been unreachable for {:.1} s ({reason}); {place} last listed {}",
                ago(*since),
                instances(self.listed)
            ),
        };
        if self.disabled > 0 {
            let _ = write!(text, ", {} of them disabled by an operator", self.disabled);
        }
        for (addr, reason) in &self.why {
            let _ = write!(text, "; {addr}: {reason}");
        }
        text
    }
}

fn instances(count: usize) -> String {
    if count == 1 { "1 instance".to_owned() } else { format!("{count} instances") }
}

/// Until when a call that finds no endpoint should wait for one; `None`: not at all. Pure.
///
/// It waits while the registry cannot be read, while one that is connected may come back or is about
/// to greet, and for a grace after an endpoint was lost or listed, or after a live registry listed
/// none.
pub(crate) fn outlook(outlook: &Outlook, now: Instant) -> Option<Instant> {
    let forever = now + defaults::PROBATION;
    let until = match &outlook.source {
        Source::Connecting { .. } | Source::Snapshot { .. } | Source::Stale { .. } => forever,
        Source::Live { .. } if outlook.silent || outlook.greets => forever,
        Source::Live { since } => {
            let empty = outlook.empty.map(|empty| empty.max(*since) + defaults::EMPTY_GRACE);
            empty.max(outlook.grace())?
        }
    };
    (until > now).then_some(until)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn at(source: Source, listed: usize, lost: Option<Instant>) -> Outlook {
        let now = Instant::now();
        Outlook {
            source,
            place: Arc::from("/rpc/x"),
            listed,
            disabled: 0,
            empty: (listed == 0).then_some(now),
            lost,
            silent: false,
            greets: false,
            why: Vec::new(),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_lost_may_come_back_for_a_while_and_what_is_silent_at_any_time() {
        let then = Instant::now();
        let live = Source::Live { since: then };
        let lost = at(live.clone(), 1, Some(then));
        assert!(lost.may_come_back(then + Duration::from_secs(3)));
        assert!(!lost.may_come_back(then + Duration::from_secs(6)));
        assert!(Outlook { silent: true, ..lost }.may_come_back(then + Duration::from_secs(6)));
        // That the registry cannot be read says nothing of the providers.
        let stale = Source::Stale { since: then, reason: Arc::from("gone") };
        assert!(!at(stale, 1, None).may_come_back(then));
        assert!(!at(live, 0, None).may_come_back(then));
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_waits_as_long_as_it_makes_sense() {
        let then = Instant::now();
        tokio::time::advance(Duration::from_secs(3)).await;
        let now = Instant::now();
        let live = |since| Source::Live { since };
        let stale = Source::Stale { since: then, reason: Arc::from("gone") };
        assert!(outlook(&at(stale, 0, None), now).is_some(), "unreachable: wait");
        let empty = |since| Outlook { empty: Some(since), ..at(live(then), 0, None) };
        assert_eq!(outlook(&empty(then), now), None, "empty for 3 s: fail");
        assert!(outlook(&empty(now), now).is_some(), "just become empty: wait");
        assert!(outlook(&at(live(now), 0, None), now).is_some(), "just become live: wait");
        assert!(outlook(&at(live(then), 1, Some(then)), now).is_some(), "lost 3 s ago: wait");
        let much_later = now + Duration::from_secs(3);
        assert_eq!(outlook(&at(live(then), 1, Some(then)), much_later), None, "lost 6 s ago");
        let greets = Outlook { greets: true, ..at(live(then), 1, Some(then)) };
        assert!(outlook(&greets, much_later).is_some(), "connected, about to greet: wait");
        assert!(!greets.may_come_back(much_later), "it is not known to answer");
        assert_eq!(outlook(&at(live(then), 1, None), now), None, "all of them disabled");
    }

    #[tokio::test(start_paused = true)]
    async fn a_snapshot_is_told_with_its_age_and_waited_for_like_an_unread_registry() {
        let since = Instant::now();
        tokio::time::advance(Duration::from_secs(3)).await;
        let now = Instant::now();
        let (reason, age) = (Arc::from("refused"), Duration::from_mins(5));
        let known = at(Source::Snapshot { since, reason, age }, 2, None);
        assert!(outlook(&known, now).is_some());
        let text = known.describe(now);
        assert_eq!(
            text,
            "/rpc/x could not be read for 3.0 s: refused; a snapshot that was taken 5 min before \
             lists 2 instances"
        );
    }
}
