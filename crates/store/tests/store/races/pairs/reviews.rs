//! Pull requests, their reviews and their hooks.

use super::count;
use crate::races::rounds::{Came, tally};
use crate::races::{RACERS, race, winner, world};
use crate::reviews::{Revising, entry, held, id, refused, remember, review, review_id, waits, waits_for};
use crate::sample::{self, at};
use crate::world::{Ending, World};
use pullyard_domain::decision::Reason;
use pullyard_domain::delivery::{Delivery, MOST_SEEN};
use pullyard_domain::id::JobId;
use pullyard_domain::job::{Job, Status};
use pullyard_domain::outcome::{pull_request_after, ticket_after};
use pullyard_domain::pull_request::{Note, PullRequestState};
use pullyard_domain::review::{Review, ReviewState};
use pullyard_store::{Conclusion, Error, WaitsForJob, Write};
use std::collections::BTreeSet;
use std::sync::Arc;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_closed_pull_request_has_the_revision_that_was_first_or_none() {
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
async fn a_review_that_is_covered_never_reads_as_refused() {
    let world = Arc::new(World::with_linked().await);
    world.applies(remember(&world.store, &waits("r1"), &held("r1"))).await;
    let job = JobId::of_review(&id(), &crate::reviews::review_id("r1"));
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
async fn what_becomes_of_a_review_that_was_held_and_that_it_came_again_are_both_noted() {
    let world = Arc::new(World::with_linked().await);
    world.applies(remember(&world.store, &waits("r1"), &held("r1"))).await;
    let (entry, job) = (held("r1"), JobId::of_review(&id(), &review_id("r1")));
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
    assert!(stored.seen.len() == MOST_SEEN && came.is_subset(&told), "{:?}", stored.seen);
    // Where an answer was lost, one of them may stand there twice.
    assert!(came.len() == MOST_SEEN || !world.is_calm(), "{:?}", stored.seen);
    assert_eq!(stored, Delivery { job: Some(job), seen: stored.seen.clone(), ..entry });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_is_known_of_a_hook_is_never_set_back_by_an_older_reading() {
    let world = world().await;
    world.applies(world.store.put_hook(&crate::hooks::hook("acme"))).await;
    let name = crate::hooks::hook("acme").name;
    let came = race(&world, |world, number| {
        let name = name.clone();
        async move {
            loop {
                let mut hook = world.store.hook(&name).await?.expect("it stays");
                match number % 2 {
                    // The forge's id of it, and a change of what it is.
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

/// A revise job that was never read ends, and its pull request is to say so.
async fn give_up(world: &World, of: &Job) -> Result<Came, Error> {
    loop {
        let before = world.job(of).await;
        let Ok(ended) = before.given_up(sample::failure(), at(300)) else { return Ok("known") };
        let ending = Ending {
            attempt: None,
            ticket: Some(ticket_after(&ended, &world.ticket("APP-1").await)),
            pull_request: Some(pull_request_after(&ended, &world.pull_request().await)),
            returned: ended.returned(),
            before,
            job: ended,
        };
        if world.store.end(&ending.ended()).await? == Write::Applied {
            return Ok("ended");
        }
    }
}

/// What people shall read on the pull request stands at the forge, and is noted.
async fn tell(world: &World) -> Result<Came, Error> {
    loop {
        let mut told = world.pull_request().await;
        if !told.is_untold() {
            return Ok("told");
        }
        told.noted_version = told.note_version;
        if world.store.update_pull_request(&told).await? == Write::Applied {
            return Ok("told");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_a_pull_request_says_of_its_jobs_end_is_said_whatever_was_being_told() {
    let (world, job) = World::with_busy().await;
    let world = Arc::new(world);
    let job = world.store.job(&job).await.unwrap().unwrap();
    let mut untold = world.pull_request().await;
    untold.tell(Note::Decision { reason: held("r0").reason });
    world.applies(world.store.update_pull_request(&untold)).await;
    let before = world.pull_request().await;
    assert!(before.is_untold());
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
    assert_eq!(world.job(&job).await.status, Status::Failed);
    let stored = world.pull_request().await;
    assert_eq!((stored.note, stored.note_version), (Some(Note::ended(job.id)), before.note_version + 1));
    assert_eq!(stored.revised, None, "no agent worked: its hour is given back");
    assert_eq!(tell(&world).await.unwrap(), "told");
    let told = world.pull_request().await;
    assert_eq!((told.noted_version, told.note_version), (stored.note_version, stored.note_version));
    world.whole().await;
}

/// A review of a job that is over: the next job has it told, or it waits for that one's end, or it is nobody's.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_review_of_a_job_that_is_over_is_taken_over_or_waits_or_is_given_back() {
    let (world, job) = World::with_busy().await;
    let world = Arc::new(world);
    let over = sample::job_id("over");
    let seen = review("n1", ReviewState::Started { job: over.clone() });
    world.applies(world.store.take_review(&seen, None)).await;
    let (before, entry) = (world.ticket("APP-1").await, held("n1"));
    let anew = |state: ReviewState| Review { version: 1, had: Some(over.clone()), ..review("n1", state) };
    let each = [seen.taken_by(&job), anew(ReviewState::Deferred {}), anew(refused())];
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
    assert_eq!((after.rev, after.defers(&id())), (before.rev + marked, won == 1), "the mark goes with the waiting");
    assert_eq!(after.active_job, Some(job));
}

/// One delivery, decided by several who read at different times: it is refused for now, or remembered, or has its job.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_review_is_remembered_with_its_entry_beside_other_decisions_or_not_at_all() {
    let world = Arc::new(World::with_linked().await);
    let job = JobId::of_review(&id(), &review_id("r1"));
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
    let stored = world.store.delivery(&made.id).await.unwrap().expect("somebody had the last word");
    let review = world.store.review(&id(), &review_id("r1")).await.unwrap();
    match review {
        Some(review) => assert_eq!((review, stored, remembered, recorded), (waits("r1"), held("r1"), 1, 0)),
        None => assert_eq!((stored, remembered, recorded), (made, 0, 1)),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_refused_review_that_is_sent_again_waits_anew_or_has_its_job() {
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
    assert_eq!(world.ticket("APP-1").await.defers(&id()), !made);
    let stored = world.store.delivery(&held("r1").id).await.unwrap().expect("the entry");
    assert_eq!(stored.job, active);
}
