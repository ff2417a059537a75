//! The invariants between all items of a table.

use crate::prelude::*;
use crate::world::{decode_item, text_attribute};
use pullyard_domain::run::due::{self, Due};

fn expected_row(pk: &str, due: Option<Due>) -> (String, Option<i64>) {
    match due {
        None => (String::new(), None),
        Some(Due::At(at)) => (format!("DUE#{}", due::shard(pk)), Some(at.millis())),
        Some(Due::Ready { class, order }) => (format!("READY#{class}"), Some(order)),
        Some(Due::Held { project, order }) => (format!("HELD#{project}"), Some(order)),
        Some(Due::Limited { project, repository, order }) => (format!("LIMIT#{project}#{repository}"), Some(order)),
    }
}

pub(crate) fn check_items(items: &Items) {
    let (mut jobs, mut tickets, mut runners) = (Vec::<Job>::new(), Vec::<Ticket>::new(), Vec::<Runner>::new());
    let (mut attempts, mut reviews) = (BTreeSet::new(), Vec::<Review>::new());
    let mut inputs = BTreeMap::<String, Vec<i64>>::new();
    for ((pk, sk), item) in items {
        let mut due = None;
        match sk.as_str() {
            "JOB" => {
                jobs.push(decode_item(item));
                due = jobs.last().and_then(due::job);
            }
            "TICKET" => {
                tickets.push(decode_item(item));
                due = tickets.last().and_then(due::ticket);
            }
            "PR" => due = due::pull_request(&decode_item(item)),
            "POLL" => due = due::poll(&decode_item(item)),
            "NOTICE" => due = due::notice(&decode_item(item)),
            "RUN" => due = due::run(&decode_item(item)),
            _ if sk.starts_with("SCHEDULE#") => due = due::schedule(&decode_item(item)),
            _ if pk.starts_with("RUNNERS#") => runners.push(decode_item(item)),
            _ if sk.starts_with("ATTEMPT#") => {
                attempts.insert((text_attribute(item, "job"), number_attribute(item, "number").unwrap()));
            }
            _ if sk.starts_with("REVIEW#") => reviews.push(decode_item(item)),
            _ if sk.starts_with("INPUT#") => {
                inputs.entry(text_attribute(item, "job")).or_default().push(number_attribute(item, "seq").unwrap());
            }
            _ => {}
        }
        assert_eq!((text_attribute(item, "wk"), number_attribute(item, "ws")), expected_row(pk, due), "{pk} / {sk}");
    }
    for job in &jobs {
        let numbers = inputs.remove(job.id.as_str()).unwrap_or_default();
        assert_eq!(numbers, (1..=i64::from(job.inputs)).collect::<Vec<_>>(), "{}", job.id);
        let is_suspended = matches!(job.status, JobStatus::AwaitingInput | JobStatus::Paused);
        let ticket = tickets.iter().find(|ticket| ticket.active_job.as_ref() == Some(&job.id));
        let has_badge = ticket.is_some_and(|ticket| ticket.wanted.badge == Some(Badge::AiWaiting));
        assert_eq!(has_badge, is_suspended && ticket.is_some(), "{}", job.id);
    }
    assert_eq!(inputs, BTreeMap::new(), "an input has no job");
    for ticket in &tickets {
        let open: Vec<_> = jobs
            .iter()
            .filter(|job| job.ticket.as_ref() == Some(&ticket.key) && !job.status.is_terminal())
            .map(|job| job.id.clone())
            .collect();
        assert_eq!(open, ticket.active_job.iter().cloned().collect::<Vec<_>>(), "{}", ticket.key);
    }
    for runner in &runners {
        let running: BTreeMap<_, _> = jobs
            .iter()
            .filter(|job| job.status.is_active())
            .filter_map(|job| Some((job, job.run.as_ref()?)))
            .filter(|(_, run)| run.runner.as_ref() == Some(&runner.id))
            .map(|(job, run)| (job.id.clone(), (job.attempt, run.claim.clone())))
            .collect();
        let slots: BTreeMap<_, _> =
            runner.slots.iter().map(|(job, slot)| (job.clone(), (slot.attempt, slot.claim.clone()))).collect();
        assert_eq!(slots, running, "{}", runner.id);
        assert!(slots.len() <= runner.max as usize);
    }
    let mut ran = BTreeSet::new();
    for job in &jobs {
        let ended = if job.status.is_active() { job.attempt - 1 } else { job.attempt };
        ran.extend((1..=ended).map(|number| (job.id.to_string(), i64::from(number))));
    }
    assert_eq!(attempts, ran, "every ended attempt is stored");
    check_reviews(&reviews, &tickets, &jobs);
}

/// A waiting review must be marked on its ticket or wait for the ticket's job. A started review must have an existing
/// job of its own ticket.
fn check_reviews(reviews: &[Review], tickets: &[Ticket], jobs: &[Job]) {
    for review in reviews {
        let is_its = |ticket: &&Ticket| ticket.project == review.project && ticket.key == review.ticket;
        match &review.state {
            ReviewState::Deferred {} => {
                let mark = review.pull_request.to_string();
                let ticket = tickets.iter().find(is_its);
                let waits =
                    ticket.is_some_and(|ticket| ticket.active_job.is_some() || ticket.deferred.contains_key(&mark));
                assert!(waits, "{} waits, but its ticket has no mark: {ticket:?}", review.id);
            }
            ReviewState::Started { job } => {
                let had = jobs.iter().filter(|known| known.id == *job).map(|known| known.ticket.as_ref());
                assert_eq!(had.collect::<Vec<_>>(), [Some(&review.ticket)], "{} has the job {job}", review.id);
            }
            ReviewState::Absorbed { .. } | ReviewState::Refused { .. } => {}
        }
    }
}
