//! Names of secrets in the table: listed, and repaired after interrupted calls.

use crate::delayed_call::DelayedCall;
use crate::prelude::*;
use crate::world::World;
use pullyard_control::{Error, UserSecret, delete_secret, list_secret_users, list_secrets, rotate_secret, set_secret};
use pullyard_domain::project::secret::SecretKind;
use pullyard_domain::review::removal::MIN_SECRET_AGE;
use pullyard_domain::text::id::SecretName;
use pullyard_store::SecretRecord;

const SSH: &str = "fleet/job/ssh";

fn name(name: &str) -> SecretName {
    SecretName::new(name).unwrap()
}

async fn set(world: &World, kind: SecretKind, secret: &str) {
    set_secret(&world.ctx, kind, &name(secret), "a value").await.unwrap();
}

async fn delete(world: &World, secret: &str) -> Result<String, Error> {
    delete_secret(&world.ctx, SecretKind::Job, &name(secret)).await
}

async fn list_page(world: &World, after: Option<&str>) -> (Vec<UserSecret>, Option<String>) {
    let users = list_secret_users(&world.ctx).await.unwrap();
    list_secrets(&world.ctx, &users, after).await.unwrap()
}

/// The full name of each secret, and whether its time is known.
async fn list(world: &World) -> Vec<(String, bool)> {
    let (secrets, next) = list_page(world, None).await;
    assert_eq!(next, None);
    secrets.into_iter().map(|secret| (secret.secret, secret.set_at.is_some())).collect()
}

async fn assert_listed(world: &World, expected: &[(&str, bool)]) {
    let expected: Vec<_> = expected.iter().map(|(secret, is_timed)| ((*secret).to_owned(), *is_timed)).collect();
    assert_eq!(list(world).await, expected);
}

async fn has_value(world: &World, secret: &str) -> bool {
    world.ctx.secrets.get(secret).await.is_ok()
}

fn signing_with(secret: &str) -> Settings {
    let mut settings = Settings { compute: Compute::Runners, ..Settings::default() };
    settings.commits.signing_secret = Some(secret.into());
    settings
}

#[tokio::test]
async fn secrets_of_both_kinds_are_listed_by_full_name() {
    let world = World::begin().await;
    for (kind, secret) in [(SecretKind::Forge, "b"), (SecretKind::Forge, "B"), (SecretKind::Job, "b")] {
        set(&world, kind, secret).await;
    }
    // The record of a table that was copied from another deployment.
    let foreign = SecretRecord::next(None, "other/user/b", world.ctx.clock.now());
    assert_applied(world.ctx.store.put_secret_record(&foreign).await);
    assert_listed(&world, &[("fleet/job/b", true), ("fleet/user/B", true), ("fleet/user/b", true)]).await;

    world.break_item("SECRETS", "fleet/user/B", "set_at").await;
    assert_listed(&world, &[("fleet/job/b", true), ("fleet/user/b", true)]).await;
}

#[tokio::test]
async fn secret_of_an_earlier_release_is_listed_while_in_use() {
    let world = World::begin().await;
    let secrets = &world.ctx.secrets;
    // `connect` puts the value of the forge's token without its name.
    world.connect().await;
    for secret in [SSH, "fleet/job/unused"] {
        secrets.put(secret, "a value").await.unwrap();
    }
    world.set_settings(signing_with(SSH)).await;
    assert_listed(&world, &[(SSH, false), ("fleet/user/forge", false)]).await;

    set(&world, SecretKind::Job, "unused").await;
    rotate_secret(&world.ctx, &name("forge"), "another", Duration::ZERO).await.unwrap();
    assert_listed(&world, &[(SSH, false), ("fleet/job/unused", true), ("fleet/user/forge", true)]).await;

    world.set_settings(Settings { compute: Compute::Runners, ..Settings::default() }).await;
    world.ctx.clock.advance(MIN_SECRET_AGE);
    assert_eq!(delete(&world, "ssh").await.unwrap(), SSH);
    assert!(!has_value(&world, SSH).await);
}

#[tokio::test]
async fn two_hundred_secrets_are_listed_in_pages() {
    let world = World::begin().await;
    let expected: Vec<_> = (0..201).map(|number| format!("fleet/user/secret-{number:03}")).collect();
    for secret in &expected {
        let record = SecretRecord::next(None, secret, world.ctx.clock.now());
        assert_applied(world.ctx.store.put_secret_record(&record).await);
    }
    let (mut sizes, mut names, mut after) = (Vec::new(), Vec::new(), None);
    loop {
        let (page, next) = list_page(&world, after.as_deref()).await;
        sizes.push(page.len());
        names.extend(page.into_iter().map(|secret| secret.secret));
        after = next;
        let Some(cursor) = &after else { break };
        assert!(cursor.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c)), "{cursor}");
    }
    assert_eq!((sizes, names), (vec![100, 100, 1], expected));
    let refused = list_secrets(&world.ctx, &Default::default(), Some("no cursor")).await;
    assert!(matches!(refused, Err(Error::Store(pullyard_store::Error::BadCursor))), "{refused:?}");
}

#[tokio::test]
async fn name_without_a_value_is_set_or_deleted_again() {
    for is_set_again in [true, false] {
        let wire = Wire::default();
        let world = World::with_client(wire.clone()).await;
        wire.fail_next("PutSecretValue", Fault::error(400, "EncryptionFailure"));
        assert!(set_secret(&world.ctx, SecretKind::Job, &name("ssh"), "a value").await.is_err());
        assert!(!has_value(&world, SSH).await);
        assert_listed(&world, &[(SSH, true)]).await;
        if is_set_again {
            set(&world, SecretKind::Job, "ssh").await;
            assert!(has_value(&world, SSH).await);
        }
        assert!(matches!(delete(&world, "ssh").await, Err(Error::Denied(_))), "a value may still be stored");
        world.ctx.clock.advance(MIN_SECRET_AGE);
        assert_eq!(delete(&world, "ssh").await.unwrap(), SSH);
        assert_listed(&world, &[]).await;
        assert!(matches!(delete(&world, "ssh").await, Err(Error::NotFound { .. })));
    }
}

#[tokio::test]
async fn name_that_a_deletion_left_is_deleted_by_its_repeat() {
    let wire = Wire::default();
    let world = World::with_client(wire.clone()).await;
    set(&world, SecretKind::Job, "ssh").await;
    world.ctx.clock.advance(MIN_SECRET_AGE);
    wire.fail_next("TransactWriteItems", Fault::error(400, "ValidationException"));
    assert!(delete(&world, "ssh").await.is_err());
    assert!(!has_value(&world, SSH).await);
    assert_listed(&world, &[(SSH, true)]).await;
    assert_eq!(delete(&world, "ssh").await.unwrap(), SSH);
    assert_listed(&world, &[]).await;
}

#[tokio::test]
async fn denied_deletion_keeps_the_name() {
    let wire = Wire::default();
    let world = World::with_client(wire.clone()).await;
    set(&world, SecretKind::Job, "ssh").await;
    world.ctx.clock.advance(MIN_SECRET_AGE);
    // AWS also denies both calls for a missing secret.
    for operation in ["GetSecretValue", "DeleteSecret"] {
        wire.fail_next(operation, Fault::error(400, "AccessDeniedException"));
    }
    let denied = delete(&world, "ssh").await;
    assert!(matches!(denied, Err(Error::Cloud(_))), "{denied:?}");
    assert_listed(&world, &[(SSH, true)]).await;
}

#[tokio::test]
async fn secret_set_during_its_deletion_keeps_its_name() {
    for operation in ["DeleteSecret", "TransactWriteItems"] {
        let held = DelayedCall::before(operation);
        let world = World::with_client(held.clone()).await;
        set(&world, SecretKind::Job, "ssh").await;
        world.ctx.clock.advance(MIN_SECRET_AGE);
        let set_again = set(&world, SecretKind::Job, "ssh");
        assert_eq!(held.run_before_call(delete(&world, "ssh"), set_again).await.unwrap(), SSH);
        assert_eq!(has_value(&world, SSH).await, operation == "TransactWriteItems");
        assert_listed(&world, &[(SSH, true)]).await;
    }
}
