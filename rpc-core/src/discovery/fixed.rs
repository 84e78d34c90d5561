//! stub
/// .
#[derive(Debug)]
pub struct FixedRegistry;
