//! Settings that are numbers: counts, shares, bytes, durations.

use super::{Kind, Value};
use std::{fmt::Display, ops::RangeInclusive, time::Duration};

/// The types that count something.
pub trait Number: Copy + Ord + Display {
    /// The number, if the type takes it.
    fn from_u64(number: u64) -> Option<Self>;
    /// The number.
    fn to_u64(self) -> u64;
}

impl Number for u32 {
    fn from_u64(number: u64) -> Option<Self> {
        Self::try_from(number).ok()
    }

    fn to_u64(self) -> u64 {
        self.into()
    }
}

impl Number for usize {
    fn from_u64(number: u64) -> Option<Self> {
        Self::try_from(number).ok()
    }

    fn to_u64(self) -> u64 {
        self as u64
    }
}

/// A whole number.
#[derive(Debug)]
pub struct Count<T>(pub RangeInclusive<T>);

impl<T: Number> Kind for Count<T> {
    type Value = T;

    fn name(&self) -> String {
        "a number".to_owned()
    }

    fn range(&self) -> String {
        format!("{} to {}", self.0.start(), self.0.end())
    }

    fn read(&self, value: &Value) -> Option<T> {
        match value {
            Value::Integer(number) => T::from_u64(u64::try_from(*number).ok()?),
            value => T::from_u64(value.text()?.parse().ok()?),
        }
    }

    fn fits(&self, value: &T) -> bool {
        self.0.contains(value)
    }

    fn show(&self, value: &T) -> String {
        value.to_string()
    }
}

/// A share of a whole.
#[derive(Debug)]
pub struct Share;

impl Kind for Share {
    type Value = f64;

    fn name(&self) -> String {
        "a number, such as 0.2".to_owned()
    }

    fn range(&self) -> String {
        "0 to 1".to_owned()
    }

    fn read(&self, value: &Value) -> Option<f64> {
        match value {
            Value::Float(number) => Some(*number),
            Value::Integer(number) => Some(f64::from(i32::try_from(*number).ok()?)),
            value => value.text()?.parse().ok(),
        }
    }

    fn fits(&self, value: &f64) -> bool {
        (0.0..=1.0).contains(value)
    }

    fn show(&self, value: &f64) -> String {
        value.to_string()
    }
}

/// A number of bytes: `65536`, `"64KiB"`, `"4MiB"` or `"1GiB"`.
#[derive(Debug)]
pub struct Size<T>(pub RangeInclusive<T>);

const UNITS: [(&str, u64); 3] = [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];

impl<T: Number> Kind for Size<T> {
    type Value = T;

    fn name(&self) -> String {
        "bytes, such as 65536 or 4MiB".to_owned()
    }

    fn range(&self) -> String {
        format!("{} to {}", self.show(self.0.start()), self.show(self.0.end()))
    }

    fn read(&self, value: &Value) -> Option<T> {
        let text = match value {
            Value::Integer(number) => return T::from_u64(u64::try_from(*number).ok()?),
            value => value.text()?,
        };
        let of = |(unit, factor)| Some((text.strip_suffix(unit)?, factor));
        let (number, factor) = UNITS.into_iter().find_map(of).unwrap_or((text, 1));
        T::from_u64(whole(number)?.checked_mul(factor)?)
    }

    fn fits(&self, value: &T) -> bool {
        self.0.contains(value)
    }

    fn show(&self, value: &T) -> String {
        let bytes = value.to_u64();
        let whole = |(_, factor): &(&str, u64)| bytes > 0 && bytes.is_multiple_of(*factor);
        match UNITS.into_iter().rev().find(whole) {
            Some((unit, factor)) => format!("{}{unit}", bytes / factor),
            None => bytes.to_string(),
        }
    }
}

/// A duration: a whole number and `ms`, `s`, `m` or `h`.
#[derive(Debug)]
pub struct Span(pub RangeInclusive<Duration>);

const SPANS: [(&str, u64); 4] = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000)];

impl Kind for Span {
    type Value = Duration;

    fn name(&self) -> String {
        "a duration, such as 200ms, 1s, 5m or 1h".to_owned()
    }

    fn range(&self) -> String {
        format!("{} to {}", self.show(self.0.start()), self.show(self.0.end()))
    }

    fn read(&self, value: &Value) -> Option<Duration> {
        let text = value.text()?;
        let of = |(unit, factor)| Some((whole(text.strip_suffix(unit)?)?, factor));
        let (number, factor) = SPANS.into_iter().find_map(of)?;
        Some(Duration::from_millis(number.checked_mul(factor)?))
    }

    fn fits(&self, value: &Duration) -> bool {
        self.0.contains(value)
    }

    fn show(&self, value: &Duration) -> String {
        let millis = value.as_millis();
        if *value != Duration::from_millis(u64::try_from(millis).unwrap_or(u64::MAX)) {
            return format!("{value:?}");
        }
        let whole =
            |(_, factor): &(&str, u64)| millis > 0 && millis.is_multiple_of((*factor).into());
        let (unit, factor) = SPANS.into_iter().rev().find(whole).unwrap_or(("s", 1_000));
        format!("{}{unit}", millis / u128::from(factor))
    }
}

/// A number of digits alone: no sign, no space.
fn whole(text: &str) -> Option<u64> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| digits)
}
