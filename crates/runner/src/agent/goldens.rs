//! Reads recorded runs of real agents: one folder of `tests/goldens` per version, recorded by `.ci/goldens`.
//! Tests that iterate over `versions` cover a new folder automatically.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

fn folder(version: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens").join(version)
}

/// The recorded versions of an agent, such as `claude_code-2.1.197`, oldest first.
pub(super) fn versions(agent: &str) -> Vec<String> {
    let begins = format!("{agent}-");
    let names = std::fs::read_dir(folder("")).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut versions: Vec<String> = names.filter(|name| name.starts_with(&begins)).collect();
    let numbers = |name: &String| -> Vec<u64> {
        name.split(|c: char| !c.is_ascii_digit()).filter_map(|number| number.parse().ok()).collect()
    };
    versions.sort_by_key(numbers);
    assert!(!versions.is_empty(), "no version of {agent} was recorded");
    versions
}

pub(super) fn run(version: &str, name: &str) -> String {
    let path = folder(version).join(format!("{name}.jsonl"));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The lines of a run of the newest version that has it; some runs were written manually, for one version.
pub(super) fn newest_run(agent: &str, name: &str) -> String {
    let has_it = |version: &&String| folder(version).join(format!("{name}.jsonl")).exists();
    let versions = versions(agent);
    let newest = versions.iter().rev().find(has_it);
    run(newest.unwrap_or_else(|| panic!("no version of {agent} has {name}")), name)
}

pub(super) fn runs(version: &str) -> BTreeSet<String> {
    let entries = std::fs::read_dir(folder(version)).unwrap_or_else(|error| panic!("{version}: {error}"));
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter_map(|name| Some(name.strip_suffix(".jsonl")?.to_owned())).collect()
}
