//! Records the output of the agent programs in `tests/goldens/AGENT-VERSION`, or compares it. Run by `.ci/goldens`.
//!
//! The parser tests in `src/agent` read all recordings.

mod claude_code;
mod codex;
mod difference;
mod normal;

use difference::told;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The output of one scripted scenario, such as `overloaded`.
pub(crate) struct Recording {
    name: String,
    lines: Vec<String>,
}

impl Recording {
    fn new(name: &str, lines: Vec<String>) -> Self {
        Self { name: name.to_owned(), lines }
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Asked {
    Write,
    /// Write nothing; fail on a difference.
    Check,
}

fn goldens() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens")
}

fn version(program: &str) -> String {
    let ran = std::process::Command::new(program).arg("--version").output().unwrap();
    let said = String::from_utf8(ran.stdout).unwrap();
    let version = said.split_whitespace().find(|word| word.starts_with(|c: char| c.is_ascii_digit()));
    version.unwrap_or_else(|| panic!("{program} printed no version: {said}")).to_owned()
}

/// The numbers of a version, so that 2.1.330 sorts after 2.1.97.
fn order(version: &str) -> Vec<u64> {
    version.split(|c: char| !c.is_ascii_digit()).filter_map(|number| number.parse().ok()).collect()
}

/// The folder to compare with: the version itself, or the newest version of the agent.
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

/// Prints the changes, and writes the recordings in `Write` mode. Returns how many differ from this version's files.
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
async fn agent_output_matches_its_recordings() {
    // `.ci/agents` runs ignored tests without this variable; recording is slow and may write files.
    let asked = match std::env::var("PULLYARD_GOLDENS").as_deref() {
        Ok("write") => Asked::Write,
        Ok("check") => Asked::Check,
        Ok(other) => panic!("PULLYARD_GOLDENS is {other}, must be write or check"),
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
fn versions_are_ordered_by_number() {
    assert!(order("2.1.330") > order("2.1.97") && order("0.169.0") > order("0.99.10"));
}

#[test]
fn new_version_is_compared_with_the_newest_recorded() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(compared_with(dir.path(), "claude_code", "3.0.0"), None);
    for name in ["claude_code-2.1.97", "claude_code-2.1.330", "codex-9.0.0"] {
        std::fs::create_dir(dir.path().join(name)).unwrap();
    }
    let with = |version: &str| compared_with(dir.path(), "claude_code", version);
    assert_eq!(with("3.0.0"), Some(dir.path().join("claude_code-2.1.330")));
    assert_eq!(with("2.1.97"), Some(dir.path().join("claude_code-2.1.97")));
}
