//! The ways to start the runner: a unit of systemd, or nothing. Describes their files and commands.

use super::own_file::{OwnFile, load_own};
use crate::daemon::config_file::config_folder;
use crate::daemon::setting_names::variables;
use crate::process::program::system_program;
use crate::process::root_folder::is_root;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum StartWith {
    /// A systemd unit of this user.
    SystemdUser,
    /// A systemd unit of the machine; needs root.
    SystemdSystem,
    /// No service: start the runner by hand.
    Nothing,
}

/// The program, settings and folders that a service starts.
pub(super) struct Target {
    /// The program, and its arguments before `start`.
    pub(super) program: Vec<String>,
    pub(super) config: PathBuf,
    pub(super) work_dir: PathBuf,
}

pub(super) struct Service {
    pub(super) file: Option<OwnFile>,
    /// In order; each must succeed.
    pub(super) commands: Vec<Vec<String>>,
    /// Shows why it did not start.
    pub(super) log: String,
    pub(super) stop: String,
}

impl StartWith {
    pub(super) const QUESTION: &str = "Start with: 1 systemd (user)  2 systemd (system, needs root)  3 nothing";
    const ALL: [Self; 3] = [Self::SystemdUser, Self::SystemdSystem, Self::Nothing];

    /// By its number in the question, or its name on the command line.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let by_number = text.parse::<usize>().ok().and_then(|number| Self::ALL.get(number.checked_sub(1)?).copied());
        by_number.or_else(|| clap::ValueEnum::from_str(text, false).ok())
    }

    pub(super) fn number(self) -> usize {
        1 + Self::ALL.iter().position(|one| *one == self).unwrap_or_default()
    }

    /// The way of an earlier `setup`, else the usual one of this machine.
    pub(super) fn default_for(target: &Target) -> Self {
        let usual = if is_root() { Self::SystemdSystem } else { Self::SystemdUser };
        let is_present = |way: &Self| way.has_file_of(target);
        Self::ALL.into_iter().find(is_present).unwrap_or(if usual.check(target).is_ok() {
            usual
        } else {
            Self::Nothing
        })
    }

    /// Whether this machine can use it. Returns a note. Errors: the reason, with the next step.
    pub(super) fn check(self, target: &Target) -> Result<String, String> {
        let (command, note) = match self {
            Self::SystemdUser if is_root() => return Err("As root, use systemd (system).".into()),
            Self::SystemdSystem if !is_root() => {
                return Err("Run `sudo pullyard-runner setup` for a system unit.".into());
            }
            Self::SystemdUser => ("systemctl --user show-environment", "a unit of this user"),
            Self::SystemdSystem => {
                ("systemctl show-environment", "a unit that runs as root, with an account for each job")
            }
            Self::Nothing => ("", "no service"),
        };
        if !command.is_empty() && !succeeds(&split(command)) {
            return Err(format!("`{command}` fails on this machine. Use another way."));
        }
        let paths = [&target.config, &target.work_dir].into_iter().map(|path| path.display().to_string());
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+@".contains(c);
        match paths.chain(target.program.clone()).find(|path| !path.chars().all(is_plain)) {
            Some(path) if self != Self::Nothing => {
                return Err(format!(
                    "{path} has characters that systemd changes. Use a path of letters, digits and `/._-+@` \
                     (--config, --work-dir), or no service."
                ));
            }
            _ => self.check_file(target)?,
        }
        // Two services of one runner would end each other.
        match Self::ALL.into_iter().find(|way| *way != self && way.has_file_of(target)) {
            Some(other) => {
                let file = other.file_path(target).unwrap_or_default();
                let stop = other.service(target).stop.replace(" stop ", " disable --now ");
                Err(format!("{} starts this runner. Run `{stop}` and `rm {0}` first.", file.display()))
            }
            None => Ok(note.into()),
        }
    }

    /// Refuses a file of others, and the file of another runner.
    fn check_file(self, target: &Target) -> Result<(), String> {
        let Some(path) = self.file_path(target) else { return Ok(()) };
        match load_own(&path)? {
            Some(_) if !self.has_file_of(target) => Err(format!(
                "{} starts a runner with other settings than {}. Use --config with another file name.",
                path.display(),
                target.config.display()
            )),
            _ => Ok(()),
        }
    }

    /// Whether an earlier `setup` made this service for the same settings.
    fn has_file_of(self, target: &Target) -> bool {
        let line = format!("EnvironmentFile={}", target.config.display());
        let text = self.file_path(target).and_then(|path| load_own(&path).ok().flatten());
        text.is_some_and(|text| text.lines().any(|own| own == line))
    }

    fn file_path(self, target: &Target) -> Option<PathBuf> {
        let unit = format!("{}.service", unit_name(&target.config));
        match self {
            Self::SystemdUser => Some(config_folder()?.join("systemd/user").join(unit)),
            Self::SystemdSystem => Some(Path::new("/etc/systemd/system").join(unit)),
            Self::Nothing => None,
        }
    }

    pub(super) fn service(self, target: &Target) -> Service {
        let unit = unit_name(&target.config);
        let (text, systemctl, log) = match self {
            Self::SystemdUser => (unit_text(target, self), "systemctl --user", "journalctl --user"),
            Self::SystemdSystem => (unit_text(target, self), "systemctl", "journalctl"),
            Self::Nothing => {
                let start = format!("{} start --config {}", target.program.join(" "), target.config.display());
                return Service { file: None, commands: Vec::new(), log: start, stop: String::new() };
            }
        };
        // A restart waits for the running jobs.
        let commands = ["daemon-reload".to_owned(), format!("enable {unit}"), format!("restart --no-block {unit}")];
        Service {
            file: self.file_path(target).map(|path| OwnFile::new(path, &text)),
            commands: commands.iter().map(|command| split(&format!("{systemctl} {command}"))).collect(),
            log: format!("{log} --unit {unit} --lines 50"),
            stop: format!("{systemctl} stop {unit}"),
        }
    }
}

/// `pullyard-runner` for `runner.env`, and a name of its own for each other file.
fn unit_name(config: &Path) -> String {
    match config.file_stem().unwrap_or_default().to_string_lossy().as_ref() {
        "runner" => "pullyard-runner".into(),
        other => format!("pullyard-runner-{other}"),
    }
}

fn split(line: &str) -> Vec<String> {
    line.split(' ').map(str::to_owned).collect()
}

fn succeeds(command: &[String]) -> bool {
    let Some((program, args)) = command.split_first() else { return false };
    let mut command = Command::new(system_program(program));
    command.args(args).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    remove_secrets(&mut command);
    command.status().is_ok_and(|status| status.success())
}

/// Commands of the machine need no token of the runner.
pub(super) fn remove_secrets(command: &mut Command) {
    for name in variables("token") {
        command.env_remove(name);
    }
}

/// The file of settings is read twice: by systemd, which sets `PATH` for the agents, and by `start`, which checks it.
fn unit_text(target: &Target, way: StartWith) -> String {
    let (network, wanted_by) = match way {
        StartWith::SystemdSystem => ("Wants=network-online.target\nAfter=network-online.target\n", "multi-user.target"),
        _ => ("", "default.target"),
    };
    format!(
        "\
[Unit]
Description=Pullyard runner
{network}
[Service]
EnvironmentFile={config}
ExecStart={program} start --config {config}
Restart=on-failure
RestartSec=15
# Wrong settings and refused tokens need a person.
RestartPreventExitStatus=2 4 5
# Jobs outlive the daemon.
KillMode=process
# A job that uses up the memory does not end the runner.
OOMPolicy=continue
# `systemctl stop` drains: the time of the longest job.
TimeoutStopSec=2h

[Install]
WantedBy={wanted_by}
",
        config = target.config.display(),
        program = target.program.join(" "),
    )
}
