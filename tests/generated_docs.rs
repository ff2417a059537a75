//! Compares the generated documentation (codes, configuration, cost) with the code.
//!
//! `PULLYARD_WRITE_DOCS=1 cargo test -p pullyard-cli --test system generated_docs::` writes the files. The crates
//! `store` and `domain` compare the table and the states in the same way.

mod codes;
mod config;
mod cost;
mod environment;
pub(crate) mod generated;

fn table_cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}
