//! GitHub's deliveries, with bodies from its schema and documentation.

use super::{SUPPORTED_EVENTS, all_github_samples, github_sample, parse_sample};
use crate::{
    Actor, PullRequestState, ReviewState, Time,
    webhook::{CommentAction, Event, PullRequestAction, RepositoryChange, ReviewAction, ReviewEvent, parse},
};
use pullyard_domain::project::forge::ForgeKind::GitHub;

const ANN: u64 = 9_007_199_254_740_995;

fn review(name: &str) -> ReviewEvent {
    match parse_sample(name) {
        Event::Review(review) => *review,
        other => panic!("{other:?}"),
    }
}

fn action(name: &str) -> PullRequestAction {
    match parse_sample(name) {
        Event::PullRequest(event) => event.action,
        other => panic!("{other:?}"),
    }
}

#[test]
fn change_request_is_parsed_completely() {
    let event = review("pull_request_review.changes_requested");
    assert_eq!((event.action, event.review.state), (ReviewAction::Submitted, ReviewState::ChangesRequested));
    assert_eq!(event.review.id, 9_007_199_254_740_993);
    assert_eq!(event.review.body, "Rename it.");
    assert_eq!(event.review.submitted_at, Time::parse("2026-11-20T12:04:01Z"));
    assert_eq!(event.review.author, Some(Actor { id: ANN, login: "ann".to_owned(), is_bot: false }));
    let pull = event.pull_request;
    assert_eq!((pull.number, pull.state, pull.draft), (3, PullRequestState::Open, false));
    assert_eq!((pull.head_branch.as_str(), pull.base_branch.as_str()), ("pullyard/acme/app-17-1", "main"));
    assert_eq!((pull.head_sha, pull.head_repository), ("a".repeat(40), Some(9_007_199_254_740_997)));
    assert_eq!((event.repository.id, event.repository.full_name.as_str()), (9_007_199_254_740_997, "acme/app"));
}

#[test]
fn review_without_body_author_or_branch_is_parsed() {
    let event = review("pull_request_review.without_words");
    assert_eq!((event.review.body.as_str(), event.pull_request.head_repository), ("", None));
    assert_eq!(review("pull_request_review.deleted_author").review.author, None);
}

#[test]
fn review_action_and_state_are_separate() {
    let action_and_state = |name: &str| {
        let event = review(name);
        (event.action, event.review.state)
    };
    assert_eq!(action_and_state("pull_request_review.approved"), (ReviewAction::Submitted, ReviewState::Approved));
    assert_eq!(action_and_state("pull_request_review.edited"), (ReviewAction::Edited, ReviewState::ChangesRequested));
    assert_eq!(action_and_state("pull_request_review.dismissed"), (ReviewAction::Dismissed, ReviewState::Dismissed));
}

#[test]
fn each_pull_request_event_has_its_action() {
    assert_eq!(action("pull_request.opened"), PullRequestAction::Opened);
    assert_eq!(action("pull_request.reopened"), PullRequestAction::Reopened);
    assert_eq!(action("pull_request.merged"), PullRequestAction::Closed { merged: true });
    assert_eq!(action("pull_request.closed"), PullRequestAction::Closed { merged: false });
    assert_eq!(action("pull_request.synchronize"), PullRequestAction::Synchronize);
    assert_eq!(action("pull_request.labeled"), PullRequestAction::Labeled { label: "pullyard:revise".to_owned() });
    assert_eq!(action("pull_request.ready_for_review"), PullRequestAction::ReadyForReview);
}

#[test]
fn pull_request_and_issue_comments_are_distinguished() {
    for (name, expected) in [
        ("issue_comment.created", CommentAction::Created),
        ("issue_comment.edited", CommentAction::Edited),
        ("issue_comment.deleted", CommentAction::Deleted),
    ] {
        let Event::Comment(event) = parse_sample(name) else { panic!("{name}") };
        assert_eq!((event.action, event.number, event.is_pull_request), (expected, 3, true));
        assert_eq!((event.comment.id, event.comment.body.as_str()), (9_007_199_254_740_999, "/pullyard revise"));
    }
    let sample = github_sample("issue_comment.created");
    let mut body: serde_json::Value = serde_json::from_slice(&sample.body).unwrap();
    body["issue"].as_object_mut().unwrap().remove("pull_request");
    let Ok(Event::Comment(event)) = parse(GitHub, "issue_comment", body.to_string().as_bytes()) else { panic!() };
    assert!(!event.is_pull_request);
}

#[test]
fn renamed_repository_keeps_its_id() {
    for (name, expected) in [
        ("repository.renamed", RepositoryChange::Renamed),
        ("repository.transferred", RepositoryChange::Transferred),
        ("repository.deleted", RepositoryChange::Deleted),
    ] {
        let Event::Repository(event) = parse_sample(name) else { panic!("{name}") };
        assert_eq!((event.change, event.repository.id), (expected, 9_007_199_254_740_997));
    }
    assert!(matches!(parse_sample("repository.archived"), Event::Ignored { .. }));
}

#[test]
fn unsupported_events_are_ignored() {
    for (name, event, action) in [
        ("installation.created", "installation", Some("created")),
        ("pull_request_review_comment.created", "pull_request_review_comment", Some("created")),
        ("push.push", "push", None),
        ("star.deleted", "star", Some("deleted")),
    ] {
        let action = action.map(str::to_owned);
        assert_eq!(parse_sample(name), Event::Ignored { event: event.to_owned(), action });
    }
}

#[test]
fn unknown_action_is_ignored() {
    for name in ["pull_request_review.approved", "issue_comment.created", "repository.deleted"] {
        let sample = github_sample(name);
        let mut body: serde_json::Value = serde_json::from_slice(&sample.body).unwrap();
        body["action"] = "new_thing".into();
        let event = parse(GitHub, &sample.event, body.to_string().as_bytes()).unwrap();
        assert_eq!(event, Event::Ignored { event: sample.event, action: Some("new_thing".to_owned()) });
    }
}

#[test]
fn every_published_body_is_parsed_or_ignored() {
    let mut counts = std::collections::BTreeMap::<String, usize>::new();
    for sample in all_github_samples() {
        let event = parse(GitHub, &sample.event, &sample.body);
        let event = event.unwrap_or_else(|fault| panic!("{}: {fault}", sample.name));
        let ignored = matches!(event, Event::Ignored { .. });
        if !SUPPORTED_EVENTS.contains(&sample.event.as_str()) {
            assert!(ignored, "{}", sample.name);
        }
        *counts.entry(format!("{} {}", sample.event, if ignored { "ignored" } else { "read" })).or_default() += 1;
    }
    println!("{counts:#?}");
}

/// The header is not signed, so a body could be replayed under another name.
#[test]
fn body_is_ignored_or_rejected_as_another_event() {
    for sample in all_github_samples() {
        for event in SUPPORTED_EVENTS.into_iter().filter(|event| *event != sample.event) {
            if let Ok(outcome) = parse(GitHub, event, &sample.body) {
                assert!(matches!(outcome, Event::Ignored { .. }), "{} as {event}: {outcome:?}", sample.name);
            }
        }
    }
}

/// The header is not signed, so a body must reveal another event by its fields.
#[test]
fn body_with_the_subject_of_another_event_is_rejected() {
    let subjects = [
        "alert",
        "commit",
        "comment",
        "discussion",
        "hook",
        "issue",
        "pull_request",
        "ref",
        "release",
        "review",
        "thread",
        "zen",
    ];
    let each: [(&str, &[&str]); 4] = [
        ("pull_request_review.changes_requested", &["review", "pull_request"]),
        ("pull_request.opened", &["pull_request"]),
        ("issue_comment.created", &["issue", "comment"]),
        ("repository.deleted", &[]),
    ];
    for (name, own) in each {
        let sample = github_sample(name);
        for subject in subjects.into_iter().filter(|subject| !own.contains(subject)) {
            let mut body: serde_json::Value = serde_json::from_slice(&sample.body).unwrap();
            body[subject] = serde_json::json!({});
            let unreadable = parse(GitHub, &sample.event, body.to_string().as_bytes()).unwrap_err();
            let event = &sample.event;
            assert_eq!(unreadable.fault, format!("it has the field {subject}, which a {event} event never has"));
        }
    }
}

#[test]
fn common_fields_do_not_prevent_parsing() {
    let sample = github_sample("repository.deleted");
    let mut body: serde_json::Value = serde_json::from_slice(&sample.body).unwrap();
    ["organization", "enterprise", "changes"].iter().for_each(|field| body[*field] = serde_json::json!({}));
    body["installation"] = serde_json::json!({ "id": 5 });
    let result = parse(GitHub, &sample.event, body.to_string().as_bytes());
    let Ok(Event::Repository(event)) = result else { panic!("{result:?}") };
    assert_eq!(event.change, RepositoryChange::Deleted);
}

#[test]
fn fault_repeats_only_plain_field_names() {
    let sample = github_sample("repository.deleted");
    let (longest, longer) = ("a".repeat(40), "a".repeat(41));
    let named = format!("the field {longest}");
    for (field, expected) in [
        ("some_thing", "the field some_thing"),
        (longest.as_str(), named.as_str()),
        (longer.as_str(), "a field"),
        ("Secret", "a field"),
        ("a secret", "a field"),
        ("4711", "a field"),
    ] {
        let mut body: serde_json::Value = serde_json::from_slice(&sample.body).unwrap();
        body[field] = serde_json::json!(1);
        let unreadable = parse(GitHub, "repository", body.to_string().as_bytes()).unwrap_err();
        assert_eq!(unreadable.fault, format!("it has {expected}, which a repository event never has"));
    }
}

#[test]
fn merged_state_of_a_review_comes_from_merged_at() {
    let sample = github_sample("pull_request_review.changes_requested");
    let mut body: serde_json::Value = serde_json::from_slice(&sample.body).unwrap();
    assert_eq!(body["pull_request"].get("merged"), None);
    body["pull_request"]["state"] = "closed".into();
    for (merged_at, state) in [
        (serde_json::json!("2026-11-20T12:04:01Z"), PullRequestState::Merged),
        (serde_json::json!(null), PullRequestState::Closed),
    ] {
        body["pull_request"]["merged_at"] = merged_at;
        let event = match parse(GitHub, "pull_request_review", body.to_string().as_bytes()) {
            Ok(Event::Review(event)) => event,
            other => panic!("{other:?}"),
        };
        assert_eq!(event.pull_request.state, state);
    }
}
