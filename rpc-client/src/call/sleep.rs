//! Waiting for a time, wherever the caller is polled.

use super::Route;
use tokio::{
    runtime::Handle,
    time::{Instant, sleep_until},
};
use tokio_util::task::AbortOnDropHandle;

impl Route {
    /// Waits until then, on the clock of the client's runtime: the caller may be polled outside of
    /// every runtime, or in one without a clock. `false`: that runtime has ended, and the client
    /// with it.
    pub(super) async fn sleeps_until(&self, at: Instant) -> bool {
        sleeps_in(&self.shared.runtime, at).await
    }
}

/// In a task of that runtime: a timer that is polled from outside while its runtime ends panics.
async fn sleeps_in(runtime: &Handle, at: Instant) -> bool {
    let sleep = runtime.spawn(async move { sleep_until(at).await });
    AbortOnDropHandle::new(sleep).await.is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::runtime::Builder;

    const FAR: Duration = Duration::from_mins(10);

    #[tokio::test]
    async fn a_wait_ends_with_its_runtime_and_does_not_panic() {
        let builders = [Builder::new_multi_thread, Builder::new_current_thread];
        for runtime in builders.map(|builder| builder().enable_time().build().unwrap()) {
            let handle = runtime.handle().clone();
            let mut asleep = Box::pin(sleeps_in(&handle, Instant::now() + FAR));
            tokio::select! {
                biased;
                _ = &mut asleep => panic!("the time has not come"),
                () = std::future::ready(()) => {}
            }
            runtime.shutdown_background();
            assert!(!asleep.await, "it was asleep when its runtime ended");
            assert!(!sleeps_in(&handle, Instant::now() + FAR).await, "it came after that");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_is_as_long_as_it_was_to_be() {
        let began = Instant::now();
        assert!(sleeps_in(&Handle::current(), began + FAR).await);
        assert_eq!(began.elapsed(), FAR);
    }
}
