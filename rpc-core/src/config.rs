//! How a side reads its configuration: the machinery behind `rpc_client::Config` and
//! `rpc_server::Config`, which are one macro call each.
//!
//! In reading order: [`settings!`](crate::settings) makes the type and the list of its
//! [`Field`]s, `kind` says what a value may be, `slot` puts it into the type, [`read`] goes
//! through what was written, `load` finds it: in a TOML file and in variables.

mod kind;
mod load;
mod mistakes;
mod nearest;
mod slot;
#[cfg(test)]
mod tests;
mod value;
mod variables;

pub use kind::{
    Count, Flag, Kind, List, Named, Number, Path, Secret, Secrets, Share, Size, Span, Text,
};
pub use load::{load, load_with, parse};
pub use mistakes::Mistakes;
pub use slot::{Overlay, Slot};
pub use value::Value;
pub use variables::{CLIENT_KEYS, SERVER_KEYS};

use crate::SetupError;
use kind::HIDDEN;
use nearest::nearest;
use value::short;

/// A type whose fields are settings.
pub trait Settings: Default + 'static {
    /// The name of its table: `client` or `server`.
    const SIDE: &'static str;

    /// Its settings, in the order of the documents.
    fn fields() -> Vec<Field<Self>>;
}

/// One setting.
#[derive(Debug)]
pub struct Field<C> {
    /// Its name in the file, and that of the field.
    pub key: &'static str,
    /// What it does, a line each.
    pub docs: &'static [&'static str],
    /// What kind of value it takes.
    pub kind: String,
    /// From where to where.
    pub range: String,
    /// Its default, if it has one.
    pub default: Option<String>,
    /// Whether no error may show its value.
    pub is_secret: bool,
    /// Takes a value; an error says what to write instead.
    pub read: fn(&mut C, &Value) -> Result<(), String>,
    /// A value that is out of range, and what to write instead.
    pub check: fn(&C) -> Option<(String, String)>,
}

/// A setting that was written somewhere.
#[derive(Debug)]
pub struct Entry<P> {
    /// Its name.
    pub key: String,
    /// What it is set to.
    pub value: Value,
    /// Where that stands.
    pub place: P,
}

/// Puts `entries` into `config`, and what is wrong with them into `mistakes`; `place` says in
/// words where an entry stands.
pub fn read<C: Settings, P>(
    config: &mut C,
    entries: &[Entry<P>],
    place: impl Fn(&P) -> String,
    mistakes: &mut Mistakes,
) {
    let fields = C::fields();
    for Entry { key, value, place: at } in entries {
        let Some(field) = fields.iter().find(|field| field.key == key) else {
            mistakes.add(|| {
                let known: Vec<_> = fields.iter().map(|field| field.key).collect();
                unknown(&format!("{}.{key}", C::SIDE), &place(at), key, &known)
            });
            continue;
        };
        if let Err(wanted) = (field.read)(config, value) {
            mistakes.add(|| {
                let value = if field.is_secret { HIDDEN.to_owned() } else { value.to_string() };
                format!("{}.{key} = {value}{}: {wanted}", C::SIDE, place(at))
            });
        }
    }
}

fn unknown(name: &str, place: &str, key: &str, known: &[&str]) -> String {
    let name = short(name);
    match nearest(key, known) {
        Some(near) => format!("{name}{place} is not known; did you mean `{near}`?"),
        None => format!("{name}{place} is not known; there are {}", known.join(", ")),
    }
}

/// Whether everything in `config` is in range.
///
/// # Errors
///
/// All that is not.
pub fn check<C: Settings>(config: &C) -> Result<(), SetupError> {
    let wrong = C::fields().into_iter().filter_map(|field| {
        let (value, wanted) = (field.check)(config)?;
        Some(format!("`{}` is {value}: {wanted}", field.key))
    });
    match wrong.collect::<Vec<_>>() {
        wrong if wrong.is_empty() => Ok(()),
        wrong => Err(SetupError::new(wrong.join("; "))),
    }
}

/// The rows of the table in `docs/configuration.md`.
pub fn rows<C: Settings>() -> Vec<String> {
    let row = |field: Field<C>| {
        let what = field.docs.iter().map(|line| line.trim()).take_while(|line| !line.is_empty());
        format!(
            "| `{}` | `RPC_{}` | {} | {} | {} | {} |",
            field.key,
            field.key.to_ascii_uppercase(),
            field.kind,
            field.range,
            field.default.as_deref().unwrap_or("none"),
            what.collect::<Vec<_>>().join(" ")
        )
    };
    C::fields().into_iter().map(row).collect()
}

/// Makes the type of a side's configuration, its list of fields, and how it is read.
#[doc(hidden)]
#[macro_export]
macro_rules! settings {
    (
        $side:literal
        $(#[$attr:meta])*
        pub struct $config:ident {
            $(
                $(#[doc = $doc:literal])+
                pub $name:ident: $type:ty = $kind:expr $(, $default:expr)?;
            )*
        }
    ) => {
        $(#[$attr])*
        #[derive(Debug, Clone, PartialEq, Default)]
        #[non_exhaustive]
        pub struct $config {
            $($(#[doc = $doc])+ pub $name: $type,)*
        }

        impl $crate::config::Settings for $config {
            const SIDE: &'static str = $side;

            fn fields() -> Vec<$crate::config::Field<Self>> {
                use $crate::config::{Field, Kind as _, Slot};
                vec![$(Field {
                    key: stringify!($name),
                    docs: &[$($doc),+],
                    kind: <$type as Slot<_>>::kind(&$kind),
                    range: $kind.range(),
                    default: None$(.or(Some($kind.show(&$default))))?,
                    is_secret: $kind.is_secret(),
                    read: |config: &mut Self, value| config.$name.read(&$kind, value),
                    check: |config: &Self| config.$name.check(&$kind),
                }),*]
            }
        }

        impl $config {
            /// This configuration with `later` over it: what `later` says holds; of labels and
            /// other tables, entry by entry.
            #[must_use]
            pub fn overlaid_with(mut self, later: Self) -> Self {
                $($crate::config::Overlay::overlay(&mut self.$name, later.$name);)*
                self
            }

            /// Reads the file that `$RPC_CONFIG` names, if it is set, and then the `RPC_*`
            /// variables, which hold over the file. A variable whose name is nearly that of a
            /// setting is told in the log, so that is to be set up before. See
            /// `docs/configuration.md`.
            ///
            /// # Errors
            ///
            /// All mistakes at once: a file that cannot be read, keys that are not known, with
            /// the nearest that is, and values that are out of range, with where they stand.
            pub fn load() -> Result<Self, $crate::SetupError> {
                $crate::config::load()
            }

            /// The same, with `variable` in the place of the environment.
            ///
            /// # Errors
            ///
            /// As [`load`](Self::load).
            pub fn load_with(
                variable: impl Fn(&str) -> Option<std::ffi::OsString>,
            ) -> Result<Self, $crate::SetupError> {
                $crate::config::load_with(variable)
            }

            /// Reads the text of a TOML file; `name` stands for it in errors. Variables are not
            /// looked at.
            ///
            /// # Errors
            ///
            /// As [`load`](Self::load).
            pub fn parse(text: &str, name: &str) -> Result<Self, $crate::SetupError> {
                $crate::config::parse(text, name)
            }
        }

        /// For programs that have it in a configuration of their own, in whatever format: a table
        /// with the keys and values of `docs/configuration.md`.
        impl<'de> $crate::config::Deserialize<'de> for $config {
            fn deserialize<D: $crate::config::Deserializer<'de>>(
                deserializer: D,
            ) -> Result<Self, D::Error> {
                $crate::config::deserialize(deserializer)
            }
        }
    };
}

#[doc(hidden)]
pub use serde::{Deserialize, Deserializer};

/// Reads one side's table from any format.
///
/// # Errors
///
/// All mistakes at once.
pub fn deserialize<'de, C: Settings, D: Deserializer<'de>>(deserializer: D) -> Result<C, D::Error> {
    use serde::de::Error;
    let (mut config, mut mistakes) = (C::default(), Mistakes::default());
    let Value::Table(table) = Value::deserialize(deserializer)? else {
        return Err(Error::custom(format!("the configuration `{}` is no table", C::SIDE)));
    };
    let entry = |(key, value)| Entry { key, value, place: () };
    let entries: Vec<_> = table.into_iter().map(entry).collect();
    read(&mut config, &entries, |()| String::new(), &mut mistakes);
    mistakes.none_in(config).map_err(Error::custom)
}
