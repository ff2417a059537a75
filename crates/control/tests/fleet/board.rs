//! Board requests under crashes, lost responses, concurrent repeats and changes in between.

use crate::world::{World, applied};
use futures::future::join_all;
use pullyard_control::{
    Answer, Changes, Edit, Error, Move, NewTicket, Requester, create_ticket, edit_ticket, list_deliveries, list_jobs,
    put_ticket,
};
use pullyard_domain::event::TicketText;
use pullyard_domain::id::{EventId, ProjectId, TicketKey};
use pullyard_domain::listing::{DeliveryFilter, JobFilter};
use pullyard_domain::project::{Project, Settings};
use pullyard_domain::ticket::Ticket;
use pullyard_testkit::{Fault, Wire};

const TRIGGER: &str = "AI Processing";
const BLOCKED: &str = "Blocked";
const ELSEWHERE: &str = "Elsewhere";

struct Board {
    world: World,
    wire: Wire,
}

/// The stored state of a ticket.
#[derive(Debug)]
struct Left {
    ticket: Option<Ticket>,
    title: Option<String>,
    entries: usize,
    jobs: usize,
}

impl Board {
    async fn begin() -> Self {
        let wire = Wire::default();
        let world = World::before(wire.clone()).await;
        world.connect().await;
        let stored = world.ctx.store.project(&world.project).await.unwrap().unwrap();
        let name = world.repository().name;
        let settings = Settings { auto_create: true, default_repository: Some(name), ..stored.settings.clone() };
        applied(world.ctx.store.put_project(&Project { settings, ..stored }).await);
        Self { world, wire }
    }

    fn project(&self) -> ProjectId {
        self.world.project.clone()
    }

    /// A creation by `ana` with an idempotency key.
    fn asked(&self, ticket: &str, status: &str) -> NewTicket {
        NewTicket {
            project: self.project(),
            key: key(ticket),
            text: TicketText { title: "first".into(), ..TicketText::default() },
            status: Some(status.into()),
            caller: caller("ana"),
            request: Some(request(ticket)),
        }
    }

    fn edit(&self, ticket: &str, title: &str, by: &str) -> Edit {
        let changes = Changes { title: Some(title.into()), ..Changes::default() };
        let request = Some(request(ticket));
        Edit { project: self.project(), key: key(ticket), changes, caller: caller(by), request }
    }

    fn put(&self, ticket: &str, status: &str, by: &str) -> Move {
        let (status, request) = (status.into(), Some(request(ticket)));
        Move { project: self.project(), key: key(ticket), status, caller: caller(by), request }
    }

    async fn writes(&self, new: &NewTicket) -> Result<Answer, Error> {
        create_ticket(&self.world.ctx, new.clone()).await
    }

    async fn edits(&self, edit: &Edit) -> Result<Answer, Error> {
        edit_ticket(&self.world.ctx, edit.clone()).await
    }

    async fn puts(&self, wanted: &Move) -> Result<Answer, Error> {
        put_ticket(&self.world.ctx, wanted.clone()).await
    }

    async fn left(&self, ticket: &str) -> Left {
        let (ctx, project, key) = (&self.world.ctx, self.project(), key(ticket));
        let about = DeliveryFilter { ticket: Some(key.clone()), ..DeliveryFilter::default() };
        let mine = JobFilter { ticket: Some(key.clone()), ..JobFilter::default() };
        Left {
            ticket: ctx.store.ticket(&project, &key).await.unwrap(),
            title: ctx.store.ticket_text(&project, &key).await.unwrap().map(|stored| stored.text.title),
            entries: list_deliveries(ctx, &project, &about, None, 50).await.unwrap().deliveries.len(),
            jobs: list_jobs(ctx, &project, &mine, None, 50).await.unwrap().jobs.len(),
        }
    }

    /// Runs the use case undisturbed and returns each call with each fault that can break it.
    async fn breaks<T>(&self, undisturbed: impl Future<Output = Result<T, Error>>) -> Vec<(usize, Fault)> {
        self.wire.restart(None);
        undisturbed.await.unwrap();
        let points = self.wire.points();
        let mut breaks = Vec::new();
        for (at, point) in points.iter().enumerate() {
            breaks.push((at, Fault::StopBefore));
            breaks.push((at, Fault::StopAfter));
            if ["PutItem", "UpdateItem", "TransactWriteItems"].contains(&point.operation.as_str()) {
                breaks.push((at, Fault::LostAnswer));
            }
        }
        assert!(breaks.iter().any(|(_, fault)| *fault == Fault::LostAnswer), "no call writes: {points:?}");
        breaks
    }

    /// Runs the use case with this call broken; `None` after a crash.
    async fn broken(
        &self,
        (at, fault): &(usize, Fault),
        life: impl Future<Output = Result<Answer, Error>>,
    ) -> Option<Answer> {
        self.wire.restart(Some((*at, fault.clone())));
        let lived = self.wire.live(life).await;
        assert!(self.wire.points().len() > *at, "there was no call {at}");
        self.wire.restart(None);
        assert_eq!(lived.is_some(), *fault == Fault::LostAnswer, "{at}: {fault}");
        lived.map(Result::unwrap)
    }
}

fn key(ticket: &str) -> TicketKey {
    TicketKey::new(ticket).unwrap()
}

fn request(name: &str) -> EventId {
    EventId::new(name).unwrap()
}

fn caller(name: &str) -> Requester {
    Requester { id: format!("token of {name}"), name: name.into() }
}

fn is_repeat(answer: &Answer) -> bool {
    answer.reason.code() == "repeat"
}

fn status(left: &Left) -> Option<&str> {
    left.ticket.as_ref().map(|ticket| ticket.status.as_str())
}

#[tokio::test]
async fn ticket_creation_is_atomic_and_repeatable_after_a_crash() {
    let board = Board::begin().await;
    for (to, jobs) in [(TRIGGER, 1), (BLOCKED, 0)] {
        let breaks = board.breaks(board.writes(&board.asked(&format!("WHOLE-{jobs}"), to))).await;
        for (number, broken) in breaks.iter().enumerate() {
            let name = format!("W{jobs}-{number}");
            let new = board.asked(&name, to);
            let first = board.broken(broken, board.writes(&new)).await;
            let left = board.left(&name).await;
            let is_there = left.ticket.is_some();
            let whole = (is_there.then_some(to), usize::from(is_there), if is_there { jobs } else { 0 });
            assert_eq!((status(&left), left.entries, left.jobs), whole, "{broken:?}: {left:?}");
            let again = board.writes(&new).await.unwrap();
            assert_eq!(is_repeat(&again), is_there, "{broken:?}: {again:?}");
            let left = board.left(&name).await;
            assert_eq!((status(&left), left.entries, left.jobs), (Some(to), 1, jobs), "{broken:?}: {left:?}");
            assert_eq!(again.job, left.ticket.and_then(|ticket| ticket.active_job), "{broken:?}");
            if let Some(first) = first {
                assert!(!is_repeat(&first), "a lost response is no repeat: {first:?}");
                assert_eq!((first.delivery, first.job), (again.delivery, again.job), "{broken:?}");
            }
        }
    }
}

#[tokio::test]
async fn concurrent_creations_with_one_key_share_one_job() {
    let board = Board::begin().await;
    let new = board.asked("APP-1", TRIGGER);
    let answers = join_all((0..8).map(|_| board.writes(&new))).await;
    let answers: Vec<_> = answers.into_iter().map(Result::unwrap).collect();
    assert_eq!(answers.iter().filter(|answer| !is_repeat(answer)).count(), 1, "{answers:?}");
    let left = board.left("APP-1").await;
    let job = left.ticket.as_ref().and_then(|ticket| ticket.active_job.clone());
    assert!(job.is_some() && answers.iter().all(|answer| answer.job == job), "{answers:?}");
    assert_eq!((left.entries, left.jobs), (1, 1));
}

#[tokio::test]
async fn repeated_creation_preserves_later_changes() {
    let board = Board::begin().await;
    let new = board.asked("APP-1", TRIGGER);
    let first = board.writes(&new).await.unwrap();
    board.puts(&board.put("APP-1", BLOCKED, "bob")).await.unwrap();
    board.edits(&board.edit("APP-1", "second", "bob")).await.unwrap();
    let before = board.left("APP-1").await;
    let again = board.writes(&new).await.unwrap();
    assert!(is_repeat(&again), "{again:?}");
    assert_eq!((again.delivery, again.job), (first.delivery, first.job));
    let after = board.left("APP-1").await;
    assert_eq!((status(&after), after.title.as_deref()), (Some(BLOCKED), Some("second")));
    assert_eq!((after.ticket, after.entries, after.jobs), (before.ticket, before.entries, before.jobs));
}

#[tokio::test]
async fn idempotency_key_is_bound_to_content_and_caller() {
    let board = Board::begin().await;
    let new = board.asked("APP-1", TRIGGER);
    board.writes(&new).await.unwrap();
    let text = TicketText { title: "second".into(), ..new.text.clone() };
    for other in [
        NewTicket { key: key("APP-2"), ..new.clone() },
        NewTicket { text, ..new.clone() },
        NewTicket { status: None, ..new.clone() },
    ] {
        let refused = board.writes(&other).await;
        assert!(matches!(refused, Err(Error::KeyReused)), "{refused:?}");
    }
    for other in [
        NewTicket { request: None, ..new.clone() },
        NewTicket { request: Some(request("another")), ..new.clone() },
        NewTicket { caller: caller("bob"), ..new.clone() },
    ] {
        let refused = board.writes(&other).await;
        assert!(matches!(refused, Err(Error::Taken { .. })), "{refused:?}");
    }
    let left = board.left("APP-1").await;
    assert_eq!((left.title.as_deref(), left.entries, left.jobs), (Some("first"), 1, 1));
    assert!(board.left("APP-2").await.ticket.is_none());
    board.writes(&NewTicket { key: key("APP-2"), caller: caller("bob"), ..new }).await.unwrap();

    board.edits(&board.edit("APP-1", "second", "ana")).await.unwrap();
    let refused = board.edits(&board.edit("APP-1", "third", "ana")).await;
    assert!(matches!(refused, Err(Error::KeyReused)), "{refused:?}");
    let refused = board.edits(&Edit { key: key("APP-2"), ..board.edit("APP-1", "second", "ana") }).await;
    assert!(matches!(refused, Err(Error::KeyReused)), "{refused:?}");
    assert!(!is_repeat(&board.edits(&board.edit("APP-1", "second", "bob")).await.unwrap()), "bob's key is another one");
}

#[tokio::test]
async fn edit_and_ledger_entry_are_atomic_after_a_crash() {
    let board = Board::begin().await;
    board.writes(&board.asked("WHOLE", BLOCKED)).await.unwrap();
    let breaks = board.breaks(board.edits(&board.edit("WHOLE", "second", "ana"))).await;
    for (number, broken) in breaks.iter().enumerate() {
        let name = format!("E-{number}");
        board.writes(&board.asked(&name, BLOCKED)).await.unwrap();
        let edit = board.edit(&name, "second", "ana");
        board.broken(broken, board.edits(&edit)).await;
        let left = board.left(&name).await;
        let is_there = left.entries == 2;
        assert_eq!(left.title.as_deref(), Some(if is_there { "second" } else { "first" }), "{broken:?}");
        let again = board.edits(&edit).await.unwrap();
        assert_eq!(is_repeat(&again), is_there, "{broken:?}: {again:?}");
        let left = board.left(&name).await;
        assert_eq!((left.title.as_deref(), left.entries), (Some("second"), 2), "{broken:?}");
        board.edits(&board.edit(&name, "third", "bob")).await.unwrap();
        assert!(is_repeat(&board.edits(&edit).await.unwrap()));
        let left = board.left(&name).await;
        assert_eq!((left.title.as_deref(), left.entries), (Some("third"), 3), "{broken:?}: the later edit stays");
        assert_eq!(status(&left), Some(BLOCKED));
    }
}

#[tokio::test]
async fn concurrent_equal_edits_are_stored_once() {
    let board = Board::begin().await;
    board.writes(&board.asked("APP-1", BLOCKED)).await.unwrap();
    let edit = board.edit("APP-1", "second", "ana");
    let answers = join_all((0..4).map(|_| board.edits(&edit))).await;
    let answers: Vec<_> = answers.into_iter().map(Result::unwrap).collect();
    assert_eq!(answers.iter().filter(|answer| !is_repeat(answer)).count(), 1, "{answers:?}");
    assert!(answers.iter().all(|answer| answer.delivery == answers[0].delivery), "{answers:?}");
    let left = board.left("APP-1").await;
    assert_eq!((left.title.as_deref(), left.entries), (Some("second"), 2));
}

#[tokio::test]
async fn interrupted_move_does_not_undo_a_later_move() {
    let board = Board::begin().await;
    board.writes(&board.asked("WHOLE", BLOCKED)).await.unwrap();
    let breaks = board.breaks(board.puts(&board.put("WHOLE", "Done", "ana"))).await;
    let mut half_done = 0;
    for (number, broken) in breaks.iter().enumerate() {
        let name = format!("M-{number}");
        board.writes(&board.asked(&name, BLOCKED)).await.unwrap();
        let put = board.put(&name, "Done", "ana");
        board.broken(broken, board.puts(&put)).await;
        let left = board.left(&name).await;
        half_done += usize::from(left.entries == 2 && status(&left) == Some(BLOCKED));
        board.puts(&board.put(&name, ELSEWHERE, "bob")).await.unwrap();
        board.puts(&put).await.unwrap();
        // A repeat whose first attempt left no ledger entry is a new move.
        let expected = if left.entries == 2 { ELSEWHERE } else { "Done" };
        assert_eq!(status(&board.left(&name).await), Some(expected), "{broken:?}");
    }
    assert!(half_done > 0, "no crash between ledger and ticket");
}
