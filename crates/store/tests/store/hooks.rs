//! Tests webhooks and their statistics, and renamed repositories.

use crate::prelude::*;
use crate::sample::repository;
use crate::world::World;
use pullyard_domain::project::forge::ForgeKind;
use pullyard_domain::project::hook::WebhookScope;
use pullyard_domain::text::id::{HookName, SecretName};

pub(crate) fn hook(name: &str) -> Webhook {
    Webhook {
        name: HookName::new(name).unwrap(),
        integration: IntegrationId::new("gh1").unwrap(),
        forge: ForgeKind::GitHub,
        home: ProjectId::new("acme").unwrap(),
        kind: WebhookScope::Organisation { login: "acme".into() },
        secret: SecretName::new("hook-acme").unwrap(),
        base_url: None,
        forge_id: None,
        template: None,
        created: at(1),
        rev: 0,
    }
}

#[tokio::test]
async fn hook_is_written_over_the_rev_read() {
    let world = World::new().await;
    let new = hook("acme");
    assert_eq!(world.store.put_hook(&new).await.unwrap(), Write::Applied);
    assert_eq!(world.store.put_hook(&new).await.unwrap(), Write::Stale);
    let stored = world.store.load_hook(&new.name).await.unwrap().unwrap();
    assert_eq!(stored, Webhook { rev: 1, ..new.clone() });
    let (one, other) = tokio::join!(world.store.put_hook(&stored), world.store.put_hook(&stored));
    let applied = [one.unwrap(), other.unwrap()].into_iter().filter(|write| *write == Write::Applied).count();
    assert_eq!(applied, 1);
    let names = world.after_catching_up(async || world.store.list_hook_names(None, 10).await.unwrap().0).await;
    assert_eq!(names, std::slice::from_ref(&new.name));
    assert_eq!(world.store.delete_hook(&stored).await.unwrap(), Write::Stale);
    world.check_consistency().await;
    let newest = world.store.load_hook(&new.name).await.unwrap().unwrap();
    assert_eq!(world.store.delete_hook(&newest).await.unwrap(), Write::Applied);
    assert_eq!(world.store.load_hook(&new.name).await.unwrap(), None);
}

/// Both webhooks have the first revision of their name: the webhook that was read is deleted, and a new one exists.
#[tokio::test]
async fn stale_reader_cannot_change_a_recreated_hook() {
    let world = World::new().await;
    world.expect_applied(world.store.put_hook(&hook("acme"))).await;
    let old_hook = world.store.load_hook(&hook("acme").name).await.unwrap().unwrap();
    world.expect_applied(world.store.delete_hook(&old_hook)).await;
    world.expect_applied(world.store.put_hook(&Webhook { created: at(4), ..hook("acme") })).await;
    let stored = world.store.load_hook(&old_hook.name).await.unwrap().unwrap();
    assert_eq!((stored.rev, stored.created), (old_hook.rev, at(4)));
    world.expect_refused(world.store.put_hook(&Webhook { forge_id: Some(3), ..old_hook.clone() })).await;
    world.expect_refused(world.store.delete_hook(&old_hook)).await;
    assert_eq!(world.store.load_hook(&old_hook.name).await.unwrap(), Some(stored));
}

#[tokio::test]
async fn hook_notes_one_verification_a_minute_and_all_refusals() {
    let world = World::new().await;
    let hook = hook("acme");
    assert_eq!(world.store.update_hook_verified_at(&hook, at(1)).await.unwrap(), Write::Applied);
    assert_eq!(world.store.update_hook_verified_at(&hook, at(1)).await.unwrap(), Write::Stale);
    let later = at(1).plus(Duration::from_secs(60));
    assert_eq!(world.store.update_hook_verified_at(&hook, later).await.unwrap(), Write::Applied);
    world.store.update_hook_refusal(&hook, 3, later).await.unwrap();
    world.store.update_hook_refusal(&hook, 2, later).await.unwrap();
    let stats = world.store.load_hook_stats(&hook).await.unwrap();
    assert_eq!((stats.verified_at, stats.refused, stats.refused_at), (Some(later), 5, Some(later)));
}

#[tokio::test]
async fn renamed_repository_is_found_by_its_old_and_new_name() {
    let world = World::new().await;
    let before = repository(9_901, "acme/app");
    assert_eq!(world.store.put_repository(&before, None).await.unwrap(), Write::Applied);
    let named = async |name: &RepositoryName| world.store.load_repository_by_name(&before.project, name).await.unwrap();
    // This read copies the old name, so that a lagging read after the renaming could return it.
    assert_eq!(named(&before.name).await, Some(before.clone()));
    let after = Repository { name: RepositoryName::new("acme/web").unwrap(), ..before.clone() };
    assert_eq!(world.store.rename_repository(&before, &after).await.unwrap(), Write::Applied);
    assert_eq!(
        world.store.rename_repository(&before, &after).await.unwrap(),
        Write::Stale,
        "the repository already has that name"
    );
    for name in [&before.name, &after.name] {
        assert_eq!(named(name).await, Some(after.clone()));
    }
    let cased = Repository { name: RepositoryName::new("Acme/Web").unwrap(), ..after.clone() };
    assert_eq!(world.store.rename_repository(&after, &cased).await.unwrap(), Write::Applied);
    assert_eq!(named(&after.name).await, Some(cased));
}
