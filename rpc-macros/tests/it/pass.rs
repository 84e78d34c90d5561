//! Contracts without mistakes compile without a word, and do what they say.
//!
//! Each file in `tests/pass` is a program that is compiled and then run; those that begin with
//! `silent` with clippy's lints on as well.

use crate::compiler;
use std::path::{Path, PathBuf};

#[test]
fn contracts_without_mistakes_compile_silently_and_run() {
    let cases = compiler::cases("pass");
    let (left, right) = cases.split_at(cases.len() / 2);
    std::thread::scope(|scope| {
        scope.spawn(|| check_all(left));
        check_all(right);
    });
}

fn check_all(cases: &[PathBuf]) {
    for case in cases {
        check(case);
    }
}

fn check(case: &Path) {
    let name = compiler::name(case);
    let linted = name.starts_with("silent").then(|| compiler::lint(case)).flatten();
    let said = linted.unwrap_or_else(|| compiler::check(case));
    assert!(said.is_empty(), "{name}: {said:#?}");
    compiler::run(case);
}
