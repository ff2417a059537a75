//! docs/guarantees.md: each thing that holds names tests that exist and are always run, or the feature that is not
//! built.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

const PAPER: &str = include_str!("../docs/guarantees.md");

/// What stands in the second column of a row that has no test.
const NOT_BUILT: &str = "not built yet: ";

/// The rows of all tables, without their heads: what holds, and what holds it.
fn rows(paper: &str) -> Vec<(&str, &str)> {
    let tables = paper.lines().filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |"));
    let rows = tables.filter_map(|line| line.rsplit_once(" | "));
    rows.filter(|(holds, _)| *holds != "what holds").collect()
}

/// The tests that a cell names, as file and name.
fn named(cell: &str) -> Vec<(&str, &str)> {
    cell.split('`').skip(1).step_by(2).map(|test| test.split_once("::").unwrap_or((test, ""))).collect()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The source of a file that is named without its `crates`.
fn source(file: &str) -> Option<String> {
    let places = [root().join(file), root().join("crates").join(file)];
    places.into_iter().find_map(|path| std::fs::read_to_string(path).ok())
}

/// The names of a source's tests that are always run: each function that an attribute makes one, and none ignores.
fn tests_of(source: &str) -> Vec<&str> {
    let mut names = Vec::new();
    let (mut is_test, mut is_ignored) = (false, false);
    for line in source.lines().map(str::trim) {
        match line.strip_prefix("async fn ").or_else(|| line.strip_prefix("fn ")) {
            Some(declared) if is_test && !is_ignored => names.extend(declared.split('(').next()),
            None if line.starts_with("#[") => {
                is_test |= line == "#[test]" || line.starts_with("#[tokio::test");
                is_ignored |= line.starts_with("#[ignore") || line.starts_with("#[cfg_attr") && line.contains("ignore");
                continue;
            }
            // Arguments of an attribute, and comments, stand between it and its function.
            None if (is_test || is_ignored) && !line.ends_with('{') => continue,
            _ => {}
        }
        (is_test, is_ignored) = (false, false);
    }
    names
}

#[test]
fn every_guarantee_names_tests_that_are_always_run() {
    let mut sources = BTreeMap::new();
    let rows = rows(PAPER);
    assert!(rows.len() > 50, "only {} rows were found", rows.len());
    let (mut found, mut missing, mut said) = (0, Vec::new(), BTreeSet::new());
    for (holds, cell) in rows {
        assert!(holds.ends_with('.'), "not a sentence: {holds}");
        assert!(said.insert(holds), "said twice: {holds}");
        if let Some(feature) = cell.strip_prefix(NOT_BUILT) {
            assert!(!feature.is_empty() && !cell.contains('`'), "{holds}");
            continue;
        }
        let tests = named(cell);
        assert!(!tests.is_empty(), "nothing holds it: {holds}");
        for (file, name) in tests {
            let source = sources.entry(file).or_insert_with(|| source(file));
            let exists = source.as_deref().is_some_and(|source| tests_of(source).contains(&name));
            found += usize::from(exists);
            if !exists {
                missing.push(format!("{file}::{name}"));
            }
        }
    }
    assert!(missing.is_empty(), "docs/guarantees.md names what is no test that is always run:\n{}", missing.join("\n"));
    println!("{found} tests");
}

#[test]
fn only_a_function_that_is_marked_as_one_and_is_always_run_is_a_test() {
    let source = "#[test]\nfn one() {\n}\nfn helper() {\n}\n#[tokio::test(flavor = \"multi_thread\")]\n#[expect(x)]\nasync fn two() {\n}\n#[expect(x)]\nfn three() {\n}\n";
    assert_eq!(tests_of(source), ["one", "two"]);
    let ignored = "#[test]\n#[ignore = \"slow\"]\nfn four() {\n}\n#[ignore]\n// Later.\n#[test]\nfn five() {\n}\n#[test]\nfn six() {\n}\n";
    assert_eq!(tests_of(ignored), ["six"]);
    assert_eq!(
        rows("| what holds | held by |\n|---|---|\n| It holds. | `a.rs::b`, `c.rs::d` |\n"),
        [("It holds.", "`a.rs::b`, `c.rs::d`")]
    );
    assert_eq!(named("`a.rs::b`, `c.rs::d`"), [("a.rs", "b"), ("c.rs", "d")]);
}
