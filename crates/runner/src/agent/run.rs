//! Runs one start of an agent: starts it, reads its output, enforces limits, stops it, and kills all its processes.
//! `classify` judges its end, `agent` starts it again.

mod input;
mod listen;

use super::adapter::{Launch, ReadFiles, SideEvents};
use super::agent_event::{EndReport, UsageTotal};
use super::cost_meter::CostMeter;
use super::limits::Limits;
use super::run_context::{Run, agent_missing};
use super::run_state::{RunState, SharedRunState};
use super::usage_reporter::UsageReporter;
use crate::api::event_draft::EventDraft;
use crate::api::reporter::EventSink;
use crate::deadline::instant_after;
use crate::disk_limit;
use crate::process::enclosed::Enclosed;
use crate::process::pid_namespace::Exit;
use crate::process::sandbox::{Inside, Network, TreeAccess};
use crate::stop::Stop;
use input::Input;
use listen::{apply_events, read_stderr, read_stdout};
use pullyard_domain::job::AgentWrites;
use pullyard_domain::review::output::PULLYARD_FOLDER;
use pullyard_domain::text::Span;
use pullyard_domain::text::failure::Failure;
use std::ffi::OsString;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;
use tokio::process::{Child, Command};
use tokio::time::{Instant, MissedTickBehavior, interval, interval_at, sleep_until, timeout};

/// Time limit for the last output after all processes ended: a busy machine may need it for a line of megabytes.
const LAST_OUTPUT_TIMEOUT: Duration = Duration::from_secs(30);
/// How often the agent's files are read while it prints nothing.
const READ_INTERVAL: Duration = Duration::from_millis(250);
/// Read interval near a limit: Codex may send its next request 20 to 40 ms after an answer is in its files.
const READ_INTERVAL_NEAR_LIMIT: Duration = Duration::from_millis(10);
const EXIT_TIMEOUT: Duration = Duration::from_secs(2);

pub(super) struct RunLimits {
    /// Counts the requests of an agent whose model has a proxy.
    pub(super) meter: Option<Arc<CostMeter>>,
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
    (network, shared): (Network, SharedRunState),
    bounds: RunLimits,
) -> Result<RunEnd, Stop> {
    let (workspace, events, grace) = (run.workspace, run.attempt.events, run.options.stop_grace);
    let set_streams = |command: &mut Command| {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    };
    let env = env.into_iter().chain(launch.env).map(|(name, value)| (name.to_owned(), value)).collect();
    let program = &launch.program;
    let home = workspace.home();
    let output_folder = [workspace.tree().join(PULLYARD_FOLDER)];
    let tree = match run.assignment.kind.spec().writes {
        AgentWrites::Tree => TreeAccess::Write,
        AgentWrites::OutputFile => TreeAccess::ReadExcept(&output_folder),
    };
    let inside = Inside { program, args: launch.args, env, home: &home, network, tree };
    let enclosure = (run.sandbox, run.options.process_namespace);
    let process = Enclosed::start(workspace, enclosure, inside, set_streams).await?;
    let mut running = process.map_err(|error| agent_missing(run, &program.display().to_string(), &error))?;
    let mut input = Input::open(running.child.stdin.take(), launch.input, launch.input_encoder);
    let pipe_readers = [
        running.child.stdout.take().map(|pipe| read_stdout(pipe, launch.reader, events, &shared)),
        running.child.stderr.take().map(|pipe| read_stderr(pipe, events, &shared)),
    ];
    let mut counters = UsageCounters { side_events: launch.side_events, reporter: UsageReporter::new(&bounds.usage) };
    let context = RunContext { run, shared: &shared, bounds: &bounds };
    let end = supervise(&mut running, &mut input, &mut counters, &context).await;
    if end.stop.is_some() {
        interrupt(&mut running.child, &shared, &mut input, grace).await;
    }
    input.abort();
    let kill_result = running.end(workspace, grace, "the agent").await;
    for reader in pipe_readers.into_iter().flatten() {
        let _ = timeout(LAST_OUTPUT_TIMEOUT, reader).await;
    }
    let UsageCounters { side_events, mut reporter } = counters;
    if let Some(mut read_events) = side_events {
        let last_events = tokio::task::spawn_blocking(move || read_events(ReadFiles::Last)).await;
        apply_events(last_events.unwrap_or_default(), events, &shared);
    }
    kill_result?;
    if let Some(meter) = &bounds.meter {
        meter.cut_all();
    }
    input.report_read_inputs(&shared.lock(), run.inputs, bounds.newest_input);
    let mut record = shared.lock().clone();
    if let Some(usage_event) = reporter.report_last(&record) {
        events.add(usage_event);
    }
    if let Some(end_report) = end.released_end {
        // The agent's reaction to the stop is not its end.
        record.end_report = Some(end_report);
    }
    let stop = match end.stop {
        // The agent may have ended before the loop saw the refusal.
        None => bounds.limits.check_refused_request(&bounds.usage, &record).map(Stop::from),
        stop => stop,
    };
    Ok(RunEnd { exit: end.exit, stop, record })
}

struct ProcessEnd {
    exit: Exit,
    stop: Option<Stop>,
    /// The agent's reported end, if the runner stopped it because no limit allows another turn.
    released_end: Option<EndReport>,
}

struct UsageCounters {
    side_events: Option<SideEvents>,
    reporter: UsageReporter,
}

impl UsageCounters {
    /// Reads the new lines of the agent's session files, on a thread for blocking work.
    async fn read_side_events(&mut self, events: &EventSink, shared: &SharedRunState) {
        let Some(mut read_events) = self.side_events.take() else { return };
        let read = tokio::task::spawn_blocking(move || {
            let new_events = read_events(ReadFiles::New);
            (read_events, new_events)
        });
        if let Ok((read_events, new_events)) = read.await {
            self.side_events = Some(read_events);
            apply_events(new_events, events, shared);
        }
    }
}

struct RunContext<'a> {
    run: &'a Run<'a>,
    shared: &'a SharedRunState,
    bounds: &'a RunLimits,
}

/// The next steps of the supervisor, decided from one state of the run.
struct NextSteps {
    stall_deadline: Instant,
    exceeded_limit: Option<Failure>,
    is_near_limit: bool,
    close_input_at: Option<Instant>,
    released_end: Option<EndReport>,
    usage_event: Option<EventDraft>,
    report_at: Option<Instant>,
}

impl NextSteps {
    fn decide(input: &Input, reporter: &mut UsageReporter, context: &RunContext<'_>) -> Self {
        let RunLimits { newest_input, limits, usage, .. } = context.bounds;
        let record = context.shared.lock();
        input.report_read_inputs(&record, context.run.inputs, *newest_input);
        let is_released = input.has_unanswered(&record) && limits.has_exhausted_turns(usage, &record);
        Self {
            stall_deadline: limits.stall_deadline(&record),
            exceeded_limit: limits.check_while_running(usage, &record),
            is_near_limit: limits.is_near(usage, &record),
            close_input_at: input.close_at(&record),
            released_end: record.end_report.clone().filter(|_| is_released),
            usage_event: reporter.report_if_due(&record, Instant::now()),
            report_at: reporter.report_due_at(&record),
        }
    }
}

/// Sends inputs and reports usage until the process ends or must be stopped.
async fn supervise(
    running: &mut Enclosed,
    input: &mut Input,
    counters: &mut UsageCounters,
    context: &RunContext<'_>,
) -> ProcessEnd {
    let RunContext { run, shared, bounds } = *context;
    let (events, wall_secs) = (run.attempt.events, run.assignment.limits.wall_secs);
    let stop = |stop: Stop| ProcessEnd { exit: Exit::Unknown, stop: Some(stop), released_end: None };
    let new_messages = run.inputs.wait_for_messages();
    tokio::pin!(new_messages);
    let disk_failure = disk_limit::wait_until_exceeded(run.workspace.root(), run.options.disk_limit);
    tokio::pin!(disk_failure);
    let mut ticks = interval(READ_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut ticks_near_limit = interval_at(Instant::now() + READ_INTERVAL_NEAR_LIMIT, READ_INTERVAL_NEAR_LIMIT);
    ticks_near_limit.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // Until then, an agent may exit by itself after its input was closed because of silence.
    let mut may_exit_until = Instant::now();
    loop {
        let next = NextSteps::decide(input, &mut counters.reporter, context);
        let silent_until = next.stall_deadline.max(may_exit_until);
        if let Some(usage_event) = next.usage_event {
            events.add(usage_event);
        }
        if next.released_end.is_some() {
            return ProcessEnd { exit: Exit::Code(0), stop: None, released_end: next.released_end };
        }
        if let Some(failure) = next.exceeded_limit {
            return stop(failure.into());
        }
        if next.close_input_at.is_some_and(|at| at <= Instant::now()) {
            input.close();
        }
        tokio::select! {
            biased;
            order = run.attempt.orders.wait_any() => return stop(Stop::Order(order)),
            exit = running.wait() => return match exit {
                Ok(exit) => ProcessEnd { exit, stop: None, released_end: None },
                Err(unknown) => stop(unknown),
            },
            () = run.attempt.deadline.reached() => {
                return stop(Failure::TimeLimit { limit: Span(wall_secs) }.into());
            }
            failure = &mut disk_failure => return stop(failure.into()),
            () = sleep_until(silent_until) => {
                let record = shared.lock();
                // The agent may have printed a line in between.
                if bounds.limits.stall_deadline(&record) <= Instant::now() {
                    if record.end_report.is_none() || !input.close() {
                        return stop(bounds.limits.stall_failure(&record).into());
                    }
                    // The agent reported its end before, and may wait only for its input to close.
                    may_exit_until = instant_after(Instant::now(), bounds.limits.allowed_silence(&record));
                }
            }
            () = sleep_until(next.close_input_at.unwrap_or(silent_until)), if next.close_input_at.is_some() && input.is_open() => {}
            () = sleep_until(next.report_at.unwrap_or(silent_until)), if next.report_at.is_some() => {}
            messages = &mut new_messages, if input.is_open() => {
                input.send(&messages, run.inputs);
                new_messages.set(run.inputs.wait_for_messages());
            }
            // This line may end a tool, and the next request follows, so count the usage first.
            () = shared.wait_for_change() => counters.read_side_events(events, shared).await,
            _ = ticks.tick(), if counters.side_events.is_some() => counters.read_side_events(events, shared).await,
            _ = ticks_near_limit.tick(), if next.is_near_limit && counters.side_events.is_some() => {
                counters.read_side_events(events, shared).await;
            }
        }
    }
}

/// Requests that no further model request is sent, and waits. An agent that is merely terminated may send one.
async fn interrupt(child: &mut Child, shared: &SharedRunState, input: &mut Input, grace: Duration) {
    // The agent may continue with an input immediately; its end counts nevertheless.
    let end_count = shared.lock().end_count;
    if input.interrupt() {
        let turn_end = async {
            while !shared.lock().has_ended_since(end_count) {
                shared.wait_for_change().await;
            }
        };
        tokio::select! {
            _ = child.wait() => return,
            _ = timeout(grace, turn_end) => {}
        }
    }
    // An input that the agent has not taken up would cause another request.
    let has_pending_input = {
        let record = shared.lock();
        input.has_unsent_to_model(&record) || record.continued_after_end
    };
    if input.close() && !has_pending_input {
        let _ = timeout(EXIT_TIMEOUT.min(grace), child.wait()).await;
    }
}
