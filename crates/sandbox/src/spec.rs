//! The description of one command and of everything that it may see.

use crate::error::Error;
use crate::level::Level;
use serde::{Deserialize, Serialize};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Component, Path, PathBuf};

/// A file or folder of this machine, and its path inside the sandbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    pub host: PathBuf,
    pub inside: PathBuf,
}

impl Place {
    pub fn new(host: impl Into<PathBuf>, inside: impl Into<PathBuf>) -> Self {
        Self { host: host.into(), inside: inside.into() }
    }

    /// The same path outside and inside.
    pub fn same(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        Self { host: path.clone(), inside: path }
    }

    /// The path that a command uses at this level: without mounts it sees the machine's paths.
    pub fn seen_at(&self, level: Level) -> &Path {
        if level.has_mounts() { &self.inside } else { &self.host }
    }
}

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
    /// Memory of all processes together. Needs a delegated cgroup.
    pub memory_bytes: u64,
    /// With a cgroup: threads of the command. Otherwise: threads of its account.
    pub threads: u64,
    /// Percent of one CPU; `None` for all CPUs. Needs a delegated cgroup.
    pub cpu_percent: Option<u32>,
    pub file_bytes: u64,
    pub open_files: u64,
    /// Size of `/tmp`, which is in memory at levels with mounts. Other levels have no `/tmp`.
    pub tmp_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        const GIB: u64 = 1 << 30;
        Self {
            memory_bytes: 8 * GIB,
            threads: 4096,
            cpu_percent: None,
            file_bytes: 8 * GIB,
            open_files: 65_536,
            tmp_bytes: GIB,
        }
    }
}

/// A command. The runner's environment, folders and open files reach it only if they are listed here.
#[derive(Clone, Debug)]
pub struct Spec {
    /// A path inside the sandbox.
    pub program: PathBuf,
    pub args: Vec<OsString>,
    /// Replaces the defaults for `PATH`, `HOME`, `TMPDIR`, `USER` and `LANG`. No other variable exists.
    pub env: Vec<(OsString, OsString)>,
    pub worktree: Place,
    pub access: Access,
    /// Of the worktree's `.git`. Read-only applies at levels with mounts, or if the runner keeps it at `chown_to_account`.
    pub git: Access,
    pub home: Place,
    pub writable: Vec<Place>,
    /// Caches, toolchains and the agent's program. No links; resolve them first.
    pub read_only: Vec<Place>,
    pub limits: Limits,
}

impl Spec {
    pub fn new(program: impl Into<PathBuf>, worktree: Place, home: Place) -> Self {
        Self {
            program: program.into(),
            args: Vec::new(),
            env: Vec::new(),
            worktree,
            access: Access::default(),
            git: Access::ReadOnly,
            home,
            writable: Vec::new(),
            read_only: Vec::new(),
            limits: Limits::default(),
        }
    }

    pub(crate) fn environment(&self, level: Level, has_account: bool) -> Vec<(OsString, OsString)> {
        let home = self.home.seen_at(level);
        let temporary = if level.has_mounts() { Path::new("/tmp") } else { home };
        let mut env: Vec<(OsString, OsString)> = vec![
            ("PATH".into(), "/usr/local/bin:/usr/bin:/bin".into()),
            ("HOME".into(), home.into()),
            ("USER".into(), "agent".into()),
            ("LANG".into(), "C.UTF-8".into()),
            ("TMPDIR".into(), temporary.into()),
        ];
        if has_account {
            // `.git` belongs to the runner, so git would refuse to read it.
            env.extend(
                [("GIT_CONFIG_COUNT", "1"), ("GIT_CONFIG_KEY_0", "safe.directory"), ("GIT_CONFIG_VALUE_0", "*")]
                    .map(|(name, value)| (name.into(), value.into())),
            );
        }
        env.retain(|(name, _)| !self.env.iter().any(|(own, _)| own == name));
        env.extend(self.env.iter().cloned());
        env
    }

    pub(crate) fn writable_places(&self) -> impl Iterator<Item = &Place> {
        let worktree = (self.access == Access::ReadWrite).then_some(&self.worktree);
        worktree.into_iter().chain([&self.home]).chain(&self.writable)
    }

    pub(crate) fn places(&self) -> impl Iterator<Item = &Place> {
        let read_only = (self.access == Access::ReadOnly).then_some(&self.worktree);
        self.writable_places().chain(read_only).chain(&self.read_only)
    }

    /// `.git` of the worktree, if there is one and it is read-only.
    /// Errors: it is a link, with which an agent would show a later command any folder of this machine.
    #[cfg(target_os = "linux")]
    pub(crate) fn git_folder(&self) -> Result<Option<Place>, Error> {
        if self.git == Access::ReadWrite {
            return Ok(None);
        }
        let host = self.worktree.host.join(".git");
        match fs::symlink_metadata(&host) {
            Ok(about) if about.is_symlink() => Err(Error::InvalidSpec(format!("{} is a link", host.display()))),
            Ok(_) => Ok(Some(Place::new(host, self.worktree.inside.join(".git")))),
            Err(_) => Ok(None),
        }
    }

    pub(crate) fn validate(&self, level: Level) -> Result<(), Error> {
        let refuse = |why: String| Err(Error::InvalidSpec(why));
        for (name, value) in &self.env {
            let bytes = |text: &OsStr| text.as_encoded_bytes().to_vec();
            if name.is_empty() || bytes(name).contains(&b'=') || bytes(name).contains(&0) || bytes(value).contains(&0) {
                return refuse(format!("`{}` is no valid variable", name.display()));
            }
        }
        for place in self.places() {
            for path in [&place.host, &place.inside] {
                let is_plain = path.components().all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
                if !path.is_absolute() || !is_plain || path.parent().is_none() {
                    return refuse(format!("{} is no absolute path without `..`", path.display()));
                }
            }
            match fs::symlink_metadata(&place.host) {
                Ok(about) if about.is_symlink() => return refuse(format!("{} is a link", place.host.display())),
                Ok(_) => {}
                Err(error) => return refuse(format!("{}: {error}", place.host.display())),
            }
        }
        // An earlier command may have replaced the place of the mount, or the mounted folder, by a link.
        for place in self.read_only.iter().chain(&self.writable) {
            for written in self.writable_places().filter(|written| *written != place) {
                let is_below = level.has_mounts() && place.inside.starts_with(&written.inside);
                if is_below || place.host.starts_with(&written.host) {
                    let (path, folder) = (place.host.display(), written.host.display());
                    return refuse(format!("{path} would be below {folder}, which commands write"));
                }
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
        let home = Place::new(folder.join("home"), "/home/agent");
        let mut spec = Spec::new("/bin/true", Place::new(folder.join("work"), "/work"), home);
        spec.read_only = vec![Place::new(folder.join("cache"), "/cache")];
        spec
    }

    #[test]
    fn spec_is_refused_when_a_place_is_unsafe() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let good = spec(folder);
        good.validate(Level::Bubblewrap).unwrap();
        symlink("/etc", folder.join("link")).unwrap();
        fs::create_dir(folder.join("work/sub")).unwrap();
        let bad = [
            Place::new(folder.join("link"), "/cache"),
            Place::new(folder.join("none"), "/cache"),
            Place::new(folder.join("cache"), "cache"),
            Place::new(folder.join("cache/../cache"), "/cache"),
            Place::new(folder.join("cache"), "/"),
            Place::new(folder.join("cache"), "/work/cache"),
            Place::new(folder.join("cache"), "/home/agent/.cache"),
            Place::new(folder.join("work/sub"), "/cache"),
        ];
        for place in bad {
            let spec = Spec { read_only: vec![place.clone()], ..good.clone() };
            assert!(spec.validate(Level::Bubblewrap).is_err(), "{place:?}");
        }
        let nul = Spec { env: vec![("A\0".into(), "b".into())], ..good };
        assert!(nul.validate(Level::Bubblewrap).is_err());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn git_link_in_a_worktree_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let spec = spec(folder.path());
        assert_eq!(spec.git_folder().unwrap(), None);
        symlink("/etc", folder.path().join("work/.git")).unwrap();
        assert!(spec.git_folder().unwrap_err().to_string().contains("is a link"));
    }

    #[test]
    fn variables_of_the_caller_replace_the_defaults() {
        let folder = tempfile::tempdir().unwrap();
        let mut spec = spec(folder.path());
        spec.env = vec![("PATH".into(), "/opt/agent:/usr/bin".into()), ("KEY".into(), "placeholder".into())];
        let env = spec.environment(Level::Bubblewrap, false);
        let paths: Vec<_> = env.iter().filter(|(name, _)| name == "PATH").map(|(_, value)| value.clone()).collect();
        assert_eq!(paths, ["/opt/agent:/usr/bin"]);
        assert!(env.contains(&("HOME".into(), "/home/agent".into())) && env.len() == 6, "{env:?}");
    }
}
