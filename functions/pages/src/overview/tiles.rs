//! The tiles of the overview: today's numbers (UTC).

use crate::charts::{self, percent};
use crate::labels::{format_count, format_duration};
use pullyard_control::Overview;
use pullyard_domain::job::JobStatus;
use pullyard_domain::job::fleet::MemberSummary;
use pullyard_domain::project::budget::{Budget, DailyUsage, Day, format_usd};
use pullyard_domain::project::{Compute, Project};
use pullyard_domain::text::time::Timestamp;

pub(super) struct Tile {
    pub(super) label: &'static str,
    pub(super) address: String,
    pub(super) value: String,
    /// Continues the value, in small print.
    pub(super) of: String,
    pub(super) fill: &'static str,
    /// Filled part of the bar. Units: percent.
    pub(super) share: u64,
    pub(super) note: String,
}

pub(super) fn list_tiles(
    project: &Project,
    view: &Overview,
    today: &DailyUsage,
    members: &[MemberSummary],
) -> Vec<Tile> {
    vec![
        running(project, view, members),
        pull_requests(project, view),
        spending(project, view, today),
        failures(project, view),
        runners(project, view, members),
    ]
}

fn running(project: &Project, view: &Overview, members: &[MemberSummary]) -> Tile {
    let active = view.jobs.iter().filter(|job| job.status.is_active()).count() as u64;
    let waiting: Vec<_> = view.jobs.iter().filter(|job| job.status == JobStatus::Ready).collect();
    let online = || members.iter().filter(|member| member.is_online(view.now));
    let slots: u64 = online().map(|member| u64::from(member.max)).sum();
    let busy: u64 = online().map(|member| u64::from(member.busy)).sum();
    let longest = waiting.iter().map(|job| view.now.since(job.ready_since)).max();
    let noun = if active == 1 { "job" } else { "jobs" };
    Tile {
        label: "Running",
        address: format!("/jobs?project={}&status=active", project.id),
        value: active.to_string(),
        of: if slots > 0 { format!("{busy} of {slots} runner slots busy") } else { noun.into() },
        fill: "f-run",
        share: if slots > 0 { percent(busy, slots) } else { percent(active, active + waiting.len() as u64) },
        note: match longest {
            Some(longest) => format!("{} waiting, longest {}", waiting.len(), format_duration(longest)),
            None => "No job waits for a start".into(),
        },
    }
}

fn pull_requests(project: &Project, view: &Overview) -> Tile {
    let (all, merged) = (view.today.all as u64, view.today.merged as u64);
    Tile {
        label: "Pull requests today",
        address: format!("/jobs?project={}&status=completed", project.id),
        value: all.to_string(),
        of: format!("{merged} merged"),
        fill: "f-ok",
        share: percent(merged, all),
        note: "Opened or changed by a job".into(),
    }
}

/// With a limit the budget's counters, which include jobs that the page did not read.
fn spending(project: &Project, view: &Overview, today: &DailyUsage) -> Tile {
    let budget: &Budget = &project.settings.budget;
    let start = today.day.start();
    let by_jobs: u64 = view.jobs.iter().filter(|job| start <= job.created).map(|job| job.spent_usd_micros).sum();
    let spent = if budget.has_limit() { today.spent_usd_micros } else { by_jobs };
    let jobs = budget.jobs_per_day.map(|limit| format!("{} of {}", today.jobs, format_count(limit, "job")));
    let reserved = today.reserved_usd_micros();
    let reserved = (reserved > 0).then(|| format!("{} reserved", format_usd(reserved)));
    let notes: Vec<_> = [jobs, reserved].into_iter().flatten().collect();
    Tile {
        label: "Spent today",
        address: format!("/setup/settings?project={}#budgets", project.id),
        value: format_usd(spent),
        of: budget.usd_micros_per_day.map_or("no limit".into(), |limit| format!("of {}", format_usd(limit))),
        fill: "f",
        share: budget.usd_micros_per_day.map_or(0, |limit| percent(spent, limit)),
        note: if notes.is_empty() { "By jobs created today".into() } else { notes.join(", ") },
    }
}

fn failures(project: &Project, view: &Overview) -> Tile {
    let count = |start: Timestamp| {
        let ended = || view.jobs.iter().filter(move |job| super::is_since(job.ended_at, start));
        (ended().filter(|job| super::outcome(job) == JobStatus::Failed).count() as u64, ended().count() as u64)
    };
    let (failed, ended) = count(Day::containing(view.now).start());
    let (month_failed, month_ended) = count(charts::first_day(view.now).start());
    Tile {
        label: "Failed today",
        address: format!("/jobs?project={}&status=failed", project.id),
        value: failed.to_string(),
        of: format!("of {ended} ended"),
        fill: "f-bad",
        share: percent(failed, ended),
        note: format!("30-day average {}%", percent(month_failed, month_ended)),
    }
}

fn runners(project: &Project, view: &Overview, members: &[MemberSummary]) -> Tile {
    let offline = members.iter().filter(|member| !member.is_online(view.now)).collect::<Vec<_>>();
    let online = (members.len() - offline.len()) as u64;
    let newest = offline.iter().max_by_key(|member| member.last_heartbeat);
    Tile {
        label: "Runners",
        address: format!("/setup/runners?project={}", project.id),
        value: online.to_string(),
        of: format!("of {} online", members.len()),
        fill: "f",
        share: percent(online, members.len() as u64),
        note: match (newest, project.settings.compute) {
            (Some(member), _) => {
                let silence = format_duration(view.now.since(member.last_heartbeat));
                format!("{} offline for {silence}", crate::text::line(&member.profile.name))
            }
            (None, Compute::Fargate) => "Jobs need no runner".into(),
            (None, Compute::RunnersThenFargate) if members.is_empty() => "Tasks may run jobs without labels".into(),
            (None, Compute::Runners) if members.is_empty() => "Jobs wait for the first runner".into(),
            (None, Compute::Runners | Compute::RunnersThenFargate) => "All runners are online".into(),
        },
    }
}
