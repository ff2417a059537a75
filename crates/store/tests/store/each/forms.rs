//! A transaction has several forms: what it may be without, what it is proven by, what it writes over. In each of them
//! every item refuses all of it by itself, and what says nothing any more is in nobody's way.

use super::{BUDGET, RUNS, Whole, by_a_runner, check};
use crate::fleet::offline;
use crate::reviews::{Revising, entry, held, linked, refused, review, waits, waits_for};
use crate::sample::{self, at};
use crate::world::{Ending, World, alone, failed, requeue_of};
use aws_sdk_dynamodb::types::AttributeValue;
use pullyard_domain::budget::Budget;
use pullyard_domain::decision::Reason;
use pullyard_domain::delivery::Delivery;
use pullyard_domain::event::TicketText;
use pullyard_domain::id::JobId;
use pullyard_domain::job::Job;
use pullyard_domain::pull_request::PullRequest;
use pullyard_domain::review::{Review, ReviewState};
use pullyard_domain::ticket::Ticket;
use pullyard_store::{
    Edited, Ended, Error, Over, Proof, Request, Rested, StoredText, Trigger, TriggerReview, WaitsForJob, Write, Written,
};
use std::time::Duration;

/// A day that has a second job left.
const ROOM: Budget = Budget { jobs_per_day: Some(2), ..BUDGET };

/// With and without each of so many things.
pub(crate) fn forms<const N: usize>() -> impl Iterator<Item = [bool; N]> {
    (0..1 << N).map(|number| std::array::from_fn(|at| number >> at & 1 == 1))
}

fn count(of: &[bool]) -> usize {
    of.iter().filter(|there| **there).count()
}

/// Writes one attribute of the one item whose keys begin so, as nobody but a test may.
async fn set(world: &World, (pk, sk): (&str, &str), attribute: &str, value: AttributeValue) {
    let mut item = world.item(pk, sk).await;
    item.insert(attribute.into(), value);
    world.client.put_item().table_name(&world.table).set_item(Some(item)).send().await.unwrap();
}

fn number(number: u64) -> AttributeValue {
    AttributeValue::N(number.to_string())
}

fn text(text: &str) -> AttributeValue {
    AttributeValue::S(text.into())
}

/// A job with its ticket, its ledger entry, its pull request, what it takes from its day and the key that asked for
/// it, or without.
async fn make(
    world: &World,
    (whole, linked): &(Whole, PullRequest),
    budget: &Budget,
    [with_ticket, with_entry, with_link, charged, asked]: [bool; 5],
) -> Result<Write, Error> {
    let charge = budget.charge(&whole.job);
    let trigger = Trigger {
        job: &whole.job,
        ticket: with_ticket.then_some(&whole.ticket),
        delivery: with_entry.then_some((&whole.delivery, Over::NotFinal)),
        pull_request: with_link.then_some(linked),
        charge: charge.as_ref().filter(|_| charged),
        request: asked.then_some(&whole.request),
    };
    world.store.trigger(&trigger).await
}

async fn whole() -> (World, (Whole, PullRequest)) {
    let world = World::new().await;
    world.applies(world.store.link_if_unlinked(&linked())).await;
    let read = (Whole::of(&world).await, world.pull_request().await);
    (world, read)
}

/// What the day, the key and the ledger have already, and would let a job be made: with one job taken of two.
async fn has_room(world: &World, delivery: Option<&Delivery>, request: &Request) {
    if let Some(delivery) = delivery {
        let not_final = Delivery { job: None, reason: sample::refused("evt-1", at(0)).reason, ..delivery.clone() };
        world.applies(world.store.record(&not_final)).await;
    }
    let forgotten = Request { at: at(0).minus(Duration::from_secs(24 * 3_600)), ..request.clone() };
    let other = Job { reserved: ROOM.reserve(at(0)), ..sample::job("other") };
    let charge = ROOM.charge(&other);
    let trigger = Trigger { charge: charge.as_ref(), request: Some(&forgotten), ..alone(&other) };
    world.applies(world.store.trigger(&trigger)).await;
}

#[tokio::test]
async fn a_job_is_made_in_each_form_over_nothing_that_others_made() {
    for form in forms() {
        let write = async |world: &World, read: &_| make(world, read, &BUDGET, form).await;
        check(whole, write, (1 + count(&form), &[])).await;
    }
}

#[tokio::test]
async fn a_job_is_made_in_each_form_over_what_says_nothing_any_more() {
    for form in forms() {
        let (world, read) = whole().await;
        has_room(&world, Some(&read.0.delivery), &read.0.request).await;
        world.applies(make(&world, &read, &ROOM, form)).await;
    }
}

/// A ticket of the board, with the job that it gets.
struct New {
    ticket: Ticket,
    text: TicketText,
    delivery: Delivery,
    job: Job,
    request: Request,
}

impl New {
    fn one() -> Self {
        let (job, ticket) = sample::planned(&sample::ticket("APP-1"), "one");
        let job = Job { reserved: BUDGET.reserve(at(0)), ..job };
        let text = TicketText { title: "A title".into(), ..TicketText::default() };
        Self { delivery: sample::accepted(&job), request: sample::request("one", at(0)), ticket, text, job }
    }

    async fn write(&self, world: &World, budget: &Budget, form: [bool; 3]) -> Result<Write, Error> {
        let [with_job, charged, asked] = form;
        let charge = budget.charge(&self.job);
        let written = Written {
            ticket: &self.ticket,
            text: &self.text,
            delivery: &self.delivery,
            job: with_job.then_some(&self.job),
            charge: charge.as_ref().filter(|_| charged),
            request: asked.then_some(&self.request),
        };
        world.store.create_ticket(&written).await
    }
}

#[tokio::test]
async fn a_ticket_is_written_in_each_form_over_nothing_that_others_made() {
    for form in forms().filter(|[with_job, charged, _]| *with_job || !charged) {
        let write = async |world: &World, new: &New| new.write(world, &BUDGET, form).await;
        let empty = async || (World::new().await, New::one());
        check(empty, write, (2 + count(&form), &["TEXT"])).await;
    }
}

#[tokio::test]
async fn a_ticket_is_written_in_each_form_over_what_says_nothing_any_more() {
    for form in forms().filter(|[with_job, charged, _]| *with_job || !charged) {
        let (world, new) = (World::new().await, New::one());
        // An event of a ticket tool that was cut short.
        world.store.store_text(&sample::event("APP-1", "evt-1", at(1), "Todo")).await.unwrap();
        has_room(&world, None, &new.request).await;
        world.applies(new.write(&world, &ROOM, form)).await;
        assert_eq!(world.text("APP-1").await, Some(new.text));
    }
}

#[tokio::test]
async fn a_text_is_changed_in_each_form_over_nothing_that_others_changed() {
    let (project, ticket) = (sample::project(), sample::ticket_key("APP-1"));
    let (delivery, request) = (sample::accepted(&sample::job("one")), sample::request("one", at(0)));
    for [was_there, asked] in forms() {
        let prepare = async || {
            let world = World::new().await;
            if was_there {
                world.store.store_text(&sample::event("APP-1", "evt-1", at(1), "Todo")).await.unwrap();
            }
            let seen = world.store.ticket_text(&project, &ticket).await.unwrap();
            (world, seen)
        };
        let write = async |world: &World, seen: &Option<StoredText>| {
            let text = TicketText { title: "Another".into(), ..TicketText::default() };
            let edited = Edited {
                project: &project,
                ticket: &ticket,
                text: &text,
                seen: seen.as_ref(),
                delivery: &delivery,
                request: asked.then_some(&request),
            };
            world.store.replace_text(&edited).await
        };
        check(prepare, write, (2 + usize::from(asked), &[])).await;
        let (world, seen) = prepare().await;
        has_room(&world, Some(&delivery), &request).await;
        world.applies(write(&world, &seen)).await;
        if was_there {
            set(&world, ("TICKET#", "TEXT"), "mark", text("another")).await;
            world.refuses(write(&world, &seen)).await;
        }
    }
}

#[tokio::test]
async fn an_entry_waits_on_a_ticket_that_is_new_or_read_over_nothing_that_others_changed() {
    let event = sample::event("APP-1", "evt-1", at(1), "AI Processing");
    let delivery = sample::accepted(&sample::job("one"));
    for is_there in [false, true] {
        let prepare = async || {
            let world = World::new().await;
            if is_there {
                world.store.snapshot(&event).await.unwrap();
            }
            let read = world.store.ticket(&sample::project(), &sample::ticket_key("APP-1")).await.unwrap();
            (world, read.unwrap_or_else(|| sample::ticket("APP-1")).waiting_with(event.entry()))
        };
        let write = async |world: &World, ticket: &Ticket| world.store.record_with_ticket(&delivery, ticket).await;
        check(prepare, write, (2, &[])).await;
        let (world, ticket) = prepare().await;
        let not_final = Delivery { job: None, reason: sample::refused("evt-1", at(0)).reason, ..delivery.clone() };
        world.applies(world.store.record(&not_final)).await;
        world.applies(write(&world, &ticket)).await;
    }
}

#[tokio::test]
async fn the_job_of_a_review_is_made_in_each_form_over_nothing_that_others_made() {
    for [waited, charged] in forms() {
        let prepare = async || {
            let world = World::with_linked().await;
            if waited {
                world.remembers(&["r1"]).await;
            }
            let mut revising = Revising::of(&world, "r1").await;
            revising.job.reserved = BUDGET.reserve(at(0));
            (world, revising)
        };
        let write = async |world: &World, revising: &Revising| revising.make(world, &BUDGET, [waited, charged]).await;
        check(prepare, write, (4 + count(&[!waited, charged]), &[])).await;
    }
}

#[tokio::test]
async fn the_job_of_a_review_is_made_in_each_form_over_what_says_nothing_any_more() {
    for [waited, charged] in forms() {
        let (begins, other) = if waited { (waits("r1"), "refused") } else { (review("r1", refused()), "deferred") };
        for state in [None, Some(other)] {
            let world = World::with_linked().await;
            world.applies(world.store.take_review(&begins, None)).await;
            let mut revising = Revising::of(&world, "r1").await;
            revising.job.reserved = ROOM.reserve(at(0));
            has_room(&world, (!waited).then_some(&revising.accepted()), &sample::request("one", at(0))).await;
            if let Some(other) = state {
                let is = AttributeValue::M([("is".to_owned(), text(other))].into());
                set(&world, ("PR#", "REVIEW#"), "state", is).await;
                world.refuses(revising.make(&world, &ROOM, [waited, charged])).await;
            } else {
                world.applies(revising.make(&world, &ROOM, [waited, charged])).await;
            }
        }
    }
}

impl Revising {
    fn accepted(&self) -> Delivery {
        let reason = Reason::Accepted { job: self.job.id.clone() };
        Delivery { job: Some(self.job.id.clone()), ..entry(self.review.id.as_str(), reason) }
    }

    async fn make(&self, world: &World, budget: &Budget, [waited, charged]: [bool; 2]) -> Result<Write, Error> {
        let (delivery, charge) = (self.accepted(), budget.charge(&self.job));
        let trigger = TriggerReview {
            delivery: (!waited).then_some((&delivery, Over::NotFinal)),
            charge: charge.as_ref().filter(|_| charged),
            ..self.trigger()
        };
        world.store.trigger_review(&trigger).await
    }
}

/// What a review was before it waits for a job: unknown, refused, or the job's that is named.
#[derive(Clone, Copy, Debug)]
enum Was {
    Unknown,
    Refused,
    Started,
}

impl Was {
    /// Stores what it was. Returns the review as it waits.
    async fn store(self, world: &World) -> Review {
        let (state, version) = match self {
            Self::Unknown => return waits("r1"),
            Self::Refused => (refused(), 1),
            Self::Started => (ReviewState::Started { job: sample::job_id("j1") }, 1),
        };
        world.applies(world.store.take_review(&review("r1", state), None)).await;
        Review { version, ..waits("r1") }
    }

    /// It is something else by now.
    async fn changes(self, world: &World, at: usize) -> bool {
        let state = |is: &str, job: &str| {
            AttributeValue::M([("is".to_owned(), text(is)), ("job".to_owned(), text(job))].into())
        };
        let review = ("PR#", "REVIEW#");
        match (self, at) {
            (Self::Unknown, 0) => world.applies(world.store.take_review(&waits("r1"), None)).await,
            (Self::Refused, 0) => set(world, review, "state", state("deferred", "")).await,
            (Self::Refused, 1) => set(world, review, "version", number(1)).await,
            (Self::Started, 0) => set(world, review, "state", state("started", "j2")).await,
            _ => return false,
        }
        true
    }
}

#[tokio::test]
async fn a_review_waits_for_a_job_in_each_form_over_nothing_that_others_changed() {
    for was in [Was::Unknown, Was::Refused, Was::Started] {
        for told in [false, true] {
            let had = sample::job_id("j1");
            let prepare = async || {
                let (world, job) = World::with_busy().await;
                world.lose("PR#", "REVIEW#").await;
                let waits = was.store(&world).await;
                (world, job, waits)
            };
            let entry = held("r1");
            let write = async |world: &World, job: &JobId, waits: &Review| {
                let wait = WaitsForJob {
                    from: matches!(was, Was::Started).then_some(&had),
                    delivery: told.then_some(&entry),
                    ..waits_for(waits, &entry, job)
                };
                world.store.wait_for_job(&wait).await
            };
            let (world, job, review) = prepare().await;
            // Another job has the ticket, or it is from before tickets had a place for what waits.
            world.refuses(write(&world, &sample::job_id("another"), &review)).await;
            let ticket = world.item("TICKET#", "TICKET").await;
            let mut old = ticket.clone();
            old.remove("deferred");
            world.client.put_item().table_name(&world.table).set_item(Some(old)).send().await.unwrap();
            world.refuses(write(&world, &job, &review)).await;
            world.client.put_item().table_name(&world.table).set_item(Some(ticket)).send().await.unwrap();
            world.applies(write(&world, &job, &review)).await;
            if told {
                let (world, job, review) = prepare().await;
                let last = Reason::Accepted { job: job.clone() };
                world.applies(world.store.record(&crate::reviews::entry("r1", last))).await;
                world.refuses(write(&world, &job, &review)).await;
            }
            for at in 0..2 {
                let (world, job, review) = prepare().await;
                if was.changes(&world, at).await {
                    println!("{was:?}, {told}, {at}");
                    world.refuses(write(&world, &job, &review)).await;
                }
            }
        }
    }
}

#[tokio::test]
async fn a_job_ends_in_each_form_over_nothing_that_others_changed() {
    for [with_ticket, charged, with_link, linked_before] in forms() {
        if linked_before && !with_link {
            continue;
        }
        for (runs, beside) in RUNS {
            let prepare = async || {
                let world = World::new().await;
                if linked_before {
                    world.applies(world.store.link_if_unlinked(&linked())).await;
                }
                let job = runs(&world).await;
                let ending = world.completing(&job).await;
                (world, ending)
            };
            let write = async |world: &World, ending: &Ending| {
                let ended = ending.ended();
                let ended = Ended {
                    ticket: ended.ticket.filter(|_| with_ticket),
                    returned: ended.returned.filter(|_| charged),
                    pull_request: ended.pull_request.filter(|_| with_link),
                    ..ended
                };
                world.store.end(&ended).await
            };
            check(prepare, write, (2 + count(&[with_ticket, charged, with_link]), beside)).await;
        }
    }
}

#[tokio::test]
async fn a_job_that_never_ran_ends_in_each_form_over_nothing_that_others_changed() {
    for [with_ticket, charged] in forms() {
        let prepare = async || {
            let world = World::new().await;
            let whole = Whole::of(&world).await;
            world.applies(whole.write(&world)).await;
            let job = world.job(&whole.job).await;
            let ending = world.ending(&job, failed(), at(180)).await;
            (world, ending)
        };
        let write = async |world: &World, ending: &Ending| {
            let ended = ending.ended();
            assert_eq!((ended.attempt, ended.pull_request), (None, None));
            let ended = Ended {
                ticket: ended.ticket.filter(|_| with_ticket),
                returned: ended.returned.filter(|_| charged),
                ..ended
            };
            world.store.end(&ended).await
        };
        check(prepare, write, (1 + count(&[with_ticket, charged]), &[])).await;
    }
}

/// What takes a job from a runner: its end, a requeue or a rest, each with its ticket or without.
async fn take(world: &World, before: &Job, proof: Proof, form: (&str, [bool; 3])) -> Result<Write, Error> {
    let (what, [with_ticket, charged, with_link]) = form;
    let (requeued, attempt) = requeue_of(before);
    match what {
        "end" => {
            let ending = world.completing(before).await;
            let ended = ending.ended();
            let ended = Ended {
                ticket: ended.ticket.filter(|_| with_ticket),
                returned: ended.returned.filter(|_| charged),
                pull_request: ended.pull_request.filter(|_| with_link),
                proof,
                ..ended
            };
            world.store.end(&ended).await
        }
        "requeue" => world.store.requeue(before, &requeued, &attempt, proof).await,
        _ => {
            let ticket = world.ticket("APP-1").await;
            let ticket = with_ticket.then_some(&ticket);
            let rested = Rested { before, job: &requeued, attempt: Some(&attempt), ticket, input: None, proof };
            world.store.rest(&rested).await
        }
    }
}

#[tokio::test]
async fn a_job_is_taken_from_a_runner_in_each_form_only_while_its_proof_holds() {
    let ends = forms().map(|form| ("end", form));
    let rests = [("requeue", [false; 3]), ("rest", [false; 3]), ("rest", [true, false, false])];
    for form in ends.chain(rests) {
        for silent in [false, true] {
            let prepare = async || {
                let world = World::new().await;
                let job = by_a_runner(&world).await;
                let runner = world.runner(&sample::runner("kite", 2)).await;
                let proof = if silent {
                    let gone = offline(&runner);
                    world.applies(world.store.take_offline(&runner, &gone)).await;
                    Proof::Offline { epoch: gone.epoch }
                } else {
                    Proof::HeardLast { epoch: runner.epoch, at: runner.last_heartbeat }
                };
                (world, job, proof)
            };
            let other = if silent { ("status", text("online")) } else { ("last_heartbeat", number(1)) };
            for (attribute, value) in [("epoch", number(99)), other] {
                let (world, job, proof) = prepare().await;
                set(&world, ("RUNNERS#", ""), attribute, value).await;
                println!("{form:?}, {proof:?}, {attribute}");
                world.refuses(take(&world, &job, proof, form)).await;
            }
            let (world, job, proof) = prepare().await;
            world.applies(take(&world, &job, proof, form)).await;
        }
    }
}
