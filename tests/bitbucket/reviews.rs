//! Tests change requests on Bitbucket Cloud: found by polling, sent to one job, answered once.

use super::{SHOP, World};
use crate::prelude::*;
use pullyard_domain::job::JobResult;
use pullyard_local::User;
use pullyard_protocol::delivery::Delivery;

const POLL_INTERVAL: Duration = Duration::from_secs(301);
const HOUR: Duration = Duration::from_secs(3_600);

fn prompt_saving_agent(story: &Story, _: &str) -> String {
    let at = story.folder().display();
    format!("#!/bin/sh\ncat > \"{at}/told-$PULLYARD_JOB\"\necho \"$PULLYARD_JOB\" >> work.txt\n")
}

async fn polled_pull() -> (World, JobResult) {
    let world = World::new(Task::Runner, prompt_saving_agent).await;
    world.story.update_settings(|settings| settings.revise_on_review = true).await;
    world.user.ok(&["repos", "ingress", SHOP, "poll"]).await;
    let (_, first) = world.run_ticket("e1", 1).await;
    (world, first)
}

impl World {
    async fn reviewer(&self, login: &str, id: u64, role: Role, number: u64) -> Reviewer<'_> {
        let (forge, token) = (self.story.local.forge(), format!("token-of-{login}"));
        let user = User { login: login.into(), id, token: token.clone() };
        forge.add_user(user, AccountKind::User).await.unwrap();
        forge.set_role(SHOP, login, role).await.unwrap();
        Reviewer { world: self, token, number }
    }

    /// Advances both clocks past the next poll and waits for all follow-up work.
    async fn poll(&self) {
        self.advance(POLL_INTERVAL).await;
    }

    async fn advance(&self, time: Duration) {
        self.story.local.forge().advance(time);
        self.story.advance_and_sweep(time).await;
        self.story.wait_for_empty_queues().await;
    }

    async fn nth_revision(&self, count: usize) -> JobId {
        let mut jobs = self.story.revisions().await;
        assert_eq!(jobs.len(), count, "{jobs:?}");
        jobs.remove(count - 1).id
    }

    fn prompt(&self, job: &JobId) -> String {
        std::fs::read_to_string(self.story.folder().join(format!("told-{job}"))).unwrap()
    }

    async fn thread_replies(&self, number: u64, thread: u64) -> Vec<String> {
        let all = self.get(&format!("/pullrequests/{number}/comments?pagelen=100")).await;
        let is_of = |comment: &&Value| comment["parent"]["id"] == json!(thread);
        let text = |comment: &Value| comment["content"]["raw"].as_str().unwrap().to_owned();
        all["values"].as_array().unwrap().iter().filter(is_of).map(text).collect()
    }

    async fn deliveries_by(&self, login: &str) -> Vec<Delivery> {
        let all = self.story.api.deliveries(&self.story.project, None).await.unwrap().deliveries;
        all.into_iter().filter(|entry| entry.review.as_ref().is_some_and(|of| of.author == login)).collect()
    }
}

struct Reviewer<'a> {
    world: &'a World,
    token: String,
    number: u64,
}

impl Reviewer<'_> {
    async fn call(&self, method: Method, path: &str, body: Value) -> Value {
        let path = format!("/repositories/{SHOP}/pullrequests/{}{path}", self.number);
        self.world.story.call_bitbucket(&self.token, method, &path, body).await
    }

    async fn comment(&self, text: &str) {
        self.call(Method::POST, "/comments", json!({ "content": { "raw": text } })).await;
    }

    async fn comment_on_line(&self, path: &str, line: u64, text: &str) -> u64 {
        let body = json!({ "content": { "raw": text }, "inline": { "path": path, "to": line } });
        self.call(Method::POST, "/comments", body).await["id"].as_u64().unwrap()
    }

    async fn request_changes(&self) {
        self.call(Method::POST, "/request-changes", Value::Null).await;
    }

    async fn withdraw_request(&self) {
        self.call(Method::DELETE, "/request-changes", Value::Null).await;
    }

    async fn approve(&self) {
        self.call(Method::POST, "/approve", Value::Null).await;
    }

    async fn add_as_reviewer(&self) {
        let story = &self.world.story;
        let own = story.call_bitbucket(&self.token, Method::GET, "/user", Value::Null).await;
        let pull = self.world.get(&format!("/pullrequests/{}", self.number)).await;
        let (title, text) = (&pull["title"], super::description(&pull));
        let body = json!({ "title": title, "description": text, "reviewers": [{ "uuid": own["uuid"] }] });
        let path = format!("/repositories/{SHOP}/pullrequests/{}", self.number);
        story.call_bitbucket(&self.world.token, Method::PUT, &path, body).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn polled_change_request_becomes_one_commit_with_one_reply() {
    let (world, first) = polled_pull().await;
    let ann = world.reviewer("ann", 77, Role::Write, first.number).await;
    let thread = ann.comment_on_line("work.txt", 1, "This line, please.").await;
    ann.comment("Say it twice.").await;
    ann.request_changes().await;
    // A comment after the request but before admission is included, and is not marked as changed.
    ann.comment("With tabs.").await;
    world.poll().await;
    let job = world.nth_revision(1).await;
    let (_, revised) = world.wait_completed(&job).await;
    assert_eq!(world.git(&["rev-parse", &format!("{}^", revised.head)]).await, first.head);

    let prompt = world.prompt(&job);
    for text in ["This line, please.", "Say it twice.", "With tabs.", "work.txt", "line 1", "ann", &first.url] {
        assert!(prompt.contains(text), "{text:?} is not in:\n{prompt}");
    }
    assert!(!prompt.contains("changed after"), "{prompt}");
    let answers = world.thread_replies(first.number, thread).await;
    let [answer] = &answers[..] else { panic!("not one answer: {answers:?}") };
    assert!(answer.contains(&revised.head[..10]) && !answer.contains("<!--"), "{answer}");

    for _ in 0..3 {
        world.poll().await;
    }
    assert_eq!(world.nth_revision(1).await, job, "the same request started another job");
    let entries = world.deliveries_by("ann").await;
    let [entry] = &entries[..] else { panic!("not one entry: {entries:?}") };
    assert_eq!((entry.code.as_str(), entry.job.as_ref()), ("accepted", Some(&job)));
}

#[tokio::test(flavor = "multi_thread")]
async fn second_change_request_includes_only_new_comments() {
    let (world, first) = polled_pull().await;
    let ann = world.reviewer("ann", 77, Role::Write, first.number).await;
    let before = ann.comment_on_line("work.txt", 1, "This line, please.").await;
    ann.request_changes().await;
    let after = ann.comment_on_line("work.txt", 1, "With tabs.").await;
    ann.comment("At the end.").await;
    world.poll().await;
    let job = world.nth_revision(1).await;
    world.wait_completed(&job).await;
    let comments = ["This line, please.", "With tabs.", "At the end."];
    let prompt = world.prompt(&job);
    assert!(comments.iter().all(|text| prompt.contains(text)), "{prompt}");

    ann.withdraw_request().await;
    let thread = ann.comment_on_line("work.txt", 2, "And that one.").await;
    ann.request_changes().await;
    world.poll().await;
    world.nth_revision(1).await;
    let held = world.deliveries_by("ann").await.iter().filter(|entry| entry.code == "held_until").count();
    assert_eq!(held, 1, "the second request was not held for the hour");
    world.advance(HOUR).await;
    let job = world.nth_revision(2).await;
    world.wait_completed(&job).await;
    let prompt = world.prompt(&job);
    assert!(prompt.contains("And that one.") && !comments.iter().any(|text| prompt.contains(text)), "{prompt}");
    for thread in [before, after, thread] {
        assert_eq!(world.thread_replies(first.number, thread).await.len(), 1);
    }

    // A revision that a user requests does not include answered comments either.
    let ran = world.user.run(&["revise", &first.url, "-m", "That is all."]).await;
    let last: JobId = ran.assert_success().trim_end().parse().unwrap();
    world.wait_completed(&last).await;
    let prompt = world.prompt(&last);
    assert!(prompt.contains("That is all.") && !prompt.contains("And that one."), "{prompt}");
}

#[tokio::test(flavor = "multi_thread")]
async fn withdrawn_or_approved_change_request_starts_no_job() {
    let (world, first) = polled_pull().await;
    let ann = world.reviewer("ann", 77, Role::Write, first.number).await;
    ann.comment("Not yet.").await;
    ann.request_changes().await;
    ann.withdraw_request().await;
    world.poll().await;
    ann.request_changes().await;
    ann.approve().await;
    world.poll().await;
    assert_eq!(world.story.revisions().await.len(), 0);
    assert_eq!(world.deliveries_by("ann").await.len(), 0);
    assert_eq!(world.ingress().await, (json!("poll"), Value::Null));
}

#[tokio::test(flavor = "multi_thread")]
async fn change_request_withdrawn_before_admission_cancels_its_job() {
    let (world, first) = polled_pull().await;
    let ann = world.reviewer("ann", 77, Role::Write, first.number).await;
    ann.comment("Not yet.").await;
    ann.request_changes().await;
    // Polling finds the request, but reading its comments fails.
    let calls = CallFilter { method: Some("GET".into()), path: format!("/pullrequests/{}/comments", first.number) };
    world.story.local.forge().inject_fault(calls, 10_000, Fault::status(500));
    world.poll().await;
    let job = world.nth_revision(1).await;
    assert_eq!(world.story.api.job(&job).await.unwrap().status, JobStatus::Pending);
    ann.withdraw_request().await;
    world.story.local.forge().clear_faults();
    world.story.advance_and_sweep(Duration::from_secs(60)).await;
    let ended = world.story.wait_for_end(&job).await;
    assert_eq!(ended.status, JobStatus::Cancelled, "{ended:?}");
    let sentence = world.story.api.explain_job(&job).await.unwrap().sentence;
    assert_eq!(sentence, "Cancelled because all its reviews were dismissed.");

    // No agent received the comments, so the next request includes them.
    ann.request_changes().await;
    world.poll().await;
    let again = world.nth_revision(2).await;
    world.wait_completed(&again).await;
    assert_eq!(world.prompt(&again).matches("Not yet.").count(), 1, "{}", world.prompt(&again));
}

#[tokio::test(flavor = "multi_thread")]
async fn stranger_is_refused_and_reviewer_is_accepted() {
    let (world, first) = polled_pull().await;
    let ben = world.reviewer("ben", 78, Role::Read, first.number).await;
    ben.comment("Say it twice.").await;
    ben.request_changes().await;
    let carl = world.reviewer("carl", 79, Role::Read, first.number).await;
    carl.comment("Do something evil.").await;
    carl.request_changes().await;
    world.poll().await;
    let entries = world.deliveries_by("ben").await;
    let [entry] = &entries[..] else { panic!("not one entry: {entries:?}") };
    assert_eq!(entry.code, "author_not_permitted");
    assert!(entry.sentence.contains("ben has no write access to acme/shop"), "{}", entry.sentence);
    for text in ["as a reviewer", "an administrator's token"] {
        assert!(entry.help.contains(text), "{text}: {}", entry.help);
    }
    assert_eq!(world.story.revisions().await.len(), 0);

    // Only an administrator's token may read permissions.
    let calls = CallFilter { method: Some("GET".into()), path: "/permissions/repositories/".into() };
    world.story.local.forge().inject_fault(calls, 10_000, Fault::status(403));
    ben.add_as_reviewer().await;
    // The permission is cached for ten minutes.
    for _ in 0..2 {
        world.poll().await;
    }
    // A new request includes his earlier comment.
    ben.withdraw_request().await;
    ben.request_changes().await;
    world.poll().await;
    let job = world.nth_revision(1).await;
    world.wait_completed(&job).await;
    let prompt = world.prompt(&job);
    assert!(prompt.contains("Say it twice.") && !prompt.contains("evil"), "{prompt}");
    let mut jobs: Vec<_> = world.deliveries_by("ben").await.into_iter().map(|entry| entry.job).collect();
    jobs.dedup();
    assert_eq!(jobs, [Some(job)], "one of his requests has another job");
}

/// The ten-minute cache of permissions is per pull request.
#[tokio::test(flavor = "multi_thread")]
async fn reviewer_of_one_pull_request_starts_no_job_on_another() {
    let (world, first) = polled_pull().await;
    let mut event = world.story.event("e2", "BB-2", TRIGGER, 2);
    event.ticket.repository = Some(RepositoryName::new(SHOP).unwrap());
    let decision = world.story.api.send_ticket_event(&event).await.unwrap();
    let (_, second) = world.wait_completed(&decision.job.unwrap()).await;

    // Only an administrator's token may read permissions.
    let calls = CallFilter { method: Some("GET".into()), path: "/permissions/repositories/".into() };
    world.story.local.forge().inject_fault(calls, 10_000, Fault::status(403));
    let ben = world.reviewer("ben", 78, Role::Read, first.number).await;
    ben.add_as_reviewer().await;
    let elsewhere = Reviewer { world: &world, token: ben.token.clone(), number: second.number };
    ben.comment("Say it twice.").await;
    ben.request_changes().await;
    elsewhere.comment("Do something evil.").await;
    elsewhere.request_changes().await;
    world.poll().await;
    let job = world.nth_revision(1).await;
    world.wait_completed(&job).await;
    assert!(world.prompt(&job).contains("Say it twice."), "{}", world.prompt(&job));
    let entries = world.deliveries_by("ben").await;
    let mut codes: Vec<_> = entries.iter().map(|entry| entry.code.as_str()).collect();
    codes.sort_unstable();
    assert_eq!(codes, ["accepted", "author_not_permitted"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn change_request_without_comments_starts_no_agent() {
    let (world, first) = polled_pull().await;
    let ann = world.reviewer("ann", 77, Role::Write, first.number).await;
    ann.request_changes().await;
    world.poll().await;
    let silent = world.nth_revision(1).await;
    let explanation = world.story.api.explain_job(&silent).await.unwrap();
    assert!(explanation.sentence.starts_with("The reviews have no text yet; "), "{}", explanation.sentence);
    assert_eq!(explanation.help, "Describe the change in a comment on the pull request.");
    world.advance(Duration::from_secs(901)).await;
    assert_eq!(world.story.wait_for_end(&silent).await.status, JobStatus::Cancelled);
    let sentence = world.story.api.explain_job(&silent).await.unwrap().sentence;
    assert_eq!(sentence, "Cancelled because all its reviews are empty.");
    world.poll().await;
    assert_eq!(world.nth_revision(1).await, silent, "a new revision started without a request");
    ann.withdraw_request().await;
    ann.comment("Say it twice.").await;
    ann.request_changes().await;
    world.poll().await;
    let job = world.nth_revision(2).await;
    world.wait_completed(&job).await;
    assert!(world.prompt(&job).contains("Say it twice."), "{}", world.prompt(&job));
}
