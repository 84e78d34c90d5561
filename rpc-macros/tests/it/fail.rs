//! Mistakes are reported at the user's token, all of them, and nothing else is.
//!
//! Each file in `tests/fail` is one behaviour. `//~ ERROR text` expects an error with this text on
//! its line, `//~^` on the line above (one more for each `^`). `//~ MAYBE text` allows one there:
//! what the compiler adds by itself. Any other error fails the test.

use crate::compiler::{self, Diagnostic};
use std::{fmt::Write, fs, path::Path};

struct Annotation {
    line: usize,
    text: String,
    is_required: bool,
}

#[test]
fn mistakes_are_reported_where_they_are() {
    let cases = compiler::cases("fail");
    let (left, right) = cases.split_at(cases.len() / 2);
    let problems = std::thread::scope(|scope| {
        let left = scope.spawn(|| left.iter().map(|case| problems_of(case)).collect::<String>());
        let right = right.iter().map(|case| problems_of(case)).collect::<String>();
        left.join().expect("no panic") + &right
    });
    assert!(problems.is_empty(), "{problems}");
}

/// What differs between a case's annotations and the compiler's errors.
fn problems_of(case: &Path) -> String {
    let source = fs::read_to_string(case).expect("is readable");
    let annotations = annotations(&source);
    let mut errors = compiler::check(case);
    errors.retain(|d| d.is_error);
    let mut problems = String::new();
    let fits = |a: &Annotation, d: &Diagnostic| a.line == d.line && d.text.contains(&a.text);
    for a in annotations.iter().filter(|a| a.is_required) {
        if !errors.iter().any(|d| fits(a, d)) {
            let _ = writeln!(problems, "  line {}: missing: {}", a.line, a.text);
        }
    }
    for d in errors.iter().filter(|d| !annotations.iter().any(|a| fits(a, d))) {
        let text = d.text.replace('\n', "\n    ");
        let _ = writeln!(problems, "  line {}: unexpected: {text}", d.line);
    }
    assert!(annotations.iter().any(|a| a.is_required), "{} expects nothing", case.display());
    if !problems.is_empty() {
        problems.insert_str(0, &format!("{}:\n", compiler::name(case)));
    }
    problems
}

fn annotations(source: &str) -> Vec<Annotation> {
    let mut annotations = Vec::new();
    for (number, line) in (1..).zip(source.lines()) {
        for comment in line.split("//~").skip(1) {
            let text = comment.trim_start_matches('^');
            let line = number - (comment.len() - text.len());
            let text = text.trim();
            let required = text.strip_prefix("ERROR ");
            let text = required.or_else(|| text.strip_prefix("MAYBE "));
            let text = text.unwrap_or_else(|| panic!("line {number}: ERROR or MAYBE"));
            annotations.push(Annotation {
                line,
                text: text.to_owned(),
                is_required: required.is_some(),
            });
        }
    }
    annotations
}
