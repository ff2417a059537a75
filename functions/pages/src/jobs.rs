//! Lists a project's jobs.

pub(crate) mod bulk;
pub(crate) mod create;
mod filter;

use crate::board::ticket_url;
use crate::charts;
use crate::frame::Tab;
use crate::labels::PullRequestView;
use crate::prelude::*;
use filter::{JobsQuery, PERIODS};
use pullyard_control::{FoundJob, FoundJobs, JobView};
use pullyard_domain::job::fleet::MemberSummary;
use pullyard_domain::job::{Job, JobStatus, Placement};
use pullyard_domain::project::budget::format_usd;
use pullyard_domain::review::listing::JobTotals;
use pullyard_domain::text::id::{JobId, RunnerId};

const PAGE_SIZE: usize = 50;

#[derive(Template)]
#[template(path = "jobs.html")]
struct JobsPage {
    frame: Frame,
    project: String,
    may_work: bool,
    tabs: Vec<Tab>,
    form: JobsQuery,
    repositories: Vec<String>,
    fault: Option<Fault>,
    filtered: bool,
    totals: Vec<String>,
    jobs: Vec<Row>,
    /// The day of the oldest job read, if there are older ones.
    back_to: Option<String>,
    has_newer: bool,
    newest: String,
    next: Option<String>,
    refresh: u32,
    form_key: String,
}

pub(crate) struct Row {
    pub(crate) id: JobId,
    pub(crate) pick: bool,
    pub(crate) pill: Pill,
    pub(crate) kind: &'static str,
    pub(crate) revises: Option<u64>,
    pub(crate) title: SafeText,
    pub(crate) ticket: Option<(String, SafeText)>,
    pub(crate) repository: Option<SafeText>,
    pub(crate) agent: Option<&'static str>,
    pub(crate) place: Option<SafeText>,
    pub(crate) pull: Option<PullRequestView>,
    pub(crate) took: String,
    /// Share of the longest job of the page. Units: percent.
    pub(crate) share: u64,
    pub(crate) cost: String,
    pub(crate) when: TimeLabel,
    pub(crate) sentence: Option<SafeText>,
}

impl Row {
    pub(crate) fn new(view: &JobView) -> Self {
        let JobView { job, repository, revises, now, .. } = view;
        Self {
            id: job.id.clone(),
            pick: false,
            pill: labels::job_pill(job),
            kind: job.kind.spec().label,
            revises: revises.as_ref().map(|of| of.number),
            title: title_of(view),
            ticket: job.ticket.as_ref().map(|key| (ticket_url(&job.project, key), line(key.as_str()))),
            repository: repository.as_ref().map(|name| line(name.as_str())),
            agent: None,
            place: None,
            pull: None,
            took: labels::job_duration(job, *now),
            share: 0,
            cost: labels::format_cost(job.spent_usd_micros),
            when: labels::format_time(job.created, *now),
            sentence: labels::explain_job(view),
        }
    }
}

/// `Revise #7: Fix login`; `Job` and the short id for a job without a title.
pub(crate) fn title_of(view: &JobView) -> SafeText {
    let verb = view.job.kind.spec().title_prefix.trim();
    let prefix = view.revises.as_ref().map(|of| format!("{verb} #{}: ", of.number)).unwrap_or_default();
    match line(&view.title) {
        title if title.is_empty() => line(&format!("{prefix}Job {}", view.job.id.short())),
        title => line(&format!("{prefix}{title}")),
    }
}

pub(crate) async fn list(visit: PageContext, Query(query): Query<JobsQuery>) -> Result<Response, Fault> {
    let Some(project) = visit.load_selected_project(query.project.clone()).await? else {
        return Ok(redirect_to_start());
    };
    if let Ok(id) = JobId::new(query.q.trim().to_owned()) {
        return Ok(redirect(&format!("/jobs/{id}")));
    }
    let repositories = visit.ctx.store.list_repositories(&project.id).await?;
    let (found, fault) = match query.to_search(&repositories, visit.ctx.clock.now()) {
        Ok(search) => {
            let after = query.after.as_deref();
            (control::search_jobs(&visit.ctx, &project.id, &search, after, PAGE_SIZE).await?, None)
        }
        Err(fault) => {
            let (jobs, totals) = (Vec::new(), JobTotals::default());
            (FoundJobs { jobs, totals, next: None, oldest_read: None }, Some(fault))
        }
    };
    let may_work = visit.visitor.may_run_jobs();
    let address = query.to_url(&project.id);
    let page = JobsPage {
        frame: visit.frame(&format!("Jobs of {}", project.name), "jobs", Some(&project.id)),
        tabs: query.tabs(&project.id),
        repositories: repositories.iter().map(|repository| repository.name.to_string()).collect(),
        filtered: !query.to_query().is_empty() && fault.is_none(),
        fault,
        totals: describe_totals(&found.totals),
        jobs: to_rows(&visit, &found.jobs, may_work).await?,
        may_work,
        refresh: labels::refresh_ms(found.jobs.iter().any(|job| !job.view.job.status.is_terminal())),
        back_to: found.next.as_ref().and(found.oldest_read).map(Timestamp::day),
        has_newer: query.after.is_some(),
        next: found.next.map(|next| format!("{address}&after={next}")),
        newest: address,
        project: project.id.to_string(),
        form_key: new_form_key(),
        form: query,
    };
    Ok(render_form(page.fault.as_ref(), &page))
}

async fn to_rows(visit: &PageContext, found: &[FoundJob], may_work: bool) -> Result<Vec<Row>, Fault> {
    let at_runners = found.iter().any(|found| found.view.job.run.as_ref().is_some_and(|run| run.runner.is_some()));
    let members = if at_runners { control::runner::list_summaries(&visit.ctx).await? } else { Vec::new() };
    let jobs: Vec<_> = found.iter().map(|found| &found.view.job).collect();
    let pulls = control::load_pull_request_states(&visit.ctx, &jobs).await?;
    let now = visit.ctx.clock.now();
    let secs = |job: &Job| job.ended_at.unwrap_or(now).since(job.created).as_secs();
    let longest = found.iter().map(|found| secs(&found.view.job)).max().unwrap_or_default();
    let row = |found: &FoundJob| {
        let job = &found.view.job;
        Row {
            pick: may_work,
            agent: found.agent.as_deref().and_then(labels::agent),
            place: find_place(job, &visit.ctx, &members),
            pull: pulls.get(&job.id).and_then(|state| PullRequestView::of_result(&visit.ctx, job, *state)),
            share: charts::percent(secs(job), longest),
            ..Row::new(&found.view)
        }
    };
    Ok(found.iter().map(row).collect())
}

/// The place where a job runs or ran; `None` before it starts.
pub(crate) fn find_place(job: &Job, ctx: &Context, members: &[MemberSummary]) -> Option<SafeText> {
    let run = job.run.as_ref()?;
    let runner_name = |id: &RunnerId| members.iter().find(|it| it.profile.id == *id).map(|it| line(&it.profile.name));
    match (job.place, &run.runner) {
        (Placement::Runners, Some(id)) => runner_name(id),
        (Placement::Runners, None) => None,
        (Placement::Fargate, _) if ctx.on_one_machine => Some(line("this machine")),
        (Placement::Fargate, _) => Some(line("Fargate")),
    }
}

/// `12 jobs`, `$4.20`, `3 failed`.
fn describe_totals(totals: &JobTotals) -> Vec<String> {
    let by_status = JobStatus::ALL.iter().filter_map(|status| {
        let count = totals.by_status.get(status)?;
        Some(format!("{count} {}", labels::pill(*status).word.to_lowercase()))
    });
    let all = [labels::format_count(totals.jobs, "job"), format_usd(totals.spent_usd_micros)];
    all.into_iter().chain(by_status).collect()
}
