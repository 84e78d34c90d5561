//! How an instance is made: by an `init` function of any of the allowed shapes, or by `Default`.

use super::provide::{FromProvided, Instance, Provided};
use crate::future::BoxFuture;
use std::{error::Error, future::ready, marker::PhantomData, sync::Arc};

/// An instance, or a text that says why there is none.
type Made<T> = Result<T, String>;

/// Calls an `init` function. What it is given is looked up at once, its own future runs later.
pub fn init<S, M, F>(function: F, provided: &Provided) -> BoxFuture<'static, Made<Instance>>
where
    S: Send + Sync + 'static,
    F: Init<S, M>,
{
    let made = function.call(provided);
    Box::pin(async move { made.await.map(|instance| Arc::new(instance) as Instance) })
}

/// A function that makes an `S` from shared values. `M` tells the shapes apart.
#[diagnostic::on_unimplemented(
    message = "`init` must be a function of up to 8 `Shared<T>` parameters that returns `{S}`, \
               `Result<{S}, E>` or a future of either",
    label = "can't be used as `init`",
    note = "`E` must be an error type, `String` or `&str`; a future must be `Send`"
)]
pub trait Init<S, M> {
    /// Gives it what it takes and runs it.
    fn call(self, provided: &Provided) -> BoxFuture<'static, Made<S>>;
}

macro_rules! init_with {
    ($($param:ident)*) => {
        #[diagnostic::do_not_recommend]
        impl<S, M, F, R, $($param),*> Init<S, (M, $($param,)*)> for F
        where
            S: Send + 'static,
            F: FnOnce($($param),*) -> R,
            R: Outcome<S, M>,
            $($param: FromProvided,)*
        {
            fn call(self, provided: &Provided) -> BoxFuture<'static, Made<S>> {
                let _ = provided;
                let made = || Ok(self($($param::from_provided(provided)?),*));
                match made() {
                    Ok(outcome) => outcome.made(),
                    Err(missing) => Box::pin(ready(Err(missing))),
                }
            }
        }
    };
}

init_with!();
init_with!(A);
init_with!(A B);
init_with!(A B C);
init_with!(A B C D);
init_with!(A B C D E);
init_with!(A B C D E G);
init_with!(A B C D E G H);
init_with!(A B C D E G H I);

/// What an `init` function may return, `S` being the type of the impl.
pub trait Outcome<S, M> {
    /// Waits for it.
    fn made(self) -> BoxFuture<'static, Made<S>>;
}

/// What is there without waiting.
pub trait Ready<S, M> {
    /// Takes it.
    fn ready(self) -> Made<S>;
}

// Markers: without them the impls below would overlap.
#[derive(Debug)]
pub struct Plain;
#[derive(Debug)]
pub struct Fallible<E>(PhantomData<E>);
#[derive(Debug)]
pub struct Later<M>(PhantomData<M>);

impl<S> Ready<S, Plain> for S {
    fn ready(self) -> Made<S> {
        Ok(self)
    }
}

impl<S, E: Into<Box<dyn Error + Send + Sync>>> Ready<S, Fallible<E>> for Result<S, E> {
    fn ready(self) -> Made<S> {
        self.map_err(|error| with_causes(&*error.into()))
    }
}

impl<S: Send + 'static> Outcome<S, Plain> for S {
    fn made(self) -> BoxFuture<'static, Made<S>> {
        Box::pin(ready(Ok(self)))
    }
}

impl<S, E> Outcome<S, Fallible<E>> for Result<S, E>
where
    S: Send + 'static,
    E: Into<Box<dyn Error + Send + Sync>>,
{
    fn made(self) -> BoxFuture<'static, Made<S>> {
        Box::pin(ready(self.ready()))
    }
}

impl<S, M, F> Outcome<S, Later<M>> for F
where
    S: Send + 'static,
    F: Future<Output: Ready<S, M>> + Send + 'static,
{
    fn made(self) -> BoxFuture<'static, Made<S>> {
        Box::pin(async move { self.await.ready() })
    }
}

/// An error and what caused it, on one line.
fn with_causes(error: &dyn Error) -> String {
    let mut text = format!("its `init` failed: {error}");
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// Asks whether `T` is `Default`: `(&&Probe::<T>::new()).rpc_make()` finds [`ViaDefault`] first.
#[derive(Debug)]
pub struct Probe<T>(PhantomData<fn() -> T>);

impl<T> Probe<T> {
    /// The one there is.
    #[allow(clippy::new_without_default, reason = "generated code alone makes it")]
    pub const fn new() -> Self {
        Self(PhantomData)
    }
}

/// For types with `Default`.
pub trait ViaDefault {
    /// The default instance.
    fn rpc_make(&self) -> Option<Instance>;
}

impl<T: Default + Send + Sync + 'static> ViaDefault for &Probe<T> {
    fn rpc_make(&self) -> Option<Instance> {
        Some(Arc::new(T::default()))
    }
}

/// For the others.
pub trait ViaNothing {
    /// Nothing.
    fn rpc_make(&self) -> Option<Instance>;
}

impl<T> ViaNothing for Probe<T> {
    fn rpc_make(&self) -> Option<Instance> {
        None
    }
}
