//! Tables on standard output.

use super::agents::Found;
use super::settings::Read;
use std::io::Write;

pub(crate) fn config(read: &Read, agents: &[Found]) {
    let rows = read.rows.iter().map(|row| [row.name.to_owned(), row.value.clone(), row.from.clone()]);
    let unused = read.unused.iter().map(|(name, why)| [(*name).to_owned(), "not used".to_owned(), (*why).to_owned()]);
    let mut all = vec![["SETTING".to_owned(), "VALUE".to_owned(), "FROM".to_owned()]];
    let agents = agents.iter().map(Found::row);
    all.extend(
        rows.chain(agents).chain(unused).map(|row| row.map(|cell| if cell.is_empty() { "-".to_owned() } else { cell })),
    );
    table(&all);
    for fault in &read.faults {
        line(&format!("wrong: {}", fault.sentence));
    }
}

/// Prints columns as wide as their widest cell.
pub(crate) fn table(rows: &[[String; 3]]) {
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let (first, second) = (width(0).unwrap_or(0), width(1).unwrap_or(0));
    for [one, two, three] in rows {
        line(format!("{one:<first$}  {two:<second$}  {three}").trim_end());
    }
}

/// Prints a line. A closed pipe is no error.
pub(crate) fn line(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}
