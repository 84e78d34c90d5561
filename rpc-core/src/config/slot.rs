//! Where the value of a setting goes: one value, or one for each name.

use super::{Kind, Value, value::short};
use std::collections::BTreeMap;

/// What a field of a configuration may be made of.
pub trait Slot<K: Kind> {
    /// What is written for it.
    fn kind(kind: &K) -> String;

    /// Takes a value.
    ///
    /// # Errors
    ///
    /// What to write instead.
    fn read(&mut self, kind: &K, value: &Value) -> Result<(), String>;

    /// A value that is out of range, and what to write instead.
    fn check(&self, kind: &K) -> Option<(String, String)>;
}

/// What a later configuration does to an earlier one.
pub trait Overlay {
    /// Puts `later` over this.
    fn overlay(&mut self, later: Self);
}

fn take<K: Kind>(kind: &K, value: &Value) -> Result<K::Value, String> {
    let read = kind.read(value).filter(|read| kind.fits(read));
    read.ok_or_else(|| format!("write {}", kind.wanted()))
}

fn entry_is(name: &str, value: &Value, why: &str) -> String {
    format!("its {} is {value}: {why}", short(name))
}

impl<K: Kind> Slot<K> for Option<K::Value> {
    fn kind(kind: &K) -> String {
        kind.name()
    }

    fn read(&mut self, kind: &K, value: &Value) -> Result<(), String> {
        *self = Some(take(kind, value)?);
        Ok(())
    }

    fn check(&self, kind: &K) -> Option<(String, String)> {
        let wrong = self.as_ref().filter(|value| !kind.fits(value))?;
        Some((kind.show(wrong), format!("write {}", kind.wanted())))
    }
}

impl<K: Kind> Slot<K> for BTreeMap<String, K::Value> {
    fn kind(kind: &K) -> String {
        format!("table of: {}", kind.name())
    }

    /// A table, or a text of the form `name=value,name=value`.
    fn read(&mut self, kind: &K, value: &Value) -> Result<(), String> {
        match value {
            Value::Table(entries) => {
                for (name, value) in entries {
                    let taken = take(kind, value);
                    let taken = taken.map_err(|why| entry_is(name, value, &why))?;
                    self.insert(name.clone(), taken);
                }
            }
            Value::Text(text) => {
                for entry in text.split(',') {
                    let Some((name, value)) = entry.split_once('=') else {
                        return Err(format!(
                            "{:?} is not of the form name=value: write name=value,name=value",
                            short(entry)
                        ));
                    };
                    let value = Value::Text(value.trim().to_owned());
                    let taken = take(kind, &value);
                    let taken = taken.map_err(|why| entry_is(name, &value, &why))?;
                    self.insert(name.trim().to_owned(), taken);
                }
            }
            _ => return Err(format!("write a table, name = {}", kind.wanted())),
        }
        Ok(())
    }

    fn check(&self, kind: &K) -> Option<(String, String)> {
        let (name, wrong) = self.iter().find(|(_, value)| !kind.fits(value))?;
        Some((format!("{} for {name}", kind.show(wrong)), format!("write {}", kind.wanted())))
    }
}

impl<T> Overlay for Option<T> {
    fn overlay(&mut self, later: Self) {
        if later.is_some() {
            *self = later;
        }
    }
}

impl<T> Overlay for BTreeMap<String, T> {
    fn overlay(&mut self, later: Self) {
        self.extend(later);
    }
}
