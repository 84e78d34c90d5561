//! Names and ids of a contract, computed and checked while the user's crate compiles.

use super::{MethodMeta, ServiceMeta};
use crate::wire;

/// The id of a service.
pub const fn service_id(registered: &str) -> u64 {
    wire::fnv1a_64(registered.as_bytes())
}

/// The id of a method within its service.
pub const fn method_id(name: &str) -> u32 {
    wire::fnv1a_32(name.as_bytes())
}

/// The method with this wire name.
///
/// # Panics
///
/// If there is none; generated code asks only for those that it has listed.
pub const fn method(service: &ServiceMeta, name: &str) -> &'static MethodMeta {
    let id = method_id(name);
    let mut i = 0;
    while i < service.methods.len() {
        if service.methods[i].id == id {
            return service.methods[i];
        }
        i += 1;
    }
    panic!("no such method")
}

/// What only the compiler knows for certain: the package's name, and which methods `cfg` leaves.
///
/// # Panics
///
/// With the text for the user, at compile time.
pub const fn check(service: &ServiceMeta) {
    let name = service.name.as_bytes();
    assert!(
        !name.is_empty() && name.len() <= 128 && name[0] != b'_' && are_registrable(name),
        "the service name, `<package>.<Trait>`, must have 1 to 128 characters `A-Z a-z 0-9 . _ -` \
         and must not begin with `_`: give another with #[rpc_client(name = \"..\")]"
    );
    let methods = service.methods;
    let mut i = 0;
    while i < methods.len() {
        let mut k = 0;
        while k < i {
            assert!(
                methods[i].id != methods[k].id,
                "two methods of this trait have the same wire name or wire names with the same \
                 id: give one of them another with #[rpc(name = \"..\")]"
            );
            k += 1;
        }
        i += 1;
    }
}

const fn are_registrable(characters: &[u8]) -> bool {
    let mut i = 0;
    while i < characters.len() {
        if !matches!(characters[i], b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-') {
            return false;
        }
        i += 1;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::Codec;

    const fn named(name: &'static str) -> MethodMeta {
        MethodMeta {
            name,
            id: method_id(name),
            doc: "",
            args: &[],
            output: "",
            idempotent: false,
            timeout: None,
            hash_key: None,
        }
    }

    const fn service(methods: &'static [&'static MethodMeta]) -> ServiceMeta {
        ServiceMeta {
            registered: "a",
            name: "a",
            version: None,
            id: service_id("a"),
            doc: "",
            codec: Codec::Named,
            methods,
        }
    }

    #[test]
    fn ids_are_fnv_1a() {
        assert_eq!(service_id("a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(method_id("a"), 0xe40c_292c);
    }

    #[test]
    #[should_panic(expected = "A-Z a-z 0-9")]
    fn a_package_whose_name_cannot_be_registered_is_refused() {
        check(&ServiceMeta { name: "größe.Chat", ..service(&[]) });
    }

    #[test]
    #[should_panic(expected = "the same id")]
    fn wire_names_that_collide_are_refused() {
        // A known pair of FNV-1a collisions.
        const ONE: MethodMeta = named("costarring");
        const OTHER: MethodMeta = named("liquid");
        assert_eq!(ONE.id, OTHER.id);
        check(&service(&[&ONE, &OTHER]));
    }
}
