//! Tests a breaker that is opened and closed concurrently.

use crate::breakers::shut;
use crate::races::rounds::tally;
use crate::races::{race, world};
use crate::sample::{self, at};
use pullyard_domain::breaker::{AccountFault, AttemptRef, Breaker, BreakerCause};
use pullyard_store::Write;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn racing_breaker_openings_and_closings_stay_consistent() {
    let world = world().await;
    let seen = shut(&world, "codex").await;
    let now = at(400);
    let came = race(&world, |world, number| {
        let id = seen.id.clone();
        async move {
            let job = sample::job(&format!("job {number}")).id;
            loop {
                let stored = world.store.breaker(&id).await?;
                let written = match (number % 2, stored) {
                    (0, stored) => {
                        let trouble = AccountFault { cause: BreakerCause::LimitReached, ends_at: None };
                        let by = AttemptRef { job: job.clone(), attempt: 1 };
                        let Some(next) = Breaker::record_fault(stored.as_ref(), &id, &trouble, &by, now) else {
                            return Ok("known");
                        };
                        world.store.put_breaker(&next, stored.as_ref()).await?
                    }
                    (_, None) => return Ok("free"),
                    (_, Some(stored)) => world.store.close_breaker(&stored).await?,
                };
                if written == Write::Applied {
                    return Ok(["shut", "free"][number % 2]);
                }
            }
        }
    })
    .await;
    let came = tally(&came);
    // The first breaker was closed, so a remaining one was opened during the race.
    if let Some(stored) = world.store.breaker(&seen.id).await.unwrap() {
        let expected = (1, 1, now, at(700));
        assert_eq!((stored.rev, stored.times, stored.opened, stored.until), expected, "{came:?}");
    }
    world.whole().await;
}
