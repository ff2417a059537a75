//! Checks docs/guarantees.md and docs/status.md: each row of guarantees is one sentence with a known layer and a file that
//! exists, and each capability has a status and the place that shows it.

use crate::prelude::*;

const PAGE: &str = include_str!("../docs/guarantees.md");

const LAYERS: [&str; 8] = ["rules", "model", "store", "crash walk", "simulation", "runner", "system", "template"];

const STATUS: &str = include_str!("../docs/status.md");

/// The cells of each row of the tables, without the heads.
fn rows(page: &str) -> Vec<Vec<&str>> {
    let lines = page.lines().filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |"));
    lines.filter(|line| *line != "promise | layer | test").map(|line| line.split(" | ").collect()).collect()
}

/// Whether a path between backticks names a file in the repository or below `crates`.
fn names_a_file(cell: &str) -> bool {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let path = cell.strip_prefix('`').and_then(|path| path.strip_suffix('`'));
    path.is_some_and(|path| root.join(path).is_file() || root.join("crates").join(path).is_file())
}

#[test]
fn every_guarantee_has_a_layer_and_a_test_file() {
    let rows = rows(PAGE);
    assert!(rows.len() > 50, "only {} rows", rows.len());
    let mut promises = BTreeSet::new();
    for row in rows {
        let [promise, layer, test] = row[..] else { panic!("not three cells: {row:?}") };
        assert!(promise.ends_with('.'), "not a sentence: {promise}");
        assert!(promises.insert(promise), "listed twice: {promise}");
        assert!(LAYERS.contains(&layer), "unknown layer `{layer}`: {promise}");
        assert!(names_a_file(test), "no such file {test}: {promise}");
    }
}

#[test]
fn every_capability_has_a_status_and_the_place_that_shows_it() {
    let lines = STATUS.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| capability"));
    let mut capabilities = BTreeSet::new();
    for line in lines {
        let cells: Vec<_> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [capability, status, how] = cells[..] else { panic!("not three cells: {line}") };
        assert!(capabilities.insert(capability), "listed twice: {capability}");
        assert!(["supported", "limited", "missing"].contains(&status), "unknown status: {line}");
        assert!(status == "missing" || !how.is_empty(), "how is it {status}? {line}");
    }
    assert!(capabilities.len() > 50, "only {} rows", capabilities.len());
}
