//! `pullyard runners update`: updates one runner, or one after the other.

use super::list_all;
use crate::client::prelude::*;
use pullyard_protocol::client::Error;
use pullyard_protocol::runner::{OrderKind, OrderState, Updates};
use pullyard_protocol::runner_admin::{Runner, RunnerList, RunnerStatus};
use std::time::Duration;

const POLL_INTERVAL: Duration = Duration::from_secs(2);
/// A runner that starts another program is silent for seconds.
const MAX_OFFLINE_POLLS: u32 = 150;

/// Refusals of one runner that do not stop the others.
const SKIP_CODES: [&str; 8] = [
    "runner_offline",
    "runner_deleting",
    "order_accepted",
    "orders_unsupported",
    "runner_in_image",
    "update_not_allowed",
    "version_runs",
    "runner_is_older",
];
/// Those that end: the runner still needs the update.
const MISSED_CODES: [&str; 2] = ["runner_offline", "order_accepted"];

#[derive(clap::Args)]
pub(super) struct UpdateOptions {
    /// Runner name or id.
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    pub(super) runner: Option<String>,
    /// Release to install; the control plane's if not given.
    #[arg(long, value_name = "VERSION")]
    to: Option<String>,
    /// Update all runners that accept updates, one after the other; stop at the first failure.
    #[arg(long)]
    all: bool,
    /// Install a release that is older than the runner's.
    #[arg(long)]
    allow_downgrade: bool,
}

pub(super) async fn run(session: &Session, options: UpdateOptions) -> Result<(), CliError> {
    let version = match &options.to {
        Some(version) => version.clone(),
        None => session.api.version().await?.version,
    };
    let Some(runner) = &options.runner else {
        return update_all(session, &version, options.allow_downgrade).await;
    };
    let ordered = session.api.update_runner(runner, &version, options.allow_downgrade).await?;
    session.screen.report(&ordered, &update_effect(&ordered, &version))?;
    session.screen.hint(&format!("follow it with `pullyard runners show {}`", ordered.name));
    Ok(())
}

fn update_effect(runner: &Runner, version: &str) -> String {
    let name = &runner.name;
    match runner.busy {
        0 => format!("{name} will update to {version} when it has verified the release."),
        1 => format!("{name} will update to {version} when its running job has ended."),
        n => format!("{name} will update to {version} when its {n} running jobs have ended."),
    }
}

async fn update_all(session: &Session, version: &str, allow_downgrade: bool) -> Result<(), CliError> {
    let help = "the runners after it are unchanged; repeat the command when this one is repaired";
    let (mut updated, mut skipped, mut missed) = (Vec::new(), 0, Vec::new());
    for runner in list_all(session).await? {
        let ordered = match session.api.update_runner(&runner.name, version, allow_downgrade).await {
            Ok(ordered) => ordered,
            Err(Error::Problem(problem)) if SKIP_CODES.contains(&problem.code.as_str()) => {
                session.screen.note(&format!("{}: skipped. {}", runner.name, problem.detail));
                skipped += 1;
                if runner.updates == Some(Updates::Allowed) && MISSED_CODES.contains(&problem.code.as_str()) {
                    missed.push(runner.name);
                }
                continue;
            }
            Err(error) => return Err(CliError::from(error).with_help(help)),
        };
        session.screen.note(&update_effect(&ordered, version));
        let runner = wait_for_update(session, &ordered, version).await.map_err(|error| error.with_help(help))?;
        session.screen.note(&format!("{} runs {version}.", runner.name));
        updated.push(runner);
    }
    let note = format!("{} updated to {version}, {skipped} skipped.", format::format_count(updated.len(), "runner"));
    session.screen.report(&RunnerList { runners: updated, next: None }, &note)?;
    if missed.is_empty() {
        return Ok(());
    }
    let error = CliError::failed(format!("not updated, although their owners allow it: {}", missed.join(", ")));
    Err(error.with_help("repeat the command when they are online"))
}

/// Errors: the update failed, or the runner did not come back.
async fn wait_for_update(session: &Session, ordered: &Runner, version: &str) -> Result<Runner, CliError> {
    let name = &ordered.name;
    let mut offline_polls = 0;
    loop {
        let runner = session.api.runner(ordered.id.as_str()).await?;
        let order = runner.order.as_ref().filter(|order| order.kind == OrderKind::Update);
        let Some(order) = order.filter(|order| order.version.as_deref() == Some(version)) else {
            return Err(CliError::failed(format!("another order replaced the update of {name}")));
        };
        match (order.state, &order.reason) {
            (OrderState::Done, _) => return Ok(runner),
            (OrderState::Failed, reason) => {
                let reason = reason.as_deref().unwrap_or("without a reason");
                return Err(CliError::failed(format!("the update of {name} failed: {reason}")));
            }
            (OrderState::Wanted | OrderState::Accepted, _) => {}
        }
        offline_polls = if runner.status == RunnerStatus::Offline { offline_polls + 1 } else { 0 };
        if offline_polls > MAX_OFFLINE_POLLS {
            return Err(CliError::failed(format!("{name} is offline since its update began")));
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}
