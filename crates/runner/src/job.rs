//! The phases of one attempt, in order: claim, prepare, setup, agent, push, pull request, finish.

use crate::access::{Access, Minted};
use crate::agent::{Chosen, Environment, Given, Tally};
use crate::artifacts::{Artifacts, RawCapture, Record, Uploads};
use crate::attempt::{Attempt, LAST_EVENTS_LIMIT, later};
use crate::beside::Beside;
use crate::checkpoint::{Earlier, Found, Working, may_bind};
use crate::finish::finish;
use crate::git::Fault;
use crate::made::{self, Made};
use crate::orders::{Order, Orders};
use crate::outbox::{Letter, Outbox};
use crate::people::Given as Inputs;
use crate::push::{self, By, Published, Push};
use crate::redact::Redactor;
use crate::renewal::Renewal;
use crate::replies;
use crate::reporter::{Heeds, Reporter};
use crate::retry::while_away;
use crate::start::{Started, start};
use crate::stop::Stop;
use crate::talk::Talk;
use crate::target::Target;
use crate::workspace::{Checkout, Mirror, Workspace, private_dirs};
use crate::{
    Error, Exit, Options, access, agent, commit, conflicts, ids, parent, pull_request, setup, signals, talk, target,
};
use pullyard_domain::agent::AUTO;
use pullyard_domain::checks::JobCommands;
use pullyard_domain::failure::Failure;
use pullyard_domain::job::Want;
use pullyard_domain::published::{self, Checked as Checks};
use pullyard_forge::{Forge, PullRequest, PullRequestState};
use pullyard_protocol::attempt::{Assignment, FinishOutcome, FinishRequest, FinishResult, Phase};
use pullyard_protocol::client::AttemptClient;
use pullyard_protocol::event::EventKind;
use std::path::PathBuf;
use std::time::Duration;
use tokio::time::{Instant, timeout, timeout_at};
use tracing::Instrument;

/// How long reads from the forge are retried: long enough for a restart of the forge.
const SOURCE_AWAY: Duration = Duration::from_secs(20);
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

    // Before the claim is sent, so that our time limit ends before the server's.
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
            tracing::info!(job.id = %job, attempt, "the attempt gave its job back");
            Ok(Exit::Finished)
        }
        Ok(Said::Ends((outcome, failure, result))) => {
            let failure = failure.map(|failure| this.redactor.failure(failure).clipped());
            let letter = letter(&options, &this, (outcome, failure, result))?;
            tracing::info!(
                job.id = %job, attempt, outcome = ?letter.finish.outcome,
                failure = letter.finish.failure.as_ref().map(Failure::code), "the attempt ends"
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

/// The end that this runner reports. `Err`: nothing to report, because the process stops or the lease is lost.
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
    tokio::join!(reporter.flush(events), kept.flush(artifacts, reporter.events()));
    reporter.flush(LAST_WORD_LIMIT).await;
}

async fn work(this: &Attempt<'_>, options: &Options, workspace: &mut Option<Workspace>) -> Result<FinishResult, Stop> {
    let assignment = this.assignment;
    let Some(isolation) = options.isolation else {
        return Err(Failure::IsolationMissing { runner: "The runner".into() }.into());
    };
    let prepared = this.bounded(prepare(this, options, workspace)).await;
    let mut prepared = prepared.map_err(|stop| keeps_session(this, stop))?;
    let Prepared { access, mirror, target, .. } = &prepared;
    let (git, workspace) = (&access.git, prepared.workspace);
    let commands = assignment.commands.as_ref().filter(|_| target.adopted.is_none());
    let beside = commands.map(|commands| Beside { this, options, workspace, policy: commands.policy });
    if let (Some(beside), Some(commands)) = (&beside, commands) {
        setup::run(beside, &commands.setup, (git, mirror), &target.start).await?;
    }

    // Before the phase `executing`, because an attempt without its session starts no agent.
    let taken = this.bounded(prepared.found.restore(this, git, workspace)).await?;
    // No agent starts if an earlier attempt pushed the work.
    let agent = target.adopted.is_none().then(|| prepared.chosen.words(isolation));
    this.bounded(this.begins_to_work(agent)).await?;
    let at = (git, mirror, workspace);
    let look = conflicts::look(this, at, target, taken.has_work);
    let conflicts = this.bounded(async { Ok(timeout(conflicts::LIMIT, look).await.unwrap_or_default()) }).await?;
    let mut talk = Talk::of(assignment, &taken, conflicts);
    this.working.begins(mirror, target, talk.before());
    let mut made = match &target.adopted {
        Some(commit) => Made::before(commit),
        None => {
            let failed = |error: std::io::Error| Failure::WorkspaceFailed { reason: error.to_string() };
            prepared.given.put_down().map_err(failed)?;
            let work =
                made::Work { this, options, isolation, prepared: &prepared, beside: beside.as_ref(), taken: &taken };
            work.make(&mut talk).await?
        }
    };

    let published = loop {
        if prepared.access.ends {
            // The token may have expired while the agent worked.
            prepared.access = this.bounded(access::ask(this)).await?;
        }
        let told = made.is_told(&prepared.chosen).then(|| talk.read());
        if let Some(published) = publish(this, &prepared, &made.commit, told).await? {
            break published;
        }
        let (prepared, beside, taken) = (&prepared, beside.as_ref(), &taken);
        made = made::Work { this, options, isolation, prepared, beside, taken }.go_further(&mut talk, made).await?;
    };
    if published.by == By::ThisAttempt {
        // The push may have rebased the commit onto commits of other people.
        this.tally.made(&published.commit);
    }
    let Prepared { access: Access { git, forge, .. }, target, workspace, .. } = &prepared;
    let (head, repository) = (published.head, workspace.repository());
    // For an adopted commit, only its trailers say which agent made it.
    let is_ours = target.adopted.is_none() && (published.by == By::ThisAttempt || published.commit == made.commit);
    let agent = match this.told().0.filter(|_| is_ours) {
        Some(work) => Some(published::agent(&work)),
        None => commit::agent_of(git, &repository, &published.commit, &assignment.job).await.map(str::to_owned),
    };
    let failed_before = !is_ours && commit::failed_checks(git, &repository, &published.commit).await;
    // Our checks ran on our commit, not on an adopted one.
    let runs = if is_ours { made.results.runs() } else { &[] };
    let checks = if failed_before { Checks::FailedBefore } else { Checks::Now(runs) };
    let summary = if is_ours { this.artifacts.last_word().await } else { None };
    let said = pull_request::Said {
        commit: &published.commit,
        isolation: is_ours.then_some(isolation),
        agent: agent.as_deref(),
        summary: summary.as_deref(),
        checks,
        on_top: is_ours && published.commit != made.commit,
        left_out: if is_ours { made.left_out.as_slice() } else { &[] },
        redactor: &this.redactor,
    };
    let is_open = |pull: &&PullRequest| pull.state == PullRequestState::Open;
    if let Some(pull) = target.pull_request.as_ref().filter(is_open).filter(|_| published.by != By::Somebody) {
        // The renewed description is ready before reviewers are asked again. A commit of a person gets none.
        let (commit, words) = (published.commit.as_str(), pull_request::of_commit(&said));
        let renewal = Renewal { forge, number: pull.number, commit, words: &words };
        let renewed = async {
            renewal.make(this).await;
            Ok(())
        };
        this.unless_grave(renewed).await?;
    }
    let replies = match &assignment.revises {
        // After the push, a failed reply does not fail the job.
        Some(revises) => {
            let (commit, words) = (published.commit.as_str(), &made.words);
            let fresh = is_ours && revises.retries.is_empty();
            let answers = replies::Answers { forge, revises, commit, words, agent: agent.as_deref(), fresh };
            this.unless_grave(async { Ok(answers.give(this).await) }).await?
        }
        None => None,
    };
    let opened = this.unless_grave(pull_request::find_or_open(forge, target, assignment, &said)).await?;
    let size = commit::size(git, &repository, &target.base, &head).await;
    Ok(FinishResult {
        branch: target.branch.clone(),
        head,
        pull_request: opened,
        files: size.files,
        insertions: size.insertions,
        deletions: size.deletions,
        replies,
    })
}

/// Replaces `workspace_failed` for a job that must resume its session: a retry of `workspace_failed` would start a new
/// session.
fn keeps_session(this: &Attempt<'_>, stop: Stop) -> Stop {
    match stop {
        Stop::Failed(Failure::WorkspaceFailed { reason }) if may_bind(this) => {
            Failure::SessionUnreachable { reason }.into()
        }
        stop => stop,
    }
}

pub(crate) fn ours(name: &str) -> Option<std::ffi::OsString> {
    Environment::ours().get(name)
}

pub(crate) struct Prepared<'a> {
    pub(crate) access: Access,
    pub(crate) chosen: Chosen,
    pub(crate) given: Given,
    pub(crate) mirror: Mirror,
    pub(crate) target: Target,
    /// The checkpoint of an earlier attempt, not restored yet.
    found: Found,
    pub(crate) workspace: &'a Workspace,
}

async fn prepare<'a>(
    this: &Attempt<'_>,
    options: &Options,
    workspace: &'a mut Option<Workspace>,
) -> Result<Prepared<'a>, Stop> {
    let Assignment { job, attempt, repository, commands, agent, checkpoint, adopts, .. } = this.assignment;
    this.begin(Phase::Preparing).await?;
    // The policy may have changed since the commands were set.
    if let Some(command) = commands.as_ref().and_then(JobCommands::refused) {
        return Err(Failure::CommandNotAllowed { command: command.to_owned() }.into());
    }
    let mut access = access::ask(this).await?;
    let auth = Workspace::root_in(&options.work_dir, job, *attempt).join("auth.json");
    let given = Given::new(std::mem::take(&mut access.model), auth);
    let failed = |error: std::io::Error| Failure::WorkspaceFailed { reason: error.to_string() };
    let mut earlier = None;
    if agent.capability == AUTO && *checkpoint && !adopts {
        // With agent `auto`, only the checkpoint says which agent worked.
        let made = workspace.insert(Workspace::make(&work_dir(options)?, job, *attempt).await.map_err(failed)?);
        earlier = Some(Earlier::get(this, made, options.bucket_away).await?);
    }
    let chosen = match *adopts {
        // No agent starts, so none must be installed.
        true => Chosen::Command,
        // Before the fetch, so that a missing agent fails at once.
        false => {
            let left_by = earlier.as_ref().and_then(Earlier::agent);
            agent::choose(this.assignment, left_by, &Environment::of(&|name| this.reads(&given, name))).await?
        }
    };
    let Access { git, forge, .. } = &access;
    let open = pull_request_to_work_on(this, forge).await?;
    let work_dir = work_dir(options)?;
    let of_source = |fault: Fault| fault.of_source(&repository.forge_name(), &repository.name);
    let is_away = |failure: &Failure| matches!(failure, Failure::SourceUnreachable { .. });
    let mirror =
        while_away(SOURCE_AWAY, is_away, async || Mirror::fetched(git, &work_dir).await.map_err(of_source)).await?;
    let target = target::choose(git, forge, &mirror, this.assignment, open).await;
    if let Err(Stop::Failed(Failure::NothingPushed {})) = &target {
        this.events.add(crate::said::Said::words(EventKind::Log, "No commit of an earlier attempt is on the branch."));
    }
    let mut target = target?;
    let workspace: &Workspace = match workspace {
        Some(made) => made,
        None => workspace.insert(Workspace::make(&work_dir, job, *attempt).await.map_err(failed)?),
    };
    let earlier = match earlier {
        Some(earlier) => earlier,
        // Pushed work needs no checkpoint.
        None if target.adopted.is_some() => Earlier::none(),
        None => Earlier::get(this, workspace, options.bucket_away).await?,
    };
    let found = Found::look(this, (git, &mirror), earlier, &chosen, &mut target).await?;
    let at = Checkout { branch: &target.branch, start: &target.start, base: (&target.base_branch, &target.base) };
    this.artifacts.open(workspace.artifacts()).map_err(failed)?;
    let raw = if options.raw_capture { RawCapture::On } else { RawCapture::Off };
    this.events.record(Record::begin(this.artifacts, raw));
    workspace.check_out(git, &mirror, at).await.map_err(|fault| fault.of_workspace())?;
    Ok(Prepared { access, chosen, given, mirror, target, found, workspace })
}

/// The absolute folder of all attempts, because git runs in other folders.
fn work_dir(options: &Options) -> Result<PathBuf, Failure> {
    let failed = |error: std::io::Error| Failure::WorkspaceFailed { reason: error.to_string() };
    private_dirs(&options.work_dir).map_err(failed)?;
    options.work_dir.canonicalize().map_err(failed)
}

/// The pull request that the job revises or continues.
async fn pull_request_to_work_on(this: &Attempt<'_>, forge: &Forge) -> Result<Option<PullRequest>, Stop> {
    let Assignment { repository, revises, continues, .. } = this.assignment;
    let look = async || match (revises, continues) {
        (Some(revises), _) => target::revised_pull_request(forge, repository, revises).await.map(Some),
        (None, Some(continues)) => target::open_pull_request(forge, repository, continues).await,
        (None, None) => Ok(None),
    };
    let is_away = |stop: &Stop| matches!(stop, Stop::Failed(Failure::SourceUnreachable { .. }));
    while_away(SOURCE_AWAY, is_away, look).await
}

/// Asks the control plane for the right to push, then pushes. `None`: new input arrived that the agent has not read;
/// `told` is the number of inputs that it read.
async fn publish(
    this: &Attempt<'_>,
    prepared: &Prepared<'_>,
    commit: &str,
    told: Option<u32>,
) -> Result<Option<Published>, Stop> {
    let sent = Instant::now();
    let asked = this.unless_cancelled(this.begins_to_push(told));
    // Without an answer there is no right to push.
    let answer = match timeout_at(push::deadline(sent, None), asked).await {
        Ok(answer) => answer?,
        Err(_) => {
            let last_words = "the control plane did not answer in time before the push".into();
            return Err(Failure::Unknown { last_words }.into());
        }
    };
    match answer.want {
        Want::Cancel => return Err(Stop::Ordered(Order::Cancel)),
        Want::Pause if answer.push_for_secs.is_none() => return Err(Stop::Ordered(Order::Pause)),
        // A granted push takes precedence over a pause.
        Want::Run | Want::Pause => {}
    }
    if answer.goes_on {
        return Ok(None);
    }
    let Prepared { access: Access { git, .. }, target, workspace, .. } = prepared;
    if target.adopted.is_some() {
        let commit = commit.to_owned();
        let head = target.expected.clone().unwrap_or_else(|| commit.clone());
        return Ok(Some(Published { head, commit, by: By::EarlierAttempt }));
    }
    let forge = this.assignment.repository.forge_name();
    let push = Push {
        git,
        repository: &workspace.repository(),
        target,
        commit,
        job: &this.assignment.job,
        forge: &forge,
        name: &this.assignment.repository.name,
    };
    this.unless_grave(push.publish(push::deadline(sent, answer.push_for_secs))).await.map(Some)
}
