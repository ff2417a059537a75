//! Tests settings: projects, integrations and repositories; and the frozen contexts and classes of jobs.

use crate::prelude::*;
use crate::world::World;
use pullyard_domain::project::Settings;
use pullyard_domain::project::forge::{Account, Auth, Integration};
use pullyard_domain::project::hook::Poll;
use pullyard_domain::project::naming::{Named, SecretProjects};
use pullyard_store::RepositoryRemoval;

#[tokio::test]
async fn project_stores_its_agent_and_older_rows_have_none() {
    let world = World::new().await;
    let mut new = sample::project_with_id("acme");
    new.settings.agent = Some("codex".into());
    new.settings.model = Some("gpt-5".into());
    world.expect_applied(world.store.put_project(&new)).await;
    let stored = world.store.load_project(&new.id).await.unwrap().unwrap();
    assert_eq!(stored.settings, new.settings);
    // The row of an earlier release.
    let mut item = world.item("PROJECT#", "SETTINGS").await;
    let mut settings = item["settings"].as_m().unwrap().clone();
    for name in ["agent", "model"] {
        assert!(settings.remove(name).is_some(), "{name} is not in the row");
    }
    item.insert("settings".into(), AttributeValue::M(settings));
    world.put_item(item).await;
    let stored = world.store.load_project(&new.id).await.unwrap().unwrap();
    assert_eq!(stored.settings, Settings::default());
}

#[tokio::test]
async fn integration_is_removed_only_as_read_and_can_return() {
    let world = World::new().await;
    let by_token = sample::forge("gh1");
    let by_app = Integration { auth: app_auth("key"), ..by_token.clone() };
    let mut of_another_app = app_auth("key");
    if let Auth::App { app_id, .. } = &mut of_another_app {
        *app_id = 2;
    }
    for (seen, other_secret) in [
        (&by_token, Auth::Token { secret: "pullyard/other".into() }),
        (&by_app, app_auth("other")),
        (&by_app, of_another_app),
        (&by_token, app_auth("key")),
        (&by_app, by_token.auth.clone()),
    ] {
        world.expect_applied(world.store.put_integration(seen)).await;
        let elsewhere = Integration { api_url: "https://elsewhere.example".into(), ..seen.clone() };
        let account = Account { id: 7, ..seen.account.clone() };
        let others = Integration { account, ..seen.clone() };
        for other in [elsewhere, others, Integration { auth: other_secret, ..seen.clone() }] {
            world.expect_refused(world.store.remove_integration(&other)).await;
        }
        assert_eq!(world.store.load_integration(&seen.id).await.unwrap().as_ref(), Some(seen));
        let listed = async || world.store.list_integration_ids(None, 10).await.unwrap().0;
        assert_eq!(world.after_catching_up(&listed).await, std::slice::from_ref(&seen.id));
        assert_eq!(world.store.load_former_url(&seen.id).await.unwrap(), None);
        world.expect_applied(world.store.remove_integration(seen)).await;
        assert_eq!(world.store.load_integration(&seen.id).await.unwrap(), None);
        assert!(world.after_catching_up(&listed).await.is_empty());
        world.expect_applied(world.store.remove_integration(seen)).await;
    }
}

/// Stored links and decisions name a repository by integration and id, and another forge may have the same id.
#[tokio::test]
async fn name_of_a_removed_integration_keeps_its_address() {
    let world = World::new().await;
    let forge = sample::forge("gh1");
    world.expect_applied(world.store.put_integration(&forge)).await;
    world.expect_applied(world.store.remove_integration(&forge)).await;
    let elsewhere = Integration { api_url: "https://elsewhere.example".into(), ..forge.clone() };
    world.expect_refused(world.store.put_integration(&elsewhere)).await;
    assert_eq!(world.store.load_integration(&forge.id).await.unwrap(), None);
    assert_eq!(world.store.load_former_url(&forge.id).await.unwrap(), Some(forge.api_url.clone()));
    let by_app = Integration { auth: app_auth("key"), ..forge };
    world.expect_applied(world.store.put_integration(&by_app)).await;
    assert_eq!(world.store.load_integration(&by_app.id).await.unwrap().as_ref(), Some(&by_app));
    assert_eq!(world.store.load_former_url(&by_app.id).await.unwrap(), None);
}

fn app_auth(key: &str) -> Auth {
    Auth::App {
        app_id: 1,
        client_id: None,
        slug: "pullyard".into(),
        key_secret: format!("pullyard/{key}"),
        webhook_secret: "pullyard/webhook".into(),
    }
}

fn name(name: &str) -> RepositoryName {
    RepositoryName::new(name).unwrap()
}

#[tokio::test]
async fn repository_is_found_by_id_and_name_in_any_case() {
    let world = World::new().await;
    let repository = sample::repository(u64::MAX, "Acme/App");
    world.expect_applied(world.store.put_repository(&repository, None)).await;
    let project = sample::project();
    let by_id = world.store.load_repository(&project, &repository.integration, u64::MAX).await;
    assert_eq!(by_id.unwrap(), Some(repository.clone()));
    let by_name = world.store.load_repository_by_name(&project, &name("aCME/aPP")).await;
    assert_eq!(by_name.unwrap(), Some(repository));
    let other = world.store.load_repository_by_name(&project, &name("acme/other")).await;
    assert_eq!(other.unwrap(), None);
}

#[tokio::test]
async fn repository_is_replaced_by_a_newer_version() {
    let world = World::new().await;
    let mut repository = sample::repository(1, "acme/app");
    world.expect_applied(world.store.put_repository(&repository, None)).await;
    repository.default_branch = "trunk".into();
    world.expect_applied(world.store.put_repository(&repository, None)).await;
    let stored = world.store.load_repository_by_name(&sample::project(), &repository.name).await;
    assert_eq!(stored.unwrap(), Some(repository));
    assert_eq!(world.items().await.len(), 2);
}

#[tokio::test]
async fn renamed_repository_is_found_by_both_names() {
    let world = World::new().await;
    world.expect_applied(world.store.put_repository(&sample::repository(1, "acme/old"), None)).await;
    let renamed = sample::repository(1, "acme/new");
    world.expect_applied(world.store.put_repository(&renamed, None)).await;
    for named in ["acme/old", "acme/new"] {
        let stored = world.store.load_repository_by_name(&sample::project(), &name(named)).await;
        assert_eq!(stored.unwrap().as_ref(), Some(&renamed), "{named}");
    }
}

#[tokio::test]
async fn former_name_finds_its_repository_until_another_takes_it() {
    let world = World::new().await;
    let [old, new] = ["acme/old", "acme/new"].map(|name| sample::repository(1, name));
    world.expect_applied(world.store.put_repository(&old, None)).await;
    world.expect_applied(world.store.rename_repository(&old, &new)).await;
    let find = async |named: &str| {
        world.store.load_repository_by_name(&sample::project(), &name(named)).await.unwrap().map(|found| found.id)
    };
    assert_eq!((find("acme/old").await, find("acme/new").await), (Some(1), Some(1)));
    world.expect_applied(world.store.put_repository(&sample::repository(2, "acme/old"), None)).await;
    assert_eq!((find("acme/old").await, find("acme/new").await), (Some(2), Some(1)));
    // A current name stays, also for a repository that had it before.
    world.expect_refused(world.store.rename_repository(&new, &old)).await;

    // The same for a repository that is renamed to a former name.
    let newer = sample::repository(1, "acme/newer");
    world.expect_applied(world.store.rename_repository(&new, &newer)).await;
    let moved = sample::repository(2, "acme/new");
    world.expect_applied(world.store.rename_repository(&sample::repository(2, "acme/old"), &moved)).await;
    assert_eq!((find("acme/new").await, find("acme/old").await), (Some(2), Some(2)));
}

#[tokio::test]
async fn repository_with_a_taken_name_is_refused() {
    let world = World::new().await;
    world.expect_applied(world.store.put_repository(&sample::repository(1, "acme/app"), None)).await;
    world.expect_refused(world.store.put_repository(&sample::repository(2, "ACME/App"), None)).await;
    let mut elsewhere = sample::repository(1, "acme/app");
    elsewhere.integration = sample::forge("gh2").id;
    world.expect_refused(world.store.put_repository(&elsewhere, None)).await;
}

#[tokio::test]
async fn removed_repository_leaves_no_items_under_any_name() {
    let world = World::new().await;
    world.expect_applied(world.store.put_repository(&sample::repository(99, "acme/old"), None)).await;
    let (repository, other) = (sample::repository(99, "Acme/App"), sample::repository(100, "acme/web"));
    world.expect_applied(world.store.put_repository(&repository, None)).await;
    world.expect_applied(world.store.put_repository(&other, None)).await;
    world.expect_applied(world.store.put_poll(&sample::poll(0))).await;
    let names = world.store.list_repository_names(&repository).await.unwrap();
    assert_eq!(names, [name("acme/app"), name("acme/old")]);

    let poll = sample::poll(1);
    let removal =
        RepositoryRemoval { repository: &repository, names: &names, poll: Some(&poll), analysis: None, project: None };
    world.expect_applied(world.store.remove_repository(&removal)).await;
    for named in &names {
        assert_eq!(world.store.load_repository_by_name(&sample::project(), named).await.unwrap(), None, "{named}");
    }
    let repositories = world.store.list_repositories(&sample::project()).await.unwrap();
    assert_eq!((repositories.as_slice(), world.items().await.len()), (std::slice::from_ref(&other), 2));
    world.expect_applied(world.store.remove_repository(&removal)).await;
    world.expect_applied(world.store.put_repository(&sample::repository(101, "acme/old"), None)).await;
}

async fn removable_repository(world: &World) -> ([Repository; 2], Poll, Project) {
    let repositories = ["acme/old", "acme/app"].map(|name| sample::repository(99, name));
    let project = sample::project_with_id("acme");
    world.expect_applied(world.store.put_project(&project)).await;
    for repository in &repositories {
        world.expect_applied(world.store.put_repository(repository, None)).await;
    }
    world.expect_applied(world.store.put_poll(&sample::poll(0))).await;
    (repositories, sample::poll(1), Project { rev: 1, ..project })
}

#[tokio::test]
async fn repository_is_removed_only_as_read() {
    let world = World::new().await;
    let ([old, app], poll, project) = removable_repository(&world).await;
    let changed = Project { rev: 2, ..project.clone() };
    let names = [app.name.clone(), old.name.clone()];
    // For removals with one or two names, with and without a project.
    for (names, project) in [&names[..1], &names].into_iter().flat_map(|names| [(names, None), (names, Some(&project))])
    {
        let removal = RepositoryRemoval { repository: &app, names, poll: Some(&poll), analysis: None, project };
        world.expect_refused(world.store.remove_repository(&RepositoryRemoval { repository: &old, ..removal })).await;
        // The poll was missing when read, or has changed since.
        world.expect_refused(world.store.remove_repository(&RepositoryRemoval { poll: None, ..removal })).await;
        world
            .expect_refused(
                world.store.remove_repository(&RepositoryRemoval { poll: Some(&sample::poll(2)), ..removal }),
            )
            .await;
        // The alias belongs to another repository id or to another forge.
        let other_id = sample::repository(98, "acme/app");
        world
            .expect_refused(world.store.remove_repository(&RepositoryRemoval { repository: &other_id, ..removal }))
            .await;
        let elsewhere = Repository { integration: sample::forge("gh2").id, ..app.clone() };
        world
            .expect_refused(world.store.remove_repository(&RepositoryRemoval { repository: &elsewhere, ..removal }))
            .await;
    }
    let removal = RepositoryRemoval {
        repository: &app,
        names: &names,
        poll: Some(&poll),
        analysis: None,
        project: Some(&project),
    };
    world
        .expect_refused(world.store.remove_repository(&RepositoryRemoval { project: Some(&changed), ..removal }))
        .await;

    world.expect_applied(world.store.remove_repository(&removal)).await;
    let items = world.items().await;
    assert_eq!(items.keys().map(|(_, sk)| sk.as_str()).collect::<Vec<_>>(), ["SETTINGS"]);
}

#[tokio::test]
async fn repository_with_missing_items_is_removed() {
    for (pk, sk) in [("PROJECT#acme", "REPO#"), ("PROJECT#acme", "REPONAME#acme/app"), ("POLL#", "POLL")] {
        for had_another_name in [false, true] {
            let world = World::new().await;
            let ([old, app], poll, project) = removable_repository(&world).await;
            let names = [app.name.clone(), old.name];
            if !had_another_name {
                world.delete_item("PROJECT#acme", "REPONAME#acme/old").await;
            }
            world.delete_item(pk, sk).await;
            let names = &names[..1 + usize::from(had_another_name)];
            let removal = RepositoryRemoval {
                repository: &app,
                names,
                poll: Some(&poll),
                analysis: None,
                project: Some(&project),
            };
            world.expect_applied(world.store.remove_repository(&removal)).await;
            assert_eq!(world.items().await.len(), 1, "{sk}, {had_another_name}");
        }
    }
}

#[tokio::test]
async fn repository_without_a_poll_is_removed() {
    let world = World::new().await;
    let ([_, app], _, project) = removable_repository(&world).await;
    world.delete_item("POLL#", "POLL").await;
    world.delete_item("PROJECT#acme", "REPONAME#acme/old").await;
    let names = std::slice::from_ref(&app.name);
    let removal = RepositoryRemoval { repository: &app, names, poll: None, analysis: None, project: Some(&project) };
    world.expect_applied(world.store.remove_repository(&removal)).await;
    assert_eq!(world.items().await.len(), 1);
}

#[tokio::test]
async fn context_is_named_by_its_content() {
    let world = World::new().await;
    let job = sample::job_id("one");
    let (one, two) = (sample::context("Fix it."), sample::context("Break it."));
    let first = world.store.create_context(&job, &one).await.unwrap();
    let same = world.store.create_context(&job, &one).await.unwrap();
    let other = world.store.create_context(&job, &two).await.unwrap();
    assert_eq!(first, same);
    assert_ne!(first, other);
    assert_eq!(world.items().await.len(), 2);
    assert_eq!(world.store.load_context(&job, &first).await.unwrap(), Some(one));
    assert_eq!(world.store.load_context(&job, &other).await.unwrap(), Some(two));
    assert_eq!(world.store.load_context(&sample::job_id("two"), &first).await.unwrap(), None);
}

#[tokio::test]
async fn class_is_stored_once_and_never_changed() {
    let world = World::new().await;
    let labels = BTreeSet::from(["gpu".to_owned()]);
    let class = ClassId::for_key("acme", "command", &labels, KeyOwner::Runner);
    let needs = ClassRequirements { capability: "command".into(), labels, key: KeyOwner::Runner };
    world.store.create_class(&sample::project(), &class, &needs).await.unwrap();
    let noted = world.items().await;
    assert_eq!(noted.len(), 1);
    let other = ClassRequirements { capability: "codex".into(), ..needs };
    world.store.create_class(&sample::project(), &class, &other).await.unwrap();
    assert_eq!(world.items().await, noted);
}

/// The list of a thing, before and after a change that races the write of its name.
async fn check_listed(named: Named, lists: &[(Option<&[&str]>, Write)]) {
    for (list, expected) in lists {
        let world = World::new().await;
        let projects = list.map(|list| list.iter().map(|id| ProjectId::new(*id).unwrap()).collect());
        match &named {
            Named::Secret(secret) => {
                let list = SecretProjects { projects, ..SecretProjects::none(secret) };
                world.expect_applied(world.store.put_secret_projects(&list)).await;
            }
            Named::Integration(id) => {
                let forge = Integration { projects, ..sample::forge(id.as_str()) };
                world.expect_applied(world.store.put_integration(&forge)).await;
            }
        }
        let (project, listing) = (sample::project_with_id("acme"), std::slice::from_ref(&named));
        let stored = world.store.put_project_with_names(&project, listing).await.unwrap();
        assert_eq!(stored, *expected, "{named:?} {list:?}");
        assert_eq!(world.store.load_project(&project.id).await.unwrap().is_some(), *expected == Write::Applied);
        let repository = sample::repository(99, "acme/app");
        let stored = world.store.put_repository_with_names(&repository, None, listing).await.unwrap();
        assert_eq!(stored, *expected, "{named:?} {list:?}");
    }
}

#[tokio::test]
async fn name_is_stored_only_while_its_list_has_the_project() {
    let lists = [
        (Some(&["acme"][..]), Write::Applied),
        (Some(&["acme", "other"][..]), Write::Applied),
        (Some(&["other"][..]), Write::Stale),
        (Some(&["acme-2"][..]), Write::Stale),
        (Some(&[][..]), Write::Stale),
        (None, Write::Stale),
    ];
    check_listed(Named::Secret("pullyard/job/key".into()), &lists).await;
    check_listed(Named::Integration(sample::integration()), &lists).await;
}

#[tokio::test]
async fn list_of_an_integration_is_replaced_only_as_read() {
    let world = World::new().await;
    let bare = sample::forge("gh1");
    let listed = |ids: &[&str]| Some(ids.iter().map(|id| ProjectId::new(*id).unwrap()).collect::<BTreeSet<_>>());
    let (acme, both) = (listed(&["acme"]), listed(&["acme", "other"]));
    let with = |projects: &Option<BTreeSet<ProjectId>>| Integration { projects: projects.clone(), ..bare.clone() };
    let update = async |seen: &Option<BTreeSet<ProjectId>>, next: &Option<BTreeSet<ProjectId>>| {
        world.store.update_integration_projects(&with(seen), next.as_ref()).await.unwrap()
    };
    assert_eq!(update(&None, &acme).await, Write::Stale, "nothing is connected");
    world.expect_applied(world.store.put_integration(&bare)).await;
    for (seen, next, expected) in [
        (&acme, &both, Write::Stale),
        (&None, &acme, Write::Applied),
        (&None, &both, Write::Stale),
        (&acme, &both, Write::Applied),
        (&acme, &None, Write::Stale),
        (&both, &None, Write::Applied),
    ] {
        assert_eq!(update(seen, next).await, expected, "{seen:?} {next:?}");
        let stored = world.store.load_integration(&bare.id).await.unwrap().unwrap();
        if expected == Write::Applied {
            assert_eq!(stored, with(next));
        }
    }
    world.expect_applied(world.store.remove_integration(&bare)).await;
    assert_eq!(update(&None, &acme).await, Write::Stale, "a disconnected forge has no list");
}
