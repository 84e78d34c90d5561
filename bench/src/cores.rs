//! Which cores the two processes may run on.

use clap::ValueEnum;
use serde::Serialize;
use std::process::{Command, Stdio};

#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cores {
    /// All, as the kernel likes.
    Free,
    /// Both on the first.
    One,
    /// The server on the first, the client on the second.
    Apart,
}

impl Cores {
    pub fn server(self) -> Option<&'static str> {
        (self != Self::Free).then_some("0")
    }

    pub fn client(self) -> Option<&'static str> {
        match self {
            Self::Free => None,
            Self::One => Some("0"),
            Self::Apart => Some("1"),
        }
    }

    /// Whether processes can be pinned here.
    pub fn can_pin() -> bool {
        let probe =
            Command::new("taskset").args(["-c", "0", "true"]).stderr(Stdio::null()).status();
        probe.is_ok_and(|status| status.success())
    }
}
