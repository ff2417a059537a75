//! The ways to start the runner: a unit of systemd, or nothing. Describes their files and commands.

use super::checks::RunnerName;
use super::own_file::{OwnFile, load_own};
use crate::daemon::config_file::config_folder;
use crate::daemon::setting_names::variables;
use crate::process::program::system_program;
use crate::process::root_folder::is_root;
use std::fs::metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum StartWith {
    /// A unit of systemd: as root of the machine, else of this user.
    Systemd,
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

impl Target {
    /// `pullyard-runner` for `runner.env`, and a name of its own for each other file.
    fn unit(&self) -> String {
        match self.config.file_stem().unwrap_or_default().to_string_lossy().as_ref() {
            "runner" => "pullyard-runner".into(),
            other => format!("pullyard-runner-{other}"),
        }
    }

    fn unit_path(&self) -> Result<PathBuf, String> {
        let units = config_folder().map(|folder| folder.join("systemd/user"));
        let units = if is_root() { Some("/etc/systemd/system".into()) } else { units };
        Ok(units.ok_or("Set HOME for a unit of this user.")?.join(format!("{}.service", self.unit())))
    }

    /// Whether an earlier `setup` made the unit for the same settings.
    fn has_unit(&self) -> bool {
        let end = format!(" start --config {}", self.config.display());
        let text = self.unit_path().and_then(|path| load_own(&path)).ok().flatten();
        text.is_some_and(|text| text.lines().any(|line| line.starts_with("ExecStart=") && line.ends_with(&end)))
    }

    /// Whether the unit has a process; a draining one counts.
    fn unit_runs(&self) -> bool {
        let pid = run_command(&format!("{} show --property=MainPID --value {}", systemctl(), self.unit()));
        pid.is_ok_and(|pid| !matches!(pid.trim(), "" | "0"))
    }
}

fn systemctl() -> &'static str {
    if is_root() { "systemctl" } else { "systemctl --user" }
}

impl StartWith {
    pub(super) const QUESTION: &str = "Start with systemd or nothing";

    pub(super) fn parse(text: &str) -> Option<Self> {
        clap::ValueEnum::from_str(text, false).ok()
    }

    pub(super) fn name(self) -> String {
        clap::ValueEnum::to_possible_value(&self).map(|value| value.get_name().to_owned()).unwrap_or_default()
    }

    /// The way of an earlier `setup`, else systemd where it is installed.
    pub(super) fn default_for(target: &Target) -> Self {
        let has_systemd = system_program("systemctl").is_absolute();
        // An earlier `setup` wrote settings and no service.
        let has_settings_only = target.config.exists() && !target.has_unit();
        if has_systemd && !has_settings_only { Self::Systemd } else { Self::Nothing }
    }

    /// Whether this machine can use it. Returns a note. Errors: the reason, with the next step.
    pub(super) async fn check(self, target: &Target, runner: &RunnerName<'_>) -> Result<String, String> {
        let (has_unit, config) = (target.has_unit(), target.config.display());
        if self == Self::Nothing {
            if has_unit {
                let (file, unit) = (target.unit_path()?, target.unit());
                let stop = format!("{} disable --now {unit}", systemctl());
                return Err(format!("{} starts this runner. Run `{stop}` and `rm {0}` first.", file.display()));
            }
            return Ok("no service".into());
        }
        run_command(&format!("{} show-environment", systemctl()))
            .map_err(|reason| format!("{reason} Correct this, or use `--start-with nothing`."))?;
        let program = target.program.first().map_or("pullyard-runner", String::as_str);
        // Agents of another user could replace what root starts.
        let is_of_root = is_of_root(Path::new(program));
        if is_root() && !is_of_root {
            return Err(format!(
                "Other users can replace {program}. Run `chown root:root {program}` and `chmod go-w {program}`, or copy \
                 it into a folder of root: `install {program} /usr/local/bin/`, then `setup` of the copy."
            ));
        }
        let paths = [&target.config, &target.work_dir].into_iter().map(|path| path.display().to_string());
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+@".contains(c);
        if let Some(path) = paths.chain(target.program.clone()).find(|path| !path.chars().all(is_plain)) {
            return Err(format!(
                "{path} has characters that systemd changes. Use a path of letters, digits and `/._-+@` (--config, \
                 --work-dir), or `--start-with nothing`."
            ));
        }
        let unit = target.unit_path()?;
        if !has_unit && load_own(&unit)?.is_some() {
            return Err(format!(
                "{} starts a runner with other settings than {config}. Use --config with another file name.",
                unit.display()
            ));
        }
        // The service could not start it.
        if !(has_unit && target.unit_runs()) && runner.is_online().await {
            let name = runner.name;
            return Err(format!(
                "{name} runs already, and not as the service of {config}. Stop it first, or choose another name; \
                 after a crash, wait until it is offline."
            ));
        }
        Ok(match (is_root(), is_of_root) {
            (true, _) => "a unit that runs as root, with an account for each job".into(),
            (false, true) => {
                format!("a unit of this user; `sudo {} setup` makes one of the machine", target.program.join(" "))
            }
            (false, false) => {
                "a unit of this user; for one of the machine, install the program as root and use `sudo`".into()
            }
        })
    }

    pub(super) fn service(self, target: &Target) -> Result<Service, String> {
        if self == Self::Nothing {
            let start = format!("{} start --config {}", target.program.join(" "), target.config.display());
            return Ok(Service { file: None, commands: Vec::new(), log: start, stop: String::new() });
        }
        let (unit, systemctl) = (target.unit(), systemctl());
        // A restart waits for the running jobs.
        let commands = ["daemon-reload".to_owned(), format!("enable {unit}"), format!("restart --no-block {unit}")];
        Ok(Service {
            file: Some(OwnFile::new(target.unit_path()?, &unit_text(target), 0o644)),
            commands: commands.iter().map(|command| format!("{systemctl} {command}")).collect(),
            log: format!("{} --unit {unit} --lines 50", systemctl.replace("systemctl", "journalctl")),
            stop: format!("{systemctl} stop {unit}"),
        })
    }
}

/// Whether only root can replace the program.
fn is_of_root(program: &Path) -> bool {
    program.ancestors().all(|path| metadata(path).is_ok_and(|one| is_safe(path, one.uid(), one.mode())))
}

/// Whether only root can write the file or folder with this mode.
fn is_safe(path: &Path, uid: u32, mode: u32) -> bool {
    const FOLDER: u32 = 0o40_000;
    // Debian's group `staff` may write into /usr/local/bin.
    let others = if mode & FOLDER != 0 && path.starts_with("/usr/local") { 0o002 } else { 0o022 };
    uid == 0 && mode & others == 0
}

/// Runs a command line, split at each space, without the runner's token. Returns its output.
/// Errors: a sentence for the user.
pub(super) fn run_command(line: &str) -> Result<String, String> {
    let mut words = line.split(' ');
    let mut command = Command::new(system_program(words.next().unwrap_or_default()));
    command.args(words).stdin(Stdio::null());
    for name in variables("token") {
        command.env_remove(name);
    }
    let output = command.output().map_err(|error| format!("`{line}` cannot start: {error}."))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(format!("`{line}` failed ({}). {}", output.status, String::from_utf8_lossy(&output.stderr).trim()))
}

fn unit_text(target: &Target) -> String {
    let (order, wanted_by) = if is_root() {
        ("Wants=network-online.target\nAfter=network-online.target docker.service\n", "multi-user.target")
    } else {
        ("", "default.target")
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn program_that_others_can_replace_is_not_of_root() {
        let rows = [
            ("/usr/bin/runner", 0, 0o100_755, true),
            ("/usr/bin/runner", 1_000, 0o100_755, false),
            ("/usr/local/bin/runner", 0, 0o100_775, false),
            ("/usr/local/bin", 0, 0o42_775, true),
            ("/usr/local/bin", 0, 0o42_777, false),
            ("/srv/tools", 0, 0o40_775, false),
        ];
        for (path, uid, mode, expected) in rows {
            assert_eq!(is_safe(Path::new(path), uid, mode), expected, "{path} {mode:o}");
        }
        assert!(!is_of_root(Path::new("/nowhere/pullyard-runner")));
    }
}
