//! Runs the agent of one attempt until its work is done or it fails for good.
//!
//! `once` runs one start, `classify` judges its end, `watch` checks limits. `adapter` hides the kinds of agents:
//! `claude_code`, `codex`, `command`.

mod adapter;
mod again;
mod as_words;
mod classify;
mod claude_code;
mod codex;
mod command;
pub(crate) mod disk;
pub(crate) mod environment;
mod exceeded;
pub(crate) mod given;
#[cfg(test)]
mod goldens;
pub(crate) mod installed;
mod instructions;
mod json_lines;
mod line;
mod lines;
mod once;
mod own_count;
mod prices;
mod program;
mod quota;
mod record;
pub(crate) mod session;
pub(crate) mod sign;
mod so_far;
mod start;
pub(crate) mod tally;
pub(crate) mod waits;
mod watch;

pub(crate) use environment::Environment;
pub use environment::agent_variables;
pub(crate) use installed::{Installed, Known, probe};
pub(crate) use program::find as find_program;
pub(crate) use sign::Tokens;
pub(crate) use tally::Tally;
pub use waits::Waits;

use crate::api::reporter::Events;
use crate::api::said::Said;
use crate::checkpoint::working::Working;
use crate::git::Git;
use crate::git::commit;
use crate::git::workspace::Workspace;
use crate::inputs::orders::Orders;
use crate::inputs::people::{People, newest, with_unheard};
use crate::left;
use crate::options::{Isolation, ProcessNamespace};
use crate::stop::Stop;
use adapter::Adapter;
use again::Again;
use classify::{Ended, Verdict};
use claude_code::ClaudeCode;
use codex::Codex;
use command::CommandAgent;
use pullyard_domain::failure::Failure;
use pullyard_domain::time::Timestamp;
use pullyard_protocol::attempt::Assignment;
use pullyard_protocol::event::EventKind;
use start::Start;
use std::ffi::OsString;
use std::time::{Duration, SystemTime};
use tokio::time::Instant;
use watch::{Limits, Spent};

/// Prompt for a session whose connection to the model broke.
const GO_ON: &str = "The connection to the model broke off. Go on with the task from where you were.";
/// Prompt for a session that ended its work before it read new messages.
pub(crate) const HEED: &str =
    "You ended your work, and it is not published yet. Do first what follows from what people said.";
/// Prompt for a session whose question came before it read new messages. They may contain the answer.
const UNASKED: &str = "You asked something that nobody has seen yet, because people had said something before. Go on \
                       with what they said, and ask again if you still have to.";
/// Added to the prompt of a new session when an earlier one is lost.
const BEGIN_AGAIN: &str = "\n\nAn earlier session on this task broke off; files in this folder may already hold a \
                           part of its work. Look at them first.";

/// The agent to run, chosen before the runner changes anything.
pub(crate) enum Chosen {
    Known(Installed),
    /// The command from the repository's settings. Its program may be a file of the repository.
    Command,
}

impl Chosen {
    /// Whether the agent reads messages of users while it works.
    pub(crate) fn hears_people(&self) -> bool {
        matches!(self, Self::Known(_))
    }

    pub(crate) fn capability(&self) -> &'static str {
        match self {
            Self::Known(installed) => installed.known.capability(),
            Self::Command => "command",
        }
    }

    pub(crate) fn words(&self, isolation: Isolation) -> String {
        let version = match self {
            Self::Known(installed) => format!(" {}", installed.version),
            Self::Command => String::new(),
        };
        format!("{}{version}, isolation: {}", self.capability(), isolation.word())
    }
}

/// A session to continue, of an earlier attempt or of this one.
pub(crate) struct GoesOn {
    pub(crate) session: String,
    pub(crate) prompt: String,
    /// Tokens that the session used before.
    pub(crate) tokens: Tokens,
}

pub(crate) struct Run<'a> {
    pub(crate) assignment: &'a Assignment,
    /// The session to continue. `None` starts a new one.
    pub(crate) goes_on: Option<&'a GoesOn>,
    /// Whether the worktree has work of an earlier attempt.
    pub(crate) has_work: bool,
    pub(crate) workspace: &'a Workspace,
    pub(crate) events: &'a Events,
    pub(crate) orders: &'a Orders,
    pub(crate) people: &'a People<'a>,
    pub(crate) git: &'a Git,
    /// The base branch and its commit.
    pub(crate) base: (&'a str, &'a str),
    pub(crate) isolation: Isolation,
    pub(crate) until: Instant,
    pub(crate) namespace: ProcessNamespace,
    pub(crate) grace: Duration,
    pub(crate) waits: &'a Waits,
    pub(crate) tally: &'a Tally,
    pub(crate) working: &'a Working,
}

/// Finds the required agent. `auto` prefers the agent that wrote the checkpoint, if it is usable here.
///
/// Errors: `AgentMissing`, with the names of the agents that were tried.
pub(crate) async fn choose(
    assignment: &Assignment,
    left_by: Option<&str>,
    environment: &Environment<'_>,
) -> Result<Chosen, Stop> {
    let asked = assignment.agent.capability.as_str();
    let began = left_by.or_else(|| assignment.resume.as_ref().and_then(|resume| resume.agent.as_deref()));
    let candidates: Vec<Known> = match asked {
        "command" => return Ok(Chosen::Command),
        "auto" => {
            let mut all = Known::ALL.to_vec();
            all.sort_by_key(|known| Some(known.capability()) != began);
            all
        }
        named => Known::ALL.into_iter().filter(|known| known.capability() == named).collect(),
    };
    let mut keyless = None;
    for known in &candidates {
        match probe(*known, environment).await {
            Ok(installed) if known.has_key(environment) => return Ok(Chosen::Known(installed)),
            // An agent without a key is the last resort. Once started, it reports that it is not signed in.
            Ok(installed) => keyless = keyless.or(Some(installed)),
            Err(reason) => tracing::warn!("{} is not usable: {reason}", known.name()),
        }
    }
    if let Some(installed) = keyless {
        return Ok(Chosen::Known(installed));
    }
    let names: Vec<&str> = candidates.iter().map(|known| known.name()).collect();
    let agent = if names.is_empty() { asked.to_owned() } else { names.join(" or ") };
    Err(Failure::AgentMissing { agent, runner: "the runner".into() }.into())
}

/// Runs the agent, with further starts, until its work is done or a `Stop` ends it.
pub(crate) async fn run(run: &Run<'_>, chosen: &Chosen, environment: &Environment<'_>) -> Result<(), Stop> {
    let mut adapter = adapter_of(run, chosen, environment)?;
    let instructions = instructions(run, adapter.as_ref()).await?;
    let limits = limits(run.assignment);
    let mut spent = run.tally.spent();
    let again = Again::new(run.waits, run.tally);
    let goes_on = run.goes_on.filter(|_| adapter.says_its_end());
    let mut session = goes_on.map(|earlier| earlier.session.clone());
    let mut prompt = match goes_on {
        Some(earlier) => earlier.prompt.clone(),
        None if run.has_work => begin_again(run, adapter.as_ref()),
        None => run.assignment.prompt.clone(),
    };
    if let Some(earlier) = goes_on {
        adapter.goes_on(earlier.tokens);
    }
    let mut further = GO_ON;
    loop {
        if let Some(failure) = limits.used_up(&spent) {
            return Err(failure.into());
        }
        // A `command` agent gets messages only in its prompt: at its start, and after a question.
        let hears = match &session {
            _ if !adapter.says_its_end() => Vec::new(),
            Some(_) => run.people.unheard().await?,
            // A new session has read no message, so it gets all of them.
            None => run.people.unheard().await.map(|_| run.people.said())?,
        };
        let told = with_unheard(&prompt, &hears);
        let start = Start {
            prompt: &told,
            instructions: &instructions,
            session: session.as_deref(),
            model: run.assignment.agent.model.as_deref(),
            turns_left: limits.turns_left(&spent),
            cost_left: limits.cost_left(&spent),
            home: &run.workspace.home(),
            tree: &run.workspace.tree(),
            isolation: run.isolation,
        };
        let launch = adapter.prepare(&start).map_err(|error| Failure::WorkspaceFailed { reason: error.to_string() })?;
        run.tally.starts(adapter.as_ref(), run.isolation, session.as_deref());
        run.people.show(&hears);
        let bounds = once::Bounds {
            until: run.until,
            wall_secs: run.assignment.limits.wall_secs,
            grace: run.grace,
            namespace: run.namespace,
            orders: run.orders,
            people: run.people,
            told: newest(&hears),
            limits,
            spent,
            disk_mib: run.assignment.limits.disk_mib,
        };
        let env = common_environment(run, environment);
        let mut end = once::run(&adapter.program(), launch, env, run.workspace, run.events, bounds).await?;
        end.record.denied = run.tally.denied(end.record.denied.take());
        spent.add_ended(&end.record);
        run.tally.note(&end.record, &spent);
        match judge(run, adapter.as_ref(), &end, &limits, &spent).await? {
            Verdict::Done => {
                // A known agent continues without an answer, so only the question in its file counts.
                let asked = match end.record.asked.filter(|_| !adapter.says_its_end()) {
                    Some(question) => Some(question),
                    None => left_question(run).await,
                };
                if !adapter.says_its_end() || !is_to_hear_more(run).await? {
                    return asked.map_or(Ok(()), |question| Err(Stop::Asks(question)));
                }
                session = end.record.session.or(session);
                further = if asked.is_some() { UNASKED } else { HEED };
            }
            Verdict::Stopped(stop) => return Err(stop),
            // New messages may make the denied tool unnecessary.
            Verdict::Failed(failure @ Failure::PermissionDenied { .. }) => {
                // The agent's question may concern the denied tool.
                let asked = left_question(run).await;
                if !is_to_hear_more(run).await? {
                    return Err(asked.map_or_else(|| failure.into(), Stop::Asks));
                }
                session = end.record.session.or(session);
                further = if asked.is_some() { UNASKED } else { HEED };
            }
            Verdict::Failed(failure) => return Err(failure.into()),
            Verdict::Again(transient) => {
                again.wait(transient, run).await?;
                session = end.record.session.or(session);
                further = GO_ON;
            }
            Verdict::SessionLost => {
                let Some(lost) = session.take().filter(|_| !run.assignment.fails_without_session()) else {
                    return Err(Failure::SessionLost {}.into());
                };
                run.tally.loses(&lost);
                run.working.loses(&lost);
                let words = format!("The earlier session of {} is lost: it begins again.", adapter.name());
                run.events.add(Said::words(EventKind::Log, words));
            }
        }
        prompt = match &session {
            Some(_) => further.to_owned(),
            None => begin_again(run, adapter.as_ref()),
        };
    }
}

/// Whether unread messages exist and the limits allow a turn for them.
async fn is_to_hear_more(run: &Run<'_>) -> Result<bool, Stop> {
    let hears = !run.people.unheard().await?.is_empty();
    Ok(hears && !is_used_up(run.events, run.tally, run.assignment))
}

/// Loads the question that the agent left in a file, and adds it as an event.
async fn left_question(run: &Run<'_>) -> Option<String> {
    let question = left::question(run.git, run.workspace).await?;
    run.events.add(Said::words(EventKind::Question, question.as_str()));
    Some(question)
}

fn begin_again(run: &Run<'_>, adapter: &dyn Adapter) -> String {
    let look = if adapter.says_its_end() { BEGIN_AGAIN } else { "" };
    format!("{}{look}", run.assignment.prompt)
}

/// Whether the limits leave no turn for new messages; logs that. The agent's work is used without them.
pub(crate) fn is_used_up(events: &Events, tally: &Tally, assignment: &Assignment) -> bool {
    let Some(failure) = used_up(tally, assignment) else { return false };
    let words = format!("The agent did not hear what people said last. {}", failure.sentence());
    events.add(Said::words(EventKind::Log, words));
    true
}

pub(crate) fn used_up(tally: &Tally, assignment: &Assignment) -> Option<Failure> {
    limits(assignment).used_up(&tally.spent())
}

fn limits(assignment: &Assignment) -> Limits {
    let allowed = &assignment.limits;
    Limits { stall: Duration::from_secs(allowed.stall_secs), turns: allowed.turns, cost: allowed.cost_usd_micros }
}

fn adapter_of(run: &Run<'_>, chosen: &Chosen, environment: &Environment<'_>) -> Result<Box<dyn Adapter>, Stop> {
    Ok(match chosen {
        Chosen::Known(installed) => match installed.known {
            Known::ClaudeCode => Box::new(ClaudeCode::new(installed.clone(), environment)),
            Known::Codex => Box::new(Codex::new(installed.clone(), environment)),
        },
        Chosen::Command => {
            let command = &run.assignment.agent.command;
            let Some((named, args)) = command.split_first() else {
                return Err(missing(run.events, "The agent", &"no command is set"));
            };
            let path = environment.get("PATH");
            let found = program::find(named, &run.workspace.tree(), path.as_deref());
            Box::new(CommandAgent::new(found.map_err(|reason| missing(run.events, named, &reason))?, args))
        }
    })
}

fn missing(events: &Events, agent: &str, reason: &dyn std::fmt::Display) -> Stop {
    events.add(Said::words(EventKind::Log, format!("The agent could not be started: {reason}.")));
    Failure::AgentMissing { agent: agent.to_owned(), runner: "the runner".into() }.into()
}

/// The instructions of the base branch that this agent gets.
async fn instructions(run: &Run<'_>, adapter: &dyn Adapter) -> Result<String, Stop> {
    let names = adapter.instruction_files();
    let read = instructions::of_base(run.git, &run.workspace.repository(), run.base, names).await;
    let told = read.map_err(|fault| fault.of_workspace())?;
    // Log skipped files once per attempt. The base is the same for every agent run.
    let is_first = run.tally.told().0.is_none();
    for sentence in told.left_out.into_iter().filter(|_| is_first) {
        run.events.add(Said::words(EventKind::Log, sentence));
    }
    Ok(told.text)
}

/// The environment of every agent. Agents inherit no other variables of the runner.
fn common_environment(run: &Run<'_>, environment: &Environment<'_>) -> Vec<(&'static str, OsString)> {
    let assignment = run.assignment;
    let ticket = assignment.ticket.as_ref().map_or("", |ticket| ticket.key.as_str());
    let mut common = environment.inherited();
    common.extend([
        ("TERM", "dumb".into()),
        ("TMPDIR", run.workspace.temporary().into()),
        ("HOME", run.workspace.home().into()),
        ("PULLYARD_JOB", assignment.job.as_str().into()),
        ("PULLYARD_KIND", kind_of(assignment).into()),
        ("PULLYARD_TICKET", ticket.into()),
    ]);
    if let Some(resume) = &assignment.resume {
        // A program may store its own state under this name.
        let session = resume.session.as_deref().unwrap_or(assignment.job.as_str());
        common.extend([("PULLYARD_SESSION", session.into())]);
    }
    common
}

/// The kind of work, by its name on the wire.
pub(crate) fn kind_of(assignment: &Assignment) -> String {
    let name = serde_json::to_value(assignment.kind).ok();
    name.and_then(|name| name.as_str().map(str::to_owned)).unwrap_or_default()
}

async fn judge(
    run: &Run<'_>,
    adapter: &dyn Adapter,
    end: &once::End,
    limits: &Limits,
    spent: &Spent,
) -> Result<Verdict, Stop> {
    let record = &end.record;
    let denied = record.denied.as_deref();
    // After a stop, skip the check for changes: the files may be gone or the disk full.
    let changed = if denied.is_some() && end.stopped.is_none() {
        commit::is_changed(run.git, run.workspace, run.assignment.kind).await?
    } else {
        true
    };
    let model = record.model.as_deref().or(run.assignment.agent.model.as_deref());
    Ok(classify::classify(&Ended {
        agent: adapter.name(),
        says_its_end: adapter.says_its_end(),
        stopped: end.stopped.as_ref(),
        exit: end.exit,
        terminal: record.terminal.as_ref(),
        denied,
        stderr: &record.stderr,
        last_words: &record.last_words(),
        changed,
        model,
        turns: limits.turns,
        cost: limits.cost,
        spent: spent.cost_at_most,
        now: now(),
    }))
}

/// The runner's clock, for account limits that end after a duration.
fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
