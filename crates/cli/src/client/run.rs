//! `pullyard run`: starts the run of a prompt or of a plan file.

use super::choices::agent_choices;
use super::runs::parse_dollars;
use super::runs::placed_fault::PlacedFault;
use super::runs::plan_file::{self, FAULT_HELP, PlanFile, count_faults};
use super::runs::watch;
use super::screen::write_stderr;
use crate::client::prelude::*;
use pullyard_domain::agent::ChoiceLevel;
use pullyard_domain::job::Priority;
use pullyard_domain::project::plan::{MAX_NAME_CHARS, MAX_SHOWN_FAULTS};
use pullyard_domain::project::template::TemplateId;
use pullyard_domain::text::id::{EventId, RepositoryName, TemplateName};
use pullyard_domain::text::truncate;
use pullyard_protocol::problem::PlanFault;
use pullyard_protocol::run::{Run as StartedRun, StartRun};
use pullyard_protocol::template::StartTemplate;
use serde_json::{Map, Number, Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Start a run: one task for one agent, or a plan for several; prints its id.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  pullyard run -p 'Improve the parser error message' --check 'pytest tests/test_parser.py' --watch
  pullyard run -f plan.yaml --param task='Retry on 503' --watch
  pullyard run --template fix --param task='Retry on 503'")]
#[command(group = clap::ArgGroup::new("work").required(true).args(["prompt", "file", "template"]))]
pub(crate) struct Run {
    /// Task of one agent.
    #[arg(long, short, value_name = "TEXT", conflicts_with = "params")]
    prompt: Option<String>,
    /// Plan in YAML or JSON; - reads stdin. `pullyard runs init` prints one.
    #[arg(long, short, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    file: Option<PathBuf>,
    /// Template of the project; `pullyard templates` lists them.
    #[arg(long, value_name = "NAME")]
    template: Option<TemplateName>,
    /// Command that checks the work; can be repeated (default: the repository's, else the project's).
    #[arg(long = "check", value_name = "COMMAND", conflicts_with_all = ["file", "template"])]
    checks: Vec<String>,
    /// Agent (default: the repository's, else the project's).
    #[arg(long, value_name = "AGENT", value_parser = agent_choices(ChoiceLevel::Job), conflicts_with_all = ["file", "template"])]
    agent: Option<String>,
    /// Cost limit in US dollars (default: the project's).
    #[arg(long, value_name = "N", value_parser = parse_dollars, conflicts_with_all = ["file", "template"])]
    cost_usd: Option<Number>,
    /// Group of runs, of which one works at once; the others wait.
    #[arg(long, value_name = "NAME", conflicts_with_all = ["file", "template"])]
    group: Option<String>,
    /// Priority of its job, and of the run in its group (default: normal).
    #[arg(long, value_name = "PRIORITY", value_parser = Priority::ALL.map(Priority::as_str), conflicts_with_all = ["file", "template"])]
    priority: Option<String>,
    #[command(flatten)]
    start: Start,
}

/// The flags of each start of a plan.
#[derive(clap::Args)]
pub(super) struct Start {
    /// Value of a parameter of the plan; can be repeated.
    #[arg(long = "param", value_name = "NAME=VALUE", value_parser = parse_param)]
    params: Vec<(String, String)>,
    /// Repository (default: the plan's, else the project's).
    #[arg(long, value_name = "OWNER/NAME")]
    repository: Option<RepositoryName>,
    /// Branch to start from (default: the plan's, else the repository's).
    #[arg(long, value_name = "BRANCH")]
    base: Option<String>,
    /// Own name of the run; repeating it with the same plan returns the same run.
    #[arg(long, value_name = "KEY")]
    run_id: Option<EventId>,
    /// Follow the run until it ends; exits with 6 if it failed or was cancelled.
    #[arg(long)]
    watch: bool,
}

pub(super) fn parse_param(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write it as NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

impl Run {
    pub(super) async fn run(self, session: &Session) -> Result<(), CliError> {
        if let Some(template) = self.template.clone() {
            return self.start.run_template(session, template).await;
        }
        let file = self.file.as_ref().map(|path| load_file(path)).transpose()?;
        let plan = match &file {
            Some((_, file)) => file.json.clone(),
            None => self.short_plan()?,
        };
        let Start { params, repository, base, run_id, watch } = self.start;
        let (project, params) = (session.project().await?, collect_params(params)?);
        let request = StartRun { project, plan, params, repository, base, run_id };
        let answer = session.api.start_run(&request, Some(&format::new_idempotency_key())).await;
        let answer = answer.map_err(CliError::from).inspect_err(|fault| print_faults_in(fault, file.as_ref()));
        // The server's help is for a file.
        let run = answer.map_err(|fault| match file.is_none() && !fault.plan_faults().is_empty() {
            true => fault.with_help("correct the flags"),
            false => fault,
        })?;
        show_started(session, &run, watch).await
    }

    /// A plan with one step.
    fn short_plan(&self) -> Result<Map<String, Value>, CliError> {
        let prompt = self.prompt.as_deref().unwrap_or_default().trim();
        let name = truncate(prompt.lines().next().unwrap_or_default(), MAX_NAME_CHARS);
        if name.is_empty() {
            return Err(CliError::usage("the prompt is empty"));
        }
        let step = without_nulls([
            ("name", json!("main")),
            ("prompt", json!(prompt)),
            ("checks", json!(Some(&self.checks).filter(|checks| !checks.is_empty()))),
            ("agent", json!(self.agent)),
            ("limits", json!(self.cost_usd.as_ref().map(|cost| json!({ "cost_usd": cost })))),
        ]);
        Ok(without_nulls([
            ("name", json!(name)),
            ("concurrency", json!(self.group.as_ref().map(|group| json!({ "group": group })))),
            ("priority", json!(self.priority)),
            ("steps", json!([step])),
        ]))
    }
}

fn without_nulls<const N: usize>(keys: [(&str, Value); N]) -> Map<String, Value> {
    let keys = keys.into_iter().filter(|(_, value)| !value.is_null());
    keys.map(|(key, value)| (key.to_owned(), value)).collect()
}

impl Start {
    pub(super) async fn run_template(self, session: &Session, name: TemplateName) -> Result<(), CliError> {
        let id = TemplateId { project: session.project().await?, name };
        let Self { params, repository, base, run_id, watch } = self;
        let request = StartTemplate { params: collect_params(params)?, repository, base, run_id };
        let answer = session.api.start_template(&id, &request, Some(&format::new_idempotency_key())).await;
        let run = answer.map_err(CliError::from).inspect_err(print_template_faults)?;
        show_started(session, &run, watch).await
    }
}

pub(super) fn collect_params(all: Vec<(String, String)>) -> Result<BTreeMap<String, String>, CliError> {
    let mut params = BTreeMap::new();
    for (name, value) in all {
        if params.contains_key(&name) {
            return Err(CliError::usage(format!("--param {name} is set twice")));
        }
        params.insert(name, value);
    }
    Ok(params)
}

/// Prints the id of a new run, or follows it.
async fn show_started(session: &Session, run: &StartedRun, watch: bool) -> Result<(), CliError> {
    let screen = &session.screen;
    if !watch && screen.is_json() {
        return screen.json(run);
    }
    if !screen.is_json() {
        screen.print_line(run.id.as_str())?;
    }
    if watch {
        return watch::watch(session, &run.id).await;
    }
    screen.hint(&format!("watch it with `pullyard runs watch {}`", run.id.short()));
    Ok(())
}

/// A fault that only the server finds: in the file, in a parameter, or in another flag.
fn describe(fault: &PlanFault, file: Option<&(String, PlanFile)>) -> String {
    let (pointer, text) = (fault.pointer.as_str(), &fault.fault);
    if let Some((name, plan)) = file.filter(|_| pointer.starts_with("/plan")) {
        return plan.place(fault).to_line(name);
    }
    let parameter = pointer.strip_prefix("/params/").map(|name| format!("--param {name}: "));
    // Without the index of a check.
    let key = pointer.trim_end_matches(|c: char| c == '/' || c.is_ascii_digit());
    let flag = || match key.rsplit_once('/').map_or("", |(_, key)| key) {
        key @ ("agent" | "base" | "group" | "prompt" | "repository") => format!("--{key}: "),
        "checks" => "--check: ".to_owned(),
        "cost_usd" => "--cost-usd: ".to_owned(),
        _ => String::new(),
    };
    sanitize(&format!("{}{text}", parameter.unwrap_or_else(flag)))
}

/// The name of the file for messages, and the plan. Prints its faults.
pub(super) fn load_file(path: &Path) -> Result<(String, PlanFile), CliError> {
    let (name, bytes) = plan_file::read(path)?;
    match PlanFile::parse(&bytes) {
        Ok(plan) => Ok((name, plan)),
        Err(faults) => {
            print_faults(faults.iter().map(|fault| fault.to_line(&name)));
            let fault = CliError::usage(count_faults(faults.len())).with_help(FAULT_HELP);
            let shown = faults.into_iter().take(MAX_SHOWN_FAULTS).map(PlacedFault::into_wire);
            Err(fault.with_plan_faults(shown.collect()))
        }
    }
}

/// Prints the faults of a plan that the server refused.
pub(super) fn print_faults_in(fault: &CliError, file: Option<&(String, PlanFile)>) {
    print_faults(fault.plan_faults().iter().map(|fault| describe(fault, file)));
}

/// No flag sets the keys of a template's steps, so these faults have their pointers.
fn print_template_faults(fault: &CliError) {
    let to_line = |fault: &PlanFault| match fault.pointer.strip_prefix("/plan/steps") {
        Some(key) => sanitize(&format!("/steps{key}  {}", fault.fault)),
        None => describe(fault, None),
    };
    print_faults(fault.plan_faults().iter().map(to_line));
}

fn print_faults(lines: impl Iterator<Item = String>) {
    lines.take(MAX_SHOWN_FAULTS).for_each(|line| write_stderr(&line));
}
