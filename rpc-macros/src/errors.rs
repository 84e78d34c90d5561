//! Collects every mistake, so that all of them are reported at once.

use proc_macro2::TokenStream;
use quote::ToTokens;
use std::fmt::Display;

/// The mistakes found so far. It must be [finished](Self::finish): one that is dropped with
/// mistakes in it would compile a wrong contract.
#[derive(Default)]
pub(crate) struct Errors {
    all: Option<syn::Error>,
}

impl Errors {
    /// A mistake at the tokens of something.
    pub(crate) fn on(&mut self, tokens: &impl ToTokens, message: impl Display) {
        self.push(syn::Error::new_spanned(tokens, message));
    }

    /// A mistake that syn found.
    pub(crate) fn push(&mut self, error: syn::Error) {
        match &mut self.all {
            Some(all) => all.combine(error),
            None => self.all = Some(error),
        }
    }

    /// `value` if there was no mistake, otherwise all of them as `compile_error!`s.
    pub(crate) fn finish<T>(mut self, value: Option<T>) -> Result<T, TokenStream> {
        match (self.all.take(), value) {
            (None, Some(value)) => Ok(value),
            (Some(errors), _) => Err(errors.into_compile_error()),
            (None, None) => unreachable!("no model and no mistake"),
        }
    }
}

impl Drop for Errors {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert!(self.all.is_none(), "mistakes were dropped");
        }
    }
}
