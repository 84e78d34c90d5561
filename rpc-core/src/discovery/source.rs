//! stub
/// .
#[derive(Debug)]
pub struct RegistrySource;
