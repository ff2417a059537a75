//! Tests webhooks and polls that are changed while they are removed.

use super::count;
use crate::hooks::hook;
use crate::races::rounds::tally;
use crate::races::{RACERS, race, world};
use crate::sample::{self, at};
use pullyard_domain::hook::{Ingress, Poll, Webhook};
use pullyard_store::{Removal, Write};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn recreated_hook_is_unchanged_by_writers_of_the_deleted_one() {
    let world = world().await;
    world.applies(world.store.put_hook(&hook("acme"))).await;
    let next = Webhook { created: at(4), ..hook("acme") };
    race(&world, |world, number| {
        let next = next.clone();
        async move {
            loop {
                let stored = world.store.hook(&next.name).await?;
                let is_next = stored.as_ref().is_some_and(|stored| stored.created == next.created);
                let written = match (number % 4, stored) {
                    (0, None) => world.store.put_hook(&next).await?,
                    (_, None) => return Ok(()),
                    (_, Some(_)) if is_next => return Ok(()),
                    // The name is not free yet.
                    (0, Some(_)) => continue,
                    (1, Some(hook)) => world.store.delete_hook(&hook).await?,
                    // Racers 2 store the forge's id, racers 3 change the base URL.
                    (2, Some(hook)) if hook.forge_id.is_some() => return Ok(()),
                    (2, Some(mut hook)) => {
                        hook.forge_id = Some(7);
                        world.store.put_hook(&hook).await?
                    }
                    (_, Some(hook)) if hook.base_url.is_some() => return Ok(()),
                    (_, Some(hook)) => {
                        let base_url = Some("https://pullyard.example".into());
                        world.store.put_hook(&Webhook { base_url, ..hook }).await?
                    }
                };
                if written == Write::Applied {
                    return Ok(());
                }
            }
        }
    })
    .await;
    let stored = world.store.hook(&next.name).await.unwrap();
    assert_eq!(stored, Some(Webhook { rev: 1, ..next }));
    world.whole().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn removed_repository_leaves_no_poll_behind() {
    let world = world().await;
    let repository = sample::repository(99, "acme/app");
    world.applies(world.store.put_repository(&repository, None)).await;
    world.applies(world.store.put_poll(&sample::poll(0))).await;
    let came = race(&world, |world, number| {
        let repository = repository.clone();
        async move {
            let names = [repository.name.clone()];
            loop {
                let poll = world.store.poll(&repository.project, &repository.integration, repository.id).await?;
                let written = match (number % 3, poll) {
                    (0, poll) => {
                        let poll = poll.as_ref();
                        let removal = Removal { repository: &repository, names: &names, poll, project: None };
                        world.store.remove_repository(&removal).await?
                    }
                    (_, None) => return Ok("gone"),
                    (1, Some(poll)) if poll.next >= at(600) => return Ok("looked"),
                    (1, Some(poll)) => world.store.put_poll(&Poll { next: at(600), ..poll }).await?,
                    (_, Some(poll)) if poll.ingress == Ingress::Webhook => return Ok("changed"),
                    (_, Some(poll)) => world.store.put_poll(&Poll { ingress: Ingress::Webhook, ..poll }).await?,
                };
                if written == Write::Applied {
                    return Ok(["removed", "looked", "changed"][number % 3]);
                }
            }
        }
    })
    .await;
    assert_eq!(count(&tally(&came), "removed"), RACERS.div_ceil(3));
    assert!(world.items().await.is_empty(), "{came:?}");
}
