//! Runs one start of an agent: starts it, reads its output, enforces limits, stops it, and kills all its processes.
//!
//! `classify` judges its end, `agent` starts it again.

mod input;
mod listen;

use super::adapter::{Launch, Meter};
use super::disk;
use super::record::{Record, Shared};
use super::sign::Terminal;
use super::so_far::{SoFar, TELL_EVERY};
use super::watch::{Limits, Spent};
use crate::api::reporter::Events;
use crate::deadline::later;
use crate::git::workspace::Workspace;
use crate::inputs::orders::Orders;
use crate::inputs::people::People;
use crate::options::ProcessNamespace;
use crate::process::enclosure::{Enclosure, Exit};
use crate::process::group::Group;
use crate::process::stray;
use crate::stop::Stop;
use input::Input;
use listen::{Pace, hear, listen, listen_to_errors};
use pullyard_domain::failure::Failure;
use pullyard_domain::text::Span;
use std::ffi::OsString;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tokio::process::Child;
use tokio::time::{Instant, MissedTickBehavior, interval, interval_at, sleep_until, timeout};

/// Time limit for the last output after all processes ended: a busy machine may need it for a line of megabytes.
const LAST_WORDS_LIMIT: Duration = Duration::from_secs(30);
/// How often the agent's files are read while it prints nothing.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// The same when the next answer may exceed a limit. After a failed call Codex prints no line, and sends its next
/// request 20 to 40 ms after the answer is in its files.
const NEAR_EVERY: Duration = Duration::from_millis(10);
/// Time limit for an agent to exit after its input is closed.
const LEAVE_LIMIT: Duration = Duration::from_secs(2);

#[derive(Clone, Copy)]
pub(super) struct Bounds<'a> {
    /// The end of the attempt's time, and its total.
    pub(super) until: Instant,
    pub(super) wall_secs: u64,
    pub(super) grace: Duration,
    pub(super) namespace: ProcessNamespace,
    pub(super) orders: &'a Orders,
    pub(super) people: &'a People<'a>,
    /// The number of the newest input in the prompt.
    pub(super) told: u32,
    pub(super) limits: Limits,
    pub(super) spent: Spent,
    pub(super) disk_mib: Option<u64>,
}

pub(super) struct End {
    pub(super) exit: Exit,
    pub(super) stopped: Option<Stop>,
    pub(super) record: Record,
}

/// Errors: the program could not be started, or its processes could not be killed.
pub(super) async fn run(
    program: &Path,
    launch: Launch,
    env: Vec<(&'static str, OsString)>,
    workspace: &Workspace,
    events: &Events,
    bounds: Bounds<'_>,
) -> Result<End, Stop> {
    let enclosure = Enclosure::of_this_machine(bounds.namespace).await;
    let mut command = enclosure.command(program);
    command
        .args(&launch.args)
        .current_dir(workspace.tree())
        .env_clear()
        .envs(env)
        .envs(launch.env)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    let mut child = command.spawn().map_err(|error| super::missing(events, &program.display().to_string(), &error))?;
    let Some(mut group) = Group::of(&child) else {
        return Err(Failure::Unknown { last_words: "the agent has no process id".into() }.into());
    };
    let shared = Shared::new();
    let pace = Pace::of(&shared);
    let mut input = Input::begin(child.stdin.take(), launch.input, launch.input_ends);
    let readers = [
        child.stdout.take().map(|pipe| listen(pipe, launch.reader, events, &pace)),
        child.stderr.take().map(|pipe| listen_to_errors(pipe, events, &pace)),
    ];
    let so_far = SoFar::new(&bounds.spent, TELL_EVERY);
    let mut counted = Counted { meter: launch.meter, look_every: LOOK_EVERY, near_every: NEAR_EVERY, so_far };

    let around = Around { enclosure: &enclosure, shared: &shared, events, workspace, bounds: &bounds };
    let ending = supervise(&mut child, &mut input, &mut counted, &around).await;
    pace.ends();
    if ending.stopped.is_some() {
        interrupt(&mut child, &shared, &mut input, bounds.grace).await;
    }
    input.ends();
    let stopped = group.stop(&mut child, bounds.grace).await;
    let strays = stray::end_all(&workspace.temporary()).await;
    for reader in readers.into_iter().flatten() {
        let _ = timeout(LAST_WORDS_LIMIT, reader).await;
    }
    let Counted { meter, mut so_far, .. } = counted;
    if let Some(meter) = meter {
        let looked = tokio::task::spawn_blocking(move || {
            let mut meter = meter;
            meter.finish()
        })
        .await;
        hear(looked.unwrap_or_default(), events, &shared);
    }
    if let Err(outlived) = stray::ended(stopped, strays) {
        tracing::error!(error = %outlived, "failed to {outlived}");
        workspace.keep_for_the_next_look();
        // A surviving process may still write, so the attempt publishes no work.
        return Err(Failure::WorkspaceFailed { reason: outlived.reason("the agent") }.into());
    }
    input.hears(&shared.record(), &bounds);
    let mut record = shared.record().clone();
    if let Some(said) = so_far.last(&record) {
        events.add(said);
    }
    if let Some(terminal) = ending.let_go {
        // The agent's reaction to the stop is not its end.
        record.terminal = Some(terminal);
    }
    let stopped = match ending.stopped {
        // The folder may have grown since the last check.
        None => disk::passed(workspace.root(), bounds.disk_mib).await.map(Stop::from),
        stopped => stopped,
    };
    Ok(End { exit: ending.exit, stopped, record })
}

struct Ending {
    exit: Exit,
    stopped: Option<Stop>,
    /// The agent's reported end, if the runner stopped it because no limit allows another turn.
    let_go: Option<Terminal>,
}

struct Counted {
    meter: Option<Box<dyn Meter>>,
    look_every: Duration,
    near_every: Duration,
    so_far: SoFar,
}

struct Around<'a> {
    enclosure: &'a Enclosure,
    shared: &'a Shared,
    events: &'a Events,
    workspace: &'a Workspace,
    bounds: &'a Bounds<'a>,
}

async fn supervise(child: &mut Child, input: &mut Input, counted: &mut Counted, around: &Around<'_>) -> Ending {
    let Around { enclosure, shared, events, workspace, bounds } = *around;
    let stop = |stop: Stop| Ending { exit: Exit::Unknown, stopped: Some(stop), let_go: None };
    let spoken = bounds.people.speak();
    tokio::pin!(spoken);
    let too_large = disk::too_large(workspace.root().to_owned(), bounds.disk_mib);
    tokio::pin!(too_large);
    let mut looks = interval(counted.look_every);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut near_looks = interval_at(Instant::now() + counted.near_every, counted.near_every);
    near_looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // Until then, an agent may exit by itself after its input was closed because of silence.
    let mut may_leave_until = Instant::now();
    loop {
        let (silent_until, passed, is_near, close_at, let_go, said, tell_at) = {
            let record = shared.record();
            input.hears(&record, bounds);
            let goes = input.has_unheard(&record) && bounds.limits.leave_no_turn(&bounds.spent, &record);
            let said = counted.so_far.tell(&record, Instant::now());
            (
                bounds.limits.silent_until(&record).max(may_leave_until),
                bounds.limits.passed(&bounds.spent, &record),
                bounds.limits.are_near(&bounds.spent, &record),
                input.waited_for_until(&record),
                record.terminal.clone().filter(|_| goes),
                said,
                counted.so_far.due(&record),
            )
        };
        if let Some(said) = said {
            events.add(said);
        }
        if let_go.is_some() {
            // The agent's work is done, and another input would exceed a limit.
            return Ending { exit: Exit::Code(0), stopped: None, let_go };
        }
        if let Some(failure) = passed {
            return stop(failure.into());
        }
        if close_at.is_some_and(|at| at <= Instant::now()) {
            // The agent reported its end, and waits only for its input to close.
            input.close();
        }
        tokio::select! {
            biased;
            order = bounds.orders.any() => return stop(Stop::Ordered(order)),
            status = child.wait() => return match status {
                Ok(status) => Ending { exit: enclosure.end_of(status), stopped: None, let_go: None },
                Err(error) => stop(Failure::Unknown { last_words: error.to_string() }.into()),
            },
            () = sleep_until(bounds.until) => {
                return stop(Failure::TimeLimit { limit: Span(bounds.wall_secs) }.into());
            }
            failure = &mut too_large => return stop(failure.into()),
            () = sleep_until(silent_until) => {
                let record = shared.record();
                // The agent may have printed a line in between.
                if bounds.limits.silent_until(&record) <= Instant::now() {
                    if record.terminal.is_none() || !input.close() {
                        return stop(bounds.limits.stalled(&record).into());
                    }
                    // The agent reported its end before, and may wait only for its input to close.
                    may_leave_until = later(Instant::now(), bounds.limits.silence(&record));
                }
            }
            () = sleep_until(close_at.unwrap_or(silent_until)), if close_at.is_some() && input.may_be_told() => {}
            () = sleep_until(tell_at.unwrap_or(silent_until)), if tell_at.is_some() => {}
            words = &mut spoken, if input.may_be_told() => {
                input.tell(&words, bounds.people);
                spoken.set(bounds.people.speak());
            }
            // This line may end a tool, and the next request follows, so count the usage first.
            () = shared.changed() => look(&mut counted.meter, events, shared).await,
            _ = looks.tick(), if counted.meter.is_some() => look(&mut counted.meter, events, shared).await,
            _ = near_looks.tick(), if is_near && counted.meter.is_some() => {
                look(&mut counted.meter, events, shared).await;
            }
        }
    }
}

/// Reads new content of the agent's files on a blocking thread.
async fn look(meter: &mut Option<Box<dyn Meter>>, events: &Events, shared: &Shared) {
    let Some(mut looking) = meter.take() else { return };
    let looked = tokio::task::spawn_blocking(move || {
        let signs = looking.look();
        (looking, signs)
    });
    if let Ok((looked, signs)) = looked.await {
        *meter = Some(looked);
        hear(signs, events, shared);
    }
}

/// Requests that no further model request is sent, and waits. An agent that is merely terminated may send one.
async fn interrupt(child: &mut Child, shared: &Shared, input: &mut Input, grace: Duration) {
    // The agent may continue with an input immediately; its end counts nevertheless.
    let ends = shared.record().ends;
    if input.interrupt() {
        let stopped = async {
            while !shared.record().has_ended_since(ends) {
                shared.changed().await;
            }
        };
        tokio::select! {
            _ = child.wait() => return,
            _ = timeout(grace, stopped) => {}
        }
    }
    // An input that the agent has not taken up would cause another request.
    let takes_more = {
        let record = shared.record();
        input.has_more(&record) || record.works_again
    };
    if input.close() && !takes_more {
        let _ = timeout(LEAVE_LIMIT.min(grace), child.wait()).await;
    }
}
