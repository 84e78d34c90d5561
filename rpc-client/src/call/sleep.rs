//! Waiting for a time, wherever the caller is polled.

use super::Route;
use tokio::time::Instant;

impl Route {
    /// Waits until then, on the clock of the client's runtime: the caller may be polled outside of
    /// every runtime, or in one without a clock. `false`: that runtime has ended, and the client
    /// with it.
    pub(super) async fn sleeps_until(&self, at: Instant) -> bool {
        let sleep = {
            let _runtime = self.shared.runtime.enter();
            tokio::time::sleep_until(at)
        };
        tokio::select! {
            biased;
            // First: then there is no clock to be asked any more.
            () = self.cluster.over() => false,
            () = sleep => true,
        }
    }
}
