//! Tests the built-in board: creating, moving and editing tickets.

use crate::prelude::*;
use pullyard_protocol::client::Error;
use pullyard_protocol::ticket::{EditTicket, MoveTicket, TicketAnswer};

async fn story_without_hints() -> Story {
    Story::start_with(Setup { task: Task::Waiting, hints: HintDelivery::Drop, ..Setup::default() }).await
}

fn key(key: &str) -> TicketKey {
    TicketKey::new(key).unwrap()
}

fn code(error: &Error) -> &str {
    error.code().unwrap_or("none")
}

impl Story {
    fn new_ticket(&self, name: &str, status: Option<&str>) -> CreateTicket {
        CreateTicket {
            project: self.project.clone(),
            key: Some(key(name)),
            title: format!("About {name}"),
            description: "Do it.".into(),
            status: status.map(str::to_owned),
            labels: ["small".to_owned()].into(),
            repository: None,
        }
    }

    async fn create_ticket(&self, name: &str, status: Option<&str>) -> Result<TicketAnswer, Error> {
        self.api.create_ticket(&self.new_ticket(name, status), None).await
    }

    async fn move_ticket(&self, name: &str, status: &str) -> Result<TicketAnswer, Error> {
        let moved = self.api.move_ticket(&self.project, &key(name), &MoveTicket::to(status), None).await?;
        Ok(TicketAnswer { ticket: moved.ticket, decision: moved.decision.unwrap() })
    }

    async fn move_ticket_as(&self, token: &str, key: &str, name: &str, status: &str) -> (u16, Value) {
        let bearer = format!("Bearer {token}");
        let headers =
            [("authorization", bearer.as_str()), ("idempotency-key", key), ("content-type", "application/json")];
        let path = format!("/v1/tickets/{name}/move?project={}", self.project);
        let body = json!({ "status": status }).to_string().into_bytes();
        let (code, _, response) = self.request_with_headers(Method::POST, &path, &headers, body).await;
        (code, response)
    }

    async fn edit_ticket(&self, name: &str, title: &str) -> Result<TicketAnswer, Error> {
        let edit = EditTicket { title: Some(title.into()), ..EditTicket::default() };
        self.api.edit_ticket(&self.project, &key(name), &edit, None).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn board_ticket_is_created_once_and_starts_in_todo() {
    let story = story_without_hints().await;
    let answer = story.create_ticket("B-1", None).await.unwrap();
    assert_eq!((answer.ticket.status.as_str(), answer.decision.code.as_str()), (TODO, "not_trigger_status"));
    assert_eq!((answer.ticket.title.as_str(), answer.ticket.description.as_str()), ("About B-1", "Do it."));
    assert_eq!(code(&story.create_ticket("B-1", None).await.unwrap_err()), "taken");
    assert_eq!(code(&story.create_ticket("B-1", Some(TRIGGER)).await.unwrap_err()), "taken");
    let mut stray = serde_json::from_value::<CreateTicket>(serde_json::json!({
        "project": "nobody", "key": "B-1", "title": "t"
    }))
    .unwrap();
    assert_eq!(code(&story.api.create_ticket(&stray, None).await.unwrap_err()), "not_found");
    // Keys of tickets from a ticket tool are taken as well.
    story.send_ticket_event("e1", "B-2", "Blocked", 1).await;
    (stray.project, stray.key) = (story.project.clone(), Some(key("B-2")));
    assert_eq!(code(&story.api.create_ticket(&stray, None).await.unwrap_err()), "taken");
    assert!(story.jobs().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn ticket_without_key_gets_the_next_number_once() {
    let story = story_without_hints().await;
    let ticket = CreateTicket { key: None, ..story.new_ticket("ACME-7", None) };
    story.create_ticket("ACME-7", None).await.unwrap();
    let create = async |request| story.api.create_ticket(&ticket, request).await.map(|answer| answer.ticket.key);
    assert_eq!(create(Some("r1")).await.unwrap(), key("ACME-8"));
    assert_eq!(create(Some("r1")).await.unwrap(), key("ACME-8"), "a repeat made another ticket");
    assert_eq!(create(Some("r2")).await.unwrap(), key("ACME-9"));
    let many = futures::future::try_join_all((0..3).map(|_| create(None))).await.unwrap();
    let keys = many.into_iter().collect::<BTreeSet<_>>();
    assert_eq!(keys, ["ACME-10", "ACME-11", "ACME-12"].map(key).into());
    story.api.delete_ticket(&story.project, &key("ACME-12")).await.unwrap();
    story.create_ticket("ACME-18446744073709551615", None).await.unwrap();
    assert_eq!(create(None).await.unwrap(), key("ACME-13"), "the number of a deleted ticket was used again");
    story.create_ticket("ACME-999999999", None).await.unwrap();
    assert_eq!(create(None).await.unwrap(), key("ACME-14"), "the highest number left no room");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_move_into_the_trigger_status_starts_a_job() {
    let story = story_without_hints().await;
    story.create_ticket("B-1", None).await.unwrap();
    let blocked = story.move_ticket("B-1", "Blocked").await.unwrap();
    assert_eq!((blocked.ticket.status.as_str(), blocked.decision.code.as_str()), ("Blocked", "not_trigger_status"));
    let entered = story.move_ticket("B-1", TRIGGER).await.unwrap();
    assert_eq!(entered.decision.verdict, Verdict::Accepted);
    assert_eq!(story.move_ticket("B-1", TRIGGER).await.unwrap().decision.code, "status_unchanged");
    assert_eq!(story.move_ticket("B-1", "Blocked").await.unwrap().ticket.status, "Blocked");
    let again = story.move_ticket("B-1", TRIGGER).await.unwrap();
    assert_eq!((again.decision.code.as_str(), &again.decision.job), ("job_active", &entered.decision.job));
    assert_eq!(again.ticket.status, TRIGGER, "the ticket did not move");
    assert_eq!(code(&story.move_ticket("B-9", TRIGGER).await.unwrap_err()), "not_found");
    assert_eq!(code(&story.edit_ticket("B-9", "t").await.unwrap_err()), "not_found");
    let nobody = ProjectId::new("nobody").unwrap();
    assert_eq!(
        code(&story.api.move_ticket(&nobody, &key("B-1"), &MoveTicket::to(TODO), None).await.unwrap_err()),
        "not_found"
    );
    assert_eq!(story.jobs().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn same_idempotency_key_of_two_users_makes_two_moves() {
    let story = story_without_hints().await;
    story.create_ticket("B-1", None).await.unwrap();
    let other = story.create_token(&[Scope::Jobs], None).await;
    for token in [story.local.admin_token(), other.as_str()] {
        let (status, moved) = story.move_ticket_as(token, "k1", "B-1", "Blocked").await;
        assert_eq!((status, &moved["decision"]["code"]), (200, &json!("not_trigger_status")), "{moved}");
        assert_eq!(moved["ticket"]["status"], "Blocked");
        story.move_ticket("B-1", TODO).await.unwrap();
        let (status, again) = story.move_ticket_as(token, "k1", "B-1", "Blocked").await;
        assert_eq!((status, &again["decision"]["code"]), (200, &json!("repeat")), "{again}");
        assert_eq!(again["ticket"]["status"], TODO, "the repeat moved the ticket");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn edit_changes_only_its_fields() {
    let story = story_without_hints().await;
    story.create_ticket("B-1", Some("Blocked")).await.unwrap();
    let edited = story.edit_ticket("B-1", "Another title").await.unwrap().ticket;
    assert_eq!((edited.title.as_str(), edited.description.as_str()), ("Another title", "Do it."));
    assert_eq!((edited.status.as_str(), edited.labels.len()), ("Blocked", 1));
    let change = EditTicket {
        description: Some(String::new()),
        labels: Some(Default::default()),
        repository: Some(RepositoryName::new("acme/other").unwrap()),
        ..EditTicket::default()
    };
    let edited = story.api.edit_ticket(&story.project, &key("B-1"), &change, None).await.unwrap().ticket;
    assert_eq!((edited.title.as_str(), edited.description.as_str(), edited.labels.len()), ("Another title", "", 0));
    assert_eq!(edited.repository, change.repository);
    // The next move uses the edited repository.
    assert_eq!(story.move_ticket("B-1", TRIGGER).await.unwrap().decision.code, "repository_not_integrated");
}

#[tokio::test(flavor = "multi_thread")]
async fn tickets_with_unusual_keys_work_in_every_route() {
    let story = story_without_hints().await;
    let unusual =
        ["A#1/ü", "50%", "A%2FB", "a b", "x?y&z=1", "+", "ключ", "日本", "a|b", "\"quoted\"", "$(id)", "-", "..."];
    for name in unusual.into_iter().chain(["events", "new", "move"]) {
        let answer = story.create_ticket(name, None).await.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(answer.ticket.key.as_str(), name);
        assert_eq!(story.ticket(name).await.title, format!("About {name}"));
        assert_eq!(story.move_ticket(name, "Blocked").await.unwrap().ticket.status, "Blocked", "{name}");
        assert_eq!(story.edit_ticket(name, "Other").await.unwrap().ticket.title, "Other", "{name}");
        let entered = story.move_ticket(name, TRIGGER).await.unwrap();
        assert_eq!(entered.decision.verdict, Verdict::Accepted, "{name}");
    }
    assert_eq!(story.jobs().await.len(), 16);
}

#[tokio::test(flavor = "multi_thread")]
async fn comment_is_changed_by_its_author_and_read_by_the_agent() {
    let story = Story::start_with_waiting_tasks().await;
    story.create_ticket("B-1", None).await.unwrap();
    let ana = story.create_token(&[Scope::Read, Scope::Jobs], None).await;
    let ben = story.create_token(&[Scope::Jobs], None).await;
    let call = async |token: &str, method: Method, path: &str, body: Value| {
        let path = format!("/v1/tickets/B-1/comments{path}?project={}", story.project);
        let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        let (status, _, response) = story.request(method, &path, Some(token), body).await;
        (status, response)
    };
    let text = |text: &str| json!({ "text": text });
    let (status, comment) = call(&ana, Method::POST, "", text("Use the other library.")).await;
    assert_eq!((status, &comment["number"], &comment["edited"]), (201, &json!(1), &Value::Null), "{comment}");
    let key = key("B-1");
    for _ in 0..2 {
        let second = story.api.add_comment(&story.project, &key, "Never mind.", Some("own-key")).await.unwrap();
        assert_eq!((second.number, second.text.as_str()), (2, "Never mind."));
    }
    for (method, body) in [(Method::PATCH, text("No.")), (Method::DELETE, Value::Null)] {
        let (status, problem) = call(&ben, method, "/1", body).await;
        assert_eq!((status, problem["code"].as_str()), (409, Some("comment_of_other")), "{problem}");
    }
    let (status, edited) = call(&ana, Method::PATCH, "/1", text("Use the new library.")).await;
    assert!(status == 200 && edited["edited"].is_string(), "{edited}");
    assert_eq!(story.api.delete_comment(&story.project, &key, 2).await.unwrap().number, 2);
    assert_eq!(call(&ana, Method::DELETE, "/2", Value::Null).await.0, 404);
    for bad in ["", " \n", &"x".repeat(16 * 1024 + 1)] {
        let (status, problem) = call(&ana, Method::POST, "", text(bad)).await;
        assert_eq!((status, problem["code"].as_str()), (400, Some("body_unreadable")), "{problem}");
    }
    let listed = story.api.comments(&story.project, &key, None).await.unwrap();
    assert_eq!((listed.comments.len(), listed.next), (1, None));
    let job = story.move_ticket("B-1", TRIGGER).await.unwrap().decision.job.unwrap();
    let prompt = story.claim(&job, "c1").await.unwrap().0.prompt;
    assert!(prompt.contains("a test's wrote:\n\nUse the new library.\n"), "{prompt}");
    assert!(!prompt.contains("Never mind."), "a deleted comment is in the prompt: {prompt}");
}
