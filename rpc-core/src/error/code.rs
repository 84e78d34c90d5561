//! The kinds of failure, and what is known about the fate of a call; both with stable numbers.

use super::RpcError;
use std::fmt;

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $name:ident = $number:literal, $text:literal, $make:ident;)*) => {
        /// The kind of a failure: the 17 gRPC status codes with their numbers.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        #[repr(u8)]
        pub enum RpcCode {
            /// No failure. Never the code of an error that this crate makes.
            Ok = 0,
            $($(#[doc = $doc])+ $name = $number,)*
        }

        impl RpcCode {
            /// The number that travels.
            pub const fn to_wire(self) -> u8 {
                self as u8
            }

            /// The code with this number. An unknown number is [`RpcCode::Unknown`].
            pub const fn from_wire(number: u8) -> Self {
                match number {
                    0 => Self::Ok,
                    $($number => Self::$name,)*
                    _ => Self::Unknown,
                }
            }
        }

        impl fmt::Display for RpcCode {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(match self {
                    Self::Ok => "ok",
                    $(Self::$name => $text,)*
                })
            }
        }

        impl RpcError {
            $(
                #[doc = concat!("An error with the code [`RpcCode::", stringify!($name), "`].")]
                pub fn $make(message: impl Into<String>) -> Self {
                    Self::new(RpcCode::$name, message)
                }
            )*
        }
    };
}

codes! {
    /// The caller gave the call up.
    Cancelled = 1, "cancelled", cancelled;
    /// A failure of a kind that has no other code.
    Unknown = 2, "unknown error", unknown;
    /// The arguments are wrong whatever the state of the system.
    InvalidArgument = 3, "invalid argument", invalid_argument;
    /// The time for the call has passed.
    DeadlineExceeded = 4, "deadline exceeded", deadline_exceeded;
    /// What was asked for is not there.
    NotFound = 5, "not found", not_found;
    /// What should be made is there already.
    AlreadyExists = 6, "already exists", already_exists;
    /// The caller may not do this.
    PermissionDenied = 7, "permission denied", permission_denied;
    /// A limit is reached: calls in flight, bytes, a quota.
    ResourceExhausted = 8, "resource exhausted", resource_exhausted;
    /// The system is not in the state that the call needs.
    FailedPrecondition = 9, "failed precondition", failed_precondition;
    /// The call lost against another, for example a transaction.
    Aborted = 10, "aborted", aborted;
    /// Past the end of what there is.
    OutOfRange = 11, "out of range", out_of_range;
    /// The provider has no such service or method.
    Unimplemented = 12, "unimplemented", unimplemented;
    /// A bug: a panic, or an answer that cannot be encoded or decoded.
    Internal = 13, "internal error", internal;
    /// No provider can be reached at the moment.
    Unavailable = 14, "unavailable", unavailable;
    /// Data is lost or damaged.
    DataLoss = 15, "data loss", data_loss;
    /// The caller is not known.
    Unauthenticated = 16, "unauthenticated", unauthenticated;
}

/// What is known about whether a call ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Outcome {
    /// The last byte of the call was not handed to the kernel: it cannot have run.
    NotSent,
    /// The peer says that no user code ran for it.
    Refused,
    /// The handler finished.
    Ran,
    /// Anything else: it may have run, or may be running still.
    Unknown,
}

impl Outcome {
    /// The number that travels.
    pub const fn to_wire(self) -> u8 {
        match self {
            Self::Unknown => 0,
            Self::NotSent => 1,
            Self::Refused => 2,
            Self::Ran => 3,
        }
    }

    /// The outcome with this number. An unknown number is [`Outcome::Unknown`].
    pub const fn from_wire(number: u8) -> Self {
        match number {
            1 => Self::NotSent,
            2 => Self::Refused,
            3 => Self::Ran,
            _ => Self::Unknown,
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::NotSent => "not sent, so it did not run",
            Self::Refused => "refused, so it did not run",
            Self::Ran => "it ran",
            Self::Unknown => "it may have run",
        })
    }
}
