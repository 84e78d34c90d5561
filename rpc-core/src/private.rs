//! What generated code touches. Not for programs: it changes without notice.

pub use inventory;
