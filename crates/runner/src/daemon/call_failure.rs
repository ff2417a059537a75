//! Classifies a refusal of the control plane for the runner: retry later, not now, or never.

use crate::Error as RunnerError;
use pullyard_domain::text::format_error_chain;
use pullyard_protocol::client::Error;

/// Exit codes, the same as the command line's.
pub(crate) const INVALID_SETTING_EXIT: u8 = 2;
pub(crate) const REFUSED_EXIT: u8 = 3;
pub(crate) const TOKEN_REFUSED_EXIT: u8 = 4;
pub(crate) const RUNNER_DELETED_EXIT: u8 = 5;

/// Why the daemon cannot continue: its exit code, and a sentence for its operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FatalExit {
    pub(crate) code: u8,
    pub(crate) message: String,
}

impl FatalExit {
    /// Whether the control plane rejected this process, which therefore sends no last heartbeat.
    pub(crate) fn is_refusal(&self) -> bool {
        matches!(self.code, REFUSED_EXIT | TOKEN_REFUSED_EXIT | RUNNER_DELETED_EXIT)
    }
}

impl From<RunnerError> for FatalExit {
    fn from(error: RunnerError) -> Self {
        let code = if matches!(error, RunnerError::AlreadyRuns { .. }) { REFUSED_EXIT } else { 1 };
        Self { code, message: format!("The runner failed to {}.", format_error_chain(&error)) }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CallKind {
    Registration,
    Heartbeat,
    Claim,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum RunnerCallFailure {
    RetryLater,
    NotNow,
    Fatal(FatalExit),
}

/// Whether the control plane is older than this runner and does not know a field of the request.
pub(crate) fn is_unknown_field(error: &Error, pointer: &str) -> bool {
    matches!(error, Error::Problem(problem) if problem.status == 400 && problem.pointer.as_deref() == Some(pointer))
}

pub(crate) fn classify_failure(error: &Error, call: CallKind, name: &str) -> RunnerCallFailure {
    let Error::Problem(problem) = error else {
        return RunnerCallFailure::RetryLater;
    };
    // Only the control plane can refuse a token. A gateway may send the same status while it starts.
    if problem.code == "gateway" {
        return RunnerCallFailure::RetryLater;
    }
    let fatal = |code, message: String| RunnerCallFailure::Fatal(FatalExit { code, message });
    let detail = &problem.detail;
    match (problem.status, problem.code.as_str()) {
        (401, _) => fatal(
            TOKEN_REFUSED_EXIT,
            format!(
                "The runner token is unknown, revoked or expired: {detail} Create one with `pullyard tokens create --name NAME --kind runner`."
            ),
        ),
        (403, _) => fatal(TOKEN_REFUSED_EXIT, format!("The runner token does not allow this: {detail}")),
        (_, "runner_live") => fatal(
            REFUSED_EXIT,
            format!(
                "{detail} Stop that process, wait, or choose another --name; if it has ended, `pullyard runners delete \
                 {name}` ends its jobs and frees the name within a minute."
            ),
        ),
        (_, "name_taken") => fatal(
            REFUSED_EXIT,
            format!(
                "The name `{name}` belongs to a runner with another token. Choose another --name, or run \
                 `pullyard runners delete {name}`."
            ),
        ),
        (_, "runner_replaced") => {
            fatal(REFUSED_EXIT, format!("Another process replaced this one as the runner `{name}`."))
        }
        (404, _) if call == CallKind::Registration => fatal(
            REFUSED_EXIT,
            format!(
                "The control plane does not support self-hosted runners: {detail} Update it if it is older than this runner."
            ),
        ),
        // A user deleted the runner, and registering again would undo that.
        (404, _) => {
            fatal(RUNNER_DELETED_EXIT, format!("The runner `{name}` was deleted. Start it again to register it."))
        }
        (408 | 425 | 429 | 500.., _) => RunnerCallFailure::RetryLater,
        _ if call == CallKind::Claim => RunnerCallFailure::NotNow,
        (status, code) => {
            fatal(REFUSED_EXIT, format!("The control plane refused this runner: {detail} ({status} {code})"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pullyard_protocol::Problem;

    fn check(status: u16, code: &str, call_kind: CallKind, expected: Result<u8, RunnerCallFailure>) {
        let problem = Problem {
            kind: "about:blank".into(),
            title: String::new(),
            status,
            code: code.into(),
            detail: "No.".into(),
            help: None,
            pointer: None,
            faults: Vec::new(),
            recorded: None,
        };
        let result = match classify_failure(&Error::Problem(Box::new(problem)), call_kind, "kite") {
            RunnerCallFailure::Fatal(fatal) => Ok(fatal.code),
            other => Err(other),
        };
        assert_eq!(result, expected, "{status} {code} {call_kind:?}");
    }

    #[test]
    fn refusals_are_classified_by_call_and_code() {
        use CallKind::{Claim, Heartbeat, Registration};
        check(401, "unauthorized", Registration, Ok(4));
        check(401, "unauthorized", Heartbeat, Ok(4));
        check(403, "forbidden", Registration, Ok(4));
        check(409, "runner_live", Registration, Ok(3));
        check(409, "name_taken", Registration, Ok(3));
        check(409, "runner_replaced", Heartbeat, Ok(3));
        check(409, "runner_replaced", Claim, Ok(3));
        check(404, "not_found", Registration, Ok(3));
        check(404, "not_found", Heartbeat, Ok(5));
        check(404, "not_found", Claim, Ok(5));
        check(400, "bad_request", Registration, Ok(3));
        check(409, "draining", Claim, Err(RunnerCallFailure::NotNow));
        check(400, "bad_request", Claim, Err(RunnerCallFailure::NotNow));
        for call_kind in [Registration, Heartbeat, Claim] {
            check(404, "gateway", call_kind, Err(RunnerCallFailure::RetryLater));
            check(401, "gateway", call_kind, Err(RunnerCallFailure::RetryLater));
            check(429, "slow_down", call_kind, Err(RunnerCallFailure::RetryLater));
            check(503, "contended", call_kind, Err(RunnerCallFailure::RetryLater));
            for status in [408, 425, 500, 599] {
                check(status, "no", call_kind, Err(RunnerCallFailure::RetryLater));
            }
            check(403, "forbidden", call_kind, Ok(4));
            let (url, reason) = (String::new(), String::new());
            assert_eq!(
                classify_failure(&Error::Unreachable { url, reason }, call_kind, "kite"),
                RunnerCallFailure::RetryLater
            );
        }
        check(422, "invalid", Heartbeat, Ok(3));
    }
}
