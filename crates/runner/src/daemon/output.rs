//! Tables on standard output.

use super::agents::DetectedAgent;
use super::settings::ParsedSettings;
use std::io::Write;

pub(crate) fn print_config(read: &ParsedSettings, agents: &[DetectedAgent]) {
    let rows = read.rows.iter().map(|row| [row.name.to_owned(), row.value.clone(), row.source.clone()]);
    let unused = read.unused_variables.iter().map(|(name, reason)| [*name, "not used", *reason].map(str::to_owned));
    let rows = rows.chain(agents.iter().map(DetectedAgent::row)).chain(unused);
    let rows = rows.map(|row| row.map(|cell| if cell.is_empty() { "-".to_owned() } else { cell }));
    let head = ["SETTING", "VALUE", "FROM"].map(str::to_owned);
    print_table(&[vec![head], rows.collect()].concat());
    for fault in &read.errors {
        print_line(&format!("wrong: {}", fault.message));
    }
}

pub(crate) fn print_table(rows: &[[String; 3]]) {
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let (first, second) = (width(0).unwrap_or(0), width(1).unwrap_or(0));
    for [one, two, three] in rows {
        print_line(format!("{one:<first$}  {two:<second$}  {three}").trim_end());
    }
}

/// Prints a line. A closed pipe is no error.
fn print_line(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}
