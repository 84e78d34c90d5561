//! What the value of a setting may be, and how it is written.

use super::Value;
use std::{
    fmt::Display, marker::PhantomData, ops::RangeInclusive, path::PathBuf, str::FromStr,
    time::Duration,
};

/// A kind of value: how it is written, and its range.
pub trait Kind {
    /// What it becomes.
    type Value;

    /// Its name, for the documents.
    fn name(&self) -> String;
    /// From where to where; empty when everything of the kind goes.
    fn range(&self) -> String;
    /// The value that was written, in range or not; `None` when it is of another kind.
    fn read(&self, value: &Value) -> Option<Self::Value>;
    /// Whether it is in range.
    fn fits(&self, value: &Self::Value) -> bool;
    /// How the value is written.
    fn show(&self, value: &Self::Value) -> String;

    /// What to write.
    fn wanted(&self) -> String {
        match self.range() {
            range if range.is_empty() => self.name(),
            range => format!("{}, {range}", self.name()),
        }
    }
}

/// A text that is not empty; in words, what it says.
#[derive(Debug)]
pub struct Text(pub &'static str);

impl Kind for Text {
    type Value = String;

    fn name(&self) -> String {
        self.0.to_owned()
    }

    fn range(&self) -> String {
        String::new()
    }

    fn read(&self, value: &Value) -> Option<String> {
        value.text().map(str::to_owned)
    }

    fn fits(&self, value: &String) -> bool {
        !value.is_empty()
    }

    fn show(&self, value: &String) -> String {
        format!("{value:?}")
    }
}

/// A path.
#[derive(Debug)]
pub struct Path(pub &'static str);

impl Kind for Path {
    type Value = PathBuf;

    fn name(&self) -> String {
        self.0.to_owned()
    }

    fn range(&self) -> String {
        String::new()
    }

    fn read(&self, value: &Value) -> Option<PathBuf> {
        value.text().map(PathBuf::from)
    }

    fn fits(&self, value: &PathBuf) -> bool {
        !value.as_os_str().is_empty()
    }

    fn show(&self, value: &PathBuf) -> String {
        value.display().to_string()
    }
}

/// `true` or `false`.
#[derive(Debug)]
pub struct Flag;

impl Kind for Flag {
    type Value = bool;

    fn name(&self) -> String {
        "true or false".to_owned()
    }

    fn range(&self) -> String {
        String::new()
    }

    fn read(&self, value: &Value) -> Option<bool> {
        match value {
            Value::Boolean(is) => Some(*is),
            value => value.text()?.parse().ok(),
        }
    }

    fn fits(&self, _: &bool) -> bool {
        true
    }

    fn show(&self, value: &bool) -> String {
        value.to_string()
    }
}

/// What has a name that it parses from and displays as; in words, what it is.
#[derive(Debug)]
pub struct Named<T>(&'static str, PhantomData<fn() -> T>);

impl<T> Named<T> {
    /// Of these words.
    pub const fn new(what: &'static str) -> Self {
        Self(what, PhantomData)
    }
}

impl<T: FromStr + Display> Kind for Named<T> {
    type Value = T;

    fn name(&self) -> String {
        self.0.to_owned()
    }

    fn range(&self) -> String {
        String::new()
    }

    fn read(&self, value: &Value) -> Option<T> {
        match value {
            Value::Integer(number) => number.to_string().parse().ok(),
            value => value.text()?.parse().ok(),
        }
    }

    fn fits(&self, _: &T) -> bool {
        true
    }

    fn show(&self, value: &T) -> String {
        value.to_string()
    }
}

/// A list of texts; as a text, with commas between them.
#[derive(Debug)]
pub struct List(pub &'static str);

impl Kind for List {
    type Value = Vec<String>;

    fn name(&self) -> String {
        format!("a list of {}", self.0)
    }

    fn range(&self) -> String {
        String::new()
    }

    fn read(&self, value: &Value) -> Option<Vec<String>> {
        match value {
            Value::List(values) => {
                values.iter().map(|value| value.text().map(str::to_owned)).collect()
            }
            value => Some(value.text()?.split(',').map(|part| part.trim().to_owned()).collect()),
        }
    }

    fn fits(&self, value: &Vec<String>) -> bool {
        value.iter().all(|part| !part.is_empty())
    }

    fn show(&self, value: &Vec<String>) -> String {
        value.join(",")
    }
}

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
