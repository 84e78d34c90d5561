//! What one attempt came to: in words for the caller, as a lesson for the endpoint.

use crate::{
    balance::{Gauge, Lesson},
    clock::Time,
    connection::{Connection, Ending, bad_reply},
    standing::Cause,
    verdict::{self, Ended, Opinion},
};
use rpc_core::{
    Answer, Outcome, RpcError,
    codec::Codec,
    wire::{Kind, Reason, read_error},
};
use std::sync::Arc;

/// What one attempt came to.
pub(super) struct Attempt {
    pub(super) ended: Ended,
    /// The instance says that it is to blame.
    pub(super) at_fault: bool,
    pub(super) result: Result<(Answer, Codec), RpcError>,
    /// When it ended; `None`: just now.
    pub(super) at: Option<Time>,
    /// Who answered, when it was not the provider that was asked first.
    pub(super) by: Option<Arc<Connection>>,
}

impl Attempt {
    pub(super) fn failed(ended: Ended, error: RpcError) -> Self {
        let error = error.with_outcome(verdict::outcome(ended));
        Self { ended, at_fault: false, result: Err(error), at: None, by: None }
    }

    /// Tells the endpoint what the attempt says of it.
    pub(super) fn report(&self, connection: &Connection) {
        match verdict::opinion(self.ended, self.at_fault) {
            Opinion::Good => connection.standing.succeeded(),
            Opinion::Fault => connection.standing.failed(Cause::Calls, &self.fault()),
            Opinion::Wrong => connection.standing.failed(Cause::Service, &self.fault()),
            Opinion::Closed => connection.standing.failed(Cause::Access, &self.fault()),
            Opinion::None => {}
        }
    }

    /// What counts against the endpoint, in words.
    fn fault(&self) -> String {
        match &self.result {
            Ok(_) => "an error of the service, for which the instance takes the blame".to_owned(),
            Err(error) if self.at_fault => {
                format!(
                    "{}: {}, for which the instance takes the blame",
                    error.code(),
                    error.message()
                )
            }
            Err(error) => format!("{}: {}", error.code(), error.message()),
        }
    }

    pub(super) fn not_sent(mut self) -> Self {
        self.result = self.result.map_err(|e| e.with_outcome(Outcome::NotSent));
        self
    }
}

/// Tells an endpoint's gauge how an attempt ended, also when its caller goes away or another
/// provider was faster.
pub(super) struct Observer<'a> {
    gauge: &'a Gauge,
    pub(super) since: Time,
}

impl<'a> Observer<'a> {
    /// An attempt begins.
    pub(super) fn begin(gauge: &'a Gauge, now: Time) -> Self {
        gauge.begin(now);
        Self { gauge, since: now }
    }

    /// The attempt is over; it and when it ended.
    pub(super) fn saw(self, attempt: Attempt) -> (Attempt, Time) {
        let Self { gauge, since } = *std::mem::ManuallyDrop::new(self);
        let now = attempt.at.unwrap_or_else(Time::now);
        let code = attempt.result.as_ref().err().map(RpcError::code);
        match verdict::lesson(attempt.ended, code, attempt.at_fault) {
            Some(lesson) => gauge.learn(lesson, since, now),
            None => gauge.end(),
        }
        (attempt, now)
    }
}

impl Drop for Observer<'_> {
    fn drop(&mut self) {
        self.gauge.learn(Lesson::AtLeast, self.since, Time::now());
    }
}

fn answered(answer: Answer, codec: Codec, at_fault: bool, at: Time) -> Attempt {
    let result = Ok((answer, codec));
    Attempt { ended: Ended::Application, at_fault, result, at: Some(at), by: None }
}

/// How an attempt ended, in words and for the verdict.
pub(super) fn ended(ending: Ending) -> Attempt {
    match ending {
        Ending::Answer { kind, at_fault, codec, body, at } => match kind {
            Kind::Reply => answered(Answer::Ok(body), codec, at_fault, at),
            Kind::AppError => answered(Answer::App(body), codec, at_fault, at),
            Kind::Error => {
                let (reason, error) = read_error(&body);
                let ended = Ended::Answered(reason, error.code());
                // What a handler returned is remote. The rest is about this very call, and is the
                // caller's own: nobody takes a deadline deeper in the system for it.
                let error = match reason {
                    Reason::Handler => error,
                    _ => RpcError::new(error.code(), error.message()),
                };
                Attempt { at_fault, ..Attempt::failed(ended, error) }
            }
            _ => Attempt::failed(Ended::Final, bad_reply()),
        },
        Ending::Broken { why, sent: false } => {
            let text = format!("{why}; the request did not reach a provider");
            Attempt::failed(Ended::NotSent, RpcError::unavailable(text))
        }
        Ending::Broken { why, sent: true } => {
            let text = format!(
                "{why}, with the request sent and no reply received; if calling the method twice \
                 does no harm, mark it #[rpc(idempotent)] and it will be sent again"
            );
            Attempt::failed(Ended::Unknown, RpcError::unavailable(text))
        }
        Ending::Leaving => Attempt::failed(
            Ended::NotSent,
            RpcError::unavailable("the provider leaves; the request had not been sent"),
        ),
        Ending::Stuck => Attempt::failed(
            Ended::Stuck,
            RpcError::unavailable(
                "the provider gave no room for the rest of the request; without that it cannot run",
            ),
        ),
        Ending::TooLarge { limit } => {
            let text = format!(
                "the provider takes messages of at most {limit} bytes; send less, or raise its \
                 `max_message`"
            );
            Attempt::failed(Ended::Final, RpcError::resource_exhausted(text)).not_sent()
        }
        Ending::Silent | Ending::Late => Attempt::failed(
            Ended::Unknown,
            RpcError::unavailable("the provider is connected but does not answer"),
        ),
        Ending::Deadline { sent } => {
            let text = if sent {
                "no reply in time; the provider was told to stop"
            } else {
                "the request could not be sent in time"
            };
            let error = RpcError::deadline_exceeded(text);
            if sent {
                Attempt::failed(Ended::Deadline, error)
            } else {
                Attempt::failed(Ended::Final, error).not_sent()
            }
        }
    }
}

/// Its arguments are more than a message holds.
pub(super) fn too_large(length: usize, limit: u32) -> Attempt {
    let text = format!(
        "the request is {length} bytes, the largest message is {limit}; send less, or raise \
         `max_message` on both sides"
    );
    Attempt::failed(Ended::Final, RpcError::resource_exhausted(text)).not_sent()
}
