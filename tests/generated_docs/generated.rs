//! Compares a generated page with the file in the repository. `PULLYARD_WRITE_DOCS=1` writes the file instead.
//!
//! Tests of three crates include this file, each for the pages of its own crate.

use std::path::Path;

/// Panics if the file at `path`, relative to the repository root, differs from `page`.
#[track_caller]
pub(crate) fn compare_or_write(path: &str, page: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path);
    if std::env::var("PULLYARD_WRITE_DOCS").is_ok_and(|value| value == "1") {
        std::fs::write(&file, page).unwrap();
        return;
    }
    let stored = std::fs::read_to_string(&file).unwrap_or_default();
    let difference = stored.lines().zip(page.lines()).enumerate().find(|(_, (stored, page))| stored != page);
    assert!(
        stored == page,
        "{path} is outdated; the first difference is {difference:?}. PULLYARD_WRITE_DOCS=1 updates it."
    );
}
