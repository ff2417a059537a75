//! Runs one attempt of a job, from its claim to its finish. `work` has the phases in between.

pub(crate) mod beside;
pub(crate) mod checks;
pub(crate) mod made;
pub(crate) mod prepare;
mod publish;
mod report;
pub(crate) mod setup;
mod work;

use crate::agent::tally::Tally;
use crate::api::attempt::{Attempt, LAST_EVENTS_LIMIT};
use crate::api::finish::finish;
use crate::api::ids;
use crate::api::outbox::{Letter, Outbox};
use crate::api::reporter::{Heeds, Reporter};
use crate::api::start::{Started, start};
use crate::artifacts::Artifacts;
use crate::artifacts::uploads::Uploads;
use crate::checkpoint::working::Working;
use crate::deadline::later;
use crate::inputs::orders::{Order, Orders};
use crate::inputs::people::given::Given as Inputs;
use crate::inputs::talk;
use crate::process::parent;
use crate::process::signals;
use crate::secrets::minted::Minted;
use crate::secrets::redact::Redactor;
use crate::stop::Stop;
use crate::{Error, Exit, Options};
use pullyard_domain::failure::Failure;
use pullyard_protocol::attempt::{Assignment, FinishOutcome, FinishRequest, FinishResult};
use pullyard_protocol::client::AttemptClient;
use pullyard_protocol::event::EventKind;
use std::time::Duration;
use tokio::time::Instant;
use tracing::Instrument;
use work::work;

/// Limit for the last artifacts. A cancelled job must stop and finish within a minute.
const LAST_ARTIFACTS_LIMIT: Duration = Duration::from_secs(30);
/// Limits after SIGTERM.
const SHUTDOWN_EVENTS_LIMIT: Duration = Duration::from_secs(3);
/// Longer, because the next attempt resumes from the checkpoint.
const SHUTDOWN_ARTIFACTS_LIMIT: Duration = Duration::from_secs(6);

/// Limit for the last event, which reports how the artifacts were stored.
const LAST_WORD_LIMIT: Duration = Duration::from_secs(2);

/// Runs one attempt of a job and reports its end to the control plane.
///
/// Writes: the work folder; the branch and pull request at the forge; the attempt at the control plane.
/// Idempotent: the attempt after a crash starts again and adopts a commit that was pushed.
/// Errors: the attempt could not start, or its finish could not be delivered.
pub async fn run_job(options: Options) -> Result<Exit, Error> {
    // At level error, so that every log level has the trace id.
    let span = match &options.trace {
        Some(trace) => tracing::error_span!("run", trace_id = %trace),
        None => tracing::Span::none(),
    };
    run(options).instrument(span).await
}

async fn run(options: Options) -> Result<Exit, Error> {
    let orders = Orders::new();
    let _signals = signals::listen(orders.clone())?;
    let _parent = options.parent.map(|parent| parent::watch(parent, orders.clone()));
    let outbox = Outbox::in_dir(&options.work_dir);
    outbox.deliver_earlier().await;

    // Start our clock before sending the claim, so that our time limit ends before the server's.
    let began = Instant::now();
    let assignment = match start(&options, &orders).await? {
        Started::Ours(assignment) => assignment,
        Started::NotOurs => return Ok(Exit::NotOurs),
        Started::Stopped => return Ok(Exit::Stopped),
    };
    let Assignment { job, attempt, lease, .. } = assignment.as_ref();
    let client = AttemptClient::new(&options.api_url, lease, job, *attempt).map_err(Error::Start)?;
    let client = client.within(options.trace.clone());
    let heartbeat = Duration::from_secs(assignment.heartbeat_secs);
    let redactor = redactor(&options, lease);
    let given = Inputs::new();
    let heeds = Heeds { orders: orders.clone(), given: given.clone() };
    let reporter = Reporter::start(client.clone(), heartbeat, heeds, redactor.clone());
    let uploads = Uploads::start(client.clone(), reporter.events().clone(), options.bucket_away);
    let this = Attempt {
        artifacts: uploads.artifacts(),
        assignment: &assignment,
        client: &client,
        events: reporter.events(),
        orders: &orders,
        given: &given,
        until: later(began, Duration::from_secs(assignment.limits.wall_secs)),
        minted: Minted::default(),
        redactor,
        tally: Tally::default(),
        working: Working::default(),
    };
    let mut workspace = None;
    let ended = match work(&this, &options, &mut workspace).await {
        Err(Stop::Ordered(Order::Pause)) => match talk::pauses(&this, workspace.as_ref()).await {
            Ok(()) => Err(Stop::Rests),
            // A cancel, a shutdown or a lost lease arrived during the pause.
            Err(stop) => Err(talk::breaks_off(&this, workspace.as_ref(), stop).await),
        },
        Err(stop) => Err(talk::breaks_off(&this, workspace.as_ref(), stop).await),
        done => done,
    };
    this.events.end_record();
    if let Some(workspace) = &workspace {
        this.learn_changed(workspace);
    }

    let exit = match said(ended) {
        Ok(Said::Rests) => {
            tracing::info!(job.id = %job, attempt, "attempt returned its job");
            Ok(Exit::Finished)
        }
        Ok(Said::Ends((outcome, failure, result))) => {
            let failure = failure.map(|failure| this.redactor.failure(failure).clipped());
            let letter = letter(&options, &this, (outcome, failure, result))?;
            tracing::info!(
                job.id = %job, attempt, outcome = ?letter.finish.outcome,
                failure = letter.finish.failure.as_ref().map(Failure::code), "attempt finished"
            );
            flush(&reporter, &uploads, &orders).await;
            finish(&outbox, letter, &orders).await
        }
        Err(Order::Shutdown) => {
            send_last(&reporter, this.artifacts, (SHUTDOWN_EVENTS_LIMIT, SHUTDOWN_ARTIFACTS_LIMIT)).await;
            this.minted.give_back(&assignment.repository).await;
            // The next run removes the worktree, because little time is left.
            return Ok(Exit::Stopped);
        }
        Err(_) => Ok(Exit::LeaseLost),
    };
    this.minted.give_back(&assignment.repository).await;
    if let Some(workspace) = workspace {
        workspace.end(options.worktree).await;
    }
    exit
}

/// A redactor with the bootstrap token, the lease and the secrets of the environment.
fn redactor(options: &Options, lease: &str) -> Redactor {
    let redactor = Redactor::new(options.secrets.iter().cloned());
    [&options.bootstrap, lease].into_iter().for_each(|secret| redactor.learn(secret));
    redactor
}

/// The end to report. `Err`: there is no report, because the process stops or the lease is lost.
fn said(ended: Result<FinishResult, Stop>) -> Result<Said, Order> {
    match ended {
        Ok(result) => Ok(Said::Ends((FinishOutcome::Completed, None, Some(result)))),
        Err(Stop::Failed(failure)) => Ok(Said::Ends((FinishOutcome::Failed, Some(failure), None))),
        Err(Stop::Ordered(Order::Cancel)) => Ok(Said::Ends((FinishOutcome::Cancelled, None, None))),
        Err(Stop::Ordered(order)) => Err(order),
        Err(Stop::Rests | Stop::Asks(_)) => Ok(Said::Rests),
    }
}

enum Said {
    Ends(Ending),
    /// The control plane already knows: the job paused or waits for an answer.
    Rests,
}

type Ending = (FinishOutcome, Option<Failure>, Option<FinishResult>);

fn letter(options: &Options, this: &Attempt<'_>, (outcome, failure, result): Ending) -> Result<Letter, Error> {
    let (assignment, (work, spent_usd_micros)) = (this.assignment, this.told());
    Ok(Letter {
        api_url: options.api_url.clone(),
        job: assignment.job.clone(),
        attempt: assignment.attempt,
        lease: assignment.lease.clone(),
        trace: options.trace.clone(),
        finish: FinishRequest { finish_id: ids::finish()?, outcome, failure, result, spent_usd_micros, work },
    })
}

/// Sends the last events and artifacts at the same time. The control plane accepts none after the finish.
async fn flush(reporter: &Reporter, uploads: &Uploads, orders: &Orders) {
    let both = |events, artifacts| send_last(reporter, uploads.artifacts(), (events, artifacts));
    tokio::select! {
        () = both(LAST_EVENTS_LIMIT, LAST_ARTIFACTS_LIMIT) => {}
        () = async {
            orders.at_least(Order::Shutdown).await;
            both(SHUTDOWN_EVENTS_LIMIT, SHUTDOWN_EVENTS_LIMIT).await
        } => {}
    }
}

async fn send_last(reporter: &Reporter, kept: &Artifacts, (events, artifacts): (Duration, Duration)) {
    let ((), lost) = tokio::join!(reporter.flush(events), kept.flush(artifacts));
    lost.into_iter().for_each(|words| reporter.events().add(crate::api::said::Said::words(EventKind::Log, words)));
    reporter.flush(LAST_WORD_LIMIT).await;
}
