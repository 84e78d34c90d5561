//! The client against a provider that says exactly what a test wants it to say.

mod outbox;
mod script;
