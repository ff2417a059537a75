//! Judges the end of one start: a pure function of everything that is known about it.
//! An agent's report alone proves no success. The agent's work is done if the runner did not stop it, it reported
//! success, it exited with 0, and no denied tool kept it from working. A failure is classified by the mark on the
//! agent's last line, then by the provider's status, then by its text. Unknown ends are failures without another start.
//! Account limits and provider trouble also hold up other jobs. They are believed only with the exit code of a failing
//! agent, because a tool can write to the same streams.

use super::agent_event::EndReport;
use super::limit_failure;
use super::limit_reset;
use crate::process::pid_namespace::Exit;
use crate::stop::Stop;
use pullyard_domain::failure::Failure;
use pullyard_domain::text::Until;
use pullyard_domain::time::Timestamp;

/// EX_TEMPFAIL: any program may use it to request another try.
const EXIT_TEMPFAIL: i32 = 75;
/// Marks of an interrupted agent. The runner kills an agent that it interrupts, so another process did it.
const INTERRUPT_CODES: [&str; 2] = ["aborted_tools", "aborted_streaming"];
const LAST_LINES: usize = 20;
const SIGKILL: i32 = 9;
/// SIGKILL, as a parent process reports it for its child.
const SIGKILL_EXIT: i32 = 128 + SIGKILL;
/// The exit code with which every known agent reports its own failure.
const FAILED_EXIT: i32 = 1;

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

    fn agent_failure(ended: &EndFacts<'_>, what_it_did: &str) -> Self {
        Self { cause: format!("{} {what_it_did}", ended.agent), failure: to_agent_failure(ended) }
    }

    pub(super) fn into_failure(self, retries: u64) -> Failure {
        match self.failure {
            Failure::AgentOverloaded { .. } => Failure::AgentOverloaded { n: retries },
            other => other,
        }
    }
}

pub(super) fn classify(ended: &EndFacts<'_>) -> Verdict {
    if let Some(stop) = ended.stop {
        return Verdict::Stopped(stop.clone());
    }
    if !ended.has_sessions {
        return match ended.exit {
            Exit::Code(0) => Verdict::Succeeded,
            Exit::Code(EXIT_TEMPFAIL) => Verdict::Retry(Transient::agent_failure(ended, "asked to be started again")),
            _ => Verdict::Failed(to_agent_failure(ended)),
        };
    }
    match ended.end_report {
        None if is_session_lost(ended.stderr) => Verdict::SessionLost,
        None if contains_any(ended.stderr, &[RESUME_FAILED]) => {
            Verdict::Retry(Transient::agent_failure(ended, "could not open its session"))
        }
        None if is_crash(ended.exit) && is_transient_crash(ended.stderr) => {
            let crashed = format!("crashed over its connection ({})", ended.exit);
            Verdict::Retry(Transient::agent_failure(ended, &crashed))
        }
        None => Verdict::Failed(to_agent_failure(ended)),
        Some(terminal) if !terminal.success => classify_failure(ended, terminal),
        Some(_) if ended.exit != Exit::Code(0) => Verdict::Failed(to_agent_failure(ended)),
        Some(_) => match ended.denied_tool {
            Some(tool) if !ended.has_changes => Verdict::Failed(Failure::PermissionDenied { tool: tool.into() }),
            _ => Verdict::Succeeded,
        },
    }
}

fn to_agent_failure(ended: &EndFacts<'_>) -> Failure {
    Failure::AgentFailed {
        agent: ended.agent.into(),
        exit: ended.exit.to_string(),
        last_words: ended.last_message.into(),
    }
}

fn classify_failure(ended: &EndFacts<'_>, terminal: &EndReport) -> Verdict {
    let message = terminal.message.as_str();
    // Ignore standard error, to which any program of the agent may write. The agent's own last line counts.
    if is_session_lost(message) {
        return Verdict::SessionLost;
    }
    let meaning = failure_cause(terminal);
    if meaning.is_some_and(FailureCause::is_account_wide) && ended.exit != Exit::Code(FAILED_EXIT) {
        // The model answered later, the agent was killed, or another program wrote this. Another start shows.
        let doubtful = format!("said that it failed, and ended with {}", ended.exit);
        return Verdict::Retry(Transient::agent_failure(ended, &doubtful));
    }
    let failure = match meaning {
        Some(FailureCause::Turns) => limit_failure::turn_limit_failure(ended.turn_limit.unwrap_or_default()),
        Some(FailureCause::Cost) => {
            limit_failure::cost_limit_failure(ended.cost_upper_bound, ended.cost_limit.unwrap_or_default())
        }
        Some(FailureCause::Context) => Failure::ContextTooLong {},
        Some(FailureCause::Limit) => {
            let time = terminal.limit_resets_at.or_else(|| limit_reset::parse_reset_time(message, ended.now));
            Failure::AgentQuota { time: Until(time) }
        }
        Some(FailureCause::Billing) => Failure::AgentBilling {},
        Some(FailureCause::Auth) => Failure::AgentAuth { runner: "the runner".into() },
        Some(FailureCause::Model) => {
            Failure::ModelUnavailable { model: ended.model.unwrap_or("its own default").into() }
        }
        Some(FailureCause::Refused) => Failure::AgentRefused {},
        Some(FailureCause::SlowDown) => return Verdict::Retry(Transient::slow_down()),
        Some(FailureCause::Overloaded) => return Verdict::Retry(Transient::overloaded()),
        Some(FailureCause::Unreachable) => {
            // Not cut here: secrets are removed first.
            return Verdict::Retry(Transient::unreachable(message));
        }
        None => to_agent_failure(ended),
    };
    Verdict::Failed(failure)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FailureCause {
    Turns,
    Cost,
    Context,
    Limit,
    Billing,
    Auth,
    Model,
    Refused,
    SlowDown,
    Overloaded,
    Unreachable,
}

impl FailureCause {
    fn is_account_wide(self) -> bool {
        matches!(self, Self::Limit | Self::SlowDown | Self::Overloaded | Self::Unreachable)
    }
}

fn failure_cause(terminal: &EndReport) -> Option<FailureCause> {
    if INTERRUPT_CODES.iter().any(|mark| terminal.has_code(mark)) {
        return None;
    }
    cause_from_code(terminal).or_else(|| cause_from_status(terminal)).or_else(|| cause_from_text(&terminal.message))
}

pub(super) fn is_account_failure(terminal: &EndReport) -> bool {
    !terminal.success && failure_cause(terminal).is_some_and(FailureCause::is_account_wide)
}

fn cause_from_code(terminal: &EndReport) -> Option<FailureCause> {
    if let Some((_, meaning)) = CODES.iter().find(|(mark, _)| terminal.has_code(mark)) {
        return Some(*meaning);
    }
    if terminal.limit_resets_at.is_some() || terminal.has_code("usage_limit_reached") || is_limit(&terminal.message) {
        return Some(FailureCause::Limit);
    }
    if CONNECTION_LOST_CODES.iter().any(|mark| terminal.has_code(mark)) {
        return Some(FailureCause::Unreachable);
    }
    // These marks only blame the provider.
    if terminal.has_code("rate_limit") {
        return Some(cause_of_429(terminal));
    }
    if terminal.has_code("server_error") || terminal.has_code("overloaded") {
        return Some(if contains_any(&terminal.message, UNREACHABLE_PHRASES) {
            FailureCause::Unreachable
        } else {
            FailureCause::Overloaded
        });
    }
    None
}

fn cause_from_status(terminal: &EndReport) -> Option<FailureCause> {
    Some(match terminal.status? {
        401 | 403 => FailureCause::Auth,
        402 => FailureCause::Billing,
        404 => FailureCause::Model,
        413 => FailureCause::Context,
        429 => cause_of_429(terminal),
        408 | 500..=599 => FailureCause::Overloaded,
        _ => return None,
    })
}

fn cause_of_429(terminal: &EndReport) -> FailureCause {
    let is_limit = matches!(terminal.status, None | Some(429)) && is_limit_reached(&terminal.message);
    if is_limit { FailureCause::Limit } else { FailureCause::SlowDown }
}

const CODES: &[(&str, FailureCause)] = &[
    ("error_max_turns", FailureCause::Turns),
    ("error_max_budget_usd", FailureCause::Cost),
    ("prompt_too_long", FailureCause::Context),
    ("billing_error", FailureCause::Billing),
    ("authentication_failed", FailureCause::Auth),
    ("model_not_found", FailureCause::Model),
    ("refusal", FailureCause::Refused),
    // Error kinds of Claude Code 2.1.330. The first was measured; the others were read in the program.
    ("org_disabled_credential", FailureCause::Auth),
    ("api_key_auth_disabled", FailureCause::Auth),
    ("invalid_credential_header", FailureCause::Auth),
    ("stored_login_refused", FailureCause::Auth),
    ("oauth_refresh_store_refused", FailureCause::Auth),
    ("gateway_signin_required", FailureCause::Auth),
    ("gateway_session_expired", FailureCause::Auth),
    ("provider_credentials", FailureCause::Auth),
    ("model_requires_usage_credits", FailureCause::Billing),
    ("long_context_credits_required", FailureCause::Billing),
    ("autocompact_thrashing", FailureCause::Context),
    ("message_over_context_limit", FailureCause::Context),
    ("safety_monitor_blocked", FailureCause::Refused),
];
/// Error kinds of failed requests of Claude Code 2.1.330: unreachable host or broken connection, timeout, stalled
/// answer, sleeping machine. The first was measured; the others were read in the program.
const CONNECTION_LOST_CODES: &[&str] = &["connection_failed", "no_response", "stream_idle_timeout", "computer_slept"];
const SESSION_LOST_PHRASES: &[&str] = &["no conversation found with session id", "no rollout found for thread id"];
const RESUME_FAILED: &str = "thread/resume failed";
/// Codex's text for a missing or unreadable session file. Another start does not help.
const UNREADABLE_SESSION_PHRASES: &[&str] = &[
    "failed to resolve rollout path",
    "failed to load rollout",
    "failed to read thread",
    "thread-store internal error",
];
const LIMIT_PHRASES: &[&str] = &[
    "usage limit",
    "regain access",
    "out of extra usage",
    "spend limit",
    // Older versions of Claude Code: "5-hour limit reached".
    "5-hour limit",
    "session limit",
    "weekly limit",
];
/// Claude Code uses this phrase to deny a usage limit.
const NOT_A_LIMIT_PHRASES: &[&str] = &["not your usage limit"];
const RATE_LIMIT_PHRASES: &[&str] = &["rate limit", "per minute", "per second"];
const UNREACHABLE_PHRASES: &[&str] = &[
    "unable to connect",
    "connectionrefused",
    "connection refused",
    "econnreset",
    "etimedout",
    "timed out",
    "network timeout",
    "timeout of the request",
    "connection failed",
    "stream disconnected",
    "error sending request",
    // A proxy answered, or the answer broke off.
    "api error: failed to parse json",
    "api error: json parse error",
    "api error: api returned an empty or malformed response",
    // Codex with a subscription, when ChatGPT is unreachable.
    "workspace routing discovery",
];

/// Text of language runtimes about a broken connection. Used for crashes only.
const BROKEN_CONNECTION_PHRASES: &[&str] = &["socket hang up", "eai_again", "econnrefused", "connection reset"];
/// Text of crashes that every further start would repeat.
const OUT_OF_MEMORY_PHRASES: &[&str] = &["out of memory", "cannot allocate memory", "enomem", "memory allocation of"];

/// Text of agents, most certain first. A shorter phrase could match an address or an id, and retry an unknown end.
const CAUSE_PHRASES: &[(FailureCause, &[&str])] = &[
    (
        FailureCause::Billing,
        &[
            "credit balance",
            "quota exceeded",
            "insufficient_quota",
            "402 payment required",
            "workspace is out of credits",
            "hit your spend cap",
        ],
    ),
    (
        FailureCause::Auth,
        &[
            "invalid api key",
            "not logged in",
            "failed to authenticate",
            // Older versions of Claude Code have no mark for this.
            "belongs to a disabled organization",
            "401 unauthorized",
            "403 forbidden",
            // Codex with a subscription whose token was used, revoked or expired.
            "access token could not be refreshed",
        ],
    ),
    (
        FailureCause::Context,
        &[
            "prompt is too long",
            "ran out of room",
            "context_length_exceeded",
            "context window",
            "413 payload too large",
        ],
    ),
    (
        FailureCause::Model,
        &[
            "does not exist or you do not have access",
            "model does not exist",
            "selected model (",
            "model is not supported",
            "404 not found",
        ],
    ),
    (FailureCause::Refused, &["usage policy", "content_policy", "invalid_prompt"]),
    (
        FailureCause::SlowDown,
        &["http 429", "429 too many", "(429)", "rate limit", "retry limit", "temporarily limiting requests"],
    ),
    (
        FailureCause::Overloaded,
        &[
            "overloaded",
            "at capacity",
            "experiencing high demand",
            "unexpected status 5",
            "unexpected status 408",
            "408 request timeout",
            "502 bad gateway",
            "503 service unavailable",
            "http 50",
            "http 529",
            "504 gateway timeout",
            "internal server error",
        ],
    ),
    (FailureCause::Unreachable, UNREACHABLE_PHRASES),
];

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
        Some(meaning) => {
            matches!(meaning, FailureCause::SlowDown | FailureCause::Overloaded | FailureCause::Unreachable)
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

/// Plans name their own limits: "You've hit your Opus limit".
fn is_limit(message: &str) -> bool {
    let is_named = contains_any(message, LIMIT_PHRASES) || line_contains_in_order(message, "hit your ", "limit");
    is_named && !contains_any(message, NOT_A_LIMIT_PHRASES)
}

/// "You've reached your Fable 5 limit": a limit of a model. Other limits read alike, so better evidence precedes.
fn is_limit_reached(message: &str) -> bool {
    line_contains_in_order(message, "reached your ", "limit")
        && !contains_any(message, RATE_LIMIT_PHRASES)
        && !contains_any(message, NOT_A_LIMIT_PHRASES)
}

fn cause_from_text(message: &str) -> Option<FailureCause> {
    if is_limit(message) {
        return Some(FailureCause::Limit);
    }
    let cause = CAUSE_PHRASES.iter().find(|(_, phrases)| contains_any(message, phrases)).map(|(meaning, _)| *meaning);
    let is_sure = cause.is_some_and(|meaning| !meaning.is_account_wide());
    if !is_sure && is_limit_reached(message) { Some(FailureCause::Limit) } else { cause }
}

fn contains_any(text: &str, phrases: &[&str]) -> bool {
    let text = text.to_lowercase();
    phrases.iter().any(|phrase| text.contains(phrase))
}

fn line_contains_in_order(text: &str, first: &str, then: &str) -> bool {
    let text = text.to_lowercase();
    text.lines().any(|line| line.split_once(first).is_some_and(|(_, rest)| rest.contains(then)))
}

#[cfg(test)]
mod tests;
