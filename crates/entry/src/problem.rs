//! Error responses: problem documents with a code, a sentence and advice.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use pullyard_control::{Error, SecretFault};
use pullyard_domain::job::artifact::ArtifactRefusal;
use pullyard_domain::text::decision::Reason;
use pullyard_domain::text::format_error_chain;
use pullyard_protocol as protocol;

#[derive(Debug)]
pub struct Problem {
    body: Box<protocol::Problem>,
    retry_after_secs: Option<u32>,
}

impl Problem {
    pub fn new(status: StatusCode, code: &str, detail: impl Into<String>) -> Self {
        Self {
            body: Box::new(protocol::Problem {
                kind: "about:blank".into(),
                title: status.canonical_reason().unwrap_or("Error").into(),
                status: status.as_u16(),
                code: code.into(),
                detail: detail.into(),
                help: None,
                pointer: None,
                faults: Vec::new(),
                recorded: None,
            }),
            retry_after_secs: None,
        }
    }

    pub fn body(&self) -> &protocol::Problem {
        &self.body
    }

    pub fn runner_too_old(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UPGRADE_REQUIRED, "runner_too_old", detail)
            .with_help("Run `sh install.sh --runner` of a newer release on its machine, or `infra/image/push`.")
    }

    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", detail)
    }

    pub fn refusal(status: StatusCode, reason: &Reason) -> Self {
        Self::new(status, reason.code(), reason.sentence()).with_help(reason.help())
    }

    fn conflict(code: &str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, code, detail)
    }

    fn unprocessable(code: &str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, code, detail)
    }

    pub fn unreadable(pointer: impl Into<String>, fault: &str) -> Self {
        let pointer = pointer.into();
        let detail = if pointer.is_empty() { format!("The body: {fault}.") } else { format!("`{pointer}`: {fault}.") };
        Self::new(StatusCode::BAD_REQUEST, "body_unreadable", detail)
            .with_pointer(pointer)
            .with_help("Correct the field; see the API description.")
    }

    pub fn bad_parameter(name: &str, fault: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_parameter", format!("`{name}`: {fault}."))
    }

    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.body.help = Some(help.into());
        self
    }

    pub fn with_pointer(mut self, pointer: impl Into<String>) -> Self {
        self.body.pointer = Some(pointer.into());
        self
    }

    pub fn with_faults(mut self, faults: Vec<protocol::problem::PlanFault>) -> Self {
        self.body.faults = faults;
        self
    }

    pub fn with_retry_after(mut self, secs: u32) -> Self {
        self.retry_after_secs = Some(secs);
        self
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.body.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, Json(self.body)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(secs) = self.retry_after_secs {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(secs));
        }
        response
    }
}

impl From<pullyard_store::Error> for Problem {
    fn from(error: pullyard_store::Error) -> Self {
        Error::from(error).into()
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        use StatusCode as S;
        match error {
            Error::Contended { subject } => {
                let reason = Reason::Contended { subject, left: pullyard_domain::text::Span(1) };
                Self::refusal(S::SERVICE_UNAVAILABLE, &reason).with_retry_after(1)
            }
            Error::ToolUnavailable(error) => {
                Self::new(S::SERVICE_UNAVAILABLE, "unavailable", pullyard_domain::text::to_sentence(&error.to_string()))
                    .with_help("Try again later; if the tool is new, check its address.")
                    .with_retry_after(2)
            }
            Error::NotFound { resource, name } => Self::not_found(format!("There is no {resource} {name}.")),
            Error::NameTaken { resource, name } => {
                let help = match resource {
                    // The forge defines a repository's name, so it cannot be changed here.
                    "repository" => "Repository names are unique in a project: connect this one in another project.",
                    _ => "Choose another name, or use the existing one.",
                };
                Self::conflict("taken", format!("The {resource} {name} already exists.")).with_help(help)
            }
            Error::Invalid { pointer, fault } => {
                Self::unprocessable("invalid", format!("`{pointer}`: {fault}.")).with_pointer(pointer)
            }
            Error::RevisionMismatch { revision } => Self::new(
                S::PRECONDITION_FAILED,
                "changed_meanwhile",
                format!("Another request changed it; it is now at revision {revision}."),
            )
            .with_help("Load it again and send the change with that revision."),
            Error::KeyReused => {
                Self::unprocessable("idempotency_key_reused", "This Idempotency-Key was used for another request.")
                    .with_help("Use a new key for a new request.")
            }
            Error::TokenAlreadyShown { token } => Self::conflict(
                "token_shown",
                format!("This request already created the token {token}, and a token is shown only once."),
            )
            .with_help(format!(
                "If the token is lost, revoke it with `pullyard tokens revoke {token}` and create another."
            )),
            Error::LeaseLost { recorded } => {
                let mut problem = Self::conflict("lease_lost", "This attempt no longer holds its job.");
                problem.body.recorded = Some(recorded);
                problem
            }
            Error::WrongStatus(status) => Self::conflict(
                "wrong_status",
                format!("The job is {}, which does not allow this step.", status.label()),
            ),
            Error::Denied(denial) => Self::conflict(denial.code(), denial.sentence()).with_help(denial.help()),
            Error::StopRequested => Self::conflict("unwanted", "The job must stop."),
            Error::Runner(refusal) => Self::conflict(refusal.code(), refusal.sentence()).with_help(refusal.help()),
            Error::Artifact(refusal @ ArtifactRefusal::Missing) => {
                Self::new(S::NOT_FOUND, refusal.code(), refusal.sentence()).with_help(
                    "Try again after the attempt has ended; an artifact that is missing then was not uploaded.",
                )
            }
            Error::Artifact(refusal) => {
                Self::unprocessable(refusal.code(), refusal.sentence()).with_help("Store less, or use another name.")
            }
            Error::InvalidToken => Self::not_signed_in(),
            Error::Forge(error) => {
                let failed = format!("failed to {}.", error.to_string().trim_end_matches('.'));
                if !error.is_transient() {
                    return Self::unprocessable("forge_refused", format!("The forge refused the request: {failed}"))
                        .with_help("Check the address, the name, and the token's permissions.");
                }
                tracing::warn!(error = %error, "request not served");
                let (state, help, secs) = match error.retry_after() {
                    Some(wait) => ("limits our requests", "Try again later.", wait.as_secs().max(1)),
                    None => ("is not available", "Try again later; if the forge is new, check its address.", 2),
                };
                Self::new(S::SERVICE_UNAVAILABLE, "unavailable", format!("The forge {state}: {failed}"))
                    .with_help(help)
                    .with_retry_after(u32::try_from(secs).unwrap_or(u32::MAX))
            }
            Error::Cloud(pullyard_cloud::Error::NoSecret { name }) => {
                Self::unprocessable("secret_missing", format!("The secret {name} does not exist or is empty."))
                    .with_help(
                        "Put the value into Secrets Manager under that name, for example with `pullyard secrets set`.",
                    )
            }
            Error::NoModelSecret { name, fault } => {
                Self::unprocessable("model_secret_missing", format!("The secret {name} for the agent's model {fault}."))
                    .with_help(secret_help(&fault, "model_secrets"))
            }
            Error::NoSigningSecret { name, fault } => {
                Self::unprocessable("signing_secret_missing", format!("The secret {name} that signs commits {fault}."))
                    .with_help(secret_help(&fault, "commits.signing_secret"))
            }
            Error::NotListed { pointer, refusal } => Self::new(S::FORBIDDEN, "not_listed", refusal.sentence())
                .with_help(refusal.help())
                .with_pointer(pointer),
            Error::Cloud(pullyard_cloud::Error::SecretRefused { name }) => Self::conflict(
                "secret_refused",
                format!("Secrets Manager refuses a value for {name}; it may be marked for deletion."),
            )
            .with_help("If it was just deleted, repeat in a minute. Otherwise restore it or delete it for good in Secrets Manager, or choose another name."),
            Error::Store(pullyard_store::Error::BadCursor) => {
                Self::bad_parameter("after", "use the cursor of an earlier page")
            }
            error if error.is_transient() => {
                tracing::warn!(error = %error, "request not served");
                if is_disk_full(&error) {
                    return Self::new(S::SERVICE_UNAVAILABLE, "unavailable", "The disk of Pullyard's machine is full.")
                        .with_help("Free some space there; nothing that was answered is lost.")
                        .with_retry_after(30);
                }
                Self::new(S::SERVICE_UNAVAILABLE, "unavailable", "A service that Pullyard needs is not available.")
                    .with_retry_after(2)
            }
            error => {
                tracing::error!(error = %error, "request failed");
                Self::new(S::INTERNAL_SERVER_ERROR, "internal", "The request failed; see Pullyard's log.")
            }
        }
    }
}

fn secret_help(fault: &SecretFault, setting: &str) -> String {
    let remedy = match fault {
        SecretFault::Missing => "Set it with `pullyard secrets set`",
        SecretFault::NotListed(_) => "Add the project to its list with `pullyard secrets allow`",
    };
    format!("{remedy}, or remove it from the project's `{setting}`.")
}

/// Whether a service on this machine could not write. The embedded table answers with SQLite's words.
fn is_disk_full(error: &Error) -> bool {
    // Also a forge may answer with such words.
    let words = match error {
        Error::Store(error) => format_error_chain(error),
        Error::Cloud(error) => format_error_chain(error),
        _ => return false,
    };
    let words = words.to_lowercase();
    ["disk is full", "no space left on device"].iter().any(|sign| words.contains(sign))
}

impl Problem {
    /// 401; the response does not reveal why the credential failed.
    pub fn not_signed_in() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "not_signed_in", "The credential is missing, wrong, expired or revoked.")
            .with_help("Send `Authorization: Bearer TOKEN`.")
    }

    pub fn not_allowed(action: &str) -> Self {
        Self::new(StatusCode::FORBIDDEN, "not_allowed", format!("This token may not {action}."))
            .with_help("Use a token with that scope and project.")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_disk_is_named_in_the_problem() {
        let problem = |reason: &str| {
            let reason = format!("service error: InternalServerError: {reason}");
            let error = pullyard_store::Error::Unavailable { operation: "create a job", reason, transient: true };
            Problem::from(error).body().detail.clone()
        };
        for reason in ["database or disk is full", "No space left on device (os error 28)"] {
            assert_eq!(problem(reason), "The disk of Pullyard's machine is full.");
        }
        let reason = "service error: InternalError: No space left on device (os error 28)".into();
        let cloud = pullyard_cloud::Error::Unavailable { operation: "store an object", reason };
        assert_eq!(Problem::from(Error::Cloud(cloud)).body().detail, "The disk of Pullyard's machine is full.");
        assert_eq!(problem("dispatch failure: timeout"), "A service that Pullyard needs is not available.");
    }
}
