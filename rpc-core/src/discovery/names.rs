//! stub
/// .
pub fn check_service_name() {}
/// .
pub fn check_version() {}
