//! Tests that a folder of a large crate imports only folders below it.
//!
//! A folder is a module directly below `src`, such as `job.rs` with the files in `job`. Imports are read as text, from
//! `use` declarations and inline paths, so calls of methods do not count. Modules of tests are skipped.

use crate::prelude::*;

/// The folders of a crate and the imports that break their order.
struct Floors {
    source: &'static str,
    /// The lowest folder first.
    order: &'static str,
    /// Allowed imports of a folder that is not below: importing folder, imported folder.
    exceptions: &'static [(&'static str, &'static str)],
}

const CRATES: [Floors; 1] =
    [Floors { source: "crates/domain/src", order: "text agent project ticket job review run kinds", exceptions: &[] }];

impl Floors {
    fn rank(&self, folder: &str) -> Option<usize> {
        self.order.split_whitespace().position(|name| name == folder)
    }

    /// The folders that a file imports although they are not below its own. `path` is relative to the source.
    fn find_violations(&self, path: &str, text: &str) -> BTreeSet<(String, String)> {
        let module: Vec<&str> = path.trim_end_matches(".rs").split('/').collect();
        let own = self.rank(module[0]).unwrap_or_else(|| panic!("{}/{path}: add the folder to `order`", self.source));
        let is_violation = |folder: &String| self.rank(folder).is_some_and(|rank| rank > own);
        let imported = imported_folders(&module, text).into_iter().filter(is_violation);
        imported.map(|folder| (module[0].to_owned(), folder)).collect()
    }
}

/// The text without comments and without the module of tests at its end.
fn shipped_text(text: &str) -> String {
    let tests = text.find("#[cfg(test)]\nmod ").filter(|at| text[*at..].lines().nth(1).unwrap().ends_with('{'));
    let lines = text[..tests.unwrap_or(text.len())].lines();
    lines.map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
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

/// The names below the root of the crate that a file imports.
fn imported_folders(module: &[&str], text: &str) -> BTreeSet<String> {
    let text = shipped_text(text);
    let is_start = |at: usize| !text[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':');
    let mut names = BTreeSet::new();
    for (at, _) in text.match_indices("crate::").filter(|(at, _)| is_start(*at)) {
        names.extend(first_names(&text[at + "crate::".len()..]));
    }
    for (at, _) in text.match_indices("super::").filter(|(at, _)| is_start(*at)) {
        let rest = text[at..].trim_start_matches("super::");
        if (text.len() - at - rest.len()) / "super::".len() == module.len() {
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
    files.retain(|path, _| path.ends_with(".rs") && path != "lib.rs" && !is_test(path));
    files
}

#[test]
fn folders_import_only_folders_below_them() {
    for floors in &CRATES {
        let files = shipped_files(floors.source);
        assert!(files.len() > 50, "{}: {} files", floors.source, files.len());
        let mut unused = floors.exceptions.to_vec();
        let mut wrong = Vec::new();
        for (path, text) in &files {
            for (own, imported) in floors.find_violations(path, text) {
                unused.retain(|pair| *pair != (&*own, &*imported));
                if !floors.exceptions.contains(&(&*own, &*imported)) {
                    wrong.push(format!("{}/{path} imports {imported}, which is above {own}", floors.source));
                }
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        assert!(unused.is_empty(), "{}: remove the unused exceptions {unused:?}", floors.source);
    }
}

#[test]
fn planted_import_of_a_folder_above_is_found() {
    let floors = Floors { source: "src", order: "text job kinds", exceptions: &[] };
    let check = |path: &str, text: &str, expected: &[&str]| {
        let found: Vec<String> = floors.find_violations(path, text).into_iter().map(|(_, folder)| folder).collect();
        assert_eq!(found, expected, "{path}: {text}");
    };
    check("job/kind.rs", "use crate::text::Cause;\nuse super::Job;\nuse crate::job::Job;", &[]);
    check("kinds.rs", "use crate::job::Job;", &[]);
    check("job.rs", "use crate::kinds::plan;", &["kinds"]);
    check("text/id.rs", "use crate::{job::{Job, kinds}, kinds::plan};", &["job", "kinds"]);
    check("text/id/derived.rs", "use super::super::super::job::Job;", &["job"]);
    check("text/id/derived.rs", "use super::super::job;", &[]);
    check("text/id.rs", "fn plan() { crate::kinds::plan() }", &["kinds"]);
    check("text/id.rs", "#[serde(with = \"crate::job::stored\")]", &["job"]);
    check("text/id.rs", "// crate::job\npub(crate) fn job() {}\nuse other_crate::job;", &[]);
    check("text/id.rs", "#[cfg(test)]\nmod tests {\n    use crate::job::Job;\n}", &[]);
}
