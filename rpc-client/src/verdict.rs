//! What is sent again: the table of the documentation as one pure function.

use crate::balance::Lesson;
use rpc_core::{Outcome, RpcCode, wire::Reason};

/// How an attempt ended, as far as the decision needs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// Its last byte was not handed to the kernel.
    NotSent,
    /// It waited for room or credit for too long, and is not complete.
    Stuck,
    /// The provider answered with a framework error.
    Answered(Reason, RpcCode),
    /// The handler's own result: success or an application error.
    Application,
    /// The connection broke after sending, or the provider is silent.
    Unknown,
    /// The deadline passed, with the request sent.
    Deadline,
    /// The call cannot be made at all, or not in time.
    Final,
}

/// What an attempt says of the endpoint that it was made at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Opinion {
    /// It does its work.
    Good,
    /// Nothing, or only something about its connection, which speaks for itself.
    None,
    /// It counts against the endpoint.
    Fault,
    /// It does not serve the service at all.
    Wrong,
    /// It takes no calls of this client.
    Closed,
}

/// The last column of the table. `at_fault` is what the instance says of itself.
pub(crate) fn opinion(ended: Ended, at_fault: bool) -> Opinion {
    match ended {
        _ if at_fault => Opinion::Fault,
        Ended::Application => Opinion::Good,
        Ended::Deadline => Opinion::Fault,
        // A broken or silent connection counts once, however many calls it takes with it.
        Ended::NotSent | Ended::Stuck | Ended::Unknown | Ended::Final => Opinion::None,
        Ended::Answered(reason, code) => match (reason, code) {
            // Listed for a service that it does not serve, it would refuse its share for ever. A
            // method that is missing may be new, and the others are served.
            (Reason::UnknownService, _) => Opinion::Wrong,
            (Reason::NotPermitted, _) => Opinion::Closed,
            (Reason::DeadlinePassed, _)
            | (Reason::Handler, RpcCode::Unavailable | RpcCode::ResourceExhausted) => {
                Opinion::Fault
            }
            (Reason::Handler, _) => Opinion::Good,
            // Other refusals and panics say something of the call, overload something of the load.
            _ => Opinion::None,
        },
    }
}

/// Whether the connection alone was in trouble: another one to the same endpoint may do.
pub(crate) fn only_connection(ended: Ended) -> bool {
    matches!(ended, Ended::NotSent | Ended::Unknown | Ended::Answered(Reason::Draining, _))
}

/// What follows from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Elsewhere at no charge: it cannot have cost anything.
    Move,
    /// Elsewhere, as one of the further attempts.
    Retry,
    /// The caller is told.
    Stop,
}

/// Decides about a call that was not the caller's last try.
pub(crate) fn decide(ended: Ended, idempotent: bool) -> Verdict {
    let if_idempotent = if idempotent { Verdict::Retry } else { Verdict::Stop };
    match ended {
        Ended::NotSent | Ended::Stuck | Ended::Answered(Reason::Draining, _) => Verdict::Move,
        Ended::Answered(
            Reason::Overloaded
            | Reason::UnknownService
            | Reason::UnknownMethod
            | Reason::NotPermitted,
            _,
        ) => Verdict::Retry,
        Ended::Answered(Reason::Handler, RpcCode::Unavailable | RpcCode::ResourceExhausted)
        | Ended::Unknown => if_idempotent,
        Ended::Answered(..) | Ended::Application | Ended::Deadline | Ended::Final => Verdict::Stop,
    }
}

/// Whether an attempt decides an idempotent call while other attempts go on: a handler's own result
/// does, and the end of the time. The rest does not: an attempt beside another must not make a
/// call fail that would succeed without it.
pub(crate) fn settles(ended: Ended, at_fault: bool) -> bool {
    match ended {
        Ended::Application | Ended::Deadline => true,
        Ended::Answered(Reason::Handler, _) => !at_fault && decide(ended, true) == Verdict::Stop,
        _ => false,
    }
}

/// What an attempt that ended so says about its endpoint's speed; `None`: nothing. `code` is the
/// error's, if it failed, `at_fault` what the instance says of itself.
///
/// What is fast because it did no work must not make its endpoint look fast.
pub(crate) fn lesson(ended: Ended, code: Option<RpcCode>, at_fault: bool) -> Option<Lesson> {
    match ended {
        _ if at_fault => Some(Lesson::Failed),
        Ended::Application => Some(Lesson::Answered),
        Ended::Unknown
        | Ended::Answered(
            Reason::Panicked
            | Reason::UnknownService
            | Reason::UnknownMethod
            | Reason::NotPermitted,
            _,
        ) => Some(Lesson::Failed),
        Ended::Answered(Reason::Overloaded, _) => Some(Lesson::Overloaded),
        Ended::Answered(Reason::TimePassed | Reason::DeadlinePassed | Reason::BadAnswer, _) => {
            Some(Lesson::AtLeast)
        }
        Ended::Answered(Reason::Handler, code) => Some(match code {
            RpcCode::Unavailable
            | RpcCode::ResourceExhausted
            | RpcCode::Internal
            | RpcCode::Unknown
            | RpcCode::DataLoss
            | RpcCode::Unimplemented => Lesson::Failed,
            // Of calls that the handler made, or of what it takes from them.
            RpcCode::DeadlineExceeded | RpcCode::Cancelled => Lesson::AtLeast,
            _ => Lesson::Answered,
        }),
        Ended::Stuck | Ended::Deadline => Some(Lesson::AtLeast),
        Ended::Final if code == Some(RpcCode::DeadlineExceeded) => Some(Lesson::AtLeast),
        // A reply that cannot be read.
        Ended::Final if code == Some(RpcCode::Internal) => Some(Lesson::Failed),
        Ended::NotSent | Ended::Answered(..) | Ended::Final => None,
    }
}

/// What the caller learns about its call when it ended so.
pub(crate) fn outcome(ended: Ended) -> Outcome {
    match ended {
        Ended::NotSent | Ended::Stuck => Outcome::NotSent,
        Ended::Answered(reason, _) => reason.outcome(),
        Ended::Application => Outcome::Ran,
        Ended::Unknown | Ended::Deadline | Ended::Final => Outcome::Unknown,
    }
}

/// What the caller learns of all its attempts: one that has run, or may have, is not undone by a
/// later one that did not.
pub(crate) fn overall(earlier: Option<Outcome>, last: Outcome) -> Outcome {
    match (earlier, last) {
        (Some(ran @ (Outcome::Ran | Outcome::Unknown)), Outcome::NotSent | Outcome::Refused) => ran,
        _ => last,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Verdict::{Move, Retry, Stop};

    /// The rows of the table: how it ended, what follows when idempotent, and when not.
    const TABLE: &[(Ended, Verdict, Verdict)] = &[
        (Ended::NotSent, Move, Move),
        (Ended::Stuck, Move, Move),
        (Ended::Answered(Reason::Draining, RpcCode::Unavailable), Move, Move),
        (Ended::Answered(Reason::Overloaded, RpcCode::ResourceExhausted), Retry, Retry),
        (Ended::Answered(Reason::UnknownService, RpcCode::Unimplemented), Retry, Retry),
        (Ended::Answered(Reason::UnknownMethod, RpcCode::Unimplemented), Retry, Retry),
        (Ended::Answered(Reason::TimePassed, RpcCode::DeadlineExceeded), Stop, Stop),
        (Ended::Answered(Reason::BadArguments, RpcCode::InvalidArgument), Stop, Stop),
        (Ended::Answered(Reason::TooLarge, RpcCode::ResourceExhausted), Stop, Stop),
        (Ended::Answered(Reason::NotPermitted, RpcCode::Unauthenticated), Retry, Retry),
        (Ended::Answered(Reason::Handler, RpcCode::Unavailable), Retry, Stop),
        (Ended::Answered(Reason::Handler, RpcCode::ResourceExhausted), Retry, Stop),
        (Ended::Answered(Reason::Handler, RpcCode::NotFound), Stop, Stop),
        (Ended::Answered(Reason::Panicked, RpcCode::Internal), Stop, Stop),
        (Ended::Answered(Reason::BadAnswer, RpcCode::ResourceExhausted), Stop, Stop),
        (Ended::Application, Stop, Stop),
        (Ended::Unknown, Retry, Stop),
        (Ended::Deadline, Stop, Stop),
        (Ended::Final, Stop, Stop),
    ];

    #[test]
    fn every_row_of_the_table_holds() {
        for &(ended, idempotent, not) in TABLE {
            assert_eq!(decide(ended, true), idempotent, "{ended:?}, idempotent");
            assert_eq!(decide(ended, false), not, "{ended:?}, not idempotent");
        }
    }

    #[test]
    fn beside_another_attempt_only_a_result_or_the_end_of_the_time_decides() {
        let settling = [
            Ended::Answered(Reason::Handler, RpcCode::NotFound),
            Ended::Application,
            Ended::Deadline,
        ];
        for &(ended, _, _) in TABLE {
            assert_eq!(settles(ended, false), settling.contains(&ended), "{ended:?}");
        }
        assert!(!settles(settling[0], true), "another may do better");
    }

    #[test]
    fn what_the_endpoint_is_to_blame_for_counts_against_it() {
        let faults = [
            Ended::Deadline,
            Ended::Answered(Reason::Handler, RpcCode::Unavailable),
            Ended::Answered(Reason::Handler, RpcCode::ResourceExhausted),
        ];
        let good = [Ended::Application, Ended::Answered(Reason::Handler, RpcCode::NotFound)];
        for &(ended, _, _) in TABLE {
            let opinion = opinion(ended, false);
            assert_eq!(opinion == Opinion::Fault, faults.contains(&ended), "{ended:?}");
            assert_eq!(opinion == Opinion::Good, good.contains(&ended), "{ended:?}");
            let wrong = matches!(ended, Ended::Answered(Reason::UnknownService, _));
            assert_eq!(opinion == Opinion::Wrong, wrong, "{ended:?}");
            let closed = matches!(ended, Ended::Answered(Reason::NotPermitted, _));
            assert_eq!(opinion == Opinion::Closed, closed, "{ended:?}");
        }
        assert_eq!(opinion(Ended::Application, true), Opinion::Fault);
        assert_eq!(opinion(good[1], true), Opinion::Fault);
    }

    #[test]
    fn only_work_that_was_done_makes_an_endpoint_look_fast() {
        let handler = |code| lesson(Ended::Answered(Reason::Handler, code), Some(code), false);
        assert_eq!(lesson(Ended::Application, None, false), Some(Lesson::Answered));
        assert_eq!(lesson(Ended::Application, None, true), Some(Lesson::Failed));
        assert_eq!(handler(RpcCode::NotFound), Some(Lesson::Answered));
        assert_eq!(handler(RpcCode::Internal), Some(Lesson::Failed));
        assert_eq!(handler(RpcCode::Unavailable), Some(Lesson::Failed));
        assert_eq!(handler(RpcCode::DeadlineExceeded), Some(Lesson::AtLeast));
        assert_eq!(lesson(Ended::Unknown, Some(RpcCode::Unavailable), false), Some(Lesson::Failed));
        let deadline = Some(RpcCode::DeadlineExceeded);
        assert_eq!(lesson(Ended::Deadline, deadline, false), Some(Lesson::AtLeast));
        assert_eq!(lesson(Ended::Final, deadline, false), Some(Lesson::AtLeast));
        let refused = |reason: Reason| lesson(Ended::Answered(reason, reason.code()), None, false);
        assert_eq!(refused(Reason::Overloaded), Some(Lesson::Overloaded));
        assert_eq!(refused(Reason::NotPermitted), Some(Lesson::Failed));
        assert_eq!(refused(Reason::Draining), None);
        assert_eq!(refused(Reason::BadArguments), None);
        assert_eq!(lesson(Ended::NotSent, None, false), None);
        assert_eq!(lesson(Ended::Stuck, None, false), Some(Lesson::AtLeast));
    }

    #[test]
    fn no_later_attempt_makes_an_earlier_one_undone() {
        use Outcome::{NotSent, Ran, Refused, Unknown};
        assert_eq!(overall(None, NotSent), NotSent);
        assert_eq!(overall(Some(NotSent), Refused), Refused);
        assert_eq!(overall(Some(Unknown), Refused), Unknown);
        assert_eq!(overall(Some(Ran), NotSent), Ran);
        assert_eq!(overall(Some(Unknown), Ran), Ran, "the answer is the last one's");
    }

    #[test]
    fn what_may_have_run_is_sent_again_only_if_idempotent() {
        for &(ended, _, not) in TABLE {
            let may_have_run = matches!(outcome(ended), Outcome::Ran | Outcome::Unknown);
            assert!(!may_have_run || not == Stop, "{ended:?}");
        }
    }
}
