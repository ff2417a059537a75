//! `setup`: asks for the settings of a runner, checks each answer, writes them and a service, and starts it.
//! Nothing is written, registered or started before the user has confirmed the summary.

mod answers;
mod checks;
mod own_file;
mod plan;
mod prompt;
mod service;

use crate::agent::environment::Environment;
use crate::daemon::agents::detect_agents;
use crate::daemon::config_file::{default_path, load, variable};
use crate::daemon::setting_names::{VARIABLES, variables};
use crate::daemon::{Flags, how_to_set};
use answers::{Answers, mask};
use checks::{Checked, RunnerName};
use own_file::{OwnFile, load_own};
use plan::Plan;
use prompt::{Abort, Question, Terminal, confirm, say};
use pullyard_domain::agent::ModelKey;
use service::{StartWith, Target};
use std::cell::RefCell;
use std::ffi::OsString;
use std::io::IsTerminal;
use std::path::{Path, PathBuf, absolute};

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
        let path = absolute(&path).map_err(|error| Abort::Refused(error.to_string()))?;
        load_own(&path).map_err(Abort::Refused)?;
        let file = load(&path).map_err(Abort::Refused)?.unwrap_or_default();
        let present_name = variables("name").iter().find_map(|name| file.get(*name).cloned());
        let answers = Answers::collect(self.flags.values(), self.flags.saved_api_url.clone(), &file, &variable);
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
            setting: how_to_set(name),
            given: self.answers.given(name),
            default: self.answers.find(name),
            ..Question::default()
        }
    }

    /// The default of `start`.
    fn default_of(&self, name: &'static str) -> Option<String> {
        self.answers.parse().rows.into_iter().find(|row| row.name == name).map(|row| row.value)
    }

    /// Asks until the answer passes the check, and stores it.
    async fn ask(
        &mut self,
        name: &str,
        question: Question,
        check: impl AsyncFn(&Answers, &str) -> Checked,
    ) -> Result<String, Abort> {
        let answer = question.ask(self.is_terminal, async |text| check(&self.answers, text).await).await?;
        self.answers.set(name, &answer);
        Ok(answer)
    }

    async fn ask_all(&mut self, setup: &Setup, program: &[&str], path: PathBuf) -> Result<Plan, Abort> {
        let url = self.question("api-url", "API URL");
        self.ask("api-url", url, async |answers, url| checks::check_url(answers, url).await).await?;
        let url = self.answers.parse().settings.api_url;
        let (token, only_name) = self.ask_token(&url).await?;
        let work_dir = self.answers.parse().settings.work_dir;
        let work_dir = absolute(&work_dir).map_err(|error| Abort::Refused(error.to_string()))?;
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
        let log_dir = self.ask("log-dir", log_dir, async |answers, dir| checks::check_log_dir(answers, dir)).await?;
        target.log_dir = Some(log_dir).filter(|dir| !dir.is_empty()).map(PathBuf::from);
        self.finish(setup, way, target)
    }

    /// Returns the token and the only name that it allows.
    async fn ask_token(&mut self, url: &str) -> Result<(String, Option<String>), Abort> {
        let mut question =
            self.question("token", "Runner token (hidden; create one under Setup > Runners > Add runner)");
        question.is_secret = true;
        question.setting = "PULLYARD_RUNNER_TOKEN or --token-file".into();
        let has_file = self.answers.find("token-file").is_some();
        if let Some(file) = self.answers.find("token-file") {
            // The service starts in another folder.
            let file = absolute(&file).map_err(|error| Abort::Refused(error.to_string()))?;
            self.answers.set("token-file", &file.display().to_string());
            let parsed = self.answers.parse();
            if let Some(error) = parsed.errors.into_iter().find(|error| error.is_token_error) {
                return Err(Abort::Refused(error.message));
            }
            question.given = Some(parsed.settings.token);
        }
        let only_name = RefCell::new(None);
        let check = async |token: &str| {
            self.answers.check("token", token)?;
            let about = checks::load_token(url, token).await?;
            *only_name.borrow_mut() = about.runner.clone();
            Ok(checks::describe_token(&about))
        };
        let token = question.ask(self.is_terminal, check).await?;
        if !has_file {
            self.answers.set("token", &token);
        }
        Ok((token, only_name.into_inner()))
    }

    async fn ask_name(
        &mut self,
        url: &str,
        token: &str,
        only_name: Option<String>,
        work_dir: &Path,
    ) -> Result<(), Abort> {
        let mut question = self.question("name", "Name");
        question.default = only_name.clone().or(question.default).or_else(|| self.default_of("name"));
        let present_name = self.present_name.clone();
        let check = async |answers: &Answers, name: &str| {
            answers.check("name", name)?;
            if let Some(only) = only_name.as_ref().filter(|only| *only != name) {
                return Err(format!("The token is only for the runner {only}."));
            }
            if let Some(present) = present_name.as_ref().filter(|present| *present != name) {
                return Err(format!(
                    "The present file configures {present}. For a second runner, use `setup --config FILE`."
                ));
            }
            RunnerName { url, token, name, work_dir }.check().await
        };
        self.ask("name", question, check).await.map(drop)
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
        let read =
            move |name: &str| values.get(name).map(OsString::from).or_else(|| Environment::from_process().get(name));
        let agents = match way {
            // They are in the image.
            StartWith::Compose => Vec::new(),
            _ => detect_agents(&Environment::from_fn(&read)).await,
        };
        agents.iter().for_each(|agent| say(&agent.describe()));
        for key in ModelKey::ALL.into_iter().filter(|key| key.spec().is_testable) {
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
            self.ask(spec.variable, question, async |answers, value| checks::check_key(answers, key, value).await)
                .await?;
        }
        Ok(())
    }

    async fn ask_slots(&mut self) -> Result<(), Abort> {
        let mut question = self.question("slots", "Jobs at once");
        question.default.get_or_insert(DEFAULT_SLOTS.into());
        let check = async |answers: &Answers, slots: &str| answers.check("slots", slots).map(|()| "accepted".into());
        self.ask("slots", question, check).await.map(drop)
    }

    async fn ask_isolation(&mut self, way: StartWith) -> Result<(), Abort> {
        let mut question = self.question("isolation", "Isolation");
        if way == StartWith::Compose {
            if question.given.is_some_and(|level| level != "external") {
                return Err(Abort::Refused("With compose, the isolation is `external`.".into()));
            }
            self.answers.set("isolation", "external");
            self.answers.set("PATH", "");
            return Ok(());
        }
        question.default = question.default.or_else(|| self.default_of("isolation"));
        self.ask("isolation", question, async |answers, level| checks::check_level(answers, level).await)
            .await
            .map(drop)
    }

    /// Checks all values together and describes what will be written and run.
    fn finish(&mut self, setup: &Setup, way: StartWith, target: Target) -> Result<Plan, Abort> {
        let parsed = self.answers.parse();
        if way == StartWith::Compose && self.answers.find("token-file").is_some() {
            self.answers.set("token-file", "");
            self.answers.set("token", &parsed.settings.token);
        }
        if parsed.settings.containers.is_none() {
            let settings = VARIABLES.iter().filter(|(setting, _)| setting.starts_with("container-"));
            settings.for_each(|(setting, _)| self.answers.set(setting, ""));
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
        let lingers = user.is_some_and(|user| Path::new("/var/lib/systemd/linger").join(user).exists());
        let optional = (way == StartWith::SystemdUser && !lingers && !setup.no_linger).then(|| {
            let command = ["loginctl", "enable-linger"].map(str::to_owned).to_vec();
            (command, "The runner stops at your logout until an administrator runs `loginctl enable-linger` for you.")
        });
        let answers = std::mem::take(&mut self.answers);
        Ok(Plan { answers, target, files, way, service, optional })
    }
}
