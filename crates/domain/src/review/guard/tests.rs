use super::*;
use crate::budget::{Budget, DailyUsage, Day};
use crate::review::Author;
use crate::story::{at, job_id, key, linked, project_id, repository};
use std::time::Duration;

/// Facts under which a review starts a job.
pub(in crate::review) fn accepted() -> ReviewFacts {
    ReviewFacts {
        v: FACTS_VERSION,
        now: at(10_000),
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
        integration: linked().id.integration,
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
        today: DailyUsage::zero(Day::containing(at(10_000))),
    }
}

pub(in crate::review) fn spend(facts: &mut ReviewFacts) {
    settings(facts, |settings| settings.budget.jobs_per_day = Some(5));
    facts.today.jobs = 5;
}

pub(in crate::review) fn spent() -> Reason {
    let time = Day::containing(at(10_000)).end();
    Reason::BudgetExhausted { project: project_id(), used: "5".into(), limit: "5 jobs".into(), time }
}

type Change = fn(&mut ReviewFacts);

/// A change per guard that makes it refuse, in the published order.
const HINDRANCES: [(&str, Change); 18] = [
    ("edited_review", |facts| facts.asks = RequestedAction::Edited {}),
    ("event_ignored", |facts| facts.asks = RequestedAction::Nothing { event: "pull_request_review dismissed".into() }),
    ("repeat", |facts| facts.first = Some(("accepted".into(), Some(job_id("j1"))))),
    ("duplicate_review", |facts| facts.stored = Some(StoredResult::Started { job: job_id("j1") })),
    ("unknown_project", |facts| facts.settings = None),
    ("repository_not_integrated", |facts| facts.connected = false),
    ("own_review", |facts| facts.own = true),
    ("pull_request_closed", |facts| facts.state = PullRequestState::Merged),
    ("author_not_permitted", |facts| facts.permission = Some(Permission::Less)),
    ("permission_unknown", |facts| facts.permission = Some(Permission::Unknown)),
    ("retrigger_disabled", |facts| settings(facts, |settings| settings.revise_on_review = false)),
    ("no_linked_ticket", |facts| facts.ticket = None),
    ("ticket_inactive", |facts| ticket(facts, |ticket| ticket.closed = true)),
    ("job_active", |facts| ticket(facts, |ticket| ticket.active_job = Some(job_id("j0")))),
    ("previous_job_not_completed", |facts| ticket(facts, |ticket| ticket.last_outcome = Some(LastOutcome::Failed))),
    ("rate_limited", |facts| revised(facts, 3_599_999)),
    ("project_held", |facts| settings(facts, |settings| settings.held_by = Some("bob".into()))),
    ("budget_exhausted", spend),
];

fn settings(facts: &mut ReviewFacts, change: impl Fn(&mut ReviewSettings)) {
    facts.settings.iter_mut().for_each(change);
}

fn ticket(facts: &mut ReviewFacts, change: impl Fn(&mut TicketFacts)) {
    facts.ticket.iter_mut().for_each(change);
}

fn revised(facts: &mut ReviewFacts, millis_ago: u64) {
    let at = facts.now.minus(Duration::from_millis(millis_ago));
    facts.revised = Some(LastRevision { at, job: job_id("j0"), earlier: None });
}

fn does_not_wait(facts: &mut ReviewFacts) {
    settings(facts, |settings| settings.coalesce = false);
}

fn hindrance(name: &str) -> Change {
    HINDRANCES.iter().find(|(known, _)| *known == name).unwrap().1
}

fn with(names: &[&str]) -> ReviewFacts {
    let mut facts = accepted();
    names.iter().for_each(|name| hindrance(name)(&mut facts));
    facts
}

#[track_caller]
fn decided(facts: &ReviewFacts) -> Decision {
    match decide(facts, job_id("new")) {
        DecisionStep::Decided(decision) => decision,
        DecisionStep::NeedsPermission => panic!("the permission is requested"),
    }
}

#[track_caller]
fn check(facts: &ReviewFacts, reason: &Reason, follow: Follow) {
    assert_eq!(decided(facts), Decision { reason: reason.clone(), follow });
}

fn pr() -> String {
    "acme/app#231".into()
}

#[test]
fn review_that_passes_all_guards_starts_a_job() {
    check(&accepted(), &Reason::Accepted { job: job_id("new") }, Follow::Trigger);
}

#[test]
fn each_guard_refuses_with_its_reason() {
    let (project, repo) = (project_id(), repository().name);
    for reason in [
        Reason::EditedReview {},
        Reason::EventIgnored { event: "pull_request_review dismissed".into() },
        Reason::Repeat { first: "accepted".into() },
        Reason::DuplicateReview { job: job_id("j1") },
        Reason::UnknownProject { project: project.clone() },
        Reason::RepositoryNotIntegrated { repo: repo.clone(), project: project.clone() },
        Reason::OwnReview {},
        Reason::PullRequestClosed { pr: pr(), state: "merged".into() },
        Reason::AuthorNotPermitted { author: "ann".into(), repo },
        Reason::PermissionUnknown { forge: linked().id.integration, author: "ann".into() },
        Reason::RetriggerDisabled { project: project.clone() },
        Reason::NoLinkedTicket { pr: pr() },
        Reason::TicketInactive { ticket: key() },
        Reason::JobActive { ticket: key(), job: job_id("j0") },
        Reason::PreviousJobNotCompleted { ticket: key(), outcome: "failed".into() },
        Reason::ProjectHeld { project, who: "bob".into() },
        spent(),
    ] {
        let mut facts = with(&[reason.code()]);
        does_not_wait(&mut facts);
        check(&facts, &reason, Follow::Record);
    }
}

#[test]
fn review_of_another_project_starts_nothing() {
    let facts = ReviewFacts { stored: Some(StoredResult::Elsewhere {}), ..accepted() };
    let reason = Reason::EventIgnored { event: "a review that belongs to another project".into() };
    check(&facts, &reason, Follow::Record);
}

#[test]
fn closed_pull_request_gets_no_job() {
    let closed = ReviewFacts { state: PullRequestState::Closed, ..accepted() };
    check(&closed, &Reason::PullRequestClosed { pr: pr(), state: "closed".into() }, Follow::Record);
}

#[test]
fn uncompleted_last_job_starts_nothing() {
    let mut facts = accepted();
    ticket(&mut facts, |ticket| ticket.last_outcome = Some(LastOutcome::Cancelled));
    let reason = Reason::PreviousJobNotCompleted { ticket: key(), outcome: "cancelled".into() };
    check(&facts, &reason, Follow::Record);
    ticket(&mut facts, |ticket| ticket.last_outcome = None);
    assert_eq!(decided(&facts).follow, Follow::Trigger, "a manually linked pull request has no job before");
}

#[test]
fn second_revision_within_an_hour_is_refused() {
    let at_once = |millis_ago| {
        let mut facts = accepted();
        does_not_wait(&mut facts);
        revised(&mut facts, millis_ago);
        decided(&facts).reason
    };
    let limited = |secs, time| Reason::RateLimited { pr: pr(), ago: Span::from(Duration::from_millis(secs)), time };
    let now = accepted().now;
    assert_eq!(at_once(0), limited(0, now.plus(REVISE_WINDOW)));
    assert_eq!(at_once(3_599_999), limited(3_599_999, now.plus(Duration::from_millis(1))));
    assert_eq!(at_once(3_600_000), Reason::Accepted { job: job_id("new") }, "exactly an hour later is allowed");
}

#[test]
fn permission_is_requested_only_after_earlier_guards() {
    let asked_after = HINDRANCES.iter().position(|(name, _)| *name == "author_not_permitted").unwrap();
    for (place, (name, change)) in HINDRANCES.iter().enumerate() {
        if name.contains("permi") {
            continue;
        }
        let mut facts = ReviewFacts { permission: None, ..accepted() };
        change(&mut facts);
        let asks = decide(&facts, job_id("new")) == DecisionStep::NeedsPermission;
        assert_eq!(asks, place > asked_after, "{name}");
    }
    let facts = ReviewFacts { permission: None, ..accepted() };
    assert_eq!(decide(&facts, job_id("new")), DecisionStep::NeedsPermission);
}

#[test]
fn coalescing_defers_a_review_during_a_job_or_the_hour() {
    let now = accepted().now;
    let held = Reason::HeldForJob { job: job_id("j0") };
    let mut busy = with(&["job_active"]);
    check(&busy, &held, Follow::Defer { opens_at: now, held: false });
    revised(&mut busy, 2 * 3_600_000);
    check(&busy, &held, Follow::Defer { opens_at: now, held: false });
    let soon = now.plus(Duration::from_millis(1));
    check(&with(&["job_active", "rate_limited"]), &held, Follow::Defer { opens_at: soon, held: false });
    let ago = Span::from(Duration::from_millis(3_599_999));
    let until = Reason::HeldUntil { ago, time: soon };
    check(&with(&["rate_limited"]), &until, Follow::Defer { opens_at: soon, held: false });
}

#[test]
fn review_of_a_held_or_spent_project_waits() {
    let held = Follow::Defer { opens_at: accepted().now, held: true };
    check(&with(&["project_held"]), &Reason::ProjectHeld { project: project_id(), who: "bob".into() }, held);
    check(&with(&["budget_exhausted"]), &spent(), held);
}

#[test]
fn full_ticket_defers_no_further_pull_request() {
    let full = |names: &[&str], defers| {
        let mut facts = with(names);
        ticket(&mut facts, |ticket| (ticket.defers, ticket.deferred) = (defers, MAX_DEFERRED));
        decided(&facts)
    };
    for name in ["job_active", "rate_limited", "project_held", "budget_exhausted"] {
        let refused = full(&[name], false);
        assert_eq!((refused.reason.code(), refused.follow), (name, Follow::Record));
        assert!(matches!(full(&[name], true).follow, Follow::Defer { .. }), "{name}: already on the list");
    }
    let mut room = with(&["job_active"]);
    ticket(&mut room, |ticket| ticket.deferred = MAX_DEFERRED - 1);
    assert!(matches!(decided(&room).follow, Follow::Defer { .. }));
}

#[test]
fn review_waits_with_earlier_deferred_ones() {
    let mut facts = accepted();
    ticket(&mut facts, |ticket| (ticket.defers, ticket.deferred) = (true, 1));
    check(&facts, &Reason::HeldWithOthers { pr: pr() }, Follow::Defer { opens_at: facts.now, held: false });
}

#[test]
fn repeated_deferred_review_marks_its_ticket_again() {
    let mut facts = ReviewFacts { stored: Some(StoredResult::Deferred {}), ..accepted() };
    facts.first = Some(("held_for_job".into(), None));
    let repeat = Reason::Repeat { first: "held_for_job".into() };
    for defers in [false, true] {
        ticket(&mut facts, |ticket| ticket.defers = defers);
        check(&facts, &repeat, Follow::Defer { opens_at: facts.now, held: false });
    }
    revised(&mut facts, 1_000);
    let opens_at = facts.now.plus(Duration::from_secs(3_599));
    check(&facts, &repeat, Follow::Defer { opens_at, held: false });
    // The ledger entry has expired.
    for defers in [false, true] {
        let mut forgotten = ReviewFacts { first: None, revised: None, ..facts.clone() };
        ticket(&mut forgotten, |ticket| ticket.defers = defers);
        check(&forgotten, &Reason::HeldWithOthers { pr: pr() }, Follow::Defer { opens_at: facts.now, held: false });
    }
    // Without a ticket, there is no deferral to add.
    check(&ReviewFacts { ticket: None, ..facts }, &repeat, Follow::Record);
}

#[test]
fn user_request_overrides_exactly_three_guards() {
    let overridden: Vec<_> = HINDRANCES
        .iter()
        .filter(|(name, _)| !["edited_review", "event_ignored"].contains(name))
        .filter(|(_, change)| {
            let mut facts = accepted();
            change(&mut facts);
            facts.asks = RequestedAction::Revision { message: None };
            decided(&facts).follow == Follow::Trigger
        })
        .map(|(name, _)| *name)
        .collect();
    assert_eq!(overridden, ["retrigger_disabled", "previous_job_not_completed", "rate_limited"]);
}

#[test]
fn deferred_user_request_ignores_the_hour() {
    let mut facts = with(&["job_active", "rate_limited"]);
    facts.asks = RequestedAction::Revision { message: None };
    let now = Follow::Defer { opens_at: facts.now, held: false };
    check(&facts, &Reason::HeldForJob { job: job_id("j0") }, now);
    ticket(&mut facts, |ticket| (ticket.active_job, ticket.defers) = (None, true));
    check(&facts, &Reason::HeldWithOthers { pr: pr() }, now);
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
    for (name, change) in HINDRANCES {
        let mut facts = accepted();
        change(&mut facts);
        let text = serde_json::to_string(&facts).unwrap();
        let read: ReviewFacts = serde_json::from_str(&text).unwrap();
        assert_eq!(read, facts, "{name}");
        assert_eq!(decided(&read), decided(&facts), "{name}");
    }
    let waits = ReviewFacts { stored: Some(StoredResult::Deferred {}), permission: None, ..accepted() };
    let text = serde_json::to_string(&waits).unwrap();
    assert_eq!(serde_json::from_str::<ReviewFacts>(&text).unwrap(), waits);
}

#[test]
fn reviews_page_and_tests_list_the_guards_in_order() {
    let guards = REVIEW_GUARDS.map(|(name, _)| name).to_vec();
    let tested: Vec<_> =
        HINDRANCES.iter().map(|(name, _)| *name).filter(|name| *name != "permission_unknown").collect();
    assert_eq!(tested, guards);
    let page = include_str!("../../../../../docs/reviews.md");
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    let published: Vec<&str> = rows.collect();
    assert_eq!(published, guards);
}
