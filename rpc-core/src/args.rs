//! Arguments by name.
