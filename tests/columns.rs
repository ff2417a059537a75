//! Tests the columns of a project: which statuses it accepts, and that a rename moves tickets without a job.

use crate::prelude::*;
use pullyard_protocol::client::Error;
use pullyard_protocol::project::{RenameColumn, RenamedColumn};
use pullyard_protocol::ticket::{MoveTicket, MovedTicket};

async fn strict_story() -> Story {
    let story = Story::start_with_waiting_tasks().await;
    story.update_settings(|settings| settings.statuses.allow_others = false).await;
    story
}

impl Story {
    async fn place(&self, name: &str, status: &str) -> Result<MovedTicket, Error> {
        self.api.move_ticket(&self.project, &TicketKey::new(name).unwrap(), &MoveTicket::to(status), None).await
    }

    async fn rename_column(&self, from: &str, to: &str) -> Result<RenamedColumn, Error> {
        self.api.rename_column(&self.project, &RenameColumn { from: from.into(), to: to.into() }).await
    }

    async fn columns(&self) -> Vec<String> {
        self.api.project(&self.project).await.unwrap().settings.statuses.columns
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_status_is_refused_with_the_columns() {
    let story = strict_story().await;
    story.send_ticket_event("e1", "APP-1", TODO, 1).await;
    let (status, code, sentence) = problem_of(story.place("APP-1", "ai procesing").await);
    assert_eq!((status, code.as_str()), (422, "invalid"));
    let columns = "Todo, AI Processing, In Review, Done, Closed";
    let expected =
        format!("the project has no column ai procesing; did you mean AI Processing? Its columns: {columns}");
    assert_eq!(sentence, format!("`/status`: {expected}."));
    assert_eq!(story.ticket("APP-1").await.status, TODO);
    let user = User::of(&story);
    user.run(&["tickets", "create", "B-1", "--title", "t", "--status", "In Reviw"]).await.assert_exit(2, "In Review?");

    // The tool owns its tickets: the event is refused in the ledger, and the board shows the tool's status.
    let refused = story.send_ticket_event("e2", "APP-1", "QA", 2).await;
    assert_eq!((refused.code.as_str(), refused.verdict), ("unknown_status", Verdict::Refused));
    assert!(refused.sentence.starts_with("QA is not a column of acme: Todo, AI Processing"), "{}", refused.sentence);
    assert_eq!(story.api.delivery(&refused.delivery).await.unwrap().code, "unknown_status");
    assert_eq!(story.ticket("APP-1").await.status, "QA");
    // A ticket outside of the columns can be edited and moved back.
    user.ok(&["tickets", "edit", "APP-1", "--title", "Second"]).await;
    assert_eq!(story.place("APP-1", TRIGGER).await.unwrap().decision.unwrap().code, "accepted");
}

#[tokio::test(flavor = "multi_thread")]
async fn renamed_trigger_column_keeps_its_job_and_starts_none() {
    let story = strict_story().await;
    let job = story.create_job("e1", "APP-1", 1).await;
    story.send_ticket_event("e2", "APP-2", TODO, 1).await;
    let renamed = story.rename_column(TRIGGER, "Go").await.unwrap();
    assert_eq!((renamed.moved_tickets, renamed.complete), (1, true));
    assert_eq!(renamed.columns.join(", "), "Todo, Go, In Review, Done, Closed");
    let Ticket { status, active_job, .. } = story.ticket("APP-1").await;
    assert_eq!((status.as_str(), active_job.as_ref()), ("Go", Some(&job)));
    assert_eq!(story.rename_column(TRIGGER, "Go").await.unwrap().moved_tickets, 0, "a repeat");
    assert_eq!(story.jobs().await.len(), 1);
    // The tool repeats the new name: no entry.
    assert_eq!(story.send_ticket_event("e3", "APP-1", "Go", 2).await.code, "status_unchanged");
    // A ticket of the old name, as after an interrupted rename, follows on a repeat.
    story.send_ticket_event("e4", "APP-2", TRIGGER, 2).await;
    assert_eq!(story.rename_column(TRIGGER, "Go").await.unwrap().moved_tickets, 1);
    assert_eq!((story.ticket("APP-2").await.status.as_str(), story.jobs().await.len()), ("Go", 1));
    // The end of the job finds its ticket under the new name.
    story.api.cancel_job(&job, &CancelJob::default()).await.unwrap();
    story.wait_for_job(&job, |job| job.status == JobStatus::Cancelled).await;
    assert_eq!(story.wait_for_settled_ticket("APP-1").await.status, TODO);
}

#[tokio::test(flavor = "multi_thread")]
async fn rename_is_refused_while_an_entry_waits_in_the_column() {
    let story = strict_story().await;
    let job = story.create_job("e1", "APP-1", 1).await;
    story.place("APP-1", TODO).await.unwrap();
    assert_eq!(story.place("APP-1", TRIGGER).await.unwrap().decision.unwrap().code, "job_active");
    let (status, _, sentence) = problem_of(story.rename_column(TRIGGER, "Go").await);
    assert_eq!((status, sentence.contains("APP-1 waits in AI Processing to start a job")), (422, true), "{sentence}");
    assert!(story.columns().await.contains(&TRIGGER.to_owned()));
    assert_eq!(story.ticket("APP-1").await.active_job, Some(job));
}

#[tokio::test(flavor = "multi_thread")]
async fn columns_are_changed_from_the_command_line() {
    let story = strict_story().await;
    let user = User::of(&story);
    let columns = async |args: &[&str]| user.run(&[&["projects", "columns"][..], args].concat()).await;
    columns(&["add", "QA"]).await.assert_success();
    columns(&["move", "QA", "up"]).await.assert_success();
    story.send_ticket_event("e1", "APP-1", "QA", 1).await;
    columns(&["remove", "QA"]).await.assert_exit(2, "APP-1 is in QA; move its tickets to another column");
    let renamed = columns(&["rename", "QA", "Test"]).await.assert_success();
    assert_eq!(renamed, "QA is now Test, with 1 ticket. No job started.\n");
    story.place("APP-1", TODO).await.unwrap();
    columns(&["close", "Tets"]).await.assert_exit(2, "did you mean Test?");
    let closed = columns(&["close", "Test"]).await.assert_success();
    assert!(closed.contains("Test\twhen they are closed\n"), "{closed}");
    columns(&["reopen", "Test"]).await.assert_success();
    columns(&["remove", "Test"]).await.assert_success();
    assert_eq!(story.columns().await.join(", "), "Todo, AI Processing, In Review, Done, Closed");
}
