//! Tests the health of webhooks, their removal, and the list of tickets that a tool does not show.

use super::*;

impl World {
    async fn problem(&self) -> String {
        self.user.json(&["trackers", "show", self.name]).await["problem"].to_string()
    }

    fn hook_urls(&self) -> Vec<String> {
        self.fake.state().hooks().into_iter().map(|(url, ..)| url).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn webhook_that_misses_a_move_is_shown_until_it_delivers() {
    for kind in KINDS {
        let world = World::with_tool(kind, public()).await;
        let (story, user) = (&world.story, &world.user);
        let poll = async || {
            story.clock.advance(Duration::from_secs(300));
            world.poll().await;
        };
        world.add_ticket(BACKLOG);
        assert_eq!(world.deliver(&world.hook_secret, 0).await, 200);
        poll().await;
        let shown = user.json(&["trackers", "show", world.name]).await;
        assert!(shown["last_delivery"].is_string() && shown["problem"].is_null(), "{shown}");
        // Neither an edit nor a move that was delivered is a problem.
        story.clock.advance(Duration::from_secs(600));
        world.drag(DONE);
        assert_eq!(world.deliver(&world.hook_secret, 0).await, 200);
        poll().await;
        world.tool().touch(world.key, PERSON);
        poll().await;
        assert_eq!(world.problem().await, "null");

        world.drag(BACKLOG);
        poll().await;
        let problem = world.problem().await;
        assert!(problem.contains(&format!("`pullyard trackers use {} --project acme`", world.name)), "{problem}");
        let page = Browser::admin(story).await.get("/setup/tracker?project=acme").await;
        page.assert_contains(&["did not deliver the move of", "Last delivery"]);
        world.use_tool().await;
        assert_eq!(world.problem().await, "null");
        story.clock.advance(Duration::from_secs(600));
        world.drag(DONE);
        poll().await;
        assert_ne!(world.problem().await, "null");
        assert_eq!(world.deliver(&world.hook_secret, 0).await, 200);
        assert_eq!(world.problem().await, "null");
    }
}

fn list_of_hooks(kind: Kind) -> &'static str {
    if kind == Kind::Jira { "GET /rest/webhooks" } else { "query Hooks" }
}

#[tokio::test(flavor = "multi_thread")]
async fn installed_webhook_is_removed_with_its_use() {
    for kind in KINDS {
        let world = World::with_tool(kind, public()).await;
        let (user, name) = (&world.user, world.name);
        assert_eq!(world.hook_urls().len(), 1);
        let left = user.run(&["trackers", "use", "--none"]).await.err;
        assert!(
            left.contains(&format!("no webhook to {PUBLIC_URL}/webhooks/{name}/{name}?scope={}", world.scope)),
            "{left}"
        );
        assert_eq!(world.hook_urls(), Vec::<String>::new());

        world.use_tool().await;
        world.user.ok(&["trackers", "add", "own", "--site", "http://127.0.0.1:9/tool"]).await;
        let used = user.ok(&["trackers", "use", "own"]).await;
        assert!(used.contains("no webhook to"), "{used}");
        assert_eq!(world.hook_urls(), Vec::<String>::new());

        // A tool that is away keeps its webhook until the connection is deleted.
        world.use_tool().await;
        world.fake.answer(list_of_hooks(kind), (503, Vec::new(), json!({})));
        let left = user.run(&["trackers", "use", "--none"]).await.err;
        let place = if kind == Kind::Jira {
            "delete it in Jira under System, WebHooks"
        } else {
            "delete it in Linear under Settings, API"
        };
        assert!(left.contains(place), "{left}");
        assert_eq!(world.hook_urls().len(), 1);
        let deleted = user.run(&["trackers", "delete", name, "--yes"]).await;
        deleted.assert_success();
        assert_eq!(world.hook_urls(), Vec::<String>::new());
        let secrets = user.ok(&["secrets", "list"]).await;
        assert!(secrets.contains(name) && !secrets.contains(&format!("tracker-{name}-hook")), "{secrets}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn deleted_project_leaves_no_webhook_at_its_tool() {
    for (kind, is_away) in KINDS.into_iter().flat_map(|kind| [(kind, false), (kind, true)]) {
        let world = World::with_tool(kind, public()).await;
        assert_eq!(world.hook_urls().len(), 1);
        world.user.ok(&["repos", "delete", REPOSITORY, "--yes"]).await;
        if is_away {
            world.fake.answer(list_of_hooks(kind), (503, Vec::new(), json!({})));
        }
        let report = if is_away { "\nThe webhook to " } else { "\nThe tool has no webhook to " };
        world.user.run(&["projects", "delete", "acme", "--yes"]).await.assert_exit(0, report);
        assert_eq!(world.hook_urls().len(), usize::from(is_away));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tickets_that_the_tool_does_not_show_are_listed() {
    for kind in KINDS {
        let world = World::with_tool(kind, Setup::default()).await;
        let (story, user) = (&world.story, &world.user);
        world.add_ticket(BACKLOG);
        world.poll().await;
        let browser = Browser::admin(story).await;
        let page = async || browser.get("/setup/tracker?project=acme").await;
        assert!(!page().await.contains("Not shown in the tool"));
        let call = if kind == Kind::Jira { format!("/issue/{}", world.key) } else { "query Ticket".to_owned() };
        world.fake.answer(&call, (503, Vec::new(), json!({})));
        user.ok(&["tickets", "move", world.key, "Done"]).await;
        story.wait_for_empty_queues().await;
        let shown = user.json(&["trackers", "show", world.name]).await["unsynced"].take();
        assert_eq!((&shown[0]["key"], &shown[0]["project"]), (&json!(world.key), &json!("acme")), "{shown}");
        let text = user.ok(&["trackers", "show", world.name]).await;
        assert!(text.contains(&format!("{} of acme since ", world.key)) && text.contains("503"), "{text}");
        let link = format!("href=\"/tickets/{}?project=acme\"", world.key);
        page().await.assert_contains(&["Not shown in the tool", &link, "503"]);
        user.ok(&["tickets", "sync", world.key]).await;
        world.wait_for_status(DONE).await;
        story.wait_for_settled_ticket(world.key).await;
        assert_eq!(user.json(&["trackers", "show", world.name]).await["unsynced"], json!([]));
    }
}
