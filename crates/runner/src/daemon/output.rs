//! Prints tables on standard output.

use super::agents::DetectedAgent;
use super::settings::ParsedSettings;
use std::io::Write;

pub(crate) fn print_config(parsed: &ParsedSettings, agents: &[DetectedAgent]) {
    let rows = parsed.rows.iter().map(|row| [row.name.to_owned(), row.value.clone(), row.source.clone()]);
    let unused = parsed.unused_variables.iter().map(|(name, reason)| [*name, "not used", *reason].map(str::to_owned));
    let rows = rows.chain(agents.iter().map(DetectedAgent::row)).chain(unused);
    let rows = rows.map(|row| row.map(|cell| if cell.is_empty() { "-".to_owned() } else { cell }));
    let head = ["SETTING", "VALUE", "FROM"].map(str::to_owned);
    print_table(&[vec![head], rows.collect()].concat());
    for error in &parsed.errors {
        print_line(&format!("wrong: {}", error.message));
    }
}

pub(crate) fn print_table(rows: &[[String; 3]]) {
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let (first, second) = (width(0).unwrap_or(0), width(1).unwrap_or(0));
    for [left, middle, right] in rows {
        print_line(format!("{left:<first$}  {middle:<second$}  {right}").trim_end());
    }
}

/// Prints a line. A closed pipe is no error.
pub(crate) fn print_line(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}
