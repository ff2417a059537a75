//! Changes that are asked for on Bitbucket Cloud: found by looks, told to one job, and answered once.

use super::{SHOP, World};
use crate::story::{Story, TRIGGER, Task};
use pullyard_domain::id::{JobId, RepositoryName};
use pullyard_domain::job::{Kind, Status};
use pullyard_fake_forge::{Calls, Fault, TestForge as _};
use pullyard_local::{AccountKind, Role, User};
use pullyard_protocol::delivery::Delivery;
use pullyard_protocol::job::{Job, JobResult};
use pullyard_store::Write;
use reqwest::Method;
use serde_json::{Value, json};
use std::time::Duration;

/// Longer than from one look to the next.
const LOOK: Duration = Duration::from_secs(301);
const HOUR: Duration = Duration::from_secs(3_600);

/// An agent that leaves what it was told beside the system, and adds a line; it fails while there is a file for that.
fn tells(story: &Story, _: &str) -> String {
    let at = story.folder().display();
    format!(
        "#!/bin/sh\ncat > \"{at}/told-$PULLYARD_JOB\"\n[ ! -e \"{at}/fails\" ] || exit 1\n\
         echo \"$PULLYARD_JOB\" >> work.txt\n"
    )
}

/// A pull request of ours that is looked at, in a project that revises on reviews.
async fn opened() -> (World, JobResult) {
    let world = World::make(Task::Runner, tells).await;
    world.story.settings(|settings| settings.revise_on_review = true).await;
    world.user.run(&["repos", "ingress", SHOP, "poll"]).await.done();
    let (_, first) = world.work("e1", 1).await;
    (world, first)
}

impl World {
    /// Somebody with this role in the repository, about a pull request.
    async fn person(&self, login: &str, id: u64, role: Role, number: u64) -> Person<'_> {
        let (forge, token) = (self.story.local.forge(), format!("token-of-{login}"));
        let user = User { login: login.into(), id, token: token.clone() };
        forge.add_user(user, AccountKind::User).await.unwrap();
        forge.set_role(SHOP, login, role).await.unwrap();
        Person { world: self, token, number }
    }

    /// Both clocks go on until the repository is looked at, and everything that follows from it is done.
    async fn look(&self) {
        self.goes_on(LOOK).await;
    }

    async fn goes_on(&self, time: Duration) {
        self.story.local.forge().advance(time);
        self.story.pass(time).await;
        self.story.quiet().await;
    }

    async fn revisions(&self) -> Vec<Job> {
        let mut jobs: Vec<Job> = self.story.jobs().await.into_iter().filter(|job| job.kind == Kind::Revise).collect();
        jobs.sort_by_key(|job| job.created);
        jobs
    }

    /// The newest revision, of so many.
    async fn nth_revision(&self, count: usize) -> JobId {
        let mut jobs = self.revisions().await;
        assert_eq!(jobs.len(), count, "{jobs:?}");
        jobs.remove(count - 1).id
    }

    /// What the agent of a job was told that has ended.
    fn prompt(&self, job: &JobId) -> String {
        std::fs::read_to_string(self.story.folder().join(format!("told-{job}"))).unwrap()
    }

    /// What was answered in a thread.
    async fn answers(&self, number: u64, thread: u64) -> Vec<String> {
        let all = self.told(&format!("/pullrequests/{number}/comments?pagelen=100")).await;
        let is_of = |comment: &&Value| comment["parent"]["id"] == json!(thread);
        let words = |comment: &Value| comment["content"]["raw"].as_str().unwrap().to_owned();
        all["values"].as_array().unwrap().iter().filter(is_of).map(words).collect()
    }

    /// The ledger's answers to what somebody asked for.
    async fn entries_of(&self, login: &str) -> Vec<Delivery> {
        let all = self.story.api.deliveries(&self.story.project, None, None).await.unwrap().deliveries;
        all.into_iter().filter(|entry| entry.review.as_ref().is_some_and(|of| of.author == login)).collect()
    }
}

/// Somebody who reviews a pull request by Bitbucket's API.
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

    /// On a line, as the newest commit has it. The comment's id.
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

    /// Whoever may write there puts them on the list of those who are asked for a review.
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
async fn requested_changes_that_a_look_finds_become_one_commit_that_answers_each_thread_once() {
    let (world, first) = opened().await;
    let ann = world.person("ann", 77, Role::Write, first.number).await;
    let thread = ann.says_on("work.txt", 1, "This line, please.").await;
    ann.says("Say it twice.").await;
    ann.asks().await;
    // What is written after, and before a job reads it, is told as well, and is not marked as changed.
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
    assert_eq!(world.nth_revision(1).await, job, "it was told already");
    let entries = world.entries_of("ann").await;
    let [entry] = &entries[..] else { panic!("not one entry: {entries:?}") };
    assert_eq!((entry.code.as_str(), entry.job.as_ref()), ("accepted", Some(&job)));
    world.story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_once_more_is_heard_and_what_was_told_before_is_not_told_again() {
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
    assert_eq!(held, 1, "the hour since the last revision is not over");
    world.goes_on(HOUR).await;
    let job = world.nth_revision(2).await;
    world.completed(&job).await;
    let prompt = world.prompt(&job);
    assert!(prompt.contains("And that one.") && !told.iter().any(|words| prompt.contains(words)), "{prompt}");
    for thread in [before, after, thread] {
        assert_eq!(world.answers(first.number, thread).await.len(), 1);
    }

    // Nor to whom a person asks, who is told of what nobody answered.
    let ran = world.user.run(&["revise", &first.url, "-m", "That is all."]).await;
    let last: JobId = ran.done().trim_end().parse().unwrap();
    world.completed(&last).await;
    let prompt = world.prompt(&last);
    assert!(prompt.contains("That is all.") && !prompt.contains("And that one."), "{prompt}");
    world.story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_was_withdrawn_or_became_an_approval_starts_nothing() {
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
async fn a_request_that_is_withdrawn_before_it_is_read_calls_its_job_off() {
    let (world, first) = opened().await;
    let ann = world.person("ann", 77, Role::Write, first.number).await;
    ann.says("Not yet.").await;
    ann.asks().await;
    // A look sees that she asks; what she wrote is not to be had.
    let calls = Calls { method: Some("GET".into()), path: format!("/pullrequests/{}/comments", first.number) };
    world.story.local.forge().order_fault(calls, 10_000, Fault::status(500));
    world.look().await;
    let job = world.nth_revision(1).await;
    assert_eq!(world.story.api.job(&job).await.unwrap().status, Status::Pending);
    ann.withdraws().await;
    world.story.local.forge().forget_faults();
    world.story.pass(Duration::from_secs(60)).await;
    let ended = world.story.ended(&job).await;
    assert_eq!(ended.status, Status::Cancelled, "{ended:?}");
    let why = world.story.api.why(&job).await.unwrap().sentence;
    assert_eq!(why, "Cancelled because its reviews were dismissed.");

    // No agent was told of what they wrote, and they need not write it once more.
    ann.asks().await;
    world.look().await;
    let again = world.nth_revision(2).await;
    world.completed(&again).await;
    assert_eq!(world.prompt(&again).matches("Not yet.").count(), 1, "{}", world.prompt(&again));
    world.story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_is_refused_with_what_helps_and_one_of_the_reviewers_is_heard() {
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
    assert!(entry.sentence.contains("ben may not write to acme/shop"), "{}", entry.sentence);
    for words in ["the pull request's reviewers", "an administrator's token"] {
        assert!(entry.help.contains(words), "{words}: {}", entry.help);
    }
    assert_eq!(world.revisions().await.len(), 0);

    // A token that is no administrator's may not ask who may write.
    let calls = Calls { method: Some("GET".into()), path: "/permissions/repositories/".into() };
    world.story.local.forge().order_fault(calls, 10_000, Fault::status(403));
    ben.is_put_on_the_reviewers().await;
    // What was said of him is believed for ten minutes.
    for _ in 0..2 {
        world.look().await;
    }
    // What he wrote stands there; he asks again and no more.
    ben.withdraws().await;
    ben.asks().await;
    world.look().await;
    let job = world.nth_revision(1).await;
    world.completed(&job).await;
    let prompt = world.prompt(&job);
    assert!(prompt.contains("Say it twice.") && !prompt.contains("evil"), "{prompt}");
    let mut told: Vec<_> = world.entries_of("ben").await.into_iter().map(|entry| entry.job).collect();
    told.dedup();
    assert_eq!(told, [Some(job)], "both of his requests are that job's");
    world.story.end().await;
}

/// What is believed for ten minutes is believed of one pull request.
#[tokio::test(flavor = "multi_thread")]
async fn who_is_a_reviewer_of_one_pull_request_starts_nothing_in_another_one() {
    let (world, first) = opened().await;
    let mut told = world.story.event("e2", "BB-2", TRIGGER, 2);
    told.ticket.repository = Some(RepositoryName::new(SHOP).unwrap());
    let decision = world.story.api.ticket_event(&told).await.unwrap();
    let (_, second) = world.completed(&decision.job.unwrap()).await;

    // A token that is no administrator's may not ask who may write.
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
async fn what_was_written_with_a_request_that_was_taken_back_unheard_comes_with_the_next() {
    let (world, first) = opened().await;
    let ann = world.person("ann", 77, Role::Write, first.number).await;
    let thread = ann.says_on("work.txt", 1, "This line, please.").await;
    ann.asks().await;
    ann.withdraws().await;
    // Longer than any look goes back.
    for _ in 0..5 {
        world.look().await;
    }
    assert_eq!(world.revisions().await.len(), 0);
    ann.says("Say it twice.").await;
    ann.asks().await;
    world.look().await;
    let job = world.nth_revision(1).await;
    world.completed(&job).await;
    let prompt = world.prompt(&job);
    for words in ["This line, please.", "Say it twice."] {
        assert_eq!(prompt.matches(words).count(), 1, "{words:?}:\n{prompt}");
    }
    assert_eq!(world.answers(first.number, thread).await.len(), 1);
    world.goes_on(HOUR).await;
    assert_eq!(world.nth_revision(1).await, job, "neither of the two is told again");
    world.story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_requests_of_one_person_that_one_look_finds_are_one_job() {
    let (world, first) = opened().await;
    let ann = world.person("ann", 77, Role::Write, first.number).await;
    ann.says("Say it twice.").await;
    ann.asks().await;
    ann.withdraws().await;
    ann.says("With tabs.").await;
    ann.asks().await;
    world.look().await;
    let job = world.nth_revision(1).await;
    world.completed(&job).await;
    let prompt = world.prompt(&job);
    for words in ["Say it twice.", "With tabs."] {
        assert_eq!(prompt.matches(words).count(), 1, "{words:?}:\n{prompt}");
    }
    world.goes_on(HOUR).await;
    assert_eq!(world.nth_revision(1).await, job, "nothing waits, and neither of the two is told again");
    world.story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_without_words_asks_no_agent_and_whoever_writes_and_asks_again_is_heard_at_once() {
    let (world, first) = opened().await;
    let ann = world.person("ann", 77, Role::Write, first.number).await;
    ann.asks().await;
    world.look().await;
    let silent = world.nth_revision(1).await;
    let why = world.story.api.why(&silent).await.unwrap();
    assert!(why.sentence.starts_with("Its reviews say nothing yet; "), "{}", why.sentence);
    assert_eq!(why.help, "Write on the pull request what to change.");
    world.goes_on(Duration::from_secs(901)).await;
    assert_eq!(world.story.ended(&silent).await.status, Status::Cancelled);
    let why = world.story.api.why(&silent).await.unwrap().sentence;
    assert_eq!(why, "Cancelled because its reviews say nothing.");
    world.look().await;
    assert_eq!(world.nth_revision(1).await, silent, "nobody asked once more");
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
async fn words_that_come_after_the_request_are_waited_for() {
    let (world, first) = opened().await;
    let ann = world.person("ann", 77, Role::Write, first.number).await;
    ann.asks().await;
    world.look().await;
    let job = world.nth_revision(1).await;
    assert_eq!(world.story.api.job(&job).await.unwrap().status, Status::Pending);
    ann.says("Say it twice.").await;
    world.goes_on(Duration::from_secs(61)).await;
    world.completed(&job).await;
    assert!(world.prompt(&job).contains("Say it twice."), "{}", world.prompt(&job));
    world.story.end().await;
}

/// As where whoever admitted it died once it had taken them: nobody else would be told of them, and it can do without.
#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_is_worked_on_though_the_reviews_that_its_job_took_over_say_nothing_any_more() {
    let (world, first) = opened().await;
    let (story, forge) = (&world.story, world.story.local.forge());
    let fails = story.folder().join("fails");
    std::fs::write(&fails, "").unwrap();
    let ann = world.person("ann", 77, Role::Write, first.number).await;
    let thread = ann.says_on("work.txt", 1, "This line, please.").await;
    ann.asks().await;
    world.look().await;
    let failed = world.nth_revision(1).await;
    assert_eq!(story.ended(&failed).await.status, Status::Failed);
    story.quiet().await;
    story.settled("BB-1").await;
    std::fs::remove_file(&fails).unwrap();

    let calls = Calls { method: Some("GET".into()), path: format!("/pullrequests/{}/comments", first.number) };
    forge.order_fault(calls, 10_000, Fault::status(500));
    let mut told = story.event("e2", "BB-1", TRIGGER, 2);
    told.ticket.repository = Some(RepositoryName::new(SHOP).unwrap());
    let next = story.api.ticket_event(&told).await.unwrap().job.unwrap();
    story.quiet().await;
    assert_eq!(story.api.job(&next).await.unwrap().status, Status::Pending, "it is told of what she asked for");
    let store = story.store().await;
    let id = store.job(&next).await.unwrap().unwrap().reviewed().unwrap();
    let all = store.reviews(&id).await.unwrap();
    let [review] = &all[..] else { panic!("not one review: {all:?}") };
    assert_eq!(review.job(), Some(&failed));
    assert_eq!(store.take_review(&review.taken_by(&next), review.job()).await.unwrap(), Write::Applied);

    ann.call(Method::DELETE, &format!("/comments/{thread}"), Value::Null).await;
    forge.forget_faults();
    story.pass(Duration::from_secs(60)).await;
    let (job, result) = world.completed(&next).await;
    assert_eq!((job.kind, result.number), (Kind::Implement, first.number));
    assert!(!world.prompt(&next).contains("This line, please."), "{}", world.prompt(&next));
    world.story.end().await;
}
