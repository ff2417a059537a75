//! The overview of a project: its open questions and problems, running and waiting jobs, today, and the last 30 days.

mod month;
mod tiles;

use crate::jobs::{Row, find_place, title_of};
use crate::labels::PullRequestView;
use crate::markdown;
use crate::prelude::*;
use month::Month;
use pullyard_control::JobView;
use pullyard_domain::job::{Job, JobStatus, explanation};
use pullyard_domain::project::hook::Webhook;
use pullyard_domain::run::Run;
use pullyard_domain::text::truncate;
use tiles::Tile;

/// Each load reads up to 500 jobs, so the page refreshes less often than a list. Units: milliseconds.
const REFRESH_MS: u32 = 30_000;

const MAX_HOOKS: i32 = 50;

const MAX_QUESTION_CHARS: usize = 200;

#[derive(Template)]
#[template(path = "overview.html")]
struct OverviewPage {
    frame: Frame,
    project: String,
    may_work: bool,
    needs: Vec<Need>,
    /// Links to the questions and failures that the page leaves out.
    more: Vec<(String, String)>,
    tiles: Vec<Tile>,
    jobs: Vec<Row>,
    pulls: Vec<Row>,
    is_new: bool,
    month: Month,
    refresh: u32,
}

struct Need {
    pill: Pill,
    title: SafeText,
    /// Address of the title; empty if the button says enough.
    address: String,
    about: SafeText,
    sentence: SafeText,
    when: Option<TimeLabel>,
    action: Action,
}

enum Action {
    Link { address: String, label: &'static str },
    Release,
    Nothing,
}

pub(crate) async fn show(visit: PageContext, Query(query): Query<ProjectQuery>) -> Result<Response, Fault> {
    let Some(project) = visit.load_selected_project(query.project).await? else { return Ok(redirect_to_start()) };
    let (_, today) = control::load_budget(&visit.ctx, &project.id).await?;
    let view = control::load_overview(&visit.ctx, &project.id).await?;
    let mut members = control::runner::list_summaries(&visit.ctx).await?;
    members.retain(|member| member.serves(&project.id));
    let unfinished = |view: &JobView| Row {
        place: find_place(&view.job, &visit.ctx, &members).filter(|_| view.job.status.is_active()),
        ..Row::new(view)
    };
    let page = OverviewPage {
        frame: visit.frame("Overview", "overview", Some(&project.id)),
        may_work: visit.visitor.may_run_jobs(),
        needs: list_needs(&visit, &project, &view).await?,
        more: list_more(&project.id, &view),
        tiles: tiles::list_tiles(&project, &view, &today, &members),
        jobs: view.unfinished.iter().map(unfinished).collect(),
        pulls: view
            .pull_requests
            .iter()
            .filter_map(|(view, state)| {
                let pull = PullRequestView::of_result(&visit.ctx, &view.job, *state)?;
                Some(Row { pull: Some(pull), ..Row::new(view) })
            })
            .collect(),
        is_new: view.jobs.is_empty(),
        month: Month::new(&project.id, &view.jobs, view.back_to, view.now),
        refresh: REFRESH_MS,
        project: project.id.to_string(),
    };
    Ok(render_page(StatusCode::OK, &page))
}

async fn list_needs(visit: &PageContext, project: &Project, view: &control::Overview) -> Result<Vec<Need>, Fault> {
    let may_work = visit.visitor.may_run_jobs();
    let mut needs: Vec<_> = held_project(visit, project).into_iter().collect();
    needs.extend(view.asking.iter().map(|view| question(view, may_work)));
    needs.extend(view.asking_runs.iter().map(|run| run_question(run, may_work, view.now)));
    needs.extend(view.failed.iter().map(failure));
    if visit.visitor.may_administer() {
        let may_see = |hook: &Webhook| hook.serves(&project.id) && visit.may_manage_hook(hook);
        for (hook, drift) in control::hooks::list_failing_hooks(&visit.ctx, MAX_HOOKS, may_see).await? {
            needs.push(Need {
                pill: labels::NEEDS_ATTENTION,
                title: line(&hook.kind.label()),
                address: String::new(),
                about: line(&format!("webhook {}", hook.name)),
                sentence: line(&drift.sentence),
                when: None,
                action: Action::Link {
                    address: format!("/setup/repositories?project={}", project.id),
                    label: "Fix webhook",
                },
            });
        }
    }
    Ok(needs)
}

fn held_project(visit: &PageContext, project: &Project) -> Option<Need> {
    let holder = project.settings.held_by.as_ref()?;
    let reason = project.settings.held_reason.as_ref().map(|text| format!(": {text}")).unwrap_or_default();
    Some(Need {
        pill: labels::NEEDS_ATTENTION,
        title: line(&format!("{} is on hold", project.name)),
        address: String::new(),
        about: SafeText::default(),
        sentence: line(&format!("Held by {holder}{reason}. No new jobs start; requests queue until release.")),
        when: None,
        action: if visit.visitor.may_administer() { Action::Release } else { Action::Nothing },
    })
}

fn question(view: &JobView, may_work: bool) -> Need {
    let question = view.job.question.as_ref();
    let text = question.map(|question| markdown::to_words(&question.text)).unwrap_or_default();
    Need {
        sentence: line(&format!("Question: “{}”", truncate(&text, MAX_QUESTION_CHARS))),
        when: question.map(|question| labels::format_time(question.at, view.now)),
        action: Action::Link {
            address: format!("/jobs/{}#text", view.job.id),
            label: if may_work { "Answer" } else { "View job" },
        },
        ..need_of_job(view)
    }
}

fn run_question(run: &Run, may_work: bool, now: Timestamp) -> Need {
    let names: Vec<_> = run.asked_steps().map(|step| step.name.as_str()).collect();
    let address = format!("/runs/{}", run.id);
    Need {
        pill: crate::runs::pills::run_pill(run),
        title: line(&run.name),
        about: line(&format!("run {}", run.id.short())),
        sentence: line(&format!("Waits for approval: {}.", names.join(", "))),
        when: run.asked_steps().map(|step| step.at).min().map(|at| labels::format_time(at, now)),
        action: Action::Link { address: address.clone(), label: if may_work { "Answer" } else { "View run" } },
        address,
    }
}

fn failure(view: &JobView) -> Need {
    Need {
        sentence: labels::explain_job(view).unwrap_or_default(),
        when: view.job.ended_at.map(|at| labels::format_time(at, view.now)),
        ..need_of_job(view)
    }
}

fn need_of_job(view: &JobView) -> Need {
    let address = format!("/jobs/{}", view.job.id);
    Need {
        pill: labels::job_pill(&view.job),
        title: title_of(view),
        about: view.job.ticket.as_ref().map(|key| line(key.as_str())).unwrap_or_default(),
        sentence: SafeText::default(),
        when: None,
        action: Action::Link { address: address.clone(), label: "View job" },
        address,
    }
}

fn list_more(project: &ProjectId, view: &control::Overview) -> Vec<(String, String)> {
    let count = |is: fn(JobStatus) -> bool| view.jobs.iter().filter(|job| is(job.status)).count();
    let asking = count(|status| status == JobStatus::AwaitingInput);
    let unfinished = count(|status| !status.is_terminal()) - asking;
    let link = |status: &str, label: String| (format!("/jobs?project={project}&status={status}"), label);
    let questions = (asking > view.asking.len()).then(|| link("needs_answer", format!("All {asking} questions")));
    let others = (unfinished > view.unfinished.len())
        .then(|| (format!("/jobs?project={project}"), format!("{unfinished} jobs run or wait")));
    questions.into_iter().chain(others).collect()
}

/// A job that changed nothing, which its step allows, counts as completed.
fn outcome(job: &Job) -> JobStatus {
    if explanation::is_allowed_without_change(job) { JobStatus::Completed } else { job.status }
}

fn is_since(at: Option<Timestamp>, start: Timestamp) -> bool {
    at.is_some_and(|at| start <= at)
}
