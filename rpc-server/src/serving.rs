//! What all connections of a server share.

use crate::{
    limits::{ServerLimits, Usage},
    relief::Relief,
    router::Router,
    stats::Counters,
};
use rpc_core::{Token, discovery::InstanceId};
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};
use tokio_util::sync::CancellationToken;

/// A server from the point of view of its connections.
#[derive(Debug)]
pub(crate) struct Serving {
    pub(crate) router: Router,
    pub(crate) limits: ServerLimits,
    /// Of which a client has to show one; none: it need not.
    tokens: Vec<Token>,
    pub(crate) instance: InstanceId,
    pub(crate) counters: Counters,
    /// The calls of all connections.
    pub(crate) usage: Arc<Usage>,
    /// Looks after answers that wait for a task without a turn.
    pub(crate) relief: Relief,
    /// Peers are told to leave; new ones at once.
    leaving: AtomicBool,
    /// New calls are refused.
    draining: CancellationToken,
    /// Connections end now, whatever runs on them.
    stop: CancellationToken,
}

/// What a client may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Make calls.
    Granted,
    /// Nothing: it has shown no token.
    NoToken,
    /// Nothing: it has shown one that is not known here.
    WrongToken,
}

impl Serving {
    pub(crate) fn new(
        router: Router,
        limits: ServerLimits,
        tokens: Vec<Token>,
        instance: InstanceId,
    ) -> Self {
        let stop = CancellationToken::new();
        Self {
            router,
            limits,
            tokens,
            instance,
            counters: Counters::default(),
            usage: Arc::default(),
            relief: Relief::default(),
            leaving: AtomicBool::new(false),
            draining: stop.child_token(),
            stop,
        }
    }

    /// Whether anybody who calls is to be known.
    pub(crate) fn is_guarded(&self) -> bool {
        !self.tokens.is_empty()
    }

    /// What a client may do that has shown `token`. Each token is compared, so that the time does
    /// not tell which was the right one.
    pub(crate) fn access(&self, token: Option<&Token>) -> Access {
        match token {
            _ if !self.is_guarded() => Access::Granted,
            None => Access::NoToken,
            Some(shown) => {
                let same = self.tokens.iter().filter(|token| *token == shown).count();
                if same > 0 { Access::Granted } else { Access::WrongToken }
            }
        }
    }

    /// Sequentially consistent, as is reading it: a connection enters the list and then looks
    /// here, who leaves writes here and then looks at the list; one of them sees the other.
    pub(crate) fn start_leaving(&self) {
        self.leaving.store(true, Ordering::SeqCst);
    }

    pub(crate) fn is_leaving(&self) -> bool {
        self.leaving.load(Ordering::SeqCst)
    }

    /// Triggered when new calls are refused and no connection is accepted any more.
    pub(crate) fn draining(&self) -> &CancellationToken {
        &self.draining
    }

    /// Triggered when connections end now.
    pub(crate) fn stop(&self) -> &CancellationToken {
        &self.stop
    }
}
