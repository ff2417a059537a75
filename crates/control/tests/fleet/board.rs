//! Board requests under crashes, lost responses, concurrent repeats and changes in between.

use crate::prelude::*;
use crate::world::World;
use futures::future::join_all;
use pullyard_control::{
    Answer, Error, NewTicket, TextChanges, TicketEdit, TicketMove, cancel_job, create_ticket, delete_ticket,
    edit_ticket, list_deliveries, move_board_ticket, search_jobs, suggest_ticket_key, text_version,
};
use pullyard_domain::project::{Project, Statuses};
use pullyard_domain::review::listing::{DeliveryFilter, JobFilter, JobSearch};
use pullyard_domain::text::decision::Verdict;
use pullyard_domain::ticket::rank::Place;

const TRIGGER: &str = "AI Processing";
const BLOCKED: &str = "Blocked";
const ELSEWHERE: &str = "Elsewhere";

struct Board {
    world: World,
    wire: Wire,
}

#[derive(Debug)]
struct StoredTicket {
    ticket: Option<Ticket>,
    title: Option<String>,
    entries: usize,
    jobs: usize,
}

impl Board {
    async fn begin() -> Self {
        let wire = Wire::default();
        let world = World::with_client(wire.clone()).await;
        world.connect().await;
        let project = world.ctx.store.load_project(&world.project).await.unwrap().unwrap();
        let name = world.repository().name;
        let statuses = Statuses { allow_others: true, ..Statuses::default() };
        let default_repository = Some(name);
        let settings = Settings { auto_create: true, statuses, default_repository, ..project.settings.clone() };
        assert_applied(world.ctx.store.put_project(&Project { settings, ..project }).await);
        Self { world, wire }
    }

    fn project(&self) -> ProjectId {
        self.world.project.clone()
    }

    /// A creation by `ana` with an idempotency key.
    fn new_ticket(&self, ticket: &str, status: &str) -> NewTicket {
        NewTicket {
            project: self.project(),
            key: Some(key(ticket)),
            text: TicketText { title: "first".into(), ..TicketText::default() },
            status: Some(status.into()),
            caller: caller("ana"),
            request: Some(request(ticket)),
        }
    }

    fn edit(&self, ticket: &str, title: &str, by: &str) -> TicketEdit {
        let changes = TextChanges { title: Some(title.into()), ..TextChanges::default() };
        let request = Some(request(ticket));
        TicketEdit { project: self.project(), key: key(ticket), changes, based_on: None, caller: caller(by), request }
    }

    fn move_request(&self, ticket: &str, status: &str, by: &str) -> TicketMove {
        let (status, request) = (Some(status.into()), Some(request(ticket)));
        TicketMove { project: self.project(), key: key(ticket), status, place: None, caller: caller(by), request }
    }

    async fn create(&self, new: &NewTicket) -> Result<Answer, Error> {
        create_ticket(&self.world.ctx, new.clone()).await
    }

    async fn edit_ticket(&self, edit: &TicketEdit) -> Result<Answer, Error> {
        edit_ticket(&self.world.ctx, edit.clone()).await
    }

    async fn move_ticket(&self, ticket_move: &TicketMove) -> Result<Answer, Error> {
        move_board_ticket(&self.world.ctx, ticket_move.clone()).await.map(Option::unwrap)
    }

    async fn load(&self, ticket: &str) -> StoredTicket {
        let (ctx, project, key) = (&self.world.ctx, self.project(), key(ticket));
        let delivery_filter = DeliveryFilter { ticket: Some(key.clone()), ..DeliveryFilter::default() };
        let filter = JobFilter { ticket: Some(key.clone()), ..JobFilter::default() };
        let search = JobSearch { filter, ..JobSearch::default() };
        StoredTicket {
            ticket: ctx.store.load_ticket(&project, &key).await.unwrap(),
            title: ctx.store.load_ticket_text(&project, &key).await.unwrap().map(|stored| stored.text.title),
            entries: list_deliveries(ctx, &project, &delivery_filter, None, 50).await.unwrap().deliveries.len(),
            jobs: search_jobs(ctx, &project, &search, None, 50).await.unwrap().jobs.len(),
        }
    }

    /// Runs the use case undisturbed and returns each call with each fault that can break it.
    async fn list_faults<T>(&self, undisturbed: impl Future<Output = Result<T, Error>>) -> Vec<(usize, Fault)> {
        self.wire.restart(None);
        undisturbed.await.unwrap();
        let points = self.wire.points();
        let mut faults = Vec::new();
        for (at, point) in points.iter().enumerate() {
            faults.push((at, Fault::StopBefore));
            faults.push((at, Fault::StopAfter));
            if ["PutItem", "UpdateItem", "TransactWriteItems"].contains(&point.operation.as_str()) {
                faults.push((at, Fault::LostAnswer));
            }
        }
        assert!(faults.iter().any(|(_, fault)| *fault == Fault::LostAnswer), "no call writes: {points:?}");
        faults
    }

    /// Runs the use case with this call broken; `None` after a crash.
    async fn run_with_fault(
        &self,
        (at, fault): &(usize, Fault),
        use_case: impl Future<Output = Result<Answer, Error>>,
    ) -> Option<Answer> {
        self.wire.restart(Some((*at, fault.clone())));
        let answer = self.wire.run_until_stopped(use_case).await;
        assert!(self.wire.points().len() > *at, "there was no call {at}");
        self.wire.restart(None);
        assert_eq!(answer.is_some(), *fault == Fault::LostAnswer, "{at}: {fault}");
        answer.map(Result::unwrap)
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

fn status(stored: &StoredTicket) -> Option<&str> {
    stored.ticket.as_ref().map(|ticket| ticket.status.as_str())
}

#[tokio::test]
async fn ticket_creation_is_atomic_and_repeatable_after_a_crash() {
    let board = Board::begin().await;
    for (column, jobs) in [(TRIGGER, 1), (BLOCKED, 0)] {
        let faults = board.list_faults(board.create(&board.new_ticket(&format!("WHOLE-{jobs}"), column))).await;
        for (number, fault) in faults.iter().enumerate() {
            let name = format!("W{jobs}-{number}");
            let new = board.new_ticket(&name, column);
            let first = board.run_with_fault(fault, board.create(&new)).await;
            let stored = board.load(&name).await;
            let exists = stored.ticket.is_some();
            let expected = (exists.then_some(column), usize::from(exists), if exists { jobs } else { 0 });
            assert_eq!((status(&stored), stored.entries, stored.jobs), expected, "{fault:?}: {stored:?}");
            let repeat = board.create(&new).await.unwrap();
            assert_eq!(is_repeat(&repeat), exists, "{fault:?}: {repeat:?}");
            let stored = board.load(&name).await;
            assert_eq!(
                (status(&stored), stored.entries, stored.jobs),
                (Some(column), 1, jobs),
                "{fault:?}: {stored:?}"
            );
            assert_eq!(repeat.job, stored.ticket.and_then(|ticket| ticket.active_job), "{fault:?}");
            if let Some(first) = first {
                assert!(!is_repeat(&first), "a lost response is no repeat: {first:?}");
                assert_eq!((first.delivery, first.job), (repeat.delivery, repeat.job), "{fault:?}");
            }
        }
    }
}

#[tokio::test]
async fn concurrent_creations_with_one_key_share_one_job() {
    let board = Board::begin().await;
    let new = board.new_ticket("APP-1", TRIGGER);
    let answers = join_all((0..8).map(|_| board.create(&new))).await;
    let answers: Vec<_> = answers.into_iter().map(Result::unwrap).collect();
    assert_eq!(answers.iter().filter(|answer| !is_repeat(answer)).count(), 1, "{answers:?}");
    let stored = board.load("APP-1").await;
    let job = stored.ticket.as_ref().and_then(|ticket| ticket.active_job.clone());
    assert!(job.is_some() && answers.iter().all(|answer| answer.job == job), "{answers:?}");
    assert_eq!((stored.entries, stored.jobs), (1, 1));
}

#[tokio::test]
async fn repeated_creation_preserves_later_changes() {
    let board = Board::begin().await;
    let new = board.new_ticket("APP-1", TRIGGER);
    let first = board.create(&new).await.unwrap();
    board.move_ticket(&board.move_request("APP-1", BLOCKED, "bob")).await.unwrap();
    board.edit_ticket(&board.edit("APP-1", "second", "bob")).await.unwrap();
    let before = board.load("APP-1").await;
    let repeat = board.create(&new).await.unwrap();
    assert!(is_repeat(&repeat), "{repeat:?}");
    assert_eq!((repeat.delivery, repeat.job), (first.delivery, first.job));
    let after = board.load("APP-1").await;
    assert_eq!((status(&after), after.title.as_deref()), (Some(BLOCKED), Some("second")));
    assert_eq!((after.ticket, after.entries, after.jobs), (before.ticket, before.entries, before.jobs));
}

#[tokio::test]
async fn idempotency_key_is_bound_to_content_and_caller() {
    let board = Board::begin().await;
    let new = board.new_ticket("APP-1", TRIGGER);
    board.create(&new).await.unwrap();
    let text = TicketText { title: "second".into(), ..new.text.clone() };
    for other in [
        NewTicket { key: Some(key("APP-2")), ..new.clone() },
        NewTicket { text, ..new.clone() },
        NewTicket { status: None, ..new.clone() },
    ] {
        let refused = board.create(&other).await;
        assert!(matches!(refused, Err(Error::KeyReused)), "{refused:?}");
    }
    for other in [
        NewTicket { request: None, ..new.clone() },
        NewTicket { request: Some(request("another")), ..new.clone() },
        NewTicket { caller: caller("bob"), ..new.clone() },
    ] {
        let refused = board.create(&other).await;
        assert!(matches!(refused, Err(Error::NameTaken { .. })), "{refused:?}");
    }
    let stored = board.load("APP-1").await;
    assert_eq!((stored.title.as_deref(), stored.entries, stored.jobs), (Some("first"), 1, 1));
    assert!(board.load("APP-2").await.ticket.is_none());
    board.create(&NewTicket { key: Some(key("APP-2")), caller: caller("bob"), ..new }).await.unwrap();

    board.edit_ticket(&board.edit("APP-1", "second", "ana")).await.unwrap();
    let refused = board.edit_ticket(&board.edit("APP-1", "third", "ana")).await;
    assert!(matches!(refused, Err(Error::KeyReused)), "{refused:?}");
    let refused = board.edit_ticket(&TicketEdit { key: key("APP-2"), ..board.edit("APP-1", "second", "ana") }).await;
    assert!(matches!(refused, Err(Error::KeyReused)), "{refused:?}");
    assert!(
        !is_repeat(&board.edit_ticket(&board.edit("APP-1", "second", "bob")).await.unwrap()),
        "bob's key is another one"
    );
}

#[tokio::test]
async fn edit_and_ledger_entry_are_atomic_after_a_crash() {
    let board = Board::begin().await;
    board.create(&board.new_ticket("WHOLE", BLOCKED)).await.unwrap();
    let faults = board.list_faults(board.edit_ticket(&board.edit("WHOLE", "second", "ana"))).await;
    for (number, fault) in faults.iter().enumerate() {
        let name = format!("E-{number}");
        board.create(&board.new_ticket(&name, BLOCKED)).await.unwrap();
        let edit = board.edit(&name, "second", "ana");
        board.run_with_fault(fault, board.edit_ticket(&edit)).await;
        let stored = board.load(&name).await;
        let is_stored = stored.entries == 2;
        assert_eq!(stored.title.as_deref(), Some(if is_stored { "second" } else { "first" }), "{fault:?}");
        let repeat = board.edit_ticket(&edit).await.unwrap();
        assert_eq!(is_repeat(&repeat), is_stored, "{fault:?}: {repeat:?}");
        let stored = board.load(&name).await;
        assert_eq!((stored.title.as_deref(), stored.entries), (Some("second"), 2), "{fault:?}");
        board.edit_ticket(&board.edit(&name, "third", "bob")).await.unwrap();
        assert!(is_repeat(&board.edit_ticket(&edit).await.unwrap()));
        let stored = board.load(&name).await;
        assert_eq!((stored.title.as_deref(), stored.entries), (Some("third"), 3), "{fault:?}: the later edit stays");
        assert_eq!(status(&stored), Some(BLOCKED));
    }
}

#[tokio::test]
async fn concurrent_equal_edits_are_stored_once() {
    let board = Board::begin().await;
    board.create(&board.new_ticket("APP-1", BLOCKED)).await.unwrap();
    let edit = board.edit("APP-1", "second", "ana");
    let answers = join_all((0..4).map(|_| board.edit_ticket(&edit))).await;
    let answers: Vec<_> = answers.into_iter().map(Result::unwrap).collect();
    assert_eq!(answers.iter().filter(|answer| !is_repeat(answer)).count(), 1, "{answers:?}");
    assert!(answers.iter().all(|answer| answer.delivery == answers[0].delivery), "{answers:?}");
    let stored = board.load("APP-1").await;
    assert_eq!((stored.title.as_deref(), stored.entries), (Some("second"), 2));
}

#[tokio::test]
async fn interrupted_move_does_not_undo_a_later_move() {
    let board = Board::begin().await;
    board.create(&board.new_ticket("WHOLE", BLOCKED)).await.unwrap();
    let faults = board.list_faults(board.move_ticket(&board.move_request("WHOLE", "Done", "ana"))).await;
    let mut half_done = 0;
    for (number, fault) in faults.iter().enumerate() {
        let name = format!("M-{number}");
        board.create(&board.new_ticket(&name, BLOCKED)).await.unwrap();
        let ana_move = board.move_request(&name, "Done", "ana");
        board.run_with_fault(fault, board.move_ticket(&ana_move)).await;
        let stored = board.load(&name).await;
        half_done += usize::from(stored.entries == 2 && status(&stored) == Some(BLOCKED));
        board.move_ticket(&board.move_request(&name, ELSEWHERE, "bob")).await.unwrap();
        board.move_ticket(&ana_move).await.unwrap();
        // A repeat whose first attempt left no ledger entry is a new move.
        let expected = if stored.entries == 2 { ELSEWHERE } else { "Done" };
        assert_eq!(status(&board.load(&name).await), Some(expected), "{fault:?}");
    }
    assert!(half_done > 0, "no crash between ledger and ticket");
}

#[tokio::test]
async fn card_takes_the_place_that_its_move_names() {
    let board = Board::begin().await;
    let (ctx, project) = (&board.world.ctx, board.project());
    for (number, status) in [TRIGGER, TRIGGER, TRIGGER, BLOCKED].into_iter().enumerate() {
        let at = Timestamp::from_millis(1_000 * number as i64);
        let ticket = Ticket::new(project.clone(), key(&format!("APP-{number}")), status.into(), at, None);
        assert_applied(ctx.store.update_ticket(&ticket).await);
    }
    let move_card = async |ticket: &str, to: Option<&str>, place: Place| {
        let (project, key, status) = (project.clone(), key(ticket), to.map(str::to_owned));
        let place = Some(place);
        move_board_ticket(ctx, TicketMove { project, key, status, place, caller: caller("ana"), request: None }).await
    };
    let order = async || {
        let (keys, _) = ctx.store.list_ticket_keys(&project, None, 10).await.unwrap();
        let loaded = ctx.store.load_tickets(&project, &keys).await.unwrap().into_iter().map(Result::unwrap);
        let mut column: Vec<_> = loaded.filter(|ticket| ticket.status == TRIGGER).collect();
        column.sort_by(|a, b| a.card_order().cmp(&b.card_order()));
        column.iter().map(|ticket| ticket.key.to_string()).collect::<Vec<_>>().join(" ")
    };
    let before = |ticket: &str| Place::Before(key(ticket));
    assert_eq!(move_card("APP-2", None, before("APP-1")).await.unwrap(), None);
    assert_eq!(order().await, "APP-0 APP-2 APP-1");
    let stored = board.load("APP-2").await;
    assert_eq!((stored.entries, stored.jobs), (0, 0), "a new order is no decision");
    let entered = move_card("APP-3", Some(TRIGGER), before("APP-1")).await.unwrap().unwrap();
    assert!(entered.job.is_some(), "{entered:?}");
    assert_eq!(order().await, "APP-0 APP-2 APP-3 APP-1");
    assert_eq!(move_card("APP-0", Some(TRIGGER), Place::Last).await.unwrap(), None);
    assert_eq!(order().await, "APP-2 APP-3 APP-1 APP-0");
    for absent in ["APP-1", "APP-9"] {
        assert_eq!(denial(move_card("APP-0", Some(BLOCKED), before(absent)).await), "not_in_column", "{absent}");
    }
    assert_eq!(board.load("APP-0").await.ticket.unwrap().status, TRIGGER);
}

#[tokio::test]
async fn suggested_key_follows_the_highest_of_all_keys() {
    let board = Board::begin().await;
    let (ctx, project) = (&board.world.ctx, board.project());
    let suggestion = async || suggest_ticket_key(ctx, &project).await.unwrap();
    assert_eq!(suggestion().await, Some(key("ACME-1")));
    for name in (1..=1_001).map(|number| format!("ACME-{number}")).chain([
        "OTHER-7000".into(),
        "ACME-9b".into(),
        format!("ACME-{}", u64::MAX),
    ]) {
        let ticket = Ticket::new(project.clone(), key(&name), BLOCKED.into(), ctx.clock.now(), None);
        assert_applied(ctx.store.update_ticket(&ticket).await);
    }
    assert_eq!(suggestion().await, Some(key("ACME-1002")));
    let new = NewTicket { key: None, ..board.new_ticket("any", BLOCKED) };
    let first = board.create(&new).await.unwrap();
    assert_eq!(board.create(&new).await.unwrap().delivery, first.delivery, "a repeat created another ticket");
    assert_eq!(status(&board.load("ACME-1002").await), Some(BLOCKED));
    delete_ticket(ctx, &project, &key("ACME-1002")).await.unwrap();
    delete_ticket(ctx, &project, &key("ACME-7")).await.unwrap();
    assert_eq!(suggestion().await, Some(key("ACME-1003")), "the number of a deleted ticket is used again");
}

#[tokio::test]
async fn edit_of_an_outdated_text_is_refused() {
    let board = Board::begin().await;
    let new = board.new_ticket("APP-1", BLOCKED);
    board.create(&new).await.unwrap();
    let version = Some(text_version(&new.text));
    let first = TicketEdit { based_on: version.clone(), ..board.edit("APP-1", "second", "ana") };
    board.edit_ticket(&first).await.unwrap();
    assert!(is_repeat(&board.edit_ticket(&first).await.unwrap()), "the repeat of an applied edit is refused");
    let late = TicketEdit { based_on: version, ..board.edit("APP-1", "third", "bob") };
    assert_eq!(denial(board.edit_ticket(&late).await), "ticket_edited");
    assert_eq!(board.load("APP-1").await.title.as_deref(), Some("second"));
}

#[tokio::test]
async fn deleted_ticket_is_gone_and_its_key_is_free() {
    let board = Board::begin().await;
    let (ctx, project, app) = (&board.world.ctx, board.project(), key("APP-1"));
    let new = board.new_ticket("APP-1", TRIGGER);
    let job = board.create(&new).await.unwrap().job.unwrap();
    assert_eq!(denial(delete_ticket(ctx, &project, &app).await), "job_of_ticket");
    cancel_job(ctx, &job, "ana", None).await.unwrap();
    delete_ticket(ctx, &project, &app).await.unwrap();
    let stored = board.load("APP-1").await;
    assert_eq!(
        (stored.ticket, stored.title, stored.entries, stored.jobs),
        (None, None, 1, 1),
        "decisions and jobs stay"
    );
    assert!(matches!(delete_ticket(ctx, &project, &app).await, Err(Error::NotFound { .. })));
    board.create(&NewTicket { request: None, status: Some(BLOCKED.into()), ..new }).await.unwrap();
    assert_eq!(status(&board.load("APP-1").await), Some(BLOCKED));
}

fn denial<T: std::fmt::Debug>(answer: Result<T, Error>) -> &'static str {
    match answer {
        Err(Error::Denied(denial)) => denial.code(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn filter_by_verdict_reads_fewer_entries_per_page() {
    let board = Board::begin().await;
    for number in 1..=201 {
        board.create(&board.new_ticket(&format!("APP-{number}"), BLOCKED)).await.unwrap();
    }
    let list = async |filter: DeliveryFilter| {
        list_deliveries(&board.world.ctx, &board.project(), &filter, None, 50).await.unwrap()
    };
    let accepted = list(DeliveryFilter { verdicts: [Verdict::Accepted].into(), ..DeliveryFilter::default() }).await;
    assert_eq!((accepted.deliveries.len(), accepted.unmatched, accepted.next.is_some()), (0, 200, true));
    let first = list(DeliveryFilter { ticket: Some(key("APP-1")), ..DeliveryFilter::default() }).await;
    assert_eq!((first.deliveries.len(), first.next), (1, None));
}
