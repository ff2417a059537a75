//! Files and commands that follow from the answers, and how they are printed and carried out.

use super::answers::Answers;
use super::checks::RunnerName;
use super::own_file::OwnFile;
use super::prompt::say;
use super::service::{Service, StartWith, Target, remove_secrets};
use crate::daemon::known_instances;
use crate::git::workspace::disk::create_private_dirs;
use crate::process::program::system_program;
use crate::process::signals::Signals;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;
use tokio::time::{Instant, sleep};

const ONLINE_LIMIT: Duration = Duration::from_secs(60);

pub(super) struct Plan {
    pub(super) answers: Answers,
    pub(super) target: Target,
    pub(super) folders: Vec<PathBuf>,
    pub(super) files: Vec<OwnFile>,
    pub(super) way: StartWith,
    pub(super) service: Service,
    /// May fail, with this sentence for the user.
    pub(super) optional: Option<(Vec<String>, String)>,
}

impl Plan {
    /// Files, folders and commands, without secrets.
    pub(super) fn describe(&self) -> String {
        let folders = self.folders.iter().filter(|folder| !folder.exists());
        let folders = folders.map(|folder| format!("# Will create {}\n", folder.display()));
        let files = self.files.iter().map(OwnFile::describe);
        let commands = self.service.commands.iter().chain(self.optional.iter().map(|(command, _)| command));
        let commands = commands.map(|command| format!("$ {}\n", command.join(" ")));
        files.chain(folders).chain(commands).collect::<String>().trim_end().to_owned()
    }

    /// Idempotent: a second `setup` with the same answers repeats all steps.
    pub(super) async fn carry_out(self, signals: &mut Signals) -> u8 {
        let name = self.answers.find("name").unwrap_or_default();
        let (url, work_dir) = (self.answers.find("api-url").unwrap_or_default(), &self.target.work_dir);
        let token = self.answers.parse().settings.token;
        let runner = RunnerName { url: &url, token: &token, name: &name, work_dir };
        // A process that is alive ends after its jobs. The new process has another instance.
        let earlier = known_instances(work_dir, &name, &url);
        let was_online = self.way != StartWith::Nothing && runner.is_online().await;
        let mut steps = Vec::new();
        let result = self.write_files(&mut steps).and_then(|()| self.run_commands(&mut steps));
        if let Err(reason) = result {
            say(&format!("error: {reason}"));
            steps.iter().for_each(|step: &String| say(&format!("Done before: {step}.")));
            say("Correct this and run `setup` again with the same options. Present answers are its defaults.");
            return 1;
        }
        steps.iter().for_each(|step| say(&format!("Done: {step}.")));
        if let Some((command, sentence)) = &self.optional
            && let Err(reason) = run_command(command)
        {
            say(&format!("warning: {reason} {sentence}"));
        }
        say("A project uses its runners after `pullyard settings set compute=runners`.");
        if self.way == StartWith::Nothing {
            say(&format!("Start {name} with `{}`.", self.service.log));
            return 0;
        }
        say(&format!("Waiting until {name} is online. It restarts after its running jobs."));
        let wait = async {
            let started = Instant::now();
            while started.elapsed() < ONLINE_LIMIT {
                let is_new = known_instances(work_dir, &name, &url).first() != earlier.first();
                if (is_new || !was_online) && runner.is_online().await {
                    return true;
                }
                sleep(Duration::from_secs(1)).await;
            }
            false
        };
        let is_online = tokio::select! { is_online = wait => is_online, _ = signals.next() => false };
        if is_online {
            let slots = self.answers.find("slots").unwrap_or_default();
            say(&format!("{name} is online with {slots} slots. Stop it with `{}`.", self.service.stop));
            0
        } else if was_online && runner.is_online().await {
            say(&format!(
                "{name} is still running its jobs, and restarts after them. Its log: `{}`.",
                self.service.log
            ));
            0
        } else {
            say(&format!("{name} is not online yet. Its log shows why: `{}`.", self.service.log));
            1
        }
    }

    fn write_files(&self, steps: &mut Vec<String>) -> Result<(), String> {
        for folder in self.folders.iter().filter(|folder| !folder.is_dir()) {
            let shown = folder.display();
            create_private_dirs(folder).map_err(|error| format!("Cannot create {shown}: {error}."))?;
            steps.push(format!("created {shown}"));
        }
        for file in &self.files {
            let shown = file.path.display();
            file.write().map_err(|error| format!("Cannot write {shown}: {error}"))?;
            steps.push(format!("wrote {shown}"));
        }
        Ok(())
    }

    fn run_commands(&self, steps: &mut Vec<String>) -> Result<(), String> {
        for command in &self.service.commands {
            run_command(command)?;
            steps.push(format!("ran `{}`", command.join(" ")));
        }
        Ok(())
    }
}

/// Errors: a sentence.
fn run_command(command: &[String]) -> Result<(), String> {
    let line = command.join(" ");
    let (program, args) = command.split_first().ok_or("There is no command.")?;
    let mut command = Command::new(system_program(program));
    remove_secrets(&mut command);
    match command.args(args).stdin(Stdio::null()).status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("`{line}` failed ({status}).")),
        Err(error) => Err(format!("`{line}` cannot start: {error}.")),
    }
}
