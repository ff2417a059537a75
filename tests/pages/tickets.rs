//! Tests the board's quick form and search, and the forms on a ticket's page.

use super::Browser;
use crate::prelude::*;

const HOSTILE: &str = "<script>alert(1)</script>";

fn hidden<'a>(page: &'a str, name: &str) -> &'a str {
    let field = format!("name=\"{name}\" value=\"");
    page.split(&field).nth(1).unwrap().split('"').next().unwrap()
}

async fn with_ticket(story: &Story, browser: &Browser, key: &str, title: &str, labels: &str) {
    let form = [("project", "acme"), ("key", key), ("title", title), ("labels", labels)];
    assert_eq!(browser.post("/tickets", &form).await.status, 303);
    assert_eq!(story.ticket(key).await.title, title);
}

#[tokio::test(flavor = "multi_thread")]
async fn quick_form_creates_numbered_tickets_in_its_column() {
    let (story, browser) = Story::with_browser().await;
    browser.get("/board").await.assert_contains(&[r#"<form id="quick-form" method="post" action="/tickets">"#]);
    let form = [("project", "acme"), ("status", TODO), ("title", HOSTILE), ("form_key", "page-1")];
    let response = browser.post("/tickets", &form).await;
    assert_eq!(
        browser.post("/tickets", &form).await.redirect(),
        response.redirect(),
        "a repeat created a second ticket"
    );
    browser.post("/tickets", &[("project", "acme"), ("status", TODO), ("title", "Second")]).await;
    let board = browser.get(response.redirect().1).await;
    assert!(board.contains("ACME-1") && board.contains("ACME-2") && !board.contains("ACME-3"), "{}", board.body);
    assert!(board.contains("&#60;script&#62;") && !board.contains(HOSTILE), "{}", board.body);
    let place = |key: &str| board.body.find(&format!("id=\"card-{key}\"")).unwrap();
    assert!(place("ACME-2") < place("ACME-1"), "the new card is not on top: {}", board.body);
    assert!(!board.contains("id=\"decision\""), "a new ticket is answered by a notice: {}", board.body);
    assert_eq!(story.ticket("ACME-2").await.status, TODO);
    let refused = browser.post("/tickets", &[("project", "acme"), ("title", &"x".repeat(301))]).await;
    assert!(refused.status == 422 && refused.contains(r#"value="ACME-3""#), "{}", refused.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn board_search_shows_only_matching_tickets() {
    let (story, browser) = Story::with_browser().await;
    with_ticket(&story, &browser, "ACME-1", "Export orders", "api, csv").await;
    with_ticket(&story, &browser, "ACME-2", "Rename the page", "copy").await;
    for (query, found) in [
        ("q=EXPORT", [true, false]),
        ("q=acme-2", [false, true]),
        ("q=csv+orders", [true, false]),
        ("label=copy", [false, true]),
        ("repository=ACME%2FApp", [true, true]),
        ("q=export&label=copy", [false, false]),
        ("q=%3Cscript%3E", [false, false]),
    ] {
        let page = browser.get(&format!("/board?project=acme&{query}")).await;
        let visible = ["ACME-1", "ACME-2"].map(|key| page.contains(&format!("id=\"card-{key}\"")));
        assert_eq!(visible, found, "{query}");
        assert_eq!(page.contains("No ticket matches"), found == [false, false], "{query}");
        assert!(page.contains("Clear</a>") && !page.contains("<script>"), "{query}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn board_of_many_tickets_says_that_it_shows_a_part() {
    let (story, browser) = Story::with_browser().await;
    let note = "This page has a part of the project’s tickets";
    for number in 1..=201 {
        if number == 200 {
            assert!(!browser.get("/board?project=acme").await.contains(note));
        }
        let ticket = json!({ "project": "acme", "key": format!("ACME-{number:03}"), "title": "One", "status": TODO });
        story.api.create_ticket(&serde_json::from_value(ticket).unwrap(), None).await.unwrap();
    }
    let page = browser.get("/board?project=acme").await;
    page.assert_contains(&[note, "Show 140 more"]);
    let next = page.body.split_once("class=\"link\" href=\"/board?").unwrap().1.split('"').next().unwrap();
    let next = browser.get(&format!("/board?{}", next.replace("&amp;", "&").replace("&#38;", "&"))).await;
    next.assert_contains(&[note, "id=\"card-ACME-201\""]);
}

#[tokio::test(flavor = "multi_thread")]
async fn ticket_form_edits_the_text_unless_it_is_outdated() {
    let (story, browser) = Story::with_browser().await;
    with_ticket(&story, &browser, "ACME-1", "Export orders", "api").await;
    let page = browser.get("/tickets/ACME-1?project=acme&edit=1").await;
    let (based_on, form_key) = (hidden(&page.body, "based_on"), hidden(&page.body, "form_key"));
    let path = "/tickets/ACME-1/edit?project=acme";
    let description = format!("# Goal\r\n\r\n**CSV** {HOSTILE}");
    let mut form = vec![("title", "Export as CSV"), ("description", description.as_str()), ("labels", "csv, api")];
    form.extend([("repository", ""), ("based_on", based_on), ("form_key", form_key)]);
    let saved = browser.post(path, &form).await;
    assert_eq!(saved.redirect(), (303, "/tickets/ACME-1?project=acme"), "{}", saved.body);
    let page = browser.get(saved.redirect().1).await;
    assert!(page.contains("<h2>Goal</h2>") && page.contains("<strong>CSV</strong>"), "{}", page.body);
    assert!(!page.contains(HOSTILE) && !page.contains("based_on"), "{}", page.body);
    let ticket = story.ticket("ACME-1").await;
    assert_eq!((ticket.title.as_str(), ticket.labels.len()), ("Export as CSV", 2));

    let late = browser.post(path, &[("title", "Mine"), ("based_on", based_on)]).await;
    assert_eq!(late.status, 409, "{}", late.body);
    assert!(late.contains("was edited after you opened it") && late.contains(r#"value="Mine""#), "{}", late.body);
    assert!(late.contains("<strong>CSV</strong>"), "the current text is missing: {}", late.body);
    let again = browser.post(path, &[("title", "Mine"), ("based_on", hidden(&late.body, "based_on"))]).await;
    assert_eq!(again.status, 303, "{}", again.body);
    assert_eq!(story.ticket("ACME-1").await.title, "Mine");
    assert_eq!(browser.post(path, &[("title", " ")]).await.status, 422);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_part_of_a_ticket_page_refreshes() {
    let (story, browser) = Story::with_browser().await;
    with_ticket(&story, &browser, "ACME-1", "Export orders", "api").await;
    let page = "/tickets/ACME-1?project=acme";
    let check = async |interval: u32| {
        let page = browser.get(page).await;
        for part in ["heading", "actions", "text", "comments", "list", "reviews", "facts"] {
            page.assert_contains(&[&format!(r#"id="{part}" data-refresh="{interval}""#)]);
        }
    };
    check(30_000).await;
    browser.post("/tickets/ACME-1/move?project=acme", &[("status", TRIGGER)]).await;
    check(5_000).await;
    // The script would load the address of the refused form again.
    let refused = browser.post("/tickets/ACME-1/comments?project=acme", &[("text", " ")]).await;
    assert!(refused.status == 422 && refused.contains(r#"id="comments" data-refresh="0""#), "{}", refused.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn comment_is_added_edited_and_deleted_on_the_page() {
    let (story, browser) = Story::with_browser().await;
    let ana = Browser::with(&story, &[Scope::Read, Scope::Jobs], None).await;
    with_ticket(&story, &browser, "ACME-1", "Export orders", "api").await;
    let (page, path) = ("/tickets/ACME-1?project=acme", "/tickets/ACME-1/comments?project=acme");
    let text = format!("Use **tabs**.\r\n{HOSTILE}");
    for _ in 0..2 {
        let added = ana.post(path, &[("text", &text), ("form_key", "page-1")]).await;
        assert_eq!(added.redirect(), (303, "/tickets/ACME-1?project=acme#comment-1"), "{}", added.body);
    }
    browser.post(path, &[("text", "Use spaces.")]).await;
    let view = ana.get(page).await;
    assert!(view.contains("<strong>tabs</strong>") && !view.contains(HOSTILE), "{}", view.body);
    assert!(view.contains("comments/1/edit?") || view.contains("comment=1#comment-1"), "{}", view.body);
    assert!(!view.contains("comment=2#comment-2"), "another author's comment has a button");
    let refused = ana.post(path, &[("text", &"x".repeat(17_000))]).await;
    assert!(refused.status == 422 && refused.contains("bad-comment") && refused.contains("xxx</textarea>"));

    let form = ana.get(&format!("{page}&comment=1")).await;
    assert!(form.contains(r#"<textarea id="text-1""#) && form.contains("Use **tabs**."), "{}", form.body);
    let edit = |number: u32| format!("/tickets/ACME-1/comments/{number}/edit?project=acme");
    let blank = ana.post(&edit(1), &[("text", " ")]).await;
    assert!(blank.status == 422 && blank.contains("bad-1"), "{}", blank.body);
    assert_eq!(ana.post(&edit(1), &[("text", "Use both.")]).await.status, 303);
    let other = ana.post(&edit(2), &[("text", "No.")]).await;
    assert!(other.status == 409 && other.contains("Comment 2 is by"), "{}", other.body);
    let delete = |number: u32| format!("/setup/tickets/ACME-1/comments/{number}/delete?project=acme");
    assert_eq!(ana.post(&delete(2), &[("x", "y")]).await.status, 409);
    assert_eq!(
        browser.post(&delete(1), &[("x", "y")]).await.redirect(),
        (303, "/tickets/ACME-1?project=acme#comments")
    );
    let view = browser.get(page).await;
    assert!(!view.contains("Use both.") && view.contains("Use spaces."), "{}", view.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn ticket_is_deleted_by_page_and_command_without_active_job() {
    let story = Story::start_with_waiting_tasks().await;
    let (browser, user) = (Browser::admin(&story).await, User::of(&story));
    let job = story.create_job("e1", "APP-1", 1).await;
    let path = "/setup/tickets/APP-1/delete?project=acme";
    let refused = browser.post(path, &[("x", "y")]).await;
    assert!(refused.status == 409 && refused.contains("and has not ended"), "{}", refused.body);
    user.run(&["tickets", "delete", "APP-1", "--yes"]).await.assert_exit(3, "and has not ended");
    browser.post(&format!("/jobs/{job}/cancel"), &[]).await;
    assert!(browser.get("/tickets/APP-1?project=acme").await.contains("Delete ticket"));
    assert_eq!(browser.post(path, &[("x", "y")]).await.redirect(), (303, "/board?project=acme"));
    assert!(!browser.get("/board").await.contains("APP-1"));
    assert_eq!(browser.get("/tickets/APP-1?project=acme").await.status, 404);
    assert_eq!(browser.get(&format!("/jobs/{job}")).await.status, 200, "its job is gone");
    assert_eq!(browser.post(path, &[("x", "y")]).await.status, 404);

    assert_ne!(story.send_ticket_event("e2", "APP-2", TODO, 2).await.verdict, Verdict::Accepted);
    user.ok(&["tickets", "delete", "APP-2", "--yes"]).await;
    assert_eq!(browser.get("/tickets/APP-2?project=acme").await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn menu_of_a_card_leads_to_the_form_of_a_raise() {
    let (story, browser) = Story::with_browser().await;
    story.send_ticket_event("e1", "APP-1", TODO, 1).await;
    let menu = browser.get("/tickets/APP-1?project=acme&move=1").await;
    menu.assert_contains(&["href=\"/tickets/APP-1?project=acme&amp;raise=1\">Raise limits…</a>"]);
    let page = browser.get("/tickets/APP-1?project=acme&raise=1").await;
    page.assert_contains(&["<details class=\"menu\" open>", "action=\"/tickets/APP-1/raise?project=acme\""]);
}
