//! Calls the programs of podman and docker, which read the same options.

use crate::containers::{Containers, LABEL, PROGRAM};
use crate::error::Error;
use crate::level::Level;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::process::{Command, Output, Stdio};
use std::sync::mpsc;
use std::time::Duration;

/// Longest quoted message of an engine, because Docker repeats whole files. Units: bytes.
const MESSAGE_BYTES: usize = 400;
/// Time limit of one call of the engine's program, whose daemon may hang.
const TIME_LIMIT: Duration = Duration::from_secs(60);

#[derive(Clone, Debug)]
pub(crate) struct Engine {
    pub(crate) level: Level,
    pub(crate) host: Option<String>,
}

impl Engine {
    /// Errors: its program is not in the path.
    pub(crate) fn find(level: Level, containers: &Containers) -> Result<Self, Error> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let is_installed = std::env::split_paths(&path).any(|folder| folder.join(level.as_str()).is_file());
        let engine = Self { level, host: containers.host.clone() };
        if is_installed { Ok(engine) } else { Err(Error::NoEngine(level.as_str())) }
    }

    pub(crate) fn options(&self) -> Vec<OsString> {
        let mut options: Vec<OsString> = ["--log-level", "error"].map(Into::into).to_vec();
        let option = if self.level == Level::Podman { "--url" } else { "--host" };
        options.extend(self.host.iter().flat_map(|host| [option.into(), host.into()]));
        options
    }

    pub(crate) fn run(&self, args: &[OsString]) -> io::Result<Output> {
        let mut command = Command::new(self.level.as_str());
        let variables =
            Containers::CLIENT_VARIABLES.into_iter().filter_map(|name| Some((name, std::env::var_os(name)?)));
        command.args(self.options()).args(args).env_clear().envs(variables).stdin(Stdio::null());
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let pid = Pid::from_raw(child.id().cast_signed());
        let (sender, output) = mpsc::channel();
        std::thread::spawn(move || sender.send(child.wait_with_output()));
        output.recv_timeout(TIME_LIMIT).unwrap_or_else(|_| {
            let _ = kill(pid, Signal::SIGKILL);
            Err(io::Error::new(io::ErrorKind::TimedOut, format!("{} gave no answer", self.level)))
        })
    }

    pub(crate) fn run_words<const N: usize>(&self, words: [&str; N]) -> io::Result<Output> {
        self.run(&words.map(OsString::from))
    }

    pub(crate) fn remove(&self, name: &str) {
        // The container may be gone. A remaining one is removed at the next start of the runner.
        let _ = self.run_words(["rm", "-f", name]);
    }

    /// One sentence from the engine's error output, or from the output of the first process.
    pub(crate) fn explain(&self, output: &[u8], image: &str) -> String {
        let output = String::from_utf8_lossy(output);
        let mut lines = output.lines().rev().map(str::trim);
        let message = lines.find(|line| !line.is_empty() && !line.starts_with("Run 'docker")).unwrap_or("no message");
        let contains = |parts: &[&str]| parts.iter().any(|part| output.contains(part));
        let cause = if contains(&["image not known", "No such image", "no such image"]) {
            format!("the image {image} is not on this machine: `{} pull {image}`", self.level)
        } else if contains(&["GLIBC", "loading shared libraries", PROGRAM]) {
            format!(
                "the image {image} cannot run the runner's program: use one with glibc and libgcc as new as this machine's"
            )
        } else if contains(&["connect to the Docker daemon", "docker.sock", "Cannot connect to Podman"]) {
            format!("{} is not running, or this user may not use it", self.level)
        } else {
            format!("{} failed", self.level)
        };
        let message = message.get(..message.floor_char_boundary(MESSAGE_BYTES)).unwrap_or_default();
        format!("{cause} ({message})")
    }
}

/// Removes every container with the label, which no living process may use. Returns their count.
pub fn remove_left_containers(level: Level, containers: &Containers) -> Result<usize, Error> {
    let engine = Engine::find(level, containers)?;
    let filter = format!("label={LABEL}={}", containers.label);
    let list = engine.run_words(["ps", "-aq", "--filter", &filter]).map_err(Error::io("list containers"))?;
    if !list.status.success() {
        return Err(Error::NotStarted(engine.explain(&list.stderr, &containers.image)));
    }
    let list = String::from_utf8_lossy(&list.stdout).into_owned();
    list.split_whitespace().for_each(|id| engine.remove(id));
    let _ = fs::remove_dir_all(&containers.folder);
    Ok(list.split_whitespace().count())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failure_says_what_helps() {
        let engine = Engine { level: Level::Docker, host: None };
        let check = |output: &str, expected: &str| {
            let sentence = engine.explain(output.as_bytes(), "executor:1");
            assert!(sentence.contains(expected), "{sentence}");
        };
        check("docker: Error: No such image: executor:1.\nRun 'docker run --help'", "`docker pull executor:1`");
        check("/run/pullyard-program: /lib/libc.so.6: version `GLIBC_2.38' not found", "glibc");
        check("Cannot connect to the Docker daemon at unix:///var/run/docker.sock.", "not running");
    }
}
