//! stub
/// .
#[derive(Debug)]
pub struct MemoryRegistry;
