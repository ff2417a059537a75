//! Finds a program: a name in `PATH`, or a relative path that does not leave the untrusted worktree.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// In a container, programs and interpreters are the image's, so only a path in the worktree is verified.
pub(crate) fn find_program_at(
    is_container: bool,
    name: &str,
    tree: &Path,
    path: Option<&OsStr>,
) -> Result<PathBuf, String> {
    if !is_container || name.is_empty() || name.contains('\0') {
        return find_program(name, tree, path);
    }
    if !name.contains('/') || name.starts_with('/') {
        return Ok(name.into());
    }
    let file = file_of_tree(name, tree)?;
    // Only the image knows the interpreter.
    match first_line_fault(&file, |_| true) {
        None => Ok(file),
        Some(fault) => Err(format!("{name}: {fault}")),
    }
}

fn file_of_tree(name: &str, tree: &Path) -> Result<PathBuf, String> {
    let (Ok(tree), Ok(file)) = (tree.canonicalize(), tree.join(name).canonicalize()) else {
        return Err(format!("{name} is not in the repository"));
    };
    if file.starts_with(&tree) { Ok(file) } else { Err(format!("{name} leads out of the repository")) }
}

/// Errors: the reason, as a fragment of a sentence.
pub(crate) fn find_program(name: &str, tree: &Path, path: Option<&OsStr>) -> Result<PathBuf, String> {
    if name.is_empty() || name.contains('\0') {
        return Err("its name is empty or has a zero in it".into());
    }
    if name.contains('/') {
        let file = if name.starts_with('/') { name.into() } else { file_of_tree(name, tree)? };
        if !is_executable(&file) {
            return Err(format!("{name} is not an executable file"));
        }
        return match first_line_fault(&file, |interpreter| interpreter.exists()) {
            None => Ok(file),
            Some(fault) => Err(format!("{name}: {fault}")),
        };
    }
    // A relative folder in `PATH` would be a folder of the repository.
    let folders = std::env::split_paths(path.unwrap_or_default());
    folders
        .filter(|folder| folder.is_absolute())
        .find_map(|folder| executable_file(folder.join(name)))
        .ok_or_else(|| format!("{name} is not in the runner's path"))
}

/// A program's absolute path, or its name if not found. A bare name with a changed `PATH` would fork this process.
pub(crate) fn system_program(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    find_program(name, Path::new("/"), Some(&path)).unwrap_or_else(|_| name.into())
}

pub(crate) fn executable_file(file: PathBuf) -> Option<PathBuf> {
    let can_start = is_executable(&file) && first_line_fault(&file, |interpreter| interpreter.exists()).is_none();
    can_start.then_some(file)
}

fn is_executable(file: &Path) -> bool {
    file.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

/// Why a script's first line prevents its start. Without this check, the failed start would look
/// like the agent's own end.
fn first_line_fault(file: &Path, exists: impl Fn(&Path) -> bool) -> Option<String> {
    let mut head = [0; 256];
    let read = File::open(file).and_then(|mut file| file.read(&mut head)).unwrap_or_default();
    let head = head.get(..read).unwrap_or_default();
    if head.starts_with(b"\xef\xbb\xbf#!") {
        return Some("it begins with a byte order mark".into());
    }
    let line = head.strip_prefix(b"#!")?.split(|byte| *byte == b'\n').next()?;
    let interpreter = line.trim_ascii().split(|byte| byte.is_ascii_whitespace()).next().unwrap_or_default();
    if line.ends_with(b"\r") {
        return Some("its lines end with CR LF".into());
    }
    let path = Path::new(OsStr::from_bytes(interpreter));
    let is_missing = !interpreter.is_empty() && !exists(path);
    is_missing.then(|| format!("its first line names {}, which is missing", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use pullyard_test_script::write_script;
    use std::fs;
    use std::os::unix::fs::symlink;

    #[test]
    fn script_without_its_interpreter_is_no_program() {
        let dir = tempfile::tempdir().unwrap();
        for (head, expected) in
            [("#!/bin/sh\n", true), ("#! /bin/sh -e", true), ("#!/no/such/one\n", false), ("", true)]
        {
            let file = dir.path().join("script");
            write_script(&file, "");
            fs::write(&file, head).unwrap();
            assert_eq!(executable_file(file).is_some(), expected, "{head:?}");
        }
    }

    #[test]
    fn script_that_cannot_start_is_refused_with_its_reason() {
        let tree = tempfile::tempdir().unwrap();
        let script = tree.path().join("agent.sh");
        write_script(&script, "");
        let check = |text: &str, expected: [Option<&str>; 2]| {
            fs::write(&script, text).unwrap();
            for (is_container, expected) in [false, true].into_iter().zip(expected) {
                let found = find_program_at(is_container, "./agent.sh", tree.path(), None);
                let expected = expected.map(|reason| format!("./agent.sh: {reason}"));
                assert_eq!(found.err(), expected, "{text:?}");
            }
        };
        check("#!/bin/sh -e\n", [None, None]);
        let crlf = Some("its lines end with CR LF");
        check("#!/bin/sh\r\nexit\r\n", [crlf, crlf]);
        check("\u{feff}#!/bin/sh\n", [Some("it begins with a byte order mark"); 2]);
        check("#!/no/such/one\n", [Some("its first line names /no/such/one, which is missing"), None]);
    }

    #[test]
    fn relative_path_never_leaves_the_worktree() {
        let dir = tempfile::tempdir().unwrap();
        let (tree, outside) = (dir.path().join("tree"), dir.path().join("outside"));
        for folder in [&tree, &outside] {
            fs::create_dir(folder).unwrap();
            write_script(folder.join("agent.sh"), "");
        }
        fs::write(tree.join("plain"), "").unwrap();
        symlink("agent.sh", tree.join("inner")).unwrap();
        symlink(outside.join("agent.sh"), tree.join("escape")).unwrap();
        symlink(&outside, tree.join("folder")).unwrap();
        for valid in ["./agent.sh", "./inner"] {
            assert!(find_program(valid, &tree, None).is_ok(), "{valid}");
        }
        for invalid in ["./escape", "folder/agent.sh", "../outside/agent.sh", "./plain", "./none", "./", ""] {
            assert!(find_program(invalid, &tree, None).is_err(), "{invalid}");
        }
    }

    #[test]
    fn bare_name_is_searched_in_absolute_path_entries_only() {
        let dir = tempfile::tempdir().unwrap();
        write_script(dir.path().join("tool"), "");
        let path = std::env::join_paths([Path::new("."), Path::new("/nowhere"), dir.path()]).unwrap();
        assert_eq!(find_program("tool", dir.path(), Some(&path)), Ok(dir.path().join("tool")));
        assert!(find_program("tool", dir.path(), Some(OsStr::new("."))).is_err());
        assert!(find_program("tool", dir.path(), None).is_err());
    }
}
