//! Interrupted or contended ticket events, and their repeats.

use crate::prelude::*;
use crate::world::World;
use pullyard_control::{Answer, Error, TicketMove, move_board_ticket, move_ticket};
use pullyard_domain::review::delivery::Source;
use pullyard_domain::text::decision::Reason;
use pullyard_domain::text::id::{DeliveryId, RepositoryName};
use pullyard_domain::ticket::event::TicketEvent;

const TODO: &str = "Todo";
const TRIGGER: &str = "AI Processing";
const REVIEW: &str = "In Review";

struct Board {
    world: World,
    wire: Wire,
    key: TicketKey,
}

impl Board {
    async fn begin() -> Self {
        let wire = Wire::default();
        let world = World::with_client(wire.clone()).await;
        world.connect().await;
        let board = Self { world, wire, key: TicketKey::new("APP-1").unwrap() };
        board.settings(Settings::default()).await;
        board.wire.restart(None);
        board
    }

    /// On runners, so that no wake-up is sent.
    async fn settings(&self, settings: Settings) {
        self.world.set_settings(Settings { auto_create: true, compute: Compute::Runners, ..settings }).await;
    }

    fn event(&self, event: &str, status: &str, secs: u64) -> TicketEvent {
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
            rank: None,
            is_own: false,
        }
    }

    async fn send(&self, event: &TicketEvent) -> Result<Answer, Error> {
        move_ticket(&self.world.ctx, event).await
    }

    async fn move_ticket(&self, request: &str, status: &str) -> Result<Answer, Error> {
        let caller = Requester { id: "ana".into(), name: "ana".into() };
        let request = Some(EventId::new(request).unwrap());
        let (project, key) = (self.world.project.clone(), self.key.clone());
        move_board_ticket(
            &self.world.ctx,
            TicketMove { project, key, status: Some(status.into()), place: None, caller, request },
        )
        .await
        .map(Option::unwrap)
    }

    async fn create_ticket(&self) {
        self.world.create_ticket(&self.key).await;
    }

    async fn status(&self) -> String {
        self.world.ctx.store.load_ticket(&self.world.project, &self.key).await.unwrap().unwrap().status
    }

    async fn title(&self) -> String {
        self.world.ctx.store.load_ticket_text(&self.world.project, &self.key).await.unwrap().unwrap().text.title
    }

    async fn ledger_reason(&self, event: &TicketEvent) -> Option<Reason> {
        let id = DeliveryId::for_ticket_event(&event.project, &event.event);
        self.world.ctx.store.load_delivery(&id).await.unwrap().map(|entry| entry.reason)
    }
}

fn assert_contended(answer: Result<Answer, Error>) {
    assert!(matches!(answer, Err(Error::Contended { .. })), "{answer:?}");
}

#[tokio::test]
async fn correct_event_counts_after_one_from_the_future() {
    let board = Board::begin().await;
    let now = board.world.ctx.clock.now();
    let ahead = TicketEvent { occurred_at: now.plus(Duration::from_secs(7_200)), ..board.event("e1", TODO, 0) };
    board.send(&ahead).await.unwrap();
    board.world.ctx.clock.advance(Duration::from_secs(10));
    let correct = TicketEvent { occurred_at: board.world.ctx.clock.now(), ..board.event("e2", TRIGGER, 0) };
    let answer = board.send(&correct).await.unwrap();
    assert!(matches!(answer.reason, Reason::Accepted { .. }), "{answer:?}");
    // A repeat of the first event is older than the second, and keeps its time.
    let again = board.send(&ahead).await.unwrap();
    assert!(matches!(again.reason, Reason::StaleEvent { .. }), "{again:?}");
    assert_eq!(board.status().await, TRIGGER);
}

#[tokio::test]
async fn contended_entry_creates_its_job_when_repeated() {
    let board = Board::begin().await;
    let entered = board.event("e1", TRIGGER, 0);
    for _ in 0..5 {
        board.wire.fail_next("TransactWriteItems", Fault::cancelled(&["None", "ConditionalCheckFailed", "None"]));
    }
    assert_contended(board.send(&entered).await);
    assert_eq!(board.wire.take_call_count("TransactWriteItems"), 5, "five attempts at most");
    // Only the ticket's text was stored.
    assert_eq!(board.title().await, "e1");
    assert_eq!(board.ledger_reason(&entered).await, None);
    assert_eq!(board.world.ctx.store.load_ticket(&board.world.project, &board.key).await.unwrap(), None);
    let answer = board.send(&entered).await.unwrap();
    assert!(matches!(answer.reason, Reason::Accepted { .. }), "{answer:?}");
    let again = board.send(&entered).await.unwrap();
    assert!(matches!(again.reason, Reason::Repeat { .. }), "{again:?}");
    assert_eq!(again.job, answer.job);
}

/// The use case reads the ledger only for known tickets, so the job's transaction must find the entry.
#[tokio::test]
async fn refused_entry_retains_its_first_time_when_accepted_later() {
    let board = Board::begin().await;
    let entered = board.event("e1", TRIGGER, 0);
    board.world.set_settings(Settings { compute: Compute::Runners, ..Settings::default() }).await;
    board.wire.fail_next("PutItem", Fault::StopAfter);
    assert!(board.wire.run_until_stopped(board.send(&entered)).await.is_none(), "no crash after the ledger write");
    let id = DeliveryId::for_ticket_event(&entered.project, &entered.event);
    let store = &board.world.ctx.store;
    let first = store.load_delivery(&id).await.unwrap().unwrap();
    assert!(matches!(first.reason, Reason::AutoCreateOff { .. }), "{first:?}");
    assert_eq!(store.load_ticket(&board.world.project, &board.key).await.unwrap(), None);
    board.settings(Settings::default()).await;
    board.world.ctx.clock.advance(Duration::from_secs(60));
    let answer = board.send(&entered).await.unwrap();
    assert!(matches!(answer.reason, Reason::Accepted { .. }), "{answer:?}");
    let entry = store.load_delivery(&id).await.unwrap().unwrap();
    assert_eq!((entry.reason, entry.at), (answer.reason, first.at));
}

#[tokio::test]
async fn contended_event_is_decided_again_when_repeated() {
    let board = Board::begin().await;
    board.settings(Settings { held_by: Some("ana".into()), ..Settings::default() }).await;
    board.send(&board.event("e1", TRIGGER, 0)).await.unwrap();
    board.settings(Settings::default()).await;
    let edited = board.event("e3", TRIGGER, 20);
    for _ in 0..5 {
        board.wire.fail_next("UpdateItem", Fault::error(400, "ConditionalCheckFailedException"));
    }
    assert_contended(board.send(&edited).await);
    let recorded = board.ledger_reason(&edited).await;
    assert!(matches!(recorded, Some(Reason::StatusUnchanged { .. })), "{recorded:?}");
    // The earlier event arrives late, so the contended one is an entry.
    board.send(&board.event("e2", TODO, 10)).await.unwrap();
    assert_eq!((board.status().await.as_str(), board.title().await.as_str()), (TODO, "e3"), "the newest text stays");
    let answer = board.send(&edited).await.unwrap();
    assert!(matches!(answer.reason, Reason::Accepted { .. }), "{answer:?}");
    assert_eq!(board.ledger_reason(&edited).await, Some(answer.reason));
}

#[tokio::test]
async fn interrupted_move_is_completed_only_by_its_first_repeat() {
    let board = Board::begin().await;
    board.create_ticket().await;
    board.wire.fail_next("UpdateItem", Fault::StopBefore);
    assert!(
        board.wire.run_until_stopped(board.move_ticket("k1", REVIEW)).await.is_none(),
        "no crash after the ledger write"
    );
    assert_eq!(board.status().await, TODO);
    let answer = board.move_ticket("k1", REVIEW).await.unwrap();
    assert!(matches!(answer.reason, Reason::NotTriggerStatus { .. }), "{answer:?}");
    assert_eq!(board.status().await, REVIEW);
    board.move_ticket("k2", TODO).await.unwrap();
    let again = board.move_ticket("k1", REVIEW).await.unwrap();
    assert!(matches!(again.reason, Reason::Repeat { .. }), "{again:?}");
    assert_eq!(board.status().await, TODO, "a repeat moves nothing");
    assert!(matches!(board.move_ticket("k1", TRIGGER).await, Err(Error::KeyReused)));
}

#[derive(Clone, Copy, Debug)]
enum WaitFor {
    Release,
    JobEnd,
}

impl Board {
    async fn prepare_entry(&mut self, until: WaitFor, number: usize) -> TicketEvent {
        self.key = TicketKey::new(format!("APP-{number}")).unwrap();
        let event = |board: &Self, at: u64, status| board.event(&format!("e{number}-{at}"), status, at);
        if let WaitFor::JobEnd = until {
            let answer = self.send(&event(self, 1, TRIGGER)).await.unwrap();
            assert!(matches!(answer.reason, Reason::Accepted { .. }), "{answer:?}");
        }
        self.send(&event(self, 2, TODO)).await.unwrap();
        event(self, 3, TRIGGER)
    }

    async fn is_waiting(&self, entered: &TicketEvent) -> bool {
        let ticket = self.world.ctx.store.load_ticket(&self.world.project, &self.key).await.unwrap().unwrap();
        ticket.again == Some(entered.entry())
    }

    async fn check_waits_atomically(&mut self, until: WaitFor, code: &str) {
        let first_entry = self.prepare_entry(until, 0).await;
        self.wire.restart(None);
        self.send(&first_entry).await.unwrap();
        let points = self.wire.points();
        let (mut number, mut waiting_count) = (0, 0);
        for (at, point) in points.iter().enumerate() {
            for fault in [Fault::StopBefore, Fault::StopAfter] {
                let case = format!("{until:?}, {fault} at {at}, {}", point.operation);
                number += 1;
                let entered = self.prepare_entry(until, number).await;
                self.wire.restart(Some((at, fault)));
                assert!(self.wire.run_until_stopped(self.send(&entered)).await.is_none(), "{case}: no crash");
                self.wire.restart(None);
                // Without a repeat, the ledger must match the stored ticket.
                let waits = self.is_waiting(&entered).await;
                let recorded = self.ledger_reason(&entered).await;
                assert_eq!(recorded.map(|reason| reason.code()), waits.then_some(code), "{case}");
                if waits {
                    assert_eq!(self.title().await, entered.event.as_str(), "{case}: the job's text");
                    waiting_count += 1;
                }
                // A repeat leaves one waiting entry.
                let again = self.send(&entered).await.unwrap();
                assert_eq!((again.reason.code(), self.is_waiting(&entered).await), (code, true), "{case}");
                assert_eq!(self.ledger_reason(&entered).await.map(|reason| reason.code()), Some(code), "{case}");
            }
        }
        assert!(waiting_count > 0, "no crash left a waiting entry");
    }
}

#[tokio::test]
async fn entry_into_a_held_project_waits_atomically_after_a_crash() {
    let mut board = Board::begin().await;
    board.settings(Settings { held_by: Some("ana".into()), ..Settings::default() }).await;
    board.check_waits_atomically(WaitFor::Release, "project_held").await;
}

#[tokio::test]
async fn entry_during_a_job_waits_atomically_after_a_crash() {
    let mut board = Board::begin().await;
    board.check_waits_atomically(WaitFor::JobEnd, "job_active").await;
}
