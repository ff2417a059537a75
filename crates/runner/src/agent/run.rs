//! Runs one start of an agent: starts it, reads its output, enforces limits, stops it, and kills all its processes.
//! `classify` judges its end, `agent` starts it again.

mod input;
mod listen;

use super::Run;
use super::adapter::Launch;
use super::agent_event::EndReport;
use super::codex::rollout::RolloutReader;
use super::disk_usage;
use super::limits::{Limits, UsageTotal};
use super::model_route::ModelRoute;
use super::run_state::{RunState, SharedRunState};
use super::usage_reporter::UsageReporter;
use crate::api::reporter::EventSink;
use crate::deadline::instant_after;
use crate::process::enclosed::Enclosed;
use crate::process::pid_namespace::Exit;
use crate::process::sandbox::{Inside, Network, TreeAccess};
use crate::stop::Stop;
use input::Input;
use listen::{apply_events, read_stderr, read_stdout};
use pullyard_domain::failure::Failure;
use pullyard_domain::text::Span;
use std::ffi::OsString;
use std::process::Stdio;
use std::time::Duration;
use tokio::process::{Child, Command};
use tokio::time::{Instant, MissedTickBehavior, interval, interval_at, sleep_until, timeout};

/// Time limit for the last output after all processes ended: a busy machine may need it for a line of megabytes.
const LAST_OUTPUT_TIMEOUT: Duration = Duration::from_secs(30);
/// How often the agent's files are read while it prints nothing.
const READ_INTERVAL: Duration = Duration::from_millis(250);
/// The same near a limit: Codex may send its next request 20 to 40 ms after an answer is in its files.
const READ_INTERVAL_NEAR_LIMIT: Duration = Duration::from_millis(10);
const EXIT_TIMEOUT: Duration = Duration::from_secs(2);

#[derive(Clone, Copy)]
pub(super) struct RunLimits {
    pub(super) newest_input: u32,
    pub(super) limits: Limits,
    pub(super) usage: UsageTotal,
}

pub(super) struct RunEnd {
    pub(super) exit: Exit,
    pub(super) stop: Option<Stop>,
    pub(super) record: RunState,
}

/// Errors: the program could not be started, or its processes could not be killed.
pub(super) async fn run(
    run: &Run<'_>,
    launch: Launch,
    env: Vec<(&'static str, OsString)>,
    (network, route): (Network, Option<ModelRoute>),
    bounds: RunLimits,
) -> Result<RunEnd, Stop> {
    let (workspace, events, grace) = (run.workspace, run.attempt.events, run.options.stop_grace);
    let set_streams = |command: &mut Command| {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    };
    let shared = if route.is_some() { SharedRunState::metered() } else { SharedRunState::new() };
    let left = bounds.limits.remaining_cost(&bounds.usage);
    let model = route.map(|route| route.into_proxy(left, &shared)).transpose()?;
    let (program, env) = (&launch.program, env.into_iter().chain(launch.env).collect());
    let (home, network) = (workspace.home(), network.with_model(model));
    let inside = Inside { program, args: launch.args, env, home: &home, network, tree: TreeAccess::Write };
    let enclosure = (run.sandbox, run.options.process_namespace);
    let started = Enclosed::start(workspace, enclosure, inside, set_streams).await?;
    let mut running = started.map_err(|error| super::agent_missing(events, &program.display().to_string(), &error))?;
    let mut input = Input::open(running.child.stdin.take(), launch.input, launch.input_encoder);
    let readers = [
        running.child.stdout.take().map(|pipe| read_stdout(pipe, launch.reader, events, &shared)),
        running.child.stderr.take().map(|pipe| read_stderr(pipe, events, &shared)),
    ];
    let so_far = UsageReporter::new(&bounds.usage);
    let mut counted = UsageCounters { usage_reader: launch.meter, usage_reporter: so_far };
    let around = RunContext { run, shared: &shared, bounds: &bounds };
    let ending = supervise(&mut running, &mut input, &mut counted, &around).await;
    if ending.stop.is_some() {
        interrupt(&mut running.child, &shared, &mut input, grace).await;
    }
    input.abort();
    let ended = running.end(workspace, grace, "the agent").await;
    for reader in readers.into_iter().flatten() {
        let _ = timeout(LAST_OUTPUT_TIMEOUT, reader).await;
    }
    let UsageCounters { usage_reader: meter, usage_reporter: mut so_far } = counted;
    if let Some(mut meter) = meter {
        let looked = tokio::task::spawn_blocking(move || meter.finish()).await;
        apply_events(looked.unwrap_or_default(), events, &shared);
    }
    ended?;
    input.report_read_inputs(&shared.lock(), run.inputs, bounds.newest_input);
    let mut record = shared.lock().clone();
    if let Some(usage_event) = so_far.report_last(&record) {
        events.add(usage_event);
    }
    if let Some(terminal) = ending.released_end {
        // The agent's reaction to the stop is not its end.
        record.end_report = Some(terminal);
    }
    let stopped = match ending.stop {
        // The agent may have ended before the loop saw the refusal, and the folder may have grown since the last check.
        None => match bounds.limits.check_refused_request(&bounds.usage, &record) {
            None => disk_usage::exceeded_limit(workspace.root(), run.assignment.limits.disk_mib).await.map(Stop::from),
            refused => refused.map(Stop::from),
        },
        stopped => stopped,
    };
    Ok(RunEnd { exit: ending.exit, stop: stopped, record })
}

struct ProcessEnd {
    exit: Exit,
    stop: Option<Stop>,
    /// The agent's reported end, if the runner stopped it because no limit allows another turn.
    released_end: Option<EndReport>,
}

struct UsageCounters {
    usage_reader: Option<RolloutReader>,
    usage_reporter: UsageReporter,
}

struct RunContext<'a> {
    run: &'a Run<'a>,
    shared: &'a SharedRunState,
    bounds: &'a RunLimits,
}

async fn supervise(
    running: &mut Enclosed,
    input: &mut Input,
    counted: &mut UsageCounters,
    around: &RunContext<'_>,
) -> ProcessEnd {
    let RunContext { run, shared, bounds } = *around;
    let (events, allowed) = (run.attempt.events, &run.assignment.limits);
    let stop = |stop: Stop| ProcessEnd { exit: Exit::Unknown, stop: Some(stop), released_end: None };
    let spoken = run.inputs.wait_for_messages();
    tokio::pin!(spoken);
    let too_large = disk_usage::wait_until_too_large(run.workspace.root().to_owned(), allowed.disk_mib);
    tokio::pin!(too_large);
    let mut looks = interval(READ_INTERVAL);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut near_looks = interval_at(Instant::now() + READ_INTERVAL_NEAR_LIMIT, READ_INTERVAL_NEAR_LIMIT);
    near_looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // Until then, an agent may exit by itself after its input was closed because of silence.
    let mut may_leave_until = Instant::now();
    loop {
        let (silent_until, passed, is_near, close_at, let_go, usage_event, tell_at) = {
            let record = shared.lock();
            input.report_read_inputs(&record, run.inputs, bounds.newest_input);
            let goes = input.has_unanswered(&record) && bounds.limits.has_exhausted_turns(&bounds.usage, &record);
            let usage_event = counted.usage_reporter.report_if_due(&record, Instant::now());
            (
                bounds.limits.stall_deadline(&record).max(may_leave_until),
                bounds.limits.check_while_running(&bounds.usage, &record),
                bounds.limits.is_near(&bounds.usage, &record),
                input.close_at(&record),
                record.end_report.clone().filter(|_| goes),
                usage_event,
                counted.usage_reporter.report_due_at(&record),
            )
        };
        if let Some(usage_event) = usage_event {
            events.add(usage_event);
        }
        if let_go.is_some() {
            return ProcessEnd { exit: Exit::Code(0), stop: None, released_end: let_go };
        }
        if let Some(failure) = passed {
            return stop(failure.into());
        }
        if close_at.is_some_and(|at| at <= Instant::now()) {
            input.close();
        }
        tokio::select! {
            biased;
            order = run.attempt.orders.wait_any() => return stop(Stop::Order(order)),
            exit = running.wait() => return match exit {
                Ok(exit) => ProcessEnd { exit, stop: None, released_end: None },
                Err(unknown) => stop(unknown),
            },
            () = sleep_until(run.attempt.deadline) => {
                return stop(Failure::TimeLimit { limit: Span(allowed.wall_secs) }.into());
            }
            failure = &mut too_large => return stop(failure.into()),
            () = sleep_until(silent_until) => {
                let record = shared.lock();
                // The agent may have printed a line in between.
                if bounds.limits.stall_deadline(&record) <= Instant::now() {
                    if record.end_report.is_none() || !input.close() {
                        return stop(bounds.limits.stall_failure(&record).into());
                    }
                    // The agent reported its end before, and may wait only for its input to close.
                    may_leave_until = instant_after(Instant::now(), bounds.limits.allowed_silence(&record));
                }
            }
            () = sleep_until(close_at.unwrap_or(silent_until)), if close_at.is_some() && input.is_open() => {}
            () = sleep_until(tell_at.unwrap_or(silent_until)), if tell_at.is_some() => {}
            messages = &mut spoken, if input.is_open() => {
                input.send(&messages, run.inputs);
                spoken.set(run.inputs.wait_for_messages());
            }
            // This line may end a tool, and the next request follows, so count the usage first.
            () = shared.wait_for_change() => read_usage(&mut counted.usage_reader, events, shared).await,
            _ = looks.tick(), if counted.usage_reader.is_some() => read_usage(&mut counted.usage_reader, events, shared).await,
            _ = near_looks.tick(), if is_near && counted.usage_reader.is_some() => {
                read_usage(&mut counted.usage_reader, events, shared).await;
            }
        }
    }
}

async fn read_usage(meter: &mut Option<RolloutReader>, events: &EventSink, shared: &SharedRunState) {
    let Some(mut looking) = meter.take() else { return };
    let looked = tokio::task::spawn_blocking(move || {
        let signs = looking.poll();
        (looking, signs)
    });
    if let Ok((looked, signs)) = looked.await {
        *meter = Some(looked);
        apply_events(signs, events, shared);
    }
}

/// Requests that no further model request is sent, and waits. An agent that is merely terminated may send one.
async fn interrupt(child: &mut Child, shared: &SharedRunState, input: &mut Input, grace: Duration) {
    // The agent may continue with an input immediately; its end counts nevertheless.
    let ends = shared.lock().end_count;
    if input.interrupt() {
        let stopped = async {
            while !shared.lock().has_ended_since(ends) {
                shared.wait_for_change().await;
            }
        };
        tokio::select! {
            _ = child.wait() => return,
            _ = timeout(grace, stopped) => {}
        }
    }
    // An input that the agent has not taken up would cause another request.
    let takes_more = {
        let record = shared.lock();
        input.has_unsent_to_model(&record) || record.continued_after_end
    };
    if input.close() && !takes_more {
        let _ = timeout(EXIT_TIMEOUT.min(grace), child.wait()).await;
    }
}
