//! Settling a ticket: waiting entries are decided, and late results are shown.

use crate::prelude::*;
use crate::world::{World, job_result};
use pullyard_control::attempt::{Finish, finish_attempt};
use pullyard_control::{Error, settle_ticket};
use pullyard_domain::job::End;
use pullyard_domain::project::budget::Budget;
use pullyard_domain::review::delivery::Delivery;
use pullyard_domain::text::decision::Reason;
use pullyard_domain::text::id::DeliveryId;
use pullyard_domain::ticket::{DesiredState, Entry, StatusMove, Target};

const TRIGGER: &str = "AI Processing";

struct Board {
    world: World,
    wire: Wire,
    key: TicketKey,
}

impl Board {
    async fn begin() -> Self {
        let wire = Wire::default();
        let world = World::with_client(wire.clone()).await;
        let key = TicketKey::new("APP-1").unwrap();
        world.create_ticket(&key).await;
        wire.restart(None);
        Self { world, wire, key }
    }

    async fn settings(&self, settings: Settings) {
        self.world.set_settings(Settings { auto_create: true, compute: Compute::Runners, ..settings }).await;
    }

    async fn ticket(&self) -> Ticket {
        self.world.ctx.store.load_ticket(&self.world.project, &self.key).await.unwrap().unwrap()
    }

    async fn store_ticket(&self, ticket: &Ticket) {
        assert_applied(self.world.ctx.store.update_ticket(ticket).await);
    }

    async fn settle(&self) -> Result<(), Error> {
        settle_ticket(&self.world.ctx, &self.world.project, &self.key).await
    }
}

#[tokio::test]
async fn ledger_has_the_current_reason_of_a_waiting_entry() {
    let board = Board::begin().await;
    let event = EventId::new("e1").unwrap();
    let waits = Ticket { status: TRIGGER.into(), ..board.ticket().await };
    board.store_ticket(&waits.hold_entry(Entry { at: board.world.ctx.clock.now(), event: event.clone() })).await;
    let recorded = async || -> Option<Delivery> {
        let id = DeliveryId::for_ticket_event(&board.world.project, &event);
        board.world.ctx.store.load_delivery(&id).await.unwrap()
    };
    board.settings(Settings::default().hold("ana", "a freeze")).await;
    board.settle().await.unwrap();
    assert!(matches!(recorded().await.unwrap().reason, Reason::ProjectHeld { .. }));
    let spent = Budget { jobs_per_day: Some(0), ..Budget::default() };
    board.settings(Settings { budget: spent, ..Settings::default() }).await;
    board.settle().await.unwrap();
    assert!(matches!(recorded().await.unwrap().reason, Reason::BudgetExhausted { .. }));
    assert!(board.ticket().await.held, "the entry still waits");
    // The sweeper settles a waiting entry in every round.
    board.wire.restart(None);
    board.settle().await.unwrap();
    let writes = ["PutItem", "UpdateItem", "TransactWriteItems"];
    let points = board.wire.points();
    let write_points: Vec<_> = points.iter().filter(|point| writes.contains(&point.operation.as_str())).collect();
    assert!(write_points.is_empty(), "{write_points:?}");
}

#[tokio::test]
async fn contended_settle_does_not_back_off() {
    let board = Board::begin().await;
    let mut ticket = board.ticket().await;
    ticket.request_state(Some(StatusMove { expected: ticket.status.clone(), to: Target::Completion }), None, None);
    board.store_ticket(&ticket).await;
    for _ in 0..5 {
        board.wire.fail_next("PutItem", Fault::error(400, "ConditionalCheckFailedException"));
    }
    let contended = board.settle().await;
    assert!(matches!(contended, Err(Error::Contended { .. })), "{contended:?}");
    let after = board.ticket().await;
    assert_eq!((after.tries, after.not_before), (0, None));
    board.settle().await.unwrap();
    assert_eq!(board.ticket().await.status, "In Review");
}

/// The job's end moved the ticket out of the trigger status; a user moved it back.
#[tokio::test]
async fn late_result_shows_its_pull_request_without_a_move() {
    let board = Board::begin().await;
    let status_move = StatusMove { expected: TRIGGER.into(), to: Target::Todo };
    let again = Ticket {
        status: TRIGGER.into(),
        wanted: DesiredState { version: 1, status: Some(status_move), ..DesiredState::default() },
        synced_version: 1,
        ..board.ticket().await
    };
    board.store_ticket(&again).await;
    let (fence, finish, _) = board.late_finish().await;
    let late = finish_attempt(&board.world.ctx, &fence, &finish).await;
    assert!(matches!(late, Err(Error::LeaseLost { .. })), "{late:?}");
    board.settle().await.unwrap();
    let ticket = board.ticket().await;
    assert_eq!(ticket.pull_request.as_ref().map(|link| link.id.number), Some(7));
    assert_eq!((ticket.shown.pull_request, ticket.status.as_str()), (ticket.pull_request, TRIGGER));
}

impl Board {
    /// The completed finish of an attempt that lost its job.
    async fn late_finish(&self) -> (Fence, Finish, PullRequestId) {
        let job = self.world.job(&Settings { compute: Compute::Runners, ..Settings::default() }).await;
        let job = Job { ticket: Some(self.key.clone()), ..job };
        assert_applied(self.world.ctx.store.update_job(&job).await);
        let (result, id) = (job_result(&job), FinishId::new("f1").unwrap());
        let pull_request = result.pull_request(&job.integration, job.repository);
        let fence = Fence { job: job.id, attempt: 1, claim: ClaimId::new("c1").unwrap() };
        self.wire.restart(None);
        (
            fence,
            Finish { id, end: End::Completed(Some(result)), spent_usd_micros: None, work: None, output: None },
            pull_request,
        )
    }
}

/// The runner may never repeat its finish.
#[tokio::test]
async fn late_result_is_linked_atomically_after_a_crash() {
    let board = Board::begin().await;
    let (fence, finish, _) = board.late_finish().await;
    let late = finish_attempt(&board.world.ctx, &fence, &finish).await;
    assert!(matches!(late, Err(Error::LeaseLost { .. })), "{late:?}");
    let (points, mut linked) = (board.wire.points(), 0);
    for (at, point) in points.iter().enumerate() {
        for fault in [Fault::StopBefore, Fault::StopAfter] {
            let case = format!("{fault} at {at}, {}", point.operation);
            let board = Board::begin().await;
            let (fence, finish, id) = board.late_finish().await;
            board.wire.restart(Some((at, fault)));
            assert!(
                board.wire.run_until_stopped(finish_attempt(&board.world.ctx, &fence, &finish)).await.is_none(),
                "{case}: no crash"
            );
            board.wire.restart(None);
            let is_linked = board.world.ctx.store.load_pull_request(&id).await.unwrap().is_some();
            assert_eq!(board.ticket().await.pull_request.is_some(), is_linked, "{case}");
            linked += u32::from(is_linked);
        }
    }
    assert!(linked > 0, "no crash after the link");
}
