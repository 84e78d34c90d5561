//! What becomes of a call whose provider has fallen silent.

use super::{Progress, Route};
use crate::connection::{Connection, Ending, Waiter};

impl Route {
    /// As long as the request has not left it cannot run: it is taken back and made elsewhere once
    /// another endpoint takes it. What has left is waited for; [`Ending::Silent`] for a call that
    /// may run at another endpoint beside it.
    pub(super) async fn stranded(
        &self,
        connection: &Connection,
        waiter: &mut Waiter<'_>,
        progress: &Progress,
    ) -> Ending {
        if self.has_another(connection, progress) && !waiter.stop() {
            return Ending::Stuck;
        }
        if progress.wish().again {
            return Ending::Silent;
        }
        tokio::select! {
            biased;
            ending = answer(connection, waiter) => return ending,
            () = self.elsewhere(connection, progress) => {}
        }
        if waiter.stop() { answer(connection, waiter).await } else { Ending::Stuck }
    }
}

/// Waits for the end of a call, whatever its provider does meanwhile.
async fn answer(connection: &Connection, waiter: &mut Waiter<'_>) -> Ending {
    loop {
        match connection.wait(waiter).await {
            Ending::Silent | Ending::Late => {}
            ending => return ending,
        }
    }
}
