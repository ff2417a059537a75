//! The programs that updates installed: one folder per release in `programs` of the runner's folder. The file `current`
//! names the one that starts, in place of the program that the owner installed.
//!
//! Programs of different releases read and start each other. Therefore these stay as they are: `current`,
//! `instance.json`, `order.json`, the flags of `check` with `--instance`, and the first line of `--version`.

use super::release::PROGRAM;
use crate::durable_file;
use crate::git::workspace::disk::create_private_dirs;
use crate::process::root_folder::{is_root, make_enterable};
use pullyard_domain::agent::runner::order::Release;
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

/// Starts without a confirmed registration after which the owner's program starts again.
const MAX_STARTS: u32 = 3;
pub(crate) const OWN_VERSION: &str = env!("CARGO_PKG_VERSION");

#[derive(Clone)]
pub(crate) struct InstalledPrograms {
    dir: PathBuf,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct CurrentProgram {
    pub(crate) version: String,
    /// The release that the owner had installed. If it starts as another one, the owner has replaced it.
    owner: String,
    /// Since the installation, until it is confirmed.
    starts: u32,
    is_confirmed: bool,
}

impl InstalledPrograms {
    pub(crate) fn new(runner_dir: &Path) -> Self {
        Self { dir: runner_dir.join("programs") }
    }

    pub(crate) fn program(&self, version: &str) -> PathBuf {
        self.dir.join(version).join(PROGRAM)
    }

    fn current_file(&self) -> PathBuf {
        self.dir.join("current")
    }

    pub(crate) fn current(&self) -> Option<CurrentProgram> {
        let current = durable_file::read::<CurrentProgram>(&self.current_file());
        // The version becomes the name of a folder.
        current.filter(|current| current.version.parse::<Release>().is_ok())
    }

    /// The release that the owner installed last, as the program `own` knows it.
    pub(crate) fn owner_version(&self, own: &Path) -> String {
        let current = self.current().filter(|current| is_same_file(own, &self.program(&current.version)));
        current.map_or_else(|| OWN_VERSION.to_owned(), |current| current.owner)
    }

    /// The program to execute, when the program `own` of a release starts. `None` if `own` is to run.
    /// Writes: the number of starts; removes `current` if its program does not work, or the owner has replaced `own`.
    pub(crate) fn follow(&self, own: &Path, own_version: &str) -> Option<PathBuf> {
        let current = self.current()?;
        let program = self.program(&current.version);
        if is_same_file(own, &program) {
            return None;
        }
        let reason = if current.owner != own_version {
            format!("the owner installed {own_version} after the update to {}", current.version)
        } else if !program.is_file() {
            format!("{} is gone", program.display())
        } else if !current.is_confirmed && current.starts >= MAX_STARTS {
            format!("{} started {MAX_STARTS} times without a registration", current.version)
        } else {
            let next = CurrentProgram { starts: current.starts.saturating_add(1), ..current };
            // Without the count, a program that never registers would be followed forever.
            if !next.is_confirmed
                && let Err(error) = durable_file::write(&self.current_file(), &next)
            {
                tracing::error!(error = %error, "cannot count the starts of {}: {error}; {own_version} runs", next.version);
                return None;
            }
            return Some(program);
        };
        tracing::error!(reason, "{reason}; the installed program runs again");
        self.remove_current();
        None
    }

    /// Names an update that `follow` would start, whose owner allows no updates any more.
    pub(crate) fn describe_unused(&self, own_version: &str) -> Option<String> {
        let is_unused = |current: &CurrentProgram| current.owner == own_version && current.version != own_version;
        let version = self.current().filter(is_unused)?.version;
        let file = self.current_file();
        Some(format!(
            "without --allow-remote-update, the update to {version} does not start; use that flag, or delete {}",
            file.display()
        ))
    }

    pub(crate) fn remove_current(&self) {
        durable_file::remove(&self.current_file());
    }

    /// Makes a program current, which the program `own` replaces itself with. That counts as a start.
    pub(crate) fn set_current(&self, version: &str, own: &Path) -> io::Result<()> {
        let (version, owner) = (version.to_owned(), self.owner_version(own));
        durable_file::write(&self.current_file(), &CurrentProgram { version, owner, starts: 1, is_confirmed: false })
    }

    /// The current program, if it is `own` and the control plane has not answered it yet.
    pub(crate) fn unconfirmed(&self, own: &Path) -> Option<CurrentProgram> {
        self.current().filter(|current| self.is_unconfirmed(current, own))
    }

    fn is_unconfirmed(&self, current: &CurrentProgram, own: &Path) -> bool {
        !current.is_confirmed && is_same_file(own, &self.program(&current.version))
    }

    /// Records that the control plane answers the program `own`, if it is current. False if the file cannot be read,
    /// because the watch may read it.
    pub(crate) fn confirm(&self, own: &Path) -> bool {
        let file = self.current_file();
        let written = match fs::read(&file) {
            Ok(text) => match serde_json::from_slice::<CurrentProgram>(&text) {
                Ok(current) if self.is_unconfirmed(&current, own) => {
                    durable_file::write(&file, &CurrentProgram { is_confirmed: true, ..current })
                }
                // An invalid file starts no program.
                _ => Ok(()),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        };
        if let Err(error) = &written {
            tracing::warn!(error = %error, "cannot record that the new program works: {error}");
        }
        written.is_ok()
    }

    /// Creates the folder of a release, in place of a left one. Accounts of agents execute a program of root.
    pub(crate) fn create_folder(&self, version: &str) -> io::Result<()> {
        let folder = self.dir.join(version);
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        create_private_dirs(&folder)?;
        if is_root() {
            // `runners`, the runner's folder, `programs`, and the release.
            folder.ancestors().take(4).try_for_each(make_enterable)?;
        }
        File::open(&self.dir)?.sync_all()
    }

    /// Removes all programs but those two.
    pub(crate) fn remove_others(&self, program: &Path, own: &Path) -> io::Result<()> {
        for entry in fs::read_dir(&self.dir)? {
            let folder = entry?.path();
            let is_one = |one| is_same_file(one, &folder.join(PROGRAM));
            if folder.is_dir() && !is_one(program) && !is_one(own) {
                fs::remove_dir_all(folder)?;
            }
        }
        Ok(())
    }
}

pub(crate) fn is_same_file(one: &Path, other: &Path) -> bool {
    one.canonicalize().is_ok_and(|one| other.canonicalize().is_ok_and(|other| one == other))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct World {
        _dir: tempfile::TempDir,
        programs: InstalledPrograms,
        own: PathBuf,
    }

    impl World {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let runner = dir.path().join("runners/kite.runner");
            let (programs, own) = (InstalledPrograms::new(&runner), dir.path().join("own"));
            fs::write(&own, "").unwrap();
            let world = Self { _dir: dir, programs, own };
            world.install("0.2.0");
            world
        }

        fn install(&self, version: &str) -> PathBuf {
            self.programs.create_folder(version).unwrap();
            let program = self.programs.program(version);
            fs::write(&program, "").unwrap();
            program
        }

        fn update(&self) -> PathBuf {
            self.programs.set_current("0.2.0", &self.own).unwrap();
            self.programs.program("0.2.0")
        }

        fn follow(&self) -> Option<PathBuf> {
            self.programs.follow(&self.own, OWN_VERSION)
        }
    }

    #[test]
    fn program_that_never_registers_is_left_after_three_starts() {
        let world = World::new();
        assert_eq!(world.follow(), None, "no update");
        let program = world.update();
        assert_eq!(world.programs.follow(&program, "0.2.0"), None, "it runs already");
        world.programs.confirm(&world.own);
        assert!(world.programs.unconfirmed(&program).is_some() && world.programs.unconfirmed(&world.own).is_none());
        for _ in 2..=3 {
            assert_eq!(world.follow(), Some(program.clone()));
        }
        assert_eq!((world.follow(), world.programs.current()), (None, None));
    }

    #[test]
    fn confirmed_program_is_followed_until_it_is_gone() {
        let world = World::new();
        let program = world.update();
        world.programs.confirm(&program);
        for _ in 0..5 {
            assert_eq!(world.follow(), Some(program.clone()));
        }
        fs::remove_file(&program).unwrap();
        assert_eq!((world.follow(), world.programs.current()), (None, None));
    }

    #[test]
    fn program_is_unconfirmed_while_its_file_cannot_be_read() {
        let world = World::new();
        let (program, file) = (world.update(), world.programs.current_file());
        let text = fs::read(&file).unwrap();
        fs::remove_file(&file).unwrap();
        fs::create_dir(&file).unwrap();
        assert!(!world.programs.confirm(&program));
        fs::remove_dir(&file).unwrap();
        assert!(world.programs.confirm(&program), "no update");
        fs::write(&file, "{").unwrap();
        assert!(world.programs.confirm(&program), "not valid");
        fs::write(&file, text).unwrap();
        assert!(world.programs.confirm(&program) && world.programs.unconfirmed(&program).is_none());
    }

    #[test]
    fn program_is_not_followed_if_its_start_cannot_be_counted() {
        let world = World::new();
        world.update();
        // The draft of the file cannot be created.
        fs::create_dir(world.programs.dir.join("current.draft")).unwrap();
        assert_eq!(world.follow(), None);
    }

    #[test]
    fn owners_other_release_ends_the_update() {
        let world = World::new();
        let program = world.update();
        world.programs.confirm(&program);
        assert_eq!(world.programs.owner_version(&program), OWN_VERSION);
        // An update by the updated program still names the owner's release.
        world.install("0.3.0");
        world.programs.set_current("0.3.0", &program).unwrap();
        assert_eq!(world.programs.current().unwrap().owner, OWN_VERSION);
        assert_eq!(world.programs.follow(&world.own, "0.5.0"), None);
        assert_eq!(world.programs.current(), None);
    }

    #[test]
    fn update_of_an_owner_who_allows_none_is_named() {
        let world = World::new();
        assert_eq!(world.programs.describe_unused(OWN_VERSION), None);
        world.update();
        let unused = world.programs.describe_unused(OWN_VERSION).unwrap();
        assert!(unused.contains(&world.programs.current_file().display().to_string()), "{unused}");
        assert_eq!(world.programs.describe_unused("0.5.0"), None, "the owner replaced it");
    }

    #[test]
    fn version_that_is_no_release_is_ignored() {
        let world = World::new();
        world.install("../x");
        world.programs.set_current("../x", &world.own).unwrap();
        assert_eq!((world.follow(), world.programs.current()), (None, None));
    }

    #[test]
    fn file_of_another_release_is_read() {
        let world = World::new();
        let text = r#"{"version":"0.2.0","owner":"0.1.0","starts":1,"is_confirmed":true,"later":1}"#;
        fs::write(world.programs.current_file(), text).unwrap();
        assert_eq!(world.programs.follow(&world.own, "0.1.0"), Some(world.programs.program("0.2.0")));
    }

    #[test]
    fn cleanup_spares_the_new_and_the_running_program() {
        let world = World::new();
        let running = world.install("0.1.0");
        world.install("0.3.0");
        let new = world.update();
        world.programs.remove_others(&new, &running).unwrap();
        let exists = |version| world.programs.program(version).exists();
        assert_eq!((exists("0.1.0"), exists("0.2.0"), exists("0.3.0")), (true, true, false));
        assert!(world.programs.current().is_some());
    }
}
