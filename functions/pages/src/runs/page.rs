//! The page of a run: its steps as a diagram and a list, as a waterfall of their times, or with their checks.

use super::checks::{StepChecks, load_checks};
use super::diagram::{Diagram, NODE_HEIGHT, NODE_WIDTH};
use super::orders::load_visible_run;
use super::pills::step_pill;
use crate::charts::percent;
use crate::hints::{Page, name_buttons};
use crate::prelude::*;
use pullyard_control::RunView;
use pullyard_domain::job::Job;
use pullyard_domain::project::budget::format_usd_exact;
use pullyard_domain::run::{FrozenPlan, Run, RunState, RunStep, RunWant, StepReason, StepState, StepWait};
use pullyard_domain::text::id::{JobId, RunId};
use pullyard_domain::text::pull_request_id::PullRequestId;
use pullyard_domain::text::truncate;
use std::collections::BTreeMap;

/// Longer names do not fit into a node.
const MAX_NODE_CHARS: usize = 19;
/// Jobs of a step in the waterfall, the newest: each refresh reads them.
const MAX_STEP_JOBS: u32 = 10;
const REFRESH_MS: u32 = 2_000;
/// Each load reads many jobs, or the attempts of all steps.
const SLOW_REFRESH_MS: u32 = 10_000;

#[derive(Template)]
#[template(path = "run.html")]
struct RunPage {
    frame: Frame,
    view: RunView,
    /// With the jobs that have not ended.
    spent: String,
    pull: Option<(String, u64)>,
    steps: Vec<StepRow>,
    tab: &'static str,
    /// Only of the tab `plan`.
    diagram: Option<Diagram>,
    /// Only of the tab `checks`.
    checks: Vec<StepChecks>,
    now: Timestamp,
}

struct StepRow {
    name: SafeText,
    short: SafeText,
    pill: Pill,
    job: Option<JobId>,
    /// Address of the pull request of its own branch.
    pull: Option<String>,
    outcome: SafeText,
    took: String,
    cost: String,
    sentence: Option<Help>,
    /// Begin of the bar in the waterfall. Units: percent of the run's time.
    begin: u64,
    share: u64,
    /// The part of the bar before the first attempt, if that is known.
    wait: u64,
}

pub(crate) async fn show(visit: PageContext, Path(id): Path<RunId>) -> Result<Response, Fault> {
    render(&visit, &id, "plan").await
}

pub(crate) async fn show_waterfall(visit: PageContext, Path(id): Path<RunId>) -> Result<Response, Fault> {
    render(&visit, &id, "waterfall").await
}

pub(crate) async fn show_checks(visit: PageContext, Path(id): Path<RunId>) -> Result<Response, Fault> {
    render(&visit, &id, "checks").await
}

async fn render(visit: &PageContext, id: &RunId, tab: &'static str) -> Result<Response, Fault> {
    load_visible_run(visit, id).await?;
    let view = control::show_run(&visit.ctx, id).await?;
    let is_read = |step: &&RunStep| matches!(step.state, StepState::Open | StepState::Failed | StepState::Spawning);
    let steps = || view.run.steps.iter();
    let ids: Vec<_> = match tab {
        "waterfall" => steps().flat_map(|step| list_jobs(&view.run, step)).collect(),
        _ => steps().filter(is_read).filter_map(|step| step.job.clone()).collect(),
    };
    // An unreadable job has no state here; its own page reports it.
    let jobs = visit.ctx.store.load_each_job(&ids).await?.into_iter().filter_map(Result::ok);
    let jobs: BTreeMap<JobId, Job> = jobs.map(|job| (job.id.clone(), job)).collect();
    let checks = if tab == "checks" { load_checks(visit, &view).await? } else { Vec::new() };
    let RunView { run, frozen, waits } = &view;
    let now = visit.ctx.clock.now();
    let open = run.open_jobs().filter_map(|job| jobs.get(job)).map(|job| job.spent_usd_micros);
    let spent = labels::format_cost(open.fold(run.spent_usd_micros, u64::saturating_add));
    let limit = run.cost_usd_micros.map(|limit| format!(" of {}", labels::format_usd(limit)));
    let pull = run.result.as_ref().and_then(|result| {
        let (integration, repository) = (frozen.repository.integration.clone(), frozen.repository.id);
        let id = PullRequestId { integration, repository, number: result.number };
        Some((labels::pull_request_address(&visit.ctx, &id, &result.url)?, result.number))
    });
    let row = |step: &RunStep, wait| StepRow::new(&view, step, wait, &jobs, now);
    let mut rows = Vec::new();
    for (step, wait) in run.steps.iter().zip(waits) {
        if tab == "waterfall" {
            rows.extend(list_earlier(run, step, &jobs).iter().map(|step| row(step, None)));
        }
        rows.push(row(step, wait.as_ref()));
    }
    let page = RunPage {
        frame: visit.frame(&format!("Run {} {}", id.short(), run.name), "runs", Some(&run.project)),
        spent: format!("{spent}{}", limit.unwrap_or_default()),
        pull,
        steps: rows,
        tab,
        diagram: (tab == "plan").then(|| Diagram::new(&find_needs(run, frozen))),
        checks,
        now,
        view,
    };
    Ok(render_page(StatusCode::OK, &page))
}

impl RunPage {
    /// 0 once the run has ended. Units: milliseconds.
    fn refresh(&self) -> u32 {
        match (self.view.run.state, self.tab) {
            (RunState::Running, "checks" | "waterfall") => SLOW_REFRESH_MS,
            (RunState::Running, _) => REFRESH_MS,
            _ => 0,
        }
    }

    fn took(&self) -> String {
        let run = &self.view.run;
        labels::format_duration(run.ended_at.unwrap_or(self.now).since(run.created))
    }

    /// Whether the waterfall omits jobs.
    fn omits_jobs(&self) -> bool {
        self.view.run.steps.iter().any(|step| step.jobs > MAX_STEP_JOBS)
    }

    /// Whether users may cancel the run and answer its questions.
    fn is_wanted(&self) -> bool {
        self.frame.may_work() && self.view.run.state == RunState::Running && self.view.run.want == RunWant::Run
    }

    fn may_resume(&self) -> bool {
        self.frame.may_work() && matches!(self.view.run.state, RunState::Failed | RunState::Cancelled)
    }

    /// Why the run failed, or why none of its steps works: class, sentence and advice.
    fn note(&self) -> Option<(&'static str, Help, Help)> {
        let RunView { run, waits, .. } = &self.view;
        let failure = run.explain_failure().map(|cause| ("bad", cause.sentence(), cause.help()));
        let wait = || find_wait(run, waits).map(|wait| ("warn", wait.sentence(), wait.help()));
        let (class, sentence, help) = failure.or_else(wait)?;
        Some((class, text::help(&sentence), text::help(&name_buttons(&help, Page::Run))))
    }

    /// Units: US dollars.
    fn cost_limit(&self) -> Option<String> {
        self.view.run.cost_usd_micros.map(format_usd_exact)
    }

    /// The names of steps that ask, with their questions.
    fn questions(&self) -> Vec<(&str, SafeText)> {
        let asked = self.view.run.steps.iter().zip(&self.view.waits);
        // A run that ends takes no answer.
        let asked = asked.filter(|(_, wait)| matches!(wait, Some(StepWait::Approval { .. })));
        let question = |name: &str| self.view.frozen.plan.find_step(name).and_then(|step| step.approve.as_deref());
        asked.map(|(step, _)| (step.name.as_str(), text::block(question(&step.name).unwrap_or_default()))).collect()
    }
}

/// The first reason for which no step of the run works.
fn find_wait<'a>(run: &Run, waits: &'a [Option<StepWait>]) -> Option<&'a StepWait> {
    let is_busy = run.steps.iter().any(|step| matches!(step.state, StepState::Open | StepState::Asked));
    let is_reason = |wait: &&StepWait| {
        use StepWait::{AddedSteps, NeedsSteps, RunEnding, Starting};
        !matches!(wait, Starting { .. } | NeedsSteps { .. } | AddedSteps { .. } | RunEnding { .. })
    };
    waits.iter().flatten().find(is_reason).filter(|_| !is_busy)
}

fn has_begun(step: &RunStep) -> bool {
    !matches!(step.state, StepState::Waiting | StepState::Skipped)
}

/// The newest jobs of a step: retries and the turns of a manager.
fn list_jobs(run: &Run, step: &RunStep) -> impl Iterator<Item = JobId> {
    let first = step.jobs.saturating_sub(MAX_STEP_JOBS) + 1;
    (first..=step.jobs).map(move |number| JobId::for_step(&run.id, &step.name, number))
}

/// The step once for each job whose time its own row does not have.
fn list_earlier(run: &Run, step: &RunStep, jobs: &BTreeMap<JobId, Job>) -> Vec<RunStep> {
    // The start of a refused step is that of no job.
    let has_own = has_begun(step) && step.reason != Some(StepReason::NotStarted);
    let is_earlier = |id: &JobId| !has_own || step.job.as_ref() != Some(id);
    let found = list_jobs(run, step).filter(is_earlier).filter_map(|id| jobs.get(&id));
    // An open step has the state of its job.
    let to_step = |job: &Job| RunStep {
        state: StepState::Open,
        job: Some(job.id.clone()),
        started: Some(job.created),
        outcome: None,
        ..step.clone()
    };
    found.map(to_step).collect()
}

/// For each step, the indexes of the steps that it needs; for an added step, also its manager.
fn find_needs(run: &Run, frozen: &FrozenPlan) -> Vec<Vec<usize>> {
    let index = |name: &String| run.steps.iter().position(|step| step.name == *name);
    let needs = |step: &RunStep| match &step.spawned {
        Some(spawned) => spawned.needs.iter().chain([&spawned.by]).filter_map(index).collect(),
        None => frozen.plan.find_step(&step.name).into_iter().flat_map(|step| &step.needs).filter_map(index).collect(),
    };
    run.steps.iter().map(needs).collect()
}

impl StepRow {
    fn new(of: &RunView, step: &RunStep, wait: Option<&StepWait>, jobs: &BTreeMap<JobId, Job>, now: Timestamp) -> Self {
        let RunView { run, frozen, .. } = of;
        let job = step.job.as_ref().and_then(|job| jobs.get(job));
        // A step that starts again has the time of its earlier job.
        let begin = step.started.filter(|_| has_begun(step));
        let end = if step.state.is_terminal() { step.at } else { job.and_then(|job| job.ended_at).unwrap_or(now) };
        let whole = run.ended_at.unwrap_or(now).since(run.created).as_secs().max(1);
        let part = |from: Timestamp, to: Timestamp| percent(to.since(from).as_secs(), whole);
        let share = begin.map_or(0, |begin| part(begin, end).max(1));
        let failure = job.and_then(|job| job.failure.as_ref()).filter(|_| step.reason == Some(StepReason::JobFailed));
        let sentence = match (step.state, failure) {
            (StepState::Done | StepState::Open, _) if step.by.is_none() => None,
            (_, Some(failure)) => Some(failure.sentence()),
            (_, None) => wait.map(StepWait::sentence).or_else(|| run.explain_step(step).map(|why| why.sentence())),
        };
        let question = frozen.plan.find_step(&step.name).and_then(|planned| planned.approve.as_deref());
        let answered = question.filter(|_| step.by.is_some()).map(|text| format!(" \"{text}\"")).unwrap_or_default();
        let open = job.filter(|_| step.state == StepState::Open).map_or(0, |job| job.spent_usd_micros);
        Self {
            name: line(&step.name),
            short: line(&truncate(&step.name, MAX_NODE_CHARS)),
            pill: step_pill(step, job),
            job: step.job.clone(),
            pull: step.pull_request.as_deref().and_then(http_url),
            outcome: line(step.outcome.as_deref().unwrap_or_default()),
            took: begin.map(|begin| labels::format_duration(end.since(begin))).unwrap_or_default(),
            cost: labels::format_cost(step.spent_usd_micros.saturating_add(open)),
            sentence: sentence.map(|sentence| text::help(&format!("{sentence}{answered}"))),
            begin: begin.map_or(0, |begin| part(run.created, begin).min(99)),
            share,
            wait: match (begin, job.map(|job| (job.attempt, &job.run))) {
                (Some(_), Some((0, _))) => share,
                (Some(begin), Some((1, Some(first)))) => part(begin, first.started).min(share.saturating_sub(1)),
                _ => 0,
            },
        }
    }

    fn is_waiting(&self) -> bool {
        self.pill.word == "Waiting"
    }

    /// The class of its bar.
    fn fill(&self) -> &'static str {
        match self.pill.tone {
            "accent" => "f-run",
            "ok" => "f-ok",
            "bad" => "f-bad",
            _ => "f",
        }
    }
}
