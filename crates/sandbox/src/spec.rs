//! Describes one command and everything that it may see.

use crate::error::Error;
use crate::level::Level;
use serde::{Deserialize, Serialize};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Component, Path, PathBuf};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Access {
    #[default]
    ReadWrite,
    /// For a step that must not change files. At `none`, nothing enforces it.
    ReadOnly,
}

/// Units: bytes, except where the name says otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// In a container: threads of the command. Otherwise: threads of its account.
    pub threads: u64,
    pub file_bytes: u64,
    /// Private memory of each process. `None`: three quarters of the memory of the machine or of the container that the
    /// runner is in. Ignored in a container of the sandbox, whose engine limits the memory of all its processes.
    pub process_bytes: Option<u64>,
    pub open_files: u64,
    /// Size of `/tmp`, which is in memory at levels with mounts. Other levels have no `/tmp`.
    pub tmp_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        const GIB: u64 = 1 << 30;
        Self { threads: 4096, file_bytes: 8 * GIB, process_bytes: None, open_files: 65_536, tmp_bytes: GIB }
    }
}

/// A command. The runner's environment, folders and open files reach it only if they are listed here. Paths are the
/// same inside, so that an agent finds its session again.
#[derive(Clone, Debug)]
pub struct Spec {
    pub program: PathBuf,
    pub args: Vec<OsString>,
    /// Replaces the defaults for `PATH`, `HOME`, `TMPDIR`, `USER` and `LANG`. No other variable exists.
    pub env: Vec<(OsString, OsString)>,
    pub worktree: PathBuf,
    pub access: Access,
    pub home: PathBuf,
    pub writable: Vec<PathBuf>,
    /// Caches, toolchains and the agent's program. No links; resolve them first.
    pub read_only: Vec<PathBuf>,
    pub limits: Limits,
}

impl Spec {
    pub fn new(program: impl Into<PathBuf>, worktree: impl Into<PathBuf>, home: impl Into<PathBuf>) -> Self {
        Self {
            program: program.into(),
            args: Vec::new(),
            env: Vec::new(),
            worktree: worktree.into(),
            access: Access::default(),
            home: home.into(),
            writable: Vec::new(),
            read_only: Vec::new(),
            limits: Limits::default(),
        }
    }

    pub(crate) fn environment(&self, level: Level) -> Vec<(OsString, OsString)> {
        let temporary = if level.has_mounts() { Path::new("/tmp") } else { &self.home };
        let mut env: Vec<(OsString, OsString)> = vec![
            ("PATH".into(), "/usr/local/bin:/usr/bin:/bin".into()),
            ("HOME".into(), self.home.clone().into()),
            ("USER".into(), "agent".into()),
            ("LANG".into(), "C.UTF-8".into()),
            ("TMPDIR".into(), temporary.into()),
        ];
        env.retain(|(name, _)| !self.env.iter().any(|(own, _)| own == name));
        env.extend(self.env.iter().cloned());
        env
    }

    pub(crate) fn writable_paths(&self) -> impl Iterator<Item = &PathBuf> {
        let worktree = (self.access == Access::ReadWrite).then_some(&self.worktree);
        worktree.into_iter().chain([&self.home]).chain(&self.writable)
    }

    pub(crate) fn paths(&self) -> impl Iterator<Item = &PathBuf> {
        let read_only = (self.access == Access::ReadOnly).then_some(&self.worktree);
        self.writable_paths().chain(read_only).chain(&self.read_only)
    }

    pub(crate) fn validate(&self) -> Result<(), Error> {
        let refuse = |reason: String| Err(Error::InvalidSpec(reason));
        for (name, value) in &self.env {
            let bytes = |text: &OsStr| text.as_encoded_bytes().to_vec();
            if name.is_empty() || bytes(name).contains(&b'=') || bytes(name).contains(&0) || bytes(value).contains(&0) {
                return refuse(format!("`{}` is no valid variable", name.display()));
            }
        }
        for path in self.paths() {
            let is_plain = path.components().all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
            if !path.is_absolute() || !is_plain || path.parent().is_none() {
                return refuse(format!("{} is no absolute path without `..`", path.display()));
            }
            match fs::symlink_metadata(path) {
                Ok(metadata) if metadata.is_symlink() => return refuse(format!("{} is a link", path.display())),
                Ok(_) => {}
                Err(error) => return refuse(format!("{}: {error}", path.display())),
            }
        }
        // An earlier command may have replaced the place of the mount, or the mounted folder, by a link.
        for path in self.read_only.iter().chain(&self.writable) {
            if let Some(folder) = self.writable_paths().find(|folder| *folder != path && path.starts_with(folder)) {
                let (path, folder) = (path.display(), folder.display());
                return refuse(format!("{path} would be below {folder}, which commands write"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn spec(folder: &Path) -> Spec {
        for name in ["work", "home", "cache"] {
            fs::create_dir_all(folder.join(name)).unwrap();
        }
        let mut spec = Spec::new("/bin/true", folder.join("work"), folder.join("home"));
        spec.read_only = vec![folder.join("cache")];
        spec
    }

    #[test]
    fn spec_is_refused_when_a_place_is_unsafe() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let valid = spec(folder);
        valid.validate().unwrap();
        symlink("/etc", folder.join("link")).unwrap();
        fs::create_dir(folder.join("work/sub")).unwrap();
        let unsafe_paths = [
            folder.join("link"),
            folder.join("none"),
            folder.join("cache/../cache"),
            folder.join("work/sub"),
            "cache".into(),
            "/".into(),
        ];
        for path in unsafe_paths {
            let spec = Spec { read_only: vec![path.clone()], ..valid.clone() };
            assert!(spec.validate().is_err(), "{path:?}");
        }
        let nul = Spec { env: vec![("A\0".into(), "b".into())], ..valid };
        assert!(nul.validate().is_err());
    }

    #[test]
    fn variables_of_the_caller_replace_the_defaults() {
        let folder = tempfile::tempdir().unwrap();
        let mut spec = spec(folder.path());
        spec.env = vec![("PATH".into(), "/opt/agent:/usr/bin".into()), ("KEY".into(), "placeholder".into())];
        let env = spec.environment(Level::Bubblewrap);
        let paths: Vec<_> = env.iter().filter(|(name, _)| name == "PATH").map(|(_, value)| value.clone()).collect();
        assert_eq!(paths, ["/opt/agent:/usr/bin"]);
        assert!(env.contains(&("HOME".into(), folder.path().join("home").into())) && env.len() == 6, "{env:?}");
    }
}
