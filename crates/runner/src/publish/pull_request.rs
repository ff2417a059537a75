//! Finds the pull request of a pushed branch: the continued one, else the open one, else a new one.

use crate::Isolation;
use crate::api::retry::{retry_pause, retry_with_pause};
use crate::git::target::Target;
use crate::secrets::redact::Redactor;
use crate::stop::Stop;
use pullyard_domain::failure::Failure;
use pullyard_domain::project::ForgeKind;
use pullyard_domain::prompt::untrusted;
use pullyard_domain::published::nested_repository::{NestedRepository, render_section};
use pullyard_domain::published::{self, CheckResults, NewestCommit, commit_part};
use pullyard_forge::{Forge, NewPullRequest};
use pullyard_protocol::attempt::{Assignment, FinishPullRequest};
use std::time::Duration;
use tokio::time::timeout;

const TIME_LIMIT: Duration = Duration::from_secs(120);

/// Limit for an unreachable forge and for pauses that it demands. GitHub's usual pause is a minute.
const MAX_OUTAGE: Duration = Duration::from_secs(90);

pub(crate) struct PullRequestFacts<'a> {
    pub(crate) commit: &'a str,
    /// The isolation of the agent, if it worked on this machine.
    pub(crate) isolation: Option<Isolation>,
    pub(crate) agent: Option<&'a str>,
    pub(crate) summary: Option<&'a str>,
    pub(crate) checks: CheckResults<'a>,
    /// The commit was replayed on top of other users' commits after the checks ran.
    pub(crate) is_rebased: bool,
    pub(crate) excluded_folders: &'a [NestedRepository],
    pub(crate) redactor: &'a Redactor,
}

/// Finds or opens the pull request of a branch that is already pushed.
/// Idempotent: by the head branch.
/// Errors: `PullRequestRefused`, `DraftRefused`, `PermissionMissing`.
pub(crate) async fn find_or_open(
    forge: &Forge,
    target: &Target,
    assignment: &Assignment,
    facts: &PullRequestFacts<'_>,
) -> Result<FinishPullRequest, Stop> {
    if let Some(pull) = &target.pull_request {
        return Ok(FinishPullRequest { number: pull.number, url: pull.url.clone() });
    }
    let new_pull_request = NewPullRequest {
        title: facts.redactor.redact_text(&assignment.pull_request.title).into_owned(),
        body: render_body(
            assignment.repository.forge,
            &assignment.pull_request.body,
            &assignment.agent.capability,
            facts,
        ),
        head: target.branch.clone(),
        base: assignment.base.clone(),
        draft: facts.checks.has_failure(),
    };
    let repository = assignment.repository.name.as_str();
    // The work is pushed, so a short outage of the forge must not fail the job.
    let open = async || forge.find_or_create_pull_request(repository, &new_pull_request).await;
    let reason = match timeout(TIME_LIMIT, retry_with_pause(MAX_OUTAGE, retry_pause, open)).await {
        Ok(Ok(pull)) => {
            return Ok(FinishPullRequest { number: pull.number, url: pull.url });
        }
        Ok(Err(pullyard_forge::Error::Forbidden { .. })) => {
            let (forge, repo) = (assignment.repository.forge_name(), assignment.repository.name.clone());
            return Err(Failure::PermissionMissing { forge, repo, what: "open pull requests".into() }.into());
        }
        // Some repositories cannot have drafts, such as a private one of a free plan.
        Ok(Err(pullyard_forge::Error::Refused { reason })) if new_pull_request.draft && is_draft_refusal(&reason) => {
            let forge = assignment.repository.forge_name();
            return Err(Failure::DraftRefused { forge, reason }.into());
        }
        Ok(Err(pullyard_forge::Error::Refused { reason })) => reason,
        Ok(Err(error)) => format!("failed to {error}"),
        Err(_) => "it did not answer in time".into(),
    };
    let forge = assignment.repository.forge_name();
    Err(Failure::PullRequestRefused { forge, reason }.into())
}

/// Whether the refusal is about drafts, and not about a branch of that name.
fn is_draft_refusal(reason: &str) -> bool {
    let reason = reason.to_lowercase();
    reason.contains("draft pull request") || reason.split("; ").any(|part| part.starts_with("draft "))
}

fn render_body(kind: ForgeKind, beginning: &str, requested: &str, facts: &PullRequestFacts<'_>) -> String {
    let clean = |text: &str| facts.redactor.redact_text(text).into_owned();
    // Redact after invisible characters are removed and before text is cut.
    let summary = facts.summary.map(|text| clean(&untrusted::remove_hidden(text)));
    let beginning = clean(beginning);
    let beginning = match facts.isolation {
        Some(isolation) => published::insert_isolation(&beginning, isolation.as_str()),
        None => beginning,
    };
    let beginning = match facts.agent {
        Some(agent) => published::insert_agent(&beginning, requested, agent),
        None => beginning,
    };
    // Redact again, because lines were joined. Redact the part about the commit before its hash is computed.
    let opening = clean(&published::render_new_text(&beginning, summary.as_deref()));
    let checks_section = append_exclusions(&published::render_checks(facts.checks), facts.excluded_folders);
    format!("{opening}\n{}", commit_part::render_part(kind, facts.commit, &clean(&checks_section)))
}

pub(crate) fn render_newest_part(facts: &PullRequestFacts<'_>) -> String {
    let clean = |text: &str| facts.redactor.redact_text(text).into_owned();
    let [agent, summary] =
        [facts.agent, facts.summary].map(|text| text.map(|text| clean(&untrusted::remove_hidden(text))));
    let PullRequestFacts { commit, checks, is_rebased, .. } = *facts;
    let newest = NewestCommit { commit, agent: agent.as_deref(), summary: summary.as_deref(), checks, is_rebased };
    clean(&append_exclusions(&published::render_newest(&newest), facts.excluded_folders))
}

fn append_exclusions(text: &str, folders: &[NestedRepository]) -> String {
    let parts = [text, &render_section(folders)].map(str::to_owned);
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use pullyard_domain::checks::{CheckOutcome, CheckRun};

    #[test]
    fn secret_with_invisible_characters_is_redacted() {
        let redactor = Redactor::new(["the-secret-of-all".to_owned()]);
        let run = CheckRun {
            command: "check the-secret\u{2060}-of-all".into(),
            round: 0,
            outcome: CheckOutcome::Passed,
            exit_code: Some(0),
            signal: None,
            took_ms: 1_000,
            truncated: false,
            artifact: None,
        };
        // The length limit would cut the second occurrence.
        let summary = format!("It is the-sec\u{200b}ret-of-all. {}the-secret-of-\u{feff}all", "x".repeat(3_960));
        let facts = PullRequestFacts {
            commit: "0123456789abcdef",
            isolation: None,
            agent: Some("codex, model: `the-\u{2060}secret-of-all`"),
            summary: Some(&summary),
            checks: CheckResults::Completed(std::slice::from_ref(&run)),
            is_rebased: false,
            excluded_folders: &[],
            redactor: &redactor,
        };
        let (body, newest) =
            (render_body(ForgeKind::GitHub, "Ticket: APP-1\n", "auto", &facts), render_newest_part(&facts));
        for text in [&body, &newest] {
            assert!(text.contains("It is [redacted]. xxx") && text.contains("`check [redacted]` passed"), "{text}");
            assert!(!text.contains("the-sec"), "{text}");
        }
        assert!(newest.contains("Commit 0123456789 (agent: codex, model: `[redacted]`)."), "{newest}");
        // Redaction does not count as a user's edit.
        let next = commit_part::replace_part(&body, "another", &newest).unwrap();
        assert!(commit_part::replace_part(&next, "a third", "").is_ok(), "{next}");
    }

    #[test]
    fn draft_refusal_is_recognized_by_its_message() {
        for reason in [
            "Draft pull requests are not supported in this repository",
            "validation failed: no draft pull request can be opened here",
            "bad request; Draft is no field of this repository",
        ] {
            assert!(is_draft_refusal(reason), "{reason}");
        }
        for reason in [
            "no commits between main and draft",
            "validation failed; base: draft is no branch",
            "drafts of ours are locked",
            "",
        ] {
            assert!(!is_draft_refusal(reason), "{reason}");
        }
    }
}
