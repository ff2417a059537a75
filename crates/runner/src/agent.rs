//! One run of the agent: started with its prompt, listened to, limited, and gone with everything it
//! started when this returns.
//!
//! Which program it is, is in `program`; what its lines mean, in `line`; how they are read, in `lines`.

mod line;
mod lines;
mod program;

use crate::attempt::later;
use crate::group::Group;
use crate::orders::Orders;
use crate::reporter::Events;
use crate::said::Said;
use crate::stop::Stop;
use crate::stray;
use crate::workspace::Workspace;
use line::Stream;
use lines::Lines;
use pullyard_domain::failure::Failure;
use pullyard_domain::text::{Span, clipped};
use pullyard_protocol::attempt::Assignment;
use pullyard_protocol::event::EventKind;
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWriteExt};
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::task::AbortOnDropHandle;

/// How long the last words may take to be read once nobody is left to say more. Something that left
/// the group may hold the pipe open for ever.
const LAST_WORDS_LIMIT: Duration = Duration::from_secs(5);
/// How much of the environment the agent gets from ours.
const INHERITED: &[&str] = &["PATH", "LANG", "LC_ALL"];
/// As it stands in sentences.
const NAME: &str = "The agent";

/// What bounds a run.
pub(crate) struct Bounds<'a> {
    /// When the whole attempt has used up its time.
    pub(crate) until: Instant,
    /// How long the agent may take to stop by itself.
    pub(crate) grace: Duration,
    /// What stops it from outside.
    pub(crate) orders: &'a Orders,
}

/// Runs the agent to its end. It has done its work when it ends with exit code 0.
pub(crate) async fn run(
    assignment: &Assignment,
    workspace: &Workspace,
    events: &Events,
    bounds: Bounds<'_>,
) -> Result<(), Stop> {
    let missing = |reason: String| {
        events.add(Said::words(EventKind::Log, format!("The agent could not be started: {reason}.")));
        let agent = assignment.agent.command.first().cloned().unwrap_or_else(|| NAME.into());
        Stop::from(Failure::AgentMissing { agent, runner: "the runner".into() })
    };
    let (named, args) = assignment.agent.command.split_first().ok_or_else(|| missing("no command is set".into()))?;
    let tree = workspace.tree();
    let found = program::find(named, &tree, std::env::var_os("PATH").as_deref()).map_err(missing)?;
    let mut command = Command::new(found);
    command
        .args(args)
        .current_dir(&tree)
        .env_clear()
        .envs(INHERITED.iter().filter_map(|name| Some((name, std::env::var_os(name)?))))
        .env("TERM", "dumb")
        .env("TMPDIR", workspace.temporary())
        .env("HOME", workspace.home())
        .env("PULLYARD_JOB", assignment.job.as_str())
        .env("PULLYARD_KIND", kind_of(assignment))
        .env("PULLYARD_TICKET", assignment.ticket.as_ref().map_or("", |ticket| ticket.key.as_str()))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    let mut child = command.spawn().map_err(|error| missing(error.to_string()))?;
    let Some(mut group) = Group::of(&child) else {
        return Err(Failure::Unknown { last_words: "the agent has no process id".into() }.into());
    };
    let heard = Arc::new(Heard::new());
    let readers = [
        child.stdout.take().map(|pipe| listen(pipe, Stream::Out, events, &heard)),
        child.stderr.take().map(|pipe| listen(pipe, Stream::Err, events, &heard)),
    ];
    // On a task of its own: an agent that never reads its prompt must not stop us from reading its words.
    let prompt = child.stdin.take().map(|mut stdin| {
        let prompt = assignment.prompt.clone();
        AbortOnDropHandle::new(tokio::spawn(async move {
            // An agent that doesn't want to read further is free to close it.
            let _ = stdin.write_all(prompt.as_bytes()).await;
        }))
    });

    let ending = supervise(&mut child, assignment, &heard, &bounds).await;
    drop(prompt);
    let stopped = group.stop(&mut child, bounds.grace).await;
    stray::kill(&workspace.temporary()).await;
    for reader in readers.into_iter().flatten() {
        let _ = timeout(LAST_WORDS_LIMIT, reader).await;
    }
    if let Err(error) = stopped {
        tracing::error!(error = %error, "the agent's processes could not be stopped: {error}");
        // Whatever it is, it may still write: nothing of this is published.
        let reason = "processes of the agent could not be stopped".into();
        return Err(Failure::WorkspaceFailed { reason }.into());
    }
    match ending {
        Ending::Done(status) if status.success() => Ok(()),
        Ending::Done(status) => {
            Err(Failure::AgentFailed { agent: NAME.into(), exit: exit_of(status), last_words: heard.last_words() }
                .into())
        }
        Ending::Stopped(stop) => Err(stop),
    }
}

/// How the agent's own process came to its end.
enum Ending {
    Done(ExitStatus),
    Stopped(Stop),
}

async fn supervise(child: &mut Child, assignment: &Assignment, heard: &Heard, bounds: &Bounds<'_>) -> Ending {
    let stall = Duration::from_secs(assignment.limits.stall_secs);
    loop {
        let silent_until = later(heard.last(), stall);
        tokio::select! {
            biased;
            order = bounds.orders.any() => return Ending::Stopped(Stop::Ordered(order)),
            status = child.wait() => return match status {
                Ok(status) => Ending::Done(status),
                Err(error) => Ending::Stopped(Failure::Unknown { last_words: error.to_string() }.into()),
            },
            () = sleep_until(bounds.until) => {
                let limit = Span(assignment.limits.wall_secs);
                return Ending::Stopped(Failure::TimeLimit { limit }.into());
            }
            () = sleep_until(silent_until) => {
                // It may have spoken meanwhile.
                if later(heard.last(), stall) <= Instant::now() {
                    let limit = Span::from(stall);
                    return Ending::Stopped(Failure::Stalled { limit, event: heard.last_event() }.into());
                }
            }
        }
    }
}

fn kind_of(assignment: &Assignment) -> String {
    // The name on the wire is the name for the agent.
    let name = serde_json::to_value(assignment.kind).ok();
    name.and_then(|name| name.as_str().map(str::to_owned)).unwrap_or_default()
}

fn exit_of(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => status.to_string(),
    }
}

/// What the agent said last, for the sentence about how it ended, and when.
struct Heard(Mutex<Last>);

struct Last {
    at: Instant,
    event: String,
    out: String,
    err: String,
}

impl Heard {
    fn new() -> Self {
        Self(Mutex::new(Last { at: Instant::now(), event: "its start".into(), out: String::new(), err: String::new() }))
    }

    fn note(&self, stream: Stream, said: &Said) {
        let words = said.text.as_deref().or(said.name.as_deref()).unwrap_or_default();
        let words = words.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
        let words = clipped(words, 200);
        let mut last = self.last_mut();
        last.at = Instant::now();
        last.event = if words.is_empty() { line::kind_name(said.kind) } else { words.clone() };
        let of_stream = match stream {
            Stream::Out => &mut last.out,
            Stream::Err => &mut last.err,
        };
        if !words.is_empty() {
            *of_stream = words;
        }
    }

    fn last(&self) -> Instant {
        self.last_mut().at
    }

    fn last_event(&self) -> String {
        self.last_mut().event.clone()
    }

    /// Errors say more than output.
    fn last_words(&self) -> String {
        let last = self.last_mut();
        let words = [&last.err, &last.out].into_iter().find(|words| !words.is_empty());
        words.map_or_else(|| "it said nothing".into(), String::clone)
    }

    fn last_mut(&self) -> std::sync::MutexGuard<'_, Last> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn listen(
    pipe: impl AsyncRead + Unpin + Send + 'static,
    stream: Stream,
    events: &Events,
    heard: &Arc<Heard>,
) -> AbortOnDropHandle<()> {
    let (events, heard) = (events.clone(), heard.clone());
    AbortOnDropHandle::new(tokio::spawn(async move {
        let mut lines = Lines::new(pipe);
        while let Some(line) = lines.next().await {
            events.raw(&line);
            if let Some(said) = line::read(stream, &line) {
                heard.note(stream, &said);
                events.add(said);
            }
        }
    }))
}
