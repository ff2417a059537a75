//! Tests the program `pullyard` against a whole system.

mod comments;
mod help;
mod lists;
mod watching;

use crate::prelude::*;
use crate::try_job::terminal::Terminal;
use pullyard_protocol::version::PROTOCOL;
use pullyard_version::{VERSION, short_commit};
use tokio::io::AsyncWriteExt;

#[derive(Debug)]
pub(crate) struct CommandOutput {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl CommandOutput {
    #[track_caller]
    pub(crate) fn assert_success(self) -> String {
        assert_eq!(self.code, 0, "{self:?}");
        self.out
    }

    #[track_caller]
    pub(crate) fn assert_exit(self, code: i32, expected_text: &str) -> Self {
        assert_eq!(self.code, code, "{self:?}");
        assert!(self.err.contains(expected_text), "{expected_text}: {self:?}");
        self
    }
}

pub(crate) struct User {
    home: TempDir,
    env: Vec<(&'static str, String)>,
}

impl User {
    pub(crate) fn new() -> Self {
        Self { home: TempDir::new().unwrap(), env: Vec::new() }
    }

    pub(crate) fn of(story: &Story) -> Self {
        Self::with(story, story.local.admin_token())
    }

    pub(crate) fn with(story: &Story, token: &str) -> Self {
        let url = story.local.api_url().to_owned();
        Self { env: vec![("PULLYARD_URL", url), ("PULLYARD_TOKEN", token.to_owned())], ..Self::new() }
    }

    pub(crate) fn set_env(&mut self, name: &'static str, value: &str) {
        self.env.retain(|(key, _)| *key != name);
        self.env.push((name, value.to_owned()));
    }

    pub(crate) async fn run(&self, arguments: &[&str]) -> CommandOutput {
        self.run_with(arguments, "").await
    }

    /// Runs a command that must succeed, and returns its output.
    pub(crate) async fn ok(&self, arguments: &[&str]) -> String {
        self.run(arguments).await.assert_success()
    }

    pub(crate) async fn run_with(&self, arguments: &[&str], stdin: &str) -> CommandOutput {
        let mut child = self.spawn(arguments);
        // Ignore the error: a command may exit without reading stdin.
        let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes()).await;
        let ended = child.wait_with_output().await.unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        CommandOutput { code: ended.status.code().unwrap_or(-1), out: text(ended.stdout), err: text(ended.stderr) }
    }

    pub(crate) fn spawn(&self, arguments: &[&str]) -> Child {
        let mut command = self.command(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// Runs at a terminal, so that the command can prompt.
    pub(crate) fn at_terminal(&self, arguments: &[&str]) -> Terminal {
        Terminal::open(&mut self.command(arguments))
    }

    pub(crate) fn shown_at_terminal(&self, arguments: &[&str]) -> Terminal {
        Terminal::start_with_output(&mut self.command(arguments))
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pullyard"));
        command.args(arguments).env_clear().env("XDG_CONFIG_HOME", self.home.path());
        command.envs(self.env.iter().map(|(name, value)| (*name, value))).kill_on_drop(true);
        command
    }

    pub(crate) async fn json(&self, arguments: &[&str]) -> Value {
        let out = self.ok(&[arguments, &["--json"]].concat()).await;
        serde_json::from_str(&out).unwrap_or_else(|error| panic!("{arguments:?}: {error}: {out}"))
    }
}

pub(crate) async fn body(story: &Story, path: &str) -> Value {
    let (status, _, body) = story.request(Method::GET, path, Some(story.local.admin_token()), Vec::new()).await;
    assert_eq!(status, 200, "{path}: {body}");
    body
}

pub(crate) fn short(job: &JobId) -> String {
    job.short()
}

#[tokio::test(flavor = "multi_thread")]
async fn json_output_equals_the_apis_body() {
    let (story, user) = Story::with_user().await;
    let decision = story.send_ticket_event("e1", "APP-1", TRIGGER, 1).await;
    let (job, delivery) = (decision.job.unwrap(), decision.delivery);
    // Claimed: why of a waiting job would change with time.
    story.claim(&job, "c1").await.unwrap();
    let (job, delivery) = (job.as_str(), delivery.as_str());
    let one = format!("/v1/jobs/{job}");
    for (arguments, path) in [
        (&["projects", "list"][..], "/v1/projects"),
        (&["projects", "show"], "/v1/projects/acme"),
        (&["settings", "get"], "/v1/projects/acme"),
        (&["repos", "list"], "/v1/projects/acme/repositories"),
        (&["integrations", "show", "gh1"], "/v1/integrations/gh1"),
        (&["tickets", "list"], "/v1/tickets?project=acme"),
        (&["tickets", "show", "APP-1"], "/v1/tickets/APP-1?project=acme"),
        (&["jobs"], "/v1/jobs?project=acme"),
        (&["jobs", "list"], "/v1/jobs?project=acme"),
        (&["jobs", "show", job], &one),
        (&["jobs", "logs", job], &format!("{one}/events")),
        (&["deliveries"], "/v1/deliveries?project=acme"),
        (&["deliveries", "show", delivery], &format!("/v1/deliveries/{delivery}")),
    ] {
        assert_eq!(user.json(arguments).await, body(&story, path).await, "{arguments:?}");
    }
    // Without its sentence, which counts seconds.
    let timeless =
        |mut explanation: Value| explanation.as_object_mut().unwrap().remove("sentence").map(|_| explanation);
    assert_eq!(timeless(user.json(&["why", job]).await), timeless(body(&story, &format!("{one}/why")).await));
    // Without the server's time, which advances.
    let timeless = |mut version: Value| version.as_object_mut().unwrap().remove("time").map(|_| version);
    let server = user.json(&["version"]).await["server"].clone();
    assert_eq!(timeless(server), timeless(body(&story, "/v1/version").await));
    assert_eq!(user.json(&["status"]).await["newest_jobs"], json!({ "claimed": 1 }));
    let absent = format!("job_{}", "a".repeat(26));
    let missing = user.run(&["jobs", "show", &absent, "--json"]).await.assert_exit(5, "error: ");
    let path = format!("/v1/jobs/{absent}");
    let (_, _, problem) = story.request(Method::GET, &path, Some(story.local.admin_token()), Vec::new()).await;
    assert_eq!(serde_json::from_str::<Value>(&missing.out).unwrap(), problem);
}

#[tokio::test(flavor = "multi_thread")]
async fn cli_creates_edits_and_moves_tickets() {
    let (story, user) = Story::with_user().await;
    let create =
        ["tickets", "create", "B-1", "--title", "First", "--description", "Do it.", "--label", "a", "--label", "b"];
    let output = user.ok(&create).await;
    assert!(output.starts_with("B-1\tTodo\tignored\tnot_trigger_status\t\t"), "{output}");
    user.run(&create).await.assert_exit(1, "already exists");
    let next = user.ok(&["tickets", "create", "--title", "Next"]).await;
    assert!(next.starts_with("ACME-1\tTodo\tignored\t"), "{next}");
    user.ok(&["tickets", "edit", "B-1", "--title", "Second"]).await;
    let ticket = story.ticket("B-1").await;
    assert_eq!((ticket.title.as_str(), ticket.description.as_str(), ticket.labels.len()), ("Second", "Do it.", 2));
    let moved = user.ok(&["tickets", "move", "B-1", TRIGGER]).await;
    let job = story.ticket("B-1").await.active_job.unwrap();
    assert!(moved.starts_with(&format!("B-1\t{TRIGGER}\taccepted\taccepted\t{job}\t")), "{moved}");
    user.ok(&["tickets", "move", "B-1", "Blocked"]).await;
    let refused = user.run(&["tickets", "move", "B-1", TRIGGER]).await.assert_exit(3, "(job_active)");
    assert!(refused.err.contains(". Moved B-1 to ") && refused.out.is_empty(), "{refused:?}");
    assert_eq!(story.ticket("B-1").await.status, TRIGGER);
    let refused = user.run(&["tickets", "move", "B-1", TRIGGER, "--json"]).await.assert_exit(3, "(status_unchanged)");
    assert_eq!(serde_json::from_str::<Value>(&refused.out).unwrap()["decision"]["code"], "status_unchanged");
    assert!(!refused.err.contains("Moved B-1"), "the refusal claims that it was moved: {refused:?}");
    user.ok(&["tickets", "create", "B-2", "--title", "Second", "--status", "Blocked"]).await;
    user.run(&["tickets", "move", "B-2", TRIGGER, "--before", "B-9"]).await.assert_exit(3, "(not_in_column)");
    user.ok(&["tickets", "move", "B-1", "Blocked", "--before", "B-2"]).await;
    let ordered = user.ok(&["tickets", "move", "B-1", "Blocked", "--last"]).await;
    assert_eq!(ordered, "Moved B-1 to the end in Blocked\n");
    user.run(&["tickets", "show", "B-9"]).await.assert_exit(5, "there is no ticket B-9");
    user.run(&["tickets", "edit", "B-1"]).await.assert_exit(2, "--title");
    // An edit in the trigger column starts no job.
    user.ok(&["tickets", "edit", "B-1", "--title", "Third"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_kind_of_error_has_its_exit_code() {
    let (story, user) = Story::with_user().await;
    story.create_job("e1", "APP-1", 1).await;
    // 1: the server is unreachable.
    let nobody =
        user.run(&["jobs", "--url", "http://127.0.0.1:1"]).await.assert_exit(1, "can't reach http://127.0.0.1:1: ");
    assert!(nobody.err.contains("pullyard up"), "{nobody:?}");
    user.run(&["job"]).await.assert_exit(2, "'jobs'");
    user.run(&["jobs", "--url", "ftp://x"]).await.assert_exit(2, "is not a URL");
    user.run(&["--project", "No!", "jobs"]).await.assert_exit(2, "not a project id");
    // 3: refused by a guard.
    user.run(&["jobs", "create", "--ticket", "APP-1"]).await.assert_exit(3, "(job_active)");
    // 4: not signed in or not allowed.
    let stranger = User { env: vec![("PULLYARD_URL", story.local.api_url().into())], ..User::new() };
    stranger.run(&["jobs"]).await.assert_exit(4, "pullyard login");
    let reader = User::with(&story, &story.create_token(&[Scope::Read], None).await);
    reader.ok(&["jobs"]).await;
    reader.run(&["jobs", "create", "--prompt", "Do it."]).await.assert_exit(4, "(not_allowed)");
    // 5: not found.
    user.run(&["jobs", "show", "nope"]).await.assert_exit(5, "there is no job nope in project acme");
    user.run(&["jobs", "--project", "nobody"]).await.assert_exit(5, "there is no project nobody");
    user.run(&["why", "nope"]).await.assert_exit(5, "nope");
    user.run(&["contexts", "use", "nope"]).await.assert_exit(5, "nope");
    let known = "[possible values: dispatch, effects, calls, submissions, undelivered]";
    user.run(&["dlq", "list", "--queue", "nope"]).await.assert_exit(2, known);
    user.run(&["dlq", "list", "--queue", "effects"]).await.assert_exit(0, "The dead-letter queue of effects is empty.");
    // 8: changed by another request.
    user.ok(&["settings", "set", "auto_create=false"]).await;
    user.run(&["settings", "set", "auto_create=true", "--revision", "1"]).await.assert_exit(8, "(changed_meanwhile)");
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_set_changes_only_the_named_settings() {
    let (story, user) = Story::with_user().await;
    let set = ["settings", "set", "limits.wall_secs=1800", "tool_account=5", "default_repository=null"];
    let output = user.ok(&set).await;
    assert_eq!(output, "default_repository\t\nlimits.wall_secs\t1800\ntool_account\t5\n");
    let settings = story.api.project(&story.project).await.unwrap().settings;
    assert_eq!((settings.limits.wall_secs, settings.tool_account.as_deref()), (1_800, Some("5")));
    assert!(settings.default_repository.is_none() && settings.auto_create);
    user.ok(&["settings", "set", &format!("default_repository={REPOSITORY}")]).await;
    assert_eq!(
        user.ok(&["settings", "get", "default_repository"]).await,
        format!(
            "default_repository\t{REPOSITORY}\t\tproject\tThe repository of tickets that name none, as owner/name.\n"
        )
    );
    user.run(&["settings", "set", "nothing=1"]).await.assert_exit(2, "there is no setting nothing");
    user.run(&["settings", "get", "nothing"]).await.assert_exit(2, "there is no setting nothing");
    user.run(&["settings", "get", "nothing", "--json"]).await.assert_exit(2, "there is no setting nothing");
    user.run(&["settings", "set", "auto_create=maybe"]).await.assert_exit(2, "auto_create must be true or false");
    user.run(&["settings", "set", "limits.wall_secs=1"]).await.assert_exit(2, "use 60 to 86400 seconds");
    let money = user.ok(&["settings", "set", "limits.cost_usd=2.50", "limits.wall_secs=45min"]).await;
    assert_eq!(money, "limits.cost_usd\t2.50\nlimits.wall_secs\t2700\n");
    user.run(&["settings", "set", "compute=runner"]).await.assert_exit(2, "did you mean compute=runners?");
}

#[tokio::test(flavor = "multi_thread")]
async fn version_and_status_show_the_commit_of_client_and_server() {
    let (_story, user) = Story::with_user().await;
    let versions = user.json(&["version"]).await;
    assert_eq!((&versions["client"]["commit"], &versions["server"]["commit"]), (&json!(COMMIT), &json!(COMMIT)));
    let release = format!("{VERSION} ({})", short_commit(COMMIT));
    let version = user.ok(&["version"]).await;
    assert_eq!(version, format!("client\t{release}\nserver\t{release}\n"));
    assert_eq!(user.ok(&["--version"]).await, format!("pullyard {release}\n"));
    let runner = user.ok(&["runner", "version"]).await;
    assert_eq!(runner, format!("pullyard-runner {release}, protocol {PROTOCOL}\n"));
    let status = user.ok(&["status"]).await;
    assert_eq!(status.lines().nth(1), Some(format!("version\t{release}").as_str()));
}

#[tokio::test(flavor = "multi_thread")]
async fn cli_sets_up_a_project_from_integration_to_ticket() {
    let (story, user) = Story::with_user().await;
    assert_eq!(user.ok(&["status"]).await.lines().nth(2), Some("project\tacme"), "the only project is not the default");
    let forge = story.local.forge().api_url();
    let secret = story.local.forge_secret();
    user.ok(&["integrations", "add", "gh2", "--api-url", &forge, "--token-secret", secret]).await;
    let create = ["projects", "create", "other", "--name", "Other", "--auto-create"];
    user.ok(&create).await;
    user.ok(&["repos", "add", REPOSITORY, "--integration", "gh2", "--project", "other"]).await;
    user.run(&create).await.assert_exit(0, "other already exists.");
    user.run(&["projects", "create", "other", "--name", "Others"]).await.assert_exit(1, "already exists");
    user.run(&["projects", "create", "other"]).await.assert_exit(1, "already exists");
    let several = user.run(&["jobs"]).await.assert_exit(2, "there are 2 projects: acme, other");
    assert!(several.err.contains("`pullyard projects use ID`"), "{several:?}");
    let other =
        User { env: [User::of(&story).env, vec![("PULLYARD_PROJECT", "other".into())]].concat(), ..User::new() };
    let add = ["repos", "add", REPOSITORY, "--integration", "gh2", "--agent-command", "sh", "-c", "exit 3"];
    other.ok(&add).await;
    assert_eq!(other.ok(&["repos", "list"]).await, format!("{REPOSITORY}\tgh2\tmain\tsh -c exit 3\t\t\t\n"));
    other.ok(&["tickets", "create", "O-1", "--title", "t", "--status", TRIGGER]).await;
    assert_eq!(other.ok(&["jobs", "list", "--project", "acme"]).await, "", "the flag did not override the variable");
    assert_eq!(other.ok(&["jobs"]).await.lines().count(), 1);
    let limited = User::with(&story, &story.create_token(&[Scope::Read], Some(&["other"])).await);
    assert_eq!(limited.ok(&["projects", "list"]).await, format!("other\tOther\ttrue\t{REPOSITORY}\n"));
    assert_eq!(limited.ok(&["jobs"]).await.lines().count(), 1, "the only visible project is not the default");
    limited.run(&["integrations", "show", "gh2"]).await.assert_exit(4, "(not_allowed)");
}

#[tokio::test(flavor = "multi_thread")]
async fn job_is_found_by_short_id_prefix_and_last() {
    let (_story, user) = Story::with_user().await;
    user.run(&["jobs", "show", "@last"]).await.assert_exit(5, "no job in project acme yet");
    let create = ["jobs", "create", "--prompt", "Do it.", "--idempotency-key", "k1"];
    let output = user.ok(&create).await;
    let job: JobId = output.trim_end().parse().expect("stdout is not exactly the job's id");
    assert_eq!(user.ok(&create).await, output, "the same key created another job");
    let begun = &job.as_str()[..12];
    for name in [short(&job).as_str(), &short(&job).to_lowercase(), begun, "@last", job.as_str()] {
        assert_eq!(user.json(&["jobs", "show", name]).await["id"], job.as_str(), "{name}");
    }
    user.ok(&["jobs", "create", "--prompt", "Do more."]).await;
    user.run(&["jobs", "show", "job_"]).await.assert_exit(2, "more than one job");
}

#[tokio::test(flavor = "multi_thread")]
async fn why_explains_jobs_tickets_and_deliveries() {
    let (story, user) = Story::with_user().await;
    let quiet = story.send_ticket_event("e1", "APP-1", TODO, 1).await;
    let explanation = user.ok(&["why", "APP-1"]).await;
    assert_eq!(explanation.trim_end(), format!("No job was started for APP-1: {}", quiet.sentence));
    assert_eq!(user.ok(&["why", quiet.delivery.as_str()]).await.trim_end(), quiet.sentence);
    let job = story.create_job("e2", "APP-1", 2).await;
    story.claim(&job, "c1").await.unwrap();
    let sentence = user.ok(&["why", &short(&job)]).await;
    assert!(sentence.starts_with("A runner has claimed the job (attempt 1, "), "{sentence}");
    let sentence = user.ok(&["why", "APP-1"]).await;
    assert!(sentence.starts_with(&format!("Job {}: A runner has claimed", short(&job))), "{sentence}");
}

#[tokio::test(flavor = "multi_thread")]
async fn project_rename_changes_only_the_display_name() {
    let (story, user) = Story::with_user().await;
    let before = story.api.project(&story.project).await.unwrap();
    for _ in 0..2 {
        let renamed = user.json(&["projects", "rename", "acme", "--name", "Acme Shop"]).await;
        assert_eq!((&renamed["name"], &renamed["revision"]), (&json!("Acme Shop"), &json!(before.revision + 1)));
    }
    let after = story.api.project(&story.project).await.unwrap();
    assert_eq!((after.name.as_str(), after.settings), ("Acme Shop", before.settings));
    user.run(&["projects", "rename", "acme", "--name", "a\nb"]).await.assert_exit(2, "name");
    user.run(&["projects", "rename", "none", "--name", "N"]).await.assert_exit(5, "there is no project none");
}

#[tokio::test(flavor = "multi_thread")]
async fn project_delete_needs_an_unused_project() {
    let (story, user) = Story::with_user().await;
    story.send_ticket_event("e1", "APP-1", TODO, 1).await;
    user.run(&["projects", "delete", "acme"]).await.assert_exit(2, "--yes");
    user.run(&["projects", "delete", "acm", "--yes"]).await.assert_exit(5, "did you mean acme?");
    let used = user.run(&["projects", "delete", "acme", "--yes"]).await.assert_exit(3, "(repositories_of_project)");
    assert!(used.err.contains(&format!("Connected to acme: {REPOSITORY}")), "{used:?}");
    assert!(used.err.contains("pullyard repos delete OWNER/NAME --project acme"), "{used:?}");
    user.ok(&["repos", "delete", REPOSITORY, "--yes"]).await;
    let expected = json!({ "id": "acme", "tickets": 1, "deleted": true });
    assert_eq!(user.json(&["projects", "delete", "acme", "--yes"]).await, expected);
    user.run(&["projects", "delete", "acme", "--yes"]).await.assert_exit(5, "there is no project acme");
    assert_eq!(user.ok(&["projects", "list"]).await, "");
    let late = story.event("e2", "APP-1", TRIGGER, 2);
    let refused = story.api.send_ticket_event(&late).await;
    assert!(refused.is_err() || refused.is_ok_and(|decision| decision.job.is_none()), "a deleted project starts a job");
}

#[tokio::test(flavor = "multi_thread")]
async fn mistyped_name_is_answered_with_the_nearest_one() {
    let story = Story::start_with_waiting_tasks().await;
    let mut user = User::of(&story);
    user.run(&["jobs", "--status", "faild"]).await.assert_exit(2, "a similar value exists: 'failed'");
    user.run(&["jobs", "--limit", "many"]).await.assert_exit(2, "use a whole number");
    user.run(&["tokens", "create", "--name", "t", "--kind", "apj"])
        .await
        .assert_exit(2, "a similar value exists: 'api'");
    user.run(&["help", "jbos"]).await.assert_exit(2, "did you mean jobs?");
    user.run(&["jobs", "--project", "acne"]).await.assert_exit(5, "did you mean acme?");
    user.run(&["repos", "set", "acme/ap", "--no-checks"]).await.assert_exit(5, "did you mean acme/app?");
    let (token, work) = (story.runner_token("t", None, Some("kite-7")).await, user.home.path().join("work"));
    user.set_env("PATH", &std::env::var("PATH").unwrap());
    user.set_env("PULLYARD_RUNNER_TOKEN", &token);
    user.set_env("PULLYARD_WORK_DIR", work.to_str().unwrap());
    let started = ["runner", "start", "--once", "--isolation", "none", "--capabilities", "command"];
    let started = user.run(&started).await;
    assert!(started.err.contains(", with the token \"t\""), "{started:?}");
    assert!(!started.err.contains("runner.id="), "a dump of fields: {started:?}");
    started.assert_success();
    user.run(&["runners", "show", "kite-8"]).await.assert_exit(5, "did you mean kite-7?");
}

#[tokio::test(flavor = "multi_thread")]
async fn runner_uses_its_contexts_url_and_its_tokens_name() {
    let story = Story::start_with_waiting_tasks().await;
    let mut user = User::new();
    let url = story.local.api_url();
    user.run_with(&["login", url, "--context", "work"], story.local.admin_token()).await.assert_success();
    let (token, work) = (story.runner_token("t", None, Some("kite-7")).await, user.home.path().join("work"));
    user.set_env("PATH", &std::env::var("PATH").unwrap());
    user.set_env("PULLYARD_RUNNER_TOKEN", &token);
    user.set_env("PULLYARD_WORK_DIR", work.to_str().unwrap());
    let flags = ["--isolation", "none", "--capabilities", "command"];
    let config = user.ok(&[&["runner", "config"][..], &flags].concat()).await;
    assert!(config.lines().any(|line| line.contains(url) && line.contains("context work")), "{config}");
    user.ok(&[&["runner", "start", "--once"][..], &flags].concat()).await;
    assert_eq!(story.api.runner("kite-7").await.unwrap().name, "kite-7");
    user.run(&[&["runner", "start", "--context", "nope"][..], &flags].concat()).await.assert_exit(2, "no context nope");
}

#[tokio::test(flavor = "multi_thread")]
async fn login_saves_a_private_context_and_logout_removes_it() {
    use std::os::unix::fs::PermissionsExt;
    let story = Story::start_with_waiting_tasks().await;
    let user = User::new();
    let (url, token) = (story.local.api_url(), story.local.admin_token());
    user.run_with(&["login", url], "pat_wrong\n").await.assert_exit(4, "(not_signed_in)");
    user.run_with(&["login", url], "\n").await.assert_exit(2, "token");
    let file = user.home.path().join("pullyard/config.toml");
    assert!(!file.exists(), "a refused login was saved");
    let signed = user.run_with(&["login", url, "--context", "work"], &format!("{token}\n")).await;
    assert!(!format!("{signed:?}").contains(token));
    signed.assert_success();
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(user.ok(&["contexts"]).await, format!("*\twork\t{url}\tacme\n"));
    assert_eq!(user.ok(&["projects", "list"]).await.lines().count(), 1);
    user.run_with(&["login"], token).await.assert_exit(0, &format!("Signed in to {url}"));
    assert_eq!(user.ok(&["contexts"]).await.lines().count(), 2, "the default context is not named after its host");
    user.ok(&["logout"]).await;
    user.ok(&["contexts", "use", "work"]).await;
    user.run_with(&["login", url, "--context", "second"], token).await.assert_success();
    let used = json!({ "name": "work", "url": url, "project": "acme", "current": true });
    assert_eq!(user.json(&["contexts", "use", "work"]).await, used);
    assert!(user.ok(&["contexts"]).await.contains("*\twork"));
    user.ok(&["projects", "create", "other"]).await;
    user.run(&["projects", "use", "nope"]).await.assert_exit(5, "there is no project nope");
    user.run(&["projects", "use", "other"]).await.assert_exit(0, "Commands of context work now use other");
    assert_eq!(user.json(&["status"]).await["project"], "other");
    user.ok(&["projects", "use", "acme"]).await;
    let without = User::of(&story).run(&["projects", "use", "acme"]).await.assert_exit(2, "no saved context names");
    assert!(without.err.contains("pullyard login"), "{without:?}");
    assert!(!user.ok(&["contexts", "--json"]).await.contains(token));
    // The context's token is not sent to another server.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let other = format!("http://{}", listener.local_addr().unwrap());
    let ask = ["jobs", "create", "--prompt", "x", "--project", "acme", "--url", &other];
    let hear = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut buffer = vec![0; 4_096];
        let count = tokio::io::AsyncReadExt::read(&mut stream, &mut buffer).await.unwrap();
        String::from_utf8_lossy(&buffer[..count]).into_owned()
    };
    let (ran, request) = tokio::join!(user.run(&ask), hear);
    assert!(request.to_lowercase().contains("authorization: bearer") && !request.contains(token), "{request}");
    ran.assert_exit(1, "can't reach");
    assert_eq!(user.json(&["logout"]).await, json!({ "forgot": "work", "current": null }));
    assert!(!std::fs::read_to_string(&file).unwrap().contains("work"));
    assert_eq!(user.json(&["logout"]).await, json!({ "forgot": null, "current": null }));
    user.run(&["logout", "--context", "work"]).await.assert_exit(5, "there is no context work");
}
