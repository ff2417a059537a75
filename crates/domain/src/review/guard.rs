//! The guards of a review, in the published order: the first refusal decides.
//! Guards are pure functions of [`ReviewFacts`], which the ledger stores with the decision.

mod agent_review;

pub use super::facts::{AgentReviewFacts, ReviewFacts, ReviewSettings, StoredResult, TicketFacts};
use super::{Permission, RequestedAction, ReviewEvent};
use crate::review::pull_request::{PullRequestState, REVISE_WINDOW, pull_request_label};
use crate::text::decision::Reason;
use crate::text::id::JobId;
use crate::text::time::Timestamp;
use crate::ticket::{LastOutcome, MAX_DEFERRED};
pub use agent_review::AGENT_REVIEW_GUARDS;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    pub reason: Reason,
    pub follow: ReviewFollowUp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReviewFollowUp {
    Record,
    /// It waits, and is part of the next revision.
    Defer {
        opens_at: Timestamp,
        /// It also waits until the project may start jobs again.
        held: bool,
    },
    Trigger,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DecisionStep {
    Decided(Decision),
    NeedsPermission,
}

pub(crate) type ReviewGuard = fn(&ReviewFacts) -> Option<Reason>;

pub const REVIEW_GUARDS: [(&str, ReviewGuard); 17] = [
    ("repeat", repeat),
    ("duplicate_review", duplicate_review),
    ("unknown_project", unknown_project),
    ("repository_not_integrated", repository_not_integrated),
    ("own_review", own_review),
    ("pull_request_closed", pull_request_closed),
    ("author_not_permitted", author_not_permitted),
    ("unknown_command", unknown_command),
    ("retrigger_disabled", retrigger_disabled),
    ("no_linked_ticket", no_linked_ticket),
    ("ticket_inactive", ticket_inactive),
    ("job_active", job_active),
    ("previous_job_not_completed", previous_job_not_completed),
    ("rate_limited", rate_limited),
    ("project_held", project_held),
    ("budget_exhausted", budget_exhausted),
    ("ticket_limit", ticket_limit),
];

pub(crate) fn review_guards(asks: &RequestedAction) -> &'static [(&'static str, ReviewGuard)] {
    match asks {
        RequestedAction::Review(_) => &AGENT_REVIEW_GUARDS,
        RequestedAction::Changes {} | RequestedAction::Revision { .. } | RequestedAction::Misspelled {} => {
            &REVIEW_GUARDS
        }
    }
}

/// `job` is the id of the job that an accepted review creates.
pub fn decide(facts: &ReviewFacts, job: JobId) -> DecisionStep {
    for (name, guard) in review_guards(&facts.asks) {
        if *name == "author_not_permitted" && facts.permission.is_none() {
            return DecisionStep::NeedsPermission;
        }
        if let Some(reason) = guard(facts) {
            return DecisionStep::Decided(decide_refusal(facts, reason));
        }
    }
    // One job covers the waiting reviews and this one.
    let is_revision = !facts.asks.is_agent_review();
    if is_revision && (is_deferred(facts) || has_deferred_reviews(facts)) {
        let reason = Reason::HeldWithOthers { pr: label_of(facts) };
        return DecisionStep::Decided(Decision {
            reason,
            follow: ReviewFollowUp::Defer { opens_at: next_revision_at(facts), held: false },
        });
    }
    DecisionStep::Decided(Decision { reason: Reason::Accepted { job }, follow: ReviewFollowUp::Trigger })
}

/// Decides the effect of a refusal: a review that may be accepted later waits, if the project's settings allow it.
fn decide_refusal(facts: &ReviewFacts, reason: Reason) -> Decision {
    let coalesce = facts.settings.as_ref().is_some_and(|settings| settings.coalesce);
    let has_room = facts.ticket.as_ref().is_some_and(|ticket| ticket.defers || ticket.deferred < MAX_DEFERRED);
    let is_revision = !facts.asks.is_agent_review();
    let may_wait = coalesce && has_room && is_revision;
    let until = |opens_at| ReviewFollowUp::Defer { opens_at, held: false };
    let (reason, follow) = match reason {
        // The review waits already. It may start sooner after a request, or if the last revision no longer counts.
        Reason::Repeat { .. } if is_deferred(facts) && facts.ticket.is_some() => {
            (reason, until(next_revision_at(facts)))
        }
        Reason::JobActive { job, .. } if may_wait => (Reason::HeldForJob { job }, until(next_revision_at(facts))),
        Reason::RateLimited { time, .. } if may_wait => (Reason::HeldUntil { ago: None, time }, until(time)),
        reason if reason.is_project_block() && may_wait => {
            (reason, ReviewFollowUp::Defer { opens_at: next_revision_at(facts), held: true })
        }
        reason => (reason, ReviewFollowUp::Record),
    };
    Decision { reason, follow }
}

/// The end of the hour since the last revision. Now for a user's request, which that limit does not apply to.
pub(super) fn next_revision_at(facts: &ReviewFacts) -> Timestamp {
    facts
        .revised
        .as_ref()
        .filter(|_| !is_request(facts))
        .map_or(facts.now, |revised| revised.at.plus(REVISE_WINDOW).max(facts.now))
}

pub(super) fn label_of(facts: &ReviewFacts) -> String {
    pull_request_label(Some(&facts.repository), facts.number)
}

pub(super) fn is_request(facts: &ReviewFacts) -> bool {
    matches!(facts.asks, RequestedAction::Revision { .. })
}

fn is_deferred(facts: &ReviewFacts) -> bool {
    matches!(facts.stored, Some(StoredResult::Deferred {}))
}

fn has_deferred_reviews(facts: &ReviewFacts) -> bool {
    facts.ticket.as_ref().is_some_and(|ticket| ticket.defers)
}

/// The review has a final answer. Checked early, because a redelivery would find its own job as `job_active`.
fn repeat(facts: &ReviewFacts) -> Option<Reason> {
    let (first, _) = facts.first.as_ref()?;
    Some(Reason::Repeat { first: first.clone() })
}

/// The review has a job, but its ledger entry has expired.
fn duplicate_review(facts: &ReviewFacts) -> Option<Reason> {
    match facts.stored.as_ref()? {
        StoredResult::Started { job } => Some(Reason::DuplicateReview { job: job.clone() }),
        StoredResult::Elsewhere {} => {
            Some(Reason::EventIgnored { event: "a review that belongs to another project".into() })
        }
        StoredResult::Deferred {} => None,
    }
}

fn unknown_project(facts: &ReviewFacts) -> Option<Reason> {
    facts.settings.is_none().then(|| Reason::UnknownProject { project: facts.project.clone() })
}

pub(super) fn repository_not_integrated(facts: &ReviewFacts) -> Option<Reason> {
    (!facts.connected)
        .then(|| Reason::RepositoryNotIntegrated { repo: facts.repository.clone(), project: facts.project.clone() })
}

fn own_review(facts: &ReviewFacts) -> Option<Reason> {
    facts.own.then_some(Reason::OwnReview {})
}

pub(super) fn pull_request_closed(facts: &ReviewFacts) -> Option<Reason> {
    (facts.state != PullRequestState::Open)
        .then(|| Reason::PullRequestClosed { pr: label_of(facts), state: facts.state.display_name().into() })
}

/// Checked before any guard that lets a review wait, so that text of strangers is neither stored nor given to an agent.
fn author_not_permitted(facts: &ReviewFacts) -> Option<Reason> {
    match facts.permission? {
        Permission::Write => None,
        Permission::Less => {
            Some(Reason::AuthorNotPermitted { author: facts.author.clone(), repo: facts.repository.clone() })
        }
        Permission::Unknown => {
            Some(Reason::PermissionUnknown { forge: facts.integration.clone(), author: facts.author.clone() })
        }
    }
}

/// After the check of the author, because strangers get no answer.
fn unknown_command(facts: &ReviewFacts) -> Option<Reason> {
    matches!(facts.asks, RequestedAction::Misspelled {}).then(|| Reason::UnknownCommand { pr: label_of(facts) })
}

pub(super) fn retrigger_disabled(facts: &ReviewFacts) -> Option<Reason> {
    let is_on = facts.settings.as_ref().is_some_and(|settings| settings.revise_on_review);
    (!is_on && !is_request(facts)).then(|| Reason::RetriggerDisabled { project: facts.project.clone() })
}

pub(super) fn no_linked_ticket(facts: &ReviewFacts) -> Option<Reason> {
    facts.ticket.is_none().then(|| Reason::NoLinkedTicket { pr: label_of(facts) })
}

pub(super) fn ticket_inactive(facts: &ReviewFacts) -> Option<Reason> {
    let ticket = facts.ticket.as_ref()?;
    ticket.closed.then(|| Reason::TicketInactive { ticket: ticket.key.clone() })
}

fn job_active(facts: &ReviewFacts) -> Option<Reason> {
    let ticket = facts.ticket.as_ref()?;
    let job = ticket.active_job.clone()?;
    Some(Reason::JobActive { ticket: ticket.key.clone(), job })
}

/// Compares the last job that an agent worked on. A pull request that a user linked has none.
pub(super) fn previous_job_not_completed(facts: &ReviewFacts) -> Option<Reason> {
    let ticket = facts.ticket.as_ref()?;
    let outcome = match ticket.last_outcome? {
        LastOutcome::Completed => return None,
        LastOutcome::Failed => "failed",
        LastOutcome::Cancelled => "cancelled",
    };
    (!is_request(facts))
        .then(|| Reason::PreviousJobNotCompleted { ticket: ticket.key.clone(), outcome: outcome.into() })
}

pub(super) fn rate_limited(facts: &ReviewFacts) -> Option<Reason> {
    let revised = facts.revised.as_ref().filter(|_| !is_request(facts))?;
    let time = revised.at.plus(REVISE_WINDOW);
    (facts.now < time).then(|| Reason::RateLimited { pr: label_of(facts), ago: None, time })
}

pub(super) fn project_held(facts: &ReviewFacts) -> Option<Reason> {
    let holder = facts.settings.as_ref()?.held_by.clone()?;
    Some(Reason::ProjectHeld { project: facts.project.clone(), who: holder })
}

pub(super) fn budget_exhausted(facts: &ReviewFacts) -> Option<Reason> {
    facts.settings.as_ref()?.budget.refusal(&facts.project, &facts.today)
}

pub(super) fn ticket_limit(facts: &ReviewFacts) -> Option<Reason> {
    facts.spending.as_ref()?.refusal()
}

impl ReviewFacts {
    /// Whether Pullyard wrote the event: always for an App's account, for a user's account only with our marker.
    pub fn is_own(event: &ReviewEvent, account: u64) -> bool {
        let is_own = event.author.id == account && (event.author.bot || event.marked);
        // Our own pull requests are reviewed, too.
        is_own && !event.asks.is_automatic_review()
    }
}

#[cfg(test)]
pub(super) mod tests;
