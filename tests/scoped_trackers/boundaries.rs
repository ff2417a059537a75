//! Tests lost looks, repeated choices of a tool, and that a project reads its own scope alone.

use super::*;

impl World {
    /// Answers the next read of the ticket with 503.
    /// Lets the next read of the ticket fail; with Linear, whose calls have no key, the next reads of two tickets.
    fn fail_read(&self, key: &str) {
        let (call, count) = match self.fake.kind() {
            Kind::Jira => (format!("/issue/{key}"), 1),
            Kind::Linear => ("query Read".to_owned(), 2),
        };
        (0..count).for_each(|_| self.fake.answer(&call, (503, Vec::new(), json!({}))));
    }

    fn reads(&self) -> usize {
        let is_read = |call: &String| call.contains("query Read") || call.contains("/issue/");
        self.fake.take_calls().iter().filter(|call| is_read(call)).count()
    }

    pub(super) fn use_arguments(&self) -> Vec<&str> {
        vec!["trackers", "use", self.name, "--scope", self.scope, "--todo", "Backlog"]
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_look_is_repeated_after_other_calls_succeed() {
    for kind in KINDS {
        let world = World::with_tool(kind, Setup::default()).await;
        world.add_ticket(PROCESSING);
        world.story.clock.advance(Duration::from_secs(240));
        let other = format!("{}-8", world.scope);
        world.tool().add_ticket(&other, "Other", TicketBody::Empty, BACKLOG);
        world.fail_read(world.key);
        world.poll().await;
        assert!(world.story.jobs().await.is_empty());
        world.user.ok(&["trackers", "test", world.name]).await;
        world.fail_read(world.key);
        world.poll().await;
        world.user.ok(&["trackers", "test", world.name]).await;
        assert!(world.story.jobs().await.is_empty());
        world.poll().await;
        world.wait_for_active_job().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_change_is_looked_at_once() {
    for kind in KINDS {
        let world = World::with_tool(kind, Setup::default()).await;
        world.add_ticket(BACKLOG);
        world.poll().await;
        assert_eq!(world.reads(), 1, "{kind:?}");
        world.poll().await;
        world.poll().await;
        assert_eq!(world.reads(), 0, "{kind:?}");
        world.drag(DONE);
        world.poll().await;
        assert_eq!((world.reads(), world.story.ticket(world.key).await.status), (1, "Done".to_owned()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn edit_of_an_old_ticket_without_history_starts_no_job() {
    for kind in KINDS {
        let world = World::connect(kind, Setup::default()).await;
        world.add_ticket(DONE);
        world.drag(BACKLOG);
        world.tool().set_status(world.key, PROCESSING);
        world.story.clock.advance(Duration::from_secs(600));
        world.use_tool().await;
        world.poll().await;
        for _ in 0..2 {
            world.tool().touch(world.key, PERSON);
            world.story.clock.advance(Duration::from_secs(600));
            world.poll().await;
            world.poll().await;
            assert!(world.story.jobs().await.is_empty(), "{kind:?}");
        }
        assert_eq!(world.story.ticket(world.key).await.status, TRIGGER);
        world.drag(BACKLOG);
        world.poll().await;
        world.drag(PROCESSING);
        world.poll().await;
        world.wait_for_active_job().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tool_that_is_used_again_starts_no_job_for_earlier_moves() {
    for kind in KINDS {
        let world = World::with_tool(kind, Setup::default()).await;
        world.add_ticket(BACKLOG);
        world.poll().await;
        world.user.ok(&["trackers", "use", "--none"]).await;
        world.poll().await;
        world.story.clock.advance(Duration::from_secs(600));
        world.drag(PROCESSING);
        world.story.clock.advance(Duration::from_secs(600));
        world.use_tool().await;
        world.poll().await;
        // An edit reports a known ticket, but its move is older than the use of the tool.
        world.tool().touch(world.key, BOT);
        world.poll().await;
        assert!(world.story.jobs().await.is_empty(), "{kind:?}");
        world.drag(BACKLOG);
        world.drag(PROCESSING);
        world.poll().await;
        world.wait_for_active_job().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn repeated_choice_after_a_crash_looks_at_no_old_change() {
    for kind in KINDS {
        let world = World::with_tool(kind, Setup::default()).await;
        let store = world.story.store().await;
        let project = ProjectId::new("acme").unwrap();
        let chosen = world.settings().await;
        let exported = serde_json::to_value(&chosen).unwrap();
        world.user.ok(&["trackers", "use", "--none"]).await;
        world.poll().await;
        world.story.clock.advance(Duration::from_secs(86_400));
        world.add_ticket(PROCESSING);
        world.story.clock.advance(Duration::from_secs(86_400));
        // Only the settings of the second choice are stored.
        let stored = store.load_project(&project).await.unwrap().unwrap();
        store.put_project(&pullyard_domain::project::Project { settings: chosen, ..stored }).await.unwrap();
        world.use_tool().await;
        world.poll().await;
        assert!(world.story.jobs().await.is_empty(), "{kind:?}");
        let tool = IntegrationId::new(world.name).unwrap();
        assert_eq!(store.load_poll(&project, &tool, 0).await.unwrap().unwrap().gone_at, None);
        world.drag(BACKLOG);
        world.drag(PROCESSING);
        world.poll().await;
        world.wait_for_active_job().await;
        // Settings that were exported choose no tool.
        world.user.ok(&["trackers", "use", "--none"]).await;
        let new = json!({ "id": "copy", "name": "Copy", "settings": exported }).to_string();
        let token = Some(world.story.local.admin_token());
        let (status, _, problem) = world.story.request(Method::POST, "/v1/projects", token, new.into()).await;
        assert!(status == 422 && problem.to_string().contains("pullyard trackers use"), "{problem}");
        // The name of a connection that was deleted may mean another site.
        world.user.ok(&["trackers", "delete", world.name, "--yes"]).await;
        let secret = format!("pullyard/user/{}", world.name);
        let add = ["trackers", "add", world.name, "--kind", world.name, "--site", world.fake.url()];
        world.story.clock.advance(Duration::from_secs(1));
        world.user.ok(&[&add[..], &["--token-secret", &secret]].concat()).await;
        world.user.run(&world.use_arguments()).await.assert_exit(2, "under a new name");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn scope_of_board_tickets_or_of_another_project_is_refused() {
    for kind in KINDS {
        let world = World::connect(kind, Setup::default()).await;
        let prefix = world.scope.to_lowercase();
        for project in [&prefix, "other"] {
            world.user.ok(&["projects", "create", project]).await;
        }
        let in_project = |project: &str| [&world.use_arguments()[..], &["--project", project]].concat().join("\n");
        let run = async |project: &str| {
            let arguments = in_project(project);
            world.user.run(&arguments.split('\n').collect::<Vec<_>>()).await
        };
        world.user.ok(&["tickets", "create", "--title", "Work of the board", "--project", &prefix]).await;
        run(&prefix).await.assert_exit(2, &format!("{}-1", world.scope));
        run("other").await.assert_success();
        run("acme").await.assert_exit(2, "other");
        // The tool numbers its tickets.
        world.user.run(&["tickets", "create", "--title", "No key", "--project", "other"]).await.assert_exit(2, "key");
        world
            .user
            .run(&["tickets", "create", &format!("{}-9", world.scope), "--title", "x", "--project", "other"])
            .await
            .assert_exit(2, "key");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn label_that_names_no_repository_starts_no_job_elsewhere() {
    for kind in KINDS {
        let world = World::with_tool(kind, Setup::default()).await;
        world.add_ticket(BACKLOG);
        world.poll().await;
        // Jira's labels have no spaces.
        let labels: &[&[&str]] = match kind {
            Kind::Jira => &[&["repo:"], &["repo:.git"], &["repo:app", "repo:other"]],
            Kind::Linear => &[&["repo: other"], &["repo:my app"], &["repo:app", "repo:other"]],
        };
        for labels in labels {
            world.tool().set_labels(world.key, labels);
            world.drag(PROCESSING);
            world.poll().await;
            assert!(world.story.jobs().await.is_empty(), "{labels:?}");
            world.drag(BACKLOG);
            world.poll().await;
        }
        let good = if kind == Kind::Jira { "repo:APP" } else { "repo: app" };
        world.tool().set_labels(world.key, &[good]);
        world.drag(PROCESSING);
        world.poll().await;
        world.wait_for_active_job().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn project_reaches_no_other_scope() {
    for kind in KINDS {
        let world = World::connect(kind, Setup::default()).await;
        let admin = world.story.create_token(&[Scope::Admin], Some(&["acme"])).await;
        let admin = User::with(&world.story, &admin);
        admin.run(&world.use_arguments()).await.assert_exit(4, "");
        world.use_tool().await;
        // The project's administrator may change the settings of its own tool.
        admin.ok(&["trackers", "use", world.name, "--merged", "Done"]).await;
        let settings = admin.json(&["trackers", "use", world.name]).await["project"]["settings"].take();
        assert_eq!(settings["statuses"]["merged"], "Done");

        world.tool().add_ticket("ABC-1", "Confidential", TicketBody::Empty, BACKLOG);
        world.user.ok(&["tickets", "create", "ABC-1", "--title", "Mine"]).await;
        world.fake.take_calls();
        world.user.ok(&["tickets", "sync", "ABC-1"]).await;
        world.story.wait_for_empty_queues().await;
        assert_eq!(world.story.ticket("ABC-1").await.title, "Mine");
        assert_eq!(world.reads(), 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_projects_share_a_connection_by_scope() {
    for kind in KINDS {
        let world = World::with_tool(kind, public()).await;
        let (story, user) = (&world.story, &world.user);
        user.ok(&["projects", "create", "other"]).await;
        let names = ["--scope", "ABC", "--todo", "Backlog", "--completion", REVIEW, "--project", "other"];
        user.ok(&[&["trackers", "use", world.name], &names[..]].concat()).await;
        assert_eq!(world.fake.state().hooks().len(), 2);
        world.add_ticket(BACKLOG);
        world.tool().add_ticket("ABC-1", "Other", TicketBody::Empty, BACKLOG);
        story.clock.advance(Duration::from_secs(300));
        world.poll().await;
        for (project, own, foreign) in [("acme", world.key, "ABC-1"), ("other", "ABC-1", world.key)] {
            let listed = user.ok(&["tickets", "list", "--project", project]).await;
            assert!(listed.contains(own) && !listed.contains(foreign), "{listed}");
        }
        let left = user.run(&["trackers", "use", "--none", "--project", "other"]).await.err;
        assert!(left.contains("?scope=ABC any more"), "{left}");
        let hooks = world.fake.state().hooks();
        assert!(hooks.len() == 1 && hooks[0].0.ends_with(&format!("?scope={}", world.scope)), "{hooks:?}");
        world.drag(PROCESSING);
        assert_eq!(world.deliver(&world.hook_secret, 0).await, 200);
        world.wait_for_active_job().await;
    }
}
