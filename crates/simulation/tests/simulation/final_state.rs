//! Invariants of the final state, after recovery.

use crate::cloud::table::Items;
use crate::forge::{Forge, PullRequest, Review as Asked};
use crate::invariants::{deliveries, jobs, reviews, runners, tickets};
use crate::prelude::*;
use crate::ticket_tool::Tool;
use pullyard_domain::job::JobKind;
use pullyard_domain::project::Statuses;
use pullyard_domain::project::budget::Day;
use pullyard_domain::project::hook::is_decided_for_linked;
use pullyard_domain::review::delivery::Delivery;
use pullyard_domain::review::{Review, ReviewState, resolve_absorbed};
use pullyard_domain::text::decision::Reason;
use pullyard_domain::text::id::JobId;
use pullyard_domain::ticket::Ticket;
use std::collections::BTreeSet;

/// How long before the link of its pull request a review may be written and still be found by polling. Slightly less
/// than the tolerated difference between the clocks.
const LINK_TOLERANCE: Duration = Duration::from_secs(500);

pub(crate) fn violations(items: &Items, forge: &Forge, tool: &Tool) -> Vec<String> {
    let mut faults = Vec::new();
    let jobs: Vec<Job> = jobs(items).collect();
    let deliveries: Vec<Delivery> = deliveries(items).collect();
    for job in &jobs {
        check_job(job, items, forge, &mut faults);
    }
    for ticket in tickets(items) {
        check_ticket(&ticket, &jobs, &deliveries, tool, &mut faults);
    }
    for runner in runners(items).filter(|runner| !runner.slots.is_empty()) {
        faults.push(format!("{} still has {:?}", runner.name, runner.slots));
    }
    check_ledger(&jobs, &deliveries, tool, &mut faults);
    check_reviews(&reviews(items).collect::<Vec<_>>(), &jobs, &deliveries, forge, &mut faults);
    check_waiting_entries(&jobs, &deliveries, &mut faults);
    check_budget(items, &jobs, &mut faults);
    check_spending(items, &jobs, &mut faults);
    check_inputs(items, &mut faults);
    faults
}

fn check_job(job: &Job, items: &Items, forge: &Forge, faults: &mut Vec<String>) {
    let id = &job.id;
    if !job.status.is_terminal() {
        faults.push(format!("{id} has not ended: {job:?}"));
    }
    let commits = forge.commits_of(id.as_str());
    if commits.len() > 1 {
        faults.push(format!("{id} was pushed more than once: {commits:?}"));
    }
    if job.status == JobStatus::Failed && job.result.is_none() && !commits.is_empty() && !job.lost_a_push {
        faults.push(format!("{id} does not say that it may have pushed {commits:?}"));
    }
    if let Some(result) = &job.result {
        match commits.first() {
            Some((branch, commit)) if *branch == result.branch && commit.head == result.head => {}
            other => faults.push(format!("{id} says {result:?}, and pushed {other:?}")),
        }
        let (pk, sk) = (format!("PR#{}", result.pull_request(&job.integration, job.repository)), "PR");
        let linked = items.iter().filter(|((_, item_sk), _)| item_sk == sk).any(|(_, item)| item["url"] == *result.url);
        if !linked {
            faults.push(format!("{pk} of {id} is not linked"));
        }
    }
    if job.status == JobStatus::Completed && job.result.is_none() {
        faults.push(format!("{id} is completed without a result"));
    }
    for attempt in 1..=job.attempt {
        let key = (format!("JOB#{id}"), format!("ATTEMPT#{attempt:04}"));
        if !items.contains_key(&key) {
            faults.push(format!("nothing is kept of attempt {attempt} of {id}"));
        }
    }
}

/// Whether a job of the same ticket ended later. Creation times do not show it, because a process may read the clock
/// before the other job ends.
fn ended_after(job: &Job, than: &Job) -> bool {
    job.id != than.id && job.ticket == than.ticket && job.ended_at.is_none_or(|at| Some(at) >= than.ended_at)
}

fn check_ticket(ticket: &Ticket, jobs: &[Job], deliveries: &[Delivery], tool: &Tool, faults: &mut Vec<String>) {
    let statuses = Statuses::default();
    let mut fault = |message: &str| faults.push(format!("{message}: {ticket:?}"));
    if ticket.synced_version != ticket.wanted.version || ticket.again.is_some() || !ticket.deferred.is_empty() {
        fault("a ticket is not settled");
    }
    let last = tool.newest(ticket.key.as_str());
    let ticket_jobs = jobs.iter().filter(|job| job.ticket.as_ref() == Some(&ticket.key));
    let newest = ticket_jobs.max_by_key(|job| (job.ended_at, job.created));
    let expected: BTreeSet<&str> = match newest.map(|job| (job.status, job.kind)) {
        Some((JobStatus::Completed, _)) => [statuses.completion.as_str()].into(),
        Some((_, kind)) if kind.spec().moves_ticket_unstarted => [statuses.todo.as_str()].into(),
        // Without a working agent, it leaves the ticket where the previous job put it.
        Some(_) => [statuses.completion.as_str(), statuses.todo.as_str()].into(),
        None => BTreeSet::new(),
    };
    let tool_status = last.as_ref().map(|change| change.status.as_str());
    if Some(ticket.status.as_str()) != tool_status && !expected.contains(ticket.status.as_str()) {
        fault(&format!("nobody put a ticket there; it was moved to {tool_status:?}, its job's end says {expected:?}"));
    }
    // A second entry is decided once the job that it met has ended without completing.
    let answer = last.as_ref().and_then(|change| answer_to(deliveries, &change.event));
    if let Some(Reason::JobActive { job, .. }) = answer.map(|answer| &answer.reason)
        && let Some(active_job) = jobs.iter().find(|candidate| candidate.id == *job)
        && active_job.status != JobStatus::Completed
        && !jobs.iter().any(|other| ended_after(other, active_job))
    {
        fault(&format!("a second entry during {job}, which is {:?}, was forgotten", active_job.status));
    }
    // An entry into the trigger status has a job or a refusal.
    if let Some(change) = last.as_ref().filter(|_| ticket.status == statuses.trigger) {
        let answer = answer_to(deliveries, &change.event);
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

fn check_reviews(reviews: &[Review], jobs: &[Job], deliveries: &[Delivery], forge: &Forge, faults: &mut Vec<String>) {
    for forge_review in &forge.reviews {
        let id = forge_review.id.to_string();
        let matches = |delivery: &&Delivery| {
            let review = delivery.review.as_ref().and_then(|subject| subject.review.as_ref());
            review.is_some_and(|review| review.as_str() == id)
        };
        let delivery = deliveries.iter().find(matches).filter(|delivery| is_decided_for_linked(Some(&delivery.reason)));
        let stored = reviews.iter().find(|review| review.id.as_str() == id);
        let stored = stored.map(|review| &resolve_absorbed(review, reviews).state);
        let fault = match (delivery, stored) {
            (_, Some(ReviewState::Refused { reason, .. })) if !was_open(reason, forge_review, forge) => continue,
            (_, Some(ReviewState::Refused { reason, .. })) => {
                format!("review {id} was given up for {reason:?}, and its pull request was open")
            }
            (_, Some(ReviewState::Started { job })) => {
                match jobs.iter().any(|candidate| candidate.id == *job && candidate.status.is_terminal()) {
                    true => continue,
                    false => format!("review {id} was given to {job}, which has not ended"),
                }
            }
            (_, Some(state)) => format!("review {id} waits, and nobody settles it: {state:?}"),
            (Some(delivery), None) if delivery.reason.is_final() => {
                format!("review {id} was told {:?} and is nowhere", delivery.reason)
            }
            (Some(delivery), None) if was_open(&delivery.reason, forge_review, forge) => {
                format!("review {id} was told {:?}, and its pull request was open", delivery.reason)
            }
            (Some(_), None) => continue,
            (None, None) if requires_discovery(forge_review, jobs, forge) => format!("nobody answered review {id}"),
            (None, None) => continue,
        };
        faults.push(fault);
    }
}

/// Whether a refusal as closed is wrong: the pull request has been open since the review.
fn was_open(reason: &Reason, forge_review: &Asked, forge: &Forge) -> bool {
    let open = || forge.pull(forge_review.pull).is_some_and(|pull| pull.is_open_since(forge_review.at));
    matches!(reason, Reason::PullRequestClosed { .. }) && open()
}

/// Whether polling must find a review without a webhook: its pull request is open and was linked early enough.
fn requires_discovery(forge_review: &Asked, jobs: &[Job], forge: &Forge) -> bool {
    let owners = jobs.iter().filter(|job| job.result.as_ref().is_some_and(|result| result.number == forge_review.pull));
    let linked = owners.filter_map(|job| job.ended_at).min();
    linked.is_some_and(|linked| linked.since(forge_review.at) < LINK_TOLERANCE)
        && forge.pull(forge_review.pull).is_some_and(PullRequest::is_open)
}

fn check_waiting_entries(jobs: &[Job], deliveries: &[Delivery], faults: &mut Vec<String>) {
    let has_ended = |id: &JobId| jobs.iter().any(|job| job.id == *id && job.status.is_terminal());
    for delivery in deliveries.iter().filter(|delivery| delivery.review.is_some() && delivery.job.is_none()) {
        let event = &delivery.event;
        match &delivery.reason {
            Reason::HeldForJob { job } if has_ended(job) => {
                faults.push(format!("the answer to {event} is that it waits for {job}, which has ended"));
            }
            Reason::HeldUntil { .. } | Reason::HeldWithOthers { .. } => {
                faults.push(format!("the answer to {event} is that it waits, and nothing does: {:?}", delivery.reason));
            }
            _ => {}
        }
    }
}

fn check_ledger(jobs: &[Job], deliveries: &[Delivery], tool: &Tool, faults: &mut Vec<String>) {
    let mut answers: BTreeMap<&str, usize> = BTreeMap::new();
    for delivery in deliveries {
        *answers.entry(delivery.event.as_str()).or_default() += 1;
    }
    for event in tool.event_ids() {
        if answers.get(event) != Some(&1) {
            faults.push(format!("{event} was answered {:?} times", answers.get(event)));
        }
    }
    // Several reviews may share one job, and a deferred review has none of its own.
    let (reviewed, entries): (Vec<_>, Vec<_>) = deliveries.iter().partition(|delivery| delivery.review.is_some());
    for job in reviewed.iter().filter_map(|delivery| delivery.job.as_ref()) {
        if !jobs.iter().any(|candidate| candidate.id == *job) {
            faults.push(format!("a review names {job}, which is nowhere"));
        }
    }
    let accepted: Vec<_> = entries.into_iter().filter(|delivery| delivery.reason.code() == "accepted").collect();
    let mut accepted_counts: BTreeMap<&str, usize> = BTreeMap::new();
    for delivery in &accepted {
        match &delivery.job {
            Some(job) => *accepted_counts.entry(job.as_str()).or_default() += 1,
            None => faults.push(format!("{delivery:?} names no job")),
        }
    }
    for job in jobs.iter().filter(|job| job.kind == JobKind::Implement || job.retry_of.is_some()) {
        match accepted_counts.remove(job.id.as_str()) {
            Some(1) => {}
            other => faults.push(format!("{} was accepted {other:?} times", job.id)),
        }
    }
    faults.extend(accepted_counts.keys().map(|job| format!("{job} was accepted and is nowhere")));
}

fn check_inputs(items: &Items, faults: &mut Vec<String>) {
    let mut input_counts: BTreeMap<&str, usize> = BTreeMap::new();
    for key in items.iter().filter(|((_, sk), _)| sk.starts_with("INPUT#")).filter_map(|(_, item)| item["key"].as_str())
    {
        *input_counts.entry(key).or_default() += 1;
    }
    let repeated = input_counts.into_iter().filter(|(_, times)| *times > 1);
    faults.extend(repeated.map(|(key, times)| format!("{key} was said {times} times")));
}

/// All jobs have ended, so each reservation is replaced by the cost of its job and by the limits of lost attempts.
fn check_spending(items: &Items, jobs: &[Job], faults: &mut Vec<String>) {
    let mut expected = BTreeMap::<String, [u64; 2]>::new();
    for (job, charge) in jobs.iter().filter_map(|job| Some((job, job.charged.as_ref()?))) {
        let sums = expected.entry(serde_json::to_value(&charge.of).unwrap().to_string()).or_default();
        *sums = [sums[0] + u64::from(job.worked), sums[1] + job.spent_usd_micros + charge.lost_usd_micros];
    }
    for ((pk, _), item) in items.iter().filter(|((_, sk), _)| sk == "SPENT") {
        let number = |name: &str| item[name].as_u64().unwrap();
        let [jobs, spent] = expected.remove(&item["of"].to_string()).unwrap_or_default();
        let stored = [number("jobs"), number("taken_usd_micros"), number("spent_usd_micros")];
        if stored != [jobs, spent, spent] {
            faults.push(format!("{pk}/SPENT says {stored:?}; its {jobs} jobs spent {spent}"));
        }
    }
    faults.extend(expected.keys().map(|of| format!("the spending of {of} is nowhere")));
}

fn check_budget(items: &Items, jobs: &[Job], faults: &mut Vec<String>) {
    for ((pk, sk), item) in items.iter().filter(|((pk, _), _)| pk.starts_with("BUDGET#")) {
        let of_day = |job: &&Job| {
            job.reserved.is_some_and(|reservation| reservation.day == Day::containing(job.created))
                && item["day"] == job.reserved.unwrap().day.start().millis()
        };
        let day_jobs: Vec<_> = jobs.iter().filter(of_day).collect();
        let spent: u64 = day_jobs.iter().map(|job| job.spent_usd_micros).sum();
        let (stored_taken, stored_spent) =
            (item["taken_usd_micros"].as_i64().unwrap(), item["spent_usd_micros"].as_i64().unwrap());
        if stored_taken != stored_spent || stored_spent != spent as i64 {
            faults.push(format!("{pk}/{sk} says taken {stored_taken}, spent {stored_spent}; its jobs spent {spent}"));
        }
    }
}
