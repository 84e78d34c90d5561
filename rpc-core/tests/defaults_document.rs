//! The table in `docs/defaults.md` and the constants in the code agree, row by row.

use rpc_core::defaults;

const DOCUMENT: &str = include_str!("../../docs/defaults.md");

#[test]
fn the_table_shows_every_default_and_no_other() {
    let rows: Vec<(String, String)> = DOCUMENT
        .lines()
        .filter_map(|line| line.strip_prefix("| `"))
        .map(|row| {
            let mut cells = row.split(" | ");
            let name = cells.next().unwrap().trim_end_matches('`').to_owned();
            (name, cells.next().unwrap().to_owned())
        })
        .collect();
    let code: Vec<(String, String)> =
        defaults::table().into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    assert_eq!(rows, code);
}
