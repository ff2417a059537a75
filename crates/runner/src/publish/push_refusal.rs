//! Finds out from git's output whether a forge refused a push. The crate `forge` parses the reason.
//! A refusal is final if the forge states it: by `[remote rejected]` with a reason, or a message and status 401 or 403.
//! After `[remote failure]`, a lost connection, a web page or a server error, the push is repeated.

use crate::git::{GitError, is_bad_login, is_worded_denial, remote_lines};
use pullyard_domain::project::forge::ForgeKind;
use pullyard_domain::text::Quoted;
use pullyard_domain::text::failure::Failure;
use pullyard_domain::text::id::RepositoryName;
use pullyard_forge::{PushOutput, PushRefusal, parse_push_refusal};

/// Parses the refusal of a push to a branch; `None` if the push failed otherwise and is repeated.
pub(super) fn parse_refusal(
    (kind, forge): (ForgeKind, &str),
    (repository, branch): (&RepositoryName, &str),
    error: &GitError,
) -> Option<Failure> {
    let GitError::Failed { stdout, stderr, .. } = error else {
        return None;
    };
    let reason = rejection_reason(stdout);
    if reason.is_none() && !is_bad_login(stderr) && !is_worded_denial(stderr) {
        return None;
    }
    let messages: Vec<&str> = remote_lines(stderr).collect();
    let mut words = messages.iter().copied().chain(reason);
    if let Some(branch) = words.find_map(|line| parse_blocking_branch(line, branch)) {
        return Some(Failure::BranchTaken { branch: branch.to_owned() });
    }
    let rejected = |reason: String| Failure::PushRejected { forge: forge.into(), reason: reason.into() };
    Some(match parse_push_refusal(kind, &PushOutput { reason, messages: &messages })? {
        PushRefusal::WorkflowPermission => Failure::WorkflowPermission {},
        PushRefusal::Secret(reason) => rejected(reason),
        PushRefusal::BranchProtected(rule) => Failure::BranchProtected { branch: branch.into(), reason: Quoted(rule) },
        PushRefusal::PermissionMissing => {
            let (forge, repo) = (forge.into(), repository.clone());
            Failure::PermissionMissing { forge, repo, what: "push".into() }
        }
        PushRefusal::Other(reason) => rejected(reason.unwrap_or_else(|| error.reason())),
    })
}

/// The reason in `! <from>:<to> [remote rejected] (reason)`, which git prints for the branch.
fn rejection_reason(stdout: &str) -> Option<&str> {
    let line = stdout.lines().find(|line| line.starts_with('!'))?;
    let (_, reason) = line.split_once("[remote rejected]")?;
    let reason = reason.trim().trim_start_matches('(').trim_end_matches(')').trim();
    (!reason.is_empty()).then_some(reason)
}

/// The existing branch `a` in `'refs/heads/a' exists; cannot create 'refs/heads/a/b'`.
/// `None` unless it is a folder of `branch`, or `branch` is a folder of it.
fn parse_blocking_branch<'a>(words: &'a str, branch: &str) -> Option<&'a str> {
    let (before, _) = words.split_once("' exists; cannot create")?;
    let (_, other) = before.rsplit_once("'refs/heads/")?;
    let is_above = |above: &str, below: &str| below.strip_prefix(above).is_some_and(|rest| rest.starts_with('/'));
    (is_above(other, branch) || is_above(branch, other)).then_some(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal_of(kind: ForgeKind, stdout: &str, stderr: &str) -> Option<Failure> {
        let repository = RepositoryName::new("acme/app").unwrap();
        let error = GitError::Failed { command: "push".into(), stdout: stdout.into(), stderr: stderr.into() };
        parse_refusal((kind, kind.label()), (&repository, "x"), &error)
    }

    fn refusal(stdout: &str, stderr: &str) -> Option<Failure> {
        refusal_of(ForgeKind::GitHub, stdout, stderr)
    }

    #[track_caller]
    fn check(stdout: &str, stderr: &str, code: Option<&str>) {
        assert_eq!(refusal(stdout, stderr).map(|failure| failure.code()), code, "{stdout} {stderr}");
    }

    #[track_caller]
    fn check_reason(stdout: &str, stderr: &str, sentence: &str) {
        assert_eq!(refusal(stdout, stderr).map(|failure| failure.sentence()).as_deref(), Some(sentence));
    }

    const FORBIDDEN: &str = "fatal: unable to access 'https://x/': The requested URL returned error: 403";

    fn rejected(reason: &str) -> String {
        format!("!\tHEAD:refs/heads/x\t[remote rejected] ({reason})\n")
    }

    #[test]
    fn push_refusals_become_failure_codes() {
        let workflow =
            |who: &str| rejected(&format!("refusing to allow {who} to create `ci.yml` without `workflow` scope"));
        check(&workflow("a Personal Access Token"), "", Some("workflow_permission"));
        check(&rejected("a GitHub App needs the `workflows` permission"), "", Some("workflow_permission"));
        check(&rejected("pre-receive hook declined"), "", Some("push_rejected"));
        for (kind, words) in [
            (ForgeKind::GitHub, "Permission to acme/app.git denied to bot."),
            (ForgeKind::GitHub, "Write access to repository not granted."),
            (ForgeKind::Bitbucket, "Your credentials lack one or more required privilege scopes."),
        ] {
            let stderr = format!("remote: {words}\n{FORBIDDEN}");
            let codes = ForgeKind::ALL.map(|kind| (kind, refusal_of(kind, "", &stderr).map(|failure| failure.code())));
            for (other, code) in codes {
                let expected = if other == kind { "permission_missing" } else { "push_rejected" };
                assert_eq!(code, Some(expected), "{other:?} {words}");
            }
        }
    }

    #[test]
    fn push_without_the_forges_decision_is_undecided() {
        for stdout in [
            "",
            "!\tHEAD:refs/heads/x\t[remote failure] (remote failed to report status)\n",
            "!\tHEAD:refs/heads/x\t[rejected] (stale info)\n",
            "!\tHEAD:refs/heads/x\t[remote rejected] ()\n",
        ] {
            for stderr in [
                "",
                "fatal: the remote end hung up unexpectedly",
                "error: RPC failed; HTTP 500 curl 22 The requested URL returned error: 500",
                "remote: Internal Server Error\nfatal: unable to access 'https://x/': The requested URL returned error: 500",
                "error: git-http-push failed",
                "fatal: unable to access 'https://x/': Could not resolve host: x",
                "fatal: protocol error: bad line length character: <htm",
                // Git does not quote a proxy's web page, so the output has no message of the forge.
                FORBIDDEN,
                "remote: You have exceeded a secondary rate limit.\nfatal: unable to access 'https://x/': The requested URL returned error: 403",
                // A message with another status is no refusal.
                "remote: Permission to acme/app.git denied to bot.",
            ] {
                check(stdout, stderr, None);
            }
        }
        check(&rejected("cannot lock ref 'refs/heads/x'"), "", None);
        check(&rejected("failure"), "remote: fatal error in commit_refs", None);
        check(&rejected("failure"), "remote: Resolving deltas: 100% (1/1)", None);
        check(&rejected("failure of the office"), "", Some("push_rejected"));
        check(&rejected("unpacker error"), "error: remote unpack failed: index-pack abnormal exit", None);
        check(&rejected("unpacker error"), "remote: fatal: write error: No space left on device", None);
        let content =
            "remote: error: object 8f1c: hasDotgit: contains '.git'\nremote: fatal: fsck error in packed object";
        check(&rejected("unpacker error"), content, Some("push_rejected"));
    }

    #[test]
    fn branch_above_or_below_ours_is_named() {
        let conflict = |other: &str| {
            format!("cannot lock ref 'refs/heads/x': 'refs/heads/{other}' exists; cannot create 'refs/heads/a/b'")
        };
        let refusal = |stdout: &str, stderr: &str| {
            let error = GitError::Failed { command: "push".into(), stdout: stdout.into(), stderr: stderr.into() };
            parse_refusal((ForgeKind::GitHub, "GitHub"), (&RepositoryName::new("acme/app").unwrap(), "a/b"), &error)
        };
        for other in ["a", "a/b/c"] {
            let taken = Some(Failure::BranchTaken { branch: other.into() });
            assert_eq!(refusal(&rejected(&conflict(other)), ""), taken);
            let stderr = format!("remote: error: {}", conflict(other));
            assert_eq!(refusal(&rejected("failed to update ref"), &stderr), taken);
        }
        for other in ["b", "a/bc", "main"] {
            assert_eq!(refusal(&rejected(&conflict(other)), ""), None, "{other}");
        }
    }

    #[test]
    fn forge_messages_are_quoted_with_the_file_first() {
        let declined = rejected("pre-receive hook declined");
        check_reason(
            &declined,
            "remote: Resolving deltas: 100% (1/1)\nremote: error: Trace: 4f1b\nremote: error: See https://gh.io/lfs for more.\n\
             remote: error: File data/big.bin is 120.00 MB; this exceeds the limit of 100.00 MB\n\
             remote: error: GH001: Large files detected.\nremote: =====\nerror: failed to push some refs to 'https://x'",
            "GitHub rejected the push: File data/big.bin is 120.00 MB; this exceeds the limit of 100.00 MB; \
             See https://gh.io/lfs for more. GH001: Large files detected.",
        );
        check_reason(
            &declined,
            "remote: \nremote: The office is closed.\nremote: Come back.\nerror: failed to push some refs to 'https://x'",
            "GitHub rejected the push: The office is closed. Come back.",
        );
        check_reason(
            "",
            &format!("remote: This repository was archived so it is read-only.\n{FORBIDDEN}"),
            "GitHub rejected the push: This repository was archived so it is read-only.",
        );
        check_reason(&rejected("the office is closed"), "", "GitHub rejected the push: the office is closed.");
        let bad_login = "fatal: Authentication failed for 'https://x/'";
        check_reason("", bad_login, "GitHub rejected the push: Authentication failed for 'https://x/'.");
    }

    #[test]
    fn branch_rule_is_quoted() {
        let rejection = "!\tHEAD:refs/heads/x\t[remote rejected] (push declined due to repository rule violations)";
        let heading = "remote: error: GH013: Repository rule violations found for refs/heads/x.        \n\
             remote: Review all repository rules at https://github.com/acme/app/rules?ref=refs%2Fheads%2Fx\nremote: \n";
        check_reason(
            rejection,
            &format!("{heading}remote: - Commits must have verified signatures.\nremote:   Found 1 violation:\n"),
            "`x` is protected against this account: \"Commits must have verified signatures\".",
        );
        check_reason(
            "!\tHEAD:refs/heads/x\t[remote rejected] (protected branch hook declined)",
            "remote: error: GH006: Protected branch update failed for refs/heads/x.\n\
             remote: error: Changes must be made through a pull request.",
            "`x` is protected against this account: \"Changes must be made through a pull request\".",
        );
        let update = "remote: Permission denied to update branch x.";
        let refusal = refusal_of(ForgeKind::Bitbucket, &rejected("pre-receive hook declined"), update).unwrap();
        let sentence = "`x` is protected against this account: \"Permission denied to update branch x\".";
        assert_eq!(refusal.sentence(), sentence);
        check_reason(
            "!\tHEAD:refs/heads/x\t[remote rejected] (protected branch hook declined)",
            "remote: This repository moved. Please use the new location:\nremote:   https://github.com/acme/new.git\n\
             remote: error: GH006: Protected branch update failed for refs/heads/x.\n\
             remote: error: Cannot force-push to this branch",
            "`x` is protected against this account: \"Cannot force-push to this branch\".",
        );
        check_reason(rejection, heading, "`x` is protected against this account.");
        check_reason(
            rejection,
            &format!(
                "{heading}remote: - GITHUB PUSH PROTECTION\nremote:     - Push cannot contain secrets\n\
                 remote:          - commit: 8728dbe67\nremote:            path: README.md:4\n"
            ),
            "GitHub rejected the push: it found a secret in README.md:4.",
        );
        check_reason(
            rejection,
            &format!("{heading}remote: - Push cannot contain secrets\n"),
            "GitHub rejected the push: it found a secret: Push cannot contain secrets.",
        );
    }

    #[test]
    fn each_refusal_pattern_matches_alone() {
        for (message, code) in [
            ("protected branch hook declined", "branch_protected"),
            ("this is a protected ref", "branch_protected"),
            ("GH006: no", "branch_protected"),
            ("GH013: no", "branch_protected"),
            ("repository rule violations found", "branch_protected"),
            ("secret detected in commit", "push_rejected"),
            ("blocked by push protection", "push_rejected"),
            ("Permission to acme/app.git denied to bot", "permission_missing"),
        ] {
            check(&rejected(message), "", Some(code));
            check(&rejected("no"), &format!("remote: {message}"), Some(code));
            check("", &format!("remote: {message}\n{FORBIDDEN}"), Some(code));
            // Only lines of the forge begin with `remote: `.
            check("", message, None);
        }
        for message in [
            "fatal: Authentication failed for 'https://x/'",
            "fatal: could not read Username for 'https://x'",
            "fatal: unable to access 'https://x/': The requested URL returned error: 401",
        ] {
            check("", message, Some("push_rejected"));
        }
        // A server error is no refusal, even with other output.
        for error in [
            "cannot lock ref",
            "failed to update ref",
            "unable to lock",
            "internal server error",
            "fatal error in commit_refs",
            "unable to migrate objects to permanent storage",
            "transaction failed to start",
        ] {
            check(&rejected(error), "", None);
            check(&rejected("no"), &format!("remote: {error}"), None);
        }
        // `workflow` counts only together with a permission, and a refusal only at the start of a line.
        check(&rejected("no"), "remote: this workflow is odd", Some("push_rejected"));
        check("the office !\tis [remote rejected] (closed)", "", None);
    }
}
