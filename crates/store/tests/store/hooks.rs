//! Webhooks, what is heard of them, secrets that rotate, repositories that are renamed, and reviews that wait.

use crate::reviews::waits;
use crate::sample::{at, repository};
use crate::world::World;
use pullyard_domain::hook::{Hook, HookKind};
use pullyard_domain::id::{HookName, IntegrationId, ProjectId, RepositoryName, SecretName};
use pullyard_domain::project::{ForgeKind, Repository};
use pullyard_domain::pull_request::PullRequestId;
use pullyard_domain::review::Review;
use pullyard_domain::time::Timestamp;
use pullyard_store::{Rotation, WaitsForJob, Write};
use std::time::Duration;

pub(crate) fn hook(name: &str) -> Hook {
    Hook {
        name: HookName::new(name).unwrap(),
        integration: IntegrationId::new("gh1").unwrap(),
        forge: ForgeKind::GitHub,
        home: ProjectId::new("acme").unwrap(),
        others: Vec::new(),
        kind: HookKind::Organisation { login: "acme".into() },
        secret: SecretName::new("hook-acme").unwrap(),
        base_url: None,
        forge_id: None,
        created: at(1),
        rev: 0,
    }
}

#[tokio::test]
async fn a_hook_is_written_over_the_revision_that_was_read() {
    let world = World::new().await;
    let new = hook("acme");
    assert_eq!(world.store.put_hook(&new).await.unwrap(), Write::Applied);
    assert_eq!(world.store.put_hook(&new).await.unwrap(), Write::Stale);
    let stored = world.store.hook(&new.name).await.unwrap().unwrap();
    assert_eq!(stored, Hook { rev: 1, ..new.clone() });
    let (one, other) = tokio::join!(world.store.put_hook(&stored), world.store.put_hook(&stored));
    let applied = [one.unwrap(), other.unwrap()].into_iter().filter(|write| *write == Write::Applied).count();
    assert_eq!(applied, 1);
    let names = world.in_the_end(async || world.store.hook_names(None, 10).await.unwrap().0).await;
    assert_eq!(names, std::slice::from_ref(&new.name));
    assert_eq!(world.store.delete_hook(&stored).await.unwrap(), Write::Stale);
    world.whole().await;
    let newest = world.store.hook(&new.name).await.unwrap().unwrap();
    assert_eq!(world.store.delete_hook(&newest).await.unwrap(), Write::Applied);
    assert_eq!(world.store.hook(&new.name).await.unwrap(), None);
}

/// Both are the first revision of their name: the one that was read is gone, and another one was made since.
#[tokio::test]
async fn a_hook_that_was_made_since_the_one_that_was_read_was_forgotten_is_neither_written_over_nor_forgotten() {
    let world = World::new().await;
    world.applies(world.store.put_hook(&hook("acme"))).await;
    let gone = world.store.hook(&hook("acme").name).await.unwrap().unwrap();
    world.applies(world.store.delete_hook(&gone)).await;
    world.applies(world.store.put_hook(&Hook { created: at(4), ..hook("acme") })).await;
    let stored = world.store.hook(&gone.name).await.unwrap().unwrap();
    assert_eq!((stored.rev, stored.created), (gone.rev, at(4)));
    world.refuses(world.store.put_hook(&Hook { forge_id: Some(3), ..gone.clone() })).await;
    world.refuses(world.store.delete_hook(&gone)).await;
    assert_eq!(world.store.hook(&gone.name).await.unwrap(), Some(stored));
}

#[tokio::test]
async fn that_deliveries_come_is_noted_once_a_minute_and_what_is_refused_is_counted() {
    let world = World::new().await;
    let hook = hook("acme");
    assert_eq!(world.store.note_hook_verified(&hook, at(1)).await.unwrap(), Write::Applied);
    assert_eq!(world.store.note_hook_verified(&hook, at(1)).await.unwrap(), Write::Stale);
    let later = at(1).plus(Duration::from_secs(60));
    assert_eq!(world.store.note_hook_verified(&hook, later).await.unwrap(), Write::Applied);
    world.store.note_hook_refused(&hook, 3, later).await.unwrap();
    world.store.note_hook_refused(&hook, 2, later).await.unwrap();
    check_heard(&world, &hook, (Some(later), 5, Some(later))).await;
}

/// When it was verified, how many were not let in, and when the last of them.
async fn check_heard(world: &World, hook: &Hook, expected: (Option<Timestamp>, u64, Option<Timestamp>)) {
    let heard = world.store.hook_heard(hook).await.unwrap();
    assert_eq!((heard.verified_at, heard.refused, heard.refused_at), expected);
}

/// A hook that was forgotten, what was noted of it by whoever had read it before, and one that was made by its name
/// since.
async fn forgotten_and_made_anew() -> (World, Hook, Hook) {
    let world = World::new().await;
    world.applies(world.store.put_hook(&hook("acme"))).await;
    let gone = world.store.hook(&hook("acme").name).await.unwrap().unwrap();
    world.applies(world.store.delete_hook(&gone)).await;
    world.applies(world.store.note_hook_verified(&gone, at(2))).await;
    world.applies(world.store.note_hook_refused(&gone, 3, at(3))).await;
    world.applies(world.store.put_hook(&Hook { created: at(4), ..hook("acme") })).await;
    let anew = world.store.hook(&gone.name).await.unwrap().unwrap();
    (world, gone, anew)
}

#[tokio::test]
async fn what_was_heard_of_a_hook_that_is_gone_is_not_heard_of_another_one_of_its_name() {
    let (world, _, anew) = forgotten_and_made_anew().await;
    check_heard(&world, &anew, (None, 0, None)).await;
    world.applies(world.store.note_hook_verified(&anew, at(5))).await;
    check_heard(&world, &anew, (Some(at(5)), 0, None)).await;
    let (world, _, anew) = forgotten_and_made_anew().await;
    world.applies(world.store.note_hook_refused(&anew, 2, at(5))).await;
    check_heard(&world, &anew, (None, 2, Some(at(5)))).await;
    world.applies(world.store.note_hook_refused(&anew, 2, at(6))).await;
    check_heard(&world, &anew, (None, 4, Some(at(6)))).await;
}

#[tokio::test]
async fn a_hook_that_is_gone_is_heard_of_no_more_once_another_one_of_its_name_was() {
    let (world, gone, anew) = forgotten_and_made_anew().await;
    world.applies(world.store.note_hook_verified(&anew, at(5))).await;
    world.refuses(world.store.note_hook_verified(&gone, at(500))).await;
    world.refuses(world.store.note_hook_refused(&gone, 1, at(500))).await;
    check_heard(&world, &anew, (Some(at(5)), 0, None)).await;
}

/// As it was stored before it was said of which hook it is.
#[tokio::test]
async fn what_was_heard_and_does_not_say_of_which_hook_is_of_the_one_that_is_there() {
    let world = World::new().await;
    world.applies(world.store.note_hook_refused(&hook("acme"), 3, at(2))).await;
    let mut item = world.item("HOOK#acme", "HEARD").await;
    item.remove("hook_created").unwrap();
    world.client.put_item().table_name(&world.table).set_item(Some(item)).send().await.unwrap();
    check_heard(&world, &hook("acme"), (None, 3, Some(at(2)))).await;
    world.applies(world.store.note_hook_refused(&hook("acme"), 1, at(3))).await;
    check_heard(&world, &hook("acme"), (None, 4, Some(at(3)))).await;
    let later = Hook { created: at(5), ..hook("acme") };
    check_heard(&world, &later, (None, 0, None)).await;
}

#[tokio::test]
async fn a_rotation_is_written_over_the_revision_that_was_read() {
    let world = World::new().await;
    let secret = "pullyard/user/hook-acme";
    let rotation = Rotation { secret: secret.into(), previous: "v1".into(), until: at(9), rev: 0 };
    assert_eq!(world.store.put_rotation(&rotation).await.unwrap(), Write::Applied);
    assert_eq!(world.store.put_rotation(&rotation).await.unwrap(), Write::Stale);
    assert_eq!(world.store.rotation(secret).await.unwrap(), Some(Rotation { rev: 1, ..rotation }));
}

#[tokio::test]
async fn a_renamed_repository_is_found_by_its_new_name_alone() {
    let world = World::new().await;
    let before = repository(9_901, "acme/app");
    assert_eq!(world.store.put_repository(&before, None).await.unwrap(), Write::Applied);
    let named = async |name: &RepositoryName| world.store.repository_named(&before.project, name).await.unwrap();
    // Where reads lag, whoever asks next may be told of this.
    assert_eq!(named(&before.name).await, Some(before.clone()));
    let after = Repository { name: RepositoryName::new("acme/web").unwrap(), ..before.clone() };
    assert_eq!(world.store.rename_repository(&before, &after).await.unwrap(), Write::Applied);
    assert_eq!(world.store.rename_repository(&before, &after).await.unwrap(), Write::Stale, "it has that name");
    assert_eq!((named(&before.name).await, named(&after.name).await), (None, Some(after.clone())));
    let cased = Repository { name: RepositoryName::new("Acme/Web").unwrap(), ..after.clone() };
    assert_eq!(world.store.rename_repository(&after, &cased).await.unwrap(), Write::Applied);
    assert_eq!(named(&after.name).await, Some(cased));
}

#[tokio::test]
async fn many_reviews_at_once_are_noted_on_a_busy_ticket_and_none_cancels_another() {
    let world = World::new().await;
    world.triggered("APP-1").await;
    let ticket = world.ticket("APP-1").await;
    let job = ticket.active_job.clone().unwrap();
    let id = |number| PullRequestId { integration: IntegrationId::new("gh1").unwrap(), repository: 99, number };
    let note = async |number| {
        let review = Review { pull_request: id(number), ..waits("r1") };
        let wait = WaitsForJob { review: &review, from: None, delivery: None, job: &job, opens_at: at(9) };
        world.store.wait_for_job(&wait).await.unwrap()
    };
    let (a, b, c, d, e) = tokio::join!(note(1), note(2), note(3), note(4), note(5));
    let written = [a, b, c, d, e];
    assert!(written.iter().all(|write| *write == Write::Applied), "{written:?}");
    let noted = world.ticket("APP-1").await;
    assert_eq!(noted.deferred.len(), 5);
    world.check_raised(noted.rev - ticket.rev, 5);
}
