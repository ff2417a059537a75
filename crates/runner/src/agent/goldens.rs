//! Reads recorded runs of real agents: one folder of `tests/goldens` per version, recorded by `.ci/goldens`.
//! Tests that iterate over `versions` cover a new folder automatically.

use super::adapter::LineParser;
use super::agent_event::AgentEvent;
use super::run_state::{RunState, SharedRunState};
use crate::api::event_draft::EventDraft;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

fn folder(version: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens").join(version)
}

/// The recorded versions of an agent, such as `claude_code-2.1.197`, oldest first.
pub(super) fn versions(agent: &str) -> Vec<String> {
    let prefix = format!("{agent}-");
    let names = std::fs::read_dir(folder("")).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut versions: Vec<String> = names.filter(|name| name.starts_with(&prefix)).collect();
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

pub(super) fn runs(version: &str) -> BTreeSet<String> {
    let entries = std::fs::read_dir(folder(version)).unwrap_or_else(|error| panic!("{version}: {error}"));
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter_map(|name| Some(name.strip_suffix(".jsonl")?.to_owned())).collect()
}

/// The events of an agent that prints these lines, and the state of its run.
pub(super) fn parse_lines<'l>(
    mut parser: impl LineParser,
    lines: impl IntoIterator<Item = &'l str>,
) -> (Vec<EventDraft>, RunState) {
    let (shared, mut events) = (SharedRunState::default(), Vec::new());
    for line in lines {
        for event in parser.parse_line(line.as_bytes()) {
            shared.apply(&event);
            if let AgentEvent::Event(event) | AgentEvent::Retrying(event) = event {
                events.push(event);
            }
        }
    }
    let record = shared.lock().clone();
    (events, record)
}
