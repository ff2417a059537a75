//! The ways to start the runner: a unit of systemd, or nothing. Describes their files and commands.

use super::checks::RunnerName;
use super::own_file::{OwnFile, load_own};
use crate::daemon::config_file::config_folder;
use crate::daemon::setting_names::variables;
use crate::process::program::{find_program, system_program};
use crate::process::root_folder::is_root;
use std::fs::metadata;
use std::os::unix::fs::MetadataExt;
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
    pub(super) commands: Vec<String>,
    /// Shows why it did not start.
    pub(super) log: String,
    pub(super) stop: String,
}

impl StartWith {
    pub(super) const QUESTION: &str = "Start with systemd-user, systemd-system (needs root) or nothing";
    const ALL: [Self; 3] = [Self::SystemdUser, Self::SystemdSystem, Self::Nothing];

    pub(super) fn parse(text: &str) -> Option<Self> {
        clap::ValueEnum::from_str(text, false).ok()
    }

    pub(super) fn name(self) -> String {
        clap::ValueEnum::to_possible_value(&self).map(|value| value.get_name().to_owned()).unwrap_or_default()
    }

    /// The way of an earlier `setup`, else the usual one of this machine.
    pub(super) fn default_for(target: &Target) -> Self {
        let earlier = Self::ALL.into_iter().find(|way| way.has_file_of(target));
        let path = std::env::var_os("PATH").unwrap_or_default();
        let has_systemd = find_program("systemctl", Path::new("/"), Some(&path)).is_ok();
        earlier.unwrap_or(match (target.config.exists(), has_systemd, is_root()) {
            // An earlier `setup` wrote settings and no service.
            (true, _, _) | (_, false, _) => Self::Nothing,
            (false, true, true) => Self::SystemdSystem,
            (false, true, false) => Self::SystemdUser,
        })
    }

    /// As `check`; also refuses a runner that another process runs, because the service could not start it.
    pub(super) async fn check_running(self, target: &Target, runner: &RunnerName<'_>) -> Result<String, String> {
        let note = self.check(target)?;
        if self == Self::Nothing || self.has_file_of(target) || !runner.is_online().await {
            return Ok(note);
        }
        let (name, file) = (runner.name, target.config.display());
        Err(format!("{name} runs already, and not as the service of {file}. Stop it first, or choose another name."))
    }

    /// Whether this machine can use it. Returns a note. Errors: the reason, with the next step.
    fn check(self, target: &Target) -> Result<String, String> {
        let program = target.program.first().map_or("pullyard-runner", String::as_str);
        let note = match self {
            Self::SystemdUser if is_root() => return Err("As root, use systemd-system.".into()),
            Self::SystemdSystem if !is_root() => return Err(format!("Run `sudo {program} setup` for a system unit.")),
            // Agents of another user could replace what root starts.
            Self::SystemdSystem if !metadata(program).is_ok_and(|file| file.uid() == 0 && file.mode() & 0o022 == 0) => {
                return Err(format!("Other users can replace {program}. Install it as root first."));
            }
            Self::SystemdUser => "a unit of this user",
            Self::SystemdSystem => "a unit that runs as root, with an account for each job",
            Self::Nothing => "no service",
        };
        if self != Self::Nothing {
            let test = format!("{} show-environment", self.systemctl());
            run_command(&test).map_err(|reason| format!("{reason} Use another way, such as `nothing`."))?;
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
        let end = format!(" start --config {}", target.config.display());
        let text = self.file_path(target).and_then(|path| load_own(&path).ok().flatten());
        text.is_some_and(|text| text.lines().any(|line| line.starts_with("ExecStart=") && line.ends_with(&end)))
    }

    fn file_path(self, target: &Target) -> Option<PathBuf> {
        let unit = format!("{}.service", unit_name(&target.config));
        match self {
            Self::SystemdUser => Some(config_folder()?.join("systemd/user").join(unit)),
            Self::SystemdSystem => Some(Path::new("/etc/systemd/system").join(unit)),
            Self::Nothing => None,
        }
    }

    fn systemctl(self) -> &'static str {
        if self == Self::SystemdUser { "systemctl --user" } else { "systemctl" }
    }

    pub(super) fn service(self, target: &Target) -> Service {
        let (unit, systemctl) = (unit_name(&target.config), self.systemctl());
        if self == Self::Nothing {
            let start = format!("{} start --config {}", target.program.join(" "), target.config.display());
            return Service { file: None, commands: Vec::new(), log: start, stop: String::new() };
        }
        // A restart waits for the running jobs.
        let commands = ["daemon-reload".to_owned(), format!("enable {unit}"), format!("restart --no-block {unit}")];
        Service {
            file: self.file_path(target).map(|path| OwnFile::new(path, &unit_text(target, self), 0o644)),
            commands: commands.iter().map(|command| format!("{systemctl} {command}")).collect(),
            log: format!("{} --unit {unit} --lines 50", systemctl.replace("systemctl", "journalctl")),
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

/// Runs a command of the machine, whose words have no spaces, without the runner's token. Errors: a sentence.
pub(super) fn run_command(line: &str) -> Result<(), String> {
    let mut words = line.split(' ');
    let mut command = Command::new(system_program(words.next().unwrap_or_default()));
    command.args(words).stdin(Stdio::null());
    for name in variables("token") {
        command.env_remove(name);
    }
    let output = command.output().map_err(|error| format!("`{line}` cannot start: {error}."))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("`{line}` failed ({}). {}", output.status, String::from_utf8_lossy(&output.stderr).trim()))
}

fn unit_text(target: &Target, way: StartWith) -> String {
    let (order, wanted_by) = match way {
        StartWith::SystemdSystem => {
            ("Wants=network-online.target\nAfter=network-online.target docker.service\n", "multi-user.target")
        }
        _ => ("", "default.target"),
    };
    format!(
        "\
[Unit]
Description=Pullyard runner
{order}
[Service]
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
