//! Tests the tabs of a job: long logs, users' messages, failures, and the diff.

use super::Browser;
use super::job_pages::{Agent, HOSTILE, assert_harmless, text};
use crate::prelude::*;

const MAX_PAGE_BYTES: usize = 100_000;

async fn start(story: &Story) -> (Browser, JobId, Agent) {
    let job = story.create_job("e1", "APP-1", 1).await;
    let agent = Agent::start_executing(story, &job).await;
    (Browser::admin(story).await, job, agent)
}

fn link_of<'a>(page: &'a str, label: &str) -> &'a str {
    let before = page.split(&format!("\">{label}</a>")).next().unwrap();
    assert!(before.len() < page.len(), "no link {label}: {page}");
    before.rsplit("href=\"").next().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn log_of_50000_events_is_shown_in_small_parts() {
    let story = Story::start_with_waiting_tasks().await;
    let (browser, job, mut agent) = start(&story).await;
    for batch in 0..50 {
        let hostile = "<&>".repeat(20);
        let events: Vec<_> = (1..=1_000).map(|n| text(&format!("Event {} {hostile}", batch * 1_000 + n))).collect();
        agent.send_events(&events).await;
    }
    let log = format!("/jobs/{job}/log");
    let page = browser.get(&log).await;
    assert!(page.body.len() < MAX_PAGE_BYTES, "{}", page.body.len());
    assert!(page.contains("id=\"e1.50000\"") && page.contains("data-cursor=\"1.50000\" data-next=\"250\""));
    let ids = |page: &str| -> Vec<u32> {
        page.split(" id=\"e1.").skip(1).map(|row| row.split('"').next().unwrap().parse().unwrap()).collect()
    };
    let earlier = browser.get(link_of(&page.body, "Show earlier rows")).await;
    assert!(earlier.body.len() < MAX_PAGE_BYTES, "{}", earlier.body.len());
    assert_eq!(ids(&earlier.body).last().unwrap() + 1, *ids(&page.body).first().unwrap());
    assert!(earlier.contains("data-next=\"0\""), "an earlier part asks for changes");
    let first = browser.get(link_of(&page.body, "Show from the beginning")).await;
    assert!(first.contains("id=\"e1.1\"") && !first.contains("Show earlier rows"));
    let later = browser.get(link_of(&first.body, "Show later rows")).await;
    assert_eq!(ids(&first.body).last().unwrap() + 1, *ids(&later.body).first().unwrap());
    let middle = browser.get(&format!("{log}?at=1.31415")).await;
    assert_eq!(ids(&middle.body).first(), Some(&31_415));
    // A page that was hidden for long gets the end, and a link to the part that it missed.
    let fragment = browser.fragment(&format!("/jobs/{job}?after=1.49000")).await;
    assert!(fragment.body.len() < MAX_PAGE_BYTES, "{}", fragment.body.len());
    assert!(fragment.contains("id=\"e1.50000\"") && fragment.contains(&format!("{log}?at=1.49001")));
    let searched = browser.get(&format!("{log}?q=eVENT+31415")).await;
    assert!(searched.contains("Searched 50000 of 50000 events") && !searched.contains("Continue"));
    assert!(searched.contains(&format!("{log}?at=1.31415#e1.31415")), "{}", searched.body);
    let many = browser.get(&format!("{log}?q=Event")).await;
    assert!(many.contains("Searched 100 of 50000 events") && many.body.len() < MAX_PAGE_BYTES);
    browser
        .get(&link_of(&many.body, "Continue").replace("&#38;", "&"))
        .await
        .assert_contains(&["Searched 200 of 50000 events", "#e1.101\""]);
    for bad in ["at=x", "before=1", "after=1.x"] {
        assert_eq!(browser.get(&format!("{log}?{bad}")).await.status, 400, "{bad}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn long_text_is_cut_and_has_its_own_page() {
    let story = Story::start_with_waiting_tasks().await;
    let (browser, job, mut agent) = start(&story).await;
    let lines = (1..=500).map(|n| format!("line {n} <b>")).collect::<Vec<_>>().join("\n");
    let result = json!({ "kind": "tool_result", "call": "c1", "text": lines, "data": { "exit_code": 1 } });
    agent
        .send_events(&[
            json!({ "kind": "command", "call": "c1", "text": "npm test" }),
            result,
            text(&"w".repeat(5_000)),
            text(&">".repeat(60_000)),
            text("**bold** \u{202e}[x](javascript:alert(1)) \u{1b}[31m"),
        ])
        .await;
    let page = browser.get(&format!("/jobs/{job}/log")).await;
    assert!(page.body.len() < MAX_PAGE_BYTES, "{}", page.body.len());
    assert!(page.contains("… 460 more lines …") && !page.contains("line 200 "), "{}", page.body);
    assert!(page.contains("<details class=\"step\" open>") && page.contains(">exit 1"), "a failure is closed");
    assert!(page.contains("<strong>bold</strong> ⟨U+202E⟩<a>x</a> ␛[31m"), "{}", page.body);
    assert_harmless(&page);
    let full_page = browser.get(link_of(&page.body, "Show all")).await;
    assert!(
        full_page.contains("line 200 &#60;b&#62;") && full_page.body.len() < MAX_PAGE_BYTES,
        "{}",
        full_page.body.len()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn neighbouring_reads_fold_and_failures_do_not() {
    let story = Story::start_with_waiting_tasks().await;
    let (browser, job, mut agent) = start(&story).await;
    let read = |path: &str| json!({ "kind": "tool_call", "name": "read", "path": path, "call": path });
    let mut events: Vec<_> = ["a", "b", "c", "d"].map(read).into();
    events.push(json!({ "kind": "tool_result", "call": "d", "data": { "failed": true } }));
    events.extend((0..4).map(|n| json!({ "kind": "command", "text": format!("make {n}") })));
    events.extend((0..5).map(|_| json!({ "kind": "log", "text": "repeated-line" })));
    agent.send_events(&events).await;
    let page = browser.get(&format!("/jobs/{job}")).await;
    let folds: Vec<_> = page.body.split("<details class=\"fold\">").collect();
    assert_eq!(folds.len(), 2, "{}", page.body);
    assert!(folds[1].contains("Read 3 files <span class=\"arg\">a, b and 1 more</span>"), "{}", folds[1]);
    let (inside, after) = folds[1].split_once("</details>").unwrap();
    assert!(inside.contains("id=\"e1.3\"") && after.contains("id=\"e1.4\"") && after.contains("make 3"), "{after}");
    assert!(after.contains("repeated-line × 5") && after.matches("repeated-line").count() == 1, "{after}");
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_of_users_have_their_place_in_the_log() {
    let story = Story::start_with_waiting_tasks().await;
    story.set_agent("codex").await;
    let (browser, job, mut agent) = start(&story).await;
    let address = format!("/jobs/{job}");
    agent.send_events(&[text("before")]).await;
    story.advance_and_sweep(Duration::from_secs(1)).await;
    let form = [("text", "Use an <b>empty</b> list."), ("form_key", "form-1")];
    assert_eq!(browser.post(&format!("{address}/answer"), &form).await.status, 303);
    let fragment = browser.fragment(&format!("{address}?after=1.1")).await;
    fragment.assert_contains(&["id=\"m1\"", "not read yet", "data-read=\"0\""]);
    assert_eq!(fragment.header("pullyard-cursor"), "1.1.1");
    story.advance_and_sweep(Duration::from_secs(1)).await;
    agent
        .send_events(&[
            json!({ "kind": "steer", "name": "rita", "text": "Use an <b>empty</b> list.", "data": { "input": 1 } }),
            text("after"),
        ])
        .await;
    let fragment = browser.fragment(&format!("{address}?after=1.1.1")).await;
    assert!(!fragment.contains("id=\"m1\"") && fragment.contains("The agent received the message of rita."));

    let question = yield_request(Some("Which <b>list</b>?"), 1);
    agent.client.yield_job(&question).await.unwrap();
    browser.fragment(&format!("{address}?after=1.1.1")).await.assert_contains(&["data-read=\"1\""]);
    browser.get(&address).await.assert_contains(&["The work so far is discarded; nothing is published."]);
    story.advance_and_sweep(Duration::from_secs(1)).await;
    assert_eq!(browser.post(&format!("{address}/answer"), &[("text", "The second one.")]).await.status, 303);
    let page = browser.get(&address).await;
    let at = |text: &str| page.body.find(text).unwrap_or_else(|| panic!("{text}: {}", page.body));
    let order = [at("before"), at("Use an &#60;b&#62;empty"), at("after</p>"), at("The second one.")];
    assert!(order.is_sorted() && page.contains("<span class=\"arg\">answered</span>"), "{order:?} {}", page.body);
    assert_eq!(page.body.matches("Use an &#60;b&#62;empty").count(), 1, "the message is shown twice");
    let reader = Browser::with(&story, &[Scope::Read], None).await;
    assert!(
        reader.get(&address).await.contains("The second one.")
            && !reader.get(&address).await.contains("<form class=\"steer\"")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_job_links_the_failed_command() {
    let story = Story::start_with_waiting_tasks().await;
    let (browser, job, mut agent) = start(&story).await;
    agent
        .send_events(&[
            json!({ "kind": "command", "call": "setup-1", "text": "npm ci" }),
            json!({ "kind": "tool_result", "call": "setup-1", "text": "no lock", "data": { "end": "exit code 1", "took_ms": 2_140 } }),
            text("later"),
        ])
        .await;
    let failure = json!({ "code": "setup_failed", "command": "npm ci", "exit": "exit code 1" });
    agent.finish(json!({ "finish_id": "f1", "outcome": "failed", "failure": failure })).await;
    let page = browser.get(&format!("/jobs/{job}")).await;
    page.assert_contains(&[
        "Setup `npm ci` failed with exit code 1.",
        "class=\"ev row fails\" id=\"e1.1\"",
        ">exit 1 · 2.1 s</span>",
        ">Retry</button>",
        "<li class=\"failed\">",
    ]);
    assert_eq!(link_of(&page.body, "Show it in the log"), format!("/jobs/{job}/log#e1.1"));
}

fn patch() -> String {
    let long = "w".repeat(5_000);
    format!(
        "diff --git a/src/a.rs b/src/a.rs\n--- a/src/a.rs\n+++ b/src/a.rs\n@@ -10,3 +10,3 @@ fn page()\n same\n-old {HOSTILE}\n+new \u{202e}\n+++ not a header\n--- sql\ndiff --git a/w b/w\nnew file mode 100644\n--- /dev/null\n+++ b/w\n@@ -0,0 +1,2 @@\n+{long}\n+\u{1b}[31mred\ndiff --git a/{HOSTILE} b/{HOSTILE}\ndeleted file mode 100644\n"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_show_the_stored_patch_per_file() {
    let story = Story::start_with_waiting_tasks().await;
    let (browser, job, agent) = start(&story).await;
    let tab = format!("/jobs/{job}/changes");
    assert!(browser.get(&tab).await.contains("No changes are stored"));
    let patch = patch();
    store_artifact(&agent.client, ArtifactKind::Patch, "changes.patch", patch.as_bytes()).await;
    let page = browser.get(&tab).await;
    page.assert_contains(&[
        "3 files",
        "<details class=\"panel\" id=\"f1\" open>",
        "<td class=\"n\" data-n=\"11\"></td><td class=\"n\"></td><td class=\"s\" data-s=\"−\"></td><td>old &#60;script&#62;",
        "<td class=\"n\"></td><td class=\"n\" data-n=\"11\"></td><td class=\"s\" data-s=\"+\"></td><td>new ⟨U+202E⟩",
        "<td>++ not a header</td>",
        "<td>-- sql</td>",
        "<span class=\"tag\">created</span>",
        "<td>red</td>",
        "<span class=\"tag\">deleted</span>",
    ]);
    assert!(!page.contains(&"w".repeat(501)), "a long line is not cut");
    assert_harmless(&page);
}

#[tokio::test(flavor = "multi_thread")]
async fn large_patch_is_shown_in_part_and_per_file() {
    let story = Story::start_with_waiting_tasks().await;
    let (browser, job, agent) = start(&story).await;
    let file = |name: &str| {
        let lines = (1..=900).map(|n| format!("+line {n} of {name}\n")).collect::<String>();
        format!("diff --git a/{name} b/{name}\n--- a/{name}\n+++ b/{name}\n@@ -0,0 +1,900 @@\n{lines}")
    };
    let patch = ["one.rs", "two.rs"].map(file).concat();
    store_artifact(&agent.client, ArtifactKind::Patch, "changes.patch", patch.as_bytes()).await;
    let page = browser.get(&format!("/jobs/{job}/changes")).await;
    assert!(page.body.len() < MAX_PAGE_BYTES && page.contains("more lines."), "{}", page.body.len());
    assert!(!page.contains("line 1 of two.rs"), "{}", page.body);
    let second = browser.get(&format!("/jobs/{job}/changes?file=2")).await;
    assert!(second.contains("line 1 of two.rs") && !second.contains("line 1 of one.rs"), "{}", second.body);
    assert!(second.body.len() < MAX_PAGE_BYTES && second.contains("Show all files"));
}
