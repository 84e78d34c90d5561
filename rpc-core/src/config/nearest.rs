//! Which known word somebody meant.

/// The known word that differs least, if it differs little: by a third of its letters at most.
pub(super) fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    // Nobody misspells that badly, and the comparison takes the product of the lengths.
    if word.len() > 64 {
        return None;
    }
    let near = known.iter().map(|known| (distance(word, known), *known)).min()?;
    (near.0 <= near.1.len().div_ceil(3)).then_some(near.1)
}

/// How many letters have to be put in, left out or replaced (Levenshtein's distance, one row of
/// the table at a time).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_recognised_and_another_word_is_not() {
        let known = ["timeout", "retries", "max_message", "max_in_flight"];
        assert_eq!(nearest("timeotu", &known), Some("timeout"));
        assert_eq!(nearest("maxMessage", &known), Some("max_message"));
        assert_eq!(nearest("retry", &known), Some("retries"));
        assert_eq!(nearest("colour", &known), None);
        assert_eq!(nearest(&"x".repeat(1_000_000), &known), None);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("kitten", "sitting"), 3);
    }
}
