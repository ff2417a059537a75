//! The ways to start the runner: units of systemd, a compose file, or nothing. Describes their files and commands.

use super::own_file::{OwnFile, load_own};
use crate::agent::drivers::DRIVERS;
use crate::daemon::config_file::config_folder;
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
    /// A container with docker compose.
    Compose,
    /// No service: start the runner by hand.
    Nothing,
}

/// The program, settings and folders that a service starts.
pub(super) struct Target {
    /// The program, and its arguments before `start`.
    pub(super) program: Vec<String>,
    pub(super) config: PathBuf,
    pub(super) work_dir: PathBuf,
    pub(super) log_dir: Option<PathBuf>,
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
    pub(super) const QUESTION: &str =
        "Start with: 1 systemd (user)  2 systemd (system, needs root)  3 docker compose  4 nothing";
    const ALL: [Self; 4] = [Self::SystemdUser, Self::SystemdSystem, Self::Compose, Self::Nothing];

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
        let earlier = |way: &Self| way.file_path(target).is_some_and(|path| matches!(load_own(&path), Ok(Some(_))));
        let usual = if is_root() { Self::SystemdSystem } else { Self::SystemdUser };
        Self::ALL.into_iter().find(earlier).unwrap_or(if usual.check(target).is_ok() { usual } else { Self::Nothing })
    }

    /// Whether this machine can use it. Errors: the reason.
    pub(super) fn check(self, target: &Target) -> Result<(), String> {
        let needed = match self {
            Self::SystemdUser if is_root() => return Err("As root, use systemd (system).".into()),
            Self::SystemdSystem if !is_root() => {
                return Err("Run `sudo pullyard-runner setup` for a system unit.".into());
            }
            Self::SystemdUser => Some(["systemctl", "--user", "show-environment"].as_slice()),
            Self::SystemdSystem => Some(["systemctl", "show-environment"].as_slice()),
            Self::Compose if target.program.len() > 1 => {
                return Err("The container needs the program pullyard-runner.".into());
            }
            Self::Compose => Some(["docker", "compose", "version"].as_slice()),
            Self::Nothing => None,
        };
        if let Some(command) = needed.filter(|command| !succeeds(command)) {
            return Err(format!("`{}` fails on this machine.", command.join(" ")));
        }
        let paths = [&target.config, &target.work_dir]
            .into_iter()
            .chain(&target.log_dir)
            .map(|path| path.display().to_string());
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+@".contains(c);
        match paths.chain(target.program.clone()).find(|path| !path.chars().all(is_plain)) {
            Some(path) if self != Self::Nothing => {
                Err(format!("{path} has characters that a unit or compose file changes."))
            }
            _ => Ok(()),
        }?;
        self.check_file(target)
    }

    /// Refuses a file of others, and the file of another runner.
    fn check_file(self, target: &Target) -> Result<(), String> {
        let Some(path) = self.file_path(target) else { return Ok(()) };
        let Some(text) = load_own(&path)? else { return Ok(()) };
        let config = target.config.display();
        let is_same = text.lines().any(|line| line.split(['=', ' ']).next_back() == Some(config.to_string().as_str()));
        if is_same {
            Ok(())
        } else {
            Err(format!("{} starts a runner with other settings than {config}.", path.display()))
        }
    }

    fn file_path(self, target: &Target) -> Option<PathBuf> {
        let unit = format!("{}.service", unit_name(&target.config));
        match self {
            Self::SystemdUser => Some(config_folder().join("systemd/user").join(unit)),
            Self::SystemdSystem => Some(Path::new("/etc/systemd/system").join(unit)),
            // A folder of its own, because compose sends the whole folder to the engine.
            Self::Compose => Some(target.config.with_extension("compose").join("compose.yaml")),
            Self::Nothing => None,
        }
    }

    pub(super) fn service(self, target: &Target) -> Service {
        let unit = unit_name(&target.config);
        let path = self.file_path(target).unwrap_or_default();
        let (text, systemctl, log) = match self {
            Self::SystemdUser => (unit_text(target, self), "systemctl --user", "journalctl --user"),
            Self::SystemdSystem => (unit_text(target, self), "systemctl", "journalctl"),
            Self::Compose => {
                let compose = format!("docker compose --file {}", path.display());
                return Service {
                    commands: vec![split(&format!("{compose} up --detach --build"))],
                    file: Some(OwnFile::new(path, &compose_text(target, &unit))),
                    log: format!("{compose} logs --tail 50"),
                    stop: format!("{compose} down"),
                };
            }
            Self::Nothing => {
                let start = format!("{} start --config {}", target.program.join(" "), target.config.display());
                return Service { file: None, commands: Vec::new(), log: start, stop: String::new() };
            }
        };
        // A restart waits for the running jobs.
        let commands = ["daemon-reload".to_owned(), format!("enable {unit}"), format!("restart --no-block {unit}")];
        Service {
            file: Some(OwnFile::new(path, &text)),
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

fn succeeds(command: &[&str]) -> bool {
    let Some((program, args)) = command.split_first() else { return false };
    let mut command = Command::new(system_program(program));
    command.args(args).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
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

/// Builds the image on this machine, because no release publishes one. The runner's folders have the same paths inside.
fn compose_text(target: &Target, unit: &str) -> String {
    let (user, group) = (nix::unistd::geteuid(), nix::unistd::getegid());
    let folders = [&target.work_dir].into_iter().chain(&target.log_dir).map(|folder| folder.display());
    let folders: String = folders.map(|folder| format!("      - {folder}:{folder}\n")).collect();
    format!(
        "\
name: {unit}
services:
  runner:
    image: {unit}:local
    build:
      context: .
      dockerfile_inline: |
        FROM docker.io/library/node:24-bookworm-slim
        RUN apt-get update && apt-get install --yes --no-install-recommends ca-certificates git openssh-client ripgrep
        RUN npm install --global {packages}
        ENV HOME=/tmp DISABLE_AUTOUPDATER=1
    command: [/usr/local/bin/pullyard-runner, start]
    user: \"{user}:{group}\"
    # The name check of a later setup compares the host.
    hostname: {host}
    env_file:
      - {config}
    volumes:
      - {program}:/usr/local/bin/pullyard-runner:ro
{folders}    init: true
    restart: unless-stopped
    stop_grace_period: 2h
",
        packages = DRIVERS.map(|driver| driver.program.package_name()).join(" "),
        host = crate::daemon::state_folder::host_name().unwrap_or_default(),
        config = target.config.display(),
        program = target.program.join(" "),
    )
}
