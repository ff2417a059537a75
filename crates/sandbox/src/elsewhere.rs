//! The interface on systems other than Linux, where only macOS has a sandbox that this crate starts.

use crate::containers::Containers;
use crate::error::Error;
use crate::level::Level;
use crate::ports::Ports;
use crate::report::{Report, Verdict};
use crate::spec::Spec;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::Duration;

#[derive(Debug)]
pub struct Sandbox {
    level: Level,
}

impl Sandbox {
    /// Errors: a level that needs another system.
    pub fn new(level: Level) -> Result<Self, Error> {
        match level {
            Level::External | Level::None => Ok(Self { level }),
            Level::Seatbelt if cfg!(target_os = "macos") => Ok(Self { level }),
            Level::Seatbelt => Err(Error::NeedsMacOs(level.as_str())),
            Level::Bubblewrap | Level::Podman | Level::Docker | Level::Landlock => {
                Err(Error::NeedsLinux(level.as_str()))
            }
        }
    }

    /// Errors: containers need Linux.
    pub fn in_containers(self, _: Containers) -> Result<Self, Error> {
        Err(Error::NeedsLinux(self.level.as_str()))
    }

    pub fn prepare_ahead(&self, _: &Spec) {}

    pub fn discard_prepared(&self) {}

    pub fn level(&self) -> Level {
        self.level
    }

    pub fn account_uid(&self) -> Option<u32> {
        None
    }

    pub fn chown_to_account(&self, _: &Path) -> Result<(), Error> {
        Ok(())
    }

    pub fn chown_to_runner(&self, _: &Path) -> Result<(), Error> {
        Ok(())
    }

    pub fn reserve_ports(&self, count: usize) -> Result<Ports, Error> {
        Ports::bind(count)
    }

    pub fn prepare(&self, spec: &Spec, ports: Ports) -> Result<Prepared, Error> {
        spec.validate()?;
        let mut command = match self.level {
            #[cfg(target_os = "macos")]
            Level::Seatbelt => crate::seatbelt::command(spec, &ports.numbers),
            _ => {
                let mut command = Command::new(&spec.program);
                command.args(&spec.args);
                command
            }
        };
        command.current_dir(&spec.worktree).env_clear().envs(spec.environment(self.level));
        Ok(Prepared { command, start: PendingStart { ports } })
    }

    pub fn check(&self, _: &Path) -> Report {
        Report {
            level: self.level,
            verdict: Verdict::Unchecked,
            outcomes: BTreeMap::new(),
            limits: "no limits",
            parts: String::new(),
        }
    }
}

#[derive(Debug)]
#[must_use]
pub struct Prepared {
    command: Command,
    start: PendingStart,
}

impl Prepared {
    pub fn spawn<C>(self, start: impl FnOnce(Command) -> io::Result<C>) -> Result<(C, PendingStart), Error> {
        let child = start(self.command).map_err(Error::io("start the command"))?;
        Ok((child, self.start))
    }
}

#[derive(Debug)]
#[must_use]
pub struct PendingStart {
    ports: Ports,
}

impl PendingStart {
    pub fn finish(self, _: Duration) -> Result<Running, Error> {
        Ok(Running { listeners: self.ports.listeners })
    }
}

#[derive(Debug)]
pub struct Running {
    pub listeners: Vec<TcpListener>,
}

impl Running {
    /// Always `false`: the caller must signal the child's group.
    pub fn terminate(&self) -> bool {
        false
    }

    pub fn kill(&self) {}

    pub fn wait_ended(&self, _: Duration) -> bool {
        true
    }
}

pub fn run_helper(_: impl IntoIterator<Item = OsString>) -> Option<ExitCode> {
    None
}

pub fn remove_left_containers(level: Level, _: &Containers) -> Result<usize, Error> {
    Err(Error::NeedsLinux(level.as_str()))
}
