//! What must be so once everything has come to rest.

use crate::cloud::table::Items;
use crate::forge::Forge;
use crate::laws::{jobs, runners, tickets, value};
use crate::tool::Tool;
use pullyard_domain::budget::Day;
use pullyard_domain::decision::Reason;
use pullyard_domain::delivery::Delivery;
use pullyard_domain::job::{Job, Status};
use pullyard_domain::project::Statuses;
use pullyard_domain::ticket::Ticket;
use std::collections::{BTreeMap, BTreeSet};

/// What is not so.
pub(crate) fn faults(items: &Items, forge: &Forge, tool: &Tool) -> Vec<String> {
    let mut faults = Vec::new();
    let jobs: Vec<Job> = jobs(items).collect();
    let deliveries: Vec<Delivery> =
        items.iter().filter(|((_, sk), _)| sk == "DELIVERY").map(|(_, item)| value(item)).collect();
    for job in &jobs {
        of_job(job, items, forge, &mut faults);
    }
    for ticket in tickets(items) {
        of_ticket(&ticket, &jobs, &deliveries, tool, &mut faults);
    }
    for runner in runners(items).filter(|runner| !runner.slots.is_empty()) {
        faults.push(format!("{} still has {:?}", runner.name, runner.slots));
    }
    of_ledger(&jobs, &deliveries, tool, &mut faults);
    of_budget(items, &jobs, &mut faults);
    faults
}

fn of_job(job: &Job, items: &Items, forge: &Forge, faults: &mut Vec<String>) {
    let id = &job.id;
    if !job.status.is_terminal() {
        faults.push(format!("{id} has not ended: {job:?}"));
    }
    let commits = forge.commits_of(id.as_str());
    if commits.len() > 1 {
        faults.push(format!("{id} was pushed more than once: {commits:?}"));
    }
    if let Some(result) = &job.result {
        match commits.first() {
            Some((branch, commit)) if *branch == result.branch && commit.head == result.head => {}
            other => faults.push(format!("{id} says {result:?}, and pushed {other:?}")),
        }
        let (pk, sk) = (format!("PR#{}", result.pull_request(&job.integration, job.repository)), "PR");
        let linked = items.iter().filter(|((_, it), _)| it == sk).any(|(_, item)| item["url"] == *result.url);
        if !linked {
            faults.push(format!("{pk} of {id} is not linked"));
        }
    }
    if job.status == Status::Completed && job.result.is_none() {
        faults.push(format!("{id} is completed without a result"));
    }
    for attempt in 1..=job.attempt {
        let key = (format!("JOB#{id}"), format!("ATTEMPT#{attempt:04}"));
        if !items.contains_key(&key) {
            faults.push(format!("nothing is kept of attempt {attempt} of {id}"));
        }
    }
}

fn of_ticket(ticket: &Ticket, jobs: &[Job], deliveries: &[Delivery], tool: &Tool, faults: &mut Vec<String>) {
    let statuses = Statuses::default();
    let mut fault = |what: &str| faults.push(format!("{what}: {ticket:?}"));
    if ticket.synced_version != ticket.wanted.version || ticket.again.is_some() {
        fault("a ticket is not settled");
    }
    let last = tool.newest(ticket.key.as_str());
    let mine = jobs.iter().filter(|job| job.ticket.as_ref() == Some(&ticket.key));
    let newest = mine.max_by_key(|job| (job.ended_at, job.created));
    let shown: BTreeSet<&str> = match newest.map(|job| job.status) {
        Some(Status::Completed) => [statuses.completion.as_str()].into(),
        Some(_) => [statuses.todo.as_str()].into(),
        None => BTreeSet::new(),
    };
    let told = last.as_ref().map(|told| told.status.as_str());
    if Some(ticket.status.as_str()) != told && !shown.contains(ticket.status.as_str()) {
        fault(&format!("nobody put a ticket there; it was moved to {told:?}, its job's end says {shown:?}"));
    }
    // A second entry is decided once the job that it met has ended otherwise than well.
    let answer = last.as_ref().and_then(|told| answer_to(deliveries, &told.event));
    if let Some(Reason::JobActive { job, .. }) = answer.map(|answer| &answer.reason)
        && let Some(met) = jobs.iter().find(|one| one.id == *job)
        && met.status != Status::Completed
        && !jobs.iter().any(|later| later.ticket == met.ticket && Some(later.created) >= met.ended_at)
    {
        fault(&format!("a second entry during {job}, which is {:?}, was forgotten", met.status));
    }
    // Whoever enters the trigger status gets a job, or an answer that says why not.
    if let Some(told) = last.as_ref().filter(|_| ticket.status == statuses.trigger) {
        let answer = answer_to(deliveries, &told.event);
        let job = answer.and_then(|answer| answer.job.as_ref());
        let ended = job.and_then(|id| jobs.iter().find(|job| job.id == *id)).map(|job| job.status);
        if answer.is_none_or(|answer| answer.reason.code() == "accepted") {
            fault(&format!("it waits in the trigger status; {answer:?}, its job is {ended:?}"));
        }
    }
}

fn answer_to<'a>(deliveries: &'a [Delivery], event: &str) -> Option<&'a Delivery> {
    deliveries.iter().find(|delivery| delivery.event.as_str() == event)
}

/// One answer for each event that was told, and one job for each accepted one.
fn of_ledger(jobs: &[Job], deliveries: &[Delivery], tool: &Tool, faults: &mut Vec<String>) {
    let mut answers: BTreeMap<&str, usize> = BTreeMap::new();
    for delivery in deliveries {
        *answers.entry(delivery.event.as_str()).or_default() += 1;
    }
    for event in tool.told() {
        if answers.get(event) != Some(&1) {
            faults.push(format!("{event} was answered {:?} times", answers.get(event)));
        }
    }
    let accepted: Vec<_> = deliveries.iter().filter(|delivery| delivery.reason.code() == "accepted").collect();
    let mut made: BTreeMap<&str, usize> = BTreeMap::new();
    for delivery in &accepted {
        match &delivery.job {
            Some(job) => *made.entry(job.as_str()).or_default() += 1,
            None => faults.push(format!("{delivery:?} names no job")),
        }
    }
    for job in jobs {
        match made.remove(job.id.as_str()) {
            Some(1) => {}
            other => faults.push(format!("{} was accepted {other:?} times", job.id)),
        }
    }
    faults.extend(made.keys().map(|job| format!("{job} was accepted and is nowhere")));
}

/// What jobs reserved has come back, and what they spent stands there once.
fn of_budget(items: &Items, jobs: &[Job], faults: &mut Vec<String>) {
    for ((pk, sk), item) in items.iter().filter(|((pk, _), _)| pk.starts_with("BUDGET#")) {
        let of_day = |job: &&Job| {
            job.reserved.is_some_and(|it| it.day == Day::of(job.created))
                && item["day"] == job.reserved.unwrap().day.start().millis()
        };
        let mine: Vec<_> = jobs.iter().filter(of_day).collect();
        let spent: u64 = mine.iter().map(|job| job.spent_usd_micros).sum();
        let (taken, said) = (item["taken_usd_micros"].as_i64().unwrap(), item["spent_usd_micros"].as_i64().unwrap());
        if taken != said || said != spent as i64 {
            faults.push(format!("{pk}/{sk} says taken {taken}, spent {said}; its jobs spent {spent}"));
        }
    }
}
