//! `pullyard runs`: plan files, which need no server, and the runs of plans.

pub(super) mod check;
pub(super) mod placed_fault;
pub(super) mod plan_file;
mod pull_request;
mod show;
mod step_cells;
mod trace;
pub(super) mod watch;
mod yaml;

pub(super) use show::explain;

use super::{Global, saved_url};
use crate::client::prelude::*;
use pullyard_domain::text::id::{JobId, RunId};
use pullyard_protocol::run::{ResumeRun, Run, RunStep};
use serde_json::Number;
use std::path::PathBuf;

const CONTRIBUTOR_PLAN: &str = include_str!("runs/contributor.yaml");

/// List, show, follow, cancel, resume and answer runs; write and check their plans.
///
/// Name a run by its id, by the id's last (K3TZ) or first characters, or by @last; a step by RUN/STEP.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  pullyard runs init > plan.yaml
  pullyard runs check plan.yaml
  pullyard runs show @last")]
pub(crate) struct Runs {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    list: show::List,
}

#[derive(Subcommand)]
enum Command {
    /// Print a plan to start from: plan, implement, review, and fix what the review found.
    #[command(after_help = "Examples:\n  pullyard runs init > plan.yaml")]
    Init,
    /// Check a plan, and list its faults with line and column; needs a server only with a project.
    ///
    /// With --project or PULLYARD_PROJECT, a plan without faults is also checked by the rules of the project. Exits
    /// with 1 for a fault.
    #[command(after_help = "Examples:
  pullyard runs check plan.yaml
  pullyard runs check plan.yaml --project acme
  pullyard runs check - < plan.yaml
  pullyard runs check plan.yaml --json")]
    Check {
        /// Plan in YAML or JSON; - reads stdin.
        #[arg(value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
        file: PathBuf,
    },
    List(show::List),
    /// Show a run and its steps.
    #[command(after_help = "Examples:\n  pullyard runs show K3TZ\n  pullyard runs show @last --json")]
    Show(RunArg),
    /// Follow a run until it ends; exits with 6 if it failed or was cancelled.
    #[command(after_help = "Examples:\n  pullyard runs watch K3TZ\n  pullyard runs watch @last --json")]
    Watch(RunArg),
    /// Explain each step of a run that is not done, or one step.
    #[command(after_help = "Examples:\n  pullyard runs why K3TZ\n  pullyard runs why @last/review")]
    Why {
        /// Run or step.
        #[arg(value_name = "RUN[/STEP]")]
        subject: String,
    },
    /// Print the log of a step's newest job.
    #[command(after_help = "Examples:\n  pullyard runs logs K3TZ/review\n  pullyard runs logs @last/main -f")]
    Logs {
        #[command(flatten)]
        step: StepArg,
        /// Follow the log until the job ends; exits with 6 if it failed or was cancelled.
        #[arg(long, short)]
        follow: bool,
    },
    /// Show the results of the checks of each step's newest job.
    ///
    /// Results appear once an attempt has ended; a check that did not run has none.
    /// `pullyard jobs checks JOB --output NAME` prints an output.
    #[command(after_help = "Examples:\n  pullyard runs checks K3TZ\n  pullyard runs checks @last --json")]
    Checks(RunArg),
    /// Print each event of a step's newest job as one JSON document per line.
    #[command(after_help = "Examples:\n  pullyard runs events K3TZ/review\n  pullyard runs events @last/main --json")]
    Events(StepArg),
    /// List the artifacts of a step's newest job; `pullyard jobs artifacts JOB NAME` prints one.
    #[command(after_help = "Examples:\n  pullyard runs artifacts K3TZ/fix")]
    Artifacts(StepArg),
    /// Show agent, model, session and usage of each attempt of a step's newest job.
    #[command(after_help = "Examples:\n  pullyard runs provenance K3TZ/fix")]
    Provenance(StepArg),
    /// Show when each step, and each attempt of its jobs, began and ended.
    #[command(after_help = "Examples:\n  pullyard runs trace K3TZ\n  pullyard runs trace @last --json")]
    Trace(RunArg),
    /// Cancel a run: its jobs stop within a minute, and pushed work stays.
    #[command(after_help = "Examples:\n  pullyard runs cancel K3TZ --yes")]
    Cancel {
        #[command(flatten)]
        run: RunArg,
        /// Skip the confirmation.
        #[arg(long, short)]
        yes: bool,
    },
    /// Resume a failed or cancelled run: done steps stay, and the plan's other steps start again.
    #[command(after_help = "Examples:\n  pullyard runs resume K3TZ\n  pullyard runs resume K3TZ --cost-usd 30 --watch")]
    Resume {
        #[command(flatten)]
        run: RunArg,
        /// New cost limit in US dollars, for a plan that has one.
        #[arg(long, value_name = "N", value_parser = parse_dollars)]
        cost_usd: Option<Number>,
        /// Follow the run until it ends; exits with 6 if it failed or was cancelled.
        #[arg(long)]
        watch: bool,
    },
    /// Approve a step that asks; the steps that need it then start.
    #[command(after_help = "Examples:\n  pullyard runs approve K3TZ/ask")]
    Approve(StepArg),
    /// Refuse a step that asks, which is a failure of the step.
    #[command(after_help = "Examples:\n  pullyard runs refuse K3TZ/ask")]
    Refuse(StepArg),
    /// Open the pull request of a step, or merge one.
    Pr(pull_request::PullRequest),
}

#[derive(clap::Args)]
struct RunArg {
    /// Run id.
    #[arg(value_name = "RUN")]
    id: String,
}

#[derive(clap::Args)]
struct StepArg {
    /// Run id and name of the step.
    #[arg(value_name = "RUN/STEP")]
    step: String,
}

impl RunArg {
    async fn resolve(&self, session: &Session) -> Result<RunId, CliError> {
        session.resolve_run(&self.id).await
    }
}

impl StepArg {
    async fn load(&self, session: &Session) -> Result<(RunId, RunStep), CliError> {
        let unnamed = || CliError::usage(format!("{} names no step", self.step)).with_help("write it as RUN/STEP");
        let (run, step) = self.step.split_once('/').filter(|(_, step)| !step.is_empty()).ok_or_else(unnamed)?;
        let run = session.api.run(&session.resolve_run(run).await?).await?;
        Ok((run.id.clone(), find_step(&run, step)?.clone()))
    }

    async fn answer(&self, session: &Session, answer: &str) -> Result<(), CliError> {
        let (id, RunStep { name, .. }) = self.load(session).await?;
        let run = session.api.answer_step(&id, &name, answer).await?;
        let done = if answer == "approve" { "Approved" } else { "Refused" };
        session.screen.report(&run, &format!("{done} {name} of run {}.", id.short()))
    }

    async fn job(&self, session: &Session) -> Result<JobId, CliError> {
        let (id, RunStep { name, job, question, .. }) = self.load(session).await?;
        let why = format!("`pullyard runs why {}/{name}` explains it", id.short());
        let fault = if question.is_some() { "asks a user, so it never has a job" } else { "has no job" };
        job.ok_or_else(|| CliError::not_found(format!("{name} {fault}")).with_help(why))
    }
}

pub(super) fn parse_dollars(text: &str) -> Result<Number, String> {
    text.parse().map_err(|_| "use an amount in dollars, such as 5 or 0.50".into())
}

/// Errors: `NotFound` with the names of all steps.
pub(super) fn find_step<'a>(run: &'a Run, name: &str) -> Result<&'a RunStep, CliError> {
    let names = || run.steps.iter().map(|step| step.name.as_str()).collect::<Vec<_>>().join(", ");
    let missing = || CliError::not_found(format!("run {} has no step {name}", run.id.short()));
    let found = run.steps.iter().find(|step| step.name == name);
    found.ok_or_else(|| missing().with_help(format!("its steps are {}", names())))
}

impl Runs {
    pub(super) fn is_local(&self) -> bool {
        matches!(self.command, Some(Command::Init | Command::Check { .. }))
    }

    pub(super) async fn run_locally(self, global: &Global, screen: &Screen) -> Result<(), CliError> {
        if let Some(Command::Check { file }) = self.command {
            let Some(session) = global.project().map(|_| Session::open(global)).transpose()? else {
                return check::check(screen, &file, None).await;
            };
            let checked = check::check(screen, &file, Some(&session)).await;
            return session.suggest_project(checked).await;
        }
        // The line is optional.
        if let Ok(Some((url, _))) = saved_url(global) {
            screen.print_line(&format!("# yaml-language-server: $schema={url}/plan.schema.json"))?;
        }
        screen.print_line(CONTRIBUTOR_PLAN.trim_end())
    }

    pub(super) async fn run(self, session: &Session) -> Result<(), CliError> {
        let screen = &session.screen;
        match self.command.unwrap_or(Command::List(self.list)) {
            Command::Init | Command::Check { .. } => Ok(()),
            Command::List(list) => list.run(session).await,
            Command::Show(run) => show::show(session, &run.resolve(session).await?).await,
            Command::Watch(run) => watch::watch(session, &run.resolve(session).await?).await,
            Command::Why { subject } => show::explain(session, &subject).await,
            Command::Logs { step, follow } => super::jobs::print_logs(session, &step.job(session).await?, follow).await,
            Command::Checks(run) => super::jobs::show_run_checks(session, &run.resolve(session).await?).await,
            Command::Events(step) => super::jobs::print_events(session, &step.job(session).await?).await,
            Command::Artifacts(step) => super::jobs::list_artifacts(session, &step.job(session).await?).await,
            Command::Provenance(step) => super::jobs::provenance(session, &step.job(session).await?).await,
            Command::Trace(run) => trace::trace(session, &run.resolve(session).await?).await,
            Command::Cancel { run, yes } => {
                let id = run.resolve(session).await?;
                let question = format!("Cancel run {}? Its jobs stop, and their work is not published.", id.short());
                confirm(screen, yes, &question)?;
                let run = session.api.cancel_run(&id).await?;
                screen.report(&run, &format!("Run {} ends; its jobs stop within a minute.", id.short()))
            }
            Command::Resume { run, cost_usd, watch } => {
                let id = run.resolve(session).await?;
                let run = session.api.resume_run(&id, &ResumeRun { cost_usd }).await?;
                if watch {
                    return watch::watch(session, &id).await;
                }
                screen.report(&run, &format!("Resumed run {}.", id.short()))
            }
            Command::Approve(step) => step.answer(session, "approve").await,
            Command::Refuse(step) => step.answer(session, "refuse").await,
            Command::Pr(pull_request) => pull_request.run(session).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contributor_plan_has_no_fault() {
        let report = check::report(String::new(), plan_file::PlanFile::parse(CONTRIBUTOR_PLAN.as_bytes()));
        assert_eq!((report.steps, report.count), (Some(4), 0));
        let plan = plan_file::PlanFile::parse(CONTRIBUTOR_PLAN.as_bytes()).unwrap();
        let json: serde_json::Value = serde_json::from_str(pullyard_domain::project::plan::CONTRIBUTOR_PLAN).unwrap();
        assert_eq!(json.as_object(), Some(&plan.json), "the page Templates adds the same plan");
    }
}
