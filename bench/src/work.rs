//! What a handler does before it answers.

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr, time::Duration};
use tokio::time::Instant;

/// Written `none`, `spin:200` or `sleep:200`, in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Work {
    #[default]
    None,
    /// Computes without pause.
    Spin(u64),
    /// Waits.
    Sleep(u64),
}

impl Work {
    pub async fn run(self) {
        match self {
            Self::None => {}
            Self::Spin(micros) => spin(Duration::from_micros(micros)),
            Self::Sleep(micros) => tokio::time::sleep(Duration::from_micros(micros)).await,
        }
    }
}

/// Keeps a core busy.
pub fn spin(time: Duration) {
    let began = Instant::now();
    while began.elapsed() < time {
        std::hint::spin_loop();
    }
}

impl FromStr for Work {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        if text == "none" {
            return Ok(Self::None);
        }
        let (kind, micros) =
            text.split_once(':').context("write none, spin:MICROS, sleep:MICROS")?;
        let micros = micros.parse()?;
        match kind {
            "spin" => Ok(Self::Spin(micros)),
            "sleep" => Ok(Self::Sleep(micros)),
            _ => bail!("write none, spin:MICROS or sleep:MICROS"),
        }
    }
}

impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => write!(f, "none"),
            Self::Spin(micros) => write!(f, "spin:{micros}"),
            Self::Sleep(micros) => write!(f, "sleep:{micros}"),
        }
    }
}
