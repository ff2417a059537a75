//! Errors of git, and the job failures that follow.
//! Git has no error codes, so its messages in the C locale are parsed.

use crate::stop::Stop;
use pullyard_domain::failure::Failure;
use pullyard_domain::id::RepositoryName;
use pullyard_domain::text::truncate;
use std::time::Duration;

#[derive(Debug, thiserror::Error)]
pub(crate) enum GitError {
    #[error("start git")]
    Process(#[source] std::io::Error),
    #[error("use the work folder")]
    Disk(#[from] std::io::Error),
    #[error("git {command} within {} s", limit.as_secs())]
    TimedOut { command: String, limit: Duration },
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
            Self::TimedOut { .. } => String::new(),
        };
        let mentions = |phrases: &[&str]| phrases.iter().any(|phrase| text.contains(phrase));
        if mentions(&["no space left", "permission denied", "read-only file system", "unable to create", "disk quota"])
        {
            self.to_workspace_failure()
        } else if mentions(&[
            "authentication failed",
            "could not read username",
            "could not read password",
            "error: 401",
            "error: 403",
            "access denied",
            "invalid username or",
        ]) {
            Failure::SourceDenied { forge: forge.into(), repo: repo.clone() }
        } else if mentions(&[
            "repository not found",
            "error: 404",
            "' not found",
            "does not appear to be a git repository",
            // A server answered, but not with the git protocol.
            "is this a git repository?",
            "invalid server response",
        ]) {
            Failure::SourceNotFound { repo: repo.clone() }
        } else {
            Failure::SourceUnreachable { repo: repo.clone(), reason: self.reason() }
        }
    }

    pub(crate) fn is_local(&self) -> bool {
        match self {
            Self::Process(_) | Self::Disk(_) | Self::TimedOut { .. } => true,
            Self::Failed { stderr, .. } => {
                let stderr = stderr.to_lowercase();
                ["no space left", "read-only file system", "disk quota"].iter().any(|phrase| stderr.contains(phrase))
            }
        }
    }

    pub(crate) fn to_workspace_failure(&self) -> Failure {
        Failure::WorkspaceFailed { reason: self.reason() }
    }
}

impl From<GitError> for Stop {
    fn from(error: GitError) -> Self {
        error.to_workspace_failure().into()
    }
}

/// The message without the URL. There is no space for both, and the failure names the repository.
fn strip_url(line: &str) -> &str {
    line.strip_prefix("unable to access '").and_then(|rest| rest.split_once("': ")).map_or(line, |(_, reason)| reason)
}

/// The most specific line: a fatal one, else an error, else one from the forge, else the last.
fn most_specific_line(text: &str) -> Option<&str> {
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    ["fatal: ", "error: ", "remote: error: ", "remote: "]
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
        assert!(!failed("error: patch failed: README.md:1\nerror: README.md: patch does not apply"));
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
        check("fatal: http://x/info/refs not valid: is this a git repository?", "source_not_found");
        check("fatal: invalid server response; got '<html>'", "source_not_found");
        check("fatal: Authentication failed for 'https://github.com/a/b.git/'", "source_denied");
        check("fatal: could not read Username for 'https://x': terminal prompts disabled", "source_denied");
        check("fatal: unable to access 'https://x/': The requested URL returned error: 403", "source_denied");
        check("fatal: unable to access 'https://x/': Could not resolve host: x", "source_unreachable");
        check(
            "fatal: unable to access 'http://x/': Failed to connect to x port 1: Connection refused",
            "source_unreachable",
        );
        check("fatal: write error: No space left on device", "workspace_failed");
        check("error: cannot lock ref: Unable to create '/w/packed-refs.lock': File exists.", "workspace_failed");
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
        assert_eq!(most_specific_line("  \n"), None);
        assert_eq!(most_specific_line("odd"), Some("odd"));
    }

    #[test]
    fn each_error_pattern_matches_alone() {
        for (code, all) in [
            ("workspace_failed", &["No space left", "Permission denied", "Read-only file system", "Disk quota"][..]),
            ("source_denied", &["could not read Password", "error: 401", "Access denied", "Invalid username or"]),
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
