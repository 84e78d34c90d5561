//! Results and errors of methods.
