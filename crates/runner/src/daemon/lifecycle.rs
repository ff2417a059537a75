//! Runs the daemon from start to end: takes over running jobs, registers, waits for a reason to leave, and leaves.

use super::call_failure::{
    CallKind, FatalExit, RUNNER_DELETED_EXIT, RunnerCallFailure, TOKEN_REFUSED_EXIT, classify_failure, is_unknown_field,
};
use super::child::{self, ProcessStarter};
use super::context::{DaemonContext, JobProcesses};
use super::heartbeat::{self, with_timeout};
use super::installed::{InstalledPrograms, OWN_VERSION};
use super::launch::{CONFIRMATION_LIMIT, Launch, STOP_MARGIN};
use super::program::own_program;
use super::settings::Settings;
use super::state::{State, StateSnapshot};
use super::state_folder::StateFolder;
use super::update_watch::replace;
use super::{claims, orders, outbox_delivery, pauses};
use crate::Error;
use crate::agent::host_profile::AgentProfile;
use crate::api::outbox::Outbox;
use crate::git::workspace::Workspace;
use crate::git::workspace::disk::run_blocking;
use crate::job_log;
use crate::options::OTHER_ISOLATIONS;
use crate::process::sandbox;
use crate::process::signals::Signals;
use pullyard_domain::agent::runner::validate_name;
use pullyard_domain::text::id::InstanceId;
use pullyard_protocol::client::{self, ApiClient, RunnerClient};
use pullyard_protocol::runner::{RegisterAnswer, RegisterRequest, RunnerIsolation, Updates};
use pullyard_protocol::token::Token;
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{sleep, timeout};
use tokio_util::task::AbortOnDropHandle;

/// As for an invalid setting: a restart does not help.
const UNUSABLE_SANDBOX_EXIT: u8 = 2;
const LAST_FINISHES_TIMEOUT: Duration = Duration::from_secs(10);
const LAST_HEARTBEAT_TIMEOUT: Duration = Duration::from_secs(10);

/// How the daemon ends.
enum Ending {
    Exit(u8),
    /// This program is to replace the process, which keeps its instance and its jobs.
    Replace(PathBuf),
}

/// Runs the daemon until it may exit. Returns the exit code.
/// Idempotent: it takes over the living processes of an earlier daemon.
pub(crate) async fn run(mut settings: Settings, once: bool, launch: Launch) -> Result<u8, FatalExit> {
    pullyard_sandbox::raise_open_files_limit();
    let mut signals = Signals::listen()?;
    let mut token = None;
    if settings.needs_limited_token() || !settings.has_explicit_name {
        let loaded = tokio::select! {
            loaded = until_reachable(&settings, "loading the token", || request_token(&settings)) => loaded,
            _ = signals.next() => return Ok(0),
        };
        if settings.needs_limited_token() {
            check_limits(&settings, loaded.as_ref().map_err(FatalExit::clone)?)?;
        }
        token = loaded.ok();
        settings.name = runner_name(&settings, token.as_ref());
    }
    let state_folder = StateFolder::lock(&settings.work_dir, &settings.name, &settings.api_url)?;
    let programs = state_folder.programs();
    if settings.updates.is_allowed {
        follow_update(&programs, launch.update_limit);
    } else if let Some(unused) = programs.describe_unused(OWN_VERSION) {
        tracing::warn!("{unused}");
    }
    let is_unconfirmed = || own_program().is_ok_and(|own| programs.unconfirmed(&own).is_some());
    let limit = launch.update_limit.unwrap_or(CONFIRMATION_LIMIT);
    let result = tokio::select! {
        result = Box::pin(run_locked(settings, once, launch, state_folder, token, &mut signals)) => result,
        fatal = fail_unless_confirmed(limit, is_unconfirmed) => Err(fatal),
    };
    // The service manager starts a new program again, and after three starts the old one.
    let starts_again = |fatal: &FatalExit| fatal.code != RUNNER_DELETED_EXIT && is_unconfirmed();
    result.map_err(|fatal| if starts_again(&fatal) { FatalExit { code: 1, ..fatal } } else { fatal })
}

/// The setting, else the only name of the token, else the machine's. It becomes the name of a folder.
pub(super) fn runner_name(settings: &Settings, token: Option<&Token>) -> String {
    let only = token.filter(|_| !settings.has_explicit_name).and_then(|token| token.runner.clone());
    only.filter(|name| validate_name(name).is_ok()).unwrap_or_else(|| settings.name.clone())
}

/// Returns if a new program hangs or does not reach the control plane.
async fn fail_unless_confirmed(limit: Duration, is_unconfirmed: impl Fn() -> bool) -> FatalExit {
    sleep(limit).await;
    if !is_unconfirmed() {
        std::future::pending::<()>().await;
    }
    let message = format!("The control plane answered no heartbeat within {} s.", limit.as_secs());
    FatalExit { code: 1, message }
}

async fn run_locked(
    settings: Settings,
    once: bool,
    launch: Launch,
    state_folder: StateFolder,
    mut token: Option<Token>,
    signals: &mut Signals,
) -> Result<u8, FatalExit> {
    let isolation =
        check_isolation(&settings).await.map_err(|message| FatalExit { code: UNUSABLE_SANDBOX_EXIT, message })?;
    let client = RunnerClient::new(&settings.api_url, &settings.token).map_err(Error::Client)?;
    let check = isolation.as_ref().map(|isolation| isolation.result.clone());
    let jobs = take_over(&settings, &state_folder, launch.run_job.clone(), check).await?;
    let mut request = registration(&settings, once, state_folder.instance.clone(), isolation);
    let register = async || {
        request.active = jobs.state.read(StateSnapshot::active_jobs);
        register(&settings, &client, &mut request).await
    };
    let registration = tokio::select! {
        result = until_reachable(&settings, "registration", register) => result?,
        _ = signals.next() => return Ok(0),
    };
    if token.is_none() {
        token = request_token(&settings).await.ok();
    }
    let token = token.map(|token| format!(", with the token \"{}\"", token.name));
    tracing::info!(
        runner.id = %registration.runner, name = settings.name, slots = settings.slots,
        "registered {} as {}{}", settings.name, registration.runner, token.unwrap_or_default()
    );
    let daemon = Arc::new(DaemonContext { settings, once, launch, client, request, registration, state_folder, jobs });
    match run_tasks(&daemon, signals).await? {
        Ending::Exit(code) => Ok(code),
        Ending::Replace(program) => {
            let error = replace(&daemon.state_folder.programs(), &program, daemon.launch.update_limit);
            Err(FatalExit { code: 1, message: format!("Cannot start {}: {error}.", program.display()) })
        }
    }
}

/// Other projects must not send their jobs to a machine that has the configuration or the forge's token of its user.
pub(super) fn check_limits(settings: &Settings, token: &Token) -> Result<(), FatalExit> {
    let needs_runner = settings.agent_profile == AgentProfile::Host;
    if token.projects.is_some() && (token.runner.is_some() || !needs_runner) {
        return Ok(());
    }
    let message = "`--agent-profile host` needs a runner token that is limited to one runner and to named projects, \
                   and PULLYARD_FORGE_TOKEN one that is limited to named projects: \
                   `pullyard tokens create --name NAME --kind runner --runner RUNNER --projects PROJECT`.";
    Err(FatalExit { code: super::call_failure::INVALID_SETTING_EXIT, message: message.into() })
}

/// Executes the program that an update installed, if there is one. Returns if this program is to run.
fn follow_update(programs: &InstalledPrograms, update_limit: Option<Duration>) {
    let Some(program) = own_program().ok().and_then(|own| programs.follow(&own, OWN_VERSION)) else { return };
    tracing::info!("starting {}, which an update installed", program.display());
    let error = replace(programs, &program, update_limit);
    tracing::error!(error = %error, "cannot start {}: {error}; this program runs", program.display());
    programs.remove_current();
}

/// Registers. An older control plane refuses `updates`; it has no orders either.
async fn register(
    settings: &Settings,
    client: &RunnerClient,
    request: &mut RegisterRequest,
) -> Result<RegisterAnswer, client::Error> {
    let (limit, url) = (settings.request_timeout, &settings.api_url);
    match with_timeout(limit, url, client.register(request)).await {
        Err(error) if is_unknown_field(&error, "/updates") => {
            tracing::warn!("the control plane is older than this runner and knows no restarts and updates from afar");
            request.updates = None;
            with_timeout(limit, url, client.register(request)).await
        }
        answer => answer,
    }
}

pub(super) fn registration(
    settings: &Settings,
    once: bool,
    instance: InstanceId,
    isolation: Option<RunnerIsolation>,
) -> RegisterRequest {
    let updates = if settings.updates.is_allowed { Updates::Allowed } else { Updates::Denied };
    RegisterRequest {
        name: settings.name.clone(),
        instance,
        capabilities: settings.capabilities.clone(),
        labels: settings.labels.clone(),
        version: OWN_VERSION.into(),
        slots: settings.slots,
        active: BTreeSet::new(),
        isolation,
        offline_after_secs: settings.offline_after_secs,
        check_only: false,
        // A runner that ends after one job carries out no orders.
        updates: (!once).then_some(updates),
    }
}

/// Checks the isolation before the runner takes a job. Returns its level and the result.
/// Errors: why this machine cannot use the isolation, and what helps.
async fn check_isolation(settings: &Settings) -> Result<Option<RunnerIsolation>, String> {
    let Some(isolation) = settings.isolation else { return Ok(None) };
    let folder = settings.work_dir.clone();
    let containers = settings.containers_of("check", &folder);
    if let Some(network) = containers.as_ref().map(|containers| &containers.network).filter(|name| *name != "none") {
        tracing::warn!("the network {network} is no sandbox: agents reach every host; `none` leaves the proxies");
    }
    let check = run_blocking(move || Ok(sandbox::check(isolation, containers, &folder))).await;
    let result = check
        .unwrap_or_else(|error| Err(error.to_string()))
        .map_err(|reason| format!("{reason}\nhelp: {OTHER_ISOLATIONS}"))?;
    tracing::info!("isolation {}: {result}", isolation.as_str());
    Ok(Some(RunnerIsolation { level: isolation.as_str().into(), result }))
}

pub(super) async fn take_over(
    settings: &Settings,
    state_folder: &StateFolder,
    command: Vec<OsString>,
    isolation_check: Option<String>,
) -> Result<Arc<JobProcesses>, Error> {
    let unusable = |source| Error::StateFolder { dir: settings.work_dir.clone(), source };
    let log_copies = settings.log_dir.as_ref().and_then(|dir| {
        // Jobs do not need the copies. The folder may be on a disk that is full or not mounted yet.
        let folder = job_log::create_folder(dir, &settings.name);
        let warn = |error: &std::io::Error| {
            tracing::warn!(error = %error, "no copies of logs until the next start: {}: {error}", dir.display());
        };
        folder.inspect_err(warn).ok()
    });
    // An absolute path, because children run in other folders.
    let work_dir = settings.work_dir.canonicalize().map_err(unusable)?;
    let jobs = Arc::new(JobProcesses {
        state: State::default(),
        outbox: Outbox::new(&work_dir),
        starter: ProcessStarter {
            command,
            api_url: settings.api_url.clone(),
            isolation: settings.isolation,
            isolation_check,
            containers: settings.containers_of(state_folder.instance.as_str(), &work_dir),
            work_dir,
            instance: state_folder.instance.clone(),
            stop_grace: settings.stop_grace,
            forge: settings.forge_token.clone().map(|token| (token, settings.forge_api_url.clone())),
            agent_profile: settings.agent_profile,
            clone_depth: settings.clone_depth,
            disk_limit: settings.disk_limit.clone(),
            process_memory: settings.process_memory.clone(),
            jobs: state_folder.jobs(),
            logs: state_folder.logs(),
            keep_logs: settings.keep_logs,
            log_copies,
        },
    });
    let (running, dead) = child::load_records(&jobs.starter.jobs);
    if running.is_empty() {
        remove_left_containers(&jobs.starter).await;
    }
    let pending = jobs.outbox.list_pending();
    for key in dead {
        Workspace::kill_orphans(&jobs.starter.work_dir, &key.0, key.1).await;
        if pending.contains(&key) {
            jobs.state.update(|state| state.pending_reports.insert(key));
        } else {
            child::remove_record(&jobs.starter.jobs, &key);
        }
    }
    for (record, process) in running {
        tracing::info!(job.id = %record.job, attempt = record.attempt, "took over {}, which is still running", record.job);
        jobs.watch(record, process);
    }
    Ok(jobs)
}

async fn remove_left_containers(starter: &ProcessStarter) {
    let Some((level, containers)) = starter.isolation.zip(starter.containers.clone()) else { return };
    let result = run_blocking(move || Ok(pullyard_sandbox::remove_left_containers(level, &containers))).await;
    match result {
        Ok(Ok(0)) | Err(_) => {}
        Ok(Ok(count)) => tracing::info!("removed {count} left containers"),
        Ok(Err(error)) => tracing::warn!("cannot remove left containers: {error}"),
    }
}

async fn until_reachable<T>(
    settings: &Settings,
    call_name: &str,
    mut call: impl AsyncFnMut() -> Result<T, client::Error>,
) -> Result<T, FatalExit> {
    let mut failures = 0;
    loop {
        let error = match call().await {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        if let RunnerCallFailure::Fatal(fatal) = classify_failure(&error, CallKind::Registration, &settings.name) {
            return Err(fatal);
        }
        failures += 1;
        if failures == 1 {
            tracing::warn!(error = %error, "{call_name} failed, retrying: {error}");
        }
        sleep(pauses::back_off(failures, rand::random())).await;
    }
}

pub(super) async fn request_token(settings: &Settings) -> Result<Token, client::Error> {
    let api = ApiClient::new(&settings.api_url, &settings.token)?;
    with_timeout(settings.request_timeout, &settings.api_url, api.own_token()).await
}

async fn run_tasks(daemon: &Arc<DaemonContext>, signals: &mut Signals) -> Result<Ending, FatalExit> {
    let (for_heartbeats, for_claims, jobs) = (Arc::clone(daemon), Arc::clone(daemon), Arc::clone(&daemon.jobs));
    let heartbeats = AbortOnDropHandle::new(tokio::spawn(async move { heartbeat::run(&for_heartbeats).await }));
    let mut claims = AbortOnDropHandle::new(tokio::spawn(async move { claims::run(&for_claims).await }));
    let deliveries = AbortOnDropHandle::new(tokio::spawn(async move { outbox_delivery::run(&jobs).await }));

    let for_orders = Arc::clone(daemon);
    let orders = AbortOnDropHandle::new(tokio::spawn(async move { orders::run(&for_orders).await }));

    let mut exit_code = None;
    tokio::select! {
        code = signals.next() => {
            tracing::info!("stopping after the running jobs; a second signal stops them");
            exit_code = Some(code);
        }
        () = daemon.state().wait_until_leaving() => {}
        () = daemon.state().wait_until(|state| state.replacement.is_some()) => {}
    }
    daemon.state().begin_leaving();
    drop(orders);

    let is_replaced = |state: &StateSnapshot| exit_code.is_none() && state.fatal_exit.is_none();
    if let Some(program) = daemon.state().read(|state| state.replacement.clone().filter(|_| is_replaced(state))) {
        tokio::select! {
            // Without a last heartbeat, so that the next process continues as this instance.
            _ = &mut claims => return Ok(Ending::Replace(program)),
            signal = signals.next() => exit_code = Some(signal),
        }
    }
    let code = wait_for_jobs(daemon, signals, claims, exit_code).await;
    drop(deliveries);
    if daemon.state().read(|state| !state.pending_reports.is_empty()) {
        let _ = timeout(LAST_FINISHES_TIMEOUT, daemon.jobs.deliver_finishes()).await;
    }
    // No other heartbeat may follow the last one.
    heartbeats.abort();
    let _ = heartbeats.await;
    let fatal = daemon.state().read(|state| state.fatal_exit.clone());
    let has_left = match &fatal {
        // The next process continues a rejected one only if its token was the reason.
        Some(fatal) if fatal.is_refusal() => fatal.code != TOKEN_REFUSED_EXIT,
        _ => timeout(LAST_HEARTBEAT_TIMEOUT, heartbeat::send_last(daemon)).await == Ok(true),
    };
    if has_left {
        daemon.state_folder.clear_instance();
    }
    fatal.map_or(Ok(Ending::Exit(code)), Err)
}

/// Returns the exit code. The second signal of the daemon stops the jobs.
async fn wait_for_jobs(
    daemon: &DaemonContext,
    signals: &mut Signals,
    claims: AbortOnDropHandle<()>,
    mut first_signal: Option<u8>,
) -> u8 {
    let jobs_end = async {
        let _ = claims.await;
        daemon.state().wait_until(|state| state.running.is_empty()).await;
    };
    tokio::pin!(jobs_end);
    loop {
        tokio::select! {
            () = &mut jobs_end => return 0,
            signal = signals.next() => {
                if first_signal.replace(signal).is_none() {
                    tracing::info!("already draining; a second signal stops the running jobs");
                    continue;
                }
                stop_jobs(daemon, signals).await;
                return signal;
            }
        }
    }
}

async fn stop_jobs(daemon: &DaemonContext, signals: &mut Signals) {
    let running: Vec<_> = daemon.state().read(|state| state.running.values().cloned().collect());
    tracing::warn!(count = running.len(), "second signal: stopping {} jobs", running.len());
    for record in running {
        record.terminate(&daemon.jobs.starter.jobs);
    }
    let limit = daemon.settings.stop_grace + STOP_MARGIN;
    tokio::select! {
        () = daemon.state().wait_until(|state| state.running.is_empty()) => {}
        () = sleep(limit) => tracing::error!("exiting while jobs are still running"),
        _ = signals.next() => tracing::error!("third signal: exiting while jobs are still running"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_an_unconfirmed_program_ends_at_the_limit() {
        let fatal = fail_unless_confirmed(Duration::ZERO, || true).await;
        assert_eq!((fatal.code, &*fatal.message), (1, "The control plane answered no heartbeat within 0 s."));
        let (sender, mut checks) = tokio::sync::mpsc::unbounded_channel();
        let is_unconfirmed = move || sender.send(()).is_err();
        let confirmed = tokio::spawn(fail_unless_confirmed(Duration::ZERO, is_unconfirmed));
        // On this one thread, the task continues as far as it can before the test does.
        assert_eq!(checks.recv().await, Some(()));
        assert!(!confirmed.is_finished(), "a confirmed program continues");
    }
}
