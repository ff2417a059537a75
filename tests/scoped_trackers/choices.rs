//! Tests choices of a tool that meet another choice or an incomplete one, and polls that fail.

use super::*;
use pullyard_domain::project::Project;
use pullyard_domain::project::hook::Poll;
use pullyard_domain::project::tracker::TrackerSettings;
use pullyard_store::Store;

fn project() -> ProjectId {
    ProjectId::new("acme").unwrap()
}

async fn store_tool(store: &Store, change: impl FnOnce(&mut Settings)) {
    let stored = store.load_project(&project()).await.unwrap().unwrap();
    let mut settings = stored.settings.clone();
    change(&mut settings);
    store.put_project(&Project { settings, ..stored }).await.unwrap();
}

impl World {
    async fn poll_item(&self) -> Poll {
        let tool = IntegrationId::new(self.name).unwrap();
        self.story.store().await.load_poll(&project(), &tool, 0).await.unwrap().unwrap()
    }

    async fn store_poll(&self, change: impl FnOnce(&mut Poll)) {
        let mut poll = self.poll_item().await;
        change(&mut poll);
        self.story.store().await.put_poll(&poll).await.unwrap();
    }

    fn list_call(&self) -> &'static str {
        if self.fake.kind() == Kind::Jira { "GET /rest/api/3/search/jql" } else { "query Changed" }
    }

    /// The page sends each status that it shows.
    async fn use_on_page(&self, merged: &str) {
        let browser = Browser::admin(&self.story).await;
        let fields = [
            ("project", "acme"),
            ("id", self.name),
            ("scope", self.scope),
            ("trigger", TRIGGER),
            ("todo", "Backlog"),
            ("completion", REVIEW),
            ("merged", merged),
            ("action", "use"),
        ];
        browser.post("/setup/tracker", &fields).await.assert_contains(&["4 statuses mapped"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn later_choice_wins_over_one_that_installs_its_webhook() {
    for kind in KINDS {
        let world = World::connect(kind, public()).await;
        let store = world.story.store().await;
        let install = if kind == Kind::Jira { "POST /rest/webhooks/1.0/webhook" } else { "mutation CreateHook" };
        world.fake.before(install, move |_| {
            let leave = store_tool(&store, |settings| {
                settings.tracker = None;
                settings.auto_create = false;
            });
            tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(leave));
        });
        let names = [&world.use_arguments()[..], &["--trigger", TRIGGER]].concat();
        world.user.run(&names).await.assert_exit(2, "meanwhile");
        let settings = world.settings().await;
        assert_eq!((settings.tracker, settings.auto_create), (None, false), "{kind:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn poll_of_another_scope_begins_again() {
    for kind in KINDS {
        let world = World::with_tool(kind, Setup::default()).await;
        world.add_ticket(PROCESSING);
        world.story.clock.advance(Duration::from_secs(60));
        world.store_poll(|poll| poll.look.scope = "ABC".into()).await;
        // Two polls: the first one lists from now on, with an overlap.
        world.poll().await;
        world.poll().await;
        assert!(world.story.jobs().await.is_empty(), "{kind:?}");
        assert_eq!(world.poll_item().await.look.scope, world.scope);
        world.drag(BACKLOG);
        world.drag(PROCESSING);
        world.poll().await;
        world.wait_for_active_job().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn repeated_choice_continues_a_poll_without_a_scope() {
    for kind in KINDS {
        let world = World::with_tool(kind, Setup::default()).await;
        world.store_poll(|poll| poll.look.scope.clear()).await;
        world.add_ticket(PROCESSING);
        world.story.clock.advance(Duration::from_secs(30));
        world.use_tool().await;
        assert_eq!(world.poll_item().await.look.scope, world.scope);
        world.poll().await;
        world.wait_for_active_job().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn page_leaves_jobs_by_status_off_unless_their_status_changes() {
    for kind in KINDS {
        let world = World::connect(kind, Setup::default()).await;
        let store = world.story.store().await;
        store_tool(&store, |settings| settings.auto_create = false).await;
        world.use_on_page("").await;
        assert!(world.settings().await.auto_create, "the first choice names the status");
        store_tool(&store, |settings| settings.auto_create = false).await;
        world.use_on_page("Done").await;
        let settings = world.settings().await;
        assert_eq!((settings.auto_create, settings.statuses.merged.as_deref()), (false, Some("Done")), "{kind:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn scope_that_two_projects_chose_at_once_is_refused() {
    for kind in KINDS {
        let world = World::with_tool(kind, Setup::default()).await;
        world.user.ok(&["projects", "create", "other"]).await;
        let store = world.story.store().await;
        let tool: TrackerSettings = world.settings().await.tracker.unwrap();
        let other = store.load_project(&ProjectId::new("other").unwrap()).await.unwrap().unwrap();
        let settings = Settings { tracker: Some(tool), ..other.settings };
        store.put_project(&Project { settings, ..other }).await.unwrap();
        let repeat = [&world.use_arguments()[..], &["--project", "acme"]].concat();
        world.user.run(&repeat).await.assert_exit(2, "the project other uses");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_choice_continues_the_poll_of_the_earlier_tool() {
    for kind in KINDS {
        let world = World::with_tool(kind, public()).await;
        let (user, name, scope) = (&world.user, world.name, world.scope);
        world.add_ticket(BACKLOG);
        world.poll().await;
        let secret = format!("pullyard/user/{name}");
        let add = ["trackers", "add", "second", "--kind", name, "--site", world.fake.url(), "--token-secret", &secret];
        user.ok(&add).await;
        user.ok(&["projects", "create", "other"]).await;
        let unread = (TicketKey::new(world.key).unwrap(), world.story.clock.now());
        world.store_poll(|poll| poll.look.unread.extend([unread])).await;
        let (before, earlier) = (world.poll_item().await, world.settings().await);
        let (store, clock, key) = (world.story.store().await, world.story.clock.clone(), world.key);
        let (poll, tool) = (before.clone(), earlier.tracker.clone());
        world.story.clock.advance(Duration::from_secs(1));
        drop(world.tool());
        // While the webhook is removed, the ticket moves, a poll finds the tool unused, and another project chooses the
        // scope.
        let list_hooks = if kind == Kind::Jira { "GET /rest/webhooks/1.0/webhook" } else { "query Hooks" };
        world.fake.before(list_hooks, move |state| {
            state.move_ticket(key, PROCESSING, PERSON);
            clock.advance(Duration::from_secs(1));
            let race = async {
                store.put_poll(&Poll { gone_at: Some(clock.now()), ..poll }).await.unwrap();
                let other = store.load_project(&ProjectId::new("other").unwrap()).await.unwrap().unwrap();
                let settings = Settings { tracker: tool, ..other.settings };
                store.put_project(&Project { settings, ..other }).await.unwrap();
            };
            tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(race));
        });
        let choice = ["trackers", "use", "second", "--scope", scope, "--merged", "Done", "--project", "acme"];
        let again = format!("`pullyard trackers use {name} --scope {scope} --project acme`");
        user.run(&choice).await.assert_exit(2, &again);
        let (settings, poll) = (world.settings().await, world.poll_item().await);
        let tool = settings.tracker.unwrap();
        assert_eq!((tool.connection.as_str(), tool.ingress), (name, Ingress::Poll));
        assert_eq!(settings.statuses, earlier.statuses);
        assert_eq!((poll.gone_at, poll.look), (None, before.look), "{kind:?}");
        world.poll().await;
        world.wait_for_active_job().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_look_is_repeated_while_the_list_fails() {
    for kind in KINDS {
        let world = World::with_tool(kind, Setup::default()).await;
        world.add_ticket(PROCESSING);
        let read = if kind == Kind::Jira { "/issue/PRJ-7" } else { "query Read" };
        world.fake.answer(read, (503, Vec::new(), json!({})));
        world.poll().await;
        assert!(world.story.jobs().await.is_empty());
        world.fake.answer(world.list_call(), (400, Vec::new(), json!({ "errorMessages": ["too many pages"] })));
        world.poll().await;
        world.wait_for_active_job().await;
        assert!(world.poll_item().await.look.unread.is_empty(), "{kind:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_poll_notifies_the_project() {
    for kind in KINDS {
        let world = World::with_tool(kind, Setup::default()).await;
        let receiver = pullyard_testkit::Receiver::start().await.unwrap();
        world.user.ok(&["notifications", "add", "ci", "--webhook", receiver.url()]).await;
        world.fake.answer(world.list_call(), (401, Vec::new(), json!({ "errorMessages": ["no access"] })));
        world.poll().await;
        let log = world.user.ok(&["notifications", "log"]).await;
        assert!(log.contains("tool.refused\tci\t"), "{kind:?}: {log}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_failed_looks_are_repeated_before_the_next_list() {
    let world = World::with_tool(Kind::Jira, Setup::default()).await;
    let (now, keys) = (world.story.clock.now(), 1_000..1_500);
    let keys = keys.map(|number| (TicketKey::new(format!("PRJ-{number}")).unwrap(), now));
    world.store_poll(|poll| poll.look.unread = keys.collect()).await;
    let cursor = world.poll_item().await.look.issues;
    world.fake.take_calls();
    world.poll().await;
    assert!(world.fake.take_calls().iter().all(|call| !call.contains(world.list_call())));
    let look = world.poll_item().await.look;
    assert_eq!((look.unread.len(), look.issues), (0, cursor));
    world.add_ticket(PROCESSING);
    world.poll().await;
    world.wait_for_active_job().await;
}

/// Each of these tickets has a stay that a look began.
#[tokio::test(flavor = "multi_thread")]
async fn moves_while_the_tool_is_not_used_start_no_job() {
    for kind in KINDS {
        let world = World::connect(kind, Setup::default()).await;
        world.add_ticket(PROCESSING);
        world.story.clock.advance(Duration::from_secs(60));
        world.use_tool().await;
        world.poll().await;
        assert_eq!(world.story.ticket(world.key).await.status, TRIGGER);
        world.user.ok(&["trackers", "use", "--none"]).await;
        world.drag(BACKLOG);
        world.drag(PROCESSING);
        world.story.clock.advance(Duration::from_secs(60));
        world.use_tool().await;
        world.poll().await;
        assert!(world.story.jobs().await.is_empty());
        world.drag(BACKLOG);
        world.drag(PROCESSING);
        world.poll().await;
        world.wait_for_active_job().await;
    }
}
