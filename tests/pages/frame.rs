//! Tests the sidebar, the theme and error pages.

use super::Browser;
use crate::prelude::*;
use pullyard_domain::review::pull_request::PullRequestLink;
use pullyard_domain::ticket::Badge;
use pullyard_local::Disk;
use std::sync::atomic::{AtomicU64, Ordering};

#[tokio::test(flavor = "multi_thread")]
async fn navigation_has_only_entries_that_the_scopes_allow() {
    let story = Story::start_with_waiting_tasks().await;
    let all = ["Overview", "Board", "Jobs", "Runs", "Decisions", "Repositories", "Runners", "Settings"];
    for (scopes, projects, creates, operates) in [
        (&[Scope::Admin][..], None, true, true),
        (&[Scope::Admin], Some(&["acme"][..]), true, false),
        (&[Scope::Read, Scope::Jobs], None, false, false),
    ] {
        let page = Browser::with(&story, scopes, projects).await.get("/jobs").await;
        assert!(all.iter().all(|entry| page.contains(&format!("</svg>{entry}</a>"))), "{}", page.body);
        assert_eq!(page.contains("New project…"), creates);
        let has_action = |name: &str| page.contains(&format!("{name}</a></li>"));
        assert!(has_action("New ticket") && has_action("New job"), "{}", page.body);
        assert!(page.contains(r#"<button form="sign-out">Sign out</button>"#), "{}", page.body);
        assert_eq!(["Hold or release the project", "Add repository"].map(has_action), [creates; 2]);
        assert_eq!(["Add runner", "Create token", "Set secret"].map(has_action), [operates; 3]);
        for entry in ["Tokens", "Operations"] {
            assert_eq!(
                page.contains(&format!("</svg>{entry}</a>")),
                operates,
                "{entry} for {scopes:?} of {projects:?}"
            );
        }
        assert!(page.contains(r#"href="/jobs?project=acme" data-go="j" aria-current="page""#), "{}", page.body);
        assert!(page.contains(r#"<a href="/jobs?project=acme" aria-current="true">acme</a>"#), "{}", page.body);
    }
    let reader = Browser::with(&story, &[Scope::Read], None).await.get("/jobs").await;
    assert!(!reader.contains("New ticket") && reader.contains("Sign out</button></li>"), "{}", reader.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn theme_is_stored_in_a_cookie_and_rendered() {
    let story = Story::start_with_waiting_tasks().await;
    let mut browser = Browser::admin(&story).await;
    let from = [("sec-fetch-site", "same-origin"), ("referer", "http://x.example/jobs?project=acme")];
    let set = browser.ask(Method::POST, "/theme", &from, &[("theme", "dark")]).await;
    assert_eq!(set.redirect(), (303, "/jobs?project=acme"));
    let cookie = set.header("set-cookie");
    assert!(cookie.starts_with("theme=dark; Path=/; Max-Age=31536000; HttpOnly; SameSite=Lax"), "{cookie}");
    assert!(!browser.get("/jobs").await.contains("data-theme"));
    let signed_in = browser.cookie.clone().unwrap();
    for (theme, has_theme) in [("dark", true), ("light", true), ("x\"><script>", false)] {
        browser.cookie = Some(format!("{signed_in}; theme={theme}"));
        for path in ["/jobs", "/nope"] {
            let page = browser.get(path).await;
            assert_eq!(
                page.contains(&format!("<html lang=\"en\" data-theme=\"{theme}\">")),
                has_theme,
                "{path} {theme}"
            );
        }
    }
    for theme in ["system", "x; Domain=evil.example"] {
        let reset = browser.post("/theme", &[("theme", theme)]).await;
        assert!(reset.header("set-cookie").starts_with("theme=; Path=/; Max-Age=0;"), "{theme}");
    }
}

/// Creates 180 tickets with the heaviest usual cards: all have a pull request, half a waiting job, half a badge.
async fn fill_board(story: &Story) {
    // Without a runner, each job waits.
    story.update_settings(|settings| settings.compute = Compute::Runners).await;
    let store = story.store().await;
    for number in 1..=180 {
        let title = format!("Describe in the guide how an export of order {number} begins");
        let status = [TRIGGER, "Done"][number as usize % 2];
        let key = TicketKey::new(format!("ACME-{number}")).unwrap();
        let ticket =
            json!({ "project": "acme", "key": key, "title": title, "status": status, "labels": ["docs", "api"] });
        story.api.create_ticket(&serde_json::from_value(ticket).unwrap(), None).await.unwrap();
        let id = PullRequestId { integration: IntegrationId::new("gh1").unwrap(), repository: 123_456_789, number };
        let url = format!("https://github.com/acme/app/pull/{number}");
        let link = PullRequestLink { id, url, branch: "pullyard/acme/app-17-1".into() };
        // The job's functions may write in between.
        loop {
            let mut ticket = store.load_ticket(&story.project, &key).await.unwrap().unwrap();
            ticket.pull_request = Some(link.clone());
            ticket.shown.pull_request = Some(link.clone());
            ticket.shown.badge = (status == "Done").then_some(Badge::AiFailed);
            if store.update_ticket(&ticket).await.unwrap() == Write::Applied {
                break;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_page_transfers_100_kb() {
    let story = Story::start_with_waiting_tasks().await;
    story.create_job("e1", "APP-1", 1).await;
    let browser = Browser::admin(&story).await;
    for path in ["/", "/board", "/jobs", "/decisions", "/setup/start", "/setup/settings", "/setup/repositories"] {
        let bytes = browser.weigh(path).await;
        assert!(bytes < 100_000, "{path} needs {bytes} bytes");
    }
    fill_board(&story).await;
    for (path, cards, hidden) in [
        ("/board", 60, [61, 60]),
        ("/board?project=acme&column=Done&from=0", 60, [42, 79]),
        ("/board?project=acme&column=Done&from=48", 54, [48, 79]),
        ("/board?project=acme&q=order+9", 27, [0, 0]),
        ("/board?project=acme&column=AI+Processing&from=0", 60, [43, 78]),
    ] {
        let (board, bytes) = (browser.get(path).await.body, browser.weigh(path).await);
        assert_eq!(board.matches("<article").count(), cards, "{path}");
        for count in hidden.into_iter().filter(|count| *count > 0) {
            assert!(board.contains(&format!("Show {count} more")), "{path}: {board}");
        }
        assert!(bytes < 100_000, "{path} needs {bytes} bytes");
        if path.contains("from=48") {
            // The other column shows few cards; a card that is dropped at its end must stay visible.
            let todo = board.split_once("id=\"hidden-79-").unwrap().1.split("</section>").next().unwrap();
            assert_eq!(todo.matches("<article").count(), 4, "{todo}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn error_page_has_a_way_back_and_its_visitors_navigation() {
    let (story, browser) = Story::with_browser().await;
    let missing = browser.get("/tickets/NO-1?project=acme").await;
    assert_eq!(missing.status, 404);
    missing.assert_contains(&[
        "<h1>There is no ticket NO-1 in project acme.</h1>",
        "<code>not_found</code>",
        "<code>/tickets/NO-1?project=acme</code>",
        r#"href="/jobs?project=acme""#,
        r#"<a class="button" href="/search?project=acme">Search</a>"#,
    ]);
    assert!(browser.get("/nope?a&b").await.contains("<code>/nope?a&#38;b</code>"));
    assert!(browser.get("/nope").await.contains("<nav"));
    let reader = Browser::with(&story, &[Scope::Read], None).await;
    let from = [("sec-fetch-site", "same-origin"), ("referer", "http://x.example/board?project=acme")];
    let refused = reader.ask(Method::POST, "/hold", &from, &[("project", "acme"), ("reason", "r")]).await;
    assert_eq!(refused.status, 403);
    assert!(refused.contains(r#"href="/board?project=acme">Go back</a>"#), "{}", refused.body);
    // A visitor without a session sees no navigation.
    let stranger = Browser::new(&story).get("/nope").await;
    assert!(stranger.status == 404 && !stranger.contains("<nav"), "{}", stranger.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn full_disk_is_named_by_readyz_and_on_every_page() {
    let free = Arc::new(AtomicU64::new(1 << 30));
    let disk = free.clone();
    let disk = Disk::new(move || Some(disk.load(Ordering::Relaxed)));
    let story = Story::start_with(Setup { task: Task::Waiting, disk, ..Setup::default() }).await;
    story.local.sweep().await.unwrap();
    let browser = Browser::admin(&story).await;
    let sentence = "The disk of this machine is full";
    let ready = async || story.request_with_headers(Method::GET, "/readyz", &[], Vec::new()).await;
    assert_eq!(ready().await.0, 200);
    assert!(!browser.get("/board").await.contains(sentence));
    free.store(0, Ordering::Relaxed);
    let (status, _, problem) = ready().await;
    assert_eq!((status, &problem["detail"]), (503, &json!("Not ready: the disk is full.")), "{problem}");
    for page in ["/", "/board", "/jobs", "/setup/settings"] {
        assert!(browser.get(page).await.contains(sentence), "{page}");
    }
    free.store(1 << 30, Ordering::Relaxed);
    assert_eq!(ready().await.0, 200);
}
