//! Tests every form of a transaction, with and without its optional items: each changed item refuses it, and obsolete
//! items do not. This file covers creations, text changes and queued entries; `reviews` and `ends` cover the others.

use super::{BUDGET, FullTrigger, check};
use crate::prelude::*;
use crate::sample;
use crate::world::World;
use pullyard_store::{Error, StoredText, TextEdit};

pub(super) const ROOM: Budget = Budget { jobs_per_day: Some(2), ..BUDGET };

/// Every combination of `N` flags. `charged` stands for the charges of the day and of the ticket.
pub(crate) fn forms<const N: usize>() -> impl Iterator<Item = [bool; N]> {
    (0..1 << N).map(|number| std::array::from_fn(|at| number >> at & 1 == 1))
}

pub(super) fn count_set(of: &[bool]) -> usize {
    of.iter().filter(|there| **there).count()
}

pub(super) fn number(number: u64) -> AttributeValue {
    AttributeValue::N(number.to_string())
}

pub(super) fn text(text: &str) -> AttributeValue {
    AttributeValue::S(text.into())
}

async fn create_job(
    world: &World,
    (full_trigger, linked): &(FullTrigger, PullRequest),
    budget: &Budget,
    [with_ticket, with_entry, with_link, charged, with_request]: [bool; 5],
) -> Result<Write, Error> {
    let charge = budget.charge(&full_trigger.job);
    let trigger = JobCreation {
        analysis: None,
        job: &full_trigger.job,
        ticket: with_ticket.then_some(&full_trigger.ticket),
        delivery: with_entry.then_some(&full_trigger.delivery),
        pull_request: with_link.then_some(linked),
        charge: charge.as_ref().filter(|_| charged),
        spending: charged.then_some(&full_trigger.spending),
        request: with_request.then_some(&full_trigger.request),
    };
    world.store.create_job(&trigger).await
}

async fn full_facts() -> (World, (FullTrigger, PullRequest)) {
    let world = World::new().await;
    world.expect_applied(world.store.link_if_absent(&linked_pull_request())).await;
    let read = (FullTrigger::of(&world).await, world.pull_request().await);
    (world, read)
}

/// Prepares a day, a request key and a ledger entry that exist and still permit a new job. One of two jobs is used.
pub(super) async fn prepare_room(world: &World, delivery: Option<&Delivery>, request: &Request) {
    if let Some(delivery) = delivery {
        let not_final =
            Delivery { job: None, reason: sample::refused_decision("evt-1", at(0)).reason, ..delivery.clone() };
        world.expect_applied(world.store.record_delivery(&not_final)).await;
    }
    let forgotten = Request { at: at(0).minus(Duration::from_secs(24 * 3_600)), ..request.clone() };
    let other = Job { reserved: ROOM.reserve(at(0)), ..sample::job("other") };
    let charge = ROOM.charge(&other);
    let trigger = JobCreation { charge: charge.as_ref(), request: Some(&forgotten), ..job_trigger(&other) };
    world.expect_applied(world.store.create_job(&trigger)).await;
}

#[tokio::test]
async fn job_creation_is_refused_by_each_changed_item() {
    for form in forms() {
        let write = async |world: &World, read: &_| create_job(world, read, &BUDGET, form).await;
        let [.., charged, _] = form;
        check(full_facts, write, (1 + count_set(&form) + usize::from(charged), &[])).await;
    }
}

#[tokio::test]
async fn job_creation_ignores_obsolete_items() {
    for form in forms() {
        let (world, read) = full_facts().await;
        prepare_room(&world, Some(&read.0.delivery), &read.0.request).await;
        world.expect_applied(create_job(&world, &read, &ROOM, form)).await;
    }
}

struct NewTicket {
    ticket: Ticket,
    text: TicketText,
    delivery: Delivery,
    job: Job,
    request: Request,
}

impl NewTicket {
    fn new() -> Self {
        let (job, ticket) = sample::plan_ticket_job(&sample::ticket("APP-1"), "one");
        let job = Job { reserved: BUDGET.reserve(at(0)), ..job };
        let text = TicketText { title: "A title".into(), ..TicketText::default() };
        Self { delivery: sample::accepted_decision(&job), request: sample::request("one", at(0)), ticket, text, job }
    }

    async fn write(&self, world: &World, budget: &Budget, form: [bool; 3]) -> Result<Write, Error> {
        let [with_job, charged, with_request] = form;
        let charge = budget.charge(&self.job);
        let (_, spending) = sample::charge_spending(&self.job);
        let creation = TicketCreation {
            ticket: &self.ticket,
            text: &self.text,
            delivery: &self.delivery,
            job: with_job.then_some(&self.job),
            charge: charge.as_ref().filter(|_| charged),
            spending: charged.then_some(&spending),
            request: with_request.then_some(&self.request),
        };
        world.store.create_ticket(&creation).await
    }
}

#[tokio::test]
async fn ticket_creation_is_refused_by_each_existing_item() {
    for form in forms().filter(|[with_job, charged, _]| *with_job || !charged) {
        let write = async |world: &World, new: &NewTicket| new.write(world, &BUDGET, form).await;
        let empty = async || (World::new().await, NewTicket::new());
        let [_, charged, _] = form;
        check(empty, write, (2 + count_set(&form) + usize::from(charged), &["TEXT"])).await;
    }
}

#[tokio::test]
async fn ticket_creation_ignores_obsolete_items() {
    for form in forms().filter(|[with_job, charged, _]| *with_job || !charged) {
        let (world, new) = (World::new().await, NewTicket::new());
        // The text of an incomplete ticket event.
        world.store.store_text(&sample::event("APP-1", "evt-1", at(1), "Todo")).await.unwrap();
        prepare_room(&world, None, &new.request).await;
        world.expect_applied(new.write(&world, &ROOM, form)).await;
        assert_eq!(world.text("APP-1").await, Some(new.text));
    }
}

#[tokio::test]
async fn text_replacement_is_refused_by_each_changed_item() {
    let (project, ticket) = (sample::project(), sample::ticket_key("APP-1"));
    let (delivery, request) = (sample::accepted_decision(&sample::job("one")), sample::request("one", at(0)));
    for [was_there, with_request] in forms() {
        let prepare = async || {
            let world = World::new().await;
            if was_there {
                world.store.store_text(&sample::event("APP-1", "evt-1", at(1), "Todo")).await.unwrap();
            }
            let seen = world.store.load_ticket_text(&project, &ticket).await.unwrap();
            (world, seen)
        };
        let write = async |world: &World, seen: &Option<StoredText>| {
            let text = TicketText { title: "Another".into(), ..TicketText::default() };
            let edited = TextEdit {
                project: &project,
                ticket: &ticket,
                text: &text,
                previous: seen.as_ref(),
                delivery: &delivery,
                request: with_request.then_some(&request),
            };
            world.store.replace_text(&edited).await
        };
        check(prepare, write, (2 + usize::from(with_request), &[])).await;
        let (world, seen) = prepare().await;
        prepare_room(&world, Some(&delivery), &request).await;
        world.expect_applied(write(&world, &seen)).await;
        if was_there {
            let (world, seen) = prepare().await;
            world.set_attribute(("TICKET#", "TEXT"), "mark", text("another")).await;
            world.expect_refused(write(&world, &seen)).await;
        }
    }
}

#[tokio::test]
async fn queued_entry_is_refused_by_each_changed_item() {
    let event = sample::event("APP-1", "evt-1", at(1), "AI Processing");
    let delivery = sample::accepted_decision(&sample::job("one"));
    for is_there in [false, true] {
        let prepare = async || {
            let world = World::new().await;
            if is_there {
                world.store.update_snapshot(&event, None).await.unwrap();
            }
            let read = world.store.load_ticket(&sample::project(), &sample::ticket_key("APP-1")).await.unwrap();
            (world, read.unwrap_or_else(|| sample::ticket("APP-1")).hold_entry(event.entry()))
        };
        let write =
            async |world: &World, ticket: &Ticket| world.store.record_delivery_and_ticket(&delivery, ticket).await;
        check(prepare, write, (2, &[])).await;
        let (world, ticket) = prepare().await;
        let not_final =
            Delivery { job: None, reason: sample::refused_decision("evt-1", at(0)).reason, ..delivery.clone() };
        world.expect_applied(world.store.record_delivery(&not_final)).await;
        world.expect_applied(write(&world, &ticket)).await;
    }
}
