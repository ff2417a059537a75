//! Tests a repository on the demo forge's Bitbucket Cloud API, with the real runner and real git.

mod reviews;

use crate::cli::{User, body};
use crate::story::{REVIEW, Setup, Story, TRIGGER, Task, until};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use pullyard_domain::decision::Verdict;
use pullyard_domain::id::{JobId, RepositoryName};
use pullyard_domain::job::{JobKind, JobStatus};
use pullyard_fake_forge::{Calls, Fault, TestForge as _};
use pullyard_protocol::job::{Job, JobResult};
use reqwest::Method;
use serde_json::{Value, json};
use std::time::Duration;

const SHOP: &str = "acme/shop";
/// The account's e-mail address. The demo forge checks only the token, like Bitbucket's git.
const MAIL: &str = "bot@acme.example";

enum Whose {
    /// An API token with the e-mail address of its account.
    Told,
    /// An access token of a repository; Bitbucket names no account for it.
    Untold,
}

struct World {
    story: Story,
    user: User,
    token: String,
}

impl World {
    /// Connects with an e-mail address and an API token. The agent is a script.
    async fn make(task: Task, agent: impl FnOnce(&Story, &str) -> String) -> Self {
        Self::connected(task, agent, Whose::Told).await
    }

    async fn connected(task: Task, agent: impl FnOnce(&Story, &str) -> String, whose: Whose) -> Self {
        let story = Story::with(Setup { task, ..Setup::default() }).await;
        let token = story.forge_token();
        let script = agent(&story, &token);
        let files = [("README.md", "# Shop\n", false), ("agent.sh", script.as_str(), true)];
        story.local.forge().create_repository(SHOP, "main", &files).await.unwrap();
        let user = User::of(&story);
        let world = Self { story, user, token };
        match whose {
            Whose::Told => world.secret("bitbucket", &format!("{MAIL}:{}", world.token)).await,
            Whose::Untold => {
                world.secret("bitbucket", &world.token).await;
                let calls = Calls { method: Some("GET".into()), path: "/2.0/user".into() };
                world.story.local.forge().order_fault(calls, 1, Fault::status(403));
            }
        }
        world.add("bb", "bitbucket").await.done();
        world.user.run(&["repos", "add", SHOP, "--integration", "bb", "--agent-command", "./agent.sh"]).await.done();
        world
    }

    async fn secret(&self, name: &str, value: &str) {
        self.user.run_with(&["secrets", "set", name], value).await.done();
    }

    async fn add(&self, id: &str, secret: &str) -> crate::cli::Ran {
        let (api, secret) = (self.story.local.forge().bitbucket_api_url(), format!("pullyard/user/{secret}"));
        self.user
            .run(&["integrations", "add", id, "--kind", "bitbucket", "--api-url", &api, "--token-secret", &secret])
            .await
    }

    /// Moves a ticket of the repository into the trigger status and waits for its completed job.
    async fn work(&self, event: &str, minute: i64) -> (Job, JobResult) {
        let mut told = self.story.event(event, "BB-1", TRIGGER, minute);
        told.ticket.repository = Some(RepositoryName::new(SHOP).unwrap());
        told.ticket.url = Some("https://tickets.example/BB-1".into());
        let decision = self.story.api.ticket_event(&told).await.unwrap();
        assert_eq!(decision.verdict, Verdict::Accepted, "{}: {}", decision.code, decision.sentence);
        let ended = self.completed(&decision.job.unwrap()).await;
        assert_eq!(self.story.settled("BB-1").await.status, REVIEW);
        ended
    }

    async fn completed(&self, job: &JobId) -> (Job, JobResult) {
        let ended = self.story.ended(job).await;
        assert_eq!(ended.status, JobStatus::Completed, "{:?}", ended.failure);
        let result = ended.result.clone().unwrap();
        (ended, result)
    }

    async fn told(&self, path: &str) -> Value {
        self.story.bitbucket(&self.token, Method::GET, &format!("/repositories/{SHOP}{path}"), Value::Null).await
    }

    async fn git(&self, arguments: &[&str]) -> String {
        let repository = self.story.local.forge().repository(SHOP).await.unwrap();
        let run = tokio::process::Command::new("git").arg("-C").arg(repository.git_dir).args(arguments).output().await;
        let output = run.unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// The ingress of the repository and its problem.
    async fn heard_of(&self) -> (Value, Value) {
        let path = format!("/v1/projects/{}/ingress", self.story.project);
        let all = body(&self.story, &path).await;
        let shop =
            all["repositories"].as_array().unwrap().iter().find(|one| one["repository"] == SHOP).unwrap().clone();
        (shop["ingress"].clone(), shop["problem"].clone())
    }
}

fn text_of(pull: &Value) -> String {
    pull["description"].as_str().or(pull["summary"]["raw"].as_str()).unwrap().to_owned()
}

fn adds_a_line(_: &Story, _: &str) -> String {
    "#!/bin/sh\ncat > /dev/null\necho done >> work.txt\n".into()
}

#[tokio::test(flavor = "multi_thread")]
async fn bitbucket_ticket_opens_a_pull_request_that_continues() {
    let world = World::make(Task::Runner, adds_a_line).await;
    let (_, first) = world.work("e1", 1).await;
    let url = format!("{}/{SHOP}/pull-requests/{}", world.story.local.forge().url(), first.number);
    assert_eq!(first.url, url);
    assert_eq!(world.story.ticket("BB-1").await.pull_request.as_deref(), Some(url.as_str()));
    let opened = world.told(&format!("/pullrequests/{}", first.number)).await;
    assert_eq!((&opened["state"], &opened["source"]["branch"]["name"]), (&json!("OPEN"), &json!(first.branch)));
    let text = text_of(&opened);
    assert!(text.contains("BB-1") && text.contains("https://tickets.example/BB-1"), "{text}");
    // Bitbucket renders HTML comments as visible text.
    assert!(text.contains("[//]: # (pullyard:newest ") && !text.contains("<!--"), "{text}");

    let (_, second) = world.work("e2", 2).await;
    assert_eq!((second.number, &second.branch), (first.number, &first.branch));
    assert_eq!(world.git(&["rev-list", "--count", &format!("main..{}", first.branch)]).await, "2");
    assert_eq!(world.git(&["rev-parse", &format!("{}^", second.head)]).await, first.head);
    let open = world.told("/pullrequests?state=OPEN").await;
    assert_eq!(open["values"].as_array().unwrap().len(), 1, "{open}");
    let renewed = text_of(&world.told(&format!("/pullrequests/{}", first.number)).await);
    assert!(renewed.contains(&format!("(pullyard:newest {} ", second.head)), "{renewed}");

    // Polling finds the merge and reports no problem before.
    world.user.run(&["repos", "ingress", SHOP, "poll"]).await.done();
    let look = async || {
        world.story.pass(Duration::from_secs(301)).await;
        world.story.quiet().await;
        world.heard_of().await
    };
    assert_eq!(look().await, (json!("poll"), Value::Null));
    assert_eq!(look().await, (json!("poll"), Value::Null));
    let why = world.user.run(&["why", &url]).await.done();
    assert!(why.contains("Revising on review is switched off for acme."), "{why}");
    world.story.local.forge().merge(SHOP, first.number, "pullyard-bot").await.unwrap();
    assert_eq!(look().await, (json!("poll"), Value::Null));
    let shown = world.user.json(&["tickets", "show", "BB-1"]).await;
    assert_eq!(shown["pull_request_state"], "merged", "{shown}");
    let why = world.user.run(&["why", "BB-1"]).await;
    assert!(why.out.contains("The pull request is merged.") && !why.err.contains("Review it"), "{why:?}");
    world.story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn revise_accepts_a_bitbucket_pull_request_url() {
    let world = World::make(Task::Runner, adds_a_line).await;
    let (_, first) = world.work("e1", 1).await;
    let ran = world.user.run(&["revise", &first.url, "-m", "Say it twice."]).await;
    let job: JobId = ran.done().trim_end().parse().unwrap();
    let (job, revised) = world.completed(&job).await;
    assert_eq!((job.kind, revised.number, &revised.branch), (JobKind::Revise, first.number, &first.branch));
    assert_eq!(world.git(&["rev-parse", &format!("{}^", revised.head)]).await, first.head);
    let statuses = until("the commit has a status", async || {
        let statuses = world.told(&format!("/commit/{}/statuses", revised.head)).await;
        match statuses["values"].as_array().is_some_and(|all| !all.is_empty()) {
            true => Ok(statuses),
            false => Err(statuses.to_string()),
        }
    })
    .await;
    assert_eq!(statuses["values"][0]["key"], "pullyard", "{statuses}");
    // With `refname` Bitbucket shows the status on the pull request of that branch.
    assert_eq!(statuses["values"][0]["refname"], json!(revised.branch), "{statuses}");
    world.story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn own_comment_is_found_by_its_mark_without_an_account() {
    let world = World::connected(Task::Runner, adds_a_line, Whose::Untold).await;
    let shown = world.user.json(&["integrations", "show", "bb"]).await;
    assert_eq!(shown["account"], json!({ "id": 0, "login": "access token" }));
    let (_, first) = world.work("e1", 1).await;
    // Statuses are refused, and the earlier comment is not stored anywhere.
    let calls = Calls { method: Some("POST".into()), path: "/statuses/build".into() };
    world.story.local.forge().order_fault(calls, 10_000, Fault::status(403));
    let comments = format!("/pullrequests/{}/comments", first.number);
    let said = json!({ "content": { "raw": "An earlier sentence.\n\n[//]: # (pullyard:status)" } });
    world.story.bitbucket(&world.token, Method::POST, &format!("/repositories/{SHOP}{comments}"), said).await;
    let ran = world.user.run(&["revise", &first.url, "-m", "Say it twice."]).await;
    let job: JobId = ran.done().trim_end().parse().unwrap();
    world.completed(&job).await;
    until("one comment says what became of it", async || {
        let all = world.told(&comments).await["values"].as_array().unwrap().clone();
        let is_said = all.len() == 1 && all[0]["content"]["raw"].as_str().unwrap().contains(" revised ");
        if is_said { Ok(()) } else { Err(format!("{all:?}")) }
    })
    .await;
    world.story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bitbucket_secret_is_redacted_in_all_runner_output() {
    let written = |token: &str| {
        let whole = format!("{MAIL}:{token}");
        let [basic, of_git] =
            [whole.clone(), format!("x-bitbucket-api-token-auth:{token}")].map(|text| BASE64_STANDARD.encode(text));
        [token.to_owned(), whole, basic, of_git]
    };
    let world = World::make(Task::Runner, |story, token| {
        let leak = story.folder().join("leak.txt");
        std::fs::write(&leak, format!("{}\n", written(token).join("\n"))).unwrap();
        format!("#!/bin/sh\ncat > /dev/null\ncat '{}'\ncat '{0}' >&2\necho done >> work.txt\n", leak.display())
    })
    .await;
    let (job, result) = world.work("e1", 1).await;
    let mut left = vec![
        world.told(&format!("/pullrequests/{}", result.number)).await.to_string(),
        world.told(&format!("/pullrequests/{}/comments", result.number)).await.to_string(),
        world.git(&["log", "-p", &result.branch]).await,
    ];
    for path in ["", "/attempts", "/events", "/artifacts", "/checks"] {
        left.push(body(&world.story, &format!("/v1/jobs/{}{path}", job.id)).await.to_string());
    }
    assert!(left.iter().any(|text| text.contains("[redacted]")), "nothing was redacted: {left:?}");
    for part in written(&world.token) {
        assert!(!left.iter().any(|text| text.contains(&part)), "{part}");
    }
    world.story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bitbucket_refusals_name_the_missing_or_denied_thing() {
    let world = World::make(Task::Waiting, adds_a_line).await;
    world.secret("wrong", &format!("{MAIL}:nobodys-token")).await;
    let denied = world.add("wrong", "wrong").await;
    assert!(denied.code != 0 && denied.err.contains("failed to sign in to"), "{denied:?}");
    assert!(!denied.err.contains("nobodys-token"), "{denied:?}");
    assert!(denied.err.contains("check that it is Bitbucket (--kind)"), "{denied:?}");
    // An error about a token given instead of a secret's name does not repeat the token.
    let add = ["integrations", "add", "x", "--kind", "bitbucket", "--token-secret", world.token.as_str()];
    let given = world.user.run(&add).await.ended(2, "give the name of a secret, not the token");
    assert!(!given.err.contains(&world.token), "{given:?}");
    world.add("none", "not-set").await.ended(1, "the secret pullyard/user/not-set does not exist");
    let add = ["repos", "add", "acme/none", "--integration", "bb", "--agent-command", "./agent.sh"];
    let missing = world.user.run(&add).await;
    assert!(missing.code != 0 && missing.err.contains("failed to find"), "{missing:?}");
    assert!(missing.err.contains("acme/none"), "{missing:?}");
    let table = world.user.run(&["repos", "test", SHOP]).await.done();
    assert!(
        table.contains("works\tlook\t") && table.contains("it needs read:repository and write:repository"),
        "{table}"
    );
    world.story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_token_value_is_reported_when_set_used_and_tested() {
    let world = World::make(Task::Waiting, adds_a_line).await;
    let value = format!("{MAIL}:planted token");
    let set = world.user.run_with(&["secrets", "set", "spaced"], &value).await;
    let set = set.ended(0, "warning: the value of spaced contains a space");
    let refused = world.add("spaced", "spaced").await.ended(2, "the value of pullyard/user/spaced contains a space");
    assert!(refused.err.contains("`pullyard secrets set spaced`"), "{refused:?}");
    // Only the final line ending is trimmed.
    world.user.run_with(&["secrets", "set", "lines"], "planted\n\n").await.ended(0, "ends with a line break");
    let lines = world.add("lines", "lines").await.ended(2, "the value of pullyard/user/lines ends with a line break");
    world.secret("half", &format!("{MAIL}:")).await;
    let half = world.add("half", "half").await;
    assert!(half.code != 0 && half.err.contains("the token has no text after the colon"), "{half:?}");

    world.user.run_with(&["secrets", "set", "bitbucket"], &value).await.done();
    world.story.clock.advance(Duration::from_secs(61));
    let tested = world.user.run(&["integrations", "test", "bb"]).await;
    let tested = tested.ended(1, "the value of pullyard/user/bitbucket contains a space");
    assert!(tested.err.contains("`pullyard secrets set`"), "{tested:?}");
    let repository = world.user.run(&["repos", "test", SHOP]).await;
    let repository = repository.ended(1, "the value of pullyard/user/bitbucket contains a space");
    for said in [set, refused, lines, tested, repository] {
        assert!(!said.err.contains("planted") && !said.out.contains("planted"), "{said:?}");
    }
    world.story.end().await;
}
