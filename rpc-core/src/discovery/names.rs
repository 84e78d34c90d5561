//! Which names a service and a version may have.

use crate::SetupError;

const MAX_NAME: usize = 128;
const MAX_VERSION: usize = 32;

/// Checks the name of a service: 1 to 128 letters, digits, `.`, `_` and `-`, not beginning with
/// `_`, and neither `.` nor `..`.
///
/// These survive as a ZooKeeper node, in a URL and in a log line without quoting; names that begin
/// with `_` are the framework's own nodes.
///
/// # Errors
///
/// The text says what is wrong with the name.
pub fn check_service_name(name: &str) -> Result<(), SetupError> {
    check("service name", name, MAX_NAME)
}

/// Checks the version of a contract: 1 to 32 letters, digits, `.`, `_` and `-`, not beginning with
/// `_`, and neither `.` nor `..`.
///
/// # Errors
///
/// The text says what is wrong with the version.
pub fn check_version(version: &str) -> Result<(), SetupError> {
    check("version", version, MAX_VERSION)
}

/// Checks what a service is registered under: `name` or `name@version`.
pub(super) fn check_registered_name(service: &str) -> Result<(), SetupError> {
    match service.split_once('@') {
        Some((name, version)) => check_service_name(name).and_then(|()| check_version(version)),
        None => check_service_name(service),
    }
}

fn check(what: &str, text: &str, max: usize) -> Result<(), SetupError> {
    let refuse = |why: &str| {
        let shown: String = text.chars().take(max).collect();
        Err(SetupError::new(format!(
            "{what} {shown:?} {why}: write 1 to {max} letters, digits, '.', '_' and '-', \
             the first of them not '_'"
        )))
    };
    if text.is_empty() {
        return refuse("is empty");
    }
    if text.len() > max {
        return refuse("is too long");
    }
    if text.starts_with('_') {
        return refuse("begins with '_', which is kept for the framework");
    }
    if matches!(text, "." | "..") {
        return refuse("is dots alone");
    }
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    match text.chars().find(|c| !allowed(*c)) {
        Some(c) => refuse(&format!("contains {c:?}")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usual_names_pass() {
        for name in ["demo-api.Chat", "a", "A_b.9-c", &"x".repeat(128)] {
            assert_eq!(check_service_name(name), Ok(()), "{name}");
        }
        assert_eq!(check_version("2.1-rc_3"), Ok(()));
        assert_eq!(check_registered_name("shop.Orders@2"), Ok(()));
    }

    #[test]
    fn a_refusal_says_why() {
        let refused = [
            ("", "is empty"),
            ("_config", "begins with '_'"),
            ("a/b", "contains '/'"),
            ("a b", "contains ' '"),
            ("caf\u{e9}", "contains 'é'"),
            ("a@2", "contains '@'"),
            ("..", "is dots alone"),
            (&"x".repeat(129), "is too long"),
        ];
        for (name, why) in refused {
            let text = check_service_name(name).unwrap_err().to_string();
            assert!(text.contains(why), "{name}: {text}");
        }
        assert!(check_version(&"1".repeat(33)).is_err());
        assert!(check_registered_name("a@").is_err());
        assert!(check_registered_name("a@1@2").is_err());
    }
}
