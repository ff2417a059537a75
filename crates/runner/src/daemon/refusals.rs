//! Classifies a refusal of the control plane for the runner: retry later, not now, or never.

use super::state::Fall;
use pullyard_protocol::client::Error;

/// Exit codes, the same as the command line's.
pub(crate) const REFUSED: u8 = 3;
pub(crate) const SIGNED_OUT: u8 = 4;
pub(crate) const MISSING: u8 = 5;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    Registration,
    Heartbeat,
    Claim,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Meaning {
    Later,
    NotNow,
    Never(Fall),
}

pub(crate) fn meaning(error: &Error, asked: Asked, name: &str) -> Meaning {
    let Error::Problem(problem) = error else {
        // A proxy's fault passes.
        return Meaning::Later;
    };
    // Only the control plane can refuse a token. A gateway may send the same status while it starts.
    if problem.code == "gateway" {
        return Meaning::Later;
    }
    let never = |code, sentence: String| Meaning::Never(Fall { code, sentence });
    let detail = &problem.detail;
    match (problem.status, problem.code.as_str()) {
        (401, _) => never(
            SIGNED_OUT,
            format!(
                "The runner token is unknown, revoked or expired: {detail} Create one with `pullyard tokens create --name NAME --kind runner`."
            ),
        ),
        (403, _) => never(SIGNED_OUT, format!("The runner token does not allow this: {detail}")),
        (_, "runner_live") => never(
            REFUSED,
            format!(
                "The runner `{name}` is already running in another process. Stop that process or choose another --name. \
                 If it crashed, try again in two minutes."
            ),
        ),
        (_, "name_taken") => never(
            REFUSED,
            format!(
                "The name `{name}` belongs to a runner with another token. Choose another --name or delete that runner."
            ),
        ),
        (_, "runner_replaced") => never(REFUSED, format!("Another process replaced this one as the runner `{name}`.")),
        (404, _) if asked == Asked::Registration => never(
            REFUSED,
            format!(
                "The control plane does not support self-hosted runners: {detail} Update it if it is older than this runner."
            ),
        ),
        // A user deleted the runner, and registering again would undo that.
        (404, _) => never(MISSING, format!("The runner `{name}` was deleted. Start it again to register it.")),
        (408 | 425 | 429 | 500.., _) => Meaning::Later,
        _ if asked == Asked::Claim => Meaning::NotNow,
        (status, code) => never(REFUSED, format!("The control plane refused this runner: {detail} ({status} {code})")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pullyard_protocol::Problem;

    fn check(status: u16, code: &str, asked: Asked, expected: Result<u8, Meaning>) {
        let problem = Problem {
            kind: "about:blank".into(),
            title: String::new(),
            status,
            code: code.into(),
            detail: "No.".into(),
            help: None,
            pointer: None,
            recorded: None,
        };
        let got = match meaning(&Error::Problem(Box::new(problem)), asked, "kite") {
            Meaning::Never(fall) => Ok(fall.code),
            other => Err(other),
        };
        assert_eq!(got, expected, "{status} {code} {asked:?}");
    }

    #[test]
    fn refusals_are_classified_by_call_and_code() {
        use Asked::{Claim, Heartbeat, Registration};
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
        check(409, "draining", Claim, Err(Meaning::NotNow));
        check(400, "bad_request", Claim, Err(Meaning::NotNow));
        for asked in [Registration, Heartbeat, Claim] {
            check(404, "gateway", asked, Err(Meaning::Later));
            check(401, "gateway", asked, Err(Meaning::Later));
            check(429, "slow_down", asked, Err(Meaning::Later));
            check(503, "contended", asked, Err(Meaning::Later));
            for status in [408, 425, 500, 599] {
                check(status, "no", asked, Err(Meaning::Later));
            }
            check(403, "forbidden", asked, Ok(4));
            let (url, reason) = (String::new(), String::new());
            assert_eq!(meaning(&Error::Unreachable { url, reason }, asked, "kite"), Meaning::Later);
        }
        check(422, "invalid", Heartbeat, Ok(3));
    }
}
