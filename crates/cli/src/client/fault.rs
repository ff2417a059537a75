//! Errors of commands: exit code, sentence, and help.

use super::screen::Screen;
use pullyard_protocol::Problem;
use pullyard_protocol::client::Error;
use pullyard_protocol::problem::PlanFault;
use std::process::ExitCode;

/// Exit code of a command. After several errors, the highest one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Exit {
    /// An error of the server or the network, an unexpected error, a failed test or check, or a declined confirmation.
    Failed = 1,
    Usage = 2,
    Refused = 3,
    NotAllowed = 4,
    NotFound = 5,
    /// The watched job or run failed or was cancelled.
    Ended = 6,
    Changed = 8,
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

#[derive(Debug)]
pub(crate) struct CliError {
    pub(super) exit: Exit,
    error: String,
    pub(super) help: Option<String>,
    problem: Option<Box<Problem>>,
    unreachable: bool,
}

impl CliError {
    pub(crate) fn new(exit: Exit, error: impl Into<String>) -> Self {
        Self { exit, error: error.into(), help: None, problem: None, unreachable: false }
    }

    pub(crate) fn failed(error: impl Into<String>) -> Self {
        Self::new(Exit::Failed, error)
    }

    pub(crate) fn usage(error: impl Into<String>) -> Self {
        Self::new(Exit::Usage, error)
    }

    pub(super) fn not_found(error: impl Into<String>) -> Self {
        Self::new(Exit::NotFound, error)
    }

    /// `--json` prints them.
    pub(super) fn with_plan_faults(mut self, faults: Vec<PlanFault>) -> Self {
        let problem = self.to_problem(422, "Unprocessable Entity", "plan_invalid");
        self.problem = Some(Box::new(Problem { faults, ..problem }));
        self
    }

    /// The faults of a plan that the server refused.
    pub(super) fn plan_faults(&self) -> &[PlanFault] {
        self.problem.as_ref().map_or(&[], |problem| &problem.faults)
    }

    fn to_problem(&self, status: u16, title: &str, code: &str) -> Problem {
        Problem {
            kind: "about:blank".into(),
            title: title.into(),
            status,
            code: code.into(),
            detail: self.error.clone(),
            help: self.help.clone(),
            pointer: None,
            faults: Vec::new(),
            recorded: None,
        }
    }

    /// An error whose message is printed already.
    pub(crate) fn silent(exit: Exit) -> Self {
        Self::new(exit, "")
    }

    pub(crate) fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    pub(crate) fn message(&self) -> String {
        self.error.clone()
    }

    /// The code of the server's refusal.
    pub(super) fn code(&self) -> Option<&str> {
        self.problem.as_ref().map(|problem| problem.code.as_str())
    }

    pub(super) fn is_not_found(&self) -> bool {
        self.exit == Exit::NotFound && !self.error.is_empty()
    }

    pub(crate) fn print_with_document(self, screen: &Screen) -> ExitCode {
        let exit = self.exit.into();
        if self.error.is_empty() {
            return exit;
        }
        self.print(screen);
        if screen.is_json() {
            // Best effort: the reader may be gone.
            let _ = screen.json(&self.into_problem());
        }
        exit
    }

    pub(crate) fn interrupted(screen: &Screen, consequence: &str) -> Self {
        screen.note(&format!("interrupted: {consequence}"));
        Self::silent(Exit::Interrupted)
    }

    /// Prints only to stderr: with `--json`, stdout already has its one document.
    pub(super) fn printed(self, screen: &Screen) -> Self {
        self.print(screen);
        Self::silent(self.exit)
    }

    pub(super) fn print(&self, screen: &Screen) {
        if self.error.is_empty() {
            return;
        }
        screen.error(&self.error);
        if let Some(help) = &self.help {
            screen.help(help);
        }
    }

    pub(super) fn into_problem(self) -> Problem {
        let (status, title, code) = match self.exit {
            Exit::Usage => (400, "Bad Request", "usage"),
            Exit::NotFound => (404, "Not Found", "not_found"),
            _ if self.unreachable => (503, "Service Unavailable", "unreachable"),
            _ => (500, "Internal Server Error", "failed"),
        };
        let own = self.to_problem(status, title, code);
        self.problem.map_or(own, |problem| *problem)
    }
}

impl From<anyhow::Error> for CliError {
    fn from(error: anyhow::Error) -> Self {
        Self::failed(format!("{error:#}"))
    }
}

impl From<Error> for CliError {
    fn from(error: Error) -> Self {
        match error {
            Error::Unreachable { url, reason }
                if url.starts_with("https://") && reason.contains("InvalidContentType") =>
            {
                let error = format!("can't reach {url}: the server does not speak TLS");
                Self { unreachable: true, ..Self::new(Exit::Failed, error) }.with_help("write its URL with http://")
            }
            Error::Unreachable { url, reason } => {
                let reason = reason.split(" (os error").next().unwrap_or(&reason).to_owned();
                let error = format!("can't reach {url}: {}", lowercase_first(&reason));
                Self { unreachable: true, ..Self::new(Exit::Failed, error) }
                    .with_help("start it with `pullyard up`, or set PULLYARD_URL")
            }
            Error::Unreadable { url, reason } => {
                Self::new(Exit::Failed, format!("unexpected response from {url}: {reason}"))
                    .with_help("check that it is a Pullyard server: `pullyard version`")
            }
            Error::Problem(problem) => from_problem(problem),
        }
    }
}

fn from_problem(problem: Box<Problem>) -> CliError {
    let exit = match problem.status {
        // A gateway's error is not an answer to the request.
        _ if problem.code == "gateway" => Exit::Failed,
        401 | 403 => Exit::NotAllowed,
        404 => Exit::NotFound,
        412 => Exit::Changed,
        // A taken name is not a guard's refusal.
        409 if problem.code != "taken" => Exit::Refused,
        400 => Exit::Usage,
        422 if matches!(problem.code.as_str(), "invalid" | "plan_invalid") => Exit::Usage,
        _ => Exit::Failed,
    };
    let help = match problem.status {
        _ if problem.code == "gateway" => {
            Some("check that this is the URL of a Pullyard server; `pullyard contexts` lists yours".into())
        }
        401 => Some("sign in with `pullyard login`, or set PULLYARD_TOKEN".into()),
        412 => Some("another request changed it: check it, then repeat your change".into()),
        // Its help names the API description, which is for programs.
        400 | 422 if problem.code == "body_unreadable" => None,
        404 if problem.help.is_none() => listing_hint(&problem.detail),
        _ => problem.help.as_deref().map(lowercase_first),
    };
    let help = help.filter(|help: &String| !is_nothing_to_do(help));
    let detail = name_field(problem.detail.trim_end_matches('.'), problem.pointer.as_deref());
    let detail = lowercase_first(&detail);
    let error = if exit == Exit::NotFound || SELF_EXPLAINING_CODES.contains(&problem.code.as_str()) {
        detail
    } else {
        format!("{detail} ({})", problem.code)
    };
    CliError { help, problem: Some(problem), ..CliError::new(exit, error) }
}

/// Codes that add nothing to the sentence. `--json` prints every code.
const SELF_EXPLAINING_CODES: [&str; 8] =
    ["gateway", "invalid", "plan_invalid", "body_unreadable", "bad_parameter", "taken", "too_late", "unavailable"];

/// Replaces the JSON pointer at the start of a sentence with the field's name, such as `limits.wall_secs`.
fn name_field(detail: &str, pointer: Option<&str>) -> String {
    let named = pointer.and_then(|pointer| {
        let rest = detail.strip_prefix(&format!("`{pointer}`"))?;
        let path = pointer.trim_start_matches('/');
        let path = path.strip_prefix("settings/").unwrap_or(path);
        Some(format!("{}{rest}", path.replace('/', ".").replace("~1", "/").replace("~0", "~")))
    });
    named.unwrap_or_else(|| detail.to_owned())
}

fn listing_hint(detail: &str) -> Option<String> {
    let command = match detail.strip_prefix("There is no ")?.split(' ').next()? {
        "delivery" => "deliveries",
        "hook" => "hooks",
        "integration" => "integrations",
        "job" => "jobs",
        "project" => "projects",
        "repository" => "repos",
        "run" => "runs",
        "runner" => "runners",
        "schedule" => "schedules",
        "step" => "runs show RUN",
        "template" => "templates",
        "ticket" => "tickets",
        "token" => "tokens",
        _ => return None,
    };
    Some(format!("`pullyard {command}` lists them"))
}

/// Words that may be lowercased, because they are not names.
const PLAIN_WORDS: &str = "A Another Ask Check Choose Commit Connection Create Install It Job Make Name No Nothing Only \
                           Put Reopen Request Retry Send Set Somebody Something Start That The There This Use Wait";

fn lowercase_first(sentence: &str) -> String {
    let word = sentence.split(' ').next().unwrap_or_default();
    if PLAIN_WORDS.split(' ').any(|plain| plain == word) {
        let mut letters = sentence.chars();
        return letters.next().map(|first| first.to_lowercase().chain(letters).collect()).unwrap_or_default();
    }
    sentence.to_owned()
}

pub(super) const NOTHING_TO_DO: &str = "Nothing to do.";

pub(super) fn is_nothing_to_do(help: &str) -> bool {
    help.is_empty() || help.eq_ignore_ascii_case(NOTHING_TO_DO)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(status: u16, code: &str, detail: &str, help: Option<&str>) -> CliError {
        let (kind, title, help) = ("about:blank".into(), "t".into(), help.map(str::to_owned));
        let (code, detail) = (code.into(), detail.into());
        Error::Problem(Box::new(Problem {
            kind,
            title,
            status,
            code,
            detail,
            help,
            pointer: None,
            faults: Vec::new(),
            recorded: None,
        }))
        .into()
    }

    #[test]
    fn each_server_problem_has_its_exit_code() {
        for (status, code, exit) in [
            (400, "invalid", Exit::Usage),
            (401, "not_signed_in", Exit::NotAllowed),
            (403, "not_allowed", Exit::NotAllowed),
            (404, "not_found", Exit::NotFound),
            (409, "job_active", Exit::Refused),
            (409, "taken", Exit::Failed),
            (412, "changed_meanwhile", Exit::Changed),
            (422, "invalid", Exit::Usage),
            (422, "forge_refused", Exit::Failed),
            (429, "slow_down", Exit::Failed),
            (500, "failed", Exit::Failed),
            // A gateway's code, which Pullyard does not have.
            (401, "gateway", Exit::Failed),
            (404, "gateway", Exit::Failed),
            (409, "gateway", Exit::Failed),
        ] {
            assert_eq!(problem(status, code, "No.", None).exit, exit, "{status} {code}");
        }
        let codes = [
            (Exit::Failed, 1),
            (Exit::Usage, 2),
            (Exit::Refused, 3),
            (Exit::NotAllowed, 4),
            (Exit::NotFound, 5),
            (Exit::Ended, 6),
            (Exit::Changed, 8),
            (Exit::Interrupted, 130),
        ];
        assert!(codes.into_iter().all(|(exit, code)| exit as u8 == code));
    }

    #[test]
    fn server_problem_becomes_a_line_with_code_and_help() {
        let fault = problem(409, "job_active", "The ticket has a job.", Some("Wait for it."));
        assert_eq!(
            (fault.message().as_str(), fault.help.as_deref()),
            ("the ticket has a job (job_active)", Some("wait for it."))
        );
        let missing = problem(404, "not_found", "GitHub has no such thing.", Some("Nothing to do."));
        assert_eq!((missing.message().as_str(), missing.help), ("GitHub has no such thing", None));
        let help = |detail| problem(404, "not_found", detail, None).help;
        assert_eq!(help("There is no ticket B-9.").as_deref(), Some("`pullyard tickets` lists them"));
        assert_eq!(help("There is no repository a/b.").as_deref(), Some("`pullyard repos` lists them"));
        assert_eq!(help("There is no step zz.").as_deref(), Some("`pullyard runs show RUN` lists them"));
        assert_eq!(help("There is no template nope.").as_deref(), Some("`pullyard templates` lists them"));
        assert_eq!(help("There is no such thing."), None);
        for (status, code, expected) in [
            (401, "not_signed_in", "pullyard login"),
            (412, "changed", "repeat your change"),
            (404, "gateway", "contexts"),
        ] {
            let help = problem(status, code, "No.", Some("Else.")).help;
            assert!(help.as_ref().is_some_and(|help| help.contains(expected)), "{code}: {help:?}");
        }
    }

    #[test]
    fn json_pointer_becomes_the_name_of_the_field() {
        for (pointer, name) in [
            ("/limits/wall_secs", "limits.wall_secs"),
            ("/settings/statuses/trigger", "statuses.trigger"),
            ("/labels/a~1b~0", "labels.a/b~"),
        ] {
            assert_eq!(name_field(&format!("`{pointer}`: use 1 to 9"), Some(pointer)), format!("{name}: use 1 to 9"));
        }
        assert_eq!(name_field("The body: no JSON", Some("")), "The body: no JSON");
        assert_eq!(problem(422, "invalid", "Wrong.", None).message(), "Wrong");
    }

    #[test]
    fn https_to_a_server_without_tls_is_named() {
        let reason = "received corrupt message of type InvalidContentType".into();
        let fault = CliError::from(Error::Unreachable { url: "https://127.0.0.1:7878".into(), reason });
        assert_eq!(fault.message(), "can't reach https://127.0.0.1:7878: the server does not speak TLS");
        assert_eq!(fault.help.as_deref(), Some("write its URL with http://"));
    }

    #[test]
    fn json_output_has_the_server_problem_or_its_form() {
        assert_eq!(problem(409, "job_active", "No.", None).into_problem().code, "job_active");
        let unreachable =
            Error::Unreachable { url: "http://x".into(), reason: "Connection refused (os error 111)".into() };
        let fault = CliError::from(unreachable);
        assert_eq!(fault.message(), "can't reach http://x: connection refused");
        let documents = [fault, CliError::usage("no"), CliError::not_found("no"), CliError::failed("no")];
        let problems = documents.map(|fault| fault.into_problem()).map(|document| (document.status, document.code));
        let expected = [(503, "unreachable"), (400, "usage"), (404, "not_found"), (500, "failed")];
        assert_eq!(problems, expected.map(|(status, code)| (status, code.to_owned())));
    }
}
