//! Runs one attempt of a job, from its claim to its finish. `phases` has the phases in between.

pub(crate) mod checks;
mod deliver;
mod ending;
mod phases;
mod preparation;
mod prepare;
pub(crate) mod project_command;
pub(crate) mod setup;
mod work;
pub(crate) mod work_result;

use crate::agent::attempt_usage::AttemptUsage;
use crate::api::calls::Calls;
use crate::api::outbox::Outbox;
use crate::api::reporter::{AnswerHandlers, Reporter};
use crate::api::start::claim;
use crate::artifacts::uploader::Uploader;
use crate::attempt::Attempt;
use crate::checkpoint::state::CheckpointState;
use crate::deadline::{Deadline, instant_after};
use crate::inputs::conversation;
use crate::inputs::messages::input_counts::InputCounts;
use crate::inputs::orders::{Order, Orders};
use crate::job_log::JobLog;
use crate::process::parent;
use crate::process::signals;
use crate::secrets::forge_tokens::ForgeTokens;
use crate::secrets::redact::Redactor;
use crate::stop::Stop;
use crate::{Error, Exit, RunJob};
use deliver::change::preserve_finished_work;
use ending::Ending;
use phases::run_phases;
use pullyard_protocol::attempt::Assignment;
use pullyard_protocol::client::AttemptClient;
use std::time::Duration;
use tokio::time::Instant;
use tracing::Instrument;

/// Writes: the work folder; the branch and pull request at the forge; the attempt at the control plane.
/// Idempotent: the attempt after a crash starts again and adopts a commit that was pushed.
/// Errors: the attempt could not start, or its finish could not be delivered.
pub(crate) async fn run_job(options: &RunJob, bootstrap: &str, secrets: Vec<String>) -> Result<Exit, Error> {
    // At level error, so that every log level has the trace id.
    let span = match options.trace() {
        Some(trace) => tracing::error_span!("run", trace_id = %trace),
        None => tracing::Span::none(),
    };
    run(options, bootstrap, secrets).instrument(span).await
}

async fn run(options: &RunJob, bootstrap: &str, secrets: Vec<String>) -> Result<Exit, Error> {
    let orders = Orders::new();
    let _signals = signals::listen(orders.clone())?;
    let _parent = options.parent.map(|parent| parent::watch(parent, orders.clone()));
    let outbox = Outbox::new(&options.work_dir);
    // This attempt has no finish yet. A finish of another slot's job may be sent twice, which changes nothing.
    outbox.deliver_others(&|_| false).await;

    // Start our clock before sending the claim, so that our time limit ends before the server's.
    let claim_started = Instant::now();
    let assignment = match claim(options, bootstrap, &orders).await? {
        Ok(assignment) => assignment,
        Err(exit) => return Ok(exit),
    };
    let Assignment { job, attempt: number, lease, .. } = assignment.as_ref();
    let client = AttemptClient::new(&options.api_url, lease, job, *number).map_err(Error::Start)?;
    let client = client.with_trace(options.trace());
    let heartbeat = Duration::from_secs(assignment.heartbeat_secs);
    let redactor = Redactor::new(secrets);
    [bootstrap, lease].into_iter().for_each(|secret| redactor.add_secret(secret));
    let input_counts = InputCounts::new();
    let handlers = AnswerHandlers { orders: orders.clone(), input_counts: input_counts.clone() };
    let reporter = Reporter::start(client.clone(), heartbeat, handlers, redactor.clone());
    if let Some(path) = &options.log_copy {
        match JobLog::open(path) {
            Ok(log) => reporter.events().copy_to(log),
            Err(error) => tracing::warn!(error = %error, "cannot copy the log to {}: {error}", path.display()),
        }
    }
    let uploader = Uploader::start(client.clone(), reporter.events().clone(), options.bucket_away);
    let calls = Calls {
        assignment: &assignment,
        client: &client,
        events: reporter.events(),
        orders: &orders,
        deadline: Deadline::new(instant_after(claim_started, Duration::from_secs(assignment.limits.wall_secs))),
        minted_tokens: ForgeTokens::default(),
        redactor,
    };
    let attempt = Attempt {
        calls,
        input_counts: &input_counts,
        forge_away: options.forge_away,
        artifacts: uploader.artifacts(),
        usage: AttemptUsage::default(),
        checkpoint_state: CheckpointState::default(),
    };
    let mut workspace = None;
    let mut result = run_phases(&attempt, options, &mut workspace).await;
    result = result.map_err(|stop| preserve_finished_work(&attempt, stop));
    if let Err(Stop::Order(Order::Pause)) = result {
        let yield_result = conversation::yield_for_pause(&attempt, workspace.as_ref()).await;
        result = Err(yield_result.err().unwrap_or(Stop::Yielded));
    }
    if let (Err(stop), Some(workspace)) = (&result, &workspace) {
        conversation::checkpoint_before_end(&attempt, workspace, stop).await;
    }
    attempt.events.end_record();
    if let Some(workspace) = &workspace {
        attempt.learn_current_tokens(workspace);
    }

    let ending = Ending { attempt: &attempt, options, outbox: &outbox };
    let exit = ending.report(result).await;
    attempt.minted_tokens.revoke_all(&assignment.repository).await;
    match workspace {
        // Little time is left. The next run removes the worktree.
        Some(_) if matches!(exit, Ok(Exit::Stopped)) => {}
        Some(workspace) if options.keep_worktree => workspace.keep(),
        Some(workspace) => workspace.close().await,
        None => {}
    }
    exit
}
