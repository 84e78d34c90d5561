//! What lies between two addresses, in one direction.

use std::time::Duration;

/// The way from one address to another. The way back has settings of its own.
///
/// ```
/// use rpc_testkit::sim::Path;
/// use std::time::Duration;
///
/// let far = Path { latency: Duration::from_millis(80), ..Path::default() };
/// assert!(!far.held);
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Path {
    /// How long bytes are on their way. Default 200 µs.
    pub latency: Duration,
    /// Up to this much more, at random; bytes stay in order. Default 100 µs.
    pub jitter: Duration,
    /// Bytes a second that a connection carries. Default: no limit.
    pub bandwidth: Option<u64>,
    /// Bytes that a sender gets rid of before the receiver reads: both ends' socket buffers. Less
    /// than 1 counts as 1. Default 256 KiB.
    pub buffer: usize,
    /// A black hole: nothing arrives, nothing closes, connecting takes for ever. What was sent
    /// arrives when this ends, as what TCP sends again does. After 15 s with bytes that nobody
    /// acknowledged the sender's end of the connection breaks. Default false.
    pub held: bool,
}

impl Default for Path {
    fn default() -> Self {
        Self {
            latency: Duration::from_micros(200),
            jitter: Duration::from_micros(100),
            bandwidth: None,
            buffer: 256 * 1024,
            held: false,
        }
    }
}

impl Path {
    /// How long the path itself delays bytes; `random` is in 0..1.
    pub(super) fn delay(&self, random: f64) -> Duration {
        self.latency + self.jitter.mul_f64(random)
    }

    /// How long `bytes` keep the path busy.
    pub(super) fn transfer(&self, bytes: usize) -> Duration {
        match self.bandwidth {
            None => Duration::ZERO,
            Some(rate) => Duration::from_micros(bytes as u64 * 1_000_000 / rate.max(1)),
        }
    }
}
