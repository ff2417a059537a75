//! Tests moves, write-backs and text changes of a ticket that race with the end of its job.

use super::{count, on_kite};
use crate::races::rounds::{finish, settle, tally};
use crate::races::{RACERS, race, world};
use crate::sample::{self, at};
use crate::world::{World, replace_text_by};
use pullyard_domain::event::TicketText;
use pullyard_domain::job::JobStatus;
use pullyard_domain::project::Settings;
use pullyard_domain::ticket::{Badge, LastJob, LastOutcome};
use pullyard_store::{Error, Write};
use std::collections::BTreeSet;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn ticket_moved_during_a_job_end_keeps_its_status() {
    let (world, _, job) = on_kite(1, JobStatus::Syncing).await;
    let came = race(&world, |world, number| {
        let job = job.clone();
        async move {
            if number % 2 == 0 {
                return finish(&world, &job, number).await;
            }
            // The racers' numbers do not follow the order of their times.
            let when = (number * 37 % RACERS) as u64;
            let moved = sample::event("APP-1", &format!("evt-{when}"), at(1 + when), &format!("status {when}"));
            world.store.snapshot(&moved).await.map(|_| "moved")
        }
    })
    .await;
    assert_eq!((count(&tally(&came), "finished"), world.job(&job).await.status), (1, JobStatus::Completed));
    let (ticket, newest) = (world.ticket("APP-1").await, RACERS - 1);
    assert_eq!((ticket.status.clone(), ticket.seen_at), (format!("status {newest}"), at(RACERS as u64)));
    assert_eq!(ticket.seen_event, Some(sample::event_id(&format!("evt-{newest}"))));
    let last = LastJob { id: job.id.clone(), outcome: LastOutcome::Completed };
    assert_eq!((ticket.active_job.as_ref(), ticket.last_job.as_ref()), (None, Some(&last)));
    world.whole().await;
    // The next write-back does not move the ticket.
    assert_eq!(settle(&world).await.unwrap(), "nothing");
    let settled = world.ticket("APP-1").await;
    assert_eq!((settled.is_unsynced(), settled.status), (false, ticket.status));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn write_back_during_a_job_end_hides_no_result() {
    let (world, _, job) = on_kite(1, JobStatus::Syncing).await;
    let mut ticket = world.ticket("APP-1").await;
    ticket.request_state(None, Some(Badge::AiFailed), None);
    world.applies(world.store.update_ticket(&ticket)).await;
    let before = world.ticket("APP-1").await;
    assert!(before.is_unsynced());
    let came = race(&world, |world, number| {
        let job = job.clone();
        async move {
            match number % 2 {
                0 => finish(&world, &job, number).await,
                _ => settle(&world).await,
            }
        }
    })
    .await;
    assert_eq!((count(&tally(&came), "finished"), world.job(&job).await.status), (1, JobStatus::Completed));
    let ticket = world.ticket("APP-1").await;
    assert_eq!((ticket.active_job.as_ref(), ticket.wanted.version), (None, before.wanted.version + 1));
    assert_eq!(ticket.last_job.map(|last| last.id), Some(job.id));
    world.whole().await;
    // The last settle may have read the ticket before the end.
    assert_eq!(settle(&world).await.unwrap(), "nothing");
    let ticket = world.ticket("APP-1").await;
    assert_eq!((ticket.status.clone(), ticket.is_unsynced()), (Settings::default().statuses.completion, false));
    assert!(ticket.pull_request.is_some());
    assert_eq!((ticket.shown.badge, ticket.shown.pull_request), (None, ticket.pull_request));
}

/// The labels that an edit replaced; `None` for an event of the ticket tool.
type Over = Option<BTreeSet<String>>;

fn label(number: usize) -> String {
    format!("edit-{number}")
}

/// A user adds a label to the current text.
async fn edit(world: &World, number: usize) -> Result<Over, Error> {
    let (project, key) = (sample::project(), sample::ticket_key("APP-1"));
    loop {
        let seen = world.store.ticket_text(&project, &key).await?;
        let mut text = seen.as_ref().map(|seen| seen.text.clone()).unwrap_or_default();
        let over = text.labels.clone();
        text.labels.insert(label(number));
        if replace_text_by(&world.store, &label(number), &text, seen.as_ref()).await? == Write::Applied {
            return Ok(Some(over));
        }
    }
}

/// Half of the racers are users who add a label; half are events of the ticket tool with the whole text.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn text_is_one_event_with_every_later_edit() {
    let world = world().await;
    let told = |number: usize| sample::event("APP-1", &format!("evt-{number}"), at(number as u64), "Todo");
    world.store.store_text(&told(0)).await.unwrap();
    let overs = race(&world, |world, number| {
        let event = told(number);
        async move {
            match number % 2 {
                0 => edit(&world, number).await,
                _ => world.store.store_text(&event).await.map(|_| None),
            }
        }
    })
    .await;
    let stored = world.text("APP-1").await.expect("the ticket has a text");
    let changed = |number: usize| stored.labels.contains(&label(number));
    let teller = (0..RACERS).filter(|number| *number == 0 || number % 2 == 1).find(|number| {
        let words = told(*number).text.unwrap_or_default();
        let changes = (0..RACERS).step_by(2).filter(|number| changed(*number)).map(label);
        let labels = words.labels.iter().cloned().chain(changes).collect();
        stored == TicketText { labels, ..words.clone() }
    });
    assert!(teller.is_some(), "the text mixes two events: {stored:?}");
    for (number, over) in overs.iter().enumerate() {
        // After a lost answer, an edit may run twice.
        let Some(over) = over.as_ref().filter(|_| world.is_calm()) else { continue };
        // The labels that the edit replaced are still stored, so no event followed it.
        let earlier = (0..RACERS).step_by(2).any(|other| changed(other) && over.contains(&label(other)));
        assert!(!earlier || changed(number), "the edit of {number} is lost: {:?}", stored.labels);
    }
}
