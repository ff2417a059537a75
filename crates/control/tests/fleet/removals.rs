//! Removal of repositories and integrations in use, beyond the first page of the list, and pages of webhooks.

use crate::delayed_call::DelayedCall;
use crate::prelude::*;
use crate::world::World;
use data_encoding::BASE64URL_NOPAD;
use pullyard_control::attempt::start_attempt;
use pullyard_control::hooks::list_hook_views;
use pullyard_control::{
    Bootstrap, Error, ProjectDeletion, cancel_job, create_project, delete_project, delete_secret, remove_integration,
    remove_repository, set_secret,
};
use pullyard_domain::job::DesiredState;
use pullyard_domain::project::Repository;
use pullyard_domain::project::forge::{Auth, Integration};
use pullyard_domain::project::hook::{Webhook, WebhookScope};
use pullyard_domain::project::secret::SecretKind;
use pullyard_domain::review::removal::MIN_SECRET_AGE;
use pullyard_domain::text::id::{HookName, IntegrationId, RepositoryName, SecretName};
use std::fmt::Debug;

const PAGE: u64 = 100;

/// The repository to remove; its pull requests come last.
const OTHER: u64 = 999;

fn code<T: Debug>(refused: Result<T, Error>) -> &'static str {
    match refused {
        Err(Error::Denied(denial)) => denial.code(),
        other => panic!("not refused: {other:?}"),
    }
}

#[tokio::test]
async fn repository_removal_checks_all_pages_of_its_users() {
    let world = World::begin().await;
    world.connect().await;
    let (ctx, store, project) = (&world.ctx, &world.ctx.store, &world.project);
    let name = RepositoryName::new("acme/site").unwrap();
    let site = Repository { id: OTHER, name: name.clone(), ..world.repository() };
    assert_applied(store.put_repository(&site, None).await);

    let old = world.jobs("old", 1, 1).await.remove(0);
    assert_applied(store.update_job(&Job { repository: OTHER, ..old.clone() }).await);
    ctx.clock.advance(Duration::from_secs(1));
    world.jobs("new", usize::try_from(PAGE).unwrap(), 1).await;
    let integration = &site.integration;
    let pull = |repository: u64, number: u64, ticket: Option<TicketKey>| {
        let id = PullRequestId { integration: integration.clone(), repository, number };
        PullRequest::new(id, project.clone(), ticket, None)
    };
    for number in 1..=PAGE {
        assert_applied(store.update_pull_request(&pull(world.repository().id, number, None)).await);
        let name = HookName::new(format!("a-{number}")).unwrap();
        assert_applied(store.put_hook(&Webhook { name, ..world.hook() }).await);
    }
    let open = pull(OTHER, 1, Some(TicketKey::new("APP-1").unwrap()));
    assert_applied(store.update_pull_request(&open).await);
    let kind = WebhookScope::Repository { name: name.clone(), id: OTHER };
    let hook = Webhook { name: HookName::new("z").unwrap(), kind, ..world.hook() };
    assert_applied(store.put_hook(&hook).await);

    assert_eq!(code(remove_repository(ctx, project, &name).await), "job_in_repository");
    cancel_job(ctx, &old.id, "ana", None).await.unwrap();
    assert_eq!(code(remove_repository(ctx, project, &name).await), "pull_request_open");
    let linked = store.load_pull_request(&open.id).await.unwrap().unwrap();
    assert_applied(store.update_pull_request(&PullRequest { ticket: None, ..linked }).await);
    assert_eq!(code(remove_repository(ctx, project, &name).await), "hook_of_repository");
    let hook = store.load_hook(&hook.name).await.unwrap().unwrap();
    assert_applied(store.delete_hook(&hook).await);
    assert_eq!(remove_repository(ctx, project, &name).await.unwrap().repository.id, OTHER);
}

#[tokio::test]
async fn integration_removal_checks_all_pages_of_projects() {
    let world = World::begin().await;
    world.connect().await;
    let (ctx, repository) = (&world.ctx, world.repository());
    remove_repository(ctx, &world.project, &repository.name).await.unwrap();
    let later = |number: u64| ProjectId::new(format!("b{number:03}")).unwrap();
    for number in 1..=PAGE {
        create_project(ctx, None, later(number), "Later".into(), Settings::default()).await.unwrap();
    }
    let last = Repository { project: later(PAGE), ..repository };
    assert_applied(ctx.store.put_repository(&last, None).await);
    assert_eq!(code(remove_integration(ctx, &last.integration).await), "repository_of_integration");
    remove_repository(ctx, &last.project, &last.name).await.unwrap();
    assert_eq!(remove_integration(ctx, &last.integration).await.unwrap().id, last.integration);
}

#[tokio::test]
async fn unused_project_is_deleted_with_all_its_tickets() {
    let world = World::begin().await;
    world.connect().await;
    let (ctx, store, project) = (&world.ctx, &world.ctx.store, &world.project);
    assert_eq!(code(delete_project(ctx, project).await), "repositories_of_project");
    remove_repository(ctx, project, &world.repository().name).await.unwrap();
    assert_applied(store.put_hook(&world.hook()).await);
    assert_eq!(code(delete_project(ctx, project).await), "hook_of_project");
    let hook = store.load_hook(&world.hook().name).await.unwrap().unwrap();
    assert_applied(store.delete_hook(&hook).await);
    let job = world.job(&Settings::default()).await;
    assert_eq!(code(delete_project(ctx, project).await), "job_of_project");
    cancel_job(ctx, &job.id, "ana", None).await.unwrap();

    for number in 0..=PAGE {
        world.create_ticket(&TicketKey::new(format!("APP-{number}")).unwrap()).await;
    }
    let page = usize::try_from(PAGE).unwrap();
    let deleted = |tickets, has_more_tickets| ProjectDeletion { tickets, has_more_tickets, report: None };
    assert_eq!(delete_project(ctx, project).await.unwrap(), deleted(page, true));
    assert!(store.load_project(project).await.unwrap().is_some(), "the project is deleted before its tickets");
    assert_eq!(delete_project(ctx, project).await.unwrap(), deleted(1, false));
    assert!(matches!(delete_project(ctx, project).await, Err(Error::NotFound { .. })));
    assert_eq!(store.list_ticket_keys(project, None, 1).await.unwrap(), (Vec::new(), None));
}

#[tokio::test]
async fn job_of_a_deleted_project_is_cancelled_at_its_start() {
    let world = World::begin().await;
    world.connect().await;
    let (ctx, store) = (&world.ctx, &world.ctx.store);
    let job = world.job(&Settings::default()).await;
    let project = store.load_project(&world.project).await.unwrap().unwrap();
    assert_applied(store.delete_project(&project).await);
    let bootstrap = Bootstrap { job: job.id.clone(), attempt: 1, dispatch: 0, expires: ctx.clock.now() };
    let (claim, instance) = (ClaimId::new("c1").unwrap(), InstanceId::new("i1").unwrap());
    assert!(start_attempt(ctx, &bootstrap, claim, instance, None).await.is_err());
    assert_eq!(world.load_job(&job.id).await.want, DesiredState::Cancel);
}

#[tokio::test]
async fn each_user_of_a_secret_blocks_its_deletion() {
    let world = World::begin().await;
    let (ctx, store) = (&world.ctx, &world.ctx.store);
    let app = Auth::App {
        app_id: 7,
        client_id: None,
        slug: "pullyard".into(),
        key_secret: "fleet/user/app-key".into(),
        webhook_secret: "fleet/user/app-webhook".into(),
    };
    let app_id = IntegrationId::new("gh-app").unwrap();
    world.connect().await;
    assert_applied(store.put_integration(&Integration { id: app_id, auth: app, ..world.integration() }).await);
    assert_applied(store.put_hook(&world.hook()).await);
    world.set_settings(settings_with_signing_secret()).await;
    for (kind, name, expected) in [
        (SecretKind::Forge, "forge", "secret_of_integration"),
        (SecretKind::Forge, "app-key", "secret_of_integration"),
        (SecretKind::Forge, "app-webhook", "secret_of_integration"),
        (SecretKind::Forge, "hook-acme", "secret_of_hook"),
        (SecretKind::Job, "ssh", "secret_of_setting"),
    ] {
        let name = SecretName::new(name).unwrap();
        set_secret(ctx, kind, &name, "a value").await.unwrap();
        assert_eq!(code(delete_secret(ctx, kind, &name).await), expected, "{name}");
    }
    let spare = SecretName::new("spare").unwrap();
    let secret = set_secret(ctx, SecretKind::Forge, &spare, "a value").await.unwrap().secret;
    assert_eq!(code(delete_secret(ctx, SecretKind::Forge, &spare).await), "secret_just_set");
    ctx.clock.advance(MIN_SECRET_AGE);
    assert_eq!(delete_secret(ctx, SecretKind::Forge, &spare).await.unwrap(), secret);
    assert!(matches!(delete_secret(ctx, SecretKind::Forge, &spare).await, Err(Error::NotFound { .. })));
}

#[tokio::test]
async fn user_that_appears_during_a_deletion_is_named() {
    let held = DelayedCall::before("DeleteSecret");
    let world = World::with_client(held.clone()).await;
    let (ctx, name) = (&world.ctx, SecretName::new("ssh").unwrap());
    let secret = set_secret(ctx, SecretKind::Job, &name, "a key").await.unwrap().secret;
    ctx.clock.advance(MIN_SECRET_AGE);
    let use_it = world.set_settings(settings_with_signing_secret());
    let deletion = held.run_before_call(delete_secret(ctx, SecretKind::Job, &name), use_it).await;
    let Err(Error::Invalid { fault, .. }) = deletion else { panic!("{deletion:?}") };
    assert!(fault.starts_with("ssh was deleted while something began to use it: set it again"), "{fault}");
    assert!(ctx.secrets.get(&secret).await.is_err());
}

#[tokio::test]
async fn deletion_succeeds_when_its_second_check_fails() {
    let held = DelayedCall::before("DeleteSecret");
    let world = World::with_client(held.clone()).await;
    let (ctx, name) = (&world.ctx, SecretName::new("ssh").unwrap());
    let secret = set_secret(ctx, SecretKind::Job, &name, "a key").await.unwrap().secret;
    ctx.clock.advance(MIN_SECRET_AGE);
    let break_table = async { held.wire.fail_next("Query", Fault::error(400, "ValidationException")) };
    let deletion = held.run_before_call(delete_secret(ctx, SecretKind::Job, &name), break_table).await;
    assert_eq!(deletion.unwrap(), secret);
    assert!(ctx.secrets.get(&secret).await.is_err());
}

fn settings_with_signing_secret() -> Settings {
    let mut settings = Settings { compute: Compute::Runners, ..Settings::default() };
    settings.commits.signing_secret = Some("fleet/job/ssh".into());
    settings
}

#[tokio::test]
async fn cursors_name_only_webhooks_that_the_caller_may_see() {
    let world = World::begin().await;
    let other = ProjectId::new("other").unwrap();
    for (name, home) in [("a", &world.project), ("b", &other), ("c", &other), ("d", &world.project), ("e", &other)] {
        let hook = Webhook { name: HookName::new(name).unwrap(), home: home.clone(), ..world.hook() };
        assert_applied(world.ctx.store.put_hook(&hook).await);
    }
    let may_see = |hook: &Webhook| hook.home == world.project;
    let (mut names, mut after) = (Vec::new(), None::<String>);
    loop {
        let (views, next) = list_hook_views(&world.ctx, after.as_deref(), 1, may_see).await.unwrap();
        names.extend(views.into_iter().map(|view| view.hook.name.to_string()));
        after = next;
        let Some(cursor) = &after else { break };
        let row = String::from_utf8(BASE64URL_NOPAD.decode(cursor.as_bytes()).unwrap()).unwrap();
        assert!(row.starts_with("a\n"), "{row}");
    }
    assert_eq!(names, ["a", "d"]);
}
