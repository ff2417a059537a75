//! Shows a runner to a caller: the API and the pages hide the same runners, jobs and projects, and accept the same
//! commands.

use pullyard_control::{Error, runner as control};
use pullyard_domain::agent::runner::Presence;
use pullyard_domain::agent::runner::order::Release;
use pullyard_domain::job::fleet::Member;
use pullyard_domain::text::id::ProjectId;
use pullyard_domain::text::time::Timestamp;
use pullyard_protocol::runner_admin::{
    Runner, RunnerCommand, RunnerDrain, RunnerJob, RunnerOrder, RunnerStatus, RunnerTask,
};
use std::collections::BTreeSet;

/// Returns `None` for a runner that serves no project of the caller. `projects` are the caller's; `None` means all.
pub fn view_runner(member: Member, projects: Option<&BTreeSet<ProjectId>>, now: Timestamp) -> Option<Runner> {
    let Member { runner, profile } = member;
    let may_access = |id: &ProjectId| projects.is_none_or(|projects| projects.contains(id));
    let visible = projects.is_none() || profile.projects.as_ref().is_none_or(|served| served.iter().any(may_access));
    if !visible {
        return None;
    }
    let status = match runner.status {
        Presence::Deleting => RunnerStatus::Deleting,
        _ if !runner.is_online(now) && !runner.has_been_seen() => RunnerStatus::NeverHeard,
        _ if !runner.is_online(now) => RunnerStatus::Offline,
        _ if runner.is_draining() => RunnerStatus::Draining,
        _ => RunnerStatus::Online,
    };
    let offline_after_secs = runner.offline_after().as_secs();
    let busy = u32::try_from(runner.slots.len()).unwrap_or(u32::MAX);
    let jobs = runner.slots.into_iter().filter(|(_, slot)| may_access(&slot.project));
    Some(Runner {
        status,
        busy,
        jobs: jobs
            .map(|(job, slot)| RunnerJob { job, project: slot.project, attempt: slot.attempt, since: slot.since })
            .collect(),
        id: runner.id,
        name: profile.name,
        slots: runner.max,
        capabilities: profile.capabilities,
        labels: profile.labels,
        version: profile.version,
        isolation: profile.isolation,
        projects: profile.projects.map(|served| served.into_iter().filter(may_access).collect()),
        instance: runner.instance,
        last_heartbeat: runner.last_heartbeat,
        offline_after_secs,
        drain: runner.drain.map(|drain| RunnerDrain { by: drain.by, at: drain.at, acknowledged: drain.acknowledged }),
        order: runner.order.map(|order| RunnerTask {
            kind: order.kind,
            version: order.version,
            by: order.by,
            at: order.at,
            state: order.state,
            reason: order.reason,
        }),
        updates: runner.updates,
    })
}

/// The command that the user `by` requests.
/// Errors: `Invalid` for an update without a release, or another command with one.
pub fn to_command(request: &RunnerCommand, by: &str) -> Result<control::RunnerCommand, Error> {
    let by = by.to_owned();
    let invalid = |fault: &str| Err(Error::Invalid { pointer: "/version", fault: fault.into() });
    Ok(match (request.command, &request.version) {
        (RunnerOrder::Update, Some(version)) => {
            if let Err(fault) = version.parse::<Release>() {
                return invalid(fault);
            }
            control::RunnerCommand::Update { by, version: version.clone() }
        }
        (RunnerOrder::Update, None) => return invalid("name the release, such as 0.3.0"),
        (_, Some(_)) => return invalid("only `update` has a release"),
        (RunnerOrder::Drain, None) => control::RunnerCommand::Drain { by },
        (RunnerOrder::Resume, None) => control::RunnerCommand::Resume,
        (RunnerOrder::Restart, None) => control::RunnerCommand::Restart { by },
    })
}
