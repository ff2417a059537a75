//! Recognizes why a forge refused a push, by its messages.

use crate::git::GitError;
use pullyard_domain::failure::Failure;
use pullyard_domain::id::RepositoryName;
use pullyard_domain::text::Quoted;

/// Parses the refusal of a push to a branch; `None` if the push failed otherwise and may be tried again.
pub(super) fn parse_refusal(
    forge: &str,
    (repository, branch): (&RepositoryName, &str),
    error: &GitError,
) -> Option<Failure> {
    let rejected = |reason: &str| Failure::PushRejected { forge: forge.into(), reason: reason.into() };
    let GitError::Failed { stdout, stderr, .. } = error else {
        return None;
    };
    // Git prints `! <from>:<to> [remote rejected] (reason)` for the branch, along with messages of the forge.
    let line = stdout.lines().find(|line| line.starts_with('!'));
    let output = format!("{stderr}\n{stdout}").to_lowercase();
    let mentions = |phrases: &[&str]| phrases.iter().any(|phrase| output.contains(phrase));
    if output.contains("workflow") && mentions(&["refusing to allow", "workflows` permission", "workflow` scope"]) {
        return Some(Failure::WorkflowPermission {});
    }
    // The ref was locked or has moved during the push, so the result is undecided.
    if mentions(&["cannot lock ref", "failed to update ref", "unable to lock", "internal server error"]) {
        return None;
    }
    if mentions(&["push cannot contain secrets", "secret detected", "push protection"]) {
        return Some(rejected(&describe_secret(stderr)));
    }
    let protected = [
        "protected branch",
        "protected ref",
        "gh006",
        "gh013",
        "rule violations",
        "permission denied to update branch",
    ];
    if mentions(&protected) {
        let (branch, reason) = (branch.into(), Quoted(parse_broken_rule(stderr).map(str::to_owned)));
        return Some(Failure::BranchProtected { branch, reason });
    }
    // GitHub sends the first for a user's token and the second for an App's. Bitbucket sends the third.
    if output.contains("permission to ") && output.contains(" denied to ")
        || mentions(&["write access to repository not granted", "lack one or more required privilege scopes"])
    {
        let (forge, repo) = (forge.into(), repository.clone());
        return Some(Failure::PermissionMissing { forge, repo, what: "push".into() });
    }
    if mentions(&["error: 403", "error: 401", "authentication failed", "could not read username"]) {
        return Some(rejected(&error.reason()));
    }
    let line = line?;
    let reason = line.rsplit_once('(').map_or(line, |(_, reason)| reason.trim_end_matches(')'));
    // The hook's own message is more specific. Messages of Bitbucket have no `error:` prefix.
    let error = forge_lines(stderr).find_map(|line| line.strip_prefix("error: ")).map(str::trim_start);
    let message = error.or_else(|| forge_lines(stderr).next()).filter(|_| reason.contains("hook declined"));
    Some(rejected(message.unwrap_or(reason)))
}

fn forge_lines(output: &str) -> impl Iterator<Item = &str> {
    let lines = output.lines().filter_map(|line| line.trim().strip_prefix("remote:"));
    lines.map(str::trim).filter(|line| !line.is_empty())
}

/// The rule that a push broke, in the forge's own text. GitHub lists rules below a heading or sends each as an error.
/// Unrelated messages may precede them, such as a new name of the repository. Bitbucket sends one line.
fn parse_broken_rule(output: &str) -> Option<&str> {
    let is_heading =
        |line: &str| ["GH006", "GH013", "Review all repository rules"].iter().any(|say| line.contains(say));
    let rules: Vec<&str> = forge_lines(output).filter(|line| !is_heading(line)).collect();
    let find_rule = |with: &str| rules.iter().find_map(|line| line.strip_prefix(with));
    find_rule("- ").or_else(|| find_rule("error: ")).or(rules.first().copied()).map(str::trim)
}

/// The path of the secret that the forge found, or the forge's message.
fn describe_secret(output: &str) -> String {
    if let Some(path) = forge_lines(output).find_map(|line| line.strip_prefix("path: ")) {
        return format!("it found a secret in {path}");
    }
    let message = forge_lines(output).find(|line| line.to_lowercase().contains("secret"));
    match message.map(|line| line.trim_start_matches("- ").trim_start_matches("error: ")) {
        Some(line) => format!("it found a secret: {line}"),
        None => "it found a secret in the change".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(stdout: &str, stderr: &str) -> Option<Failure> {
        let repository = RepositoryName::new("acme/app").unwrap();
        let error = GitError::Failed { command: "push".into(), stdout: stdout.into(), stderr: stderr.into() };
        parse_refusal("GitHub", (&repository, "x"), &error)
    }

    #[track_caller]
    fn check(stdout: &str, stderr: &str, code: Option<&str>) {
        assert_eq!(refusal(stdout, stderr).map(|failure| failure.code()), code, "{stdout} {stderr}");
    }

    #[track_caller]
    fn check_reason(stdout: &str, stderr: &str, sentence: &str) {
        assert_eq!(refusal(stdout, stderr).map(|failure| failure.sentence()).as_deref(), Some(sentence));
    }

    #[test]
    fn push_refusals_become_failure_codes() {
        check(
            "!\tHEAD:refs/heads/x\t[remote rejected] (refusing to allow a Personal Access Token to create or update workflow `.github/workflows/ci.yml` without `workflow` scope)\n",
            "",
            Some("workflow_permission"),
        );
        check("!\tHEAD:refs/heads/x\t[remote rejected] (pre-receive hook declined)", "", Some("push_rejected"));
        check("", "fatal: unable to access 'https://x/': The requested URL returned error: 403", Some("push_rejected"));
        check(
            "!\tHEAD:refs/heads/x\t[remote rejected] (refusing to allow a GitHub App to create or update workflow `.github/workflows/ci.yml` without `workflows` permission)\n",
            "",
            Some("workflow_permission"),
        );
        let denied = "remote: Permission to acme/app.git denied to bot.\nfatal: unable to access 'https://x/': The requested URL returned error: 403";
        check("", denied, Some("permission_missing"));
        let not_granted = "remote: Write access to repository not granted.\nfatal: unable to access 'https://x/': The requested URL returned error: 403";
        check("", not_granted, Some("permission_missing"));
        let no_scope = "remote: Your credentials lack one or more required privilege scopes.\nfatal: unable to access 'https://x/': The requested URL returned error: 403";
        check("", no_scope, Some("permission_missing"));
        check("!\tHEAD:refs/heads/x\t[remote rejected] (cannot lock ref 'refs/heads/x')", "", None);
        check("", "fatal: unable to access 'https://x/': Could not resolve host: x", None);
    }

    #[test]
    fn hook_message_is_quoted() {
        check_reason(
            "!\tHEAD:refs/heads/x\t[remote rejected] (pre-receive hook declined)",
            "remote: error: GH001: Large files detected.\nerror: failed to push some refs to 'https://x'",
            "GitHub rejected the push: GH001: Large files detected.",
        );
        check_reason(
            "!\tHEAD:refs/heads/x\t[remote rejected] (pre-receive hook declined)",
            "remote: \nremote: The office is closed.\nremote: Come back.\nerror: failed to push some refs to 'https://x'",
            "GitHub rejected the push: The office is closed.",
        );
        check_reason(
            "!\tHEAD:refs/heads/x\t[remote rejected] (the office is closed)",
            "",
            "GitHub rejected the push: the office is closed.",
        );
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
        check_reason(
            "!\tHEAD:refs/heads/x\t[remote rejected] (pre-receive hook declined)",
            "remote: Permission denied to update branch x.",
            "`x` is protected against this account: \"Permission denied to update branch x\".",
        );
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
        let rejected = |reason: &str| format!("!\tHEAD:refs/heads/x\t[remote rejected] ({reason})\n");
        for (message, code) in [
            ("protected branch hook declined", "branch_protected"),
            ("this is a protected ref", "branch_protected"),
            ("GH006: no", "branch_protected"),
            ("GH013: no", "branch_protected"),
            ("repository rule violations found", "branch_protected"),
            ("secret detected in commit", "push_rejected"),
            ("blocked by push protection", "push_rejected"),
            ("fatal: Authentication failed for 'https://x/'", "push_rejected"),
            ("fatal: could not read Username for 'https://x'", "push_rejected"),
            ("The requested URL returned error: 401", "push_rejected"),
            ("Permission to acme/app.git denied to bot", "permission_missing"),
        ] {
            check("", message, Some(code));
            check(&rejected(message), "", Some(code));
        }
        // A server error is no refusal, even with other output.
        for error in ["cannot lock ref", "failed to update ref", "unable to lock", "Internal Server Error"] {
            check(&rejected(error), "", None);
            check(&rejected("no"), &format!("remote: {error}"), None);
        }
        // `workflow` counts only together with a permission, and a refusal only at the start of a line.
        check(&rejected("no"), "remote: this workflow is odd", Some("push_rejected"));
        check("the office !\tis closed", "", None);
    }
}
