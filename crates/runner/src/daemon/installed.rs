//! The programs that updates installed: one folder per release in `programs` of the work folder. The file `current`
//! names the one that starts, in place of the program that the owner installed.

use super::release::PROGRAM;
use crate::durable_file;
use crate::git::workspace::disk::{create_private_dirs, open_lock_file};
use pullyard_domain::id::OrderId;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// Starts without a registration after which the owner's program starts again.
const MAX_STARTS: u32 = 3;
const TRIAL_PERIOD: Duration = Duration::from_secs(300);

pub(crate) struct InstalledPrograms {
    dir: PathBuf,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct CurrentProgram {
    pub(crate) version: String,
    /// The order that installed it.
    order: OrderId,
    installed_at: SystemTime,
    /// Since the installation, until it registered.
    starts: u32,
    has_registered: bool,
}

#[derive(Debug, PartialEq)]
pub(crate) enum Followed {
    /// This program is to run.
    Stay,
    Execute(PathBuf),
    /// The updated program does not register, so this one runs.
    GaveUp {
        order: OrderId,
        reason: String,
    },
}

impl InstalledPrograms {
    pub(crate) fn new(work_dir: &Path) -> Self {
        Self { dir: work_dir.join("programs") }
    }

    /// Locks the folder against updates by other runners of this work folder, until the file is dropped.
    pub(crate) fn lock(&self) -> io::Result<File> {
        create_private_dirs(&self.dir)?;
        let file = open_lock_file(&self.dir.join("lock"))?;
        file.try_lock().map_err(|_| io::Error::new(io::ErrorKind::ResourceBusy, "another runner updates"))?;
        Ok(file)
    }

    pub(crate) fn program(&self, version: &str) -> PathBuf {
        self.dir.join(version).join(PROGRAM)
    }

    pub(crate) fn current(&self) -> Option<CurrentProgram> {
        durable_file::read(&self.current_file())
    }

    fn current_file(&self) -> PathBuf {
        self.dir.join("current")
    }

    /// The program to run, when the program `own` starts.
    /// Writes: the number of starts; removes `current` if its program does not register.
    pub(crate) fn follow(&self, own: &Path, now: SystemTime) -> Followed {
        let Some(current) = self.current() else { return Followed::Stay };
        let program = self.program(&current.version);
        if is_same_file(own, &program) {
            return Followed::Stay;
        }
        let is_new = now.duration_since(current.installed_at).is_ok_and(|age| age < TRIAL_PERIOD);
        let reason = if !program.is_file() {
            format!("{} is gone.", program.display())
        } else if !current.has_registered && current.starts >= MAX_STARTS && is_new {
            format!("{} started {MAX_STARTS} times without a registration.", current.version)
        } else {
            let next = CurrentProgram { starts: current.starts.saturating_add(1), ..current };
            if !next.has_registered
                && let Err(error) = durable_file::write(&self.current_file(), &next)
            {
                tracing::warn!(error = %error, "cannot count the starts of {}: {error}", next.version);
            }
            return Followed::Execute(program);
        };
        durable_file::remove(&self.current_file());
        Followed::GaveUp { order: current.order, reason: format!("{reason} The installed program runs again.") }
    }

    /// Makes a program current. It counts as started.
    pub(crate) fn set_current(&self, version: &str, order: &OrderId, now: SystemTime) -> io::Result<()> {
        let (version, order) = (version.to_owned(), order.clone());
        let current = CurrentProgram { version, order, installed_at: now, starts: 1, has_registered: false };
        durable_file::write(&self.current_file(), &current)
    }

    /// Records a registration, if the program `own` is current.
    pub(crate) fn confirm(&self, own: &Path) {
        let Some(current) = self.current().filter(|current| !current.has_registered) else { return };
        if !is_same_file(own, &self.program(&current.version)) {
            return;
        }
        if let Err(error) =
            durable_file::write(&self.current_file(), &CurrentProgram { has_registered: true, ..current })
        {
            tracing::warn!(error = %error, "cannot record the registration of the new program: {error}");
        }
    }

    /// Removes the programs of all releases but those two: the current one, and the one that runs.
    pub(crate) fn remove_others(&self, own: &Path) -> io::Result<()> {
        let current = self.current().map(|current| self.dir.join(current.version));
        for entry in std::fs::read_dir(&self.dir)? {
            let folder = entry?.path();
            let is_used = Some(&folder) == current.as_ref() || is_same_file(own, &folder.join(PROGRAM));
            if folder.is_dir() && !is_used {
                std::fs::remove_dir_all(folder)?;
            }
        }
        Ok(())
    }
}

fn is_same_file(one: &Path, other: &Path) -> bool {
    one.canonicalize().is_ok_and(|one| other.canonicalize().is_ok_and(|other| one == other))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct World {
        dir: tempfile::TempDir,
        programs: InstalledPrograms,
        own: PathBuf,
    }

    impl World {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let (programs, own) = (InstalledPrograms::new(dir.path()), dir.path().join("own"));
            std::fs::write(&own, "").unwrap();
            let world = Self { dir, programs, own };
            world.install("0.2.0");
            world
        }

        fn install(&self, version: &str) -> PathBuf {
            let program = self.programs.program(version);
            std::fs::create_dir_all(program.parent().unwrap()).unwrap();
            std::fs::write(&program, "").unwrap();
            program
        }

        fn follow(&self, secs: u64) -> Followed {
            self.programs.follow(&self.own, at(secs))
        }
    }

    fn at(secs: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(secs)
    }

    fn order() -> OrderId {
        OrderId::new("o1").unwrap()
    }

    #[test]
    fn program_that_never_registers_is_left_after_three_starts() {
        let world = World::new();
        assert_eq!(world.follow(0), Followed::Stay, "no update");
        world.programs.set_current("0.2.0", &order(), at(100)).unwrap();
        let program = world.programs.program("0.2.0");
        assert_eq!(world.programs.follow(&program, at(101)), Followed::Stay, "it runs already");
        for secs in [110, 120] {
            assert_eq!(world.follow(secs), Followed::Execute(program.clone()));
        }
        let Followed::GaveUp { order: failed, reason } = world.follow(130) else { panic!("expected the old program") };
        assert_eq!((failed, reason.contains("started 3 times")), (order(), true), "{reason}");
        assert_eq!(world.follow(140), Followed::Stay);
    }

    #[test]
    fn registered_or_older_program_is_followed_for_good() {
        for (registers, secs) in [(true, 101), (false, 401)] {
            let world = World::new();
            world.programs.set_current("0.2.0", &order(), at(100)).unwrap();
            let program = world.programs.program("0.2.0");
            world.programs.confirm(if registers { &program } else { &world.own });
            for _ in 0..5 {
                assert_eq!(world.follow(secs), Followed::Execute(program.clone()), "{registers} {secs}");
            }
            std::fs::remove_file(&program).unwrap();
            assert!(matches!(world.follow(secs), Followed::GaveUp { .. }));
        }
    }

    #[test]
    fn cleanup_spares_the_current_and_the_running_program() {
        let world = World::new();
        let running = world.install("0.1.0");
        world.install("0.3.0");
        world.programs.set_current("0.2.0", &order(), at(0)).unwrap();
        let _lock = world.programs.lock().unwrap();
        assert!(InstalledPrograms::new(world.dir.path()).lock().is_err(), "another runner updates");
        world.programs.remove_others(&running).unwrap();
        let exists = |version| world.programs.program(version).exists();
        assert_eq!((exists("0.1.0"), exists("0.2.0"), exists("0.3.0")), (true, true, false));
        assert!(world.programs.current().is_some());
    }
}
