//! The contracts that are linked into the program.

use super::ServiceMeta;

/// A contract, as `#[rpc_client]` hands it in.
#[derive(Debug)]
pub struct Contract(pub &'static ServiceMeta);

inventory::collect!(Contract);

/// Every contract that is linked into the program, by name.
pub fn contracts() -> Vec<&'static ServiceMeta> {
    let mut all: Vec<_> = inventory::iter::<Contract>.into_iter().map(|c| c.0).collect();
    all.sort_by_key(|meta| meta.registered);
    all
}
