//! Tests races of pull requests, their reviews and their webhooks.

use super::count;
use crate::races::rounds::{Came, tally};
use crate::races::{RACERS, race, winner, world};
use crate::reviews::{Revising, entry, held, id, refused, remember, review, review_id, waits, waits_for};
use crate::sample::{self, at};
use crate::world::{Ending, World};
use pullyard_domain::decision::Reason;
use pullyard_domain::delivery::{Delivery, MAX_REPEATS};
use pullyard_domain::id::JobId;
use pullyard_domain::job::{Job, JobStatus};
use pullyard_domain::outcome::{pull_request_after_revision, ticket_after_job};
use pullyard_domain::pull_request::{Note, PullRequestState};
use pullyard_domain::review::{Review, ReviewState};
use pullyard_store::{Conclusion, Error, WaitsForJob, Write};
use std::collections::BTreeSet;
use std::sync::Arc;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn closed_pull_request_has_at_most_one_revision() {
    let world = Arc::new(World::with_linked().await);
    let came = race(&world, |world, number| async move {
        loop {
            let mut pull_request = world.pull_request().await;
            if pull_request.state == PullRequestState::Closed {
                return Ok("closed");
            }
            let written = if number % 2 == 0 {
                pull_request.state = PullRequestState::Closed;
                world.store.update_pull_request(&pull_request).await?
            } else {
                if world.ticket("APP-1").await.active_job.is_some() {
                    return Ok("busy");
                }
                let revising = Revising::of(&world, "r1").await;
                match revising.pull_request.state {
                    PullRequestState::Open => revising.direct(&world.store).await?,
                    _ => Write::Stale,
                }
            };
            if written == Write::Applied {
                return Ok(["closed", "made"][number % 2]);
            }
        }
    })
    .await;
    let made = count(&tally(&came), "made");
    assert!(made <= 1, "{came:?}");
    let (jobs, ticket, pull_request) = (world.whole().await, world.ticket("APP-1").await, world.pull_request().await);
    assert_eq!((jobs, pull_request.state), (made, PullRequestState::Closed));
    assert_eq!(pull_request.revised.map(|revised| revised.job), ticket.active_job);
    assert_eq!(world.store.reviews(&id()).await.unwrap().len(), made);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn covered_review_is_never_recorded_as_refused() {
    let world = Arc::new(World::with_linked().await);
    world.applies(remember(&world.store, &waits("r1"), &held("r1"))).await;
    let job = JobId::for_review(&id(), &crate::reviews::review_id("r1"));
    race(&world, |world, number| {
        let job = job.clone();
        async move {
            let end = match number % 2 {
                0 => Conclusion::Covered(job),
                _ => Conclusion::Refused(Reason::PullRequestClosed { pr: "acme/app#7".into(), state: "closed".into() }),
            };
            world.store.conclude(&held("r1").id, &end).await
        }
    })
    .await;
    let entry = world.store.delivery(&held("r1").id).await.unwrap().unwrap();
    assert_eq!(entry.job, Some(job.clone()));
    let covered = [held("r1").reason, Reason::Accepted { job }];
    assert!(covered.contains(&entry.reason), "{entry:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn conclusion_and_repeats_of_a_held_review_are_both_stored() {
    let world = Arc::new(World::with_linked().await);
    world.applies(remember(&world.store, &waits("r1"), &held("r1"))).await;
    let (entry, job) = (held("r1"), JobId::for_review(&id(), &review_id("r1")));
    race(&world, |world, number| {
        let (entry, job) = (entry.id.clone(), job.clone());
        async move {
            match number % 2 {
                0 => world.store.conclude(&entry, &Conclusion::Covered(job)).await.map(|_| ()),
                _ => world.store.note_repeat(&entry, at(number as u64)).await,
            }
        }
    })
    .await;
    let stored = world.store.delivery(&entry.id).await.unwrap().unwrap();
    let came: BTreeSet<_> = stored.seen.iter().copied().collect();
    let told: BTreeSet<_> = (1..RACERS as u64).step_by(2).map(at).collect();
    assert!(stored.seen.len() == MAX_REPEATS && came.is_subset(&told), "{:?}", stored.seen);
    // After a lost answer, one repeat may be stored twice.
    assert!(came.len() == MAX_REPEATS || !world.is_calm(), "{:?}", stored.seen);
    assert_eq!(stored, Delivery { job: Some(job), seen: stored.seen.clone(), ..entry });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn racing_updates_of_a_hook_are_both_stored() {
    let world = world().await;
    world.applies(world.store.put_hook(&crate::hooks::hook("acme"))).await;
    let name = crate::hooks::hook("acme").name;
    let came = race(&world, |world, number| {
        let name = name.clone();
        async move {
            loop {
                let mut hook = world.store.hook(&name).await?.expect("the webhook is never deleted");
                match number % 2 {
                    // Even racers store the forge's id, odd racers change the base URL.
                    0 if hook.forge_id.is_some() => return Ok("known"),
                    0 => hook.forge_id = Some(7),
                    _ if hook.base_url.is_some() => return Ok("known"),
                    _ => hook.base_url = Some("https://pullyard.example".into()),
                }
                if world.store.put_hook(&hook).await? == Write::Applied {
                    return Ok(["looked", "changed"][number % 2]);
                }
            }
        }
    })
    .await;
    let stored = world.store.hook(&name).await.unwrap().unwrap();
    assert_eq!((stored.forge_id, stored.base_url.is_some(), stored.rev), (Some(7), true, 3), "{:?}", tally(&came));
    world.whole().await;
}

/// Ends an unclaimed revise job and adds a note to its pull request.
async fn give_up(world: &World, of: &Job) -> Result<Came, Error> {
    loop {
        let before = world.job(of).await;
        let Ok(ended) = before.fail(sample::failure(), at(300)) else { return Ok("known") };
        let ending = Ending {
            attempt: None,
            ticket: Some(ticket_after_job(&ended, &world.ticket("APP-1").await)),
            pull_request: Some(pull_request_after_revision(&ended, &world.pull_request().await)),
            returned: ended.refund(),
            before,
            job: ended,
        };
        if world.store.end(&ending.ended()).await? == Write::Applied {
            return Ok("ended");
        }
    }
}

/// Acknowledges the note that was posted at the forge.
async fn tell(world: &World) -> Result<Came, Error> {
    loop {
        let mut told = world.pull_request().await;
        if !told.is_note_outdated() {
            return Ok("told");
        }
        told.noted_version = told.note_version;
        if world.store.update_pull_request(&told).await? == Write::Applied {
            return Ok("told");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn note_of_a_job_end_survives_racing_acknowledgements() {
    let (world, job) = World::with_busy().await;
    let world = Arc::new(world);
    let job = world.store.job(&job).await.unwrap().unwrap();
    let mut untold = world.pull_request().await;
    untold.set_note(Note::Decision { reason: held("r0").reason });
    world.applies(world.store.update_pull_request(&untold)).await;
    let before = world.pull_request().await;
    assert!(before.is_note_outdated());
    let came = race(&world, |world, number| {
        let job = job.clone();
        async move {
            match number % 2 {
                0 => give_up(&world, &job).await,
                _ => tell(&world).await,
            }
        }
    })
    .await;
    assert_eq!(count(&tally(&came), "told"), RACERS / 2);
    assert_eq!(world.job(&job).await.status, JobStatus::Failed);
    let stored = world.pull_request().await;
    assert_eq!((stored.note, stored.note_version), (Some(Note::job_ended(job.id)), before.note_version + 1));
    assert_eq!(stored.revised, None, "without a working agent, the hour between revisions does not apply");
    assert_eq!(tell(&world).await.unwrap(), "told");
    let told = world.pull_request().await;
    assert_eq!((told.noted_version, told.note_version), (stored.note_version, stored.note_version));
    world.whole().await;
}

/// The review of an ended job is given to the next job, or waits for that job's end, or is refused.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn review_of_an_ended_job_is_taken_deferred_or_refused_once() {
    let (world, job) = World::with_busy().await;
    let world = Arc::new(world);
    let over = sample::job_id("over");
    let seen = review("n1", ReviewState::Started { job: over.clone() });
    world.applies(world.store.take_review(&seen, None)).await;
    let (before, entry) = (world.ticket("APP-1").await, held("n1"));
    let anew = |state: ReviewState| Review { version: 1, had: Some(over.clone()), ..review("n1", state) };
    let each = [seen.assign_to(&job), anew(ReviewState::Deferred {}), anew(refused())];
    let answers = race(&world, |world, number| {
        let (over, job, next, entry) = (over.clone(), job.clone(), each[number % 3].clone(), entry.clone());
        async move {
            if number % 3 != 1 {
                return world.store.take_review(&next, Some(&over)).await;
            }
            let wait = WaitsForJob { from: Some(&over), delivery: None, ..waits_for(&next, &entry, &job) };
            world.store.wait_for_job(&wait).await
        }
    })
    .await;
    let won = winner(&answers) % 3;
    let stored = world.store.review(&id(), &review_id("n1")).await.unwrap();
    assert_eq!(stored.as_ref(), Some(&each[won]));
    let after = world.ticket("APP-1").await;
    let marked = u64::from(won == 1);
    assert_eq!(
        (after.rev, after.has_deferred(&id())),
        (before.rev + marked, won == 1),
        "the ticket is marked exactly if the review waits"
    );
    assert_eq!(after.active_job, Some(job));
}

/// Several readers decide one delivery: it is refused for now, remembered, or accepted with its job.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn review_is_remembered_with_its_entry_or_not_at_all() {
    let world = Arc::new(World::with_linked().await);
    let job = JobId::for_review(&id(), &review_id("r1"));
    let made = Delivery { job: Some(job.clone()), ..entry("r1", Reason::Accepted { job }) };
    let closed = Reason::PullRequestClosed { pr: "acme/app#7".into(), state: "closed".into() };
    let for_now = entry("r1", closed);
    let answers = race(&world, |world, number| {
        let (made, for_now) = (made.clone(), for_now.clone());
        async move {
            match number % 3 {
                0 => world.store.record(&for_now).await,
                1 => remember(&world.store, &waits("r1"), &held("r1")).await,
                _ => world.store.record(&made).await,
            }
        }
    })
    .await;
    let of = |kind: usize| (kind..RACERS).step_by(3).filter(|number| answers[*number] == Write::Applied).count();
    let (remembered, recorded) = (of(1), of(2));
    let stored = world.store.delivery(&made.id).await.unwrap().expect("a decision is stored");
    let review = world.store.review(&id(), &review_id("r1")).await.unwrap();
    match review {
        Some(review) => assert_eq!((review, stored, remembered, recorded), (waits("r1"), held("r1"), 1, 0)),
        None => assert_eq!((stored, remembered, recorded), (made, 0, 1)),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn redelivered_review_waits_again_or_gets_its_job() {
    let world = Arc::new(World::with_linked().await);
    world.applies(world.store.take_review(&review("r1", refused()), None)).await;
    let revising = Revising::of(&world, "r1").await;
    let revising = Arc::new(Revising { review: Review { version: 1, ..revising.review }, ..revising });
    let answers = race(&world, |world, number| {
        let revising = Arc::clone(&revising);
        async move {
            let anew = Review { version: 1, ..waits("r1") };
            match number % 2 {
                0 => revising.direct(&world.store).await,
                _ => remember(&world.store, &anew, &held("r1")).await,
            }
        }
    })
    .await;
    let made = winner(&answers).is_multiple_of(2);
    let expected = if made { revising.review.state.clone() } else { ReviewState::Deferred {} };
    assert_eq!(world.state("r1").await, expected);
    let active = world.ticket("APP-1").await.active_job;
    assert_eq!(active.is_some(), made);
    assert_eq!(world.whole().await, usize::from(made));
    assert_eq!(world.ticket("APP-1").await.has_deferred(&id()), !made);
    let stored = world.store.delivery(&held("r1").id).await.unwrap().expect("the ledger entry is stored");
    assert_eq!(stored.job, active);
}
