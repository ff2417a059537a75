//! Tests Jira and Linear as ticket tools: their users connect them, drag tickets, and see how jobs end.

use crate::pages::Browser;
use crate::prelude::*;
use pullyard_fake_tracker::{
    BACKLOG, BOT, CREDENTIAL, DONE, FakeTracker, IN_REVIEW, Kind, PERSON, PROCESSING, TicketBody,
};
use std::sync::MutexGuard;

mod boundaries;
mod choices;
mod health;

const KINDS: [Kind; 2] = [Kind::Jira, Kind::Linear];
const PUBLIC_URL: &str = "https://pullyard.example";

struct World {
    story: Story,
    user: User,
    fake: FakeTracker,
    /// The name of the connection and of its kind.
    name: &'static str,
    key: &'static str,
    scope: &'static str,
    /// The secret that signs deliveries.
    hook_secret: String,
}

impl World {
    /// A tool that is connected, but that no project uses.
    async fn connect(kind: Kind, setup: Setup) -> Self {
        let credential = if kind == Kind::Jira { CREDENTIAL } else { "lin_api_key" };
        Self::connect_with(kind, setup, credential).await
    }

    async fn connect_with(kind: Kind, setup: Setup, credential: &str) -> Self {
        let (name, scope, key) = match kind {
            Kind::Jira => ("jira", "PRJ", "PRJ-7"),
            Kind::Linear => ("linear", "ENG", "ENG-7"),
        };
        let public_url = setup.public_url.clone();
        let story = Story::start_with(Setup { task: Task::Waiting, ..setup }).await;
        let (user, fake) = (User::of(&story), FakeTracker::start(kind).await);
        let secret = format!("pullyard/user/{name}");
        let add = ["trackers", "add", name, "--kind", name, "--site", fake.url(), "--token-secret", &secret];
        user.run(&add).await.assert_exit(2, "secret: ");
        user.run_with(&["secrets", "set", name], "wrong").await.assert_success();
        user.run(&add).await.assert_exit(2, "the tool refused the credential (401)");
        user.run_with(&["secrets", "set", name], credential).await.assert_success();
        let added = user.json(&add).await;
        let pages = public_url.unwrap_or(story.local.api_url().to_owned());
        assert_eq!(added["tracker"]["account"], BOT.1);
        assert_eq!(added["webhook_url"], format!("{pages}/webhooks/{name}/{name}"));
        let hook_secret = added["signing_secret"].as_str().unwrap().to_owned();
        let world = Self { story, user, fake, name, key, scope, hook_secret };
        drop(world.tool());
        world
    }

    async fn with_tool(kind: Kind, setup: Setup) -> Self {
        let world = Self::connect(kind, setup).await;
        world.use_tool().await;
        world
    }

    async fn use_tool(&self) -> Value {
        let names = ["--scope", self.scope, "--trigger", TRIGGER, "--todo", "Backlog", "--completion", REVIEW];
        self.user.json(&[&["trackers", "use", self.name], &names[..]].concat()).await
    }

    async fn settings(&self) -> Settings {
        let project = ProjectId::new("acme").unwrap();
        self.story.store().await.load_project(&project).await.unwrap().unwrap().settings
    }

    /// The state of the tool, which uses the story's clock.
    fn tool(&self) -> MutexGuard<'_, pullyard_fake_tracker::State> {
        let mut state = self.fake.state();
        state.set_now(self.story.clock.now().millis());
        state
    }

    fn add_ticket(&self, status: usize) {
        self.tool().add_ticket(self.key, "Greet in German", TicketBody::Empty, status);
    }

    /// Moves the ticket with the account that Pullyard uses, as a user with a personal key does.
    fn drag(&self, to: usize) {
        self.drag_as(to, BOT);
    }

    fn drag_as(&self, to: usize, by: (&'static str, &'static str)) {
        self.story.clock.advance(Duration::from_secs(1));
        self.tool().move_ticket(self.key, to, by);
    }

    async fn poll(&self) {
        self.story.clock.advance(Duration::from_secs(61));
        drop(self.tool());
        self.story.local.sweep().await.unwrap();
        self.story.wait_for_empty_queues().await;
    }

    fn status(&self) -> usize {
        self.fake.state().ticket(self.key).status
    }

    fn labels(&self) -> Vec<String> {
        self.fake.state().ticket(self.key).labels.clone()
    }

    async fn wait_for_active_job(&self) -> JobId {
        wait_until("the ticket gets a job", async || {
            let jobs = self.story.jobs().await;
            let active = jobs.iter().find(|job| !job.status.is_terminal()).map(|job| job.id.clone());
            active.ok_or_else(|| format!("{jobs:?}"))
        })
        .await
    }

    async fn wait_for_status(&self, expected: usize) {
        wait_until("the tool shows the status", async || {
            let status = self.status();
            if status == expected { Ok(()) } else { Err(format!("{status}")) }
        })
        .await
    }

    /// Sends a delivery about the ticket's newest change, sent some hours ago.
    async fn deliver(&self, secret: &str, hours: i64) -> u16 {
        let sent = self.story.clock.now().millis() - hours * 3_600_000;
        let (headers, sent) = self.tool().delivery(self.key, secret, sent);
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let path = format!("/webhooks/{0}/{0}", self.name);
        self.story.request_with_headers(Method::POST, &path, &headers, sent).await.0
    }
}

fn public() -> Setup {
    Setup { public_url: Some(PUBLIC_URL.into()), ..Setup::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn dragged_ticket_starts_jobs_and_shows_how_they_end() {
    for kind in KINDS {
        let world = World::with_tool(kind, Setup::default()).await;
        let (story, user) = (&world.story, &world.user);
        world.add_ticket(BACKLOG);
        world.poll().await;
        assert_eq!(story.ticket(world.key).await.status, "Backlog");
        world.drag(PROCESSING);
        world.poll().await;
        let job = world.wait_for_active_job().await;
        let ticket = story.ticket(world.key).await;
        assert_eq!((ticket.title.as_str(), ticket.tracker.unwrap().as_str()), ("Greet in German", world.name));

        let (_, client) = story.claim(&job, "claim-1").await.unwrap();
        enter_phases(&client, Phase::Executing).await;
        client.finish(&failed_finish("finish-1")).await.unwrap();
        story.wait_for_settled_ticket(world.key).await;
        let badge = if kind == Kind::Jira { "ai-failed" } else { "AI Failed" };
        assert_eq!((world.status(), world.labels()), (BACKLOG, vec![badge.to_owned()]), "{kind:?}");
        let comments = world.fake.state().ticket(world.key).comments();
        assert!(comments.len() == 1 && comments[0].contains(&job.to_string()), "{comments:?}");
        // Our own move starts nothing.
        world.poll().await;
        assert_eq!(story.jobs().await.len(), 1);

        world.drag(PROCESSING);
        world.poll().await;
        let second = world.wait_for_active_job().await;
        wait_until("the badge is gone", async || {
            let labels = world.labels();
            if labels.is_empty() { Ok(()) } else { Err(format!("{labels:?}")) }
        })
        .await;
        let (_, client) = story.claim(&second, "claim-2").await.unwrap();
        enter_phases(&client, Phase::Syncing).await;
        client.finish(&completed_finish("finish-2", 4)).await.unwrap();
        story.wait_for_settled_ticket(world.key).await;
        assert_eq!(world.status(), IN_REVIEW);
        let links = world.fake.state().ticket(world.key).links.clone();
        assert_eq!(
            links.into_iter().collect::<Vec<_>>(),
            [("https://forge.test/acme/app/pull/4".to_owned(), "Pull request #4".to_owned())]
        );
        world.poll().await;
        assert_eq!(story.jobs().await.len(), 2);
        assert_eq!(user.json(&["trackers", "show", world.name]).await["problem"], Value::Null);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn moves_by_an_app_start_no_job() {
    for kind in KINDS {
        let credential = if kind == Kind::Jira { CREDENTIAL } else { "app:secret&more" };
        let world = World::connect_with(kind, Setup::default(), credential).await;
        world.tool().set_app();
        world.user.ok(&["trackers", "test", world.name]).await;
        let report = world.use_tool().await["report"].to_string();
        assert!(report.contains("as Bot.") && !report.contains("person"), "{report}");
        world.add_ticket(BACKLOG);
        world.drag(PROCESSING);
        world.poll().await;
        assert_eq!(world.story.ticket(world.key).await.status, TRIGGER);
        let entry = world.user.json(&["deliveries"]).await["deliveries"][0].clone();
        assert_eq!(entry["code"], "echo", "{entry}");
        let replayed = world.story.api.replay_delivery(&entry["id"].as_str().unwrap().parse().unwrap()).await.unwrap();
        assert_eq!(replayed.code, "echo");
        assert!(world.story.jobs().await.is_empty());
        for status in [BACKLOG, PROCESSING] {
            world.drag_as(status, PERSON);
            world.poll().await;
        }
        world.wait_for_active_job().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn retry_and_board_moves_are_made_in_the_tool() {
    for kind in KINDS {
        let world = World::with_tool(kind, Setup::default()).await;
        let (story, user) = (&world.story, &world.user);
        world.add_ticket(PROCESSING);
        world.poll().await;
        let job = world.wait_for_active_job().await;
        user.ok(&["jobs", "cancel", job.as_str(), "--yes"]).await;
        story.wait_for_settled_ticket(world.key).await;
        assert_eq!(world.status(), BACKLOG);
        user.ok(&["jobs", "retry", job.as_str()]).await;
        world.wait_for_status(PROCESSING).await;
        let retried = world.wait_for_active_job().await;
        world.poll().await;
        user.ok(&["jobs", "cancel", retried.as_str(), "--yes"]).await;
        story.wait_for_settled_ticket(world.key).await;
        assert_eq!((world.status(), story.jobs().await.len()), (BACKLOG, 2));

        user.ok(&["tickets", "move", world.key, "Done"]).await;
        world.wait_for_status(DONE).await;
        assert_eq!(story.wait_for_settled_ticket(world.key).await.status, "Done");
        user.ok(&["tickets", "move", world.key, TRIGGER]).await;
        world.wait_for_active_job().await;
        assert_eq!(world.status(), PROCESSING);
        world.poll().await;
        assert_eq!(story.jobs().await.len(), 3);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tool_is_chosen_with_its_own_statuses() {
    for kind in KINDS {
        let settings = Settings { auto_create: false, ..Setup::default().settings };
        let world = World::connect(kind, Setup { settings, ..Setup::default() }).await;
        let (story, user, name) = (&world.story, &world.user, world.name);
        let scopes = user.ok(&["trackers", "statuses", name]).await;
        assert!(scopes.lines().any(|line| line.starts_with(&format!("{}\t", world.scope))), "{scopes}");
        let statuses = user.ok(&["trackers", "statuses", name, "--scope", world.scope]).await;
        let names: Vec<_> = statuses.lines().map(|line| line.split('\t').nth(1).unwrap()).collect();
        assert_eq!((names.len(), names[0], names[3]), (4, "Backlog", "Done"), "{statuses}");
        user.run(&["trackers", "use", name]).await.assert_exit(2, "one of: ABC, ");
        user.run(&["trackers", "use", name, "--scope", "10001"]).await.assert_exit(2, "one of: ABC, ");
        let scope = ["trackers", "use", name, "--scope", world.scope];
        user.run(&scope).await.assert_exit(2, "the tool has no status Todo; its statuses: Backlog, ");
        let unknown = [&scope[..], &["--todo", "Backlog", "--trigger", "Doing"]].concat();
        user.run(&unknown).await.assert_exit(2, "trigger: the tool has no status Doing");

        // A ticket that is in the trigger status already is shown, but starts no job, also by an edit.
        world.add_ticket(PROCESSING);
        story.clock.advance(Duration::from_secs(10 * 86_400));
        let named = [&scope[..], &["--todo", "backlog", "--merged", "Done"]].concat();
        let report = user.ok(&named).await;
        for line in [
            "4 statuses mapped; closed: Done.",
            "a poll every minute finds changes.",
            "Bot is a person's account",
            "No ticket gets a job by its status",
        ] {
            assert!(report.contains(line), "{report}");
        }
        let named = [&named[..], &["--trigger", TRIGGER]].concat();
        assert!(user.ok(&named).await.contains("from now on get a job"));
        assert!(world.settings().await.auto_create);
        assert!(report.contains(&format!(
            " {} {}, as Bot.\n",
            if kind == Kind::Jira { "project" } else { "team" },
            world.scope
        )));
        user.ok(&["trackers", "use", name]).await;
        let settings = serde_json::to_value(world.settings().await).unwrap();
        assert_eq!(settings["statuses"]["todo"], "Backlog");
        assert_eq!(settings["statuses"]["merged"], "Done");
        assert_eq!(settings["tracker"]["scope"], world.scope);
        assert_eq!(settings["tracker"]["ingress"], "poll");
        let badge = if kind == Kind::Jira { "ai-failed" } else { "AI Failed" };
        assert_eq!(settings["tracker"]["badges"]["failed"], badge);
        world.poll().await;
        let shown = story.ticket(world.key).await;
        assert_eq!((shown.status.as_str(), shown.title.as_str()), (TRIGGER, "Greet in German"));
        world.tool().touch(world.key, BOT);
        world.poll().await;
        assert!(story.jobs().await.is_empty());
        assert!(user.ok(&["why", world.key]).await.contains("was already in AI Processing"));
        assert!(user.ok(&["trackers", "test", name]).await.contains("account\tBot\n"));
        user.ok(&["trackers", "use", "--none"]).await;
        let deleted = user.run(&["trackers", "delete", name, "--yes"]).await.err;
        for remains in
            [format!("pullyard/user/{name} remains."), format!("Deleted its secret pullyard/user/tracker-{name}-hook-")]
        {
            assert!(deleted.contains(&remains), "{deleted}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn delivery_is_a_hint_in_any_order_and_at_any_age() {
    for kind in KINDS {
        let world = World::connect(kind, public()).await;
        let (story, user) = (&world.story, &world.user);
        let chosen = world.use_tool().await;
        assert!(chosen["report"].to_string().contains("Webhook installed and signed"), "{chosen}");
        assert_eq!(world.settings().await.tracker.unwrap().ingress, Ingress::Both);
        let url = format!("{PUBLIC_URL}/webhooks/{0}/{0}?scope={1}", world.name, world.scope);
        assert_eq!(world.fake.state().hooks(), [(url, Some(world.hook_secret.clone()), true)]);
        story.clock.advance(Duration::from_secs(1));
        world.add_ticket(BACKLOG);
        assert_eq!(world.deliver("forged", 0).await, 401);
        assert_eq!(world.deliver(&world.hook_secret, 0).await, 200);
        world.drag(PROCESSING);
        for hours in [0, 7, 0] {
            assert_eq!(world.deliver(&world.hook_secret, hours).await, 200, "{kind:?}");
        }
        let job = world.wait_for_active_job().await;
        story.wait_for_empty_queues().await;
        assert_eq!(story.jobs().await.len(), 1);
        // The previous secret stays valid for a while.
        let tracker = user.json(&["trackers", "show", world.name]).await;
        let secret = tracker["hook_secret"].as_str().unwrap().rsplit('/').next().unwrap();
        user.run_with(&["secrets", "rotate", secret], "a-new-secret").await.assert_success();
        story.clock.advance(Duration::from_secs(61));
        assert_eq!(world.deliver(&world.hook_secret, 0).await, 200);
        assert_eq!(world.deliver("a-new-secret", 0).await, 200);
        // A drag wins over the end of the job.
        world.drag(DONE);
        user.ok(&["jobs", "cancel", job.as_str(), "--yes"]).await;
        story.wait_for_settled_ticket(world.key).await;
        assert_eq!(world.status(), DONE);
        let path = format!("/webhooks/{}/other", world.name);
        assert_eq!(story.request(Method::POST, &path, None, Vec::new()).await.0, 404);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn label_names_one_of_several_repositories() {
    for kind in KINDS {
        let setup = Setup::default();
        let settings = Settings { default_repository: None, ..setup.settings.clone() };
        let world = World::with_tool(kind, Setup { settings, ..setup }).await;
        world.add_ticket(PROCESSING);
        world.poll().await;
        assert!(world.story.jobs().await.is_empty());
        for (label, starts) in [("repo:other", false), ("repo:app", true)] {
            world.tool().set_labels(world.key, &[label]);
            world.drag(BACKLOG);
            world.drag(PROCESSING);
            world.poll().await;
            assert_eq!(world.story.jobs().await.len(), usize::from(starts), "{label}");
        }
        let job = world.wait_for_active_job().await;
        assert_eq!(world.story.api.job(&job).await.unwrap().repository.unwrap().as_str(), REPOSITORY);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tool_that_is_away_delays_no_poll_of_later_changes() {
    for kind in KINDS {
        let world = World::with_tool(kind, Setup::default()).await;
        let calls = if kind == Kind::Jira { "GET /rest/api/3/search/jql" } else { "Changed" };
        world.add_ticket(PROCESSING);
        world.fake.answer(calls, (503, Vec::new(), json!({})));
        world.poll().await;
        assert!(world.story.jobs().await.is_empty());
        let shown = world.user.json(&["trackers", "show", world.name]).await;
        assert!(shown["problem"].as_str().unwrap().contains("503"), "{shown}");
        world.poll().await;
        world.wait_for_active_job().await;
        // A failed poll is shown although other calls succeed.
        world.fake.answer(calls, (400, Vec::new(), json!({ "errorMessages": ["no such project"] })));
        world.poll().await;
        world.user.ok(&["trackers", "test", world.name]).await;
        let shown = world.user.json(&["trackers", "show", world.name]).await;
        assert!(shown["problem"].as_str().unwrap().starts_with("the poll for acme fails: "), "{shown}");
        // Without the tool, its poll ends.
        world.user.ok(&["trackers", "use", "--none"]).await;
        world.poll().await;
        world.fake.take_calls();
        world.poll().await;
        assert_eq!(world.fake.take_calls(), Vec::<String>::new());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tool_is_connected_and_used_on_the_page() {
    for kind in KINDS {
        let story = Story::start_with_waiting_tasks().await;
        let (browser, user, fake) = (Browser::admin(&story).await, User::of(&story), FakeTracker::start(kind).await);
        let (name, scope, credential) = match kind {
            Kind::Jira => ("jira", "PRJ", CREDENTIAL),
            Kind::Linear => ("linear", "ENG", "lin_api_key"),
        };
        let page = |rest: &str| format!("/setup/tracker?project=acme{rest}");
        let send = async |fields: &[(&str, &str)]| {
            browser.post("/setup/tracker", &[&[("project", "acme"), ("id", name)], fields].concat()).await
        };
        browser.get(&page("")).await.assert_contains(&["Connect a tool", "<option value=\"linear\">Linear</option>"]);
        let connection = [("action", "add"), ("kind", name), ("url", fake.url())];
        let wrong = send(&[&connection[..], &[("credential", "wrong")]].concat()).await;
        assert!(wrong.status == 422 && !wrong.contains("value=\"wrong\""), "{}", wrong.body);
        wrong.assert_contains(&["the tool refused the credential (401)", &format!("value=\"{name}\" selected")]);
        let added = send(&[&connection[..], &[("credential", credential)]].concat()).await;
        added.assert_contains(&["connected as Bot", &format!("/webhooks/{name}/{name}"), &format!("tool={name}")]);
        browser.get(&page(&format!("&tool={name}"))).await.assert_contains(&[&format!("<option value=\"{scope}\">")]);
        let scopes = page(&format!("&tool={name}&scope={scope}"));
        browser.get(&scopes).await.assert_contains(&[
            "<option value=\"Backlog\">",
            "<option value=\"AI Processing\" selected>",
            "Test and use",
        ]);
        let statuses = [("action", "use"), ("scope", scope), ("trigger", TRIGGER), ("completion", REVIEW)];
        let missing = send(&[&statuses[..], &[("todo", "Todo")]].concat()).await;
        assert_eq!(missing.status, 422);
        missing.assert_contains(&["the tool has no status Todo", "Test and use"]);
        let used = send(&[&statuses[..], &[("todo", "Backlog"), ("merged", "Done")]].concat()).await;
        used.assert_contains(&["4 statuses mapped; closed: Done.", "The tickets of this project are in", "as Bot"]);
        let found = user.run(&["doctor"]).await.out;
        assert!(found.contains(&format!("The ticket tool {name} works.")), "{found}");
        let reader = Browser::with(&story, &[Scope::Read], None).await;
        assert_eq!(reader.get(&scopes).await.status, 403);
    }
}
