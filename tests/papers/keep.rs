//! Holds a generated paper against what the code says now, or writes it down: `PULLYARD_WRITE_PAPERS=1`.
//!
//! The tests of three crates take this file in, each for the papers of its own room.

use std::path::Path;

/// `docs/NAME` says this.
#[track_caller]
pub(crate) fn keep(name: &str, said: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(name);
    if std::env::var("PULLYARD_WRITE_PAPERS").is_ok_and(|value| value == "1") {
        std::fs::write(&path, said).unwrap();
        return;
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    let differs = kept.lines().zip(said.lines()).enumerate().find(|(_, (kept, said))| kept != said);
    assert!(
        kept == said,
        "docs/{name} is not what the code says any more, first at {differs:?}; write it anew with PULLYARD_WRITE_PAPERS=1"
    );
}
