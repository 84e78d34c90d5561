//! Which names can travel, and which a generated client can have.

/// What is wrong with a service name (up to 128 characters) or a version (up to 32).
///
/// Both become part of a `ZooKeeper` path, where a leading `_` marks the framework's own nodes
/// and dots alone mean other ones.
pub(crate) fn check_registered(name: &str, max: usize) -> Result<(), String> {
    if name.starts_with('_') {
        return Err("must not begin with `_`, such names are the framework's own".into());
    }
    if name == "." || name == ".." {
        return Err("must not be dots alone".into());
    }
    check_wire(name, max)
}

/// What is wrong with the wire name of a method or argument.
pub(crate) fn check_wire(name: &str, max: usize) -> Result<(), String> {
    if name.is_empty() || name.len() > max {
        return Err(format!("must have 1 to {max} characters"));
    }
    match name.chars().find(|c| !c.is_ascii_alphanumeric() && !"._-".contains(*c)) {
        Some(c) => Err(format!("must consist of `A-Z a-z 0-9 . _ -`, not `{c}`")),
        None => Ok(()),
    }
}

/// The longest service name and wire name.
pub(crate) const MAX_NAME: usize = 128;
/// The longest version.
pub(crate) const MAX_VERSION: usize = 32;

/// Whether a method of this name would be hidden by, or ambiguous with, what every client, or an
/// `Arc` of a service, has from inherent methods and from the traits of the prelude.
pub(crate) fn collides(method: &str) -> bool {
    const TAKEN: &[&str] = &[
        "with_options",
        "clone",
        "clone_from",
        "clone_into",
        "to_owned",
        "from",
        "into",
        "as_ref",
        "try_from",
        "try_into",
        "borrow",
        "borrow_mut",
        "type_id",
        "fmt",
    ];
    TAKEN.contains(&method) || method.starts_with("__rpc")
}

/// FNV-1a, 32 bits, as `rpc_core::wire` has it: the id of a method.
pub(crate) fn method_id(name: &str) -> u32 {
    name.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_can_be_registered() {
        for name in ["a", "demo-api.Greeter", "A_b.2", &"x".repeat(128)] {
            assert_eq!(check_registered(name, MAX_NAME), Ok(()));
        }
        for name in ["", ".", "..", "_config", "a/b", "a@2", "a b", "größe", &"x".repeat(129)] {
            assert!(check_registered(name, MAX_NAME).is_err(), "{name}");
        }
        assert!(check_registered("0123456789012345678901234567890123", MAX_VERSION).is_err());
    }

    #[test]
    fn method_ids_are_fnv_1a() {
        assert_eq!(method_id("a"), 0xe40c_292c);
    }
}
