//! Checks which files read the environment, and that docs/reference/config.md has every variable.

use crate::prelude::*;

const READERS: &[(&str, &str)] = &[
    ("crates/cli/src/client/completions/names.rs", "the global flags' variables, while a shell completes a line"),
    ("crates/cli/src/client/config.rs", "where contexts are saved"),
    ("crates/cli/src/client/screen.rs", "whether colours and shapes are wanted"),
    ("crates/cli/src/demo/screen.rs", "whether colours are wanted"),
    ("crates/cli/src/runner.rs", "what agents that `demo`, `up` and `try` run are given, and a forge's token"),
    ("crates/emulator/src/ecs/process.rs", "what a task inherits"),
    ("crates/entry/src/config.rs", "the functions' one reader"),
    ("crates/local_forge/src/existing.rs", "where git is"),
    ("crates/local_forge/src/git.rs", "what git inherits"),
    ("crates/runner/src/agent/environment.rs", "what an agent inherits, where it is found, the keys of models"),
    ("crates/runner/src/args.rs", "the bootstrap token, which is never a flag"),
    ("crates/runner/src/daemon/args.rs", "the runner's one reader"),
    ("crates/runner/src/daemon/child.rs", "what `run-job` inherits"),
    ("crates/runner/src/daemon/config_file.rs", "what `runner.env` adds to"),
    ("crates/runner/src/git.rs", "what git inherits"),
    ("crates/runner/src/main.rs", "what is logged"),
    ("crates/runner/src/process/program.rs", "where programs of the machine are"),
    ("crates/sandbox/src/contained.rs", "the image's PATH"),
    ("crates/sandbox/src/engine.rs", "what podman and docker inherit"),
    ("crates/sandbox/src/inside.rs", "the key that a canary looks for"),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() && name != "tests" && name != "target" {
            sources(&path, found);
        } else if name.ends_with(".rs") && name != "tests.rs" {
            found.push(path);
        }
    }
}

/// Our sources without tests and their fakes, by path in the repository.
fn own_sources() -> BTreeMap<String, String> {
    let mut found = Vec::new();
    sources(&root().join("crates"), &mut found);
    sources(&root().join("functions"), &mut found);
    let named = found.into_iter().map(|path| {
        let name = path.strip_prefix(root()).unwrap().to_string_lossy().replace('\\', "/");
        (name, std::fs::read_to_string(path).unwrap())
    });
    named.filter(|(name, _)| name.contains("/src/") && !name.starts_with("crates/fake_")).collect()
}

#[test]
fn only_listed_files_read_the_environment() {
    let reads = |text: &str| ["env::var(", "env::var_os(", "env::vars"].iter().any(|call| text.contains(call));
    let readers = own_sources().into_iter().filter(|(_, text)| reads(text)).map(|(name, _)| name).collect::<Vec<_>>();
    let known = READERS.iter().map(|(name, _)| (*name).to_owned()).collect::<Vec<_>>();
    assert_eq!(readers, known, "read configuration in crates/entry/src/config.rs, or into a flag with a name");
}

fn names(text: &str) -> impl Iterator<Item = &str> {
    let is_name = |word: &&str| {
        let tail = word.strip_prefix("PULLYARD_");
        tail.is_some_and(|tail| !tail.is_empty() && tail.bytes().all(|b| b.is_ascii_uppercase() || b == b'_'))
    };
    text.split('"').filter(is_name)
}

#[tokio::test]
async fn every_own_variable_is_on_the_config_page() {
    let page = super::config::page().await;
    for (file, text) in own_sources() {
        for name in names(&text) {
            assert!(page.contains(&format!("`{name}`")), "{file} has {name}, but docs/reference/config.md does not");
        }
    }
    for word in page.split('`').filter(|word| word.starts_with("PULLYARD_")) {
        assert!(own_sources().values().any(|text| text.contains(word)), "{word} is not read anywhere");
    }
}
