//! The task that owns the endpoints of a service and publishes what calls choose from.
//!
//! It wakes for a reason alone: the registry's list, an endpoint, calls that begin to wait, a time
//! that was set. The list is compared with the endpoints only when it has changed.

use super::{
    Cluster, Outlook, Past, Picks,
    ejection::{Sentence, Wanted, settle},
    picks::{Candidate, Line},
    proof::{Proof, all_tried},
    subset::{Subset, order},
};
use crate::{
    balance::Member,
    clock::{now_ms, sooner, until},
    endpoint::{Endpoint, EndpointState, Gone, Listing, Look, Reach, Removal, Trust, combine},
    pressure::Watchman,
    shared::Shared,
    standing::{OnChange, Phase},
};
use rpc_core::{
    defaults,
    discovery::{Source, Subscription, View},
    transport::lock,
};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    hash::RandomState,
    net::SocketAddr,
    sync::{Arc, Weak},
    time::Duration,
};
use tokio::{sync::watch, time::Instant};

/// How often a subset's size is looked at.
const SUBSET_REVIEW: Duration = Duration::from_secs(1);

/// How often endpoints are looked at that wait for what no time was set for.
const STANDING_REVIEW: Duration = Duration::from_secs(1);

/// How often the shares of new instances are raised.
const WARMTH_REVIEW: Duration = Duration::from_secs(1);

/// Endpoints that were given up of which people can still learn why.
const REMEMBERED: usize = 16;

/// Owns the endpoints of a service.
pub(super) struct Task {
    cluster: Weak<Cluster>,
    shared: Arc<Shared>,
    subscription: Subscription,
    /// The newest view.
    view: View,
    /// The addresses that may be dialled, those that this client prefers first.
    order: Vec<SocketAddr>,
    subset: Subset,
    /// How many of them were dialled after the last look.
    dialled: usize,
    endpoints: BTreeMap<SocketAddr, Arc<Endpoint>>,
    changed: OnChange,
    publish: watch::Sender<u64>,
    /// What makes this client's order its own.
    client: RandomState,
    past: Past,
    gone: VecDeque<Gone>,
    /// Decides when people are told that everything is full.
    watchman: Watchman,
    /// When to look again, whatever happens.
    next: Option<Instant>,
}

/// An endpoint at one moment, with what calls say of it.
struct Seen {
    addr: SocketAddr,
    look: Look,
    phase: Phase,
}

impl Task {
    pub(super) fn new(
        cluster: &Arc<Cluster>,
        shared: &Arc<Shared>,
        subscription: Subscription,
        changed: OnChange,
        publish: watch::Sender<u64>,
    ) -> Self {
        Self {
            cluster: Arc::downgrade(cluster),
            shared: Arc::clone(shared),
            view: subscription.current(),
            subscription,
            order: Vec::new(),
            subset: Subset::default(),
            dialled: 0,
            endpoints: BTreeMap::new(),
            changed,
            publish,
            client: RandomState::new(),
            past: Past::default(),
            gone: VecDeque::new(),
            watchman: Watchman::new(shared.settings.pressure_window),
            next: None,
        }
    }

    pub(super) async fn run(mut self) {
        let mut registry_ended = false;
        loop {
            let next = self.next;
            // Cancel safe: a lost wake-up is made good by the look after it.
            let listed = tokio::select! {
                view = self.subscription.changed(), if !registry_ended => {
                    registry_ended = view.is_none();
                    true
                }
                () = self.changed.notified() => false,
                () = until(next) => false,
            };
            if listed {
                self.review();
            } else {
                self.look();
            }
        }
    }

    /// Brings the endpoints in line with the registry, and looks at them.
    pub(super) fn review(&mut self) {
        let now = Instant::now();
        self.view = self.subscription.current();
        let View { instances, disabled, weights, removals_are_final, .. } = &self.view;
        for (addr, endpoint) in &self.endpoints {
            match instances.get(addr) {
                Some(instance) => {
                    endpoint.listed(instance, disabled.contains(addr), weights.get(addr).copied());
                }
                // An operator's word counts more than a connection that answers.
                None if disabled.contains(addr) => endpoint.vanished(now, Some(Removal::Disabled)),
                None => endpoint.vanished(now, removals_are_final.then_some(Removal::Final)),
            }
        }
        self.order = if instances.len() <= defaults::MAX_DIALLED {
            instances.keys().copied().collect()
        } else {
            let enabled = instances.keys().copied().filter(|addr| !disabled.contains(addr));
            order(enabled, &self.client)
        };
        self.past.listed(&self.view, now);
        // What is dialled is found anew.
        self.dialled = usize::MAX;
        self.look();
    }

    /// Looks at the endpoints, decides about those that fail, and publishes what takes calls.
    fn look(&mut self) {
        self.shared.reviewed();
        let now = Instant::now();
        self.next = None;
        let mut seen = self.see(now);
        self.eject(&mut seen, now);
        self.give_up(&mut seen, now);
        if self.dial(&seen, now) {
            // New ones are part of what is published.
            seen = self.see(now);
        }
        for Seen { addr, .. } in &seen {
            let endpoint = &self.endpoints[addr];
            sooner(&mut self.next, endpoint.given_up(now));
            // What should have come to pass, and waits for something else, is looked at now and
            // then.
            let in_time = |at: u64| match at.saturating_sub(now_ms(now)) {
                0 => now + STANDING_REVIEW,
                ms => now + Duration::from_millis(ms),
            };
            sooner(&mut self.next, endpoint.standing.next().map(in_time));
        }
        self.publish(seen, now);
    }

    fn see(&self, now: Instant) -> Vec<Seen> {
        let see = |(addr, endpoint): (&SocketAddr, &Arc<Endpoint>)| {
            let look = endpoint.look(now);
            let phase = endpoint.standing.review(now, look.idle);
            Seen { addr: *addr, look, phase }
        };
        self.endpoints.iter().map(see).collect()
    }

    /// Decides who is out of rotation, of those that can be reached.
    fn eject(&self, seen: &mut [Seen], now: Instant) {
        let reached = |seen: &Seen| {
            matches!(seen.look.reach, Reach::Answers | Reach::Stranger)
                && matches!(seen.look.listing, Listing::Listed | Listing::Vanished)
        };
        let mut reached: Vec<_> = seen.iter_mut().filter(|seen| reached(seen)).collect();
        let wanted: Vec<_> = reached
            .iter()
            .map(|seen| match seen.phase {
                Phase::Trusted => Wanted::In,
                Phase::Tripped { since, .. } => Wanted::Out { since },
                Phase::Ejected { since, .. } | Phase::Probing { since, .. } => {
                    Wanted::IsOut { since }
                }
            })
            .collect();
        for (seen, sentence) in reached.iter_mut().zip(settle(&wanted)) {
            let standing = &self.endpoints[&seen.addr].standing;
            match sentence {
                Sentence::Stay => continue,
                Sentence::Eject => standing.eject(now, fastrand::f64()),
                Sentence::Pardon => standing.pardon(now),
            }
            seen.phase = standing.review(now, seen.look.idle);
        }
    }

    /// Forgets endpoints that are gone.
    fn give_up(&mut self, seen: &mut Vec<Seen>, now: Instant) {
        let old = |gone: &Gone| now.saturating_duration_since(gone.at) > defaults::PROBATION;
        while self.gone.len() > REMEMBERED || self.gone.front().is_some_and(old) {
            self.gone.pop_front();
        }
        seen.retain(|seen| {
            let stays = seen.state() != EndpointState::Gone;
            if !stays && let Some(endpoint) = self.endpoints.remove(&seen.addr) {
                self.past.gone = Some(now);
                self.gone.push_back(endpoint.gone(now));
                endpoint.retire();
            }
            stays
        });
    }

    /// Dials what is to be dialled of the list, and lets go of what is beyond. Says whether
    /// something is new.
    fn dial(&mut self, seen: &[Seen], now: Instant) -> bool {
        let listed = self.order.len();
        let (mut in_flight, mut lost) = (0, 0);
        if listed > defaults::MAX_DIALLED {
            sooner(&mut self.next, Some(now + SUBSET_REVIEW));
            for seen in seen {
                in_flight += seen.look.usable.iter().map(|c| c.in_flight()).sum::<usize>();
                lost += usize::from(seen.is_lost(now));
            }
        }
        let size = self.subset.size(listed, in_flight, lost, now);
        if size == self.dialled {
            return false;
        }
        self.dialled = size;
        let (dialled, beyond) = self.order.split_at(size.min(listed));
        let mut new = false;
        let queue = self.cluster.upgrade().map(|cluster| Arc::clone(&cluster.queue));
        let Some(queue) = queue else { return false };
        for addr in dialled {
            let Some(instance) = self.view.instances.get(addr) else { continue };
            self.endpoints.entry(*addr).or_insert_with(|| {
                new = true;
                let weight = self.view.weights.get(addr).copied();
                let instance = Arc::clone(instance);
                Endpoint::start(&self.shared, instance, weight, &self.changed, &queue)
            });
        }
        // Of the list all are either dialled or beyond; what has vanished is in neither.
        if listed > defaults::MAX_DIALLED && self.endpoints.len() > size {
            let beyond: BTreeSet<_> = beyond.iter().collect();
            self.endpoints.retain(|addr, endpoint| {
                let stays = !beyond.contains(addr);
                if !stays {
                    endpoint.retire();
                    new = true;
                }
                stays
            });
        }
        new
    }

    fn publish(&mut self, seen: Vec<Seen>, now: Instant) {
        let Some(cluster) = self.cluster.upgrade() else { return };
        let full = cluster.queue.look();
        if full.since.is_some() {
            self.endpoints.values().for_each(|endpoint| endpoint.grow());
        }
        let looks = seen.iter().map(|seen| (seen.addr, &seen.look));
        let outlook = Outlook::of(&self.view, looks, &self.past);
        let (mut ready, mut reserve, mut probing) = (Vec::new(), Vec::new(), Vec::new());
        if let Source::Snapshot { since, .. } = self.view.source {
            sooner(&mut self.next, Some(all_tried(since)).filter(|at| *at > now));
        }
        let warm_up = self.shared.settings.warm_up;
        for seen in seen {
            let state = seen.state();
            let endpoint = &self.endpoints[&seen.addr];
            endpoint.enter(state, now);
            let age = now.saturating_duration_since(seen.look.since);
            let member = Member { addr: seen.addr, weight: seen.look.weight, age };
            let candidate = |open| Candidate::new(&endpoint.standing, open, member);
            match state {
                EndpointState::Serving | EndpointState::Probation => {
                    if age < warm_up {
                        // Its share grows.
                        sooner(&mut self.next, Some(now + WARMTH_REVIEW));
                    }
                    let answers = seen.look.usable.first().and_then(|c| c.instance());
                    match Proof::of(&self.view, seen.addr, answers, now) {
                        Proof::Good => ready.extend(candidate(seen.look.usable)),
                        Proof::Poor => reserve.extend(candidate(seen.look.usable)),
                        Proof::Awaited => {}
                    }
                }
                EndpointState::Ejected if matches!(seen.phase, Phase::Probing { .. }) => {
                    probing.extend(candidate(seen.look.usable));
                }
                _ => {}
            }
        }
        let earlier = cluster.picks.load();
        let ready = Line::new(ready, warm_up, Some(&earlier.ready));
        ready.prepare(cluster.balance);
        let picks = Picks {
            ready,
            reserve: Line::new(reserve, Duration::ZERO, None),
            probing: probing.into(),
            outlook,
        };
        let picks = Arc::new(picks);
        cluster.picks.store(Arc::clone(&picks));
        let mut roster = lock(&cluster.roster);
        roster.view = self.view.clone();
        roster.picks = picks;
        roster.endpoints = self.endpoints.values().cloned().collect();
        roster.gone = self.gone.iter().cloned().collect();
        drop(roster);
        if let Some(report) = self.watchman.look(&full, now) {
            self.shared.teller.tell(cluster.pressure(Some(&report)));
            cluster.queue.forget_most();
        }
        match self.watchman.next() {
            None => cluster.queue.alert(&full),
            next => sooner(&mut self.next, next),
        }
        self.publish.send_modify(|version| *version += 1);
    }
}

impl Seen {
    fn state(&self) -> EndpointState {
        let trust = match self.phase {
            Phase::Trusted | Phase::Tripped { .. } => Trust::Trusted,
            Phase::Ejected { .. } | Phase::Probing { .. } => Trust::Ejected,
        };
        combine(self.look.listing, self.look.reach, trust)
    }

    /// Whether another is to be dialled in its place. One that is being dialled is not lost yet.
    fn is_lost(&self, now: Instant) -> bool {
        let long = |since: Instant| now.saturating_duration_since(since) > defaults::DIAL_TIMEOUT;
        match self.state() {
            EndpointState::Connecting => self.look.lost.as_ref().is_some_and(|(at, _)| long(*at)),
            EndpointState::Serving | EndpointState::Probation | EndpointState::Disabled => false,
            _ => true,
        }
    }
}
