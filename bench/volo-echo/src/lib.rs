//! What volo's generator makes of `echo.thrift`; apart, because it contains unsafe code.
#![allow(warnings, clippy::all, reason = "generated")]

include!(concat!(env!("OUT_DIR"), "/volo_gen.rs"));

pub use volo_gen::bench::*;
