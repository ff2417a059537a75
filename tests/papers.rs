//! Generated papers: what docs say of codes, configuration and cost is what the code says.
//!
//! `PULLYARD_WRITE_PAPERS=1 cargo test -p pullyard-cli --test system papers::` writes them anew; the table's and
//! the states' are held by the crates `store` and `domain` in the same way.

mod codes;
mod config;
mod cost;
mod environment;
pub(crate) mod keep;

/// A cell of a table: on one line, and no end of the cell.
fn celled(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}
