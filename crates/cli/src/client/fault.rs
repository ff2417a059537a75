//! Why a command ends other than well: its exit code, one sentence, and what to do about it.

use super::screen::Screen;
use pullyard_protocol::Problem;
use pullyard_protocol::client::Error;
use std::process::ExitCode;

/// The exit codes of every command, beside 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Server, network, or unexpected.
    Failed = 1,
    /// Wrong usage.
    Usage = 2,
    /// A guard refused.
    Refused = 3,
    /// Not signed in, or not allowed.
    NotAllowed = 4,
    /// No such thing.
    NotFound = 5,
    /// The watched job ended Failed or Cancelled.
    Ended = 6,
    /// Somebody else changed it first.
    Changed = 8,
    /// Ctrl-C.
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// A command that did not do what it was asked.
#[derive(Debug)]
pub(crate) struct Fault {
    exit: Exit,
    /// Empty when there is nobody left to read it.
    error: String,
    help: Option<String>,
    /// What the server said, if it did.
    problem: Option<Box<Problem>>,
    /// Nobody answered.
    unreachable: bool,
}

impl Fault {
    pub(crate) fn new(exit: Exit, error: impl Into<String>) -> Self {
        Self { exit, error: error.into(), help: None, problem: None, unreachable: false }
    }

    pub(crate) fn usage(error: impl Into<String>) -> Self {
        Self::new(Exit::Usage, error)
    }

    pub(super) fn not_found(error: impl Into<String>) -> Self {
        Self::new(Exit::NotFound, error)
    }

    /// The reader of our output went away.
    pub(super) fn unread() -> Self {
        Self::new(Exit::Failed, "")
    }

    /// What to do about it.
    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// What to do about it, as part of another line.
    pub(super) fn what_to_do(&self) -> Option<&str> {
        self.help.as_deref()
    }

    /// The fault as part of another line.
    pub(crate) fn words(&self) -> String {
        self.error.clone()
    }

    pub(super) fn is_not_found(&self) -> bool {
        self.exit == Exit::NotFound
    }

    /// Says it on stderr, and with `--json` as a problem document on stdout.
    pub(crate) fn show(self, screen: &Screen) -> ExitCode {
        let exit = self.exit.into();
        if self.error.is_empty() {
            return exit;
        }
        self.say(screen);
        if screen.is_json() {
            // A reader that went away changes nothing about the fault.
            let _ = screen.json(&self.document());
        }
        exit
    }

    /// Says it after the answer was printed, which with `--json` is the one document on stdout.
    pub(super) fn after_the_answer(self, screen: &Screen) -> ExitCode {
        self.say(screen);
        self.exit.into()
    }

    /// Says it on stderr only.
    pub(super) fn say(&self, screen: &Screen) {
        screen.error(&self.error);
        if let Some(help) = &self.help {
            screen.help(help);
        }
    }

    pub(super) fn exit(&self) -> Exit {
        self.exit
    }

    /// What a program reads of it.
    pub(super) fn document(self) -> Problem {
        let (status, title, code) = match self.exit {
            Exit::Usage => (400, "Bad Request", "usage"),
            Exit::NotFound => (404, "Not Found", "not_found"),
            _ if self.unreachable => (503, "Service Unavailable", "unreachable"),
            _ => (500, "Internal Server Error", "failed"),
        };
        self.problem.map(|problem| *problem).unwrap_or_else(|| Problem {
            kind: "about:blank".into(),
            title: title.into(),
            status,
            code: code.into(),
            detail: self.error,
            help: self.help,
            pointer: None,
            recorded: None,
        })
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        match error {
            Error::Unreachable { url, reason } => {
                let reason = reason.split(" (os error").next().unwrap_or(&reason).to_owned();
                let error = format!("can't reach {url}: {}", lower_first(&reason));
                Self { unreachable: true, ..Self::new(Exit::Failed, error) }
                    .help("is it running? start it with `pullyard up`, or set PULLYARD_URL")
            }
            Error::Unreadable { url, reason } => {
                Self::new(Exit::Failed, format!("can't understand the answer of {url}: {reason}"))
                    .help("is it a Pullyard server? compare `pullyard version`")
            }
            Error::Problem(problem) => problem_fault(problem),
        }
    }
}

fn problem_fault(problem: Box<Problem>) -> Fault {
    let exit = match problem.status {
        // Not an answer of ours: it says nothing about what was asked for.
        _ if problem.code == "gateway" => Exit::Failed,
        401 | 403 => Exit::NotAllowed,
        404 => Exit::NotFound,
        412 => Exit::Changed,
        // A name that another thing has is no guard's word.
        409 if problem.code != "taken" => Exit::Refused,
        400 => Exit::Usage,
        422 if problem.code == "invalid" => Exit::Usage,
        _ => Exit::Failed,
    };
    let help = match problem.status {
        _ if problem.code == "gateway" => {
            Some("is that the address of a Pullyard server? `pullyard contexts` lists yours".into())
        }
        401 => Some("sign in with `pullyard login`, or set PULLYARD_TOKEN".into()),
        412 => Some("look at it again, then repeat your change".into()),
        _ => problem.help.as_deref().map(lower_first),
    };
    let help = help.filter(|help: &String| !help.eq_ignore_ascii_case("nothing to do."));
    let detail = lower_first(problem.detail.trim_end_matches('.'));
    let error = if exit == Exit::NotFound || problem.code == "gateway" {
        detail
    } else {
        format!("{detail} ({})", problem.code)
    };
    Fault { help, problem: Some(problem), ..Fault::new(exit, error) }
}

/// A sentence as part of a line: its first letter is small, unless the word is a name.
fn lower_first(sentence: &str) -> String {
    let word = sentence.split(' ').next().unwrap_or_default();
    let plain = [
        "A",
        "Ask",
        "Check",
        "Choose",
        "Connection",
        "It",
        "Job",
        "Make",
        "Name",
        "No",
        "Nothing",
        "Only",
        "Put",
        "Send",
        "Set",
        "Somebody",
        "Something",
        "Start",
        "That",
        "The",
        "There",
        "This",
        "Use",
        "Wait",
    ];
    if plain.contains(&word) {
        let mut letters = sentence.chars();
        return letters.next().map(|first| first.to_lowercase().chain(letters).collect()).unwrap_or_default();
    }
    sentence.to_owned()
}
