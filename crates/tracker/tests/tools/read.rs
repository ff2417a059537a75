//! Tickets and their newest change of status.

use crate::world::{KINDS, MISSING, World};
use pullyard_fake_tracker::{BACKLOG, BOT, IN_REVIEW, Kind, PERSON, PROCESSING, TicketBody};
use pullyard_tracker::{Actor, Change, Error};
use serde_json::{Value, json};

fn actor(by: (&str, &str)) -> Option<Actor> {
    Some(Actor { id: by.0.to_owned(), name: by.1.to_owned() })
}

#[tokio::test]
async fn ticket_without_a_move_has_the_change_created() {
    for kind in KINDS {
        let world = World::new(kind).await;
        world.fake.state().set_labels(world.key, &["repo:app", "urgent"]);
        let read = world.read().await.unwrap();
        assert_eq!(
            (read.key.as_str(), read.title.as_str(), read.body.as_str()),
            (world.key, "Fix the clock", "It is late.")
        );
        assert_eq!(
            (read.labels, read.status),
            (vec!["repo:app".to_owned(), "urgent".to_owned()], world.id(PROCESSING))
        );
        let path = if kind == Kind::Jira { "browse" } else { "x/issue" };
        assert_eq!(read.url, format!("{}/{path}/{}", world.fake.url(), world.key));
        let Change { id, at, earliest, actor: by, from } = read.change;
        assert_eq!((id.as_str(), earliest, by, from), ("created", at, actor(PERSON), None));
        assert!(at.millis() > 1_700_000_000_000, "{at}");
    }
}

#[tokio::test]
async fn newest_move_is_read_with_its_author_and_origin() {
    for kind in KINDS {
        let world = World::new(kind).await;
        let mut ids = Vec::new();
        for (status, by, from) in
            [(BACKLOG, BOT, PROCESSING), (PROCESSING, PERSON, BACKLOG), (IN_REVIEW, BOT, PROCESSING)]
        {
            world.fake.state().move_ticket(world.key, status, by);
            // Later changes of other fields change nothing.
            world.fake.state().touch(world.key, PERSON);
            let read = world.read().await.unwrap();
            assert_eq!(
                (read.status, read.change.actor, read.change.from),
                (world.id(status), actor(by), Some(world.id(from)))
            );
            assert_eq!(read.change.id, world.read().await.unwrap().change.id);
            ids.push((read.change.at, read.change.id));
        }
        assert!(ids.is_sorted() && ids[0].0 < ids[2].0, "{ids:?}");
        ids.dedup_by_key(|(_, id)| id.clone());
        assert_eq!(ids.len(), 3, "{ids:?}");
    }
}

#[tokio::test]
async fn move_behind_the_end_of_the_history_has_no_author() {
    let world = World::new(Kind::Jira).await;
    world.fake.state().move_ticket(world.key, BACKLOG, PERSON);
    (1..100).for_each(|_| world.fake.state().touch(world.key, PERSON));
    assert_eq!(world.read().await.unwrap().change.from, Some(world.id(PROCESSING)));
    world.fake.state().touch(world.key, PERSON);
    let later = world.fake.state().now() + 400_000;
    world.fake.state().set_now(later);
    let unknown = world.read().await.unwrap();
    assert_eq!((unknown.status, unknown.change.actor, unknown.change.from), (world.id(BACKLOG), None, None));
    world.fake.state().move_ticket(world.key, PROCESSING, PERSON);
    assert_eq!(world.read().await.unwrap().change.from, Some(world.id(BACKLOG)));
}

#[tokio::test]
async fn status_without_its_history_counts_after_some_minutes() {
    for kind in KINDS {
        let world = World::new(kind).await;
        let created = world.read().await.unwrap().change.at;
        world.fake.state().move_ticket(world.key, BACKLOG, PERSON);
        let moved = world.read().await.unwrap().change;
        assert_eq!(moved.earliest, moved.at);
        world.fake.state().set_status(world.key, PROCESSING);
        let error = world.read().await.unwrap_err();
        assert!(error.is_of_ticket() && error.is_transient(), "{error}");
        let updated = world.fake.state().now() + 1;
        world.fake.state().set_now(updated + 300_000);
        let read = world.read().await.unwrap();
        assert_eq!((read.status, read.change.at.millis()), (world.id(PROCESSING), updated));
        assert_eq!((read.change.actor, read.change.from, read.change.earliest), (None, None, created));
        // An edit is no second entry into the status.
        world.fake.state().touch(world.key, PERSON);
        world.fake.state().set_now(updated + 900_000);
        assert_eq!(world.read().await.unwrap().change.id, read.change.id);
    }
}

#[tokio::test]
async fn old_move_of_linear_has_no_author() {
    let world = World::new(Kind::Linear).await;
    world.fake.state().move_ticket(world.key, BACKLOG, PERSON);
    for at in 1..40 {
        let now = world.fake.state().now();
        world.fake.state().set_now(now + 600_000);
        world.fake.state().touch(world.key, BOT);
        let Change { id, actor: by, from, .. } = world.read().await.unwrap().change;
        assert_eq!((by, from), (actor(PERSON).filter(|_| at < 20), Some(world.id(PROCESSING))), "{at}");
        assert_ne!(id, Change::CREATED);
    }
}

/// Linear joins the changes of one person, as if the second drag were the first one.
#[tokio::test]
async fn each_drag_of_one_person_is_a_change_of_its_own() {
    for kind in KINDS {
        let world = World::new(kind).await;
        let mut changes = Vec::new();
        for status in [BACKLOG, PROCESSING, BACKLOG, PROCESSING] {
            world.fake.state().move_ticket(world.key, status, PERSON);
            let change = world.read().await.unwrap().change;
            assert_eq!(change.actor, actor(PERSON));
            // A later change of another field joins the move at Linear.
            world.fake.state().touch(world.key, PERSON);
            assert_eq!(world.read().await.unwrap().change, change);
            changes.push((change.at, change.id));
        }
        assert!(changes.is_sorted_by(|one, other| one.0 < other.0 && one.1 != other.1), "{kind:?} {changes:?}");
    }
}

#[tokio::test]
async fn later_one_of_two_moves_at_once_is_read() {
    let world = World::new(Kind::Jira).await;
    let entry = |id: &str, to: &str| {
        json!({ "id": id, "created": "2026-11-20T12:04:01.000+0000", "author": null,
            "items": [{ "field": "status", "from": "1", "to": to }] })
    };
    let fields = json!({ "summary": "A", "status": { "id": "3" }, "created": "2026-11-20T12:04:01.000+0000" });
    let histories = json!([entry("12", "3"), entry("11", "2")]);
    let body = json!({ "key": "PRJ-7", "fields": fields, "changelog": { "histories": histories } });
    world.fake.answer("GET", (200, Vec::new(), body));
    assert_eq!(world.read().await.unwrap().change.id, "12");
}

#[tokio::test]
async fn bot_without_an_id_is_known_by_its_name() {
    let world = World::new(Kind::Linear).await;
    for (bot, expected) in [
        (json!({ "id": null, "name": "Pullyard" }), actor(("Pullyard", "Pullyard"))),
        (json!({ "id": "b1", "name": "Pullyard" }), actor(("b1", "Pullyard"))),
        (Value::Null, None),
    ] {
        let at = "2026-11-20T12:04:01.000Z";
        let span = json!({ "nodes": [{ "id": "s1", "startedAt": at, "endedAt": null, "stateId": "1" }] });
        let entry = json!({ "updatedAt": at, "toStateId": "1", "actor": null, "botActor": bot });
        let issue = json!({ "identifier": "ENG-7", "title": "A", "description": null, "url": "https://a.example",
            "createdAt": at, "trashed": null, "state": { "id": "1" }, "labels": { "nodes": [] }, "actor": null,
            "botActor": null, "first": span, "last": span, "history": { "nodes": [entry] } });
        world.fake.answer("query Read", (200, Vec::new(), json!({ "data": { "issue": issue } })));
        assert_eq!(world.read().await.unwrap().change.actor, expected);
    }
}

#[tokio::test]
async fn new_ticket_of_linear_may_have_no_span() {
    let world = World::new(Kind::Linear).await;
    for (to, expected) in [(None, true), (Some("1"), false)] {
        let at = "2026-11-20T12:04:01.000Z";
        let (none, entry) = (json!({ "nodes": [] }), json!({ "updatedAt": at, "toStateId": to }));
        let issue = json!({ "identifier": "ENG-7", "title": "A", "url": "https://a.example", "createdAt": at,
            "updatedAt": at, "state": { "id": "1" }, "labels": none, "first": none, "last": none, "history": { "nodes": [entry] } });
        world.fake.answer("query Read", (200, Vec::new(), json!({ "data": { "issue": issue } })));
        match world.read().await {
            Ok(read) => assert!(expected && read.change.id == Change::CREATED),
            Err(error) => assert!(!expected && error.is_transient(), "{error}"),
        }
    }
}

/// The ticket would become a second one.
#[tokio::test]
async fn deleted_or_renamed_ticket_is_not_found() {
    for kind in KINDS {
        let world = World::new(kind).await;
        let other = format!("{}-99", world.scope);
        world.fake.state().rename_ticket(world.key, &other);
        assert_eq!(world.read().await, Err(Error::NotFound));
        // The tool finds it by its old key, perhaps in another project.
        assert_eq!(world.apply(&world.failed()).await, Err(Error::NotFound));
        let ticket = world.ticket();
        assert!(ticket.status == PROCESSING && ticket.links.is_empty() && ticket.labels.is_empty(), "{kind:?}");
        let world = World::new(kind).await;
        world.fake.state().delete_ticket(world.key);
        assert_eq!(world.read().await, Err(Error::NotFound));
        assert_eq!(world.apply(&world.failed()).await, Err(Error::NotFound));
    }
}

#[tokio::test]
async fn ticket_is_cut_to_the_limits_of_events() {
    for kind in KINDS {
        let world = World::new(kind).await;
        let (title, body) = ("é".repeat(400), TicketBody::Text(format!("a{}", "é".repeat(200_000))));
        world.fake.state().add_ticket(world.key, &title, body, BACKLOG);
        let labels = (0..60).map(|at| format!("{at:0150}")).collect::<Vec<_>>();
        world.fake.state().set_labels(world.key, &labels.iter().map(String::as_str).collect::<Vec<_>>());
        let read = world.read().await.unwrap();
        let longest = read.labels.iter().map(|label| label.chars().count()).max();
        assert_eq!((read.title.chars().count(), read.labels.len(), longest), (300, 50, Some(100)));
        assert_eq!(read.body.len(), 200 * 1024 - 1);
    }
}

#[tokio::test]
async fn invalid_time_of_jira_is_an_error() {
    for time in ["2026-11-20T12:04:01.000+1é1", "+", "é", "", "2026-11-20T12:04:01.000+00000"] {
        let world = World::new(Kind::Jira).await;
        let fields = json!({ "summary": "A", "status": { "id": "1" }, "created": time, "creator": null });
        let body = json!({ "key": "PRJ-7", "fields": fields, "changelog": { "histories": [] } });
        world.fake.answer("GET", (200, Vec::new(), body));
        assert!(matches!(world.read().await, Err(Error::Unexpected { .. })), "{time}");
    }
}

#[tokio::test]
async fn missing_ticket_is_not_found() {
    for (kind, key) in MISSING {
        let world = World::new(kind).await;
        assert_eq!(world.read_key(key).await, Err(Error::NotFound));
        assert_eq!(world.apply_to(key, &world.failed()).await, Err(Error::NotFound));
    }
}

#[tokio::test]
async fn description_becomes_markdown() {
    let text = |text: &str| json!({ "type": "text", "text": text });
    let paragraph = |content: Value| json!({ "type": "paragraph", "content": content });
    let item = |content: Value| json!({ "type": "listItem", "content": content });
    let code = json!({ "type": "text", "text": "a_b", "marks": [{ "type": "code" }] });
    let link = |text: &str| json!({ "type": "text", "text": text, "marks": [{ "type": "link", "attrs": { "href": "https://a.example/1" } }] });
    let list = json!({ "type": "bulletList", "content": [item(json!([paragraph(json!([text("inner")]))]))] });
    for (content, expected) in [
        (json!([]), ""),
        (
            json!([paragraph(json!([text("One "), code, text(" two.")])), paragraph(json!([text("Next.")]))]),
            "One `a_b` two.\n\nNext.",
        ),
        (json!([{ "type": "heading", "attrs": { "level": 2 }, "content": [text("Steps")] }]), "## Steps"),
        (
            json!([paragraph(json!([text("See "), link("the page"), text(", "), link("https://a.example/1")]))]),
            "See [the page](https://a.example/1), https://a.example/1",
        ),
        (json!([paragraph(json!([text("a"), { "type": "hardBreak" }, text("b")]))]), "a\nb"),
        (
            json!([{ "type": "orderedList", "content": [item(json!([paragraph(json!([text("outer")])), list])), item(json!([paragraph(json!([text("last")]))]))] }]),
            "1. outer\n   - inner\n2. last",
        ),
        (
            json!([{ "type": "codeBlock", "attrs": { "language": "rust" }, "content": [text("fn a() {\n}")] }]),
            "```rust\nfn a() {\n}\n```",
        ),
        (json!([{ "type": "blockquote", "content": [paragraph(json!([text("said")]))] }]), "> said"),
        (
            json!([paragraph(
                json!([{ "type": "mention", "attrs": { "id": "1", "text": "@Ada" } }, text(" and "), { "type": "emoji", "attrs": { "shortName": ":+1:" } }])
            )]),
            "@Ada and :+1:",
        ),
        (
            json!([{ "type": "mediaSingle", "content": [{ "type": "media", "attrs": { "alt": "clock.png" } }] }, { "type": "blockCard", "attrs": { "url": "https://a.example/2" } }]),
            "clock.png\n\nhttps://a.example/2",
        ),
        (
            json!([{ "type": "taskList", "content": [{ "type": "taskItem", "attrs": { "state": "TODO" }, "content": [text("do")] }, { "type": "taskItem", "attrs": { "state": "DONE" }, "content": [text("done")] }] }, { "type": "rule" }]),
            "- [ ] do\n- [x] done\n\n---",
        ),
        (
            json!([paragraph(json!([text("due on "), { "type": "date", "attrs": { "timestamp": "1795176241000" } }]))]),
            "due on 2026-11-20",
        ),
        (json!([{ "type": "codeBlock", "content": [text("a\n````\nb")] }]), "`````\na\n````\nb\n`````"),
        (
            json!([{ "type": "table", "content": [{ "type": "tableRow", "content": [{ "type": "tableHeader", "content": [paragraph(json!([text("A")]))] }, { "type": "tableCell", "content": [paragraph(json!([text("B")]))] }] }] }]),
            "A | B",
        ),
        (json!([{ "type": "novelty", "content": [paragraph(json!([text("kept")]))] }]), "kept"),
    ] {
        let world = World::new(Kind::Jira).await;
        let document = json!({ "type": "doc", "version": 1, "content": content });
        world.fake.state().add_ticket("PRJ-8", "A", TicketBody::Document(document), BACKLOG);
        assert_eq!(world.read_key("PRJ-8").await.unwrap().body, expected);
    }
}

#[tokio::test]
async fn deeply_nested_description_is_cut() {
    let world = World::new(Kind::Jira).await;
    for kind in ["blockquote", "bulletList", "panel"] {
        let lines = "x\n".repeat(10_000);
        let mut document = json!({ "type": "paragraph", "content": [{ "type": "text", "text": "deep" }] });
        for _ in 0..50 {
            let text = json!({ "type": "codeBlock", "content": [{ "type": "text", "text": lines }] });
            let has_text = kind == "blockquote" && document["type"] == "paragraph";
            document =
                json!({ "type": kind, "content": if has_text { json!([document, text]) } else { json!([document]) } });
        }
        let document = json!({ "type": "doc", "version": 1, "content": [document] });
        world.fake.state().add_ticket("PRJ-8", "A", TicketBody::Document(document), BACKLOG);
        let body = world.read_key("PRJ-8").await.unwrap().body;
        assert!(!body.contains("deep") && body.len() < 300_000, "{kind}");
    }
}

#[tokio::test]
async fn empty_description_is_empty_text() {
    for kind in KINDS {
        let world = World::new(kind).await;
        world.fake.state().add_ticket(world.key, "A", TicketBody::Empty, BACKLOG);
        assert_eq!(world.read().await.unwrap().body, "");
    }
}
