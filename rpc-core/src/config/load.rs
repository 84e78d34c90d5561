//! Where a configuration is found: in the file that `$RPC_CONFIG` names, and in variables.

use super::{
    Entry, Mistakes, Settings, Value, read,
    variables::{FILE, doubtful},
};
use crate::SetupError;
use std::{env, ffi::OsString};

/// Reads the file and the environment of the process. A variable that is nearly a setting's is told
/// in the log.
///
/// # Errors
///
/// All mistakes at once.
pub fn load<C: Settings>() -> Result<C, SetupError> {
    let names: Vec<_> = env::vars_os().map(|(name, _)| name).collect();
    for doubt in doubtful(names.iter().map(OsString::as_os_str)) {
        tracing::warn!("{doubt}");
    }
    load_with(|name| env::var_os(name))
}

/// The same with other variables.
///
/// # Errors
///
/// All mistakes at once.
pub fn load_with<C: Settings>(
    variable: impl Fn(&str) -> Option<OsString>,
) -> Result<C, SetupError> {
    let (mut config, mut mistakes) = (C::default(), Mistakes::default());
    // An empty variable is how one is taken back where it cannot be unset.
    let said = |name: &str| variable(name).filter(|value| !value.is_empty());
    if let Some(path) = said(FILE) {
        match file::open(path.as_ref()) {
            Ok(text) => {
                let name = path.to_string_lossy();
                file::entries::<C>(&text, &name, &mut config, &mut mistakes);
            }
            Err(why) => mistakes.add(|| {
                let path = path.display();
                format!("{FILE}={path}: {why}: name a file that can be read, or unset {FILE}")
            }),
        }
    }
    let mut entries = Vec::new();
    for field in C::fields() {
        let key = field.key.to_ascii_uppercase();
        let own = format!("RPC_{}_{key}", C::SIDE.to_ascii_uppercase());
        let found = [own, format!("RPC_{key}")].into_iter().find_map(|name| {
            // An empty secret is a mistake: taken for none, it would open a server.
            let value = if field.is_secret { variable(&name) } else { said(&name) }?;
            Some((name, value))
        });
        let Some((name, value)) = found else { continue };
        match value.into_string() {
            Ok(text) => entries.push(Entry {
                key: field.key.to_owned(),
                value: Value::Text(text),
                place: name,
            }),
            Err(_) => mistakes.add(|| format!("the variable {name} is no UTF-8")),
        }
    }
    read(&mut config, &entries, |name| format!(" (the variable {name})"), &mut mistakes);
    mistakes.none_in(config)
}

/// Reads the text of a file.
///
/// # Errors
///
/// All mistakes at once.
pub fn parse<C: Settings>(text: &str, name: &str) -> Result<C, SetupError> {
    let (mut config, mut mistakes) = (C::default(), Mistakes::default());
    file::entries::<C>(text, name, &mut config, &mut mistakes);
    mistakes.none_in(config)
}

#[cfg(feature = "config-file")]
mod file {
    use super::{Entry, Mistakes, Settings, Value, read};
    use crate::config::{unknown, value::short};
    use std::{
        fs::{self, File},
        io::Read,
        path::Path,
    };
    use toml::{
        Spanned,
        de::{DeTable, DeValue},
    };

    /// The largest file that is read.
    const MAX_BYTES: u64 = 1024 * 1024;
    /// The tables that a file may have.
    const SIDES: [&str; 2] = ["client", "server"];
    /// The key that both sides have and that may stand above the tables.
    const SHARED: &str = "registry";

    pub(super) fn open(path: &Path) -> Result<String, String> {
        // Looked at first: opening a pipe would wait for somebody to write.
        let is_file = fs::metadata(path).map_err(|error| error.to_string())?.is_file();
        if !is_file {
            return Err("it is no file".to_owned());
        }
        let mut text = String::new();
        let file = File::open(path).map_err(|error| error.to_string())?;
        file.take(MAX_BYTES + 1).read_to_string(&mut text).map_err(|error| error.to_string())?;
        if text.len() as u64 > MAX_BYTES {
            return Err(format!("it has more than {MAX_BYTES} bytes"));
        }
        Ok(text)
    }

    pub(super) fn entries<C: Settings>(
        text: &str,
        name: &str,
        config: &mut C,
        mistakes: &mut Mistakes,
    ) {
        let place = |at: &usize| {
            let line = 1 + text.as_bytes().iter().take(*at).filter(|byte| **byte == b'\n').count();
            format!(" (line {line} of {name})")
        };
        let document = match DeTable::parse(text) {
            Ok(document) => document.into_inner(),
            Err(error) => {
                let at = place(&error.span().map_or(0, |span| span.start));
                mistakes.add(|| format!("no TOML{at}: {}", short(error.message())));
                return;
            }
        };
        let (mut shared, mut own) = (Vec::new(), Vec::new());
        for (key, value) in document {
            let at = key.span().start;
            let key = key.into_inner().into_owned();
            match value.into_inner() {
                DeValue::Table(table) if key == C::SIDE => {
                    own.extend(table.into_iter().map(|(key, value)| Entry {
                        place: key.span().start,
                        key: key.into_inner().into_owned(),
                        value: convert(value),
                    }));
                }
                // The other side's, which knows what may stand there.
                DeValue::Table(_) if SIDES.contains(&&*key) => {}
                value if key == SHARED => {
                    shared.push(Entry { key, value: convert_inner(value), place: at });
                }
                _ if SIDES.contains(&&*key) => {
                    mistakes.add(|| format!("{key}{} is no table: write [{key}]", place(&at)));
                }
                _ if C::fields().iter().any(|field| field.key == key) => {
                    let side = C::SIDE;
                    mistakes.add(|| format!("{key}{}: write it below [{side}]", place(&at)));
                }
                _ => mistakes.add(|| {
                    let known = [SIDES[0], SIDES[1], SHARED];
                    unknown(&short(&key), &place(&at), &key, &known)
                }),
            }
        }
        // What is said for one side holds over what is said for both.
        shared.append(&mut own);
        read(config, &shared, place, mistakes);
    }

    fn convert(value: Spanned<DeValue<'_>>) -> Value {
        convert_inner(value.into_inner())
    }

    fn convert_inner(value: DeValue<'_>) -> Value {
        match value {
            DeValue::String(text) => Value::Text(text.into_owned()),
            DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
                .map_or_else(|_| Value::Other(number.to_string()), Value::Integer),
            DeValue::Float(number) => {
                let text = number.as_str();
                text.parse().map_or_else(|_| Value::Other(text.to_owned()), Value::Float)
            }
            DeValue::Boolean(is) => Value::Boolean(is),
            DeValue::Datetime(time) => Value::Other(time.to_string()),
            DeValue::Array(values) => Value::List(values.into_iter().map(convert).collect()),
            DeValue::Table(table) => {
                let entry = |(key, value): (Spanned<std::borrow::Cow<'_, str>>, _)| {
                    (key.into_inner().into_owned(), convert(value))
                };
                Value::Table(table.into_iter().map(entry).collect())
            }
        }
    }
}

#[cfg(not(feature = "config-file"))]
mod file {
    use super::{Mistakes, Settings};
    use std::path::Path;

    const WITHOUT: &str = "this program was built without TOML: turn on the feature `config-file` \
                           of rpc-client, rpc-server or rpc-core";

    pub(super) fn open(_: &Path) -> Result<String, String> {
        Err(WITHOUT.to_owned())
    }

    pub(super) fn entries<C: Settings>(_: &str, name: &str, _: &mut C, mistakes: &mut Mistakes) {
        mistakes.add(|| format!("{name}: {WITHOUT}"));
    }
}
