//! Bitbucket Cloud's deliveries, with bodies from its documentation.

use super::{Sample, bitbucket_samples};
use crate::{
    Actor, PullRequestState, ReviewState, Time,
    bitbucket::{review_id, uuid_to_id},
    webhook::{
        CommentAction, Event, ParseError, PullRequestAction, RepositoryChange, ReviewAction, ReviewEvent, parse,
    },
};
use pullyard_domain::project::forge::ForgeKind::Bitbucket;
use serde_json::{Value, json};

const ANN: &str = "{0a6a5c0e-3c57-4b7a-9d5e-5b9a4d2b7c11}";
const SHOP: &str = "{5e1f4f3c-52a9-4c53-9a35-7a1d5b8e0c42}";
const CHANGES_REQUESTED: &str = "pullrequest:changes_request_created";
const CHANGES_WITHDRAWN: &str = "pullrequest:changes_request_removed";

const SUPPORTED_EVENTS: [(&str, &[&str]); 11] = [
    (CHANGES_REQUESTED, &[CHANGES_WITHDRAWN]),
    (CHANGES_WITHDRAWN, &[CHANGES_REQUESTED]),
    ("pullrequest:comment_created", &["pullrequest:comment_deleted"]),
    ("pullrequest:created", &PULL_REQUEST_EVENTS),
    ("pullrequest:fulfilled", &PULL_REQUEST_EVENTS),
    ("pullrequest:push", &PULL_REQUEST_EVENTS),
    ("pullrequest:rejected", &PULL_REQUEST_EVENTS),
    ("pullrequest:updated", &PULL_REQUEST_EVENTS),
    ("repo:deleted", &["repo:transfer"]),
    ("repo:transfer", &["repo:deleted"]),
    ("repo:updated", &[]),
];
const PULL_REQUEST_EVENTS: [&str; 5] =
    ["pullrequest:created", "pullrequest:fulfilled", "pullrequest:push", "pullrequest:rejected", "pullrequest:updated"];

fn sample(name: &str) -> Sample {
    bitbucket_samples().into_iter().find(|sample| sample.name == format!("{name}.json")).unwrap()
}

fn body(name: &str) -> Value {
    serde_json::from_slice(&sample(name).body).unwrap()
}

fn parse_event(event: &str, body: &Value) -> Result<Event, ParseError> {
    parse(Bitbucket, event, body.to_string().as_bytes())
}

fn parse_sample(name: &str) -> Event {
    let sample = sample(name);
    parse(Bitbucket, &sample.event, &sample.body).unwrap()
}

fn review(event: Event) -> ReviewEvent {
    match event {
        Event::Review(review) => *review,
        other => panic!("{other:?}"),
    }
}

#[test]
fn change_request_is_parsed_completely() {
    let event = review(parse_sample("pullrequest.changes_request_created.reviewer"));
    let date = Time::parse("2026-11-20T12:04:01.894Z").unwrap();
    let ann = Actor { id: uuid_to_id(ANN), login: "ann".to_owned(), is_bot: false };
    assert_eq!((event.action, event.review.state), (ReviewAction::Submitted, ReviewState::ChangesRequested));
    assert_eq!(event.review.id, review_id(3, ANN, date), "the id that polling derives");
    assert_eq!((event.review.submitted_at, event.review.author.as_ref()), (Some(date), Some(&ann)));
    assert_eq!(event.review.body.as_str(), "");
    assert_eq!(event.review.url, "https://bitbucket.org/acme/shop/pull-requests/3");
    let pull = event.pull_request;
    assert_eq!((pull.number, pull.state, pull.draft), (3, PullRequestState::Open, false));
    assert_eq!((pull.head_branch.as_str(), pull.base_branch.as_str()), ("pullyard/acme/shop-17-1", "main"));
    assert_eq!((pull.head_sha.as_str(), pull.head_repository), ("a1b2c3d4e5f6", Some(uuid_to_id(SHOP))));
    assert_eq!(pull.updated_at, Time::parse("2026-11-20T12:04:01.900Z").unwrap());
    assert_eq!((event.repository.id, event.repository.full_name.as_str()), (uuid_to_id(SHOP), "acme/shop"));
}

#[test]
fn deleted_accounts_and_branches_parse_as_none() {
    let pull = review(parse_sample("pullrequest.changes_request_created.branch_gone")).pull_request;
    assert_eq!((pull.head_sha.as_str(), pull.head_repository), ("", None));
    for user in [json!(null), json!({ "type": "user", "display_name": "Former user" })] {
        let mut payload = body("pullrequest.changes_request_created.reviewer");
        payload["changes_request"]["user"] = user;
        assert_eq!(review(parse_event(CHANGES_REQUESTED, &payload).unwrap()).review.author, None);
    }
}

/// The event's name is not signed, so a withdrawal could be replayed as a request.
#[test]
fn withdrawn_request_is_dismissed_under_any_event_name() {
    let created = review(parse_sample("pullrequest.changes_request_created.reviewer"));
    let removed = review(parse_sample("pullrequest.changes_request_removed.reviewer"));
    assert_eq!((removed.action, removed.review.state), (ReviewAction::Dismissed, ReviewState::Dismissed));
    assert_eq!(removed.review.id, created.review.id, "both events are about the same review");
    let renamed =
        review(parse_event(CHANGES_REQUESTED, &body("pullrequest.changes_request_removed.reviewer")).unwrap());
    assert_eq!(renamed.review.state, ReviewState::Dismissed);
    // The request counts if its author is missing from the participants.
    let state = |change: fn(&mut Value)| {
        let mut payload = body("pullrequest.changes_request_created.reviewer");
        change(&mut payload["pullrequest"]["participants"]);
        review(parse_event(CHANGES_REQUESTED, &payload).unwrap()).review.state
    };
    assert_eq!(state(|people| *people = json!([])), ReviewState::ChangesRequested);
    assert_eq!(state(|people| people[0]["user"]["uuid"] = json!("{b}")), ReviewState::ChangesRequested);
    assert_eq!(state(|people| people[0]["user"] = json!(null)), ReviewState::ChangesRequested);
    assert_eq!(state(|people| people[0]["state"] = json!("approved")), ReviewState::Dismissed);
    let other_writing = |people: &mut Value| {
        people[0]["user"]["uuid"] = json!(ANN.to_uppercase());
        people[0]["state"] = json!(null);
    };
    assert_eq!(state(other_writing), ReviewState::Dismissed);
}

#[test]
fn each_pull_request_event_has_its_action() {
    let check = |name: &str, action: PullRequestAction, state: PullRequestState| {
        let Event::PullRequest(event) = parse_sample(name) else { panic!("{name}") };
        assert_eq!((event.action, event.pull_request.state), (action, state), "{name}");
        assert_eq!(event.sender.unwrap().id, uuid_to_id(ANN));
    };
    let other = |event: &str| PullRequestAction::Other(event.to_owned());
    check("pullrequest.created.plain", PullRequestAction::Opened, PullRequestState::Open);
    check("pullrequest.updated.title", other("pullrequest:updated"), PullRequestState::Open);
    check("pullrequest.push.moved", PullRequestAction::Synchronize, PullRequestState::Open);
    check("pullrequest.fulfilled.merged", PullRequestAction::Closed { merged: true }, PullRequestState::Merged);
    check("pullrequest.rejected.declined", PullRequestAction::Closed { merged: false }, PullRequestState::Closed);
    check("pullrequest.rejected.superseded", PullRequestAction::Closed { merged: false }, PullRequestState::Closed);
}

#[test]
fn line_and_general_comments_parse_alike() {
    let Event::Comment(event) = parse_sample("pullrequest.comment_created.command") else { panic!() };
    assert_eq!((event.action, event.number, event.is_pull_request), (CommentAction::Created, 3, true));
    assert_eq!(event.comment.id, 9_007_199_254_740_999);
    assert_eq!(event.comment.body, "/pullyard revise use tabs");
    assert_eq!(event.comment.author.map(|author| author.id), Some(uuid_to_id(ANN)));
    assert_eq!(event.comment.created_at, Time::parse("2026-11-20T12:03:00Z").unwrap());
    let Event::Comment(event) = parse_sample("pullrequest.comment_created.line") else { panic!() };
    assert_eq!((event.number, event.comment.body.as_str()), (3, "Use tabs."));
    for hidden in ["deleted", "pending"] {
        let mut payload = body("pullrequest.comment_created.command");
        payload["comment"][hidden] = json!(true);
        let event = parse_event("pullrequest:comment_created", &payload).unwrap();
        assert!(matches!(event, Event::Ignored { .. }), "{hidden}: {event:?}");
    }
}

#[test]
fn renamed_repository_keeps_its_id() {
    for (name, expected, full_name) in [
        ("repo.updated.name", RepositoryChange::Renamed, "acme/store"),
        ("repo.transfer.plain", RepositoryChange::Transferred, "acme/store"),
        ("repo.deleted.plain", RepositoryChange::MaybeDeleted, "acme/shop"),
    ] {
        let Event::Repository(event) = parse_sample(name) else { panic!("{name}") };
        assert_eq!((event.change, event.repository.id), (expected, uuid_to_id(SHOP)));
        assert_eq!(event.repository.full_name, full_name);
    }
    assert!(matches!(parse_sample("repo.updated.description"), Event::Ignored { .. }));
    let mut payload = body("repo.updated.name");
    payload["changes"].as_object_mut().unwrap().remove("full_name");
    let Ok(Event::Repository(event)) = parse_event("repo:updated", &payload) else { panic!() };
    assert_eq!(event.change, RepositoryChange::Renamed);
}

#[test]
fn unsupported_events_are_ignored() {
    for name in ["pullrequest.approved.reviewer", "pullrequest.comment_deleted.command", "repo.push.branch"] {
        assert_eq!(parse_sample(name), Event::Ignored { event: sample(name).event, action: None });
    }
    assert!(matches!(parse_event("new:thing", &json!({})), Ok(Event::Ignored { .. })));
}

/// The event's name is not signed, so bodies of one shape must mean the same or require a call to the forge.
#[test]
fn body_is_rejected_as_an_event_of_another_shape() {
    for sample in bitbucket_samples() {
        for (event, alike) in SUPPORTED_EVENTS {
            let result = parse(Bitbucket, event, &sample.body);
            let may = event == sample.event || alike.contains(&sample.event.as_str());
            assert!(may || result.is_err(), "{} as {event}: {result:?}", sample.name);
        }
    }
    // The body contains whether it was merged or declined.
    let open = body("pullrequest.push.moved");
    for (event, body) in [
        ("pullrequest:fulfilled", &open),
        ("pullrequest:rejected", &open),
        ("pullrequest:fulfilled", &body("pullrequest.rejected.declined")),
        ("pullrequest:rejected", &body("pullrequest.fulfilled.merged")),
    ] {
        let unreadable = parse_event(event, body).unwrap_err();
        assert_eq!(unreadable.pointer, "/pullrequest/state");
        assert_eq!(unreadable.fault, format!("it does not match the event {event}"));
    }
}

#[test]
fn body_with_the_subject_of_another_event_is_rejected() {
    let subjects =
        ["approval", "changes", "changes_request", "comment", "commit_status", "fork", "issue", "pullrequest", "push"];
    let each: [(&str, &[&str]); 7] = [
        ("pullrequest.changes_request_created.reviewer", &["changes_request", "pullrequest"]),
        ("pullrequest.changes_request_removed.reviewer", &["changes_request", "pullrequest"]),
        ("pullrequest.comment_created.command", &["comment", "pullrequest"]),
        ("pullrequest.created.plain", &["pullrequest"]),
        ("repo.deleted.plain", &[]),
        ("repo.transfer.plain", &[]),
        ("repo.updated.name", &["changes"]),
    ];
    for (name, own) in each {
        let event = sample(name).event;
        for subject in subjects.into_iter().filter(|subject| !own.contains(subject)) {
            let mut payload = body(name);
            payload[subject] = json!({});
            let unreadable = parse_event(&event, &payload).unwrap_err();
            assert_eq!(unreadable.fault, format!("it has the field {subject}, which a {event} event never has"));
        }
    }
}

#[test]
fn login_is_the_first_nonblank_name_and_apps_are_bots() {
    let id = uuid_to_id(ANN);
    for (nickname, display_name, login) in [
        (json!("ann"), json!("Ann A."), "ann"),
        (json!(" "), json!("Ann A."), "Ann A."),
        (json!(null), json!("Ann A."), "Ann A."),
        (json!(""), json!(null), ANN),
    ] {
        for (kind, is_bot) in [("user", false), ("team", false), ("app_user", true)] {
            let mut payload = body("pullrequest.comment_created.command");
            payload["actor"] = json!({ "type": kind, "uuid": ANN, "nickname": nickname, "display_name": display_name });
            let Ok(Event::Comment(event)) = parse_event("pullrequest:comment_created", &payload) else {
                panic!("{payload}")
            };
            assert_eq!(event.sender, Actor { id, login: login.to_owned(), is_bot });
        }
    }
}

#[test]
fn fault_names_the_place_and_not_the_value() {
    let check = |name: &str, at: &str, value: Value, pointer: &str, fault: &str| {
        let mut body = body(name);
        *body.pointer_mut(at).unwrap() = value;
        let unreadable = parse_event(&sample(name).event, &body).unwrap_err();
        assert_eq!((unreadable.pointer.as_str(), unreadable.fault.as_str()), (pointer, fault));
    };
    let sample = "pullrequest.changes_request_created.reviewer";
    check(sample, "/changes_request", json!({}), "/changes_request/date", "it is missing");
    check(
        sample,
        "/changes_request/date",
        json!("secret"),
        "/changes_request/date",
        "it is not a time as RFC 3339 text",
    );
    check(sample, "/pullrequest/id", json!("secret"), "/pullrequest/id", "it is not a whole number");
    check(
        sample,
        "/pullrequest/state",
        json!("secret"),
        "/pullrequest/state",
        "it is not one of `OPEN`, `MERGED`, `DECLINED`, `SUPERSEDED`",
    );
    check(sample, "/pullrequest/participants", json!({}), "/pullrequest/participants", "it is not a sequence");
    check(sample, "/repository", json!({ "id": 1 }), "/repository/uuid", "it is missing");
    check(sample, "/repository/full_name", json!(7), "/repository/full_name", "it is not a string");
    let comment = "pullrequest.comment_created.command";
    check(comment, "/comment/id", json!(-1), "/comment/id", "it is not a whole number");
    check(comment, "/comment/content", json!(7), "/comment/content", "it is not an object");
    check(comment, "/actor", json!({ "display_name": "x" }), "/actor/uuid", "it is missing");
}

#[test]
fn invalid_delivery_names_its_fault() {
    let check = |event: &str, body: Value, expected: &str| {
        assert_eq!(parse_event(event, &body).unwrap_err().fault, expected);
    };
    check(CHANGES_REQUESTED, json!({}), "it is missing");
    check(CHANGES_REQUESTED, json!([]), "it is not an object");
    for no_name in ["", "a\nb", "pullrequest changes", &"a".repeat(65)] {
        check(no_name, json!({}), "the header has no event");
    }
    let mut other = body("pullrequest.changes_request_created.reviewer");
    check(
        "pullrequest:push",
        other.clone(),
        "it has the field changes_request, which a pullrequest:push event never has",
    );
    other.as_object_mut().unwrap().remove("pullrequest");
    check("repo:deleted", other, "it has the field changes_request, which a repo:deleted event never has");
    let unreadable = parse(pullyard_domain::project::forge::ForgeKind::GitHub, CHANGES_REQUESTED, b"{}").unwrap_err();
    assert_eq!(unreadable.fault, "the header has no event");
}
