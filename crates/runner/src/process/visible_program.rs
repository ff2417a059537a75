//! Finds the path to add to a sandbox for a program: its npm package, else its file, because its folder may be a home.
//! A sandbox shows the system's folders already. A container has the folders of its image instead, so a program there
//! is added only with its npm package.

use std::path::{Path, PathBuf};

const SYSTEM: [&str; 8] = ["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/nix/store"];

pub(crate) fn visible_program_path(program: &Path, workspace: &Path, is_container: bool) -> Option<PathBuf> {
    if program.starts_with(workspace) || !program.is_absolute() {
        return None;
    }
    let is_system_path = |path: &Path| SYSTEM.iter().any(|folder| path.starts_with(folder));
    if is_system_path(program) && !is_container {
        return None;
    }
    let real = program.canonicalize().ok()?;
    let is_package = |folder: &&Path| {
        let parent = folder.parent().and_then(Path::file_name).unwrap_or_default();
        let is_scope = folder.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"@"));
        let is_scoped = parent.as_encoded_bytes().starts_with(b"@");
        (parent == "node_modules" && !is_scope) || is_scoped
    };
    match real.ancestors().skip(1).find(is_package) {
        Some(package) => Some(package.to_owned()),
        None => (!is_system_path(&real)).then_some(real),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn only_a_program_or_its_npm_package_is_shown() {
        let home = tempfile::tempdir().unwrap();
        let home = home.path().canonicalize().unwrap();
        for (program, expected) in [
            ("agent", "agent"),
            ("bin/node_modules/tool/bin/run", "bin/node_modules/tool"),
            ("lib/node_modules/@scope/tool/cli", "lib/node_modules/@scope/tool"),
        ] {
            let path = home.join(program);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, "").unwrap();
            assert_eq!(visible_program_path(&path, Path::new("/work"), false), Some(home.join(expected)), "{program}");
        }
        assert_eq!(visible_program_path(Path::new("/usr/bin/env"), Path::new("/work"), false), None);
        assert_eq!(visible_program_path(Path::new("/usr/bin/env"), Path::new("/work"), true), None);
        assert_eq!(visible_program_path(&home.join("agent"), &home, true), None);
    }
}
