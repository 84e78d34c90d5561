//! Random faults in random combinations, of which at any time one provider is spared.

use crate::fault::{Act, Addr, BEYOND_SESSION, Lie, Manner, Server, Way};
use fastrand::Rng;
use std::time::Duration;

/// Acts for about `length`, each undone by then. The same seed gives the same acts.
pub(crate) fn acts(seed: u64, length: Duration, providers: usize) -> Vec<(Duration, Act)> {
    let mut rng = Rng::with_seed(seed);
    let mut plan =
        Plan { acts: Vec::new(), busy: vec![Duration::ZERO; providers], free: [Duration::ZERO; 3] };
    let mut now = Duration::ZERO;
    while now < length {
        plan.trouble(&mut rng, now);
        now += Duration::from_millis([0, 100, 300, 1_000, 2_000][rng.usize(0..5)]);
    }
    plan.acts.sort_by_key(|(at, _)| *at);
    plan.acts
}

struct Plan {
    acts: Vec<(Duration, Act)>,
    /// Until when each provider has a fault.
    busy: Vec<Duration>,
    /// The same of ZooKeeper, of the client's way to it, and of the providers' ways.
    free: [Duration; 3],
}

/// A provider that has started is in use again some time later.
const SETTLE: Duration = Duration::from_secs(4);

impl Plan {
    fn add(&mut self, now: Duration, acts: &[(Duration, Act)]) {
        self.acts.extend(acts.iter().map(|(after, act)| (now + *after, *act)));
    }

    /// A provider that may have a fault for so long, since another one is left.
    fn victim(&mut self, rng: &mut Rng, now: Duration, takes: Duration) -> Option<usize> {
        let well: Vec<_> = (0..self.busy.len()).filter(|at| self.busy[*at] <= now).collect();
        if well.len() < 2 {
            return None;
        }
        let victim = well[rng.usize(0..well.len())];
        // A new one is not known to the client before the registry is well.
        let known = self.free.into_iter().fold(now + takes, Duration::max);
        self.busy[victim] = known + SETTLE;
        Some(victim)
    }

    /// The same of ZooKeeper and the ways to it, which may all fail at once.
    fn takes(&mut self, what: usize, now: Duration, takes: Duration) -> Option<()> {
        if self.free[what] > now {
            return None;
        }
        self.free[what] = now + takes;
        for busy in self.busy.iter_mut().filter(|busy| **busy > now) {
            *busy = (*busy).max(now + takes + SETTLE);
        }
        Some(())
    }

    /// One piece of trouble; none if what it would hit is in trouble already.
    fn trouble(&mut self, rng: &mut Rng, now: Duration) -> Option<()> {
        let zero = Duration::ZERO;
        let ms = Duration::from_millis;
        match rng.u32(0..14) {
            0..3 => {
                let down = ms(rng.u64(0..3_000));
                let victim = self.victim(rng, now, down)?;
                let addr = if rng.bool() { Addr::New } else { Addr::Old };
                self.add(now, &[(zero, Act::Kill(victim)), (down, Act::Start(victim, addr))]);
            }
            3 => {
                let victim = self.victim(rng, now, SETTLE)?;
                self.add(now, &[(zero, Act::Replace(victim))]);
            }
            4 => {
                let victim = self.victim(rng, now, SETTLE)?;
                self.add(now, &[(zero, Act::Restart(victim))]);
            }
            5 | 6 => {
                let paused = ms([500, 1_500, 3_000, 5_000][rng.usize(0..4)]);
                let victim = self.victim(rng, now, paused)?;
                self.add(now, &[(zero, Act::Pause(victim)), (paused, Act::Resume(victim))]);
            }
            7 => {
                let slow = ms(rng.u64(500..5_000));
                let victim = self.victim(rng, now, slow)?;
                let behave = |manner| Act::Behave(victim, manner);
                self.add(now, &[(zero, behave(Manner::Slow)), (slow, behave(Manner::Well))]);
            }
            8 => {
                let down = ms([200, 1_000, 3_000, 6_000][rng.usize(0..4)]);
                self.takes(0, now, down + SETTLE)?;
                let server = Act::ZooKeeper;
                self.add(now, &[(zero, server(Server::Kill)), (down, server(Server::Up))]);
            }
            9 => {
                self.takes(0, now, SETTLE)?;
                let wiped = [Server::Kill, Server::Wipe, Server::Up];
                self.add(now, &wiped.map(|act| (zero, Act::ZooKeeper(act))));
            }
            10 => {
                let hangs = ms([1_000, 3_000][rng.usize(0..2)]);
                self.takes(0, now, hangs)?;
                let server = Act::ZooKeeper;
                self.add(now, &[(zero, server(Server::Pause)), (hangs, server(Server::Resume))]);
            }
            11 => {
                self.takes(1, now, BEYOND_SESSION)?;
                let acts = [Act::Cut(Way::Client), Act::Heal(Way::Client)];
                self.add(now, &[(zero, acts[0]), (BEYOND_SESSION, acts[1])]);
            }
            12 => {
                self.takes(2, now, BEYOND_SESSION)?;
                let way = if rng.bool() { Way::Providers } else { Way::FirstProvider };
                self.add(now, &[(zero, Act::Cut(way)), (BEYOND_SESSION, Act::Heal(way))]);
            }
            _ => {
                let lie = [Lie::Dead, Lie::Foreign][rng.usize(0..2)];
                let act = if rng.bool() { Act::DeleteNodes } else { Act::List(lie) };
                self.add(now, &[(zero, act)]);
            }
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_decides_and_one_provider_is_always_well() {
        let length = Duration::from_mins(10);
        for seed in 0..50 {
            for providers in 1..4 {
                let plan = acts(seed, length, providers);
                assert_eq!(plan, acts(seed, length, providers));
                let mut well = vec![true; providers];
                for (_, act) in &plan {
                    match *act {
                        Act::Kill(at) | Act::Pause(at) => {
                            assert!(well[at], "{seed}: {at} twice");
                            well[at] = false;
                        }
                        Act::Start(at, _) | Act::Resume(at) => well[at] = true,
                        Act::Replace(at) | Act::Restart(at) => assert!(well[at], "{seed}: {at}"),
                        _ => {}
                    }
                    assert!(well.contains(&true), "{seed}: nobody is left");
                }
                assert!(providers == 1 || plan.len() > 150, "{} acts", plan.len());
                assert!(!well.contains(&false), "{seed}: not undone");
            }
        }
        assert_ne!(acts(1, length, 3), acts(2, length, 3));
    }
}
