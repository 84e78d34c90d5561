//! What `init` functions are given.

use std::{
    any::{Any, TypeId, type_name},
    collections::HashMap,
    fmt,
    ops::Deref,
    sync::Arc,
};

/// The value that serves a contract, its type erased.
pub type Instance = Arc<dyn Any + Send + Sync>;

/// What `init` functions take: a value that was given to the server with `.provide(..)`.
pub struct Shared<T>(Arc<T>);

impl<T> Shared<T> {
    /// For tests: a shared value without a server.
    pub fn new(value: T) -> Self {
        Self(Arc::new(value))
    }
}

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Deref for Shared<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: fmt::Debug> fmt::Debug for Shared<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The values that were given with `.provide(..)`, at most one of each type.
#[derive(Clone, Default)]
pub struct Provided(HashMap<TypeId, (&'static str, Instance)>);

impl Provided {
    /// Adds a value. Returns whether there was none of its type; if there was, it is replaced.
    pub fn insert<T: Send + Sync + 'static>(&mut self, value: T) -> bool {
        self.0.insert(TypeId::of::<T>(), (type_name::<T>(), Arc::new(value))).is_none()
    }

    /// The value of this type.
    pub fn get<T: Send + Sync + 'static>(&self) -> Option<Shared<T>> {
        let (_, value) = self.0.get(&TypeId::of::<T>())?;
        Arc::clone(value).downcast().ok().map(Shared)
    }

    /// The types that there are values of, sorted.
    pub fn types(&self) -> Vec<&'static str> {
        let mut types: Vec<_> = self.0.values().map(|(name, _)| *name).collect();
        types.sort_unstable();
        types
    }
}

impl fmt::Debug for Provided {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Provided").field(&self.types()).finish()
    }
}

/// A parameter of an `init` function.
#[diagnostic::on_unimplemented(
    message = "`{Self}` can't be a parameter of an `init` function",
    label = "must be `Shared<T>`",
    note = "take `rpc_core::Shared<T>` and give the value with `.provide(..)` on the server"
)]
pub trait FromProvided: Sized {
    /// The value to pass.
    ///
    /// # Errors
    ///
    /// A text for the user if it was not provided.
    fn from_provided(provided: &Provided) -> Result<Self, String>;
}

impl<T: Send + Sync + 'static> FromProvided for Shared<T> {
    fn from_provided(provided: &Provided) -> Result<Self, String> {
        provided.get().ok_or_else(|| missing::<T>(provided))
    }
}

fn missing<T>(provided: &Provided) -> String {
    let wanted = type_name::<T>();
    let given = provided.types();
    let given = if given.is_empty() {
        "nothing was provided at all".to_owned()
    } else {
        format!("provided were: `{}`", given.join("`, `"))
    };
    format!(
        "its `init` takes a `Shared<{wanted}>`, but no value of type `{wanted}` was provided \
         ({given}); add `.provide(..)` to the server"
    )
}
