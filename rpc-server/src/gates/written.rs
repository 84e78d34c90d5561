//! How limits are written in a configuration.

use super::{Kind, Limit};
use std::{fmt, str::FromStr};

/// The text names no limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownLimit(String);

impl fmt::Display for UnknownLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} is no limit: write a number of calls, `adaptive`, `adaptive 8-10000` or `none`; \
             calls are 1 to {}",
            self.0,
            super::MOST
        )
    }
}

impl std::error::Error for UnknownLimit {}

/// `100`, `adaptive`, `adaptive 8-10000` or `none`.
impl FromStr for Limit {
    type Err = UnknownLimit;

    fn from_str(text: &str) -> Result<Self, UnknownLimit> {
        let read = match text.strip_prefix("adaptive ").map(|range| range.split_once('-')) {
            Some(Some((least, most))) => least
                .parse()
                .ok()
                .and_then(|least| Some(Self::adaptive_between(least, most.parse().ok()?))),
            Some(None) => None,
            None => match text {
                "adaptive" => Some(Self::adaptive()),
                "none" => Some(Self::none()),
                calls => calls.parse().ok().map(Self::fixed),
            },
        };
        let fits = read.filter(|limit| limit.mistake().is_none());
        fits.ok_or_else(|| UnknownLimit(text.chars().take(100).collect()))
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Kind::None => f.write_str("none"),
            Kind::Fixed(calls) => write!(f, "{calls}"),
            Kind::Adaptive { least, most } => write!(f, "adaptive {least}-{most}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read_as_they_are_written() {
        for limit in [
            Limit::none(),
            Limit::fixed(7),
            Limit::adaptive(),
            Limit::adaptive_between(1, 1_000_000),
        ] {
            assert_eq!(limit.to_string().parse(), Ok(limit));
        }
        assert_eq!("adaptive".parse(), Ok(Limit::adaptive()));
        for wrong in ["", "0", "-1", "1000001", "adaptive 9-8", "adaptive 8", "adaptive -", "all"] {
            let text = wrong.parse::<Limit>().unwrap_err().to_string();
            assert!(text.contains("write a number of calls") && text.contains("1 to 1000000"));
        }
    }
}
