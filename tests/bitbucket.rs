//! Tests a repository on the local forge's Bitbucket Cloud API, with the real runner and real git.

mod agent_reviews;
mod reviews;

use crate::prelude::*;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use pullyard_domain::job::JobResult;

const SHOP: &str = "acme/shop";
/// The account's e-mail address. The local forge checks only the token, like Bitbucket's git.
const BOT_EMAIL: &str = "bot@acme.example";

enum TokenAccount {
    /// An API token with the e-mail address of its account.
    Named,
    /// An access token of a repository; Bitbucket names no account for it.
    Unnamed,
}

struct World {
    story: Story,
    user: User,
    token: String,
}

impl World {
    async fn new(task: Task, agent: impl FnOnce(&Story, &str) -> String) -> Self {
        Self::with_token(task, agent, TokenAccount::Named).await
    }

    async fn with_token(task: Task, agent: impl FnOnce(&Story, &str) -> String, account: TokenAccount) -> Self {
        let story = Story::start_with(Setup { task, ..Setup::default() }).await;
        let token = story.forge_token();
        let script = agent(&story, &token);
        let files = [("README.md", "# Shop\n", false), ("agent.sh", script.as_str(), true)];
        story.local.forge().create_repository(SHOP, "main", &files).await.unwrap();
        let user = User::of(&story);
        let world = Self { story, user, token };
        match account {
            TokenAccount::Named => world.set_secret("bitbucket", &format!("{BOT_EMAIL}:{}", world.token)).await,
            TokenAccount::Unnamed => {
                world.set_secret("bitbucket", &world.token).await;
                let calls = CallFilter { method: Some("GET".into()), path: "/2.0/user".into() };
                world.story.local.forge().inject_fault(calls, 1, Fault::status(403));
            }
        }
        world.add_integration("bb", "bitbucket").await.assert_success();
        world.user.ok(&["repos", "add", SHOP, "--integration", "bb", "--agent-command", "./agent.sh"]).await;
        world
    }

    async fn set_secret(&self, name: &str, value: &str) {
        self.user.run_with(&["secrets", "set", name], value).await.assert_success();
    }

    async fn add_integration(&self, id: &str, secret: &str) -> crate::cli::CommandOutput {
        let (api, secret) = (self.story.local.forge().bitbucket_api_url(), format!("pullyard/user/{secret}"));
        self.user
            .run(&["integrations", "add", id, "--kind", "bitbucket", "--api-url", &api, "--token-secret", &secret])
            .await
    }

    async fn run_ticket(&self, event: &str, minute: i64) -> (Job, JobResult) {
        let mut ticket_event = self.story.event(event, "BB-1", TRIGGER, minute);
        ticket_event.ticket.repository = Some(RepositoryName::new(SHOP).unwrap());
        ticket_event.ticket.url = Some("https://tickets.example/BB-1".into());
        let decision = self.story.api.send_ticket_event(&ticket_event).await.unwrap();
        assert_eq!(decision.verdict, Verdict::Accepted, "{}: {}", decision.code, decision.sentence);
        let ended = self.wait_completed(&decision.job.unwrap()).await;
        assert_eq!(self.story.wait_for_settled_ticket("BB-1").await.status, REVIEW);
        ended
    }

    async fn wait_completed(&self, job: &JobId) -> (Job, JobResult) {
        let ended = self.story.wait_for_end(job).await;
        assert_eq!(ended.status, JobStatus::Completed, "{:?}", ended.failure);
        let result = ended.result.clone().unwrap();
        (ended, result)
    }

    async fn get(&self, path: &str) -> Value {
        self.story.call_bitbucket(&self.token, Method::GET, &format!("/repositories/{SHOP}{path}"), Value::Null).await
    }

    async fn git(&self, arguments: &[&str]) -> String {
        let repository = self.story.local.forge().repository(SHOP).await.unwrap();
        let run = tokio::process::Command::new("git").arg("-C").arg(repository.git_dir).args(arguments).output().await;
        let output = run.unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    async fn ingress(&self) -> (Value, Value) {
        let path = format!("/v1/projects/{}/ingress", self.story.project);
        let all = body(&self.story, &path).await;
        let mut repositories = all["repositories"].as_array().unwrap().iter();
        let shop = repositories.find(|entry| entry["repository"] == SHOP).unwrap().clone();
        (shop["ingress"].clone(), shop["problem"].clone())
    }
}

fn description(pull: &Value) -> String {
    pull["description"].as_str().or(pull["summary"]["raw"].as_str()).unwrap().to_owned()
}

fn working_agent(_: &Story, _: &str) -> String {
    "#!/bin/sh\ncat > /dev/null\necho done >> work.txt\n".into()
}

#[tokio::test(flavor = "multi_thread")]
async fn bitbucket_ticket_opens_a_pull_request_that_continues() {
    let world = World::new(Task::Runner, working_agent).await;
    let (_, first) = world.run_ticket("e1", 1).await;
    let url = format!("{}/{SHOP}/pull-requests/{}", world.story.local.forge().url(), first.number);
    assert_eq!(first.url, url);
    assert_eq!(world.story.ticket("BB-1").await.pull_request.as_deref(), Some(url.as_str()));
    let opened = world.get(&format!("/pullrequests/{}", first.number)).await;
    assert_eq!((&opened["state"], &opened["source"]["branch"]["name"]), (&json!("OPEN"), &json!(first.branch)));
    let text = description(&opened);
    assert!(text.contains("BB-1") && text.contains("https://tickets.example/BB-1"), "{text}");
    // Bitbucket renders HTML comments as visible text.
    assert!(text.contains("[//]: # (pullyard:newest ") && !text.contains("<!--"), "{text}");

    let (_, second) = world.run_ticket("e2", 2).await;
    assert_eq!((second.number, &second.branch), (first.number, &first.branch));
    assert_eq!(world.git(&["rev-list", "--count", &format!("main..{}", first.branch)]).await, "2");
    assert_eq!(world.git(&["rev-parse", &format!("{}^", second.head)]).await, first.head);
    let open = world.get("/pullrequests?state=OPEN").await;
    assert_eq!(open["values"].as_array().unwrap().len(), 1, "{open}");
    let renewed = description(&world.get(&format!("/pullrequests/{}", first.number)).await);
    assert!(renewed.contains(&format!("(pullyard:newest {} ", second.head)), "{renewed}");

    // Polling finds the merge and reports no problem before.
    world.user.ok(&["repos", "ingress", SHOP, "poll"]).await;
    let look = async || {
        world.story.advance_and_sweep(Duration::from_secs(301)).await;
        world.story.wait_for_empty_queues().await;
        world.ingress().await
    };
    assert_eq!(look().await, (json!("poll"), Value::Null));
    assert_eq!(look().await, (json!("poll"), Value::Null));
    let explanation = world.user.ok(&["why", &url]).await;
    assert!(explanation.contains("A review that requests changes on acme/shop#1 starts a job."), "{explanation}");
    world.story.local.forge().merge(SHOP, first.number, "pullyard-bot").await.unwrap();
    assert_eq!(look().await, (json!("poll"), Value::Null));
    let ticket = world.user.json(&["tickets", "show", "BB-1"]).await;
    assert_eq!(ticket["pull_request_state"], "merged", "{ticket}");
    let output = world.user.run(&["why", "BB-1"]).await;
    assert!(output.out.contains("The pull request is merged.") && !output.err.contains("Review it"), "{output:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn revise_accepts_a_bitbucket_pull_request_url() {
    let world = World::new(Task::Runner, working_agent).await;
    let (_, first) = world.run_ticket("e1", 1).await;
    let ran = world.user.run(&["revise", &first.url, "-m", "Say it twice."]).await;
    let job: JobId = ran.assert_success().trim_end().parse().unwrap();
    let (job, revised) = world.wait_completed(&job).await;
    assert_eq!((job.kind, revised.number, &revised.branch), (JobKind::Revise, first.number, &first.branch));
    assert_eq!(world.git(&["rev-parse", &format!("{}^", revised.head)]).await, first.head);
    let statuses = wait_until("the commit has a status", async || {
        let statuses = world.get(&format!("/commit/{}/statuses", revised.head)).await;
        match statuses["values"].as_array().is_some_and(|all| !all.is_empty()) {
            true => Ok(statuses),
            false => Err(statuses.to_string()),
        }
    })
    .await;
    assert_eq!(statuses["values"][0]["key"], "pullyard", "{statuses}");
    // With `refname` Bitbucket shows the status on the pull request of that branch.
    assert_eq!(statuses["values"][0]["refname"], json!(revised.branch), "{statuses}");
}

#[tokio::test(flavor = "multi_thread")]
async fn own_comment_is_found_by_its_mark_without_an_account() {
    let world = World::with_token(Task::Runner, working_agent, TokenAccount::Unnamed).await;
    let integration = world.user.json(&["integrations", "show", "bb"]).await;
    assert_eq!(integration["account"], json!({ "id": 0, "login": "access token" }));
    let (_, first) = world.run_ticket("e1", 1).await;
    // Statuses are refused, and the earlier comment is not stored anywhere.
    let calls = CallFilter { method: Some("POST".into()), path: "/statuses/build".into() };
    world.story.local.forge().inject_fault(calls, 10_000, Fault::status(403));
    let comments = format!("/pullrequests/{}/comments", first.number);
    let comment = json!({ "content": { "raw": "An earlier sentence.\n\n[//]: # (pullyard:status)" } });
    world.story.call_bitbucket(&world.token, Method::POST, &format!("/repositories/{SHOP}{comments}"), comment).await;
    let ran = world.user.run(&["revise", &first.url, "-m", "Say it twice."]).await;
    let job: JobId = ran.assert_success().trim_end().parse().unwrap();
    world.wait_completed(&job).await;
    wait_until("one comment says what became of it", async || {
        let all = world.get(&comments).await["values"].as_array().unwrap().clone();
        let is_said = all.len() == 1 && all[0]["content"]["raw"].as_str().unwrap().contains(" revised ");
        if is_said { Ok(()) } else { Err(format!("{all:?}")) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bitbucket_secret_is_redacted_in_all_runner_output() {
    let written = |token: &str| {
        let credentials = format!("{BOT_EMAIL}:{token}");
        let [basic, of_git] = [credentials.clone(), format!("x-bitbucket-api-token-auth:{token}")]
            .map(|text| BASE64_STANDARD.encode(text));
        [token.to_owned(), credentials, basic, of_git]
    };
    let world = World::new(Task::Runner, |story, token| {
        let leak = story.folder().join("leak.txt");
        std::fs::write(&leak, format!("{}\n", written(token).join("\n"))).unwrap();
        format!("#!/bin/sh\ncat > /dev/null\ncat '{}'\ncat '{0}' >&2\necho done >> work.txt\n", leak.display())
    })
    .await;
    let (job, result) = world.run_ticket("e1", 1).await;
    let mut texts = vec![
        world.get(&format!("/pullrequests/{}", result.number)).await.to_string(),
        world.get(&format!("/pullrequests/{}/comments", result.number)).await.to_string(),
        world.git(&["log", "-p", &result.branch]).await,
    ];
    for path in ["", "/attempts", "/events", "/artifacts"] {
        texts.push(body(&world.story, &format!("/v1/jobs/{}{path}", job.id)).await.to_string());
    }
    assert!(texts.iter().any(|text| text.contains("[redacted]")), "nothing was redacted: {texts:?}");
    for part in written(&world.token) {
        assert!(!texts.iter().any(|text| text.contains(&part)), "{part}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bitbucket_refusals_name_the_missing_or_denied_thing() {
    let world = World::new(Task::Waiting, working_agent).await;
    world.set_secret("wrong", &format!("{BOT_EMAIL}:nobodys-token")).await;
    let denied = world.add_integration("wrong", "wrong").await;
    assert!(denied.code != 0 && denied.err.contains("failed to sign in to"), "{denied:?}");
    assert!(!denied.err.contains("nobodys-token"), "{denied:?}");
    assert!(denied.err.contains("check that it is Bitbucket (--kind)"), "{denied:?}");
    // An error about a token given instead of a secret's name does not repeat the token.
    let add = ["integrations", "add", "x", "--kind", "bitbucket", "--token-secret", world.token.as_str()];
    let output = world.user.run(&add).await.assert_exit(2, "give the name of a secret, not the token");
    assert!(!output.err.contains(&world.token), "{output:?}");
    world.add_integration("none", "not-set").await.assert_exit(1, "the secret pullyard/user/not-set does not exist");
    let add = ["repos", "add", "acme/none", "--integration", "bb", "--agent-command", "./agent.sh"];
    let missing = world.user.run(&add).await;
    assert!(missing.code != 0 && missing.err.contains("failed to find"), "{missing:?}");
    assert!(missing.err.contains("acme/none"), "{missing:?}");
    let table = world.user.ok(&["repos", "test", SHOP]).await;
    assert!(
        table.contains("works\trepository\t") && table.contains("it needs read:repository and write:repository"),
        "{table}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_token_value_is_reported_when_set_used_and_tested() {
    let world = World::new(Task::Waiting, working_agent).await;
    let value = format!("{BOT_EMAIL}:planted token");
    let set = world.user.run_with(&["secrets", "set", "spaced"], &value).await;
    let set = set.assert_exit(0, "warning: the value of spaced contains a space");
    let refused = world
        .add_integration("spaced", "spaced")
        .await
        .assert_exit(2, "the value of pullyard/user/spaced contains a space");
    assert!(refused.err.contains("`pullyard secrets set spaced`"), "{refused:?}");
    // Only the final line ending is trimmed.
    world.user.run_with(&["secrets", "set", "lines"], "planted\n\n").await.assert_exit(0, "ends with a line break");
    let lines = world
        .add_integration("lines", "lines")
        .await
        .assert_exit(2, "the value of pullyard/user/lines ends with a line break");
    world.set_secret("half", &format!("{BOT_EMAIL}:")).await;
    let half = world.add_integration("half", "half").await;
    assert!(half.code != 0 && half.err.contains("the token has no text after the colon"), "{half:?}");

    world.user.run_with(&["secrets", "set", "bitbucket"], &value).await.assert_success();
    world.story.clock.advance(Duration::from_secs(61));
    let tested = world.user.run(&["integrations", "test", "bb"]).await;
    let tested = tested.assert_exit(1, "the value of pullyard/user/bitbucket contains a space");
    assert!(tested.err.contains("`pullyard secrets set bitbucket`"), "{tested:?}");
    let repository = world.user.run(&["repos", "test", SHOP]).await;
    let repository = repository.assert_exit(1, "the value of pullyard/user/bitbucket contains a space");
    for output in [set, refused, lines, tested, repository] {
        assert!(!output.err.contains("planted") && !output.out.contains("planted"), "{output:?}");
    }
}
