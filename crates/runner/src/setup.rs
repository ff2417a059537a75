//! `setup`: prompts for the settings of a runner, checks each answer, writes the settings and a service, and starts it.
//! Before the user has confirmed the summary, it writes, registers and starts nothing.

mod answers;
mod checks;
mod own_file;
mod plan;
mod prompt;
mod service;

use crate::agent::environment::Environment;
use crate::args::hide_from_children;
use crate::daemon::agents::detect_agents;
use crate::daemon::config_file::{Lines, NO_FILE, check_value, default_path, load, variable};
use crate::daemon::output::print_line;
use crate::daemon::setting_names::{VARIABLES, variables};
use crate::daemon::{Flags, how_to_set};
use crate::git::NETWORK_ENVIRONMENT;
use crate::process::signals::Signals;
use answers::Answers;
use checks::{Checked, RunnerName};
use own_file::{OwnFile, load_own};
use plan::Plan;
use prompt::{Abort, Question, Terminal, confirm, say};
use pullyard_domain::agent::ModelKey;
use service::{StartWith, Target};
use std::cell::RefCell;
use std::ffi::OsString;
use std::io::IsTerminal;
use std::path::{PathBuf, absolute};

const INTERRUPTED_EXIT: u8 = 130;
const DEFAULT_SLOTS: &str = "3";

/// Set up this machine as a runner: ask, check, write the settings and a service, and start it.
///
/// Flags and variables answer questions. A second `setup` offers the present answers. For another runner on this
/// machine, name another file with --config. Exit codes: 0 done, 1 failed, 2 missing or refused setting, 130 cancelled.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "Examples:
  pullyard-runner setup
  PULLYARD_RUNNER_TOKEN=rnt_… pullyard-runner setup --yes --api-url https://pullyard.example --name kite
  sudo pullyard-runner setup --start-with systemd
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
}

impl Setup {
    /// Returns the exit code. `program` holds the arguments that lead to the runner's commands.
    pub async fn run(self, program: &[&str]) -> u8 {
        // Commands of this user are started, and this process has the token and keys.
        hide_from_children();
        let terminal = Terminal::save();
        let mut signals = match Signals::listen() {
            Ok(signals) => signals,
            Err(error) => return self.refuse(&format!("Failed to {error}.")),
        };
        let result = tokio::select! {
            result = self.plan(program) => result,
            code = signals.next() => {
                // The thread of a hidden prompt still waits.
                terminal.iter().for_each(Terminal::restore);
                say("\nCancelled. Nothing was changed.");
                return code;
            }
        };
        match result {
            Ok(Some(plan)) => plan.carry_out(&mut signals).await,
            Ok(None) => 0,
            Err(Abort::Cancelled) => {
                say("\nCancelled. Nothing was changed.");
                INTERRUPTED_EXIT
            }
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
        let path = match self.flags.config.clone() {
            Some(path) if path.as_os_str() == NO_FILE => {
                return Err("setup needs a file: name it with --config.".into());
            }
            Some(path) => path,
            None => default_path().ok_or("Set HOME, or name a file with --config.")?,
        };
        let path = absolute(&path).map_err(|error| error.to_string())?;
        load_own(&path)?;
        let Lines { values: file, unknown } = load(&path)?.unwrap_or_default();
        if let Some(line) = unknown.first() {
            let refusal = "has a name that this program does not know: delete it, or use the newer program that does";
            return Err(format!("Line {line} of {} {refusal}.", path.display()).into());
        }
        // Programs read a proxy under its name in upper and in lower case.
        let is_here = |name: &str| {
            NETWORK_ENVIRONMENT.iter().any(|one| one.eq_ignore_ascii_case(name) && variable(one).is_some())
        };
        let is_in_file = |name: &str| file.get(name).is_some_and(|value| !value.is_empty());
        if let Some(name) = NETWORK_ENVIRONMENT.iter().find(|name| is_in_file(name) && !is_here(name)) {
            let help = format!("Run `setup` with the same variable; sudo needs `--preserve-env={name}` for it");
            return Err(format!("{} sets {name}. {help}.", path.display()).into());
        }
        checks::check_machine().await?;
        let find = |setting| variables(setting).iter().find_map(|name| file.get(*name).cloned());
        let present = find("api-url").zip(find("name")).map(|(url, name)| PresentRunner { url, name });
        let mut answers = Answers::collect(self.flags.values(), self.flags.saved_api_url.clone(), &file, &variable);
        if answers.preset("token-file").is_some() {
            return Err("`setup` stores the token itself. Set PULLYARD_RUNNER_TOKEN instead of a token file.".into());
        }
        // The token replaces the present file's line.
        answers.set("token-file", "");
        let mut interview = Interview { answers, is_terminal, present };
        let plan = interview.ask_all(self, program, path).await?;
        if self.print {
            print_line(&plan.describe());
            return Ok(None);
        }
        say(&plan.describe());
        if !self.yes {
            confirm("Continue?").await?;
        }
        Ok(Some(plan))
    }
}

/// The runner that the present file configures.
struct PresentRunner {
    url: String,
    name: String,
}

struct Interview {
    answers: Answers,
    is_terminal: bool,
    present: Option<PresentRunner>,
}

impl Interview {
    /// Replacing the file of another runner would lose its token.
    fn check_present(&self, is_same: impl Fn(&PresentRunner) -> bool) -> Result<(), String> {
        let other = self.present.as_ref().filter(|present| !is_same(present));
        let Some(PresentRunner { url, name }) = other else { return Ok(()) };
        Err(format!(
            "The present file configures {name} at {url}. For a second runner, use `setup --config FILE`; \
             for another URL or name of this runner, edit the file first."
        ))
    }

    fn question(&self, name: &'static str, label: &str) -> Question {
        Question {
            label: label.into(),
            setting: how_to_set(name),
            preset: self.answers.preset(name),
            default: self.answers.find(name),
            ..Question::default()
        }
    }

    /// The default of `start`.
    fn default_of(&self, name: &'static str) -> Option<String> {
        self.answers.parse().rows.into_iter().find(|row| row.name == name).map(|row| row.value)
    }

    /// Prompts until the answer passes the check, and stores it.
    async fn ask(
        &mut self,
        name: &str,
        question: Question,
        check: impl AsyncFn(&Self, &str) -> Checked,
    ) -> Result<String, Abort> {
        let answer = question.ask(self.is_terminal, async |text| check(self, text).await).await?;
        self.answers.set(name, &answer);
        Ok(answer)
    }

    async fn ask_all(&mut self, setup: &Setup, program: &[&str], path: PathBuf) -> Result<Plan, Abort> {
        let url = self.question("api-url", "API URL");
        let check = async |this: &Self, url: &str| {
            this.check_present(|present| present.url.trim_end_matches('/') == url.trim_end_matches('/'))?;
            checks::check_url(&this.answers, url).await
        };
        self.ask("api-url", url, check).await?;
        let url = self.answers.parse().settings.api_url;
        let (token, only_name) = self.ask_token(&url).await?;
        let work_dir = self.answers.parse().settings.work_dir;
        let work_dir = absolute(&work_dir).map_err(|error| error.to_string())?;
        self.answers.set("work-dir", &work_dir.display().to_string());
        self.ask_name(&url, &token, only_name).await?;
        let exe = std::env::current_exe().map_err(|error| error.to_string())?;
        let program = std::iter::once(exe.display().to_string()).chain(program.iter().map(|word| (*word).to_owned()));
        let target = Target { program: program.collect(), config: path, work_dir };
        let way = self.ask_start(setup, &target).await?;
        self.ask_keys().await?;
        let forge_url = self.answers.parse().settings.forge_api_url;
        let label = format!(
            "Forge token of {forge_url} for repositories with `--credentials runner` \
             (hidden; --forge-api-url names another forge)"
        );
        let forge = self.question("forge-token", &label);
        let forge = Question { is_secret: true, is_optional: true, ..forge };
        let check = async |this: &Self, token: &str| checks::check_forge_token(&this.answers, token).await;
        self.ask("forge-token", forge, check).await?;
        let mut slots = self.question("slots", "Jobs at once");
        slots.default.get_or_insert(DEFAULT_SLOTS.into());
        let check = async |this: &Self, slots: &str| this.answers.check("slots", slots).map(|()| "accepted".into());
        self.ask("slots", slots, check).await?;
        let mut isolation = self.question("isolation", "Isolation");
        isolation.default = isolation.default.or_else(|| self.default_of("isolation"));
        let check = async |this: &Self, level: &str| checks::check_level(&this.answers, level, &target.config).await;
        self.ask("isolation", isolation, check).await?;
        let log_dir = Question { is_optional: true, ..self.question("log-dir", "Folder for copies of job logs") };
        let check = async |this: &Self, dir: &str| checks::check_log_dir(&this.answers, dir);
        self.ask("log-dir", log_dir, check).await?;
        self.finish(way, target)
    }

    /// Returns the token and the only name that it allows.
    async fn ask_token(&mut self, url: &str) -> Result<(String, Option<String>), Abort> {
        let mut question =
            self.question("token", "Runner token (hidden; create one under Setup > Runners > Add runner)");
        question.is_secret = true;
        question.setting = "PULLYARD_RUNNER_TOKEN".into();
        let only_name = RefCell::new(None);
        let check = async |token: &str| {
            self.answers.check("token", token)?;
            let about = checks::load_token(url, token).await?;
            *only_name.borrow_mut() = about.runner.clone();
            Ok(checks::describe_token(&about))
        };
        let token = question.ask(self.is_terminal, check).await?;
        self.answers.set("token", &token);
        Ok((token, only_name.into_inner()))
    }

    async fn ask_name(&mut self, url: &str, token: &str, only_name: Option<String>) -> Result<(), Abort> {
        let mut question = self.question("name", "Name");
        question.default = only_name.clone().or(question.default).or_else(|| self.default_of("name"));
        let check = async |this: &Self, name: &str| {
            this.answers.check("name", name)?;
            if let Some(only) = only_name.as_ref().filter(|only| *only != name) {
                return Err(format!("The token is only for the runner {only}."));
            }
            this.check_present(|present| present.name == name)?;
            RunnerName { url, token, name }.check(this.present.is_some()).await
        };
        self.ask("name", question, check).await.map(drop)
    }

    async fn ask_start(&self, setup: &Setup, target: &Target) -> Result<StartWith, Abort> {
        let question = Question {
            label: StartWith::QUESTION.into(),
            setting: "--start-with".into(),
            preset: setup.start_with.map(StartWith::name),
            default: Some(StartWith::default_for(target).name()),
            ..Question::default()
        };
        let check = async |answer: &str| {
            let way = StartWith::parse(answer).ok_or("Use one of these names.")?;
            way.check(target, &RunnerName::of(&self.answers.parse().settings)).await
        };
        let answer = question.ask(self.is_terminal, check).await?;
        Ok(StartWith::parse(&answer).unwrap_or(StartWith::Nothing))
    }

    /// One question for each provider of an installed agent.
    async fn ask_keys(&mut self) -> Result<(), Abort> {
        let values = self.answers.values.clone();
        let read =
            move |name: &str| values.get(name).map(OsString::from).or_else(|| Environment::from_process().get(name));
        let agents = detect_agents(&Environment::from_fn(&read)).await;
        agents.iter().for_each(|agent| say(&agent.describe()));
        for key in ModelKey::ALL.into_iter().filter(|key| key.spec().is_testable) {
            let spec = key.spec();
            let agent = agents.iter().find(|agent| agent.is_installed() && agent.uses(key));
            if agent.is_none() && self.answers.find(spec.variable).is_none() {
                continue;
            }
            let question = Question {
                label: format!("{} (hidden)", spec.label),
                is_secret: true,
                is_optional: true,
                ..self.question(spec.variable, "")
            };
            let check = async |this: &Self, value: &str| checks::check_key(&this.answers, key, value).await;
            self.ask(spec.variable, question, check).await?;
        }
        let installed: Vec<_> = agents.iter().filter(|agent| agent.is_installed()).map(|agent| agent.code()).collect();
        if !installed.is_empty() && self.answers.find("capabilities").is_none() {
            let codes = installed.join(",");
            say(&format!(
                "An agent without a key is not offered. If each project has a key, use --capabilities {codes},auto,command."
            ));
        }
        Ok(())
    }

    /// Checks all values together and describes what will be written and run.
    fn finish(&mut self, way: StartWith, target: Target) -> Result<Plan, Abort> {
        let parsed = self.answers.parse();
        if parsed.settings.containers.is_none() {
            let settings = VARIABLES.iter().filter(|(setting, _)| setting.starts_with("container-"));
            settings.for_each(|(setting, _)| self.answers.set(setting, ""));
        }
        let errors: Vec<_> = parsed.errors.iter().map(|error| error.message.as_str()).collect();
        if !errors.is_empty() {
            return Err(errors.join(" ").into());
        }
        for (name, value) in &self.answers.values {
            check_value(value).map_err(|reason| format!("{name} {reason}"))?;
        }
        let config = OwnFile::new(target.config.clone(), &self.answers.format(), 0o600);
        let mut service = way.service(&target)?;
        // The settings last: without a service, they mean that there is none.
        let files = service.file.take().into_iter().chain([config]).collect();
        let folders = std::iter::once(target.work_dir).chain(parsed.settings.log_dir.clone()).collect();
        Ok(Plan { settings: parsed.settings, folders, files, way, service })
    }
}
