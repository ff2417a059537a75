use super::*;
use crate::budget::{Budget, Day, Today};
use crate::review::{Author, SeenPullRequest};
use crate::story::{at, job_id, key, linked, project_id, repository, review_id};
use std::time::Duration;

/// Facts under which a review starts a job.
pub(in crate::review) fn accepted() -> ReviewFacts {
    ReviewFacts {
        v: FACTS,
        now: at(10_000),
        asks: Asks::Changes {},
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
        today: Today::unused(Day::of(at(10_000))),
    }
}

/// Spends the day's budget.
pub(in crate::review) fn spend(facts: &mut ReviewFacts) {
    settings(facts, |settings| settings.budget.jobs_per_day = Some(5));
    facts.today.jobs = 5;
}

/// What a spent budget says.
pub(in crate::review) fn spent() -> Reason {
    let time = Day::of(at(10_000)).end();
    Reason::BudgetExhausted { project: project_id(), used: "5".into(), limit: "5 jobs".into(), time }
}

type Change = fn(&mut ReviewFacts);

/// What each guard stumbles over, in the published order.
const HINDRANCES: [(&str, Change); 18] = [
    ("edited_review", |facts| facts.asks = Asks::Edited {}),
    ("event_ignored", |facts| facts.asks = Asks::Nothing { event: "pull_request_review dismissed".into() }),
    ("repeat", |facts| facts.first = Some(("accepted".into(), Some(job_id("j1"))))),
    ("duplicate_review", |facts| facts.stored = Some(Known::Started { job: job_id("j1") })),
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
        Verdict::Decided(decision) => decision,
        Verdict::AskPermission => panic!("the author is asked about"),
    }
}

#[track_caller]
fn check(facts: &ReviewFacts, reason: &Reason, follow: Follow) {
    assert_eq!(decided(facts), Decision { reason: reason.clone(), follow });
}

/// This hindrance alone, where nothing waits, gets this recorded answer.
#[track_caller]
fn check_alone(name: &str, reason: &Reason) {
    let mut facts = with(&[name]);
    does_not_wait(&mut facts);
    check(&facts, reason, Follow::Record);
    assert_eq!(reason.code(), name);
}

fn pr() -> String {
    "acme/app#231".into()
}

#[test]
fn what_nothing_hinders_starts_a_job() {
    check(&accepted(), &Reason::Accepted { job: job_id("new") }, Follow::Trigger);
}

#[test]
fn an_edited_review_is_ignored() {
    check_alone("edited_review", &Reason::EditedReview {});
}

#[test]
fn what_asks_for_nothing_is_ignored() {
    check_alone("event_ignored", &Reason::EventIgnored { event: "pull_request_review dismissed".into() });
}

#[test]
fn what_has_its_lasting_answer_gets_that_again() {
    check_alone("repeat", &Reason::Repeat { first: "accepted".into() });
}

#[test]
fn a_review_that_another_project_has_starts_nothing_and_names_no_job() {
    let facts = ReviewFacts { stored: Some(Known::Elsewhere {}), ..accepted() };
    let reason = Reason::EventIgnored { event: "a review that another project has".into() };
    check(&facts, &reason, Follow::Record);
}

#[test]
fn a_review_whose_entry_is_forgotten_still_names_its_job() {
    check_alone("duplicate_review", &Reason::DuplicateReview { job: job_id("j1") });
}

#[test]
fn a_project_that_is_not_there_is_named() {
    check_alone("unknown_project", &Reason::UnknownProject { project: project_id() });
}

#[test]
fn a_repository_that_is_not_connected_starts_nothing() {
    let reason = Reason::RepositoryNotIntegrated { repo: repository().name, project: project_id() };
    check_alone("repository_not_integrated", &reason);
}

#[test]
fn our_own_review_starts_nothing() {
    check_alone("own_review", &Reason::OwnReview {});
}

#[test]
fn a_pull_request_that_cant_change_any_more_gets_no_job() {
    check_alone("pull_request_closed", &Reason::PullRequestClosed { pr: pr(), state: "merged".into() });
    let closed = ReviewFacts { state: PullRequestState::Closed, ..accepted() };
    check(&closed, &Reason::PullRequestClosed { pr: pr(), state: "closed".into() }, Follow::Record);
}

#[test]
fn a_stranger_starts_nothing() {
    let reason = Reason::AuthorNotPermitted { author: "ann".into(), repo: repository().name };
    check_alone("author_not_permitted", &reason);
}

#[test]
fn an_author_of_whom_the_forge_says_nothing_starts_nothing() {
    let reason = Reason::PermissionUnknown { forge: linked().id.integration, author: "ann".into() };
    check_alone("permission_unknown", &reason);
}

#[test]
fn guard_1_the_project_wants_it() {
    check_alone("retrigger_disabled", &Reason::RetriggerDisabled { project: project_id() });
}

#[test]
fn guard_2_the_pull_request_has_a_ticket_that_is_active() {
    check_alone("no_linked_ticket", &Reason::NoLinkedTicket { pr: pr() });
    check_alone("ticket_inactive", &Reason::TicketInactive { ticket: key() });
}

#[test]
fn guard_3_no_job_is_active() {
    check_alone("job_active", &Reason::JobActive { ticket: key(), job: job_id("j0") });
}

#[test]
fn guard_4_the_last_job_completed() {
    let reason = |outcome: &str| Reason::PreviousJobNotCompleted { ticket: key(), outcome: outcome.into() };
    check_alone("previous_job_not_completed", &reason("failed"));
    let mut facts = accepted();
    ticket(&mut facts, |ticket| ticket.last_outcome = Some(LastOutcome::Cancelled));
    check(&facts, &reason("cancelled"), Follow::Record);
    ticket(&mut facts, |ticket| ticket.last_outcome = None);
    assert_eq!(decided(&facts).follow, Follow::Trigger, "a pull request that a person linked has no job before");
}

#[test]
fn guard_6_an_hour_lies_between_two_revisions() {
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
fn a_held_project_starts_nothing() {
    check_alone("project_held", &Reason::ProjectHeld { project: project_id(), who: "bob".into() });
}

#[test]
fn a_spent_budget_starts_nothing() {
    check_alone("budget_exhausted", &spent());
}

#[test]
fn of_any_two_the_earlier_in_the_published_order_answers() {
    let mut pairs = 0;
    for (first, (earlier, one)) in HINDRANCES.iter().enumerate() {
        for (later, other) in &HINDRANCES[first + 1..] {
            // One fact can't be two things.
            if matches!(
                (*earlier, *later),
                ("edited_review", "event_ignored") | ("author_not_permitted", "permission_unknown")
            ) {
                continue;
            }
            for order in [[one, other], [other, one]] {
                let mut facts = accepted();
                does_not_wait(&mut facts);
                order.iter().for_each(|change| change(&mut facts));
                assert_eq!(decided(&facts).reason.code(), *earlier, "against {later}");
            }
            pairs += 1;
        }
    }
    assert_eq!(pairs, 18 * 17 / 2 - 2);
}

#[test]
fn the_published_order_is_the_one_of_these_tests() {
    let tested: Vec<_> =
        HINDRANCES.iter().map(|(name, _)| *name).filter(|name| *name != "permission_unknown").collect();
    assert_eq!(REVIEW_GUARDS.map(|(name, _)| name).to_vec(), tested);
}

#[test]
fn the_author_is_asked_about_exactly_when_no_earlier_guard_refused() {
    let asked_after = HINDRANCES.iter().position(|(name, _)| *name == "author_not_permitted").unwrap();
    for (place, (name, change)) in HINDRANCES.iter().enumerate() {
        if name.contains("permi") {
            continue;
        }
        let mut facts = ReviewFacts { permission: None, ..accepted() };
        change(&mut facts);
        let asks = decide(&facts, job_id("new")) == Verdict::AskPermission;
        assert_eq!(asks, place > asked_after, "{name}");
    }
    let facts = ReviewFacts { permission: None, ..accepted() };
    assert_eq!(decide(&facts, job_id("new")), Verdict::AskPermission);
}

#[test]
fn what_meets_a_job_or_the_hour_waits_if_the_project_wants_that() {
    let now = accepted().now;
    let busy = with(&["job_active"]);
    let held = Reason::HeldForJob { job: job_id("j0") };
    check(&busy, &held, Follow::Remember { opens_at: now, held: false });
    let soon = now.plus(Duration::from_millis(1));
    check(&with(&["job_active", "rate_limited"]), &held, Follow::Remember { opens_at: soon, held: false });
    let ago = Span::from(Duration::from_millis(3_599_999));
    let until = Reason::HeldUntil { ago, time: soon };
    check(&with(&["rate_limited"]), &until, Follow::Remember { opens_at: soon, held: false });
}

#[test]
fn what_meets_a_held_project_or_a_spent_budget_is_refused_and_waits_all_the_same() {
    let held = Follow::Remember { opens_at: accepted().now, held: true };
    check(&with(&["project_held"]), &Reason::ProjectHeld { project: project_id(), who: "bob".into() }, held);
    check(&with(&["budget_exhausted"]), &spent(), held);
}

#[test]
fn a_ticket_whose_list_is_full_remembers_no_further_pull_request() {
    let full = |names: &[&str], defers| {
        let mut facts = with(names);
        ticket(&mut facts, |ticket| (ticket.defers, ticket.deferred) = (defers, MOST_DEFERRED));
        decided(&facts)
    };
    for name in ["job_active", "rate_limited", "project_held", "budget_exhausted"] {
        let refused = full(&[name], false);
        assert_eq!((refused.reason.code(), refused.follow), (name, Follow::Record));
        assert!(matches!(full(&[name], true).follow, Follow::Remember { .. }), "{name}: it is on the list already");
    }
    let mut room = with(&["job_active"]);
    ticket(&mut room, |ticket| ticket.deferred = MOST_DEFERRED - 1);
    assert!(matches!(decided(&room).follow, Follow::Remember { .. }));
}

#[test]
fn who_comes_while_others_wait_waits_with_them() {
    let mut facts = accepted();
    ticket(&mut facts, |ticket| (ticket.defers, ticket.deferred) = (true, 1));
    check(&facts, &Reason::HeldWithOthers { pr: pr() }, Follow::Remember { opens_at: facts.now, held: false });
}

#[test]
fn a_waiting_review_that_is_told_again_has_its_ticket_know_it_again() {
    let mut facts = ReviewFacts { stored: Some(Known::Deferred {}), ..accepted() };
    facts.first = Some(("held_for_job".into(), None));
    let repeat = Reason::Repeat { first: "held_for_job".into() };
    for defers in [false, true] {
        ticket(&mut facts, |ticket| ticket.defers = defers);
        check(&facts, &repeat, Follow::Remember { opens_at: facts.now, held: false });
    }
    revised(&mut facts, 1_000);
    let opens_at = facts.now.plus(Duration::from_secs(3_599));
    check(&facts, &repeat, Follow::Remember { opens_at, held: false });
    // Its ledger entry was forgotten meanwhile.
    let forgotten = ReviewFacts { first: None, revised: None, ..facts.clone() };
    check(&forgotten, &Reason::HeldWithOthers { pr: pr() }, Follow::Remember { opens_at: facts.now, held: false });
    // Nobody can be told of it.
    check(&ReviewFacts { ticket: None, ..facts }, &repeat, Follow::Record);
}

#[test]
fn a_review_that_waits_is_covered_with_the_others_also_where_its_ticket_does_not_know_it() {
    let facts = ReviewFacts { stored: Some(Known::Deferred {}), ..accepted() };
    check(&facts, &Reason::HeldWithOthers { pr: pr() }, Follow::Remember { opens_at: facts.now, held: false });
}

#[test]
fn what_waits_for_a_job_once_the_hour_is_over_waits_for_no_time_that_has_passed() {
    let mut facts = with(&["job_active"]);
    revised(&mut facts, 2 * 3_600_000);
    let now = Follow::Remember { opens_at: facts.now, held: false };
    check(&facts, &Reason::HeldForJob { job: job_id("j0") }, now);
}

#[test]
fn a_persons_request_goes_before_exactly_three_guards() {
    let overridden: Vec<_> = HINDRANCES
        .iter()
        .filter(|(name, _)| !["edited_review", "event_ignored"].contains(name))
        .filter(|(_, change)| {
            let mut facts = accepted();
            change(&mut facts);
            facts.asks = Asks::Revision { message: None };
            decided(&facts).follow == Follow::Trigger
        })
        .map(|(name, _)| *name)
        .collect();
    assert_eq!(overridden, ["retrigger_disabled", "previous_job_not_completed", "rate_limited"]);
}

#[test]
fn a_request_that_has_to_wait_waits_for_no_hour() {
    let mut facts = with(&["job_active", "rate_limited"]);
    facts.asks = Asks::Revision { message: None };
    let now = Follow::Remember { opens_at: facts.now, held: false };
    check(&facts, &Reason::HeldForJob { job: job_id("j0") }, now);
    ticket(&mut facts, |ticket| (ticket.active_job, ticket.defers) = (None, true));
    check(&facts, &Reason::HeldWithOthers { pr: pr() }, now);
}

#[test]
fn our_own_is_told_by_account_and_where_people_share_it_by_mark() {
    let event = |id, bot, marked| ReviewEvent {
        source: crate::delivery::Source::Webhook,
        delivery: None,
        review: review_id("80"),
        asks: Asks::Changes {},
        author: Author { id, login: "pullyard".into(), bot },
        submitted_at: at(0),
        marked,
        pull_request: SeenPullRequest {
            id: linked().id,
            repository: repository().name,
            state: PullRequestState::Open,
            head: "9f3".into(),
            branch: "b".into(),
            url: String::new(),
            updated_at: at(0),
        },
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
fn facts_read_back_as_they_were_kept() {
    for (name, change) in HINDRANCES {
        let mut facts = accepted();
        change(&mut facts);
        let text = serde_json::to_string(&facts).unwrap();
        let read: ReviewFacts = serde_json::from_str(&text).unwrap();
        assert_eq!(read, facts, "{name}");
        assert_eq!(decided(&read), decided(&facts), "{name}");
    }
    let waits = ReviewFacts { stored: Some(Known::Deferred {}), permission: None, ..accepted() };
    let text = serde_json::to_string(&waits).unwrap();
    assert_eq!(serde_json::from_str::<ReviewFacts>(&text).unwrap(), waits);
}

/// docs/reviews.md has the guards in this order.
#[test]
fn the_published_table_has_the_guards_in_their_order() {
    let page = include_str!("../../../../../docs/reviews.md");
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    let published: Vec<&str> = rows.collect();
    assert_eq!(published, REVIEW_GUARDS.map(|(name, _)| name).to_vec());
}
