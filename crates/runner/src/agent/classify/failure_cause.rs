//! Finds the cause of a reported failure: by the code on its last line, the provider's status, or its text.

use crate::agent::agent_event::EndReport;

/// Codes of an agent that another process interrupted. After a stop by the runner, `classify` ignores the report.
const INTERRUPT_CODES: [&str; 2] = ["aborted_tools", "aborted_streaming"];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FailureCause {
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
    pub(super) fn from_report(report: &EndReport) -> Option<Self> {
        if INTERRUPT_CODES.iter().any(|code| report.has_code(code)) {
            return None;
        }
        cause_from_code(report).or_else(|| cause_from_status(report)).or_else(|| cause_from_text(&report.message))
    }

    pub(super) fn is_account_wide(self) -> bool {
        matches!(self, Self::Limit | Self::SlowDown | Self::Overloaded | Self::Unreachable)
    }
}

pub(crate) fn is_account_failure(report: &EndReport) -> bool {
    !report.success && FailureCause::from_report(report).is_some_and(FailureCause::is_account_wide)
}

fn cause_from_code(report: &EndReport) -> Option<FailureCause> {
    if let Some((_, cause)) = CODES.iter().find(|(code, _)| report.has_code(code)) {
        return Some(*cause);
    }
    if report.limit_resets_at.is_some() || report.has_code("usage_limit_reached") || is_limit(&report.message) {
        return Some(FailureCause::Limit);
    }
    if CONNECTION_LOST_CODES.iter().any(|code| report.has_code(code)) {
        return Some(FailureCause::Unreachable);
    }
    // These codes only blame the provider.
    if report.has_code("rate_limit") {
        return Some(cause_of_429(report));
    }
    if report.has_code("server_error") || report.has_code("overloaded") {
        return Some(if contains_any(&report.message, UNREACHABLE_PHRASES) {
            FailureCause::Unreachable
        } else {
            FailureCause::Overloaded
        });
    }
    None
}

fn cause_from_status(report: &EndReport) -> Option<FailureCause> {
    Some(match report.status? {
        401 | 403 => FailureCause::Auth,
        402 => FailureCause::Billing,
        404 => FailureCause::Model,
        413 => FailureCause::Context,
        429 => cause_of_429(report),
        408 | 500..=599 => FailureCause::Overloaded,
        _ => return None,
    })
}

fn cause_of_429(report: &EndReport) -> FailureCause {
    let is_limit = matches!(report.status, None | Some(429)) && is_limit_reached(&report.message);
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
            // Older versions of Claude Code have no code for this.
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

/// Plans name their own limits: "You've hit your Opus limit".
fn is_limit(message: &str) -> bool {
    let is_named = contains_any(message, LIMIT_PHRASES) || line_contains_in_order(message, "hit your ", "limit");
    is_named && !contains_any(message, NOT_A_LIMIT_PHRASES)
}

/// "You've reached your Fable 5 limit": a limit of a model. Other limits have similar text, so better evidence wins.
fn is_limit_reached(message: &str) -> bool {
    line_contains_in_order(message, "reached your ", "limit")
        && !contains_any(message, RATE_LIMIT_PHRASES)
        && !contains_any(message, NOT_A_LIMIT_PHRASES)
}

pub(super) fn cause_from_text(message: &str) -> Option<FailureCause> {
    if is_limit(message) {
        return Some(FailureCause::Limit);
    }
    let cause = CAUSE_PHRASES.iter().find(|(_, phrases)| contains_any(message, phrases)).map(|(cause, _)| *cause);
    let is_sure = cause.is_some_and(|cause| !cause.is_account_wide());
    if !is_sure && is_limit_reached(message) { Some(FailureCause::Limit) } else { cause }
}

pub(super) fn contains_any(text: &str, phrases: &[&str]) -> bool {
    let text = text.to_lowercase();
    phrases.iter().any(|phrase| text.contains(phrase))
}

pub(super) fn line_contains_in_order(text: &str, first: &str, then: &str) -> bool {
    let text = text.to_lowercase();
    text.lines().any(|line| line.split_once(first).is_some_and(|(_, rest)| rest.contains(then)))
}
