//! What happens when.

use std::time::Duration;

/// Something that happens to a laboratory. Providers are named by their numbers, from 0.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The registry goes down: it answers nobody, and keeps its data.
    RegistryDown,
    /// The registry is there again.
    RegistryUp,
    /// The registry loses its data. One that is up is taken down for it, and is up afterwards.
    RegistryWiped,
    /// The provider loses its way to the registry, not to its clients. Its session ends in time.
    RegistryCut(usize),
    /// Ends [`RegistryCut`](Self::RegistryCut) and [`NodesGone`](Self::NodesGone).
    RegistryBack(usize),
    /// The provider's session ends, and its nodes with it; it makes a new one.
    SessionExpired(usize),
    /// The nodes of these providers are deleted, and stay away until
    /// [`RegistryBack`](Self::RegistryBack): they are cut off from the registry, not from clients.
    NodesGone(Vec<usize>),
    /// Nothing passes between the provider and its clients, in either direction, and nothing
    /// closes: a black hole.
    Partition(usize),
    /// What the provider sends does not arrive; it goes on receiving.
    RepliesLost(usize),
    /// Bytes to and from the provider take this long each way.
    Slow(usize, Duration),
    /// Each connection to the provider carries this many bytes a second in each direction.
    Narrow(usize, u64),
    /// The provider's address refuses connections; those that are made go on.
    Refuse(usize),
    /// Ends [`Partition`](Self::Partition), [`RepliesLost`](Self::RepliesLost),
    /// [`Slow`](Self::Slow), [`Narrow`](Self::Narrow) and [`Refuse`](Self::Refuse) of a provider.
    Heal(usize),
    /// The registry lists one more address for the service of this name, which is not what it seems.
    Listed(String, Lie),
    /// What was listed so is so no longer, and nobody is there any more.
    Unlisted,
    /// The provider's connections are reset.
    Reset(usize),
    /// The provider's process stands still, as after SIGSTOP; its kernel goes on for it.
    Pause(usize),
    /// Ends [`Pause`](Self::Pause).
    Resume(usize),
    /// The provider's process dies, as after SIGKILL: its session stays for a while.
    Kill(usize),
    /// The provider leaves in order: withdraws, tells its clients, lets running calls end. Happens
    /// in the background.
    Stop(usize),
    /// A provider that was killed or stopped starts again at its address, in the background, once
    /// it has left.
    Restart(usize),
}

/// What is found at an address that a registry lists though no provider is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Lie {
    /// Nobody listens.
    Dead,
    /// Somebody speaks another protocol.
    Foreign,
    /// Somebody accepts connections and says nothing at all.
    Mute,
    /// Somebody greets as the instance that is listed, and answers neither calls nor pings.
    Deaf,
    /// The same, who answers pings, and never a call.
    Stuck,
    /// The same, who closes the connection on which a call comes.
    HangsUp,
}

/// Events with their times, counted from when the script is [played](super::Lab::play).
///
/// ```
/// use rpc_testkit::lab::{Event, Script};
/// use std::time::Duration;
///
/// let seconds = Duration::from_secs;
/// let script = Script::new()
///     .at(seconds(1), Event::Partition(0))
///     .at(seconds(6), Event::Heal(0))
///     .until(seconds(8));
/// assert_eq!(script.end(), seconds(8));
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[must_use = "a script does nothing until it is played"]
pub struct Script {
    events: Vec<(Duration, Event)>,
    until: Duration,
}

impl Script {
    /// An empty script.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an event. Those of one time happen in the order in which they were added.
    pub fn at(mut self, after: Duration, event: Event) -> Self {
        self.until = self.until.max(after);
        let place = self.events.partition_point(|(earlier, _)| *earlier <= after);
        self.events.insert(place, (after, event));
        self
    }

    /// Lets the script last at least this long, beyond its last event.
    pub fn until(mut self, end: Duration) -> Self {
        self.until = self.until.max(end);
        self
    }

    /// When it ends.
    pub fn end(&self) -> Duration {
        self.until
    }

    /// Its events in their order.
    pub fn events(&self) -> &[(Duration, Event)] {
        &self.events
    }

    pub(super) fn into_events(self) -> Vec<(Duration, Event)> {
        self.events
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_in_the_order_of_their_times_and_then_as_they_were_added() {
        let seconds = Duration::from_secs;
        let script = Script::new()
            .at(seconds(2), Event::Kill(0))
            .at(seconds(1), Event::Reset(1))
            .at(seconds(2), Event::Restart(0));
        let order: Vec<_> = script.events().iter().map(|(_, event)| event.clone()).collect();
        assert_eq!(order, [Event::Reset(1), Event::Kill(0), Event::Restart(0)]);
        assert_eq!(script.end(), seconds(2));
    }
}
