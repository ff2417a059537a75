//! The guards of a request for a review by an agent, in the published order. A refused request does not wait.

use super::{
    AgentReviewFacts, ReviewFacts, ReviewGuard, author_not_permitted, budget_exhausted, duplicate_review, job_active,
    label_of, own_review, project_held, pull_request_closed, repeat, repository_not_integrated, ticket_inactive,
    ticket_limit, unknown_project,
};
use crate::review::RequestedAction;
use crate::review::published::short_commit;
use crate::text::decision::Reason;

pub const AGENT_REVIEW_GUARDS: [(&str, ReviewGuard); 15] = [
    ("repeat", repeat),
    ("duplicate_review", duplicate_review),
    ("unknown_project", unknown_project),
    ("repository_not_integrated", repository_not_integrated),
    ("own_review", own_review),
    ("pull_request_closed", pull_request_closed),
    ("author_not_permitted", author_not_permitted),
    ("fork_not_supported", fork_not_supported),
    ("review_running", review_running),
    ("already_reviewed", already_reviewed),
    ("ticket_inactive", |facts| ticket_inactive(facts).filter(|_| facts.asks.is_resolve())),
    ("job_active", |facts| job_active(facts).filter(|_| facts.asks.is_resolve())),
    ("project_held", project_held),
    ("budget_exhausted", budget_exhausted),
    ("ticket_limit", ticket_limit),
];

fn fork_not_supported(facts: &ReviewFacts) -> Option<Reason> {
    facts.agent_review.as_ref()?.from_fork.then(|| Reason::ForkNotSupported { pr: label_of(facts) })
}

fn review_running(facts: &ReviewFacts) -> Option<Reason> {
    let job = facts.agent_review.as_ref()?.active_job.clone()?;
    Some(Reason::ReviewRunning { pr: label_of(facts), job })
}

/// A message asks something new, so it is a reason to read the same commit again.
fn already_reviewed(facts: &ReviewFacts) -> Option<Reason> {
    let RequestedAction::Review(request) = &facts.asks else { return None };
    let AgentReviewFacts { head, last, .. } = facts.agent_review.as_ref()?;
    let (job, reviewed) = last.as_ref()?;
    // Bitbucket sends only a prefix of the commit id.
    let is_same = !head.is_empty() && reviewed.starts_with(head.as_str());
    let is_repeated = is_same && !request.full && request.message.is_none() && !facts.asks.is_resolve();
    is_repeated.then(|| Reason::AlreadyReviewed {
        pr: label_of(facts),
        commit: short_commit(head).to_owned(),
        job: job.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::{accepted_facts, exhaust_budget};
    use super::*;
    use crate::fixtures::{job_id, spent_fact};
    use crate::review::guard::{Decision, DecisionStep, ReviewFollowUp, StoredResult, TicketFacts, decide};
    use crate::review::pull_request::PullRequestState;
    use crate::review::{Permission, ReviewRequest};

    fn requested(request: ReviewRequest) -> ReviewFacts {
        ReviewFacts {
            asks: RequestedAction::Review(request),
            ticket: None,
            agent_review: Some(AgentReviewFacts {
                from_fork: false,
                head: "a".repeat(40),
                active_job: None,
                last: None,
            }),
            ..accepted_facts()
        }
    }

    fn code(facts: &ReviewFacts) -> &'static str {
        match decide(facts, job_id("new")) {
            DecisionStep::Decided(Decision { reason, follow }) => {
                let expected =
                    if reason.code() == "accepted" { ReviewFollowUp::Trigger } else { ReviewFollowUp::Record };
                assert_eq!(follow, expected, "{}", reason.code());
                reason.code()
            }
            DecisionStep::NeedsPermission => "needs_permission",
        }
    }

    #[test]
    fn request_needs_no_ticket_and_no_setting() {
        let mut facts = requested(ReviewRequest::default());
        facts.settings.as_mut().unwrap().revise_on_review = false;
        assert_eq!(code(&facts), "accepted");
    }

    #[test]
    fn ticket_matters_only_to_a_request_to_resolve() {
        let busy = |resolve: bool| {
            let facts = requested(ReviewRequest { resolve, ..ReviewRequest::default() });
            let ticket = accepted_facts().ticket.unwrap();
            let ticket = TicketFacts { active_job: Some(job_id("j4")), closed: false, ..ticket };
            code(&ReviewFacts { ticket: Some(ticket), ..facts })
        };
        assert_eq!([false, true].map(busy), ["accepted", "job_active"]);
    }

    #[test]
    fn first_guard_that_applies_decides() {
        type Change = fn(&mut ReviewFacts);
        fn known(facts: &mut ReviewFacts) -> &mut AgentReviewFacts {
            facts.agent_review.as_mut().unwrap()
        }
        let changes: [(&str, Change); 15] = [
            ("repeat", |facts| facts.first = Some(("accepted".into(), None))),
            ("duplicate_review", |facts| facts.stored = Some(StoredResult::Started { job: job_id("j1") })),
            ("unknown_project", |facts| facts.settings = None),
            ("repository_not_integrated", |facts| facts.connected = false),
            ("own_review", |facts| facts.own = true),
            ("pull_request_closed", |facts| facts.state = PullRequestState::Closed),
            ("author_not_permitted", |facts| facts.permission = Some(Permission::Less)),
            ("fork_not_supported", |facts| known(facts).from_fork = true),
            ("review_running", |facts| known(facts).active_job = Some(job_id("j2"))),
            ("already_reviewed", |facts| known(facts).last = Some((job_id("j3"), "a".repeat(40)))),
            ("ticket_inactive", |facts| {
                facts.ticket.get_or_insert_with(|| accepted_facts().ticket.unwrap()).closed = true
            }),
            ("job_active", |facts| {
                let ticket = facts.ticket.get_or_insert_with(|| accepted_facts().ticket.unwrap());
                ticket.active_job = Some(job_id("j4"));
            }),
            ("project_held", |facts| facts.settings.as_mut().unwrap().held_by = Some("bo".into())),
            ("budget_exhausted", |facts| exhaust_budget(facts)),
            ("ticket_limit", |facts| facts.spending = Some(spent_fact())),
        ];
        assert_eq!(AGENT_REVIEW_GUARDS.map(|(name, _)| name), changes.map(|(name, _)| name));
        // From here on, only for a request that changes the pull request.
        let resolves = changes.iter().position(|(name, _)| *name == "ticket_inactive").unwrap();
        for (n, (name, _)) in changes.iter().enumerate() {
            let mut facts = requested(ReviewRequest { resolve: n >= resolves, ..ReviewRequest::default() });
            for (_, change) in changes.iter().skip(n).filter(|(name, _)| *name != "unknown_project" || n == 2) {
                if facts.settings.is_some() {
                    change(&mut facts);
                }
            }
            assert_eq!(code(&facts), *name);
        }
    }

    #[test]
    fn reviewed_commit_is_reviewed_again_only_on_demand() {
        let reviewed = |request: ReviewRequest, head: &str| {
            let mut facts = requested(request);
            facts.agent_review.as_mut().unwrap().last = Some((job_id("j3"), head.to_owned()));
            code(&facts)
        };
        let head = "a".repeat(40);
        assert_eq!(reviewed(ReviewRequest::default(), &head), "already_reviewed");
        assert_eq!(reviewed(ReviewRequest { full: true, ..ReviewRequest::default() }, &head), "accepted");
        assert_eq!(
            reviewed(ReviewRequest { message: Some("x".into()), ..ReviewRequest::default() }, &head),
            "accepted"
        );
        assert_eq!(reviewed(ReviewRequest { resolve: true, ..ReviewRequest::default() }, &head), "accepted");
        assert_eq!(reviewed(ReviewRequest::default(), &"b".repeat(40)), "accepted");
        let mut facts = requested(ReviewRequest::default());
        let known = facts.agent_review.as_mut().unwrap();
        (known.head, known.last) = ("a".repeat(12), Some((job_id("j3"), head)));
        assert_eq!(code(&facts), "already_reviewed", "a prefix");
    }
}
