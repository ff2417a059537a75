mod forges;
mod late;

use super::recovery::{GoesOn, KEPT, Look, MOST_ASKED, MOST_FOLLOWED, Recovery, Tried};
use super::*;
use crate::decision::Reason;
use crate::id::JobId;
use crate::text::Span;

fn at(secs: i64) -> Timestamp {
    Timestamp::from_millis(1_000_000_000 + secs * 1_000)
}

fn tried(id: u64, guid: &str, arrived: bool) -> Tried {
    let secs = i64::try_from(id).unwrap();
    Tried { id, guid: guid.into(), at: at(secs), arrived, event: "pull_request_review".into() }
}

/// Newest first, as the forge lists them.
fn rows(oldest_first: &[(u64, &str, bool)]) -> Vec<Tried> {
    oldest_first.iter().rev().map(|(id, guid, arrived)| tried(*id, guid, *arrived)).collect()
}

#[test]
fn only_what_never_arrived_is_asked_for_again() {
    let known = Recovery::default();
    let rows = rows(&[(1, "a", false), (2, "b", true), (3, "c", false), (4, "a", true)]);
    let (known, ask) = known.take_stock(&rows, at(10));
    assert_eq!(ask, [3]);
    assert_eq!(known.missing.keys().collect::<Vec<_>>(), ["c"]);
    assert_eq!(known.cursor.map(|seen| seen.id), Some(4));
}

#[test]
fn the_newest_try_of_a_delivery_is_the_one_that_is_asked_for() {
    let (_, ask) = Recovery::default().take_stock(&rows(&[(1, "a", false), (2, "a", false)]), at(10));
    assert_eq!(ask, [2]);
}

#[test]
fn what_arrives_later_is_missing_no_more() {
    let (known, _) = Recovery::default().take_stock(&rows(&[(1, "a", false)]), at(10));
    let (known, ask) = known.take_stock(&rows(&[(11, "a", true)]), at(320));
    assert!(ask.is_empty() && known.missing.is_empty());
    assert_eq!(known.given_up, 0);
}

#[test]
fn a_delivery_is_asked_for_three_times_over_a_day_and_then_given_up() {
    let mut known = Recovery::default();
    let mut asked = Vec::new();
    let mut list = rows(&[(1, "a", false)]);
    for minute in 0..(3 * 24 * 60) / 5 {
        let now = at(10 + minute * 300);
        let ask;
        (known, ask) = known.take_stock(&list, now);
        list = Vec::new();
        asked.extend(ask.iter().map(|_| minute * 300));
    }
    assert_eq!(asked, [0, 3_600, 90_000]);
    assert_eq!(asked.len(), usize::from(MOST_ASKED));
    assert_eq!(known.missing["a"].asked, MOST_ASKED, "it is only followed still");
    let (known, ask) = known.take_stock(&[], at(10).plus(KEPT));
    assert!(ask.is_empty() && known.missing.is_empty());
    assert_eq!(known.given_up, 1);
}

#[test]
fn what_was_not_asked_for_after_all_is_asked_for_in_the_next_round_and_uses_up_no_try() {
    let (mut known, ask) = Recovery::default().take_stock(&rows(&[(1, "a", false), (2, "b", false)]), at(10));
    assert_eq!(ask, [1, 2]);
    // The forge took the first and answered nothing to it.
    known.not_asked(&[2], at(10));
    assert_eq!((known.missing["a"].asked, known.missing["b"].asked), (1, 0));
    let (mut known, ask) = known.take_stock(&[], at(310));
    assert_eq!(ask, [2], "the first rests for an hour");
    let (again, ask) = known.take_stock(&[], at(10 + 3_600));
    assert_eq!(ask, [1]);
    known = again;
    known.not_asked(&[1], at(10 + 3_600));
    assert_eq!(known.missing["a"].asked, 1);
    let (_, ask) = known.take_stock(&[], at(10 + 7_200));
    assert_eq!(ask, [1, 2], "the second try of each");
}

#[test]
fn what_has_rested_and_was_not_asked_for_after_all_does_not_rest_again() {
    let (known, ask) = Recovery::default().take_stock(&rows(&[(1, "a", false)]), at(10));
    assert_eq!(ask, [1]);
    let hour = 10 + 3_600;
    let (mut known, ask) = known.take_stock(&[], at(hour));
    assert_eq!(ask, [1], "the second try");
    known.not_asked(&[1], at(hour));
    let (mut known, ask) = known.take_stock(&[], at(hour + 300));
    assert_eq!((ask.as_slice(), known.missing["a"].asked), ([1].as_slice(), 2));
    known.not_asked(&[1], at(hour));
    assert_eq!(known.missing["a"].asked, 2, "told twice, it is given back once");
}

#[test]
fn a_try_that_a_later_round_used_is_not_given_back_by_the_one_before() {
    let list = rows(&[(1, "a", false), (2, "b", false)]);
    let (mut known, _) = Recovery::default().take_stock(&list, at(10));
    // Somebody has all of it asked for again, as if it never had been.
    known.from(at(0), at(0));
    let (mut known, ask) = known.take_stock(&list, at(20));
    assert_eq!(ask, [1, 2]);
    let asked = known.clone();
    known.not_asked(&[1, 2], at(10));
    assert_eq!(known, asked);
    known.not_asked(&[2], at(20));
    assert_eq!((known.missing["a"].asked, known.missing["b"].asked), (1, 0));
}

#[test]
fn what_began_more_than_a_minute_before_the_newest_try_that_was_looked_at_is_not_looked_at_again() {
    let new = Recovery::default();
    assert!(!new.knows(&tried(1, "y", false), at(110)), "nothing was looked at yet");
    let (known, _) = new.take_stock(&rows(&[(100, "a", true)]), at(110));
    for (id, is_known) in [(101, false), (100, false), (40, false), (39, true)] {
        assert_eq!(known.knows(&tried(id, "z", false), at(110)), is_known, "{id}");
    }
    let mut again = known;
    again.from(at(70), at(0));
    for (id, is_known) in [(70, false), (10, false), (9, true)] {
        assert_eq!(again.knows(&tried(id, "z", false), at(110)), is_known, "{id}");
    }
}

#[test]
fn looking_again_since_a_time_goes_back_to_it_and_never_forward() {
    let check = |seen: Option<Timestamp>, created: Timestamp, expected: Timestamp| {
        let look = Look { since: seen, ..Look::default() };
        let mut again = Recovery { look, ..Recovery::default() };
        again.from(at(2), created);
        assert_eq!(again.look.since, Some(expected), "{seen:?}, {created:?}");
    };
    check(Some(at(8)), at(0), at(2));
    check(Some(at(1)), at(0), at(1));
    // No look was whole yet: it would begin where the hook was made.
    check(None, at(5), at(2));
    check(None, at(1), at(1));
}

#[test]
fn looking_again_since_a_later_time_passes_nothing_over() {
    let lost = [(5, "a", false), (4, "b", true)];
    let (known, _) = Recovery::default().take_stock(&rows(&lost), at(10));
    let mut again = known.clone();
    // Nothing is tried later than that.
    again.from(at(90), at(0));
    assert_eq!((&again.cursor, &again.missing), (&known.cursor, &known.missing));
    again.from(at(2), at(0));
    assert!(again.missing.is_empty(), "it is found again");
    // Nothing was looked at yet: all that the forge keeps is new.
    let mut new = Recovery::default();
    new.from(at(2), at(0));
    assert_eq!(new.cursor, None);
}

#[test]
fn looking_again_since_the_very_time_of_a_try_asks_for_that_one_again() {
    let lost = rows(&[(5, "a", false)]);
    let (mut again, _) = Recovery::default().take_stock(&lost, at(10));
    assert!(again.take_stock(&lost, at(20)).1.is_empty(), "it rests");
    again.from(at(5), at(0));
    assert_eq!(again.take_stock(&lost, at(20)).1, [5]);
}

#[test]
fn looking_again_since_a_time_begins_a_look_under_way_anew() {
    let goes_on = Some(GoesOn { project: project("acme"), after: Some("row".into()) });
    let (listed, again) = (Some(at(7)), vec![3]);
    let look = Look { since: Some(at(8)), began: Some(at(9)), goes_on, problem: None, listed, again };
    let mut again = Recovery { look, ..Recovery::default() };
    again.from(at(2), at(0));
    assert_eq!(again.look, Look { since: Some(at(2)), ..Look::default() });
}

fn project(id: &str) -> ProjectId {
    ProjectId::new(id).unwrap()
}

#[test]
fn a_look_goes_on_by_the_names_of_projects_whatever_becomes_of_them_meanwhile() {
    let check = |projects: &[&str], goes_on: Option<(&str, &str)>, expected: &[&str], after: Option<&str>| {
        let goes_on = goes_on.map(|(id, row)| GoesOn { project: project(id), after: Some(row.into()) });
        let projects: Vec<_> = projects.iter().map(|id| project(id)).collect();
        let (left, row) = Look { goes_on, ..Look::default() }.left(&projects);
        let left: Vec<_> = left.into_iter().map(ProjectId::as_str).collect();
        assert_eq!((left.as_slice(), row.as_deref()), (expected, after), "{projects:?}");
    };
    check(&["c", "a", "b", "a"], None, &["a", "b", "c"], None);
    check(&["a", "b", "c"], Some(("b", "row")), &["b", "c"], Some("row"));
    check(&["c", "b", "a"], Some(("b", "row")), &["b", "c"], Some("row"));
    // The row is of a list that is gone.
    check(&["a", "c"], Some(("b", "row")), &["c"], None);
    check(&["a"], Some(("b", "row")), &[], None);
    // Added before it and after it.
    check(&["a", "aa", "b", "bb"], Some(("b", "row")), &["b", "bb"], Some("row"));
}

#[test]
fn a_look_under_way_is_read_by_the_version_of_before_and_its_own_here_and_each_begins_anew() {
    #[derive(Deserialize)]
    struct Before {
        since: Option<Timestamp>,
        resume: Option<(usize, Option<String>)>,
    }
    let goes_on = Some(GoesOn { project: project("acme"), after: None });
    let (listed, again) = (Some(at(7)), vec![3]);
    let look = Look { since: Some(at(8)), began: Some(at(9)), goes_on, problem: None, listed, again };
    let stored = serde_json::to_value(&look).unwrap();
    assert_eq!(serde_json::from_value::<Look>(stored.clone()).unwrap(), look);
    let before: Before = serde_json::from_value(stored).unwrap();
    assert_eq!((before.since, before.resume), (look.since, None));
    let stored = serde_json::json!({ "since": at(8), "began": at(9), "resume": [1, "row"] });
    let begun = Look { goes_on: None, listed: None, again: Vec::new(), ..look };
    assert_eq!(serde_json::from_value::<Look>(stored).unwrap(), begun);
}

#[test]
fn what_no_forge_keeps_any_more_is_not_looked_at() {
    let new = Recovery::default();
    let last = at(5).plus(KEPT);
    assert!(!new.knows(&tried(5, "b", false), last));
    assert!(new.knows(&tried(5, "b", false), last.plus(Duration::from_millis(1))));
}

#[test]
fn a_delivery_is_followed_for_as_long_as_its_forge_keeps_it() {
    let (known, _) = Recovery::default().take_stock(&rows(&[(1, "a", false)]), at(10));
    let last = at(1).plus(KEPT);
    let (known, _) = known.take_stock(&[], last);
    assert_eq!((known.missing.len(), known.given_up), (1, 0));
    let (known, ask) = known.take_stock(&[], last.plus(Duration::from_millis(1)));
    assert_eq!((known.missing.len(), known.given_up, ask.len()), (0, 1, 0));
}

#[test]
fn a_list_that_was_read_is_read_again_in_five_minutes_from_where_that_ended() {
    let (known, _) = Recovery::default().take_stock(&rows(&[(5, "a", true)]), at(10));
    let (next, _) = Recovery { problem: Some("502".into()), ..known.clone() }.take_stock(&[], at(20));
    assert_eq!((next.next, next.problem, &next.cursor), (at(320), None, &known.cursor));
}

#[test]
fn of_more_than_one_round_asks_for_the_oldest_are_asked_for_first() {
    let guids: Vec<String> = (0..60).map(|n| format!("g{n}")).collect();
    let lost: Vec<(u64, &str, bool)> = (1..).zip(&guids).map(|(id, guid)| (id, guid.as_str(), false)).collect();
    let (known, ask) = Recovery::default().take_stock(&rows(&lost), at(1_000));
    assert_eq!(ask, (1..=50).collect::<Vec<_>>());
    let (_, ask) = known.take_stock(&[], at(1_300));
    assert_eq!(ask, (51..=60).collect::<Vec<_>>(), "those that were asked for rest for an hour");
}

#[test]
fn a_flood_of_failures_does_not_outgrow_the_item() {
    let guids: Vec<String> = (0..500).map(|n| format!("g{n}")).collect();
    let flood: Vec<(u64, &str, bool)> =
        guids.iter().enumerate().map(|(n, guid)| (u64::try_from(n).unwrap() + 1, guid.as_str(), false)).collect();
    let (known, ask) = Recovery::default().take_stock(&rows(&flood), at(1_000));
    assert_eq!(known.missing.len(), MOST_FOLLOWED);
    assert_eq!(known.given_up, 239, "those of the last minute are read again");
    assert_eq!(ask.len(), recovery::MOST_PER_ROUND);
    // The list stands still, and then moves on.
    let last = rows(&flood[439..]);
    let (known, _) = known.take_stock(&last, at(1_300));
    assert_eq!((known.missing.len(), known.given_up), (MOST_FOLLOWED, 239));
    let newer: Vec<_> = std::iter::once(tried(1_500, "newer", true)).chain(last).collect();
    let (known, _) = known.take_stock(&newer, at(1_600));
    assert_eq!((known.missing.len(), known.given_up), (MOST_FOLLOWED, 300), "each once");
}

#[test]
fn a_failure_of_the_last_minute_that_found_no_room_is_followed_once_there_is_some() {
    let guids: Vec<String> = (0..201).map(|n| format!("g{n}")).collect();
    let lost: Vec<(u64, &str, bool)> = (1..).zip(&guids).map(|(id, guid)| (id, guid.as_str(), false)).collect();
    let (known, _) = Recovery::default().take_stock(&rows(&lost), at(300));
    assert_eq!((known.missing.contains_key("g200"), known.given_up), (false, 0));
    // The oldest arrives by its second try.
    let list: Vec<_> = std::iter::once(tried(310, "g0", true)).chain(rows(&lost[140..])).collect();
    let (known, _) = known.take_stock(&list, at(600));
    assert_eq!((known.missing.len(), known.given_up), (MOST_FOLLOWED, 0));
    assert_eq!(known.missing["g200"].id, 201);
}

#[test]
fn a_review_that_was_answered_is_not_decided_again_by_looking() {
    let job = JobId::new(format!("job_{}", "a".repeat(26))).unwrap();
    assert!(is_answered(Some(&Reason::Accepted { job })));
    assert!(is_answered(Some(&Reason::OwnReview {})));
    assert!(!is_answered(None));
    let unknown = Reason::PermissionUnknown { forge: IntegrationId::new("gh1").unwrap(), author: "ann".into() };
    assert!(!is_answered(Some(&unknown)));
    let contended = Reason::Contended { subject: "acme/app#7".into(), left: Span(60) };
    assert!(!is_answered(Some(&contended)), "nothing was decided");
}

#[test]
fn a_review_whose_author_a_forge_never_vouches_for_is_looked_at_for_a_day() {
    let unknown = Reason::PermissionUnknown { forge: IntegrationId::new("gh1").unwrap(), author: "ann".into() };
    let day = Duration::from_secs(24 * 3600);
    assert!(is_undecided(&unknown, Duration::ZERO) && is_undecided(&unknown, day - Duration::from_millis(1)));
    assert!(!is_undecided(&unknown, day));
    assert!(!is_undecided(&Reason::OwnReview {}, Duration::ZERO));
}

#[test]
fn that_a_pull_request_had_no_ticket_is_no_answer_once_it_has_one() {
    let unlinked = Reason::NoLinkedTicket { pr: "acme/app#7".into() };
    assert!(is_answered(Some(&unlinked)) && !is_answered_when_linked(Some(&unlinked)));
    assert!(is_answered_when_linked(Some(&Reason::OwnReview {})) && !is_answered_when_linked(None));
}

fn of_a_repository() -> Hook {
    let kind = HookKind::Repository { name: RepositoryName::new("acme/app").unwrap(), id: 9 };
    Hook {
        name: HookName::new("acme").unwrap(),
        integration: IntegrationId::new("gh1").unwrap(),
        forge: ForgeKind::GitHub,
        home: ProjectId::new("acme").unwrap(),
        others: Vec::new(),
        kind,
        secret: SecretName::new("hook-acme").unwrap(),
        base_url: Some("https://pullyard.example/".into()),
        forge_id: None,
        created: at(0),
        recovery: Recovery::default(),
        tries: 0,
        not_before: None,
        rev: 0,
    }
}

#[test]
fn each_kind_of_forge_has_an_address_of_its_own_and_hooks_of_before_are_githubs() {
    let of = |forge| Hook { forge, ..of_a_repository() };
    for (forge, path, stored) in [
        (ForgeKind::GitHub, "/webhooks/github/acme", serde_json::Value::Null),
        (ForgeKind::Bitbucket, "/webhooks/bitbucket/acme", "bitbucket".into()),
    ] {
        assert_eq!(of(forge).path(), path);
        let written = serde_json::to_value(of(forge)).unwrap();
        assert_eq!(written["forge"], stored);
        assert_eq!(serde_json::from_value::<Hook>(written).unwrap(), of(forge));
    }
}

#[test]
fn a_repositorys_hook_speaks_for_that_repository_only() {
    let mut hook = of_a_repository();
    assert!(hook.may_tell_of(9) && !hook.may_tell_of(10));
    assert_eq!(hook.url().as_deref(), Some("https://pullyard.example/webhooks/github/acme"));
    hook.kind = HookKind::App {};
    assert!(hook.may_tell_of(10));
    hook.base_url = None;
    assert_eq!(hook.url(), None, "nobody knows where we are");
    hook.others = vec![ProjectId::new("neighbour").unwrap()];
    assert_eq!(hook.projects().map(ProjectId::as_str).collect::<Vec<_>>(), ["acme", "neighbour"]);
}

#[test]
fn a_round_of_looks_compares_as_many_as_leave_half_of_what_a_forge_takes_to_jobs() {
    for (kind, calls, taken_hourly) in [(ForgeKind::GitHub, 2, 5_000), (ForgeKind::Bitbucket, 4, 1_000)] {
        let hourly = |compared: u16| 3_600 / poll_every(kind).as_secs() * u64::from(compared) * calls;
        let most = most_compared(kind);
        assert!(hourly(most) <= taken_hourly / 2 && hourly(most + 1) > taken_hourly / 2, "{kind:?}");
    }
}

#[test]
fn a_hook_is_called_by_what_it_is_of() {
    assert_eq!(of_a_repository().kind.words(), "acme/app");
    assert_eq!(HookKind::Organisation { login: "acme".into() }.words(), "all of acme");
    assert_eq!(HookKind::App {}.words(), "the App");
}

fn polled(gone_at: Option<i64>) -> Poll {
    Poll {
        project: ProjectId::new("acme").unwrap(),
        integration: IntegrationId::new("gh1").unwrap(),
        repository: 7,
        ingress: Ingress::Poll,
        gone_at: gone_at.map(at),
        next: at(0),
        look: Look::default(),
        tries: 0,
        not_before: None,
        rev: 3,
    }
}

#[test]
fn a_deletion_that_is_told_while_the_forge_is_asked_stands_where_an_older_one_was_noted_too() {
    for before in [None, Some(1), Some(5)] {
        let gone = polled(before).gone(at(6)).unwrap();
        assert_eq!(gone, polled(Some(6)), "{before:?}");
        assert_eq!(gone.back(at(5), at(9)), None, "{before:?}");
    }
    // What was told then or later is newer.
    assert_eq!(polled(Some(6)).gone(at(6)), None);
    assert_eq!(polled(Some(7)).gone(at(6)), None);
}

#[test]
fn what_was_noted_after_the_forge_was_asked_is_not_taken_back_by_its_answer() {
    let there = Poll { next: at(9), ..polled(None) };
    let check = |gone_at: Option<i64>, expected: Option<&Poll>| {
        assert_eq!(polled(gone_at).back(at(5), at(9)).as_ref(), expected, "{gone_at:?}");
    };
    check(None, None);
    check(Some(4), Some(&there));
    check(Some(5), Some(&there));
    check(Some(6), None);
}
