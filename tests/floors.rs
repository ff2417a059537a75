//! Tests which modules directly below `src` import each other in the large crates. Such a module is a folder here, also
//! if it is one file.
//!
//! Imports are read as text, from `use` declarations and inline paths, so calls of methods do not count. Modules of
//! tests are skipped.

use crate::prelude::*;

/// The folders of a crate and their imports.
struct Floors {
    source: &'static str,
    /// `folder: the folders that it imports`, a line each. A folder without imports may be absent.
    imports: &'static str,
    /// A folder imports only folders of earlier lines.
    is_ordered: bool,
}

const CRATES: [Floors; 3] = [
    Floors {
        source: "crates/domain/src",
        is_ordered: true,
        imports: "\
text:
agent: text
project: text agent
ticket: text project
job: text agent project ticket
review: text agent project ticket job
run: text project ticket job review
kinds: text agent project ticket job review run",
    },
    Floors {
        source: "crates/control/src",
        is_ordered: false,
        imports: "\
admin: allowed_names corrupt facts forge hints jobs notify requester review runner runs signed_tokens tickets trackers
attempt: allowed_names analyses counters forge jobs runner signed_tokens
calls: corrupt host_rest notify poll postpone review tickets trackers
context: caches counters
corrupt: counters
forge: allowed_names
hints: counters
hooks: admin allowed_names corrupt error forge
host_rest: corrupt
jobs: answer corrupt counters facts notify postpone requester review runner runs signed_tokens tickets
notify: admin allowed_names corrupt postpone
poll: corrupt error forge host_rest postpone review tickets trackers
postpone: error
review: allowed_names answer corrupt facts forge jobs own_comment poll postpone runner tickets
runner: corrupt jobs signed_tokens
runs: attempt corrupt facts forge jobs postpone requester
schedules: corrupt error templates
search: corrupt jobs
sweep: admin attempt jobs postpone runner schedules
templates: requester runs
tickets: admin allowed_names answer corrupt counters facts forge host_rest jobs own_comment postpone requester review runner trackers
trackers: admin corrupt counters forge host_rest notify poll tickets webhook
webhook: admin allowed_names counters forge review templates tickets trackers",
    },
    Floors {
        source: "crates/runner/src",
        is_ordered: false,
        imports: "\
agent: agent_files api attempt deadline disk_limit git inputs output process secrets stop
agent_files: git
api: agent artifacts deadline durable_file git inputs job_log secrets stop
args: job options process secrets
artifacts: api git hash
attempt: agent agent_files api artifacts checkpoint git inputs secrets stop
checkpoint: agent api artifacts attempt git hash inputs output publish secrets stop
command: daemon
daemon: agent api args disk_limit durable_file git hash job_log options process secrets
disk_limit: git
git: api attempt hash output process secrets stop
inputs: agent api attempt checkpoint git stop
job: agent agent_files api artifacts attempt checkpoint deadline disk_limit git hash inputs job_log options output process publish secrets stop
job_log: api durable_file
options: agent process
output: agent_files attempt git
process: api attempt git hash inputs options stop
publish: agent_files api git secrets stop
secrets: agent api git stop
setup: agent api args daemon durable_file git process secrets
stop: inputs",
    },
];

impl Floors {
    fn allowed(&self) -> BTreeMap<&str, BTreeSet<&str>> {
        let rows = self.imports.lines().map(|line| line.split_once(':').unwrap());
        rows.map(|(folder, imports)| (folder, imports.split_whitespace().collect())).collect()
    }

    /// The imports between folders in these files, by path below the source.
    fn find_imports(&self, files: &BTreeMap<String, String>) -> BTreeSet<(String, String)> {
        let module = |path: &str| path.trim_end_matches(".rs").split('/').map(str::to_owned).collect::<Vec<_>>();
        let folders: BTreeSet<String> = files.keys().map(|path| module(path).remove(0)).collect();
        let mut found = BTreeSet::new();
        for (path, text) in files {
            let module = module(path);
            for name in imported_names(module.len(), text) {
                // Other names are items of the root, which an ordered crate does not have.
                assert!(
                    !self.is_ordered || folders.contains(&name),
                    "{}/{path}: name the folder of {name}",
                    self.source
                );
                if name != module[0] && folders.contains(&name) {
                    found.insert((module[0].clone(), name));
                }
            }
        }
        found
    }

    /// A sentence for each import that is not allowed, each allowed one that does not occur, and each break of the order.
    fn find_faults(&self, files: &BTreeMap<String, String>) -> Vec<String> {
        let (found, allowed) = (self.find_imports(files), self.allowed());
        let pairs = allowed.iter().flat_map(|(from, to)| to.iter().map(|to| ((*from).to_owned(), (*to).to_owned())));
        let pairs: BTreeSet<(String, String)> = pairs.collect();
        let mut faults: Vec<String> =
            found.difference(&pairs).map(|(from, to)| format!("{from} imports {to}")).collect();
        faults.extend(pairs.difference(&found).map(|(from, to)| format!("{from} no longer imports {to}")));
        let mut earlier = BTreeSet::new();
        for folder in self.imports.lines().map(|line| line.split(':').next().unwrap()).filter(|_| self.is_ordered) {
            let later = allowed[folder].difference(&earlier).map(|name| format!("{name} is not below {folder}"));
            faults.extend(later.collect::<Vec<_>>());
            earlier.insert(folder);
        }
        faults
    }
}

/// The text without comments and without the module of tests at its end.
fn shipped_text(text: &str) -> String {
    let tests = text.find("#[cfg(test)]\nmod ").filter(|at| text[*at..].lines().nth(1).unwrap().ends_with('{'));
    let lines = text[..tests.unwrap_or(text.len())].lines();
    // The `//` of an address follows a colon.
    let is_comment = |line: &str, at: usize| !line[..at].ends_with(':');
    let code = |line: &str| {
        let comment = line.match_indices("//").map(|(at, _)| at).find(|at| is_comment(line, *at));
        line[..comment.unwrap_or(line.len())].to_owned()
    };
    lines.map(code).collect::<Vec<_>>().join("\n")
}

/// The first names of a path or of a group of paths.
fn first_names(rest: &str) -> Vec<&str> {
    let name = |path: &str| path.len() - path.trim_start_matches(|c: char| c.is_alphanumeric() || c == '_').len();
    let Some(group) = rest.strip_prefix('{') else { return vec![&rest[..name(rest)]] };
    let (mut names, mut depth, mut is_first) = (Vec::new(), 0, true);
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => is_first = true,
            c if is_first && !c.is_whitespace() => {
                names.push(&group[at..at + name(&group[at..])]);
                is_first = false;
            }
            _ => {}
        }
    }
    names
}

/// The names below the root of the crate that a file imports whose module is this deep.
fn imported_names(depth: usize, text: &str) -> BTreeSet<String> {
    let text = shipped_text(text);
    let is_start = |at: usize| !text[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':');
    let mut names = BTreeSet::new();
    for (at, _) in text.match_indices("crate::").filter(|(at, _)| is_start(*at)) {
        names.extend(first_names(&text[at + "crate::".len()..]));
    }
    for (at, _) in text.match_indices("super::").filter(|(at, _)| is_start(*at)) {
        let rest = text[at..].trim_start_matches("super::");
        if (text.len() - at - rest.len()) / "super::".len() == depth {
            names.extend(first_names(rest));
        }
    }
    names.into_iter().map(str::to_owned).collect()
}

/// The names of the modules that a file declares only for tests.
fn test_modules(text: &str) -> Vec<&str> {
    let (mut found, mut lines) = (Vec::new(), text.lines());
    while lines.any(|line| line == "#[cfg(test)]") {
        let declaration = lines.find(|line| !line.starts_with("#["));
        found.extend(declaration.and_then(|line| line.strip_suffix(';')?.rsplit_once("mod ")).map(|(_, name)| name));
    }
    found
}

fn list_files(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        match entry.file_type().unwrap().is_dir() {
            true => list_files(&entry.path(), files),
            false => files.push(entry.path()),
        }
    }
}

/// The shipped files of a crate below its root, with their text, by path.
fn shipped_files(source: &str) -> BTreeMap<String, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(source);
    let mut files = Vec::new();
    list_files(&root, &mut files);
    let read = |file: PathBuf| {
        let path = file.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
        (path, std::fs::read_to_string(file).unwrap_or_default())
    };
    let mut files: BTreeMap<String, String> = files.into_iter().map(read).collect();
    let tests: Vec<String> = files
        .iter()
        .flat_map(|(path, text)| {
            let folder = path.strip_suffix("lib.rs").map_or_else(|| path.replace(".rs", "/"), str::to_owned);
            test_modules(text).into_iter().map(move |name| format!("{folder}{name}"))
        })
        .collect();
    let is_test = |path: &str| {
        tests.iter().filter_map(|test| path.strip_prefix(test)).any(|rest| rest == ".rs" || rest.starts_with('/'))
    };
    files.retain(|path, _| path.ends_with(".rs") && !["lib.rs", "main.rs"].contains(&path.as_str()) && !is_test(path));
    files
}

#[test]
fn folders_import_the_listed_folders() {
    for floors in &CRATES {
        let files = shipped_files(floors.source);
        assert!(files.len() > 50, "{}: {} files", floors.source, files.len());
        let faults = floors.find_faults(&files);
        assert!(faults.is_empty(), "{}, compared with tests/floors.rs:\n{}", floors.source, faults.join("\n"));
    }
}

#[test]
fn planted_import_is_found() {
    let check = |path: &str, text: &str, expected: &[&str]| {
        let files = ["text.rs", "job.rs", "kinds.rs"].map(|path| (path.to_owned(), String::new()));
        let mut files = BTreeMap::from(files);
        files.insert(path.to_owned(), text.to_owned());
        let floors = Floors { source: "src", imports: "text:\njob:\nkinds:", is_ordered: true };
        assert_eq!(floors.find_faults(&files), expected, "{path}: {text}");
    };
    check("job/kind.rs", "use super::Job;\nuse crate::job::Job;", &[]);
    check("job/kind.rs", "use crate::text::Cause;", &["job imports text"]);
    check("job.rs", "use crate::kinds::plan;", &["job imports kinds"]);
    check("text/id.rs", "use crate::{job::{Job, kinds}, kinds::plan};", &["text imports job", "text imports kinds"]);
    check("text/id/derived.rs", "use super::super::super::job::Job;", &["text imports job"]);
    check("text/id/derived.rs", "use super::super::job;", &[]);
    check("text/id.rs", "fn plan() { crate::kinds::plan() }", &["text imports kinds"]);
    check("text/id.rs", "let n = \"https://x\".len() + crate::kinds::n();", &["text imports kinds"]);
    check("text/id.rs", "#[serde(with = \"crate::job::stored\")]", &["text imports job"]);
    check("text/id.rs", "// crate::job\npub(crate) fn job() {}\nuse other_crate::job;", &[]);
    check("text/id.rs", "#[cfg(test)]\nmod tests {\n    use crate::job::Job;\n}", &[]);
    let faults = |imports: &'static str, is_ordered| {
        let text = "use crate::job::Job;".to_owned();
        let files = [("job.rs", String::new()), ("text.rs", text)].map(|(path, text)| (path.to_owned(), text)).into();
        Floors { source: "src", imports, is_ordered }.find_faults(&files)
    };
    assert_eq!(faults("job:\ntext: job", true), Vec::<String>::new());
    assert_eq!(faults("text: job\njob:", true), ["job is not below text"]);
    assert_eq!(faults("text: job\njob:", false), Vec::<String>::new());
    assert_eq!(faults("job: text\ntext: job", false), ["job no longer imports text"]);
}
