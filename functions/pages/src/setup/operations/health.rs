//! The state of the deployment, and the findings of `pullyard doctor` that the server finds alone.

use crate::hints::{NextStep, Page, name_buttons, next_steps};
use crate::prelude::*;
use crate::setup::machine::LocalMachine;
use pullyard_control::SweeperGauges;
use pullyard_domain::job::agent_check::LocalAgent;
use pullyard_domain::job::diagnosis::{self, Finding, RunnerFacts, Verdict};
use pullyard_domain::job::explanation;
use pullyard_domain::text::Span;
use pullyard_domain::text::id::JobId;
use pullyard_entry::runner_view::view_runner;
use pullyard_protocol::runner_admin::Runner;

/// Limit of checked projects, because each costs a few reads.
const MAX_PROJECTS: usize = 20;
/// The newest ended job is searched among this many newest jobs of a project.
const MAX_JOBS: usize = 10;

pub(super) struct Health {
    pub(super) facts: Vec<(&'static str, SafeText)>,
    pub(super) problems: Vec<Problem>,
    /// The checked projects, such as `3 projects`.
    pub(super) checked: String,
}

pub(super) struct Problem {
    pub(super) pill: Pill,
    pub(super) sentence: SafeText,
    pub(super) help: Help,
    pub(super) step: Option<NextStep>,
}

pub(super) async fn load(visit: &PageContext, machine: Option<&LocalMachine>) -> Result<Health, Fault> {
    let ctx = &visit.ctx;
    let free = ctx.disk.free_bytes();
    let mut problems = Vec::new();
    let mut add = |finding: Option<Finding>| problems.extend(finding.and_then(|it| Problem::new(&it, None, None)));
    add(free.map(diagnosis::check_disk));
    let (snapshot, unreadable) = match control::load_snapshot(ctx).await {
        Ok(snapshot) => (Some(snapshot), None),
        Err(error) => (None, Some(report_unreadable("The sweeper’s state", &error))),
    };
    add(unreadable.or_else(|| check_sweeper(snapshot.as_ref()?.sweeper, machine)));
    let members = control::runner::list_runners(ctx).await?;
    let now = ctx.clock.now();
    let runners: Vec<_> = members.into_iter().filter_map(|member| view_runner(member, None, now)).collect();
    runners.iter().for_each(|runner| add(diagnosis::check_isolation(&runner.into())));
    let installed = machine.map(LocalMachine::list_local_agents);
    let projects = visit.projects();
    for id in projects.iter().take(MAX_PROJECTS) {
        match check_project(ctx, id, &runners, installed.as_deref()).await {
            Ok(found) => problems.extend(found),
            Err(error) => {
                problems.extend(Problem::new(&report_unreadable(&format!("Data of {id}"), &error), Some(id), None))
            }
        }
    }
    let checked = match projects.len() {
        ..=MAX_PROJECTS => labels::format_count(projects.len(), "project"),
        _ => format!("the first {MAX_PROJECTS} projects"),
    };
    Ok(Health { facts: list_facts(snapshot.as_ref(), free, now), problems, checked })
}

/// One unreadable item must not hide the rest of the page, which shows dead letters too.
fn report_unreadable(what: &str, error: &Error) -> Finding {
    let help = if error.is_transient() {
        tracing::warn!(error = %error, "{what} not checked");
        "Reload the page."
    } else {
        tracing::error!(error = %error, "{what} not checked");
        "Reload the page. After a rollback, upgrade again; otherwise read the log of the function `pages`, which names the item."
    };
    Finding::wrong("table", format!("{what} cannot be read."), help)
}

fn check_sweeper(state: SweeperGauges, machine: Option<&LocalMachine>) -> Option<Finding> {
    let help = match machine {
        Some(_) => "Stop `pullyard up` and start it again; jobs continue.",
        None => "Run `pullyard doctor --stack NAME`, which names the log to read.",
    };
    match state {
        SweeperGauges::OnTime => None,
        SweeperGauges::NeverRan => {
            let help = format!("Wait a minute after the first start. {help}");
            Some(Finding::warning("sweeper", "The sweeper has not run yet; it should run every minute.", help))
        }
        SweeperGauges::Delayed(age) => {
            let sentence = format!("The sweeper last ran {} ago; it should run every minute.", Span::from(age));
            Some(Finding::wrong("sweeper", sentence, help))
        }
    }
}

/// `installed`: the agents on this machine; `None` on AWS.
async fn check_project(
    ctx: &Context,
    id: &ProjectId,
    runners: &[Runner],
    installed: Option<&[LocalAgent]>,
) -> Result<Vec<Problem>, Error> {
    let (Project { settings, .. }, today) = match control::load_budget(ctx, id).await {
        Err(Error::NotFound { .. }) => return Ok(Vec::new()),
        loaded => loaded?,
    };
    let repositories = ctx.store.list_repositories(id).await?;
    let mut findings = vec![match repositories.is_empty() {
        true if installed.is_some() => diagnosis::no_repository(id, "--path DIR"),
        true => diagnosis::no_repository(id, "OWNER/NAME --integration ID"),
        false => diagnosis::check_settings(id, &settings),
    }];
    findings.extend(diagnosis::check_budget(id, &settings.budget, &today));
    let serving: Vec<RunnerFacts<'_>> =
        runners.iter().filter(|runner| runner.serves(id)).map(RunnerFacts::from).collect();
    findings.extend(diagnosis::check_runners(ctx.pages_url(), id, &settings, &serving));
    let agents = repositories.into_iter().map(|repository| repository.agent.resolve(&settings).capability).collect();
    findings.extend(diagnosis::check_agent_places(id, &settings, agents, Some(&serving), installed));
    let mut problems: Vec<_> = findings.iter().filter_map(|finding| Problem::new(finding, Some(id), None)).collect();
    let newest = control::search_jobs(ctx, id, &Default::default(), None, MAX_JOBS).await?;
    let ended = newest.jobs.into_iter().map(|found| found.view.job).find(|job| job.status.is_terminal());
    problems.extend(ended.and_then(|job| {
        let failure = job.failure.as_ref().filter(|_| !explanation::is_allowed_without_change(&job))?;
        let (sentence, help) = explanation::explain_failure(&job, failure);
        let finding = diagnosis::failed_job(id, &job.id, &sentence, help);
        Problem::new(&finding, Some(id), Some(&job.id))
    }));
    Ok(problems)
}

/// Lists the known facts: without counts before the first sweep, and without the disk on AWS.
fn list_facts(
    snapshot: Option<&control::Snapshot>,
    free: Option<u64>,
    now: Timestamp,
) -> Vec<(&'static str, SafeText)> {
    let mut facts = vec![("Version", env!("CARGO_PKG_VERSION").to_owned())];
    let sweep = snapshot.and_then(|snapshot| snapshot.sweep_age).map(|age| format!("{} ago", Span::from(age)));
    facts.push(("Last sweep", sweep.unwrap_or_else(|| "not yet".into())));
    if let Some(gauges) = snapshot.and_then(|snapshot| snapshot.gauges.as_ref()) {
        let least = if gauges.more { "at least " } else { "" };
        facts.push(("Running jobs", format!("{least}{}", gauges.running)));
        let oldest = gauges.oldest_wait(now).map(|wait| format!(", the longest for {}", Span::from(wait)));
        facts.push(("Waiting jobs", format!("{least}{}{}", gauges.waiting, oldest.unwrap_or_default())));
        if gauges.held > 0 {
            facts.push(("Held events", format!("{least}{}", gauges.held)));
        }
        if gauges.online + gauges.draining + gauges.offline > 0 {
            let slots = gauges.slots_busy + gauges.slots_free;
            let mut parts = vec![format!("{} online", gauges.online)];
            let others = [(gauges.draining, "draining"), (gauges.offline, "offline")];
            parts
                .extend(others.iter().filter(|(count, _)| *count > 0).map(|(count, state)| format!("{count} {state}")));
            parts.push(format!("{} of {slots} slots busy", gauges.slots_busy));
            facts.push(("Runners", parts.join(", ")));
        }
    }
    facts.extend(free.map(|free| match free >> 30 {
        0 => ("Disk", format!("{} MB free", free >> 20)),
        gigabytes => ("Disk", format!("{gigabytes} GB free")),
    }));
    facts.into_iter().map(|(name, value)| (name, line(&value))).collect()
}

impl Problem {
    /// `None` for a good finding. Links the job, or the page that its help names.
    fn new(finding: &Finding, project: Option<&ProjectId>, job: Option<&JobId>) -> Option<Self> {
        let pill = match finding.verdict {
            Verdict::Good => return None,
            Verdict::Warning => labels::NEEDS_ATTENTION,
            Verdict::Wrong => labels::WRONG,
        };
        let help = finding.help.as_deref().unwrap_or_default();
        let of_help = || project.and_then(|project| next_steps(help, project.as_str()).into_iter().next());
        let of_job = job.map(|job| NextStep { label: "Open job", address: format!("/jobs/{job}") });
        Some(Self {
            pill,
            sentence: line(&finding.sentence),
            help: text::help(&name_buttons(help, Page::Other)),
            step: of_job.or_else(of_help),
        })
    }
}
