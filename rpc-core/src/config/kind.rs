//! What the value of a setting may be, and how it is written. Numbers are in [`number`], what no
//! error may show in [`secret`].

mod number;
mod secret;

pub use number::{Count, Number, Share, Size, Span};
pub(super) use secret::HIDDEN;
pub use secret::{Secret, Secrets};

use super::Value;
use std::{fmt::Display, marker::PhantomData, path::PathBuf, str::FromStr};

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

    /// Whether no error may show it.
    fn is_secret(&self) -> bool {
        false
    }

    /// What to write.
    fn wanted(&self) -> String {
        match self.range() {
            range if range.is_empty() => self.name(),
            range => format!("{}, from {range}", self.name()),
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
