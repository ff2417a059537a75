//! Classifies how one start of an agent ended: success, stop, retry, lost session or failure. A pure function.
//! An agent's report alone proves no success. The agent's work is done if the runner did not stop it, it reported
//! success, it exited with 0, and no denied tool prevented its work. Unknown ends are failures without another start.
//! Account limits and provider trouble also hold up other jobs. They count only with the exit code of a failing
//! agent, because a tool can write to the same streams.

mod failure_cause;

pub(super) use failure_cause::is_account_failure;

use super::agent_event::EndReport;
use super::limit_failure::cost_limit_failure;
use super::limit_reset;
use crate::process::pid_namespace::Exit;
use crate::stop::Stop;
use failure_cause::{FailureCause, cause_from_text, contains_any, line_contains_in_order};
use pullyard_domain::text::Until;
use pullyard_domain::text::failure::Failure;
use pullyard_domain::text::time::Timestamp;

/// EX_TEMPFAIL: any program may use it to request another try.
const EXIT_TEMPFAIL: i32 = 75;
const LAST_LINES: usize = 20;
const SIGKILL: i32 = 9;
/// SIGKILL, as a parent process reports it for its child.
const SIGKILL_EXIT: i32 = 128 + SIGKILL;
/// The exit code with which every known agent reports its own failure.
const FAILED_EXIT: i32 = 1;
const SESSION_LOST_PHRASES: &[&str] = &["no conversation found with session id", "no rollout found for thread id"];
const RESUME_FAILED: &str = "thread/resume failed";
/// Codex's text for a missing or unreadable session file. Another start does not help.
const UNREADABLE_SESSION_PHRASES: &[&str] = &[
    "failed to resolve rollout path",
    "failed to load rollout",
    "failed to read thread",
    "thread-store internal error",
];
/// Text of language runtimes about a broken connection. Used for crashes only.
const BROKEN_CONNECTION_PHRASES: &[&str] = &["socket hang up", "eai_again", "econnrefused", "connection reset"];
/// Text of crashes that every further start would repeat.
const OUT_OF_MEMORY_PHRASES: &[&str] = &["out of memory", "cannot allocate memory", "enomem", "memory allocation of"];

#[derive(Clone, Copy, Debug)]
pub(super) struct EndFacts<'a> {
    pub(super) agent: &'a str,
    pub(super) has_sessions: bool,
    pub(super) stop: Option<&'a Stop>,
    pub(super) exit: Exit,
    pub(super) end_report: Option<&'a EndReport>,
    pub(super) denied_tool: Option<&'a str>,
    pub(super) stderr: &'a str,
    pub(super) last_message: &'a str,
    pub(super) has_changes: bool,
    pub(super) model: Option<&'a str>,
    /// Limits on requests to the model and on cost. Units: requests, and millionths of a US dollar.
    pub(super) turn_limit: Option<u32>,
    pub(super) cost_limit: Option<u64>,
    /// Upper bound of the cost of all starts. Units: millionths of a US dollar.
    pub(super) cost_upper_bound: u64,
    pub(super) now: Timestamp,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Verdict {
    Succeeded,
    /// The runner stopped the agent, whose own report is then ignored.
    Stopped(Stop),
    Retry(Transient),
    SessionLost,
    Failed(Failure),
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Transient {
    /// The beginning of the sentence that announces the pause.
    pub(super) cause: String,
    failure: Failure,
}

impl Transient {
    pub(super) fn overloaded() -> Self {
        Self { cause: "The model was overloaded".into(), failure: Failure::AgentOverloaded { n: 0 } }
    }

    fn slow_down() -> Self {
        Self { cause: "The provider asked to slow down".into(), ..Self::overloaded() }
    }

    fn unreachable(reason: &str) -> Self {
        Self { cause: "The connection broke".into(), failure: Failure::AgentUnreachable { reason: reason.into() } }
    }

    fn agent_failure(end: &EndFacts<'_>, action: &str) -> Self {
        Self { cause: format!("{} {action}", end.agent), failure: to_agent_failure(end) }
    }

    pub(super) fn into_failure(self, retries: u64) -> Failure {
        match self.failure {
            Failure::AgentOverloaded { .. } => Failure::AgentOverloaded { n: retries },
            other => other,
        }
    }
}

pub(super) fn classify(end: &EndFacts<'_>) -> Verdict {
    if let Some(stop) = end.stop {
        return Verdict::Stopped(stop.clone());
    }
    if !end.has_sessions {
        return match end.exit {
            Exit::Code(0) => Verdict::Succeeded,
            Exit::Code(EXIT_TEMPFAIL) => Verdict::Retry(Transient::agent_failure(end, "asked to be started again")),
            _ => Verdict::Failed(to_agent_failure(end)),
        };
    }
    match end.end_report {
        None if is_session_lost(end.stderr) => Verdict::SessionLost,
        None if contains_any(end.stderr, &[RESUME_FAILED]) => {
            Verdict::Retry(Transient::agent_failure(end, "could not open its session"))
        }
        None if is_crash(end.exit) && is_transient_crash(end.stderr) => {
            let action = format!("crashed over its connection ({})", end.exit);
            Verdict::Retry(Transient::agent_failure(end, &action))
        }
        None => Verdict::Failed(to_agent_failure(end)),
        Some(end_report) if !end_report.success => classify_failure(end, end_report),
        // An agent may fail after its reported success, for example in a hook or an upload of statistics; its work counts.
        // Another code or a signal means that it was interrupted.
        Some(_) if !matches!(end.exit, Exit::Code(0 | FAILED_EXIT)) => Verdict::Failed(to_agent_failure(end)),
        Some(_) => match end.denied_tool {
            Some(tool) if !end.has_changes => Verdict::Failed(Failure::PermissionDenied { tool: tool.into() }),
            _ => Verdict::Succeeded,
        },
    }
}

fn to_agent_failure(end: &EndFacts<'_>) -> Failure {
    Failure::AgentFailed { agent: end.agent.into(), exit: end.exit.to_string(), last_words: end.last_message.into() }
}

fn classify_failure(end: &EndFacts<'_>, end_report: &EndReport) -> Verdict {
    let message = end_report.message.as_str();
    // Ignore standard error, because any program of the agent may write to it. Use the agent's own last line.
    if is_session_lost(message) {
        return Verdict::SessionLost;
    }
    let cause = FailureCause::from_report(end_report);
    if cause.is_some_and(FailureCause::is_account_wide) && end.exit != Exit::Code(FAILED_EXIT) {
        // Doubtful: the model answered later, the agent was killed, or another program wrote this. So try again.
        let action = format!("said that it failed, and ended with {}", end.exit);
        return Verdict::Retry(Transient::agent_failure(end, &action));
    }
    let failure = match cause {
        Some(FailureCause::Turns) => Failure::TurnLimit { limit: end.turn_limit.unwrap_or_default().into() },
        Some(FailureCause::Cost) => cost_limit_failure(end.cost_upper_bound, end.cost_limit.unwrap_or_default()),
        Some(FailureCause::Context) => Failure::ContextTooLong {},
        Some(FailureCause::Limit) => {
            let time = end_report.limit_resets_at.or_else(|| limit_reset::parse_reset_time(message, end.now));
            Failure::AgentQuota { time: Until(time) }
        }
        Some(FailureCause::Billing) => Failure::AgentBilling {},
        Some(FailureCause::Auth) => Failure::AgentAuth { runner: "the runner".into() },
        Some(FailureCause::Model) => Failure::ModelUnavailable { model: end.model.unwrap_or("its own default").into() },
        Some(FailureCause::Refused) => Failure::AgentRefused {},
        Some(FailureCause::SlowDown) => return Verdict::Retry(Transient::slow_down()),
        Some(FailureCause::Overloaded) => return Verdict::Retry(Transient::overloaded()),
        Some(FailureCause::Unreachable) => {
            // Do not cut the message: secrets are redacted first.
            return Verdict::Retry(Transient::unreachable(message));
        }
        None => to_agent_failure(end),
    };
    Verdict::Failed(failure)
}

/// Whether a process crashed by itself. SIGKILL is no crash: the kernel sends it without memory, or a user sends it.
fn is_crash(exit: Exit) -> bool {
    match exit {
        Exit::Code(code) => code != 0 && code != SIGKILL_EXIT,
        Exit::Signal(signal) => signal != SIGKILL,
        Exit::Unknown => false,
    }
}

/// Whether the last lines of a crash blame the provider or the network. Any program of the agent may have printed them.
/// So they only cause further starts and never hold up other jobs.
fn is_transient_crash(stderr: &str) -> bool {
    let lines: Vec<&str> = stderr.lines().filter(|line| !line.trim().is_empty()).collect();
    let last = lines.get(lines.len().saturating_sub(LAST_LINES)..).unwrap_or_default().join("\n");
    if contains_any(&last, OUT_OF_MEMORY_PHRASES) {
        return false;
    }
    match cause_from_text(&last) {
        Some(cause) => {
            matches!(cause, FailureCause::SlowDown | FailureCause::Overloaded | FailureCause::Unreachable)
        }
        None => contains_any(&last, BROKEN_CONNECTION_PHRASES),
    }
}

fn is_session_lost(message: &str) -> bool {
    contains_any(message, SESSION_LOST_PHRASES)
        || UNREADABLE_SESSION_PHRASES.iter().any(|reason| line_contains_in_order(message, RESUME_FAILED, reason))
        // A port or a file may be "in use" as well.
        || line_contains_in_order(message, "session id ", "is already in use")
}

#[cfg(test)]
mod tests;
