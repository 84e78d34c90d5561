//! Sees to it that answers do not wait for a task that gets no turn.
//!
//! The task of a call that sends its answer may let others add theirs before it writes for all.
//! When the thread that it waits on is blocked by a handler meanwhile, the answers of the whole
//! connection wait with it. One task per server looks at such connections, while there are any,
//! and gives what is left there to their flushers.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};
use tokio::{sync::Notify, time::sleep};

/// How often connections are looked at while something is unsent. A leader is relieved at the
/// second look.
const TICK: Duration = Duration::from_millis(50);

/// Whether somebody looks.
#[derive(Debug, Default)]
pub(crate) struct Relief {
    looking: AtomicBool,
    wake: Notify,
}

impl Relief {
    /// A task is about to let others go first; what it is to write waits in the outbox already.
    ///
    /// Sequentially consistent, as is the looking: who leads leaves bytes and then reads the flag,
    /// who looks clears the flag and then reads how much is unsent; one of them sees the other.
    pub(crate) fn expect(&self) {
        if !self.looking.load(Ordering::SeqCst) && !self.looking.swap(true, Ordering::SeqCst) {
            self.wake.notify_one();
        }
    }

    /// The task's body; it ends when it is dropped. `look` relieves leaders that were there at its
    /// last look, and says whether anything is unsent anywhere.
    pub(crate) async fn run(&self, look: impl Fn() -> bool) {
        loop {
            self.wake.notified().await;
            loop {
                sleep(TICK).await;
                if look() {
                    continue;
                }
                self.looking.store(false, Ordering::SeqCst);
                if !look() || self.looking.swap(true, Ordering::SeqCst) {
                    break;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rpc_core::transport::{Link, Socket};
    use std::{pin::pin, sync::Arc, task::Context};
    use tokio::{
        io::AsyncReadExt,
        net::{TcpListener, TcpStream},
        time::timeout,
    };

    /// The server's end of a connection, and the other.
    async fn connection() -> (Arc<Link>, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let link = Link::new(Socket::tcp(near).unwrap());
        (Arc::new(link), listener.accept().await.unwrap().0)
    }

    #[tokio::test]
    async fn what_a_leader_without_a_turn_holds_up_is_sent_by_the_flusher() {
        let (link, mut far) = connection().await;
        let relief = Arc::new(Relief::default());
        let (looking, looked_at, flushed) =
            (Arc::clone(&relief), Arc::clone(&link), Arc::clone(&link));
        tokio::spawn(async move {
            let look = || {
                looked_at.outbox().relieve();
                looked_at.outbox().unsent() > 0
            };
            looking.run(look).await;
        });
        tokio::spawn(async move { flushed.flush().await });
        for round in 0..3 {
            assert!(link.outbox().append(|out| out.push(round)).unwrap().owner);
            relief.expect();
            // Polled once and put aside, as the task of a thread that is blocked.
            let mut leader = pin!(link.outbox().lead(link.stream()));
            let mut cx = Context::from_waker(std::task::Waker::noop());
            assert!(leader.as_mut().poll(&mut cx).is_pending());
            assert!(!link.outbox().append(|out| out.push(round + 100)).unwrap().owner);
            let mut bytes = [0; 2];
            timeout(TICK * 200, far.read_exact(&mut bytes)).await.unwrap().unwrap();
            assert_eq!(bytes, [round, round + 100]);
            // Let it come to rest, so that it must be woken again.
            while relief.looking.load(Ordering::SeqCst) {
                sleep(TICK).await;
            }
        }
    }
}
