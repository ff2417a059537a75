//! What a ticket's event leaves behind that did not come to its end, and what the same event makes of that when it
//! comes again.

use crate::world::World;
use pullyard_control::{Answer, Error, Move, Requester, move_ticket, put_ticket};
use pullyard_domain::decision::Reason;
use pullyard_domain::delivery::Source;
use pullyard_domain::event::{TicketEvent, TicketText};
use pullyard_domain::id::{DeliveryId, EventId, RepositoryName, TicketKey};
use pullyard_domain::project::{Compute, Settings};
use pullyard_domain::time::Timestamp;
use pullyard_testkit::{Fault, Wire};
use std::time::Duration;

const TODO: &str = "Todo";
const TRIGGER: &str = "AI Processing";
const REVIEW: &str = "In Review";

/// A project whose tickets start jobs, and the wire to its table.
struct Board {
    world: World,
    wire: Wire,
    key: TicketKey,
}

impl Board {
    async fn begin() -> Self {
        let wire = Wire::default();
        let world = World::before(wire.clone()).await;
        world.connect().await;
        let board = Self { world, wire, key: TicketKey::new("APP-1").unwrap() };
        board.settings(Settings::default()).await;
        board.wire.restart(None);
        board
    }

    /// The project's, on runners: nobody is to be woken for its jobs.
    async fn settings(&self, settings: Settings) {
        self.world.set(Settings { auto_create: true, compute: Compute::Runners, ..settings }).await;
    }

    /// A ticket tool tells this, so many seconds after the ticket was first seen.
    fn told(&self, event: &str, status: &str, secs: u64) -> TicketEvent {
        let repository = Some(RepositoryName::new("acme/app").unwrap());
        TicketEvent {
            source: Source::TicketTool,
            project: self.world.project.clone(),
            event: EventId::new(event).unwrap(),
            occurred_at: Timestamp::from_millis(1_000_000).plus(Duration::from_secs(secs)),
            actor: Some("ana".into()),
            previous_status: None,
            key: self.key.clone(),
            status: status.into(),
            text: Some(TicketText { title: event.into(), repository, ..TicketText::default() }),
        }
    }

    async fn tell(&self, event: &TicketEvent) -> Result<Answer, Error> {
        move_ticket(&self.world.ctx, event).await
    }

    async fn put(&self, request: &str, status: &str) -> Result<Answer, Error> {
        let caller = Requester { id: "ana".into(), name: "ana".into() };
        let request = Some(EventId::new(request).unwrap());
        let (project, key) = (self.world.project.clone(), self.key.clone());
        put_ticket(&self.world.ctx, Move { project, key, status: status.into(), caller, request }).await
    }

    async fn written(&self) {
        self.world.write(&self.key).await;
    }

    async fn status(&self) -> String {
        self.world.ctx.store.ticket(&self.world.project, &self.key).await.unwrap().unwrap().status
    }

    async fn title(&self) -> String {
        self.world.ctx.store.ticket_text(&self.world.project, &self.key).await.unwrap().unwrap().text.title
    }

    async fn recorded(&self, event: &TicketEvent) -> Option<Reason> {
        let id = DeliveryId::of_ticket_event(&event.project, &event.event);
        self.world.ctx.store.delivery(&id).await.unwrap().map(|entry| entry.reason)
    }
}

fn contended(answer: Result<Answer, Error>) {
    assert!(matches!(answer, Err(Error::Contended { .. })), "{answer:?}");
}

#[tokio::test]
async fn an_entry_that_met_too_many_others_makes_its_one_job_when_it_is_told_again() {
    let board = Board::begin().await;
    let entered = board.told("e1", TRIGGER, 0);
    for _ in 0..5 {
        board.wire.next("TransactWriteItems", Fault::cancelled(&["None", "ConditionalCheckFailed", "None"]));
    }
    contended(board.tell(&entered).await);
    assert_eq!(board.wire.calls("TransactWriteItems"), 5, "it does not go on for ever");
    // Its text is there, and nothing that leads anywhere.
    assert_eq!(board.title().await, "e1");
    assert_eq!(board.recorded(&entered).await, None);
    assert_eq!(board.world.ctx.store.ticket(&board.world.project, &board.key).await.unwrap(), None);
    let made = board.tell(&entered).await.unwrap();
    assert!(matches!(made.reason, Reason::Accepted { .. }), "{made:?}");
    let again = board.tell(&entered).await.unwrap();
    assert!(matches!(again.reason, Reason::Repeat { .. }), "{again:?}");
    assert_eq!(again.job, made.job);
}

/// Nobody looks into the ledger for an entry that its ticket knows nothing of; the write that makes its job does.
#[tokio::test]
async fn an_entry_that_was_refused_by_who_died_then_is_still_the_one_that_came_first_when_it_gets_its_job() {
    let board = Board::begin().await;
    let entered = board.told("e1", TRIGGER, 0);
    board.world.set(Settings { compute: Compute::Runners, ..Settings::default() }).await;
    board.wire.next("PutItem", Fault::StopAfter);
    assert!(board.wire.live(board.tell(&entered)).await.is_none(), "it dies when the ledger has its answer");
    let id = DeliveryId::of_ticket_event(&entered.project, &entered.event);
    let store = &board.world.ctx.store;
    let first = store.delivery(&id).await.unwrap().unwrap();
    assert!(matches!(first.reason, Reason::AutoCreateOff { .. }), "{first:?}");
    assert_eq!(store.ticket(&board.world.project, &board.key).await.unwrap(), None);
    board.settings(Settings::default()).await;
    board.world.ctx.clock.advance(Duration::from_secs(60));
    let made = board.tell(&entered).await.unwrap();
    assert!(matches!(made.reason, Reason::Accepted { .. }), "{made:?}");
    let entry = store.delivery(&id).await.unwrap().unwrap();
    assert_eq!((entry.reason, entry.at, entry.seen.len()), (made.reason, first.at, 1));
}

#[tokio::test]
async fn an_event_that_was_taken_for_no_entry_while_others_moved_its_ticket_is_decided_anew_when_it_is_told_again() {
    let board = Board::begin().await;
    board.settings(Settings { held_by: Some("ana".into()), ..Settings::default() }).await;
    board.tell(&board.told("e1", TRIGGER, 0)).await.unwrap();
    board.settings(Settings::default()).await;
    let edited = board.told("e3", TRIGGER, 20);
    for _ in 0..5 {
        board.wire.next("UpdateItem", Fault::error(400, "ConditionalCheckFailedException"));
    }
    contended(board.tell(&edited).await);
    let recorded = board.recorded(&edited).await;
    assert!(matches!(recorded, Some(Reason::StatusUnchanged { .. })), "{recorded:?}");
    // What had been before it comes after it: it was an entry.
    board.tell(&board.told("e2", TODO, 10)).await.unwrap();
    assert_eq!((board.status().await.as_str(), board.title().await.as_str()), (TODO, "e3"), "its text is the newest");
    let made = board.tell(&edited).await.unwrap();
    assert!(matches!(made.reason, Reason::Accepted { .. }), "{made:?}");
    assert_eq!(board.recorded(&edited).await, Some(made.reason));
}

#[tokio::test]
async fn a_move_that_was_stopped_between_its_answer_and_its_ticket_is_made_by_its_repeat_and_by_no_later_one() {
    let board = Board::begin().await;
    board.written().await;
    board.wire.next("UpdateItem", Fault::StopBefore);
    assert!(board.wire.live(board.put("k1", REVIEW)).await.is_none(), "it dies when the ledger has its answer");
    assert_eq!(board.status().await, TODO);
    let made = board.put("k1", REVIEW).await.unwrap();
    assert!(matches!(made.reason, Reason::NotTriggerStatus { .. }), "{made:?}");
    assert_eq!(board.status().await, REVIEW);
    board.put("k2", TODO).await.unwrap();
    let again = board.put("k1", REVIEW).await.unwrap();
    assert!(matches!(again.reason, Reason::Repeat { .. }), "{again:?}");
    assert_eq!(board.status().await, TODO, "a repeat moves nothing");
    assert!(matches!(board.put("k1", TRIGGER).await, Err(Error::KeyReused)));
}

/// What an entry waits for.
#[derive(Clone, Copy, Debug)]
enum Until {
    /// Its project is released.
    Released,
    /// The job of the entry before it ends.
    Free,
}

impl Board {
    /// Another ticket, and the event that is to wait, which nobody told yet.
    async fn entering(&mut self, until: Until, number: usize) -> TicketEvent {
        self.key = TicketKey::new(format!("APP-{number}")).unwrap();
        let event = |board: &Self, at: u64, status| board.told(&format!("e{number}-{at}"), status, at);
        if let Until::Free = until {
            let made = self.tell(&event(self, 1, TRIGGER)).await.unwrap();
            assert!(matches!(made.reason, Reason::Accepted { .. }), "{made:?}");
        }
        self.tell(&event(self, 2, TODO)).await.unwrap();
        event(self, 3, TRIGGER)
    }

    async fn waits(&self, entered: &TicketEvent) -> bool {
        let ticket = self.world.ctx.store.ticket(&self.world.project, &self.key).await.unwrap().unwrap();
        ticket.again == Some(entered.entry())
    }

    async fn check_that_it_waits_whole_or_not_at_all(&mut self, until: Until, code: &str) {
        let whole = self.entering(until, 0).await;
        self.wire.restart(None);
        self.tell(&whole).await.unwrap();
        let points = self.wire.points();
        let (mut number, mut left) = (0, 0);
        for (at, point) in points.iter().enumerate() {
            for fault in [Fault::StopBefore, Fault::StopAfter] {
                let what = format!("{until:?}, {fault} at {at}, {}", point.operation);
                number += 1;
                let entered = self.entering(until, number).await;
                self.wire.restart(Some((at, fault)));
                assert!(self.wire.live(self.tell(&entered)).await.is_none(), "{what}: it dies");
                self.wire.restart(None);
                // Nobody tells it again: its answer says no more than what is so.
                let waits = self.waits(&entered).await;
                let recorded = self.recorded(&entered).await;
                assert_eq!(recorded.map(|reason| reason.code()), waits.then_some(code), "{what}");
                if waits {
                    assert_eq!(self.title().await, entered.event.as_str(), "{what}: what it is made a job of");
                    left += 1;
                }
                // Told again, it waits once.
                let again = self.tell(&entered).await.unwrap();
                assert_eq!((again.reason.code(), self.waits(&entered).await), (code, true), "{what}");
                assert_eq!(self.recorded(&entered).await.map(|reason| reason.code()), Some(code), "{what}");
            }
        }
        assert!(left > 0, "one died when it waited");
    }
}

#[tokio::test]
async fn an_entry_into_a_held_project_waits_with_its_answer_and_its_text_or_not_at_all_wherever_it_dies() {
    let mut board = Board::begin().await;
    board.settings(Settings { held_by: Some("ana".into()), ..Settings::default() }).await;
    board.check_that_it_waits_whole_or_not_at_all(Until::Released, "project_held").await;
}

#[tokio::test]
async fn an_entry_during_a_job_waits_with_its_answer_and_its_text_or_not_at_all_wherever_it_dies() {
    let mut board = Board::begin().await;
    board.check_that_it_waits_whole_or_not_at_all(Until::Free, "job_active").await;
}
