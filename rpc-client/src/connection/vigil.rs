//! Tells a silent provider from one that is merely slow.
//!
//! Any byte is life. With calls outstanding, 0.7 s without a byte ask for a pong, and a second
//! without that makes the provider silent until its next byte: with looks that come up to 0.1 s late
//! it is out of rotation within 2 s. A call whose time has passed asks at
//! once. An idle connection is pinged too, so that a vanished peer is found before a call is.

use crate::clock::Time;
use rpc_core::defaults;
use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::Duration,
};

/// Who was heard a shorter time ago lives, whatever becomes of single calls.
const LATELY: Duration = Duration::from_millis(100);

/// When a connection was heard last, and what follows from that. Times are in ns.
#[derive(Debug)]
pub(super) struct Vigil {
    heard: AtomicU64,
    /// When the ping that is not answered yet was sent; 0 when there is none.
    pinged: AtomicU64,
    silent: AtomicBool,
    /// It was pinged because another connection of its endpoint is in trouble.
    suspected: AtomicBool,
    /// Since when there have been calls at every look; 0 when there were none. The timekeeper's.
    busy: AtomicU64,
    idle: Duration,
}

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Look {
    Fine,
    Ping,
    /// The provider has just become silent.
    Silent,
}

/// What a byte that has come says of the provider.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Sign {
    Usual,
    /// It was suspected to be silent.
    Cleared,
    /// It was silent.
    Resumed,
}

impl Vigil {
    pub(super) fn new() -> Self {
        let jitter = 0.75 + fastrand::f64() * 0.5;
        Self {
            heard: AtomicU64::new(Time::now().nanos()),
            pinged: AtomicU64::new(0),
            silent: AtomicBool::new(false),
            suspected: AtomicBool::new(false),
            busy: AtomicU64::new(0),
            idle: defaults::IDLE_PING.mul_f64(jitter),
        }
    }

    /// A byte has come.
    pub(super) fn heard(&self, now: Time) -> Sign {
        self.heard.store(now.nanos(), Ordering::Relaxed);
        let mut sign = Sign::Usual;
        if self.pinged.load(Ordering::Relaxed) != 0 {
            self.pinged.store(0, Ordering::Relaxed);
            if self.suspected.swap(false, Ordering::Relaxed) {
                sign = Sign::Cleared;
            }
        }
        // Looked at for itself: it may have been set a moment after the ping was answered.
        if self.is_silent() && self.silent.swap(false, Ordering::Relaxed) {
            sign = Sign::Resumed;
        }
        sign
    }

    /// When the last byte came.
    pub(super) fn heard_at(&self) -> Time {
        Time::from_nanos(self.heard.load(Ordering::Relaxed))
    }

    /// Something speaks against the provider: whether it is to be pinged now.
    pub(super) fn suspect(&self, now: Time) -> bool {
        self.suspected.store(true, Ordering::Relaxed);
        let relaxed = Ordering::Relaxed;
        self.pinged.compare_exchange(0, now.nanos().max(1), relaxed, relaxed).is_ok()
    }

    /// A call has waited in vain: whether the provider is to be pinged now. Calls with little time
    /// come and go faster than [`look`](Self::look) takes note of a silence.
    pub(super) fn ask(&self, now: Time) -> bool {
        let relaxed = Ordering::Relaxed;
        now.since(self.heard_at()) >= LATELY
            && self.pinged.compare_exchange(0, now.nanos().max(1), relaxed, relaxed).is_ok()
    }

    /// Whether a ping after a suspicion is unanswered.
    pub(super) fn is_suspected(&self) -> bool {
        self.suspected.load(Ordering::Relaxed)
    }

    pub(super) fn is_silent(&self) -> bool {
        self.silent.load(Ordering::Relaxed)
    }

    /// Looks at the clock, a few times a second.
    pub(super) fn look(&self, now: Time, calls_outstanding: bool) -> Look {
        let busy = match self.busy.load(Ordering::Relaxed) {
            0 => now.nanos(),
            since => since,
        };
        self.busy.store(if calls_outstanding { busy } else { 0 }, Ordering::Relaxed);
        let quiet = |since: u64| now.since(Time::from_nanos(since));
        let pinged = self.pinged.load(Ordering::Relaxed);
        if pinged != 0 {
            let late = quiet(pinged) >= defaults::SILENCE_AFTER_PING;
            return if late && !self.silent.swap(true, Ordering::Relaxed) {
                Look::Silent
            } else {
                Look::Fine
            };
        }
        let heard = self.heard.load(Ordering::Relaxed);
        // What was quiet while nobody asked anything says nothing.
        let ask = calls_outstanding && quiet(heard.max(busy)) >= defaults::SILENCE_BEFORE_PING;
        if !ask && quiet(heard) < self.idle {
            return Look::Fine;
        }
        self.pinged.store(now.nanos(), Ordering::Relaxed);
        Look::Ping
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Time {
        Time::from_nanos(ms * 1_000_000)
    }

    #[test]
    fn a_quiet_provider_is_asked_and_condemned_until_a_byte_comes() {
        let vigil = Vigil::new();
        vigil.heard(ms(1_000));
        assert_eq!(vigil.look(ms(1_000), true), Look::Fine);
        assert_eq!(vigil.look(ms(1_600), true), Look::Fine);
        assert_eq!(vigil.look(ms(1_700), true), Look::Ping);
        assert_eq!(vigil.look(ms(2_600), true), Look::Fine);
        assert_eq!(vigil.look(ms(2_700), true), Look::Silent);
        assert!(vigil.is_silent());
        assert_eq!(vigil.look(ms(9_000), true), Look::Fine, "it is told once");
        assert_eq!(vigil.heard(ms(9_500)), Sign::Resumed);
        assert!(!vigil.is_silent());
    }

    #[test]
    fn it_takes_two_seconds_at_most_from_the_first_call_on() {
        // A call right after a look, and looks that come a tenth of a second after one another.
        for phase in 0..100 {
            let vigil = Vigil::new();
            vigil.heard(ms(1_000));
            let looks = (1_000 + phase..).step_by(100);
            let mut looks = looks.map(|at| (at, vigil.look(ms(at), at > 5_000)));
            let (found, _) = looks.find(|(_, look)| *look == Look::Silent).unwrap();
            assert!(found <= 7_000, "{found}");
        }
    }

    #[test]
    fn a_quiet_time_counts_from_the_first_call_on() {
        let vigil = Vigil::new();
        vigil.heard(ms(1_000));
        assert_eq!(vigil.look(ms(6_000), false), Look::Fine);
        assert_eq!(vigil.look(ms(6_100), true), Look::Fine, "the call has just begun");
        assert_eq!(vigil.look(ms(6_700), true), Look::Fine);
        assert_eq!(vigil.look(ms(6_800), true), Look::Ping);
    }

    #[test]
    fn a_byte_ends_a_silence_that_was_found_while_the_ping_was_answered() {
        let vigil = Vigil::new();
        vigil.silent.store(true, Ordering::Relaxed);
        assert_eq!(vigil.heard(ms(1_000)), Sign::Resumed);
        assert!(!vigil.is_silent());
    }

    #[test]
    fn a_suspicion_asks_at_once_and_any_byte_ends_it() {
        let vigil = Vigil::new();
        vigil.heard(ms(1_000));
        assert!(vigil.suspect(ms(1_100)) && vigil.is_suspected());
        assert!(!vigil.suspect(ms(1_200)), "it is asked already");
        assert_eq!(vigil.look(ms(2_000), false), Look::Fine);
        assert_eq!(vigil.heard(ms(2_050)), Sign::Cleared);
        assert!(!vigil.is_suspected());
        assert!(vigil.suspect(ms(3_000)));
        assert_eq!(vigil.look(ms(4_000), false), Look::Silent, "without any call, too");
    }

    #[test]
    fn a_call_that_waited_in_vain_asks_once_unless_the_provider_was_heard_lately() {
        let vigil = Vigil::new();
        vigil.heard(ms(1_000));
        assert!(!vigil.ask(ms(1_099)));
        assert!(vigil.ask(ms(1_300)));
        assert!(!vigil.ask(ms(1_400)) && !vigil.is_suspected());
        assert_eq!(vigil.look(ms(2_200), false), Look::Fine);
        assert_eq!(vigil.look(ms(2_300), false), Look::Silent);
    }

    #[test]
    fn an_answered_ping_keeps_a_slow_provider_in() {
        let vigil = Vigil::new();
        vigil.heard(ms(1_000));
        assert_eq!(vigil.look(ms(1_000), true), Look::Fine);
        assert_eq!(vigil.look(ms(1_700), true), Look::Ping);
        assert_eq!(vigil.heard(ms(2_200)), Sign::Usual);
        assert_eq!(vigil.look(ms(2_800), true), Look::Fine);
        assert_eq!(vigil.look(ms(2_900), true), Look::Ping);
    }

    #[test]
    fn an_idle_connection_is_pinged_within_a_quarter_of_the_interval() {
        let vigil = Vigil::new();
        vigil.heard(ms(1_000));
        assert_eq!(vigil.look(ms(1_000 + 7_499), false), Look::Fine);
        assert_eq!(vigil.look(ms(1_000 + 12_501), false), Look::Ping);
    }
}
