//! The server half of a call.
