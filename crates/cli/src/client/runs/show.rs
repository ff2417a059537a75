//! `pullyard runs list`, `show` and `why`.

use super::step_cells::{step_symbol, took};
use super::{find_step, watch};
use crate::client::explain_job::explain_job;
use crate::client::pages::hint_more;
use crate::client::prelude::*;
use crate::client::refresh::show_list;
use pullyard_domain::run::{RunState, StepState};
use pullyard_domain::text::id::RunId;
use pullyard_domain::text::{capitalize, truncate};
use pullyard_protocol::run::{Run, RunPage};

/// List a project's runs, newest first.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  pullyard runs list\n  pullyard runs list --watch\n  pullyard runs list --json")]
pub(super) struct List {
    /// Continue after the page that printed this cursor.
    #[arg(long, value_name = "CURSOR", value_parser = crate::client::parse_cursor)]
    after: Option<String>,
    /// Refresh every two seconds until Ctrl-C.
    #[arg(long)]
    watch: bool,
}

impl List {
    pub(super) async fn run(self, session: &Session) -> Result<(), CliError> {
        let project = session.project().await?;
        let load = async || {
            let page = session.api.runs(&project, self.after.as_deref()).await?;
            session.ensure_project_exists(page.runs.is_empty(), &project).await?;
            Ok(page)
        };
        show_list(session, self.watch, load, |page| list(session, page)).await
    }
}

fn list(session: &Session, page: &RunPage) -> Result<(), CliError> {
    let columns =
        [Fixed("STATE"), Fixed("RUN"), Flexible("NAME"), Right("DONE"), Right("COST"), Right("TOOK"), Fixed("CREATED")];
    let mut table = Table::new(columns);
    for run in &page.runs {
        let ended = run.steps.iter().filter(|step| step.state.is_terminal()).count();
        let cells = [
            state_cell(&session.screen, run),
            Cell::new(run.id.short(), &run.id),
            Cell::text(&run.name),
            Cell::text(format!("{ended}/{}", run.steps.len())),
            format::dollars_cell(Some(run.spent_usd_micros), None),
            format::duration_cell(run.ended.unwrap_or_else(format::now).since(run.created)),
            format::time_cell(run.created),
        ];
        let waits = run.waits_for_group.as_ref().map(|group| format!("Waits for a place in the group {group}."));
        let failure = run.failure.as_ref().map(|failure| failure.sentence.clone());
        table.row_with(cells, &failure.or(waits).unwrap_or_default());
    }
    table.show(&session.screen, "No run yet. Start one with `pullyard run`.")?;
    hint_more(&session.screen, "runs list", page.next.as_ref());
    Ok(())
}

fn state_cell(screen: &Screen, run: &Run) -> Cell {
    let (symbol, ascii, label, colour) = match run.state {
        RunState::Running if run.cancelled => ("◐", "*", "Ending", Colour::Blue),
        RunState::Running if run.waits_for_group.is_some() => ("◌", ".", "Waiting", Colour::Grey),
        RunState::Running => ("◐", "*", "Running", Colour::Blue),
        RunState::Completed => ("✓", "+", "Completed", Colour::Green),
        RunState::Failed => ("✕", "x", "Failed", Colour::Red),
        RunState::Cancelled => ("⊘", "-", "Cancelled", Colour::Grey),
    };
    Cell::new(format!("{} {label}", screen.symbol(symbol, ascii)), run.state.as_str()).with_colour(colour)
}

fn step_cell(screen: &Screen, state: StepState) -> Cell {
    let (symbol, colour) = step_symbol(screen, state);
    let label = if state == StepState::Asked { "Needs answer".into() } else { capitalize(state.as_str()) };
    Cell::new(format!("{symbol} {label}"), state.as_str()).with_colour(colour)
}

pub(super) async fn show(session: &Session, id: &RunId) -> Result<(), CliError> {
    let run = session.api.run_with_plan(id).await?;
    session.screen.show(&run, |run| show_run(session, run))
}

fn show_run(session: &Session, run: &Run) -> Result<(), CliError> {
    let screen = &session.screen;
    let mut facts =
        vec![("Run", Cell::text(&run.id)), ("Name", Cell::text(&run.name)), ("State", state_cell(screen, run))];
    let parameters = run.params.iter().map(|(name, value)| truncate(&format!("{name}={value}"), 200));
    facts.extend(parameters.map(|parameter| ("Parameter", Cell::text(parameter))));
    facts.extend(run.failure.as_ref().map(|failure| ("Why", Cell::text(&failure.sentence))));
    let heading = if run.waits_for_group.is_some() { "Waits for group" } else { "Group" };
    facts.extend(run.group.as_ref().map(|group| (heading, Cell::text(group))));
    facts.extend([
        ("Repository", Cell::optional(run.repository.as_ref())),
        ("Branch", Cell::optional(run.branch.as_ref())),
        ("Pull request", Cell::optional(run.pull_request.as_ref())),
        ("Cost", format::dollars_cell(Some(run.spent_usd_micros), None)),
        ("Started by", Cell::text(&run.by)),
        ("Created", format::time_cell(run.created)),
    ]);
    facts.extend(run.resumed_by.as_ref().map(|by| ("Resumed by", Cell::text(by))));
    facts.extend(run.cancelled_by.as_ref().map(|by| ("Cancelled by", Cell::text(by))));
    facts.extend(run.cost_limit_usd_micros.map(|limit| ("Cost limit", format::dollars_cell(Some(limit), None))));
    facts.push(match run.ended {
        Some(ended) => ("Ended", format::time_cell(ended)),
        None => ("Time limit", Cell::text(run.time_limit)),
    });
    print_facts(screen, &facts)?;
    let columns = [Fixed("STATE"), Flexible("STEP"), Fixed("OUTCOME"), Fixed("JOB"), Right("TOOK"), Right("COST")];
    let mut table = Table::new(columns);
    for step in &run.steps {
        let cells = [
            step_cell(screen, step.state),
            Cell::text(&step.name),
            Cell::optional(step.outcome.as_ref()),
            format::job_cell(step.job.as_ref()),
            took(step).map_or_else(Cell::none, format::duration_cell),
            format::dollars_cell(step.job.as_ref().map(|_| step.spent_usd_micros), None),
        ];
        let is_explained = matches!(step.state, StepState::Done | StepState::Open) && step.answered_by.is_none();
        let why = match &step.why {
            Some(why) if !is_explained => why.sentence.as_str(),
            _ => step.pull_request.as_deref().unwrap_or_default(),
        };
        table.row_with(cells, why);
    }
    table.show(screen, "")?;
    run.steps.iter().for_each(|step| watch::print_question(screen, run, step));
    if let Some(help) = run.failure.as_ref().map(|failure| failure.help.as_str()) {
        screen.hint(help);
    }
    Ok(())
}

/// Explains a step, or each step that is not done.
pub(in crate::client) async fn explain(session: &Session, subject: &str) -> Result<(), CliError> {
    let (run, step) = subject.split_once('/').map_or((subject, None), |(run, step)| (run, Some(step)));
    let run = session.api.run(&session.resolve_run(run).await?).await?;
    if let Some(name) = step {
        let step = find_step(&run, name)?;
        if !session.screen.is_json() {
            watch::print_question(&session.screen, &run, step);
        }
        return match (&step.job, &step.why) {
            (Some(job), _) if step.state == StepState::Open => {
                explain_job(session, &format!("{name}, job {}: ", job.short()), job).await
            }
            (_, Some(why)) => session.screen.explain(why, &why.sentence, &why.help),
            (_, None) => session.screen.explain(step, &format!("{name} is {}.", step.state.as_str()), ""),
        };
    }
    if session.screen.is_json() {
        return session.screen.json(&run);
    }
    if run.state == RunState::Cancelled {
        let by = run.cancelled_by.as_deref().unwrap_or("a user");
        session.screen.print_line(&sanitize(&format!("Run {} was cancelled by {by}.", run.id.short())))?;
    }
    if let Some(failure) = &run.failure {
        // The help of failed steps is this command.
        let help = if failure.code == "step_failed" { "" } else { &failure.help };
        session.screen.explain(failure, &failure.sentence, help)?;
    }
    for step in run.steps.iter().filter(|step| step.state != StepState::Done) {
        if let Some(why) = step.why.as_ref().filter(|why| why.code != "stopped") {
            // A completed run needs no advice.
            let help = if run.state == RunState::Completed { "" } else { &why.help };
            session.screen.explain(why, &why.sentence, help)?;
        }
        if let (StepState::Asked, Some(question)) = (step.state, &step.question) {
            question.lines().for_each(|line| session.screen.note(line));
        }
    }
    if run.state == RunState::Completed {
        session.screen.print_line(&format!("Run {} is completed.", run.id.short()))?;
    }
    Ok(())
}
