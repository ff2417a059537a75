use super::*;
use crate::fixtures::{job_id, key, linked_pull_request, project_id, repository, spent_fact, time_at};
use crate::project::budget::{Budget, DailyUsage, Day};
use crate::review::Author;
use crate::review::pull_request::LastRevision;
use std::time::Duration;

pub(in crate::review) fn accepted_facts() -> ReviewFacts {
    ReviewFacts {
        now: time_at(10_000),
        asks: RequestedAction::Changes {},
        author: "ann".into(),
        own: false,
        first: None,
        stored: None,
        project: project_id(),
        settings: Some(ReviewSettings {
            revise_on_review: true,
            coalesce: true,
            held_by: None,
            budget: Budget::default(),
        }),
        integration: linked_pull_request().id.integration,
        repository: repository().name,
        connected: true,
        number: 231,
        state: PullRequestState::Open,
        permission: Some(Permission::Write),
        ticket: Some(TicketFacts {
            key: key(),
            closed: false,
            active_job: None,
            last_outcome: Some(LastOutcome::Completed),
            defers: false,
            deferred: 0,
        }),
        revised: None,
        today: DailyUsage::zero(Day::containing(time_at(10_000))),
        spending: None,
        agent_review: None,
    }
}

pub(in crate::review) fn exhaust_budget(facts: &mut ReviewFacts) {
    change_settings(facts, |settings| settings.budget.jobs_per_day = Some(5));
    facts.today.jobs = 5;
}

pub(in crate::review) fn budget_exhausted() -> Reason {
    let time = Day::containing(time_at(10_000)).end();
    Reason::BudgetExhausted { project: project_id(), used: "5".into(), limit: "5 jobs".into(), time }
}

type Change = fn(&mut ReviewFacts);

/// A change per guard that makes it refuse, in the published order.
const CONDITIONS: [(&str, Change); 18] = [
    ("repeat", |facts| facts.first = Some(("accepted".into(), Some(job_id("j1"))))),
    ("duplicate_review", |facts| facts.stored = Some(StoredResult::Started { job: job_id("j1") })),
    ("unknown_project", |facts| facts.settings = None),
    ("repository_not_integrated", |facts| facts.connected = false),
    ("own_review", |facts| facts.own = true),
    ("pull_request_closed", |facts| facts.state = PullRequestState::Merged),
    ("author_not_permitted", |facts| facts.permission = Some(Permission::Less)),
    ("permission_unknown", |facts| facts.permission = Some(Permission::Unknown)),
    ("unknown_command", |facts| facts.asks = RequestedAction::Misspelled {}),
    ("retrigger_disabled", |facts| change_settings(facts, |settings| settings.revise_on_review = false)),
    ("no_linked_ticket", |facts| facts.ticket = None),
    ("ticket_inactive", |facts| change_ticket(facts, |ticket| ticket.closed = true)),
    ("job_active", |facts| change_ticket(facts, |ticket| ticket.active_job = Some(job_id("j0")))),
    ("previous_job_not_completed", |facts| {
        change_ticket(facts, |ticket| ticket.last_outcome = Some(LastOutcome::Failed))
    }),
    ("rate_limited", |facts| set_last_revision(facts, 3_599_999)),
    ("project_held", |facts| change_settings(facts, |settings| settings.held_by = Some("bob".into()))),
    ("budget_exhausted", exhaust_budget),
    ("ticket_limit", |facts| facts.spending = Some(spent_fact())),
];

fn change_settings(facts: &mut ReviewFacts, change: impl Fn(&mut ReviewSettings)) {
    facts.settings.iter_mut().for_each(change);
}

fn change_ticket(facts: &mut ReviewFacts, change: impl Fn(&mut TicketFacts)) {
    facts.ticket.iter_mut().for_each(change);
}

fn set_last_revision(facts: &mut ReviewFacts, millis_ago: u64) {
    let at = facts.now.minus(Duration::from_millis(millis_ago));
    facts.revised = Some(LastRevision { at, job: job_id("j0"), earlier: None });
}

fn disable_coalescing(facts: &mut ReviewFacts) {
    change_settings(facts, |settings| settings.coalesce = false);
}

fn condition(name: &str) -> Change {
    CONDITIONS.iter().find(|(known, _)| *known == name).unwrap().1
}

fn facts_with(names: &[&str]) -> ReviewFacts {
    let mut facts = accepted_facts();
    names.iter().for_each(|name| condition(name)(&mut facts));
    facts
}

#[track_caller]
fn expect_decision(facts: &ReviewFacts) -> Decision {
    match decide(facts, job_id("new")) {
        DecisionStep::Decided(decision) => decision,
        DecisionStep::NeedsPermission => panic!("the permission is requested"),
    }
}

#[track_caller]
fn check(facts: &ReviewFacts, reason: &Reason, follow: ReviewFollowUp) {
    assert_eq!(expect_decision(facts), Decision { reason: reason.clone(), follow });
}

fn pull_request_label() -> String {
    "acme/app#231".into()
}

#[test]
fn review_that_passes_all_guards_starts_a_job() {
    check(&accepted_facts(), &Reason::Accepted { job: job_id("new") }, ReviewFollowUp::Trigger);
}

#[test]
fn each_guard_refuses_with_its_reason() {
    let (project, repo) = (project_id(), repository().name);
    for reason in [
        Reason::Repeat { first: "accepted".into() },
        Reason::DuplicateReview { job: job_id("j1") },
        Reason::UnknownProject { project: project.clone() },
        Reason::RepositoryNotIntegrated { repo: repo.clone(), project: project.clone() },
        Reason::OwnReview {},
        Reason::PullRequestClosed { pr: pull_request_label(), state: "merged".into() },
        Reason::AuthorNotPermitted { author: "ann".into(), repo },
        Reason::PermissionUnknown { forge: linked_pull_request().id.integration, author: "ann".into() },
        Reason::UnknownCommand { pr: pull_request_label() },
        Reason::RetriggerDisabled { project: project.clone() },
        Reason::NoLinkedTicket { pr: pull_request_label() },
        Reason::TicketInactive { ticket: key() },
        Reason::JobActive { ticket: key(), job: job_id("j0") },
        Reason::PreviousJobNotCompleted { ticket: key(), outcome: "failed".into() },
        Reason::ProjectHeld { project, who: "bob".into() },
        budget_exhausted(),
        spent_fact().refusal().unwrap(),
    ] {
        let mut facts = facts_with(&[reason.code()]);
        disable_coalescing(&mut facts);
        check(&facts, &reason, ReviewFollowUp::Record);
    }
}

#[test]
fn review_of_another_project_starts_nothing() {
    let facts = ReviewFacts { stored: Some(StoredResult::Elsewhere {}), ..accepted_facts() };
    let reason = Reason::EventIgnored { event: "a review that belongs to another project".into() };
    check(&facts, &reason, ReviewFollowUp::Record);
}

#[test]
fn closed_pull_request_gets_no_job() {
    let closed = ReviewFacts { state: PullRequestState::Closed, ..accepted_facts() };
    check(
        &closed,
        &Reason::PullRequestClosed { pr: pull_request_label(), state: "closed".into() },
        ReviewFollowUp::Record,
    );
}

#[test]
fn uncompleted_last_job_starts_nothing() {
    let mut facts = accepted_facts();
    change_ticket(&mut facts, |ticket| ticket.last_outcome = Some(LastOutcome::Cancelled));
    let reason = Reason::PreviousJobNotCompleted { ticket: key(), outcome: "cancelled".into() };
    check(&facts, &reason, ReviewFollowUp::Record);
    change_ticket(&mut facts, |ticket| ticket.last_outcome = None);
    assert_eq!(
        expect_decision(&facts).follow,
        ReviewFollowUp::Trigger,
        "a manually linked pull request has no job before"
    );
}

#[test]
fn second_revision_within_an_hour_is_refused() {
    let at_once = |millis_ago| {
        let mut facts = accepted_facts();
        disable_coalescing(&mut facts);
        set_last_revision(&mut facts, millis_ago);
        expect_decision(&facts).reason
    };
    let limited = |time| Reason::RateLimited { pr: pull_request_label(), ago: None, time };
    let now = accepted_facts().now;
    assert_eq!(at_once(0), limited(now.plus(REVISE_WINDOW)));
    assert_eq!(at_once(3_599_999), limited(now.plus(Duration::from_millis(1))));
    assert_eq!(at_once(3_600_000), Reason::Accepted { job: job_id("new") }, "exactly an hour later is allowed");
}

#[test]
fn permission_is_requested_only_after_earlier_guards() {
    let asked_after = CONDITIONS.iter().position(|(name, _)| *name == "author_not_permitted").unwrap();
    for (place, (name, change)) in CONDITIONS.iter().enumerate() {
        if name.contains("permi") {
            continue;
        }
        let mut facts = ReviewFacts { permission: None, ..accepted_facts() };
        change(&mut facts);
        let asks = decide(&facts, job_id("new")) == DecisionStep::NeedsPermission;
        assert_eq!(asks, place > asked_after, "{name}");
    }
    let facts = ReviewFacts { permission: None, ..accepted_facts() };
    assert_eq!(decide(&facts, job_id("new")), DecisionStep::NeedsPermission);
}

#[test]
fn coalescing_defers_a_review_during_a_job_or_the_hour() {
    let now = accepted_facts().now;
    let held = Reason::HeldForJob { job: job_id("j0") };
    let mut busy = facts_with(&["job_active"]);
    check(&busy, &held, ReviewFollowUp::Defer { opens_at: now, held: false });
    set_last_revision(&mut busy, 2 * 3_600_000);
    check(&busy, &held, ReviewFollowUp::Defer { opens_at: now, held: false });
    let soon = now.plus(Duration::from_millis(1));
    check(&facts_with(&["job_active", "rate_limited"]), &held, ReviewFollowUp::Defer { opens_at: soon, held: false });
    let until = Reason::HeldUntil { ago: None, time: soon };
    check(&facts_with(&["rate_limited"]), &until, ReviewFollowUp::Defer { opens_at: soon, held: false });
}

#[test]
fn review_of_a_held_or_spent_project_waits() {
    let held = ReviewFollowUp::Defer { opens_at: accepted_facts().now, held: true };
    check(&facts_with(&["project_held"]), &Reason::ProjectHeld { project: project_id(), who: "bob".into() }, held);
    check(&facts_with(&["budget_exhausted"]), &budget_exhausted(), held);
}

/// Only a raise changes the limit, so a review would wait for ever.
#[test]
fn review_of_a_spent_ticket_is_refused() {
    check(&facts_with(&["ticket_limit"]), &spent_fact().refusal().unwrap(), ReviewFollowUp::Record);
}

#[test]
fn full_ticket_defers_no_further_pull_request() {
    let full = |names: &[&str], defers| {
        let mut facts = facts_with(names);
        change_ticket(&mut facts, |ticket| (ticket.defers, ticket.deferred) = (defers, MAX_DEFERRED));
        expect_decision(&facts)
    };
    for name in ["job_active", "rate_limited", "project_held", "budget_exhausted"] {
        let refused = full(&[name], false);
        assert_eq!((refused.reason.code(), refused.follow), (name, ReviewFollowUp::Record));
        assert!(matches!(full(&[name], true).follow, ReviewFollowUp::Defer { .. }), "{name}: already on the list");
    }
    let mut room = facts_with(&["job_active"]);
    change_ticket(&mut room, |ticket| ticket.deferred = MAX_DEFERRED - 1);
    assert!(matches!(expect_decision(&room).follow, ReviewFollowUp::Defer { .. }));
}

#[test]
fn review_waits_with_earlier_deferred_ones() {
    let mut facts = accepted_facts();
    change_ticket(&mut facts, |ticket| (ticket.defers, ticket.deferred) = (true, 1));
    check(
        &facts,
        &Reason::HeldWithOthers { pr: pull_request_label() },
        ReviewFollowUp::Defer { opens_at: facts.now, held: false },
    );
}

#[test]
fn repeated_deferred_review_marks_its_ticket_again() {
    let mut facts = ReviewFacts { stored: Some(StoredResult::Deferred {}), ..accepted_facts() };
    facts.first = Some(("held_for_job".into(), None));
    let repeat = Reason::Repeat { first: "held_for_job".into() };
    for defers in [false, true] {
        change_ticket(&mut facts, |ticket| ticket.defers = defers);
        check(&facts, &repeat, ReviewFollowUp::Defer { opens_at: facts.now, held: false });
    }
    set_last_revision(&mut facts, 1_000);
    let opens_at = facts.now.plus(Duration::from_secs(3_599));
    check(&facts, &repeat, ReviewFollowUp::Defer { opens_at, held: false });
    // The ledger entry has expired.
    for defers in [false, true] {
        let mut forgotten = ReviewFacts { first: None, revised: None, ..facts.clone() };
        change_ticket(&mut forgotten, |ticket| ticket.defers = defers);
        check(
            &forgotten,
            &Reason::HeldWithOthers { pr: pull_request_label() },
            ReviewFollowUp::Defer { opens_at: facts.now, held: false },
        );
    }
    // Without a ticket, there is no deferral to add.
    check(&ReviewFacts { ticket: None, ..facts }, &repeat, ReviewFollowUp::Record);
}

#[test]
fn user_request_overrides_exactly_three_guards() {
    // The request itself replaces an unknown command.
    let overridden: Vec<_> = CONDITIONS
        .iter()
        .filter(|(name, change)| {
            if *name == "unknown_command" {
                return false;
            }
            let mut facts = accepted_facts();
            change(&mut facts);
            facts.asks = RequestedAction::Revision { message: None };
            expect_decision(&facts).follow == ReviewFollowUp::Trigger
        })
        .map(|(name, _)| *name)
        .collect();
    assert_eq!(overridden, ["retrigger_disabled", "previous_job_not_completed", "rate_limited"]);
}

#[test]
fn deferred_user_request_ignores_the_hour() {
    let mut facts = facts_with(&["job_active", "rate_limited"]);
    facts.asks = RequestedAction::Revision { message: None };
    let now = ReviewFollowUp::Defer { opens_at: facts.now, held: false };
    check(&facts, &Reason::HeldForJob { job: job_id("j0") }, now);
    change_ticket(&mut facts, |ticket| (ticket.active_job, ticket.defers) = (None, true));
    check(&facts, &Reason::HeldWithOthers { pr: pull_request_label() }, now);
}

#[test]
fn own_review_needs_our_account_and_a_bot_or_mark() {
    let event = |id, bot, marked| ReviewEvent {
        author: Author { id, login: "pullyard".into(), bot },
        marked,
        ..crate::review::tests::event(RequestedAction::Changes {})
    };
    for (id, bot, marked, own) in [
        (7, true, false, true),
        (7, true, true, true),
        (7, false, true, true),
        (7, false, false, false),
        (8, true, true, false),
        (8, false, true, false),
    ] {
        assert_eq!(ReviewFacts::is_own(&event(id, bot, marked), 7), own, "{id} bot {bot} marked {marked}");
    }
}

#[test]
fn facts_survive_serialization() {
    for (name, change) in CONDITIONS {
        let mut facts = accepted_facts();
        change(&mut facts);
        let text = serde_json::to_string(&facts).unwrap();
        let read: ReviewFacts = serde_json::from_str(&text).unwrap();
        assert_eq!(read, facts, "{name}");
        assert_eq!(expect_decision(&read), expect_decision(&facts), "{name}");
    }
    let waits = ReviewFacts { stored: Some(StoredResult::Deferred {}), permission: None, ..accepted_facts() };
    let text = serde_json::to_string(&waits).unwrap();
    assert_eq!(serde_json::from_str::<ReviewFacts>(&text).unwrap(), waits);
}

#[test]
fn reviews_page_and_tests_list_the_guards_in_order() {
    let guards = REVIEW_GUARDS.map(|(name, _)| name).to_vec();
    let tested: Vec<_> =
        CONDITIONS.iter().map(|(name, _)| *name).filter(|name| *name != "permission_unknown").collect();
    assert_eq!(tested, guards);
    let page = include_str!("../../../../../docs/reviews.md");
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    let published: Vec<&str> = rows.collect();
    let agent_guards = AGENT_REVIEW_GUARDS.map(|(name, _)| name);
    assert_eq!(published, [&guards[..], &agent_guards].concat());
}
