//! The programs that updates installed: one folder per release in `programs` of the runner's folder. The file `current`
//! names the one that starts, in place of the program that the owner installed.

use super::release::PROGRAM;
use crate::durable_file;
use crate::git::workspace::disk::create_private_dirs;
use crate::process::root_folder::{is_root, make_enterable};
use pullyard_domain::runner::order::Release;
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
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

    /// `None` also if another user could have written it.
    pub(crate) fn current(&self) -> Option<CurrentProgram> {
        let current: CurrentProgram = durable_file::read(&self.current_file())?;
        let metadata = fs::symlink_metadata(&self.dir).ok()?;
        let is_private =
            metadata.is_dir() && metadata.uid() == nix::unistd::geteuid().as_raw() && metadata.mode() & 0o022 == 0;
        // The version becomes the name of a folder.
        if is_private && current.version.parse::<Release>().is_ok() {
            return Some(current);
        }
        tracing::error!(folder = %self.dir.display(), "ignored the update in {}: other users can write there", self.dir.display());
        None
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

    pub(crate) fn remove_current(&self) {
        durable_file::remove(&self.current_file());
    }

    /// Makes a program current, which the program `own` replaces itself with. That counts as a start.
    pub(crate) fn set_current(&self, version: &str, own: &Path) -> io::Result<()> {
        let (version, owner) = (version.to_owned(), self.owner_version(own));
        durable_file::write(&self.current_file(), &CurrentProgram { version, owner, starts: 1, is_confirmed: false })
    }

    /// Records that the control plane answers the program `own`, if it is current.
    pub(crate) fn confirm(&self, own: &Path) {
        let Some(current) = self.current().filter(|current| !current.is_confirmed) else { return };
        if !is_same_file(own, &self.program(&current.version)) {
            return;
        }
        if let Err(error) = durable_file::write(&self.current_file(), &CurrentProgram { is_confirmed: true, ..current })
        {
            tracing::warn!(error = %error, "cannot record that the new program works: {error}");
        }
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

    /// Removes the programs of all releases but those two: the current one, and the one that runs.
    pub(crate) fn remove_others(&self, own: &Path) -> io::Result<()> {
        let current = self.current().map(|current| self.dir.join(current.version));
        for entry in fs::read_dir(&self.dir).into_iter().flatten() {
            let folder = entry?.path();
            let is_used = Some(&folder) == current.as_ref() || is_same_file(own, &folder.join(PROGRAM));
            if folder.is_dir() && !is_used {
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
    use std::os::unix::fs::PermissionsExt;

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
    fn update_that_another_user_could_have_written_is_ignored() {
        let world = World::new();
        world.update();
        let set_mode = |mode| fs::set_permissions(&world.programs.dir, fs::Permissions::from_mode(mode)).unwrap();
        set_mode(0o770);
        assert_eq!(world.follow(), None);
        set_mode(0o700);
        world.programs.set_current("../../x", &world.own).unwrap();
        assert_eq!(world.follow(), None);
    }

    #[test]
    fn cleanup_spares_the_current_and_the_running_program() {
        let world = World::new();
        let running = world.install("0.1.0");
        world.install("0.3.0");
        world.update();
        world.programs.remove_others(&running).unwrap();
        let exists = |version| world.programs.program(version).exists();
        assert_eq!((exists("0.1.0"), exists("0.2.0"), exists("0.3.0")), (true, true, false));
        assert!(world.programs.current().is_some());
    }
}
