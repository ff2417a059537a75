//! Invariants that hold after every write.

use crate::cloud::table::{ItemChange, Items, Key};
use crate::prelude::*;
use crate::suspensions::is_suspended;
use pullyard_domain::agent::runner::{Presence, Runner};
use pullyard_domain::job::limit::{Places, RunningLimits};
use pullyard_domain::job::{AttemptEnd, AttemptRecord, JobKind};
use pullyard_domain::project::hook::Poll;
use pullyard_domain::project::{Project, Repository};
use pullyard_domain::review::delivery::{Delivery, Source};
use pullyard_domain::review::pull_request::REVISE_WINDOW;
use pullyard_domain::review::{Review, covered_reviews};
use pullyard_domain::run::due::{self, Due};
use pullyard_domain::text::failure::Failure;
use pullyard_domain::ticket::Ticket;
use serde::de::DeserializeOwned;

pub(crate) fn value<T: DeserializeOwned>(item: &Value) -> T {
    serde_json::from_value(item.clone()).unwrap_or_else(|error| panic!("{error}: {item}"))
}

pub(crate) fn jobs(items: &Items) -> impl Iterator<Item = Job> + '_ {
    items.iter().filter(|((_, sk), _)| sk == "JOB").map(|(_, item)| value(item))
}

pub(crate) fn tickets(items: &Items) -> impl Iterator<Item = Ticket> + '_ {
    items.iter().filter(|((_, sk), _)| sk == "TICKET").map(|(_, item)| value(item))
}

pub(crate) fn runners(items: &Items) -> impl Iterator<Item = Runner> + '_ {
    items.iter().filter(|((pk, _), _)| pk.starts_with("RUNNERS#")).map(|(_, item)| value(item))
}

pub(crate) fn reviews(items: &Items) -> impl Iterator<Item = Review> + '_ {
    items.iter().filter(|((_, sk), _)| sk.starts_with("REVIEW#")).map(|(_, item)| value(item))
}

pub(crate) fn deliveries(items: &Items) -> impl Iterator<Item = Delivery> + '_ {
    items.iter().filter(|((_, sk), _)| sk == "DELIVERY").map(|(_, item)| value(item))
}

pub(crate) fn attempts(items: &Items) -> impl Iterator<Item = AttemptRecord> + '_ {
    items.iter().filter(|((_, sk), _)| sk.starts_with("ATTEMPT#")).map(|(_, item)| value(item))
}

pub(crate) fn reviews_found_by_polling(items: &Items) -> u64 {
    deliveries(items).filter(|delivery| delivery.source == Source::Poll).count() as u64
}

/// The due times of all pending work, except polls, which never end. Work without a time is always due.
pub(crate) fn due_times(items: &Items) -> impl Iterator<Item = Timestamp> + '_ {
    items.iter().filter(|((pk, _), item)| item["wk"].is_string() && !pk.starts_with("POLL#")).map(|(_, item)| {
        let at = item["ws"].as_i64().filter(|_| item["wk"].as_str().is_some_and(|wk| wk.starts_with("DUE#")));
        Timestamp::from_millis(at.unwrap_or_default())
    })
}

/// Whether all polls have compared the changes up to `then`.
pub(crate) fn polled_since(items: &Items, then: Timestamp) -> bool {
    let mut polls = items.iter().filter(|((_, sk), _)| sk == "POLL").map(|(_, item)| value::<Poll>(item));
    polls.all(|poll| poll.look.complete_until().is_some_and(|seen| seen >= then))
}

pub(crate) fn violations(changes: &[ItemChange], items: &Items, now: Timestamp) -> Vec<String> {
    let mut faults = Vec::new();
    for change in changes {
        check_revision(change, &mut faults);
        let (pk, sk) = (change.key.0.as_str(), change.key.1.as_str());
        match (sk, &change.after) {
            ("JOB", None) | ("TICKET", None) => faults.push(format!("{pk} is gone")),
            ("JOB", Some(after)) => {
                let after: Job = value(after);
                check_inputs(&after, items, &mut faults);
                check_suspended(&after, &mut faults);
                check_index_row(change, due::job(&after), &mut faults);
                match change.before.as_ref().map(value::<Job>) {
                    Some(before) => check_transition(&before, &after, now, &mut faults),
                    None => check_revision_window(&after, items, &mut faults),
                }
            }
            ("TICKET", Some(after)) => check_index_row(change, due::ticket(&value(after)), &mut faults),
            ("DELIVERY", after) => check_final_answer(change.before.as_ref(), after.as_ref(), &mut faults),
            (_, Some(after)) if sk.starts_with("ATTEMPT#") && change.before.is_none() => {
                check_loss(after, items, &mut faults);
            }
            _ if pk.starts_with("RUNNERS#") => check_runner(change, now, &mut faults),
            _ => {}
        }
    }
    let touches = |prefix: &str| changes.iter().any(|change| change.key.0.starts_with(prefix));
    if touches("JOB#") || touches("TICKET#") {
        check_ticket_jobs(items, &mut faults);
    }
    if touches("JOB#") || touches("LIMIT#") {
        check_places(items, &mut faults);
    }
    if touches("JOB#") || touches("RUNNERS#") {
        check_slots(items, &mut faults);
    }
    faults
}

/// A silent runner loses a job only while it is Offline, and a crashed one only if it does not report the job.
fn check_loss(item: &Value, items: &Items, faults: &mut Vec<String>) {
    let attempt: AttemptRecord = value(item);
    let (AttemptEnd::Failed { failure } | AttemptEnd::Requeued { failure }) = &attempt.ended else { return };
    let Some(runner) = runners(items).find(|runner| Some(&runner.id) == attempt.run.runner.as_ref()) else { return };
    let is_wrong = match failure {
        Failure::RunnerOffline { .. } => runner.status == Presence::Online,
        Failure::RunnerCrashed { exit } if exit == "no result" => runner.active.contains(&attempt.job),
        _ => false,
    };
    if is_wrong {
        faults.push(format!("{} lost {} by {}, and says otherwise", runner.name, attempt.job, failure.code()));
    }
}

fn check_revision(change: &ItemChange, faults: &mut Vec<String>) {
    let rev = |item: &Option<Value>| item.as_ref().and_then(|item| item["rev"].as_u64()).unwrap_or(0);
    let (before, after) = (rev(&change.before), rev(&change.after));
    if change.after.as_ref().is_some_and(|item| item["rev"].is_u64()) && after != before + 1 {
        faults.push(format!("{:?} went from revision {before} to {after}", change.key));
    }
}

fn check_index_row(change: &ItemChange, due: Option<Due>, faults: &mut Vec<String>) {
    let item = change.after.as_ref().unwrap();
    let row = item["wk"].as_str().map(|wk| (wk.to_owned(), item["ws"].as_i64().unwrap()));
    let expected = due.map(|due| match due {
        Due::At(at) => (format!("DUE#{}", due::shard(&change.key.0)), at.millis()),
        Due::Held { project, order } => (format!("HELD#{project}"), order),
        Due::Limited { project, repository, order } => (format!("LIMIT#{project}#{repository}"), order),
        Due::Ready { class, order } => (format!("READY#{class}"), order),
    });
    if row != expected {
        faults.push(format!("{:?} stands in {row:?} and belongs to {expected:?}", change.key));
    }
}

fn check_transition(before: &Job, after: &Job, now: Timestamp, faults: &mut Vec<String>) {
    let id = &after.id;
    if before.status.is_terminal() && before.status != after.status {
        faults.push(format!("{id} was {:?} and is {:?}", before.status, after.status));
    }
    let finish = after.ended_by.as_ref().filter(|by| before.ended_by.as_ref() != Some(*by));
    let finish = finish.and_then(|by| by.finish.as_ref());
    let by_its_runner = finish.is_some();
    let may_push = before.push_until.is_some_and(|until| now < until);
    if may_push && after.status != JobStatus::Syncing && !by_its_runner {
        faults.push(format!("{id} was taken away while its runner might push"));
    }
    if let Some(finish) = finish {
        let holder = before.run.as_ref().map(|run| run.claim.as_str());
        let owns = |claim: &str| [format!("finish-{claim}"), format!("yield-{claim}")].contains(&finish.to_string());
        if !holder.is_some_and(owns) {
            faults.push(format!("{id} was ended by {finish}, which does not hold it: {holder:?}"));
        }
    }
    let resumes_or_ends =
        after.status == JobStatus::Ready || after.status.is_terminal() || after.status == before.status;
    if is_suspended(before) && !resumes_or_ends {
        faults.push(format!("{id} stood still and is {:?}", after.status));
    }
    if before.status == JobStatus::AwaitingInput
        && after.status == JobStatus::Ready
        && after.inputs != before.inputs + 1
    {
        faults.push(format!("{id} went on, and nobody answered"));
    }
    let limit = before.suspended_until().filter(|_| is_suspended(before) && after.cancel.is_none());
    if after.status == JobStatus::Failed && limit.is_some_and(|until| now < until) {
        faults.push(format!("{id} was given up before its limit"));
    }
    let holder = |job: &Job| job.run.as_ref().filter(|_| job.status.is_active()).map(|run| run.claim.clone());
    if let Some(new) = holder(after).filter(|new| holder(before).as_ref() != Some(new)) {
        if before.status != JobStatus::Ready || after.attempt != before.attempt + 1 {
            faults.push(format!("{id} went to {new} from {:?}, attempt {}", before.status, before.attempt));
        }
    } else if after.attempt != before.attempt {
        faults.push(format!("{id} counts attempt {} without a claim", after.attempt));
    }
}

fn check_inputs(job: &Job, items: &Items, faults: &mut Vec<String>) {
    let pk = format!("JOB#{}", job.id);
    let inputs = items.range((pk.clone(), "INPUT#".to_owned())..);
    let stored_count = inputs.take_while(|((key, sk), _)| *key == pk && sk.starts_with("INPUT#")).count();
    if stored_count != job.inputs as usize {
        faults.push(format!("{} counts {} inputs, and {stored_count} are kept", job.id, job.inputs));
    }
}

fn check_suspended(job: &Job, faults: &mut Vec<String>) {
    if is_suspended(job) && (job.run.is_some() || job.dispatch.starting) {
        faults.push(format!("{} stands still, and somebody has it", job.id));
    }
}

/// No revision starts within an hour of a revision with a working agent, unless a user requests it.
fn check_revision_window(job: &Job, items: &Items, faults: &mut Vec<String>) {
    let revises = |job: &Job| job.kind == JobKind::Revise && job.retry_of.is_none();
    if !revises(job) {
        return;
    }
    let same = |other: &Job| other.id != job.id && other.pull_request() == job.pull_request();
    let before = jobs(items).filter(|other| revises(other) && same(other) && other.worked);
    for other in before.filter(|other| job.created.since(other.created) < REVISE_WINDOW) {
        faults.push(format!("{} began within the hour of {}", job.id, other.id));
    }
}

/// A final answer never changes. The answer to a waiting review changes until it has its job or a refusal.
fn check_final_answer(before: Option<&Value>, after: Option<&Value>, faults: &mut Vec<String>) {
    let is_final = |before: &Delivery| before.reason.is_final() && (before.review.is_none() || before.job.is_some());
    let Some(before) = before.map(value::<Delivery>).filter(is_final) else { return };
    match after.map(value::<Delivery>) {
        Some(after) if after.reason == before.reason && after.job == before.job => {}
        other => faults.push(format!("the answer to {} was {:?} and is {other:?}", before.event, before.reason)),
    }
}

fn check_runner(change: &ItemChange, now: Timestamp, faults: &mut Vec<String>) {
    let (Some(before), Some(after)) = (&change.before, &change.after) else { return };
    let (before, after): (Runner, Runner) = (value(before), value(after));
    if after.epoch < before.epoch || after.last_heartbeat < before.last_heartbeat {
        faults.push(format!("{} goes back: epoch {} to {}", after.name, before.epoch, after.epoch));
    }
    let silence = now.since(after.last_heartbeat);
    if before.status == Presence::Online && after.status == Presence::Offline && silence < before.offline_after() {
        faults.push(format!("{} was marked Offline {silence:?} after its last heartbeat", after.name));
    }
    if after.slots.len() > after.max as usize && after.slots.len() > before.slots.len() {
        faults.push(format!("{} has room for {} and has {:?}", after.name, after.max, after.slots));
    }
}

fn check_ticket_jobs(items: &Items, faults: &mut Vec<String>) {
    let mut ticket_jobs: Vec<_> = tickets(items).filter_map(|ticket| Some((ticket.key, ticket.active_job?))).collect();
    for job in jobs(items).filter(|job| !job.status.is_terminal()) {
        let Some(key) = job.ticket else { continue };
        match ticket_jobs.iter().position(|pair| pair.0 == key && pair.1 == job.id) {
            Some(at) => drop(ticket_jobs.swap_remove(at)),
            None => faults.push(format!("{} has not ended, and {key} does not name it", job.id)),
        }
    }
    faults.extend(ticket_jobs.iter().map(|(key, job)| format!("{key} names {job}, which has ended")));
}

fn check_slots(items: &Items, faults: &mut Vec<String>) {
    let mut slots: Vec<_> = runners(items)
        .flat_map(|runner| runner.slots.into_iter().map(move |(job, slot)| (runner.id.clone(), job, slot.claim)))
        .collect();
    for job in jobs(items).filter(|job| job.status.is_active()) {
        let Some(run) = job.run else { continue };
        let Some(runner) = run.runner else { continue };
        let expected = (runner, job.id, run.claim);
        match slots.iter().position(|slot| *slot == expected) {
            Some(at) => drop(slots.swap_remove(at)),
            None => faults.push(format!("{expected:?} has no slot")),
        }
    }
    faults.extend(slots.iter().map(|slot| format!("a slot is left of {slot:?}")));
}

/// The limits of the only project, whose settings keep them.
pub(crate) fn limits(items: &Items) -> RunningLimits {
    let project = items.iter().find(|((pk, sk), _)| pk.starts_with("PROJECT#") && sk == "SETTINGS");
    let project: Project = value(project.unwrap().1);
    let repositories = items.iter().filter(|((_, sk), _)| sk.starts_with("REPO#")).map(|(_, item)| value(item));
    RunningLimits::new(&project, &repositories.collect::<Vec<Repository>>())
}

/// Each job that may start or runs has a place, and no limit is exceeded.
fn check_places(items: &Items, faults: &mut Vec<String>) {
    let limits = limits(items);
    let max = limits.project.into_iter().chain(limits.repositories.into_values()).min();
    let Some(max) = max else { return };
    let places = items.iter().find(|((_, sk), _)| sk == "LIMIT").map(|(_, item)| value::<Places>(item));
    let holds = |job: &Job| places.as_ref().is_some_and(|places| places.holders.contains_key(&job.id));
    let taking = jobs(items).filter(Job::takes_place).collect::<Vec<_>>();
    if taking.len() > max as usize || !taking.iter().all(holds) {
        let ids = taking.iter().map(|job| &job.id).collect::<Vec<_>>();
        faults.push(format!("{ids:?} take {max} places: {places:?}"));
    }
}

/// Whether the holder of this job may continue: its runner is not being removed.
pub(crate) fn may_continue(items: &Items, job: &Job) -> bool {
    let runner = job.run.as_ref().and_then(|run| run.runner.as_ref());
    runner.is_none_or(|id| runners(items).any(|runner| runner.id == *id && runner.status != Presence::Deleting))
}

/// Whether this finish or yield ended the job or gave it back.
pub(crate) fn is_ended_by(items: &Items, job: &str, finish: &str) -> bool {
    let key: Key = (format!("JOB#{job}"), "JOB".into());
    items.get(&key).is_some_and(|item| item["ended_by"]["finish"] == finish)
}

pub(crate) fn holder(change: &ItemChange) -> Option<(String, String)> {
    let job: Job = value(change.after.as_ref().filter(|_| change.key.1 == "JOB")?);
    let run = job.run.filter(|_| job.status.is_active())?;
    Some((run.claim.to_string(), format!("{}, attempt {}", job.id, job.attempt)))
}

/// The reviews that this write answers, and their job. Retried jobs are left out, because they answer reviews again.
pub(crate) fn answered_reviews(change: &ItemChange, items: &Items) -> Vec<(String, String)> {
    let completed = |item: &&Value| item["status"] == "completed";
    let Some(after) = change.after.as_ref().filter(|_| change.key.1 == "JOB").filter(completed) else { return vec![] };
    if change.before.as_ref().is_some_and(|before| completed(&before)) {
        return vec![];
    }
    let job: Job = value(after);
    let Some(id) = job.reviewed_pull_request().filter(|_| job.retry_of.is_none()) else { return vec![] };
    let pull_request_reviews: Vec<Review> = reviews(items).filter(|review| review.pull_request == id).collect();
    let with_job = |review: &Review| (format!("review {} of {id}", review.id), job.id.to_string());
    covered_reviews(&job.id, &pull_request_reviews).into_iter().map(with_job).collect()
}

/// The runner that this write removes. Its claims are dropped, because the same process may register again and repeat
/// a claim.
pub(crate) fn removed_runner(change: &ItemChange) -> Option<String> {
    let runner = change.before.as_ref().filter(|_| change.key.0.starts_with("RUNNERS#") && change.after.is_none())?;
    Some(runner["name"].as_str()?.to_owned())
}

pub(crate) fn job_held_by(items: &Items, job: &str, claim: &str) -> Option<Job> {
    let key: Key = (format!("JOB#{job}"), "JOB".into());
    let job: Job = value(items.get(&key)?);
    let is_held = job.status.is_active() && job.run.as_ref().is_some_and(|run| run.claim.as_str() == claim);
    is_held.then_some(job)
}
