//! `pullyard runners update`: updates one runner, or one after the other.

use super::list_all;
use crate::client::prelude::*;
use pullyard_domain::agent::runner::order::Release;
use pullyard_protocol::client::Error;
use pullyard_protocol::runner::{OrderKind, OrderState, Updates};
use pullyard_protocol::runner_admin::{Runner, RunnerList, RunnerStatus};
use std::time::Duration;

const POLL_INTERVAL: Duration = Duration::from_secs(2);
/// A runner is silent for seconds, for two minutes if the new program hangs, or for seven if it fails late three times.
const MAX_OFFLINE_POLLS: u32 = 240;

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
}

pub(super) async fn run(session: &Session, options: UpdateOptions) -> Result<(), CliError> {
    let version = match &options.to {
        Some(version) => version.clone(),
        None => session.api.version().await?.version,
    };
    if options.to.is_none() && version.parse::<Release>().is_err() {
        let error = CliError::usage(format!("the control plane runs {version}, which is no release"));
        return Err(error.with_help("name one such as 0.3.0 with --to"));
    }
    let Some(runner) = &options.runner else {
        return update_all(session, &version, options.to.is_some()).await;
    };
    let release = |text: &str| text.parse::<Release>().ok();
    let present = session.api.runner(runner).await?.version;
    if options.to.is_none() && release(&present) > release(&version) {
        let error = CliError::failed(format!("{runner} runs {present}, which is newer than {version}"));
        return Err(error.with_help("name an older release with --to"));
    }
    let ordered = session.api.update_runner(runner, &version).await?;
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

/// Runners of newer releases are skipped, unless the user names the release.
async fn update_all(session: &Session, version: &str, is_named: bool) -> Result<(), CliError> {
    let help = "the runners after it are unchanged; repeat the command when the reason is gone";
    let release = |text: &str| text.parse::<Release>().ok();
    let (mut updated, mut skipped, mut missed) = (Vec::new(), 0, Vec::new());
    for runner in list_all(session).await? {
        if runner.version == version || !is_named && release(&runner.version) > release(version) {
            session.screen.note(&format!("{}: skipped. It runs {}.", runner.name, runner.version));
            skipped += 1;
            continue;
        }
        let ordered = match session.api.update_runner(runner.id.as_str(), version).await {
            Ok(ordered) => ordered,
            // This runner is unchanged: it serves projects of others, was deleted, or cannot update now.
            Err(Error::Problem(problem)) if matches!(problem.status, 403 | 404 | 409) => {
                session.screen.note(&format!("{}: skipped. {}", runner.name, problem.detail));
                skipped += 1;
                if problem.status == 403 || runner.updates == Some(Updates::Allowed) && problem.status == 409 {
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
    let error = CliError::failed(format!("not updated: {}", missed.join(", ")));
    Err(error.with_help("the lines above have the reasons; repeat the command when they are gone"))
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
        let is_online = matches!(runner.status, RunnerStatus::Online | RunnerStatus::Draining);
        offline_polls = if is_online { 0 } else { offline_polls + 1 };
        if offline_polls > MAX_OFFLINE_POLLS {
            return Err(CliError::failed(format!("{name} is not online since its update began")));
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}
