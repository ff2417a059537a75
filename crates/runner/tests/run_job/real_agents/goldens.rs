//! Records the output of the agent programs in `tests/goldens/AGENT-VERSION`, or compares it. Run by `.ci/goldens`.
//!
//! The parser tests in `src/agent` read all recordings.

mod claude_code;
mod codex;
mod normalize;

use std::path::Path;

pub(crate) struct Recording {
    name: String,
    lines: Vec<String>,
}

impl Recording {
    fn new(name: &str, lines: Vec<String>) -> Self {
        Self { name: name.to_owned(), lines }
    }
}

fn installed_version(program: &str) -> String {
    let ran = std::process::Command::new(program).arg("--version").output().unwrap();
    let output = String::from_utf8(ran.stdout).unwrap();
    let version = output.split_whitespace().find(|word| word.starts_with(|c: char| c.is_ascii_digit()));
    version.unwrap_or_else(|| panic!("{program} printed no version: {output}")).to_owned()
}

fn store(write: bool, agent: &str, version: &str, recordings: &[Recording]) -> usize {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/goldens/{agent}-{version}"));
    let mut differ = 0;
    for Recording { name, lines } in recordings {
        let path = folder.join(format!("{name}.jsonl"));
        let text = lines.join("\n") + "\n";
        if std::fs::read_to_string(&path).is_ok_and(|before| before == text) {
            continue;
        }
        differ += 1;
        println!("{} differs", path.display());
        if write {
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(path, text).unwrap();
        }
    }
    differ
}

#[tokio::test]
#[ignore = "needs an agent's program: .ci/goldens"]
async fn agent_output_matches_its_recordings() {
    // `.ci/agents` runs ignored tests without this variable; recording is slow and may write files.
    let write = match std::env::var("PULLYARD_GOLDENS").as_deref() {
        Ok("write") => true,
        Ok("check") => false,
        Ok(other) => panic!("PULLYARD_GOLDENS is {other}, must be write or check"),
        Err(_) => return,
    };
    let (mut differ, mut recorded) = (0, 0);
    if let Ok(program) = std::env::var("PULLYARD_CLAUDE_CODE") {
        differ += store(write, "claude_code", &installed_version(&program), &claude_code::record().await);
        recorded += 1;
    }
    if let Ok(program) = std::env::var("PULLYARD_CODEX") {
        differ += store(write, "codex", &installed_version(&program), &codex::record().await);
        recorded += 1;
    }
    assert!(recorded > 0, "neither PULLYARD_CLAUDE_CODE nor PULLYARD_CODEX names a program");
    assert!(write || differ == 0, "{differ} recordings differ from what was recorded");
}
