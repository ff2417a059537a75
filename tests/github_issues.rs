//! Tests issues of GitHub as tickets: labels start jobs, and show how they end.

use crate::prelude::*;
use crate::webhooks::World;
use crate::webhooks::raises::ann;

const KEY: &str = "acme/app#1001";

/// A story whose tickets are the issues of its repository, found by polling.
async fn story_with_issues() -> (Story, User) {
    let story = Story::start_with_waiting_tasks().await;
    let user = User::of(&story);
    let added = user.ok(&["trackers", "add", "gh1", "--kind", "github_issues"]).await;
    assert!(added.contains("kind\tGitHub Issues\n"), "{added}");
    user.ok(&["trackers", "use", "gh1"]).await;
    story.set_ingress(REPOSITORY, Ingress::Poll).await;
    poll(&story).await;
    (story, user)
}

async fn poll(story: &Story) {
    story.advance_and_sweep(Duration::from_secs(61)).await;
    story.wait_for_empty_queues().await;
}

async fn create_issue(story: &Story) {
    let issue = json!({ "title": "Greet in German", "body": "Say `Hallo`." });
    assert_eq!(story.call_forge(Method::POST, "/issues", issue).await["number"], 1_001);
}

async fn add_label(story: &Story, label: &str) {
    story.call_forge(Method::POST, "/issues/1001/labels", json!({ "labels": [label] })).await;
}

/// Leaves the label in the repository, but not at the issue.
async fn create_label(story: &Story, label: &str) {
    add_label(story, label).await;
    let path = format!("/issues/1001/labels/{}", label.replace(' ', "%20"));
    story.call_forge(Method::DELETE, &path, Value::Null).await;
}

async fn issue(story: &Story) -> (Vec<String>, String) {
    let issue = story.call_forge(Method::GET, "/issues/1001", Value::Null).await;
    let labels = issue["labels"].as_array().unwrap().iter().map(|label| label["name"].as_str().unwrap().to_owned());
    (labels.collect(), issue["state"].as_str().unwrap().to_owned())
}

async fn wait_for_active_job(story: &Story) -> JobId {
    wait_until("the label starts a job", async || {
        let jobs = story.jobs().await;
        let active = jobs.iter().find(|job| !job.status.is_terminal()).map(|job| job.id.clone());
        active.ok_or_else(|| format!("{jobs:?}"))
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn label_starts_a_job_and_its_failure_is_shown() {
    let (story, user) = story_with_issues().await;
    create_issue(&story).await;
    add_label(&story, TRIGGER).await;
    poll(&story).await;
    let job = wait_for_active_job(&story).await;
    let ticket = story.ticket(KEY).await;
    assert_eq!((ticket.title.as_str(), ticket.description.as_str()), ("Greet in German", "Say `Hallo`."));
    assert_eq!(ticket.repository.as_ref().map(|name| name.as_str()), Some(REPOSITORY));
    assert_eq!(ticket.tracker.as_ref().map(|tool| tool.as_str()), Some("gh1"));

    let (_, client) = story.claim(&job, "claim-1").await.unwrap();
    enter_phases(&client, Phase::Executing).await;
    client.finish(&failed_finish("finish-1")).await.unwrap();
    let ticket = story.wait_for_settled_ticket(KEY).await;
    assert_eq!((ticket.status.as_str(), ticket.badges.as_slice()), (TODO, &["AI Failed".to_owned()][..]));
    assert_eq!(issue(&story).await, (vec!["AI Failed".to_owned()], "open".to_owned()));
    let comments = story.call_forge(Method::GET, "/issues/1001/comments", Value::Null).await;
    let text = comments[0]["body"].as_str().unwrap();
    assert!(text.contains(&format!("/jobs/{job}\n\n<!-- msg_")), "{text}");
    assert_eq!(comments.as_array().unwrap().len(), 1);
    // Our own changes start nothing.
    poll(&story).await;
    assert_eq!(story.jobs().await.len(), 1);

    // A user sets the label again.
    add_label(&story, TRIGGER).await;
    poll(&story).await;
    let second = wait_for_active_job(&story).await;
    wait_until("the badge is gone", async || {
        let (labels, _) = issue(&story).await;
        if labels == [TRIGGER] { Ok(()) } else { Err(format!("{labels:?}")) }
    })
    .await;
    // A user's label wins over the end of the job.
    add_label(&story, REVIEW).await;
    user.ok(&["jobs", "cancel", second.as_str(), "--yes"]).await;
    let ticket = story.wait_for_settled_ticket(KEY).await;
    assert_eq!(ticket.status, REVIEW);
    assert_eq!(issue(&story).await.0, [TRIGGER, REVIEW]);
}

/// GitHub gives an issue the label that the repository has, in its spelling.
#[tokio::test(flavor = "multi_thread")]
async fn labels_of_the_repository_count_in_any_letter_case() {
    let (story, _) = story_with_issues().await;
    create_issue(&story).await;
    for label in ["in review", "ai processing"] {
        create_label(&story, label).await;
    }
    poll(&story).await;
    add_label(&story, TRIGGER).await;
    assert_eq!(issue(&story).await.0, ["ai processing"]);
    poll(&story).await;
    let job = wait_for_active_job(&story).await;
    let (_, client) = story.claim(&job, "claim-1").await.unwrap();
    enter_phases(&client, Phase::Syncing).await;
    client.finish(&completed_finish("finish-1", 4)).await.unwrap();
    assert_eq!(story.wait_for_settled_ticket(KEY).await.status, REVIEW);
    assert_eq!(issue(&story).await, (vec!["in review".to_owned()], "open".to_owned()));
    // The next look leaves it in its column.
    poll(&story).await;
    assert_eq!(story.ticket(KEY).await.status, REVIEW);
    assert_eq!(story.jobs().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn issue_from_before_the_connection_is_shown_without_a_job() {
    let story = Story::start_with_waiting_tasks().await;
    let user = User::of(&story);
    create_issue(&story).await;
    add_label(&story, TRIGGER).await;
    story.clock.advance(Duration::from_secs(86_400));
    story.local.forge().advance(Duration::from_secs(86_400));
    user.ok(&["trackers", "add", "gh1", "--kind", "github_issues"]).await;
    user.ok(&["trackers", "use", "gh1"]).await;
    story.set_ingress(REPOSITORY, Ingress::Poll).await;
    poll(&story).await;
    assert_eq!(story.ticket(KEY).await.status, TRIGGER);
    // Neither an edit nor a repeated choice starts a job.
    add_label(&story, "other").await;
    user.ok(&["trackers", "use", "gh1"]).await;
    poll(&story).await;
    assert!(story.jobs().await.is_empty());
    story.local.forge().advance(Duration::from_secs(120));
    story.call_forge(Method::DELETE, "/issues/1001/labels/AI%20Processing", Value::Null).await;
    poll(&story).await;
    add_label(&story, TRIGGER).await;
    poll(&story).await;
    wait_for_active_job(&story).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn move_on_the_board_sets_labels_and_closes_the_issue() {
    let (story, user) = story_with_issues().await;
    create_issue(&story).await;
    poll(&story).await;
    let ticket = wait_until("the issue is on the board", async || {
        story.api.ticket(&story.project, &TicketKey::new(KEY).unwrap()).await.map_err(|error| error.to_string())
    })
    .await;
    assert_eq!(ticket.status, TODO);
    for (column, expected) in
        [(REVIEW, (vec![REVIEW.to_owned()], "open")), ("Done", (vec![], "closed")), (TODO, (vec![], "open"))]
    {
        user.ok(&["tickets", "move", KEY, column]).await;
        let moved = story.wait_for_settled_ticket(KEY).await;
        assert_eq!(moved.status, column);
        let (labels, state) = issue(&story).await;
        assert_eq!((labels, state.as_str()), expected, "{column}");
    }
    assert!(story.jobs().await.is_empty());
    user.ok(&["tickets", "move", KEY, TRIGGER]).await;
    wait_for_active_job(&story).await;
    assert_eq!(issue(&story).await.0, [TRIGGER]);
}

#[tokio::test(flavor = "multi_thread")]
async fn delivery_about_an_issue_is_a_hint_to_read_it() {
    let world = World::with_hook().await;
    let (story, user) = (&world.story, User::of(&world.story));
    create_issue(story).await;
    let delivery = json!({
        "action": "labeled", "issue": { "number": 1_001 }, "label": { "name": "other" },
        "repository": { "id": world.repository, "full_name": REPOSITORY },
        "sender": { "id": 1, "login": "ann", "type": "User" },
    });
    let (status, answer) = world.send("acme", "issues", &delivery).await;
    assert_eq!((status, &answer["code"]), (200, &json!("event_ignored")), "without a tool: {answer}");
    user.ok(&["trackers", "add", "gh1", "--kind", "github_issues"]).await;
    user.ok(&["trackers", "use", "gh1"]).await;
    add_label(story, TRIGGER).await;
    let (status, answer) = world.send("acme", "issues", &delivery).await;
    assert_eq!((status, &answer["code"]), (200, &json!("noted")), "{answer}");
    let ticket = wait_until("the issue is read", async || {
        story.api.ticket(&story.project, &TicketKey::new(KEY).unwrap()).await.map_err(|error| error.to_string())
    })
    .await;
    assert_eq!(ticket.status, TRIGGER);
    // A look by hand finds the same.
    user.ok(&["tickets", "sync", KEY]).await;
    story.wait_for_empty_queues().await;
    let started = story.jobs().await.into_iter().filter(|job| job.ticket == Some(ticket.key.clone())).count();
    assert_eq!(started, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn comment_on_an_issue_raises_the_limit_of_its_ticket() {
    let world = World::with_hook().await;
    let (story, user) = (&world.story, User::of(&world.story));
    create_issue(story).await;
    let mut comment = world.comment(5, "/pullyard raise 20", &ann());
    comment["issue"] = json!({ "number": 1_001 });
    let send = async || world.send("acme", "issue_comment", &comment).await.1["code"].clone();
    assert_eq!(send().await, "event_ignored", "without a tool");
    user.ok(&["trackers", "add", "gh1", "--kind", "github_issues"]).await;
    user.ok(&["trackers", "use", "gh1"]).await;
    let hint = json!({
        "action": "labeled", "issue": { "number": 1_001 }, "label": { "name": "other" },
        "repository": { "id": world.repository, "full_name": REPOSITORY }, "sender": ann(),
    });
    world.send("acme", "issues", &hint).await;
    wait_until("the issue is read", async || {
        story.api.ticket(&story.project, &TicketKey::new(KEY).unwrap()).await.map_err(|error| error.to_string())
    })
    .await;
    assert_eq!(send().await, "limit_raised");
    assert_eq!(send().await, "repeat");
    assert_eq!(world.list_raises(KEY).await, [20]);
    let replies = world.list_comments(1_001).await;
    assert_eq!(replies.len(), 1, "{replies:?}");
    assert!(replies[0].starts_with("ann raised the limit of acme/app#1001 to $70.00 until "), "{}", replies[0]);

    comment["comment"]["id"] = json!(6);
    comment["comment"]["body"] = json!("\n/pullyard raise 20");
    let (_, answer) = world.send("acme", "issue_comment", &comment).await;
    assert_eq!(answer["code"], "unknown_command", "{answer}");
    let replies = world.list_comments(1_001).await;
    assert!(replies[1].starts_with("A comment on acme/app#1001 is almost a command"), "{}", replies[1]);
    assert_eq!(world.list_raises(KEY).await, [20]);
}

#[tokio::test(flavor = "multi_thread")]
async fn poll_finds_a_comment_on_an_issue_that_raises_a_limit() {
    let (story, user) = story_with_issues().await;
    create_issue(&story).await;
    poll(&story).await;
    assert_eq!(story.ticket(KEY).await.status, TODO);
    story.call_forge(Method::POST, "/issues/1001/comments", json!({ "body": "/pullyard raise 20" })).await;
    for _ in 0..2 {
        poll(&story).await;
    }
    let comments = story.call_forge(Method::GET, "/issues/1001/comments", Value::Null).await;
    let texts: Vec<_> = comments.as_array().unwrap().iter().map(|comment| comment["body"].as_str().unwrap()).collect();
    assert_eq!(texts.len(), 2, "the comment and one reply: {texts:?}");
    assert!(texts[1].contains("raised the limit of acme/app#1001 to $70.00 until "), "{}", texts[1]);
    let used = user.ok(&["tickets", "raise", KEY, "--jobs", "1"]).await;
    assert!(used.contains("of $70.00"), "{used}");
}

#[tokio::test(flavor = "multi_thread")]
async fn undecided_raise_is_repeated_and_hides_no_later_one() {
    let (story, _) = story_with_issues().await;
    let last = 1_022;
    for number in 1_001..=last {
        let created = story.call_forge(Method::POST, "/issues", json!({ "title": "Greet", "body": "" })).await;
        assert_eq!(created["number"], number);
    }
    poll(&story).await;
    let path = |number: u64| format!("/issues/{number}/comments");
    for number in [1_001, last] {
        story.call_forge(Method::POST, &path(number), json!({ "body": "/pullyard raise 20" })).await;
    }
    let lost_reply = CallFilter { method: Some("POST".into()), path: path(1_001) };
    story.local.forge().inject_fault(lost_reply, 1, Fault::status(503));
    let count = async |number: u64| {
        let comments = story.call_forge(Method::GET, &path(number), Value::Null).await;
        comments.as_array().unwrap().len()
    };
    poll(&story).await;
    assert_eq!((count(1_001).await, count(last).await), (1, 2), "one reply failed");
    // Longer than the overlap of two polls: the list of changed comments has it no more.
    story.advance_and_sweep(Duration::from_secs(1_300)).await;
    story.wait_for_empty_queues().await;
    assert_eq!((count(1_001).await, count(last).await), (2, 2));
}
