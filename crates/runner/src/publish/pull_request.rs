//! Finds the pull request of a pushed branch: the continued one, else the open one, else a new one.
//! Each try looks for the open one first, so that a creation without a readable answer is not repeated.

use crate::api::calls::Calls;
use crate::api::forge_wait::{ForgeFault, Outage};
use crate::git::target::Target;
use crate::secrets::redact::Redactor;
use pullyard_domain::project::forge::ForgeKind;
use pullyard_domain::review::published::work_notes::WorkNotes;
use pullyard_domain::review::published::{self, CheckResults, NewestCommit, WorkFacts, commit_part};
use pullyard_domain::text::failure::Failure;
use pullyard_domain::text::untrusted;
use pullyard_forge::{Forge, NewPullRequest};
use pullyard_protocol::attempt::{Assignment, FinishPullRequest};
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// Time limit of one try.
const TIME_LIMIT: Duration = Duration::from_secs(60);
/// How long a forge may not see a branch after its push.
const VISIBLE_AFTER: Duration = Duration::from_secs(60);

pub(crate) struct PullRequestFacts<'a> {
    pub(crate) commit: &'a str,
    /// The isolation of the agent, if it worked on this machine.
    pub(crate) isolation: Option<String>,
    pub(crate) agent: Option<&'a str>,
    /// `None` after several attempts, because the costs of earlier ones are unknown here.
    /// Units: millionths of a US dollar.
    pub(crate) cost_usd_micros: Option<u64>,
    pub(crate) summary: Option<&'a str>,
    pub(crate) checks: CheckResults<'a>,
    /// The commit was replayed on top of other users' commits after the checks ran.
    pub(crate) is_rebased: bool,
    pub(crate) notes: Option<&'a WorkNotes>,
    pub(crate) redactor: &'a Redactor,
}

/// A pull request to find or to open, for a branch that was pushed at `pushed_at`.
pub(crate) struct Opening<'a> {
    pub(crate) target: &'a Target,
    pub(crate) assignment: &'a Assignment,
    pub(crate) facts: &'a PullRequestFacts<'a>,
    pub(crate) pushed_at: Instant,
}

impl Opening<'_> {
    /// Finds or opens the pull request, once.
    /// Idempotent: by the head branch.
    /// Errors: `PullRequestRefused`, `DraftRefused`, `PermissionMissing`; `Away` if the forge decided nothing.
    pub(crate) async fn try_once(&self, attempt: &Calls<'_>, forge: &Forge) -> Result<FinishPullRequest, ForgeFault> {
        let Self { target, assignment, facts, .. } = *self;
        if let Some(pull) = &target.pull_request {
            return Ok(FinishPullRequest { number: pull.number, url: pull.url.clone() });
        }
        let mut new_pull_request = NewPullRequest {
            title: facts.redactor.redact_text(&assignment.pull_request.title).into_owned(),
            body: render_body(assignment.repository.forge, &assignment.pull_request.body, facts),
            head: target.branch.clone(),
            base: assignment.base.clone(),
            draft: facts.checks.has_failure() || assignment.pull_request.draft,
        };
        let repository = assignment.repository.name.as_str();
        let open = async |pull: &NewPullRequest| {
            timeout(TIME_LIMIT, forge.find_or_create_pull_request(repository, pull)).await
        };
        let mut opened = open(&new_pull_request).await;
        if let Ok(Err(error)) = &opened
            && !facts.checks.has_failure()
            && new_pull_request.draft
            && error.refuses_draft()
        {
            // A plan wants the draft, and its work is complete.
            new_pull_request.draft = false;
            opened = open(&new_pull_request).await;
            if matches!(&opened, Ok(Ok(_))) {
                attempt.events.log("The forge has no drafts in this repository, so the pull request is open.");
            }
        }
        match opened {
            Ok(Ok(pull)) => Ok(FinishPullRequest { number: pull.number, url: pull.url }),
            Ok(Err(error)) => Err(self.to_fault(&error, facts.checks.has_failure())),
            Err(_) => Err(ForgeFault::Away(Outage::from("it did not answer in time".to_owned()))),
        }
    }

    fn to_fault(&self, error: &pullyard_forge::Error, is_draft: bool) -> ForgeFault {
        use pullyard_forge::Error;
        let repository = &self.assignment.repository;
        let forge = repository.forge_name();
        let refused = |reason: String| Failure::PullRequestRefused { forge: forge.clone(), reason: reason.into() };
        let away = |retry_after| ForgeFault::Away(Outage { reason: format!("failed to {error}"), retry_after });
        match error {
            Error::Forbidden { .. } => {
                let (repo, what) = (repository.name.clone(), "open pull requests".into());
                Failure::PermissionMissing { forge, repo, what }.into()
            }
            Error::Refused { reason } if is_draft && error.refuses_draft() => {
                Failure::DraftRefused { forge, reason: reason.clone().into() }.into()
            }
            Error::Refused { reason } => refused(reason.clone()).into(),
            // The answer is the same if the branch does not exist.
            Error::NotVisibleYet { reason } if self.pushed_at.elapsed() >= VISIBLE_AFTER => {
                refused(reason.clone()).into()
            }
            Error::Settings { .. } | Error::Denied { .. } | Error::NotFound { .. } | Error::Unsupported { .. } => {
                refused(format!("failed to {error}")).into()
            }
            // A status of a refusal that the forge's client does not know.
            Error::Unexpected { status: 400..=499, .. } if !error.is_transient() => {
                refused(format!("failed to {error}")).into()
            }
            error => away(error.retry_after().unwrap_or(Duration::ZERO)),
        }
    }
}

fn render_body(kind: ForgeKind, links: &str, facts: &PullRequestFacts<'_>) -> String {
    let clean = |text: &str| facts.redactor.redact_text(text).into_owned();
    let summary = facts.clean_summary();
    // Redact again, because lines were joined. Redact the part about the commit before its hash is computed.
    let opening = clean(&published::render_new_text(summary.as_deref(), &clean(links)));
    let agent = facts.clean_agent();
    let part = append_notes(&published::render_work(kind, &facts.work_facts(agent.as_deref())), facts.notes);
    format!("{opening}\n{}", commit_part::render_part(kind, facts.commit, &clean(&part)))
}

pub(crate) fn render_newest_part(kind: ForgeKind, facts: &PullRequestFacts<'_>) -> String {
    let (agent, summary) = (facts.clean_agent(), facts.clean_summary());
    let work = facts.work_facts(agent.as_deref());
    let newest = NewestCommit { commit: facts.commit, summary: summary.as_deref(), facts: work };
    facts.redactor.redact_text(&append_notes(&published::render_newest(kind, &newest), facts.notes)).into_owned()
}

impl PullRequestFacts<'_> {
    fn clean_agent(&self) -> Option<String> {
        self.agent.map(|text| self.clean(text))
    }

    fn clean_summary(&self) -> Option<String> {
        self.summary.map(|text| self.clean(text))
    }

    /// Redacts after invisible characters are removed, and before text is cut.
    fn clean(&self, text: &str) -> String {
        self.redactor.redact_text(&untrusted::remove_hidden(text)).into_owned()
    }

    fn work_facts<'a>(&'a self, agent: Option<&'a str>) -> WorkFacts<'a> {
        let &Self { cost_usd_micros, checks, is_rebased, .. } = self;
        WorkFacts { agent, isolation: self.isolation.as_deref(), cost_usd_micros, checks, is_rebased }
    }
}

fn append_notes(text: &str, notes: Option<&WorkNotes>) -> String {
    let parts = [text.to_owned(), notes.map(WorkNotes::render_sections).unwrap_or_default()];
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use pullyard_domain::agent::checks::{CheckOutcome, CheckRun};

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
            cost_usd_micros: None,
            summary: Some(&summary),
            checks: CheckResults::Completed(std::slice::from_ref(&run)),
            is_rebased: false,
            notes: None,
            redactor: &redactor,
        };
        let (body, newest) =
            (render_body(ForgeKind::GitHub, "Job J.\n", &facts), render_newest_part(ForgeKind::GitHub, &facts));
        for text in [&body, &newest] {
            assert!(text.contains("It is [redacted]. xxx") && text.contains("`check [redacted]` passed"), "{text}");
            assert!(!text.contains("the-sec"), "{text}");
        }
        assert!(newest.contains("| Agent | codex, model: `[redacted]` |"), "{newest}");
        // Redaction does not count as a user's edit.
        let next = commit_part::replace_part(&body, "another", &newest).unwrap();
        assert!(commit_part::replace_part(&next, "a third", "").is_ok(), "{next}");
    }
}
