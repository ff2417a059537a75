//! `pullyard runs watch`: prints each change of a run until it ends; on a terminal, one line that changes.

use super::step_cells::{step_symbol, took};
use crate::client::prelude::*;
use crate::client::table::truncate;
use pullyard_domain::job::JobStatus;
use pullyard_domain::project::budget::format_usd;
use pullyard_domain::run::{RunState, StepState};
use pullyard_domain::text::id::{JobId, RunId};
use pullyard_protocol::job::{Explanation, Job};
use pullyard_protocol::run::{Run, RunStep};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

const POLL_INTERVAL: Duration = Duration::from_secs(2);

/// Time without an answer of the server, such as during its update, after which the watch ends.
const MAX_SILENCE: Duration = Duration::from_secs(600);

/// More open jobs are not read for the line.
const MAX_READ_JOBS: usize = 4;

type Jobs = BTreeMap<JobId, Job>;

pub(in crate::client) async fn watch(session: &Session, id: &RunId) -> Result<(), CliError> {
    let run = tokio::select! {
        ended = follow(session, id) => {
            session.screen.end_progress();
            ended?
        }
        _ = tokio::signal::ctrl_c() => {
            session.screen.end_progress();
            return Err(CliError::interrupted(&session.screen, &format!("run {} goes on", id.short())));
        }
    };
    print_end(session, &run).await
}

async fn follow(session: &Session, id: &RunId) -> Result<Run, CliError> {
    let screen = &session.screen;
    let (mut printed, mut wait, mut seen) = (BTreeMap::new(), None, Instant::now());
    loop {
        let run = match session.api.run(id).await {
            Err(error) if error.is_transient() && seen.elapsed() < MAX_SILENCE => {
                tokio::time::sleep(POLL_INTERVAL).await;
                continue;
            }
            Err(error) if error.is_transient() => {
                let help = format!("it goes on: `pullyard runs watch {}`", id.short());
                return Err(CliError::from(error).with_help(help));
            }
            run => run?,
        };
        seen = Instant::now();
        let mut jobs = Jobs::new();
        let open = run.steps.iter().filter(|step| step.state == StepState::Open);
        for job in open.filter_map(|step| step.job.as_ref()).take(MAX_READ_JOBS) {
            jobs.extend(session.api.job(job).await.ok().map(|read| (job.clone(), read)));
        }
        for step in &run.steps {
            let text = describe(step, &jobs);
            let is_changed = printed.get(&step.name) != Some(&text);
            if is_changed && (screen.width().is_none() || step.state == StepState::Asked) {
                screen.end_progress();
                let job = step.job.as_ref().and_then(|job| jobs.get(job));
                let asks = job.is_some_and(|job| job.status == JobStatus::AwaitingInput);
                print_change(screen, &run, step, &text, asks);
            }
            printed.insert(step.name.clone(), text);
        }
        if run.state != RunState::Running {
            return Ok(run);
        }
        let next = find_wait(&run);
        if wait.as_ref() != next.map(|why| &why.code)
            && let Some(why) = next
        {
            screen.end_progress();
            screen.note(&why.sentence);
            screen.hint(&why.help);
        }
        wait = next.map(|why| why.code.clone());
        let is_begun = |step: &&RunStep| step.state != StepState::Waiting;
        let mut steps: Vec<_> = run.steps.iter().filter(is_begun).collect();
        // The end of the line may be cut off.
        steps.sort_by_key(|step| step.state.is_terminal());
        let steps: Vec<_> = steps.into_iter().map(|step| describe_briefly(screen, step, &jobs)).collect();
        let line = sanitize(&steps.join(screen.symbol(" │ ", " | ")));
        screen.progress(&truncate(&line, screen.width().unwrap_or_default()));
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

/// The first wait of a run without a job or a question.
fn find_wait(run: &Run) -> Option<&Explanation> {
    let is_busy = run.steps.iter().any(|step| matches!(step.state, StepState::Open | StepState::Asked));
    let mut waits =
        run.steps.iter().filter(|step| step.state == StepState::Waiting).filter_map(|step| step.why.as_ref());
    waits.find(|why| !matches!(&*why.code, "starting" | "needs_steps")).filter(|_| !is_busy)
}

fn print_change(screen: &Screen, run: &Run, step: &RunStep, text: &str, asks: bool) {
    if step.state == StepState::Waiting && step.jobs == 0 {
        return;
    }
    screen.note(&format!("{}: {text}", step.name));
    if let (StepState::Open, Some(job)) = (step.state, step.job.as_ref().filter(|_| asks)) {
        screen.hint(&format!("`pullyard jobs answer {}`", job.short()));
    }
    if step.state == StepState::Asked {
        print_question(screen, run, step);
    }
}

/// Prints the question of a step that waits or has its answer, and the commands that answer it.
pub(super) fn print_question(screen: &Screen, run: &Run, step: &RunStep) {
    let is_known = step.state == StepState::Asked || step.answered_by.is_some();
    let Some(question) = step.question.as_ref().filter(|_| is_known) else { return };
    question.lines().for_each(|line| screen.note(line));
    let name = format!("{}/{}", run.id.short(), step.name);
    if step.state == StepState::Asked {
        screen.hint(&format!("`pullyard runs approve {name}`, or `pullyard runs refuse {name}`"));
    }
}

/// Without times, which would change with each look.
fn describe(step: &RunStep, jobs: &Jobs) -> String {
    let spent = || {
        let took = took(step).map(format::format_duration).unwrap_or_default();
        format!("{took}, {}", format_usd(step.spent_usd_micros))
    };
    match (step.state, &step.outcome) {
        (StepState::Open, _) => job_status(step, jobs),
        (StepState::Asked, _) => "waits for a user".into(),
        (StepState::Done, None) if step.job.is_none() => {
            format!("approved by {}", step.answered_by.as_deref().unwrap_or("a user"))
        }
        (StepState::Done, None) => format!("done in {}", spent()),
        (StepState::Done, Some(outcome)) => format!("{outcome} in {}", spent()),
        (StepState::Failed, _) if step.job.is_some() => format!("failed after {}", spent()),
        (state, _) => state.as_str().into(),
    }
}

fn describe_briefly(screen: &Screen, step: &RunStep, jobs: &Jobs) -> String {
    let (symbol, _) = step_symbol(screen, step.state);
    let state = match (step.state, &step.outcome) {
        (StepState::Open, _) => job_status(step, jobs),
        (_, outcome) => outcome.clone().unwrap_or_default(),
    };
    let took = took(step).map(format::format_duration).unwrap_or_default();
    let cost =
        if step.state.is_terminal() && step.job.is_some() { format_usd(step.spent_usd_micros) } else { String::new() };
    let parts = [&step.name, symbol, &state, &took, &cost];
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
}

/// `executing`, or `waiting: no runner`.
fn job_status(step: &RunStep, jobs: &Jobs) -> String {
    let Some(job) = step.job.as_ref().and_then(|job| jobs.get(job)) else { return "open".into() };
    let label = format::status_name(job.status).to_lowercase();
    match &job.waits {
        Some(waits) => format!("{label}: {}", waits.code.replace('_', " ")),
        None => label,
    }
}

async fn print_end(session: &Session, run: &Run) -> Result<(), CliError> {
    let screen = &session.screen;
    if screen.is_json() {
        screen.json(run)?;
    }
    let took = format::format_duration(run.ended.unwrap_or(run.created).since(run.created));
    let (short, cost) = (run.id.short(), format_usd(run.spent_usd_micros));
    if let Some(url) = run.pull_request.as_ref().filter(|_| !screen.is_json()) {
        screen.print_line(&sanitize(url))?;
    }
    if run.state == RunState::Completed {
        screen.note(&format!("Run {short} completed in {took}, {cost}."));
        return Ok(());
    }
    let why = run.failure.as_ref().map(|failure| format!(": {}", failure.sentence)).unwrap_or_default();
    screen.error(&format!("run {short} {} after {took}, {cost}{why}", run.state.as_str()));
    for step in run.steps.iter().filter(|step| matches!(step.state, StepState::Failed | StepState::Cancelled)) {
        // The run has ended, whether its jobs can be read or not.
        let failure = match &step.job {
            Some(job) => session.api.job(job).await.ok().and_then(|job| job.failure).map(|failure| failure.sentence),
            None => None,
        };
        let why = failure.or(step.why.as_ref().map(|why| why.sentence.clone())).unwrap_or_default();
        screen.note(&format!("{}: {why}", step.name));
    }
    match run.failure.as_ref().filter(|failure| failure.code != "step_failed") {
        Some(failure) => screen.help(&failure.help),
        None => screen.help(&format!("`pullyard runs resume {short}` starts the plan's steps that are not done")),
    }
    Err(CliError::silent(Exit::Ended))
}
