//! Errors of git, and the job failures that follow.
//! Git has no error codes, so its messages in the C locale are parsed.

use crate::stop::Stop;
use pullyard_domain::text::failure::Failure;
use pullyard_domain::text::id::RepositoryName;
use pullyard_domain::text::{Quoted, truncate};
use std::io::ErrorKind;
use std::time::Duration;

const DAMAGE_PHRASES: &[&str] = &[
    "is corrupt",
    " is empty",
    "bad object",
    "bad config",
    "broken ref",
    "reference broken",
    "did not send all necessary objects",
    "does not match index",
    "does not point to a valid object",
    "fatal: not a git repository",
    "index file",
    "inflate: ",
    "not a git packfile",
    "packfile ",
    "unable to read sha1",
    "unable to read tree",
    "could not parse object",
    "could not parse commit",
    "failed to traverse parents",
    "unable to parse object",
    "unable to unpack",
    "unexpected line in",
];

const FULL_DISK_PHRASES: &[&str] = &["no space left", "read-only file system", "disk quota"];

const MISSING_PROGRAM_PHRASES: &[&str] = &["is not a git command", "unable to find remote helper"];

/// Messages of git after it or a helper was killed, or had too little memory.
const KILL_PHRASES: &[&str] = &["died of signal", "out of memory", "cannot allocate memory", "cannot fork"];

#[derive(Debug, thiserror::Error)]
pub(crate) enum GitError {
    #[error("start git")]
    Process(#[source] std::io::Error),
    #[error("use the work folder")]
    Disk(#[from] std::io::Error),
    #[error("git {command} within {} s", limit.as_secs())]
    TimedOut { command: String, limit: Duration },
    /// An empty answer, or one of another program: git reads a web page as a repository without refs.
    #[error("read the branches: the answer has none")]
    NoRefs,
    #[error("git {command}: {stderr}")]
    Failed { command: String, stdout: String, stderr: String },
}

impl GitError {
    pub(crate) fn reason(&self) -> String {
        match self {
            Self::Process(error) => format!("git could not be started: {error}"),
            Self::Disk(error) => error.to_string(),
            Self::TimedOut { command, limit } => {
                format!("git {command} took longer than {} s", limit.as_secs())
            }
            Self::NoRefs => "its answer had no branches".into(),
            Self::Failed { command, stderr, .. } => match most_specific_line(stderr) {
                Some(line) => truncate(strip_url(line), 200),
                None => format!("git {command} failed without a word"),
            },
        }
    }

    pub(crate) fn to_source_failure(&self, forge: &str, repo: &RepositoryName) -> Failure {
        let text = match self {
            Self::Failed { stderr: text, .. } => text.to_lowercase(),
            Self::Process(_) | Self::Disk(_) => return self.to_workspace_failure(),
            Self::TimedOut { .. } | Self::NoRefs => String::new(),
        };
        let mentions = |phrases: &[&str]| phrases.iter().any(|phrase| text.contains(phrase));
        if mentions(&["no space left", "permission denied", "read-only file system", "unable to create", "disk quota"])
        {
            self.to_workspace_failure()
        } else if is_bad_login(&text) || is_worded_denial(&text) {
            Failure::SourceDenied { forge: forge.into(), repo: repo.clone(), reason: Quoted(self.words_of_forge()) }
        } else if mentions(&[
            "repository not found",
            "error: 404",
            "' not found",
            "does not appear to be a git repository",
        ]) {
            Failure::SourceNotFound { repo: repo.clone() }
        } else {
            // Also if a server answered, but not with the git protocol.
            Failure::SourceUnreachable { repo: repo.clone(), reason: self.reason().into() }
        }
    }

    /// The messages of the forge in one line; `None` if it sent none.
    fn words_of_forge(&self) -> Option<String> {
        let Self::Failed { stderr, .. } = self else { return None };
        let words = remote_lines(stderr).collect::<Vec<_>>().join(" ");
        (!words.is_empty()).then_some(words)
    }

    /// Whether objects or refs of a local repository are damaged, as after a power loss. Messages of the forge do not
    /// count. A wrong guess costs one complete fetch.
    pub(crate) fn is_damage(&self) -> bool {
        let Self::Failed { stderr, .. } = self else { return false };
        mentions_locally(stderr, DAMAGE_PHRASES)
    }

    /// Whether this machine has no space, and not the forge.
    pub(crate) fn is_full_disk(&self) -> bool {
        match self {
            Self::Process(error) | Self::Disk(error) => error.kind() == ErrorKind::StorageFull,
            Self::Failed { stderr, .. } => mentions_locally(stderr, FULL_DISK_PHRASES),
            Self::TimedOut { .. } | Self::NoRefs => false,
        }
    }

    pub(crate) fn is_missing_program(&self) -> bool {
        match self {
            Self::Process(error) => matches!(error.kind(), ErrorKind::NotFound | ErrorKind::PermissionDenied),
            Self::Failed { stderr, .. } => mentions_locally(stderr, MISSING_PROGRAM_PHRASES),
            Self::Disk(_) | Self::TimedOut { .. } | Self::NoRefs => false,
        }
    }

    /// Whether this machine has no space or killed git, and not the forge.
    pub(crate) fn is_machine_fault(&self) -> bool {
        match self {
            Self::Process(_) | Self::Disk(_) => true,
            // A killed git prints nothing.
            Self::Failed { stderr, .. } => {
                self.is_full_disk() || mentions_locally(stderr, KILL_PHRASES) || stderr.trim().is_empty()
            }
            Self::TimedOut { .. } | Self::NoRefs => false,
        }
    }

    pub(crate) fn is_local(&self) -> bool {
        match self {
            Self::Process(_) | Self::Disk(_) | Self::TimedOut { .. } => true,
            Self::NoRefs => false,
            Self::Failed { stderr, .. } => mentions_locally(stderr, FULL_DISK_PHRASES),
        }
    }

    pub(crate) fn to_workspace_failure(&self) -> Failure {
        if let Self::Disk(error) = self
            && error.kind() == ErrorKind::InvalidFilename
        {
            return Failure::PathsTooLong { path: error.to_string() };
        }
        Failure::WorkspaceFailed { reason: self.reason() }
    }
}

impl From<GitError> for Stop {
    fn from(error: GitError) -> Self {
        error.to_workspace_failure().into()
    }
}

/// Whether a line of this machine's git has one of the phrases. Git marks the messages of the forge.
fn mentions_locally(stderr: &str, phrases: &[&str]) -> bool {
    let lines = stderr.lines().map(str::to_lowercase);
    let mut local =
        lines.filter(|line| !line.starts_with("remote:") && !line.starts_with("error: remote unpack failed"));
    local.any(|line| phrases.iter().any(|phrase| line.contains(phrase)))
}

/// Whether the forge did not accept the credentials (401).
pub(crate) fn is_bad_login(stderr: &str) -> bool {
    let stderr = stderr.to_lowercase();
    let phrases = [
        "authentication failed",
        "could not read username",
        "could not read password",
        "error: 401",
        "access denied",
        "invalid username or",
    ];
    phrases.iter().any(|phrase| stderr.contains(phrase))
}

/// Whether the forge forbids the call (403) with a message. A 403 without one may come from a proxy: forges explain a
/// refusal in plain text, and git repeats only plain text.
pub(crate) fn is_worded_denial(stderr: &str) -> bool {
    let text = stderr.to_lowercase();
    let is_limit = text.contains("rate limit") || text.contains("abuse detection");
    stderr.contains("error: 403") && remote_lines(stderr).next().is_some() && !is_limit
}

/// The messages of the forge, which git marks.
pub(crate) fn remote_lines(output: &str) -> impl Iterator<Item = &str> {
    let lines = output.lines().filter_map(|line| line.trim().strip_prefix("remote:"));
    lines.map(str::trim).filter(|line| !line.is_empty())
}

/// The message without the URL. There is no space for both, and the failure names the repository.
fn strip_url(line: &str) -> &str {
    line.strip_prefix("unable to access '").and_then(|rest| rest.split_once("': ")).map_or(line, |(_, reason)| reason)
}

/// The most specific line: a status of HTTP, else a fatal one, else an error, else one from the forge, else the last.
fn most_specific_line(text: &str) -> Option<&str> {
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    ["error: RPC failed; ", "fatal: ", "error: ", "remote: error: ", "remote: "]
        .iter()
        .find_map(|start| lines.iter().find_map(|line| line.strip_prefix(start)))
        .filter(|line| !line.is_empty())
        .or(lines.last().copied())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_disk_is_a_machine_fault_and_bad_patch_is_none() {
        let failed = |stderr: &str| {
            GitError::Failed { command: "apply".into(), stdout: String::new(), stderr: stderr.into() }.is_local()
        };
        assert!(failed("error: unable to write file 'a': No space left on device"));
        assert!(GitError::Disk(std::io::Error::other("gone")).is_local());
        let forge = "remote: fatal: No space left on device\nerror: remote unpack failed: No space left on device";
        assert!(!failed(forge));
        assert!(!failed("error: patch failed: README.md:1\nerror: README.md: patch does not apply"));
    }

    #[test]
    fn damage_is_local_and_no_message_of_the_forge() {
        let failed = |stderr: &str| {
            GitError::Failed { command: "fetch".into(), stdout: String::new(), stderr: stderr.into() }.is_damage()
        };
        for damage in [
            "error: object file ./objects/ab/c is empty\nfatal: loose object abc (stored in x) is corrupt",
            "fatal: bad object refs/heads/main\nerror: https://x did not send all necessary objects",
            "fatal: unexpected line in ./packed-refs: junk",
            "error: packfile ./objects/pack/p.pack does not match index",
            "fatal: not a git repository (or any of the parent directories): .git",
        ] {
            assert!(failed(damage), "{damage}");
        }
        for other in [
            "remote: fatal: bad object refs/heads/main\nfatal: early EOF",
            "fatal: '/tmp/x.git' does not appear to be a git repository",
            "fatal: unable to access 'https://x/': Could not resolve host: x",
            "fatal: write error: No space left on device",
        ] {
            assert!(!failed(other), "{other}");
        }
    }

    #[test]
    fn killed_git_differs_from_a_missing_program() {
        let failed = |stderr: &str| GitError::Failed { command: "x".into(), stdout: "x".into(), stderr: stderr.into() };
        let check = |error: &GitError, is_missing: bool, is_machine: bool| {
            assert_eq!((error.is_missing_program(), error.is_machine_fault()), (is_missing, is_machine), "{error:?}");
        };
        check(&GitError::Process(ErrorKind::NotFound.into()), true, true);
        check(&GitError::Process(ErrorKind::WouldBlock.into()), false, true);
        check(&GitError::Disk(ErrorKind::StorageFull.into()), false, true);
        check(&failed("git: 'remote-https' is not a git command. See 'git --help'.\n"), true, false);
        check(&failed("fatal: unable to find remote helper for 'https'\n"), true, false);
        for killed in ["", "\n", "error: pack-objects died of signal 9\n", "fatal: Out of memory, malloc failed"] {
            check(&failed(killed), false, true);
        }
        for forge in ["remote: fatal: Out of memory, malloc failed", "fatal: early EOF", "fatal: bad object HEAD"] {
            check(&failed(forge), false, false);
        }
    }

    fn check(stderr: &str, code: &str) {
        let error = GitError::Failed { command: "fetch".into(), stdout: String::new(), stderr: stderr.into() };
        let repo = RepositoryName::new("acme/app").unwrap();
        assert_eq!(error.to_source_failure("GitHub", &repo).code(), code, "{stderr}");
    }

    #[test]
    fn git_errors_become_failure_codes() {
        check(
            "remote: Repository not found.\nfatal: repository 'https://github.com/a/b.git/' not found",
            "source_not_found",
        );
        check("fatal: '/tmp/x.git' does not appear to be a git repository", "source_not_found");
        check("fatal: http://x/info/refs not valid: is this a git repository?", "source_unreachable");
        check("fatal: invalid server response; got '<html>'", "source_unreachable");
        check("fatal: Authentication failed for 'https://github.com/a/b.git/'", "source_denied");
        check("fatal: could not read Username for 'https://x': terminal prompts disabled", "source_denied");
        let forbidden = "fatal: unable to access 'https://x/': The requested URL returned error: 403";
        check(&format!("remote: Write access to repository not granted.\n{forbidden}"), "source_denied");
        // Perhaps of a proxy.
        check(forbidden, "source_unreachable");
        check("fatal: unable to access 'https://x/': Could not resolve host: x", "source_unreachable");
        check(
            "fatal: unable to access 'http://x/': Failed to connect to x port 1: Connection refused",
            "source_unreachable",
        );
        check("fatal: write error: No space left on device", "workspace_failed");
        check("error: cannot lock ref: Unable to create '/w/packed-refs.lock': File exists.", "workspace_failed");
    }

    #[test]
    fn denied_fetch_quotes_the_forge() {
        let sentence = |stderr: &str| {
            let error = GitError::Failed { command: "fetch".into(), stdout: String::new(), stderr: stderr.into() };
            error.to_source_failure("GitHub", &RepositoryName::new("acme/app").unwrap()).sentence()
        };
        let forbidden = "fatal: unable to access 'https://x/': The requested URL returned error: 403";
        assert_eq!(
            sentence(&format!("remote: The organization has SAML SSO.\nremote: \nremote: Authorize it.\n{forbidden}")),
            "GitHub refused the credentials for acme/app: \"The organization has SAML SSO. Authorize it\"."
        );
        let bad_login = "fatal: Authentication failed for 'https://github.com/acme/app.git/'";
        assert_eq!(
            sentence(&format!("remote: Invalid username or token.\n{bad_login}")),
            "GitHub refused the credentials for acme/app: \"Invalid username or token\"."
        );
        assert_eq!(sentence(bad_login), "GitHub refused the credentials for acme/app.");
    }

    #[test]
    fn reason_omits_a_long_url() {
        let stderr = format!("fatal: unable to access 'https://{}/': Could not resolve host: x", "forge.".repeat(30));
        let error = GitError::Failed { command: "fetch".into(), stdout: String::new(), stderr };
        assert_eq!(error.reason(), "Could not resolve host: x");
    }

    #[test]
    fn telling_line_skips_remote_and_hint_lines() {
        assert_eq!(most_specific_line("remote: \nremote: no\nfatal: it is so\nhint: x"), Some("it is so"));
        let rpc = "error: RPC failed; HTTP 500\nsend-pack: gone\nfatal: the remote end hung up unexpectedly";
        assert_eq!(most_specific_line(rpc), Some("HTTP 500"));
        assert_eq!(most_specific_line("  \n"), None);
        assert_eq!(most_specific_line("odd"), Some("odd"));
    }

    #[test]
    fn each_error_pattern_matches_alone() {
        for (code, all) in [
            ("workspace_failed", &["No space left", "Permission denied", "Read-only file system", "Disk quota"][..]),
            ("source_denied", &["could not read Password", "error: 401", "Access denied", "Invalid username or"]),
            ("source_denied", &["remote: No.\nerror: 403"]),
            ("source_not_found", &["error: 404", "repository 'x' not found"]),
            ("source_unreachable", &["error: 500", "early EOF", "Operation timed out"]),
        ] {
            all.iter().for_each(|stderr| check(stderr, code));
        }
        let repo = RepositoryName::new("acme/app").unwrap();
        let timeout = GitError::TimedOut { command: "fetch".into(), limit: Duration::from_secs(1_800) };
        assert_eq!(timeout.to_source_failure("GitHub", &repo).code(), "source_unreachable");
        let full = || std::io::Error::from(std::io::ErrorKind::StorageFull);
        for error in [GitError::Disk(full()), GitError::Process(full())] {
            assert_eq!(error.to_source_failure("GitHub", &repo).code(), "workspace_failed", "{error:?}");
        }
    }
}
