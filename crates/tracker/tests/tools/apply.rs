//! A wanted state is shown once, and a person's move wins.

use crate::world::{KINDS, World};
use pullyard_fake_tracker::{BACKLOG, DONE, IN_REVIEW, Kind, PERSON, PROCESSING, State};
use pullyard_tracker::{Applied, Desired, Error, Step};
use serde_json::json;
use std::pin::pin;

const LINK: (&str, &str) = ("https://forge.example/pull/4", "acme/app#4");

fn check_failed(world: &World) {
    let ticket = world.ticket();
    assert_eq!((ticket.status, ticket.labels.clone()), (BACKLOG, vec!["urgent".to_owned(), world.badge(0)]));
    assert_eq!(ticket.links.into_iter().collect::<Vec<_>>(), [(LINK.0.to_owned(), LINK.1.to_owned())]);
}

#[tokio::test]
async fn repeated_failure_is_shown_once() {
    for kind in KINDS {
        let world = World::new(kind).await;
        world.fake.state().set_labels(world.key, &["urgent"]);
        for _ in 0..2 {
            assert_eq!(world.apply(&world.failed()).await, Ok(Applied::Shown));
            check_failed(&world);
            assert_eq!(world.ticket().comments().len(), 1);
        }
        let repeated = match kind {
            Kind::Jira => &["GET", "POST /rest/api/3/comment/list"][..],
            Kind::Linear => &["query Ticket"],
        };
        world.fake.take_calls();
        world.apply(&world.failed()).await.unwrap();
        for call in world.fake.take_calls() {
            assert!(repeated.iter().any(|part| call.contains(part)), "{call}");
        }
        let comment = &world.ticket().comments()[0];
        match kind {
            Kind::Jira => {
                let link = r#"{"marks":[{"attrs":{"href":"https://pullyard.example/jobs/job_1_2"},"type":"link"}],"text":"https://pullyard.example/jobs/job_1_2 ","type":"text"}"#;
                assert!(comment.contains(link), "{comment}");
            }
            Kind::Linear => {
                assert_eq!(comment, "The agent \\*stopped\\*.\n\nSee https://pullyard.example/jobs/job_1_2 for more.")
            }
        }
        // Another version has a comment of its own.
        world.apply(&Desired { message: "msg_50".to_owned(), ..world.failed() }).await.unwrap();
        assert_eq!(world.ticket().comments().len(), 2);
    }
}

#[tokio::test]
async fn success_removes_our_badges_alone_and_moves() {
    for kind in KINDS {
        let world = World::new(kind).await;
        world.fake.state().set_labels(world.key, &["urgent", &world.badge(0), &world.badge(1)]);
        let step = Some(Step { to: world.id(IN_REVIEW), expected: world.id(PROCESSING) });
        let desired = Desired { step, badge: None, comment: None, ..world.failed() };
        assert_eq!(world.apply(&desired).await, Ok(Applied::Shown));
        let ticket = world.ticket();
        assert_eq!(
            (ticket.status, ticket.labels.clone(), ticket.comments().len()),
            (IN_REVIEW, vec!["urgent".to_owned()], 0)
        );
    }
}

#[tokio::test]
async fn other_badge_replaces_the_shown_one() {
    for kind in KINDS {
        let world = World::new(kind).await;
        world.fake.state().set_labels(world.key, &[&world.badge(0)]);
        let waiting = Desired { badge: Some(world.badge(1)), step: None, ..world.failed() };
        assert_eq!(world.apply(&waiting).await, Ok(Applied::Shown));
        assert_eq!((world.ticket().labels, world.ticket().status), (vec![world.badge(1)], PROCESSING));
    }
}

#[tokio::test]
async fn state_that_is_shown_already_changes_nothing() {
    for kind in KINDS {
        let world = World::new(kind).await;
        let desired = Desired { step: world.failed().step, badges: world.failed().badges, ..Desired::default() };
        world.fake.state().move_ticket(world.key, BACKLOG, PERSON);
        let before = world.read().await.unwrap();
        assert_eq!(world.apply(&desired).await, Ok(Applied::Shown));
        assert_eq!(world.read().await.unwrap(), before);
    }
}

#[tokio::test]
async fn move_by_a_person_wins() {
    for kind in KINDS {
        let world = World::new(kind).await;
        world.fake.state().set_labels(world.key, &["urgent"]);
        world.fake.state().move_ticket(world.key, DONE, PERSON);
        let moved = Applied::Moved { status: world.id(DONE) };
        assert_eq!(world.apply(&world.failed()).await, Ok(moved));
        let ticket = world.ticket();
        assert_eq!((ticket.status, ticket.labels.clone()), (DONE, vec!["urgent".to_owned(), world.badge(0)]));
        assert_eq!((ticket.links.len(), ticket.comments().len()), (1, 1));
    }
}

#[tokio::test]
async fn move_during_the_calls_wins() {
    for (kind, call) in [
        (Kind::Jira, "POST /rest/api/3/issue/PRJ-7/comment"),
        (Kind::Jira, "GET /rest/api/3/issue/PRJ-7/transitions"),
        (Kind::Linear, "mutation Link"),
        (Kind::Linear, "mutation Comment"),
        (Kind::Linear, "mutation CreateLabel"),
    ] {
        for (status, applied) in [(DONE, None), (BACKLOG, Some(Applied::Shown))] {
            let world = World::new(kind).await;
            let key = world.key;
            world.fake.before(call, move |state| state.move_ticket(key, status, PERSON));
            let expected = applied.unwrap_or(Applied::Moved { status: world.id(status) });
            assert_eq!(world.apply(&world.failed()).await, Ok(expected), "{call}");
            assert_eq!(world.ticket().status, status, "{call}");
        }
    }
}

/// Rights, screens and settings of the tool may forbid one step.
#[tokio::test]
async fn refused_step_stops_no_other_one() {
    let jira = [
        ("POST /rest/api/3/issue/PRJ-7/remotelink", 403, "link: status 403: No"),
        ("GET /rest/api/3/issue/PRJ-7/remotelink", 404, "link: the tool does not find it"),
        ("PUT /rest/api/3/issue/PRJ-7", 400, "label: status 400: No"),
        ("POST /rest/api/3/issue/PRJ-7/comment", 403, "comment: status 403: No"),
    ];
    let linear = [
        ("mutation Link", 200, "link: status 403: No."),
        ("mutation Comment", 200, "comment: status 403: No."),
        ("mutation CreateLabel", 200, "label: status 403: No."),
    ];
    for kind in KINDS {
        let calls = if kind == Kind::Jira { &jira[..] } else { &linear };
        for (call, status, reason) in calls {
            let world = World::new(kind).await;
            let body = match kind {
                Kind::Jira => json!({ "errorMessages": ["No."], "errors": {} }),
                Kind::Linear => json!({ "errors": [{ "message": "No.", "extensions": { "code": "FORBIDDEN" } }] }),
            };
            world.fake.answer(call, (*status, Vec::new(), body));
            let reason = (*reason).to_owned();
            assert_eq!(world.apply(&world.failed()).await, Err(Error::WriteRefused { reason }), "{call}");
            let (ticket, is_about) = (world.ticket(), |part| call.contains(part));
            let shown = (ticket.status, ticket.links.len(), ticket.comments().len(), ticket.labels.len());
            let expected = |part| usize::from(!is_about(part));
            let labels = expected(if kind == Kind::Jira { "PUT" } else { "Label" });
            let link = usize::from(!(is_about("remotelink") || is_about("Link")));
            let comment = usize::from(!(is_about("comment") || is_about("Comment")));
            assert_eq!(shown, (BACKLOG, link, comment, labels), "{call}");
            assert_eq!(world.apply(&world.failed()).await, Ok(Applied::Shown), "{call}");
        }
    }
}

#[tokio::test]
async fn rate_limit_stops_all_steps() {
    for (kind, call) in [(Kind::Jira, "POST /rest/api/3/issue/PRJ-7/remotelink"), (Kind::Linear, "mutation Link")] {
        let world = World::new(kind).await;
        world.fake.answer(call, (429, Vec::new(), json!({})));
        assert!(matches!(world.apply(&world.failed()).await, Err(Error::Resting { .. })));
        assert_eq!((world.ticket().status, world.ticket().comments().len()), (PROCESSING, 0));
    }
}

/// Linear changes labels and state together, or nothing.
#[tokio::test]
async fn label_that_linear_rejects_does_not_stop_the_move() {
    let world = World::new(Kind::Linear).await;
    let extensions = json!({ "code": "INPUT_ERROR", "userPresentableMessage": "The label is a group." });
    let body = json!({ "errors": [{ "message": "raw", "extensions": extensions }], "data": null });
    world.fake.answer("mutation Update", (200, Vec::new(), body));
    let reason = "label: The label is a group.".to_owned();
    assert_eq!(world.apply(&world.failed()).await, Err(Error::WriteRefused { reason }));
    assert_eq!((world.ticket().status, world.ticket().labels.len()), (BACKLOG, 0));
}

#[tokio::test]
async fn rejected_move_without_labels_is_sent_once() {
    let world = World::new(Kind::Linear).await;
    let body = json!({ "errors": [{ "message": "raw", "extensions": { "code": "INPUT_ERROR" } }], "data": null });
    world.fake.answer("mutation Update", (200, Vec::new(), body));
    let applied = world.apply(&Desired { step: world.failed().step, ..Desired::default() }).await;
    assert_eq!(applied, Err(Error::WriteRefused { reason: "raw".to_owned() }));
    assert_eq!(world.ticket().status, PROCESSING);
}

#[tokio::test]
async fn label_of_linear_is_found_in_any_case() {
    let world = World::new(Kind::Linear).await;
    world.fake.state().add_workspace_label("AI failed");
    for _ in 0..2 {
        assert_eq!(world.apply(&world.failed()).await, Ok(Applied::Shown));
        assert_eq!(
            (world.ticket().labels, world.fake.state().label_names()),
            (vec!["AI failed".to_owned()], vec!["AI failed"])
        );
    }
    let waiting = Desired { badge: Some(world.badge(1)), ..world.failed() };
    assert_eq!(world.apply(&waiting).await, Ok(Applied::Shown));
    assert_eq!(world.ticket().labels, [world.badge(1)]);
}

#[tokio::test]
async fn deleted_comment_of_linear_stays_deleted() {
    let world = World::new(Kind::Linear).await;
    let comment = Desired { step: None, ..world.failed() };
    world.apply(&comment).await.unwrap();
    world.fake.state().delete_comments(world.key);
    assert_eq!(world.apply(&world.failed()).await, Ok(Applied::Shown));
    assert_eq!((world.ticket().status, world.ticket().comments().len()), (BACKLOG, 0));
}

/// Each write may be executed although its answer is lost.
#[tokio::test]
async fn lost_answer_leads_to_the_same_state() {
    let jira = [
        "PUT /rest/api/3/issue/PRJ-7",
        "POST /rest/api/3/issue/PRJ-7/comment",
        "PRJ-7/remotelink",
        "POST /rest/api/3/issue/PRJ-7/transitions",
    ];
    let linear = ["mutation CreateLabel", "mutation Link", "mutation Comment", "mutation Update"];
    let calls = jira.map(|call| (Kind::Jira, call)).into_iter().chain(linear.map(|call| (Kind::Linear, call)));
    for (kind, call) in calls {
        let world = World::new(kind).await;
        world.fake.state().set_labels(world.key, &["urgent"]);
        world.fake.lose_answer(call);
        let lost = world.apply(&world.failed()).await;
        assert!(matches!(lost, Err(Error::Unreachable { .. })), "{call}: {lost:?}");
        assert_eq!(world.apply(&world.failed()).await, Ok(Applied::Shown), "{call}");
        check_failed(&world);
        assert_eq!(world.ticket().comments().len(), 1, "{call}");
    }
}

#[tokio::test]
async fn move_that_the_tool_leaves_undone_has_its_sentence() {
    for kind in KINDS {
        let world = World::new(kind).await;
        world.fake.state().redirect_moves(PROCESSING);
        let undone = Error::MoveUndone { status: "Backlog".to_owned() };
        let sentence = "the tool accepted the move to \"Backlog\" and left the ticket where it was; \
            check the rules of its workflow";
        assert!(undone.is_of_ticket() && undone.to_string() == sentence, "{undone}");
        assert_eq!(world.apply(&world.failed()).await, Err(undone));
        assert_eq!((world.ticket().status, world.ticket().comments().len()), (PROCESSING, 1));
    }
}

#[tokio::test]
async fn transition_into_another_status_is_a_move() {
    for kind in KINDS {
        let world = World::new(kind).await;
        world.fake.state().redirect_moves(DONE);
        assert_eq!(world.apply(&world.failed()).await, Ok(Applied::Moved { status: world.id(DONE) }));
    }
}

#[tokio::test]
async fn mutation_of_linear_without_success_is_a_failure() {
    for mutation in ["attachmentCreate", "commentCreate", "issueLabelCreate", "issueUpdate"] {
        let world = World::new(Kind::Linear).await;
        let document = match mutation {
            "attachmentCreate" => "mutation Link",
            "commentCreate" => "mutation Comment",
            "issueLabelCreate" => "mutation CreateLabel",
            _ => "mutation Update",
        };
        let body = json!({ "data": { mutation: { "success": false, "issueLabel": null, "issue": null } } });
        world.fake.answer(document, (200, Vec::new(), body));
        let error = world.apply(&world.failed()).await.unwrap_err();
        let is_named = error.to_string().contains(&format!("{mutation} did nothing"));
        assert!(is_named && error.is_of_ticket() && !error.is_transient(), "{error}");
    }
}

#[tokio::test]
async fn impossible_transition_is_refused_after_the_rest() {
    type Rule = fn(&mut State);
    let rules: [(Rule, Error); 2] = [
        (|state| state.close_path(PROCESSING, BACKLOG), Error::StatusUnreachable { status: "Backlog".to_owned() }),
        (
            |state| state.require_field(BACKLOG, "Root cause"),
            Error::TransitionRefused { reason: "Root cause is required".to_owned() },
        ),
    ];
    for (rule, expected) in rules {
        let world = World::new(Kind::Jira).await;
        rule(&mut world.fake.state());
        assert_eq!(world.apply(&world.failed()).await, Err(expected));
        let ticket = world.ticket();
        assert_eq!((ticket.status, ticket.labels.clone()), (PROCESSING, vec![world.badge(0)]));
        assert_eq!((ticket.links.len(), ticket.comments().len()), (1, 1));
    }
}

#[tokio::test]
async fn transition_is_possible_with_its_field_or_another_path() {
    type Remedy = fn(&mut State);
    let remedies: [Remedy; 2] = [|state| state.fill_field("PRJ-7"), |state| state.add_shortcut(BACKLOG)];
    for remedy in remedies {
        let world = World::new(Kind::Jira).await;
        world.fake.state().require_field(BACKLOG, "Root cause");
        assert!(matches!(world.apply(&world.failed()).await, Err(Error::TransitionRefused { .. })));
        remedy(&mut world.fake.state());
        assert_eq!(world.apply(&world.failed()).await, Ok(Applied::Shown));
        assert_eq!(world.ticket().status, BACKLOG);
    }
}

#[tokio::test]
async fn no_label_but_our_badges_is_removed() {
    for kind in KINDS {
        let world = World::new(kind).await;
        world.fake.state().set_labels(world.key, &["urgent", "repo:app"]);
        assert_eq!(world.apply(&Desired::default()).await, Ok(Applied::Shown));
        assert_eq!(world.ticket().labels, ["urgent", "repo:app"]);
    }
}

#[tokio::test]
async fn unknown_status_is_named_after_the_rest() {
    for kind in KINDS {
        let world = World::new(kind).await;
        let step = Some(Step { to: "10099".to_owned(), expected: world.id(PROCESSING) });
        let applied = world.apply(&Desired { step, ..world.failed() }).await;
        assert_eq!(applied, Err(Error::UnknownStatus { id: "10099".to_owned() }));
        assert_eq!((world.ticket().status, world.ticket().labels), (PROCESSING, vec![world.badge(0)]));
    }
}

#[tokio::test]
async fn second_transition_at_once_is_retried_later() {
    let world = World::new(Kind::Jira).await;
    world.fake.state().hold_transitions(true);
    let desired = world.failed();
    let mut first = pin!(world.apply(&desired));
    while !world.ticket().is_in_transition() {
        tokio::select! {
            ended = &mut first => panic!("no transition began: {ended:?}"),
            () = tokio::task::yield_now() => {}
        }
    }
    let second = world.apply(&Desired { link: None, comment: None, ..world.failed() }).await;
    world.fake.state().hold_transitions(false);
    assert_eq!(second, Err(Error::TicketBusy { reason: "the tool is changing it" }));
    assert_eq!(first.await, Ok(Applied::Shown));
    assert_eq!(world.apply(&desired).await, Ok(Applied::Shown));
}

#[tokio::test]
async fn label_of_another_team_is_not_used() {
    let world = World::new(Kind::Linear).await;
    world.fake.state().add_foreign_label("AI Failed");
    world.apply(&world.failed()).await.unwrap();
    assert_eq!(world.fake.state().label_names(), ["AI Failed", "AI Failed"]);
    // A label of the workspace is used.
    let world = World::new(Kind::Linear).await;
    world.fake.state().add_workspace_label("AI Failed");
    world.apply(&world.failed()).await.unwrap();
    assert_eq!(world.fake.state().label_names(), ["AI Failed"]);
}
