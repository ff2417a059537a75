//! Judges the end of one start: a pure function of everything that is known about it.
//!
//! An agent's report alone proves no success. The agent's work is done if the runner did not stop it, it reported
//! success, it exited with 0, and no denied tool kept it from working. A failure is classified by the mark on the
//! agent's last line, then by the provider's status, then by its text. Unknown ends are failures without another start.
//!
//! Account limits and provider trouble also hold up other jobs. They are believed only with the exit code of a failing
//! agent, because a tool can write to the same streams.

mod bare;

use super::exceeded;
use super::quota;
use super::sign::Terminal;
use crate::process::enclosure::Exit;
use crate::stop::Stop;
use pullyard_domain::failure::Failure;
use pullyard_domain::text::Until;
use pullyard_domain::time::Timestamp;

/// EX_TEMPFAIL: any program may use it to request another try.
const TRY_AGAIN: i32 = 75;
/// Marks of an interrupted agent. The runner kills an agent that it interrupts, so another process did it.
const INTERRUPTED: [&str; 2] = ["aborted_tools", "aborted_streaming"];
/// How many last lines of a crash are examined: a crash prints its stack after its message.
const LAST_LINES: usize = 20;
const SIGKILL: i32 = 9;
/// SIGKILL, as a parent process reports it for its child.
const KILLED: i32 = 128 + SIGKILL;
/// The exit code with which every known agent reports its own failure.
const FAILED_EXIT: i32 = 1;

#[derive(Clone, Copy, Debug)]
pub(super) struct Ended<'a> {
    pub(super) agent: &'a str,
    /// Whether the agent reports its end. If so, the exit code alone is no proof.
    pub(super) says_its_end: bool,
    /// Why the runner stopped it, if it did.
    pub(super) stopped: Option<&'a Stop>,
    pub(super) exit: Exit,
    pub(super) terminal: Option<&'a Terminal>,
    /// The first denied tool of all starts.
    pub(super) denied: Option<&'a str>,
    pub(super) stderr: &'a str,
    pub(super) last_words: &'a str,
    pub(super) changed: bool,
    pub(super) model: Option<&'a str>,
    /// Limits on requests to the model and on cost. Units: requests, and millionths of a US dollar.
    pub(super) turns: Option<u32>,
    pub(super) cost: Option<u64>,
    /// Upper bound of the cost of all starts. Units: millionths of a US dollar.
    pub(super) spent: u64,
    pub(super) now: Timestamp,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Verdict {
    Done,
    /// The runner stopped the agent, whose own report is then ignored.
    Stopped(Stop),
    Again(Transient),
    /// The session to continue does not exist.
    SessionLost,
    Failed(Failure),
}

/// A fault after which another start may succeed.
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

    fn of_agent(ended: &Ended<'_>, what_it_did: &str) -> Self {
        Self { cause: format!("{} {what_it_did}", ended.agent), failure: failed(ended) }
    }

    /// The failure to report once retries are exhausted.
    pub(super) fn for_good(self, retries: u64) -> Failure {
        match self.failure {
            Failure::AgentOverloaded { .. } => Failure::AgentOverloaded { n: retries },
            other => other,
        }
    }
}

pub(super) fn classify(ended: &Ended<'_>) -> Verdict {
    if let Some(stop) = ended.stopped {
        return Verdict::Stopped(stop.clone());
    }
    if !ended.says_its_end {
        return match ended.exit {
            Exit::Code(0) => Verdict::Done,
            Exit::Code(TRY_AGAIN) => Verdict::Again(Transient::of_agent(ended, "asked to be started again")),
            _ => Verdict::Failed(failed(ended)),
        };
    }
    match ended.terminal {
        None if is_session_lost(ended.stderr) => Verdict::SessionLost,
        None if has(ended.stderr, &[RESUME_FAILED]) => {
            Verdict::Again(Transient::of_agent(ended, "could not open its session"))
        }
        None if is_crash(ended.exit) && speaks_of_what_passes(ended.stderr) => {
            let crashed = format!("crashed over its connection ({})", ended.exit);
            Verdict::Again(Transient::of_agent(ended, &crashed))
        }
        None => Verdict::Failed(failed(ended)),
        Some(terminal) if !terminal.well => went_wrong(ended, terminal),
        Some(_) if ended.exit != Exit::Code(0) => Verdict::Failed(failed(ended)),
        Some(_) => match ended.denied {
            Some(tool) if !ended.changed => Verdict::Failed(Failure::PermissionDenied { tool: tool.into() }),
            _ => Verdict::Done,
        },
    }
}

fn failed(ended: &Ended<'_>) -> Failure {
    Failure::AgentFailed {
        agent: ended.agent.into(),
        exit: ended.exit.to_string(),
        last_words: ended.last_words.into(),
    }
}

fn went_wrong(ended: &Ended<'_>, terminal: &Terminal) -> Verdict {
    let words = terminal.words.as_str();
    // Ignore standard error, to which any program of the agent may write. The agent's own last line counts.
    if is_session_lost(words) {
        return Verdict::SessionLost;
    }
    let meaning = meaning(terminal);
    if meaning.is_some_and(Meaning::holds_others) && ended.exit != Exit::Code(FAILED_EXIT) {
        // The model answered later, the agent was killed, or another program wrote this. Another start shows.
        let doubtful = format!("said that it failed, and ended with {}", ended.exit);
        return Verdict::Again(Transient::of_agent(ended, &doubtful));
    }
    let failure = match meaning {
        Some(Meaning::Turns) => exceeded::turns(ended.turns.unwrap_or_default()),
        Some(Meaning::Cost) => exceeded::cost(ended.spent, ended.cost.unwrap_or_default()),
        Some(Meaning::Context) => Failure::ContextTooLong {},
        Some(Meaning::Limit) => {
            let time = terminal.limit_until.or_else(|| quota::end_in(words, ended.now));
            Failure::AgentQuota { time: Until(time) }
        }
        Some(Meaning::Billing) => Failure::AgentBilling {},
        Some(Meaning::Auth) => Failure::AgentAuth { runner: "the runner".into() },
        Some(Meaning::Model) => Failure::ModelUnavailable { model: ended.model.unwrap_or("its own default").into() },
        Some(Meaning::Refused) => Failure::AgentRefused {},
        Some(Meaning::SlowDown) => return Verdict::Again(Transient::slow_down()),
        Some(Meaning::Overloaded) => return Verdict::Again(Transient::overloaded()),
        Some(Meaning::Unreachable) => {
            // Not cut here: secrets are removed first.
            return Verdict::Again(Transient::unreachable(words));
        }
        None => failed(ended),
    };
    Verdict::Failed(failure)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meaning {
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

impl Meaning {
    /// Whether other jobs of this account must wait as well.
    fn holds_others(self) -> bool {
        matches!(self, Self::Limit | Self::SlowDown | Self::Overloaded | Self::Unreachable)
    }
}

fn meaning(terminal: &Terminal) -> Option<Meaning> {
    if INTERRUPTED.iter().any(|mark| terminal.is_marked(mark)) {
        return None;
    }
    by_mark(terminal)
        .or_else(|| by_status(terminal))
        .or_else(|| by_words(&terminal.words))
        .or_else(|| by_bare_word(terminal))
}

/// Whether the agent's report blames its account or its provider.
pub(super) fn is_of_the_account(terminal: &Terminal) -> bool {
    !terminal.well && meaning(terminal).is_some_and(Meaning::holds_others)
}

fn by_mark(terminal: &Terminal) -> Option<Meaning> {
    if let Some((_, meaning)) = MARKS.iter().find(|(mark, _)| terminal.is_marked(mark)) {
        return Some(*meaning);
    }
    if terminal.limit_until.is_some() || terminal.is_marked("usage_limit_reached") || is_limit(&terminal.words) {
        return Some(Meaning::Limit);
    }
    if LOST_CONNECTION.iter().any(|mark| terminal.is_marked(mark)) {
        return Some(Meaning::Unreachable);
    }
    // These marks only blame the provider.
    if terminal.is_marked("rate_limit") {
        return Some(too_many(terminal));
    }
    if terminal.is_marked("server_error") || terminal.is_marked("overloaded") {
        return Some(if has(&terminal.words, UNREACHABLE) { Meaning::Unreachable } else { Meaning::Overloaded });
    }
    None
}

fn by_status(terminal: &Terminal) -> Option<Meaning> {
    Some(match terminal.status? {
        401 | 403 => Meaning::Auth,
        402 => Meaning::Billing,
        404 => Meaning::Model,
        413 => Meaning::Context,
        429 => too_many(terminal),
        408 | 500..=599 => Meaning::Overloaded,
        _ => return None,
    })
}

/// The meaning of "too many requests" without further details.
fn too_many(terminal: &Terminal) -> Meaning {
    let is_limit = matches!(terminal.status, None | Some(429)) && is_limit_reached(&terminal.words);
    if is_limit { Meaning::Limit } else { Meaning::SlowDown }
}

/// Marks with one meaning.
const MARKS: &[(&str, Meaning)] = &[
    ("error_max_turns", Meaning::Turns),
    ("error_max_budget_usd", Meaning::Cost),
    ("prompt_too_long", Meaning::Context),
    ("billing_error", Meaning::Billing),
    ("authentication_failed", Meaning::Auth),
    ("model_not_found", Meaning::Model),
    ("refusal", Meaning::Refused),
    // Error kinds of Claude Code 2.1.330. The first was measured; the others were read in the program.
    ("org_disabled_credential", Meaning::Auth),
    ("api_key_auth_disabled", Meaning::Auth),
    ("invalid_credential_header", Meaning::Auth),
    ("stored_login_refused", Meaning::Auth),
    ("oauth_refresh_store_refused", Meaning::Auth),
    ("gateway_signin_required", Meaning::Auth),
    ("gateway_session_expired", Meaning::Auth),
    ("provider_credentials", Meaning::Auth),
    ("model_requires_usage_credits", Meaning::Billing),
    ("long_context_credits_required", Meaning::Billing),
    ("autocompact_thrashing", Meaning::Context),
    ("message_over_context_limit", Meaning::Context),
    ("safety_monitor_blocked", Meaning::Refused),
];
/// Error kinds of failed requests of Claude Code 2.1.330: unreachable host or broken connection, timeout, stalled
/// answer, sleeping machine. The first was measured; the others were read in the program.
const LOST_CONNECTION: &[&str] = &["connection_failed", "no_response", "stream_idle_timeout", "computer_slept"];
const SESSION_LOST: &[&str] = &["no conversation found with session id", "no rollout found for thread id"];
const RESUME_FAILED: &str = "thread/resume failed";
/// Codex's text for a missing or unreadable session file. Another start does not help.
const UNREADABLE: &[&str] = &[
    "failed to resolve rollout path",
    "failed to load rollout",
    "failed to read thread",
    "thread-store internal error",
];
const LIMIT: &[&str] = &[
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
const NO_LIMIT: &[&str] = &["not your usage limit"];
/// Text about a rate limit, which ends within moments.
const A_RATE: &[&str] = &["rate limit", "per minute", "per second"];
const UNREACHABLE: &[&str] = &[
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
const BROKEN: &[&str] = &["socket hang up", "eai_again", "econnrefused", "connection reset"];
/// Text of crashes that every further start would repeat.
const NO_MEMORY: &[&str] = &["out of memory", "cannot allocate memory", "enomem", "memory allocation of"];

/// Text of agents, most certain first. A shorter phrase could match an address or an id, and retry an unknown end.
const WORDS: &[(Meaning, &[&str])] = &[
    (
        Meaning::Billing,
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
        Meaning::Auth,
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
        Meaning::Context,
        &[
            "prompt is too long",
            "ran out of room",
            "context_length_exceeded",
            "context window",
            "413 payload too large",
        ],
    ),
    (
        Meaning::Model,
        &[
            "does not exist or you do not have access",
            "model does not exist",
            "selected model (",
            "model is not supported",
            "404 not found",
        ],
    ),
    (Meaning::Refused, &["usage policy", "content_policy", "invalid_prompt"]),
    (Meaning::SlowDown, &["429 too many", "(429)", "rate limit", "retry limit", "temporarily limiting requests"]),
    (
        Meaning::Overloaded,
        &[
            "overloaded",
            "at capacity",
            "experiencing high demand",
            "unexpected status 5",
            "unexpected status 408",
            "408 request timeout",
            "502 bad gateway",
            "503 service unavailable",
            "504 gateway timeout",
            "internal server error",
        ],
    ),
    (Meaning::Unreachable, UNREACHABLE),
];

/// Whether a process crashed by itself. SIGKILL is no crash: the kernel sends it without memory, or a user sends it.
fn is_crash(exit: Exit) -> bool {
    match exit {
        Exit::Code(code) => code != 0 && code != KILLED,
        Exit::Signal(signal) => signal != SIGKILL,
        Exit::Unknown => false,
    }
}

/// Whether the last lines of a crash blame the provider or the network. Any program of the agent may have printed them.
/// So they only cause further starts and never hold up other jobs.
fn speaks_of_what_passes(stderr: &str) -> bool {
    let lines: Vec<&str> = stderr.lines().filter(|line| !line.trim().is_empty()).collect();
    let last = lines.get(lines.len().saturating_sub(LAST_LINES)..).unwrap_or_default().join("\n");
    if has(&last, NO_MEMORY) {
        return false;
    }
    match by_words(&last) {
        Some(meaning) => matches!(meaning, Meaning::SlowDown | Meaning::Overloaded | Meaning::Unreachable),
        None => {
            let status = bare::status(&last);
            has(&last, BROKEN) || matches!(status, Some(408 | 429 | 500..=599)) || bare::says_timeout(&last)
        }
    }
}

fn is_session_lost(words: &str) -> bool {
    has(words, SESSION_LOST)
        || UNREADABLE.iter().any(|reason| has_in_line(words, RESUME_FAILED, reason))
        // A port or a file may be "in use" as well.
        || has_in_line(words, "session id ", "is already in use")
}

/// Plans name their own limits: "You've hit your Opus limit".
fn is_limit(words: &str) -> bool {
    let is_named = has(words, LIMIT) || has_in_line(words, "hit your ", "limit");
    is_named && !has(words, NO_LIMIT)
}

/// "You've reached your Fable 5 limit": a limit of a model. Other limits read alike, so better evidence precedes.
fn is_limit_reached(words: &str) -> bool {
    has_in_line(words, "reached your ", "limit") && !has(words, A_RATE) && !has(words, NO_LIMIT)
}

fn by_words(words: &str) -> Option<Meaning> {
    if is_limit(words) {
        return Some(Meaning::Limit);
    }
    let known = WORDS.iter().find(|(_, known)| has(words, known)).map(|(meaning, _)| *meaning);
    let is_sure = known.is_some_and(|meaning| !meaning.holds_others());
    if !is_sure && is_limit_reached(words) { Some(Meaning::Limit) } else { known }
}

/// The meaning of a lone status or `timeout`, without more certain evidence. It causes at most another start.
fn by_bare_word(terminal: &Terminal) -> Option<Meaning> {
    // The provider's status is more certain: a text about a refused request may mention a timeout.
    if terminal.status.is_some() {
        return None;
    }
    match bare::status(&terminal.words) {
        Some(429) => Some(Meaning::SlowDown),
        Some(408 | 500..=599) => Some(Meaning::Overloaded),
        Some(_) => None,
        None => bare::says_timeout(&terminal.words).then_some(Meaning::Unreachable),
    }
}

fn has(words: &str, known: &[&str]) -> bool {
    let words = words.to_lowercase();
    known.iter().any(|known| words.contains(known))
}

fn has_in_line(words: &str, first: &str, then: &str) -> bool {
    let words = words.to_lowercase();
    words.lines().any(|line| line.split_once(first).is_some_and(|(_, rest)| rest.contains(then)))
}

#[cfg(test)]
mod tests;
