//! Tests single conditions of a write: one fact is stale and must refuse, all others are as read.

use crate::prelude::*;
use crate::sample;
use crate::world::World;

async fn world_with_runner() -> (World, Runner) {
    let world = World::new().await;
    let runner = world.register_runner(&sample::runner("kite", 2)).await;
    (world, runner)
}

async fn take_over(world: &World, seen: &Runner, epoch: u32) -> Runner {
    let new = Runner { instance: InstanceId::new("process-2").unwrap(), epoch, ..seen.clone() };
    let profile = sample::profile(&new, &new.name);
    world
        .expect_applied(
            world
                .store
                .register_runner(&RegistrationWrite { previous: Some(seen), ..first_registration(&new, &profile) }),
        )
        .await;
    world.runner(&new).await
}

#[tokio::test]
async fn runner_under_removal_rejects_further_writes() {
    let (world, seen) = world_with_runner().await;
    world.expect_applied(world.store.begin_removal(&seen)).await;
    let going = world.runner(&seen).await;
    let back = Runner { status: Presence::Online, last_heartbeat: at(30), ..going.clone() };
    world.expect_refused(world.store.record_heartbeat(&going, &back)).await;
    let drain = Drain { by: "ann".into(), at: at(5), acknowledged: None };
    world.expect_refused(world.store.set_drain(&going, Some(&drain))).await;
    world.expect_refused(world.store.set_order(&going, &sample::order("o1", OrderState::Wanted))).await;
    world.expect_refused(world.store.begin_removal(&going)).await;
}

#[tokio::test]
async fn removal_needs_a_begun_removal_and_the_same_epoch() {
    let (world, seen) = world_with_runner().await;
    world.expect_refused(world.store.delete_runner(&seen)).await;
    world.expect_applied(world.store.mark_offline(&seen, &marked_offline(&seen))).await;
    world.expect_refused(world.store.begin_removal(&seen)).await;
}

#[tokio::test]
async fn offline_mark_needs_an_online_runner_of_the_same_epoch() {
    let (world, seen) = world_with_runner().await;
    let new = take_over(&world, &seen, seen.epoch + 1).await;
    assert_eq!(new.last_heartbeat, seen.last_heartbeat);
    world.expect_refused(world.store.mark_offline(&seen, &marked_offline(&seen))).await;
    world.expect_applied(world.store.mark_offline(&new, &marked_offline(&new))).await;
    let offline = world.runner(&new).await;
    world.expect_refused(world.store.mark_offline(&offline, &marked_offline(&offline))).await;
}

#[tokio::test]
async fn rename_to_a_name_of_another_repository_is_refused() {
    let world = World::new().await;
    let (ours, theirs) = (sample::repository(1, "acme/app"), sample::repository(2, "acme/web"));
    world.expect_applied(world.store.put_repository(&ours, None)).await;
    world.expect_applied(world.store.put_repository(&theirs, None)).await;
    let target = Repository { name: RepositoryName::new("acme/web").unwrap(), ..ours.clone() };
    world.expect_refused(world.store.rename_repository(&ours, &target)).await;
    // A repository's id is unique only within its forge.
    let same = Repository { integration: IntegrationId::new("gh2").unwrap(), ..sample::repository(1, "acme/site") };
    world.expect_applied(world.store.put_repository(&same, None)).await;
    let target = Repository { name: RepositoryName::new("acme/site").unwrap(), ..ours.clone() };
    world.expect_refused(world.store.rename_repository(&ours, &target)).await;
    // A renaming does not replace the old alias of another repository id or forge.
    let free = Repository { name: RepositoryName::new("acme/new").unwrap(), ..ours.clone() };
    let own = world.item("PROJECT#acme", "REPONAME#acme/app").await;
    for (attribute, theirs) in [("id", AttributeValue::N("2".into())), ("integration", AttributeValue::S("gh2".into()))]
    {
        let mut alias = own.clone();
        alias.insert(attribute.into(), theirs);
        world.put_item(alias).await;
        world.expect_refused(world.store.rename_repository(&ours, &free)).await;
    }
}

#[tokio::test]
async fn watch_deadline_never_moves_back() {
    let world = World::new().await;
    let job = world.create_ticket_job("APP-1").await;
    world.expect_applied(world.store.update_watched_until(&job.id, at(100))).await;
    for not_longer in [at(99), at(100)] {
        world.expect_refused(world.store.update_watched_until(&job.id, not_longer)).await;
    }
    world.expect_applied(world.store.update_watched_until(&job.id, at(101))).await;
    world.expect_refused(world.store.update_watched_until(&sample::job_id("gone"), at(102))).await;
    assert_eq!(world.job(&job).await, Job { watched_until: Some(at(101)), ..job });
}

#[tokio::test]
async fn case_only_rename_over_a_stale_name_is_refused() {
    let world = World::new().await;
    let [seen, now, cased] = ["acme/app", "acme/web", "Acme/App"].map(|name| sample::repository(1, name));
    world.expect_applied(world.store.put_repository(&seen, None)).await;
    world.expect_applied(world.store.put_repository(&now, None)).await;
    // The repository still owns the name that was read.
    world.expect_refused(world.store.rename_repository(&seen, &cased)).await;
}

// Writes that the conditions must accept.

#[tokio::test]
async fn repository_returns_to_a_name_it_still_owns() {
    let world = World::new().await;
    let [old, now] = ["acme/old", "acme/app"].map(|name| sample::repository(1, name));
    world.expect_applied(world.store.put_repository(&old, None)).await;
    world.expect_applied(world.store.put_repository(&now, None)).await;
    world.expect_applied(world.store.rename_repository(&now, &old)).await;
    assert_eq!(world.store.list_repository_names(&old).await.unwrap(), [now.name, old.name]);
}

#[tokio::test]
async fn repository_without_its_old_alias_is_renamed() {
    let world = World::new().await;
    let ours = sample::repository(1, "acme/app");
    world.expect_applied(world.store.put_repository(&ours, None)).await;
    world.delete_item("PROJECT#acme", "REPONAME#acme/app").await;
    let next = Repository { name: RepositoryName::new("acme/new").unwrap(), ..ours.clone() };
    world.expect_applied(world.store.rename_repository(&ours, &next)).await;
}

#[tokio::test]
async fn verified_hook_is_deleted_and_delete_is_repeatable() {
    let world = World::new().await;
    world.expect_applied(world.store.put_hook(&hook("acme"))).await;
    let seen = world.store.load_hook(&hook("acme").name).await.unwrap().unwrap();
    world.expect_applied(world.store.update_hook_verified_at(&seen, at(1))).await;
    world.expect_applied(world.store.delete_hook(&seen)).await;
    assert!(world.items().await.is_empty());
    world.expect_applied(world.store.delete_hook(&seen)).await;
}
