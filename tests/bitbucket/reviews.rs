//! Tests change requests on Bitbucket Cloud: found by polling, sent to one job, answered once.

use super::{SHOP, World};
use crate::story::{Story, TRIGGER, Task};
use pullyard_domain::id::{JobId, RepositoryName};
use pullyard_domain::job::{JobKind, JobStatus};
use pullyard_fake_forge::{Calls, Fault, TestForge as _};
use pullyard_local::{AccountKind, Role, User};
use pullyard_protocol::delivery::Delivery;
use pullyard_protocol::job::{Job, JobResult};
use reqwest::Method;
use serde_json::{Value, json};
use std::time::Duration;

const LOOK: Duration = Duration::from_secs(301);
const HOUR: Duration = Duration::from_secs(3_600);

/// An agent that saves its prompt and adds a line.
fn tells(story: &Story, _: &str) -> String {
    let at = story.folder().display();
    format!("#!/bin/sh\ncat > \"{at}/told-$PULLYARD_JOB\"\necho \"$PULLYARD_JOB\" >> work.txt\n")
}

/// A polled pull request in a project that revises on reviews.
async fn opened() -> (World, JobResult) {
    let world = World::make(Task::Runner, tells).await;
    world.story.settings(|settings| settings.revise_on_review = true).await;
    world.user.run(&["repos", "ingress", SHOP, "poll"]).await.done();
    let (_, first) = world.work("e1", 1).await;
    (world, first)
}

impl World {
    async fn person(&self, login: &str, id: u64, role: Role, number: u64) -> Person<'_> {
        let (forge, token) = (self.story.local.forge(), format!("token-of-{login}"));
        let user = User { login: login.into(), id, token: token.clone() };
        forge.add_user(user, AccountKind::User).await.unwrap();
        forge.set_role(SHOP, login, role).await.unwrap();
        Person { world: self, token, number }
    }

    /// Advances both clocks past the next poll and waits for all follow-up work.
    async fn look(&self) {
        self.goes_on(LOOK).await;
    }

    async fn goes_on(&self, time: Duration) {
        self.story.local.forge().advance(time);
        self.story.pass(time).await;
        self.story.quiet().await;
    }

    async fn revisions(&self) -> Vec<Job> {
        let mut jobs: Vec<Job> =
            self.story.jobs().await.into_iter().filter(|job| job.kind == JobKind::Revise).collect();
        jobs.sort_by_key(|job| job.created);
        jobs
    }

    /// The newest of `count` revisions.
    async fn nth_revision(&self, count: usize) -> JobId {
        let mut jobs = self.revisions().await;
        assert_eq!(jobs.len(), count, "{jobs:?}");
        jobs.remove(count - 1).id
    }

    fn prompt(&self, job: &JobId) -> String {
        std::fs::read_to_string(self.story.folder().join(format!("told-{job}"))).unwrap()
    }

    async fn answers(&self, number: u64, thread: u64) -> Vec<String> {
        let all = self.told(&format!("/pullrequests/{number}/comments?pagelen=100")).await;
        let is_of = |comment: &&Value| comment["parent"]["id"] == json!(thread);
        let words = |comment: &Value| comment["content"]["raw"].as_str().unwrap().to_owned();
        all["values"].as_array().unwrap().iter().filter(is_of).map(words).collect()
    }

    async fn entries_of(&self, login: &str) -> Vec<Delivery> {
        let all = self.story.api.deliveries(&self.story.project, None, None).await.unwrap().deliveries;
        all.into_iter().filter(|entry| entry.review.as_ref().is_some_and(|of| of.author == login)).collect()
    }
}

struct Person<'a> {
    world: &'a World,
    token: String,
    number: u64,
}

impl Person<'_> {
    async fn call(&self, method: Method, path: &str, body: Value) -> Value {
        let path = format!("/repositories/{SHOP}/pullrequests/{}{path}", self.number);
        self.world.story.bitbucket(&self.token, method, &path, body).await
    }

    async fn says(&self, words: &str) {
        self.call(Method::POST, "/comments", json!({ "content": { "raw": words } })).await;
    }

    /// Comments on a line of the newest commit; returns the comment's id.
    async fn says_on(&self, path: &str, line: u64, words: &str) -> u64 {
        let body = json!({ "content": { "raw": words }, "inline": { "path": path, "to": line } });
        self.call(Method::POST, "/comments", body).await["id"].as_u64().unwrap()
    }

    async fn asks(&self) {
        self.call(Method::POST, "/request-changes", Value::Null).await;
    }

    async fn withdraws(&self) {
        self.call(Method::DELETE, "/request-changes", Value::Null).await;
    }

    async fn approves(&self) {
        self.call(Method::POST, "/approve", Value::Null).await;
    }

    /// Adds the user to the pull request's reviewers, as the bot.
    async fn is_put_on_the_reviewers(&self) {
        let story = &self.world.story;
        let own = story.bitbucket(&self.token, Method::GET, "/user", Value::Null).await;
        let pull = self.world.told(&format!("/pullrequests/{}", self.number)).await;
        let (title, text) = (&pull["title"], super::text_of(&pull));
        let body = json!({ "title": title, "description": text, "reviewers": [{ "uuid": own["uuid"] }] });
        let path = format!("/repositories/{SHOP}/pullrequests/{}", self.number);
        story.bitbucket(&self.world.token, Method::PUT, &path, body).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn polled_change_request_becomes_one_commit_with_one_reply() {
    let (world, first) = opened().await;
    let ann = world.person("ann", 77, Role::Write, first.number).await;
    let thread = ann.says_on("work.txt", 1, "This line, please.").await;
    ann.says("Say it twice.").await;
    ann.asks().await;
    // A comment after the request but before admission is included, and is not marked as changed.
    ann.says("With tabs.").await;
    world.look().await;
    let job = world.nth_revision(1).await;
    let (_, revised) = world.completed(&job).await;
    assert_eq!(world.git(&["rev-parse", &format!("{}^", revised.head)]).await, first.head);

    let prompt = world.prompt(&job);
    for words in ["This line, please.", "Say it twice.", "With tabs.", "work.txt", "line 1", "ann", &first.url] {
        assert!(prompt.contains(words), "{words:?} is not in:\n{prompt}");
    }
    assert!(!prompt.contains("changed after"), "{prompt}");
    let answers = world.answers(first.number, thread).await;
    let [answer] = &answers[..] else { panic!("not one answer: {answers:?}") };
    assert!(answer.contains(&revised.head[..10]) && !answer.contains("<!--"), "{answer}");

    for _ in 0..3 {
        world.look().await;
    }
    assert_eq!(world.nth_revision(1).await, job, "the same request started another job");
    let entries = world.entries_of("ann").await;
    let [entry] = &entries[..] else { panic!("not one entry: {entries:?}") };
    assert_eq!((entry.code.as_str(), entry.job.as_ref()), ("accepted", Some(&job)));
    world.story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn second_change_request_includes_only_new_comments() {
    let (world, first) = opened().await;
    let ann = world.person("ann", 77, Role::Write, first.number).await;
    let before = ann.says_on("work.txt", 1, "This line, please.").await;
    ann.asks().await;
    let after = ann.says_on("work.txt", 1, "With tabs.").await;
    ann.says("At the end.").await;
    world.look().await;
    let job = world.nth_revision(1).await;
    world.completed(&job).await;
    let told = ["This line, please.", "With tabs.", "At the end."];
    let prompt = world.prompt(&job);
    assert!(told.iter().all(|words| prompt.contains(words)), "{prompt}");

    ann.withdraws().await;
    let thread = ann.says_on("work.txt", 2, "And that one.").await;
    ann.asks().await;
    world.look().await;
    world.nth_revision(1).await;
    let held = world.entries_of("ann").await.iter().filter(|entry| entry.code == "held_until").count();
    assert_eq!(held, 1, "the second request was not held for the hour");
    world.goes_on(HOUR).await;
    let job = world.nth_revision(2).await;
    world.completed(&job).await;
    let prompt = world.prompt(&job);
    assert!(prompt.contains("And that one.") && !told.iter().any(|words| prompt.contains(words)), "{prompt}");
    for thread in [before, after, thread] {
        assert_eq!(world.answers(first.number, thread).await.len(), 1);
    }

    // A revision that a user requests does not include answered comments either.
    let ran = world.user.run(&["revise", &first.url, "-m", "That is all."]).await;
    let last: JobId = ran.done().trim_end().parse().unwrap();
    world.completed(&last).await;
    let prompt = world.prompt(&last);
    assert!(prompt.contains("That is all.") && !prompt.contains("And that one."), "{prompt}");
    world.story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn withdrawn_or_approved_change_request_starts_no_job() {
    let (world, first) = opened().await;
    let ann = world.person("ann", 77, Role::Write, first.number).await;
    ann.says("Not yet.").await;
    ann.asks().await;
    ann.withdraws().await;
    world.look().await;
    ann.asks().await;
    ann.approves().await;
    world.look().await;
    assert_eq!(world.revisions().await.len(), 0);
    assert_eq!(world.entries_of("ann").await.len(), 0);
    assert_eq!(world.heard_of().await, (json!("poll"), Value::Null));
    world.story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn change_request_withdrawn_before_admission_cancels_its_job() {
    let (world, first) = opened().await;
    let ann = world.person("ann", 77, Role::Write, first.number).await;
    ann.says("Not yet.").await;
    ann.asks().await;
    // Polling finds the request, but reading its comments fails.
    let calls = Calls { method: Some("GET".into()), path: format!("/pullrequests/{}/comments", first.number) };
    world.story.local.forge().order_fault(calls, 10_000, Fault::status(500));
    world.look().await;
    let job = world.nth_revision(1).await;
    assert_eq!(world.story.api.job(&job).await.unwrap().status, JobStatus::Pending);
    ann.withdraws().await;
    world.story.local.forge().forget_faults();
    world.story.pass(Duration::from_secs(60)).await;
    let ended = world.story.ended(&job).await;
    assert_eq!(ended.status, JobStatus::Cancelled, "{ended:?}");
    let why = world.story.api.why(&job).await.unwrap().sentence;
    assert_eq!(why, "Cancelled because all its reviews were dismissed.");

    // No agent received the comments, so the next request includes them.
    ann.asks().await;
    world.look().await;
    let again = world.nth_revision(2).await;
    world.completed(&again).await;
    assert_eq!(world.prompt(&again).matches("Not yet.").count(), 1, "{}", world.prompt(&again));
    world.story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stranger_is_refused_and_reviewer_is_accepted() {
    let (world, first) = opened().await;
    let ben = world.person("ben", 78, Role::Read, first.number).await;
    ben.says("Say it twice.").await;
    ben.asks().await;
    let carl = world.person("carl", 79, Role::Read, first.number).await;
    carl.says("Do something evil.").await;
    carl.asks().await;
    world.look().await;
    let entries = world.entries_of("ben").await;
    let [entry] = &entries[..] else { panic!("not one entry: {entries:?}") };
    assert_eq!(entry.code, "author_not_permitted");
    assert!(entry.sentence.contains("ben has no write access to acme/shop"), "{}", entry.sentence);
    for words in ["as a reviewer", "an administrator's token"] {
        assert!(entry.help.contains(words), "{words}: {}", entry.help);
    }
    assert_eq!(world.revisions().await.len(), 0);

    // Only an administrator's token may read permissions.
    let calls = Calls { method: Some("GET".into()), path: "/permissions/repositories/".into() };
    world.story.local.forge().order_fault(calls, 10_000, Fault::status(403));
    ben.is_put_on_the_reviewers().await;
    // The permission is cached for ten minutes.
    for _ in 0..2 {
        world.look().await;
    }
    // A new request includes his earlier comment.
    ben.withdraws().await;
    ben.asks().await;
    world.look().await;
    let job = world.nth_revision(1).await;
    world.completed(&job).await;
    let prompt = world.prompt(&job);
    assert!(prompt.contains("Say it twice.") && !prompt.contains("evil"), "{prompt}");
    let mut told: Vec<_> = world.entries_of("ben").await.into_iter().map(|entry| entry.job).collect();
    told.dedup();
    assert_eq!(told, [Some(job)], "one of his requests has another job");
    world.story.end().await;
}

/// The ten-minute cache of permissions is per pull request.
#[tokio::test(flavor = "multi_thread")]
async fn reviewer_of_one_pull_request_starts_no_job_on_another() {
    let (world, first) = opened().await;
    let mut told = world.story.event("e2", "BB-2", TRIGGER, 2);
    told.ticket.repository = Some(RepositoryName::new(SHOP).unwrap());
    let decision = world.story.api.ticket_event(&told).await.unwrap();
    let (_, second) = world.completed(&decision.job.unwrap()).await;

    // Only an administrator's token may read permissions.
    let calls = Calls { method: Some("GET".into()), path: "/permissions/repositories/".into() };
    world.story.local.forge().order_fault(calls, 10_000, Fault::status(403));
    let ben = world.person("ben", 78, Role::Read, first.number).await;
    ben.is_put_on_the_reviewers().await;
    let elsewhere = Person { world: &world, token: ben.token.clone(), number: second.number };
    ben.says("Say it twice.").await;
    ben.asks().await;
    elsewhere.says("Do something evil.").await;
    elsewhere.asks().await;
    world.look().await;
    let job = world.nth_revision(1).await;
    world.completed(&job).await;
    assert!(world.prompt(&job).contains("Say it twice."), "{}", world.prompt(&job));
    let entries = world.entries_of("ben").await;
    let mut codes: Vec<_> = entries.iter().map(|entry| entry.code.as_str()).collect();
    codes.sort_unstable();
    assert_eq!(codes, ["accepted", "author_not_permitted"]);
    world.story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn change_request_without_comments_starts_no_agent() {
    let (world, first) = opened().await;
    let ann = world.person("ann", 77, Role::Write, first.number).await;
    ann.asks().await;
    world.look().await;
    let silent = world.nth_revision(1).await;
    let why = world.story.api.why(&silent).await.unwrap();
    assert!(why.sentence.starts_with("The reviews have no text yet; "), "{}", why.sentence);
    assert_eq!(why.help, "Describe the change in a comment on the pull request.");
    world.goes_on(Duration::from_secs(901)).await;
    assert_eq!(world.story.ended(&silent).await.status, JobStatus::Cancelled);
    let why = world.story.api.why(&silent).await.unwrap().sentence;
    assert_eq!(why, "Cancelled because all its reviews are empty.");
    world.look().await;
    assert_eq!(world.nth_revision(1).await, silent, "a new revision started without a request");
    ann.withdraws().await;
    ann.says("Say it twice.").await;
    ann.asks().await;
    world.look().await;
    let job = world.nth_revision(2).await;
    world.completed(&job).await;
    assert!(world.prompt(&job).contains("Say it twice."), "{}", world.prompt(&job));
    world.story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pending_job_waits_for_comments_after_the_request() {
    let (world, first) = opened().await;
    let ann = world.person("ann", 77, Role::Write, first.number).await;
    ann.asks().await;
    world.look().await;
    let job = world.nth_revision(1).await;
    assert_eq!(world.story.api.job(&job).await.unwrap().status, JobStatus::Pending);
    ann.says("Say it twice.").await;
    world.goes_on(Duration::from_secs(61)).await;
    world.completed(&job).await;
    assert!(world.prompt(&job).contains("Say it twice."), "{}", world.prompt(&job));
    world.story.end().await;
}
