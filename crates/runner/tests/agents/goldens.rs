//! What the agents' programs say, recorded anew: the same stories for every version, by the programs themselves
//! against the scripted model, into `tests/goldens/AGENT-VERSION`. `.ci/goldens` asks for it.
//!
//! It owns the stories and how a recording is written; what a recording means is for the tests beside the readers, in
//! `src/agent`, which go through all folders.

mod claude_code;
mod codex;
mod difference;
mod normal;

use difference::told;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// A story by its name, such as `overloaded`, and what was said in it.
pub(crate) struct Recording {
    name: String,
    lines: Vec<String>,
}

impl Recording {
    fn new(name: &str, lines: Vec<String>) -> Self {
        Self { name: name.to_owned(), lines }
    }
}

/// What becomes of what was recorded.
#[derive(Clone, Copy, PartialEq)]
enum Asked {
    /// It is written down.
    Write,
    /// Nothing is written, and a difference is a failure.
    Check,
}

fn goldens() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens")
}

/// The version in the first line that a program says of itself.
fn version(program: &str) -> String {
    let ran = std::process::Command::new(program).arg("--version").output().unwrap();
    let said = String::from_utf8(ran.stdout).unwrap();
    let version = said.split_whitespace().find(|word| word.starts_with(|c: char| c.is_ascii_digit()));
    version.unwrap_or_else(|| panic!("{program} says no version: {said}")).to_owned()
}

/// Numbers of a version in their order, so that 2.1.330 comes after 2.1.97.
fn order(version: &str) -> Vec<u64> {
    version.split(|c: char| !c.is_ascii_digit()).filter_map(|number| number.parse().ok()).collect()
}

/// What a recording is compared with: its own folder, or else that of the newest version that there is of this agent.
fn compared_with(goldens: &Path, agent: &str, version: &str) -> Option<PathBuf> {
    let own = goldens.join(format!("{agent}-{version}"));
    if own.is_dir() {
        return Some(own);
    }
    let names = std::fs::read_dir(goldens).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let versions = names.filter_map(|name| Some(name.strip_prefix(agent)?.strip_prefix('-')?.to_owned()));
    let newest = versions.max_by_key(|version| order(version))?;
    Some(goldens.join(format!("{agent}-{newest}")))
}

fn read(folder: &Path, name: &str) -> Option<Vec<String>> {
    let text = std::fs::read_to_string(folder.join(format!("{name}.jsonl"))).ok()?;
    Some(text.lines().map(str::to_owned).collect())
}

/// Every recording in a folder and in those below it, by its name.
fn names(folder: &Path, before: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_dir() {
            found.extend(names(&path, &format!("{before}{name}/")));
        } else if let Some(name) = name.strip_suffix(".jsonl") {
            found.insert(format!("{before}{name}"));
        }
    }
    found
}

/// Says what changed, and writes it down where that was asked for. Returns how many recordings differ from those of
/// this version.
fn keep(asked: Asked, agent: &str, version: &str, recordings: &[Recording]) -> usize {
    let folder = goldens().join(format!("{agent}-{version}"));
    let before = compared_with(&goldens(), agent, version);
    let mut differ = 0;
    for Recording { name, lines } in recordings {
        let changed = match before.as_deref().and_then(|before| read(before, name)) {
            Some(before) => told(&before, lines),
            None => Some(format!("  new: {} lines", lines.len())),
        };
        if let Some(changed) = changed {
            let with = before.as_deref().and_then(Path::file_name).map(|name| name.to_string_lossy());
            println!("{agent}-{version}/{name}.jsonl, compared with {}:", with.as_deref().unwrap_or("nothing"));
            println!("{changed}");
        }
        if read(&folder, name).as_ref() != Some(lines) {
            differ += 1;
        }
        if asked == Asked::Write {
            let path = folder.join(format!("{name}.jsonl"));
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, lines.join("\n") + "\n").unwrap();
        }
    }
    if folder.is_dir() {
        let recorded: BTreeSet<String> = recordings.iter().map(|recording| recording.name.clone()).collect();
        for name in names(&folder, "").difference(&recorded) {
            println!("{agent}-{version}/{name}.jsonl stays as it is: no story records it.");
        }
    }
    println!("{agent} {version}: {} recordings, {differ} of them differ from what was recorded.", recordings.len());
    differ
}

#[tokio::test]
#[ignore = "needs an agent's program: .ci/goldens"]
async fn what_the_programs_say_is_what_was_recorded() {
    // Recording takes a while and may write: `.ci/agents`, which runs what is ignored, does not ask for it.
    let asked = match std::env::var("PULLYARD_GOLDENS").as_deref() {
        Ok("write") => Asked::Write,
        Ok("check") => Asked::Check,
        Ok(other) => panic!("PULLYARD_GOLDENS is {other}, and has to be write or check"),
        Err(_) => return,
    };
    let (mut differ, mut recorded) = (0, 0);
    if let Ok(program) = std::env::var("PULLYARD_CLAUDE_CODE") {
        differ += keep(asked, "claude_code", &version(&program), &claude_code::record().await);
        recorded += 1;
    }
    if let Ok(program) = std::env::var("PULLYARD_CODEX") {
        differ += keep(asked, "codex", &version(&program), &codex::record().await);
        recorded += 1;
    }
    assert!(recorded > 0, "neither PULLYARD_CLAUDE_CODE nor PULLYARD_CODEX names a program");
    assert!(asked == Asked::Write || differ == 0, "{differ} recordings differ from what was recorded");
}

#[test]
fn a_version_is_newer_by_its_numbers() {
    assert!(order("2.1.330") > order("2.1.97") && order("0.169.0") > order("0.99.10"));
}

#[test]
fn a_new_version_is_compared_with_the_newest_that_was_recorded() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(compared_with(dir.path(), "claude_code", "3.0.0"), None);
    for name in ["claude_code-2.1.97", "claude_code-2.1.330", "codex-9.0.0"] {
        std::fs::create_dir(dir.path().join(name)).unwrap();
    }
    let with = |version: &str| compared_with(dir.path(), "claude_code", version);
    assert_eq!(with("3.0.0"), Some(dir.path().join("claude_code-2.1.330")));
    assert_eq!(with("2.1.97"), Some(dir.path().join("claude_code-2.1.97")));
}
