//! stub
/// .
#[derive(Debug)]
pub struct Change;
/// .
pub fn diff() {}
/// .
pub fn apply() {}
