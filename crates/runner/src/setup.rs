//! `setup`: asks for the settings of a runner, checks each answer, writes them and a service, and starts it.
//! Nothing is written, registered or started before the user has confirmed the summary.

mod answers;
mod checks;
mod own_file;
mod prompt;
mod service;

use crate::agent::environment::Environment;
use crate::daemon::agents::detect_agents;
use crate::daemon::config_file::{default_path, load};
use crate::daemon::{Flags, known_instances};
use crate::git::workspace::disk::create_private_dirs;
use answers::{Answers, mask};
use checks::RunnerName;
use own_file::{OwnFile, load_own};
use prompt::{Abort, Question, Terminal, confirm, say};
use pullyard_domain::agent::ModelKey;
use service::{Service, StartWith, Target};
use std::ffi::OsString;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;
use tokio::time::{Instant, sleep};

const INTERRUPTED_EXIT: u8 = 130;
const DEFAULT_SLOTS: &str = "3";
const ONLINE_LIMIT: Duration = Duration::from_secs(60);

/// Set up this machine as a runner: ask, check, write the settings and a service, and start it.
///
/// Flags and variables answer questions. A second `setup` offers the present answers. For another runner on this
/// machine, name another file with --config. Exit codes: 0 done, 1 failed, 2 missing or refused setting, 130 cancelled.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "Examples:
  pullyard-runner setup
  PULLYARD_RUNNER_TOKEN=rnt_… pullyard-runner setup --yes --api-url https://pullyard.example --name kite
  sudo pullyard-runner setup --start-with systemd-system
  pullyard-runner setup --print")]
pub struct Setup {
    #[command(flatten)]
    pub(crate) flags: Flags,
    /// Ask nothing: use present answers and defaults.
    #[arg(long)]
    yes: bool,
    /// Print the files and commands, with secrets as `…`, and change nothing.
    #[arg(long)]
    print: bool,
    /// How the runner starts.
    #[arg(long, value_name = "WHAT", value_enum)]
    start_with: Option<StartWith>,
    /// Let a runner of systemd (user) stop at logout: do not run `loginctl enable-linger`.
    #[arg(long)]
    no_linger: bool,
}

struct Plan {
    answers: Answers,
    target: Target,
    files: Vec<OwnFile>,
    way: StartWith,
    service: Service,
    /// May fail, with this sentence for the user.
    optional: Option<(Vec<String>, &'static str)>,
}

impl Setup {
    /// Returns the exit code. `program` holds the arguments that lead to the runner's commands.
    pub async fn run(self, program: &[&str]) -> u8 {
        let terminal = Terminal::save();
        let result = tokio::select! {
            result = self.plan(program) => result,
            _ = tokio::signal::ctrl_c() => {
                // The thread of a hidden prompt still waits.
                terminal.iter().for_each(Terminal::restore);
                Err(Abort::Cancelled)
            }
        };
        match result {
            Ok(Some(plan)) => plan.carry_out().await,
            Ok(None) => 0,
            Err(Abort::Cancelled) => {
                say("\nCancelled. Nothing was changed.");
                INTERRUPTED_EXIT
            }
            Err(Abort::Missing(setting)) => self.refuse(&format!("A setting is missing. Set {setting}.")),
            Err(Abort::Refused(reason)) => self.refuse(&reason),
        }
    }

    fn refuse(&self, reason: &str) -> u8 {
        say(&format!("error: {reason}\nNothing was changed."));
        2
    }

    /// `None` if the plan was only printed.
    async fn plan(&self, program: &[&str]) -> Result<Option<Plan>, Abort> {
        let is_terminal = !self.yes && std::io::stdin().is_terminal();
        if !is_terminal && !self.yes {
            return Err(Abort::Refused("There is no terminal for questions. Use --yes.".into()));
        }
        let path = self.flags.config.clone().unwrap_or_else(default_path);
        let path = std::path::absolute(&path).map_err(|error| Abort::Refused(error.to_string()))?;
        load_own(&path).map_err(Abort::Refused)?;
        let file = load(&path).map_err(Abort::Refused)?.unwrap_or_default();
        let present_name = file.get("PULLYARD_RUNNER_NAME").cloned();
        let environment = |name: &str| std::env::var(name).ok();
        let answers = Answers::collect(self.flags.values(), self.flags.saved_api_url.clone(), &file, &environment);
        let mut interview = Interview { answers, is_terminal, present_name };
        let plan = interview.ask_all(self, program, path).await?;
        if self.print {
            plan.print();
            return Ok(None);
        }
        plan.summarize();
        if !self.yes {
            confirm("Continue?").await?;
        }
        Ok(Some(plan))
    }
}

struct Interview {
    answers: Answers,
    is_terminal: bool,
    /// Of the runner that the present file configures.
    present_name: Option<String>,
}

impl Interview {
    fn question(&self, name: &'static str, label: &str) -> Question {
        Question {
            label: label.into(),
            setting: crate::daemon::how_to_set(name),
            given: self.answers.given(name),
            default: self.answers.find(name),
            ..Question::default()
        }
    }

    /// The default of `start`.
    fn default_of(&self, name: &'static str) -> Option<String> {
        self.answers.parse().rows.into_iter().find(|row| row.name == name).map(|row| row.value)
    }

    async fn ask_all(&mut self, setup: &Setup, program: &[&str], path: PathBuf) -> Result<Plan, Abort> {
        let url = self.question("api-url", "API URL");
        let url = url.ask(self.is_terminal, async |url| checks::check_url(&self.answers, url).await).await?;
        let url = url.trim_end_matches('/').to_owned();
        self.answers.set("api-url", &url);
        let (token, only_name) = self.ask_token(&url).await?;
        let work_dir = self.answers.parse().settings.work_dir;
        let work_dir = std::path::absolute(&work_dir).map_err(|error| Abort::Refused(error.to_string()))?;
        self.answers.set("work-dir", &work_dir.display().to_string());
        self.ask_name(&url, &token, only_name, &work_dir).await?;
        let exe = std::env::current_exe().map_err(|error| Abort::Refused(error.to_string()))?;
        let program = std::iter::once(exe.display().to_string()).chain(program.iter().map(|word| (*word).to_owned()));
        let mut target = Target { program: program.collect(), config: path, work_dir, log_dir: None };
        let way = self.ask_start(setup, &target).await?;
        self.ask_keys(way).await?;
        self.ask_slots().await?;
        self.ask_isolation(way).await?;
        let log_dir = Question { is_optional: true, ..self.question("log-dir", "Folder for copies of job logs") };
        let log_dir = log_dir.ask(self.is_terminal, async |dir| checks::check_log_dir(&self.answers, dir)).await?;
        self.answers.set("log-dir", &log_dir);
        target.log_dir = Some(log_dir).filter(|dir| !dir.is_empty()).map(PathBuf::from);
        self.finish(setup, way, target)
    }

    /// Returns the token and the only name that it allows.
    async fn ask_token(&mut self, url: &str) -> Result<(String, Option<String>), Abort> {
        let only_name = std::cell::RefCell::new(None);
        let check = async |token: &str| {
            self.answers.check("token", token)?;
            let about = checks::load_token(url, token).await?;
            *only_name.borrow_mut() = about.runner.clone();
            Ok(checks::describe_token(&about))
        };
        let mut question =
            self.question("token", "Runner token (hidden; create one under Setup > Runners > Add runner)");
        question.is_secret = true;
        question.setting = "PULLYARD_RUNNER_TOKEN or --token-file".into();
        if self.answers.find("token-file").is_some() {
            let parsed = self.answers.parse();
            if let Some(error) = parsed.errors.into_iter().find(|error| error.is_token_error) {
                return Err(Abort::Refused(error.message));
            }
            question.given = Some(parsed.settings.token);
        }
        let token = question.ask(self.is_terminal, check).await?;
        if self.answers.find("token-file").is_none() {
            self.answers.set("token", &token);
        }
        Ok((token, only_name.into_inner()))
    }

    async fn ask_name(
        &mut self,
        url: &str,
        token: &str,
        only_name: Option<String>,
        work_dir: &std::path::Path,
    ) -> Result<(), Abort> {
        let mut question = self.question("name", "Name");
        question.default = only_name.clone().or(question.default).or_else(|| self.default_of("name"));
        let check = async |name: &str| {
            self.answers.check("name", name)?;
            if let Some(only) = only_name.as_ref().filter(|only| *only != name) {
                return Err(format!("The token is only for the runner {only}."));
            }
            if let Some(present) = self.present_name.as_ref().filter(|present| *present != name) {
                return Err(format!(
                    "The present file configures {present}. For a second runner, use `setup --config FILE`."
                ));
            }
            RunnerName { url, token, name, work_dir }.check().await
        };
        let name = question.ask(self.is_terminal, check).await?;
        self.answers.set("name", &name);
        Ok(())
    }

    async fn ask_start(&self, setup: &Setup, target: &Target) -> Result<StartWith, Abort> {
        let question = Question {
            label: StartWith::QUESTION.into(),
            setting: "--start-with".into(),
            given: setup.start_with.map(|way| way.number().to_string()),
            default: Some(StartWith::default_for(target).number().to_string()),
            ..Question::default()
        };
        let check = async |answer: &str| {
            let way = StartWith::parse(answer).ok_or("Use a number from 1 to 4.")?;
            way.check(target).map(|()| "usable".to_owned())
        };
        let answer = question.ask(self.is_terminal, check).await?;
        Ok(StartWith::parse(&answer).unwrap_or(StartWith::Nothing))
    }

    /// One question for each agent that is installed and has no other credential.
    async fn ask_keys(&mut self, way: StartWith) -> Result<(), Abort> {
        let values = self.answers.values.clone();
        let read = move |name: &str| values.get(name).map(OsString::from).or_else(|| std::env::var_os(name));
        let agents = match way {
            // They are in the image.
            StartWith::Compose => Vec::new(),
            _ => detect_agents(&Environment::from_fn(&read)).await,
        };
        agents.iter().for_each(|agent| say(&agent.describe()));
        for key in [ModelKey::AnthropicApiKey, ModelKey::OpenaiApiKey] {
            let spec = key.spec();
            let is_usable = agents.iter().any(|agent| agent.is_installed() && agent.uses(key));
            let has_other = |other: ModelKey| other.spec().provider == spec.provider && other != key;
            let has_other = ModelKey::ALL
                .into_iter()
                .any(|other| has_other(other) && self.answers.find(other.spec().variable).is_some());
            if has_other || !(is_usable || way == StartWith::Compose || self.answers.find(spec.variable).is_some()) {
                continue;
            }
            let question = Question {
                label: format!("{} (hidden; none: the projects' key)", spec.label),
                is_secret: true,
                is_optional: true,
                ..self.question(spec.variable, "")
            };
            let answer = question
                .ask(self.is_terminal, async |value| checks::check_key(&self.answers, key, value).await)
                .await?;
            self.answers.set(spec.variable, &answer);
        }
        Ok(())
    }

    async fn ask_slots(&mut self) -> Result<(), Abort> {
        let mut question = self.question("slots", "Jobs at once");
        question.default.get_or_insert(DEFAULT_SLOTS.into());
        let check = async |slots: &str| self.answers.check("slots", slots).map(|()| "accepted".to_owned());
        let slots = question.ask(self.is_terminal, check).await?;
        self.answers.set("slots", &slots);
        Ok(())
    }

    async fn ask_isolation(&mut self, way: StartWith) -> Result<(), Abort> {
        if way == StartWith::Compose {
            self.answers.set("isolation", "external");
            self.answers.set("PATH", "");
            return Ok(());
        }
        let mut question = self.question("isolation", "Isolation");
        question.default = question.default.or_else(|| self.default_of("isolation"));
        let check = async |level: &str| checks::check_level(&self.answers, level).await;
        let level = question.ask(self.is_terminal, check).await?;
        self.answers.set("isolation", &level);
        Ok(())
    }

    /// Checks all values together and describes what will be written and run.
    fn finish(&mut self, setup: &Setup, way: StartWith, target: Target) -> Result<Plan, Abort> {
        let parsed = self.answers.parse();
        if parsed.settings.containers.is_none() {
            self.answers.values.retain(|name, _| !name.starts_with("PULLYARD_CONTAINER_"));
        }
        let errors: Vec<_> = parsed.errors.iter().map(|error| error.message.as_str()).collect();
        if !errors.is_empty() {
            return Err(Abort::Refused(errors.join(" ")));
        }
        self.answers.check_values().map_err(Abort::Refused)?;
        let mut config = OwnFile::new(target.config.clone(), &self.answers.format(|_, value| value.to_owned()));
        config.masked = OwnFile::new(target.config.clone(), &self.answers.format(mask)).text;
        let mut service = way.service(&target);
        let files = [Some(config), service.file.take()].into_iter().flatten().collect();
        let user = nix::unistd::User::from_uid(nix::unistd::geteuid()).ok().flatten().map(|user| user.name);
        let lingers = user.is_some_and(|user| std::path::Path::new("/var/lib/systemd/linger").join(user).exists());
        let optional = (way == StartWith::SystemdUser && !lingers && !setup.no_linger).then(|| {
            let command = ["loginctl", "enable-linger"].map(str::to_owned).to_vec();
            (command, "The runner stops at your logout until an administrator runs `loginctl enable-linger` for you.")
        });
        let answers = std::mem::take(&mut self.answers);
        Ok(Plan { answers, target, files, way, service, optional })
    }
}

impl Plan {
    fn commands(&self) -> impl Iterator<Item = &Vec<String>> {
        self.service.commands.iter().chain(self.optional.iter().map(|(command, _)| command))
    }

    fn print(&self) {
        for file in &self.files {
            println!("# {}\n{}", file.path.display(), file.masked);
        }
        self.commands().for_each(|command| println!("$ {}", command.join(" ")));
    }

    fn summarize(&self) {
        self.files.iter().for_each(|file| say(&format!("Will write {} (0600).", file.path.display())));
        self.commands().for_each(|command| say(&format!("Will run `{}`.", command.join(" "))));
    }

    /// Idempotent: a second `setup` with the same answers repeats all steps.
    async fn carry_out(self) -> u8 {
        let name = self.answers.find("name").unwrap_or_default();
        let (url, work_dir) = (self.answers.find("api-url").unwrap_or_default(), &self.target.work_dir);
        let token = self.answers.parse().settings.token;
        let runner = RunnerName { url: &url, token: &token, name: &name, work_dir };
        // A process that is alive ends after its jobs. The new process has another instance.
        let earlier = known_instances(work_dir, &name, &url);
        let was_online = self.way != StartWith::Nothing && runner.is_online().await;
        let mut done = Vec::new();
        let steps = self.write_files(&mut done).and_then(|()| self.run_commands(&mut done));
        if let Err(reason) = steps {
            say(&format!("error: {reason}"));
            done.iter().for_each(|step: &String| say(&format!("Done before: {step}.")));
            say("Correct this and run `setup` again with the same options. Present answers are its defaults.");
            return 1;
        }
        done.iter().for_each(|step| say(&format!("Done: {step}.")));
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
        let is_online = tokio::select! { is_online = wait => is_online, _ = tokio::signal::ctrl_c() => false };
        if is_online {
            let slots = self.answers.find("slots").unwrap_or_default();
            say(&format!("{name} is online with {slots} slots. Stop it with `{}`.", self.service.stop));
            0
        } else {
            say(&format!("{name} is not online yet. Its log shows why: `{}`.", self.service.log));
            1
        }
    }

    fn write_files(&self, done: &mut Vec<String>) -> Result<(), String> {
        for folder in [&self.target.work_dir].into_iter().chain(&self.target.log_dir) {
            create_private_dirs(folder).map_err(|error| format!("Cannot create {}: {error}.", folder.display()))?;
        }
        for file in &self.files {
            let shown = file.path.display();
            file.write().map_err(|error| format!("Cannot write {shown}: {error}"))?;
            done.push(format!("wrote {shown}"));
        }
        Ok(())
    }

    fn run_commands(&self, done: &mut Vec<String>) -> Result<(), String> {
        for command in &self.service.commands {
            run_command(command)?;
            done.push(format!("ran `{}`", command.join(" ")));
        }
        Ok(())
    }
}

/// Errors: a sentence.
fn run_command(command: &[String]) -> Result<(), String> {
    let line = command.join(" ");
    let (program, args) = command.split_first().ok_or("There is no command.")?;
    let program = crate::process::program::system_program(program);
    match Command::new(program).args(args).stdin(Stdio::null()).status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("`{line}` failed ({status}).")),
        Err(error) => Err(format!("`{line}` cannot start: {error}.")),
    }
}
