//! Files and commands that follow from the answers, and how they are printed and carried out.

use super::checks::RunnerName;
use super::own_file::OwnFile;
use super::prompt::say;
use super::service::{Service, StartWith, run_command};
use crate::daemon::settings::Settings;
use crate::git::workspace::disk::create_private_dirs;
use crate::process::root_folder::is_root;
use crate::process::signals::Signals;
use std::path::PathBuf;
use std::time::Duration;
use tokio::time::{sleep, timeout};

const ONLINE_LIMIT: Duration = Duration::from_secs(60);

pub(super) struct Plan {
    pub(super) settings: Settings,
    pub(super) folders: Vec<PathBuf>,
    pub(super) files: Vec<OwnFile>,
    pub(super) way: StartWith,
    pub(super) service: Service,
}

impl Plan {
    /// Files, folders and commands, without secrets.
    pub(super) fn describe(&self) -> String {
        let folders = self.folders.iter().filter(|folder| !folder.exists());
        let folders = folders.map(|folder| format!("# Will create {}\n", folder.display()));
        let files = self.files.iter().map(OwnFile::describe);
        let commands = self.service.commands.iter().map(|command| format!("$ {command}\n"));
        let compute = "# A project uses its runners after `pullyard settings set compute=runners`.".to_owned();
        files.chain(folders).chain(commands).chain([compute]).collect()
    }

    /// Idempotent: a second `setup` with the same answers repeats all steps.
    pub(super) async fn carry_out(self, signals: &mut Signals) -> u8 {
        let Settings { name, slots, .. } = &self.settings;
        let (runner, log) = (RunnerName::of(&self.settings), &self.service.log);
        let was_online = runner.is_online().await;
        let mut steps = Vec::new();
        let result = self.write_files(&mut steps).and_then(|()| self.run_commands(&mut steps));
        if let Err(reason) = result {
            say(&format!("error: {reason}"));
            steps.iter().for_each(|step: &String| say(&format!("Done before: {step}.")));
            say("Correct this and run `setup` again with the same options. Present answers are its defaults.");
            return 1;
        }
        steps.iter().for_each(|step| say(&format!("Done: {step}.")));
        if self.way == StartWith::Nothing {
            match was_online {
                true => say(&format!(
                    "{name} runs with earlier settings until it restarts; without a service, stop it, then `{log}`."
                )),
                false => say(&format!("Start {name} with `{log}`.")),
            }
            return 0;
        }
        if !is_root() {
            say("It stops at your logout, unless `loginctl enable-linger` was run.");
        }
        if was_online {
            say(&format!("{name} restarts after its running jobs. Its log: `{log}`."));
            return 0;
        }
        say(&format!("Waiting until {name} is online."));
        let wait = timeout(ONLINE_LIMIT, async {
            while !runner.is_online().await {
                sleep(Duration::from_secs(1)).await;
            }
        });
        let code = tokio::select! { result = wait => u8::from(result.is_err()), code = signals.next() => code };
        match code {
            0 => say(&format!("{name} is online with {slots} slots. Stop it with `{}`.", self.service.stop)),
            _ => say(&format!("{name} is not online yet. Its log shows why: `{log}`.")),
        }
        code
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
            steps.push(format!("ran `{command}`"));
        }
        Ok(())
    }
}
