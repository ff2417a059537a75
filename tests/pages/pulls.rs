//! The page of a pull request of the local forge: a reviewer's story, refused forms, hostile text.

use super::job_pages::{HOSTILE, assert_harmless};
use super::{Answer, Browser};
use crate::prelude::*;
use crate::pulls::{link_new_ticket, open_pull};
use pullyard_protocol::integration::CreateIntegration;
use pullyard_protocol::project::AddRepository;

const OWN: &str = "acme/own";
const FILE: &str = "src/a.rs";
/// The title of a draft.
const DRAFT: &str = "Not yet";

/// A story whose project has a repository of the integration `local`, and the address of its pull requests' pages.
async fn with_local_repository(setup: Setup) -> (Story, Browser, String) {
    let story = Story::start_with(setup).await;
    let forge = story.local.forge();
    let files = [(FILE, "one\ntwo\n", false), ("agent.sh", WORKING_AGENT, true)];
    let repository = forge.create_repository(OWN, "main", &files).await.unwrap();
    let local = IntegrationId::new("local").unwrap();
    let connect = CreateIntegration {
        id: local.clone(),
        kind: ForgeKind::GitHub,
        api_url: forge.api_url(),
        token_secret: story.local.forge_secret().into(),
    };
    story.api.create_integration(&connect).await.unwrap();
    let agent = Agent { capability: "command".into(), command: vec!["./agent.sh".into()], model: None };
    let add = AddRepository::new(local, RepositoryName::new(OWN).unwrap(), agent);
    story.api.add_repository(&story.project, &add).await.unwrap();
    story.update_settings(|settings| settings.revise_on_review = true).await;
    let browser = Browser::admin(&story).await;
    (story, browser, format!("/pulls/local/{}", repository.id))
}

async fn open_local_pull(story: &Story, text: &str, (path, content): (&str, &str)) -> u64 {
    story.local.forge().commit(OWN, "job", "pullyard-bot", &[(path, content, false)]).await.unwrap();
    let url = format!("{}/repos/{OWN}/pulls", story.local.forge().api_url());
    let body = json!({ "title": text, "head": "job", "base": "main", "body": text, "draft": text == DRAFT });
    let call = reqwest::Client::builder().no_proxy().build().unwrap().post(url).bearer_auth(story.forge_token());
    let answer: Value = call.body(body.to_string()).send().await.unwrap().json().await.unwrap();
    answer["number"].as_u64().unwrap()
}

fn field<'a>(page: &'a Answer, name: &str) -> &'a str {
    page.body.split_once(&format!("name=\"{name}\" value=\"")).unwrap().1.split('"').next().unwrap()
}

/// Sends the review form of this page with these fields.
async fn send_review(browser: &Browser, address: &str, page: &Answer, fields: &[(&str, &str)]) -> Answer {
    let hidden = ["head", "form_key"].map(|name| (name, field(page, name)));
    browser.post(&format!("{address}/review"), &[&hidden[..], fields].concat()).await
}

async fn review(browser: &Browser, address: &str, fields: &[(&str, &str)]) -> Answer {
    send_review(browser, address, &browser.get(address).await, fields).await
}

#[tokio::test(flavor = "multi_thread")]
async fn reviewer_revises_and_merges_on_the_page() {
    let (story, browser, pulls) = with_local_repository(Setup::default()).await;
    let mut event = story.event("e1", "APP-1", TRIGGER, 1);
    event.ticket.repository = Some(RepositoryName::new(OWN).unwrap());
    let job = story.api.send_ticket_event(&event).await.unwrap().job.unwrap();
    let job = story.wait_for_end(&job).await;
    let result = job.result.as_ref().unwrap();
    story.wait_for_settled_ticket("APP-1").await;
    let address = format!("{pulls}/{}", result.number);
    for path in ["/board?project=acme", "/tickets/APP-1?project=acme", "/", &format!("/jobs/{}", job.id)] {
        browser.get(path).await.assert_contains(&[&format!("href=\"{address}\"")]);
    }
    let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy().build().unwrap();
    let at_forge = http.get(&result.url).send().await.unwrap();
    assert_eq!(at_forge.headers()["location"], format!("{}{address}", story.local.api_url()));

    let page = browser.get(&address).await;
    page.assert_contains(&[&format!("<code class=\"keep\">{}</code>", &result.head[..12])]);
    page.assert_contains(&["About APP-1", "Open", &result.branch, "/tickets/APP-1?project=acme", job.id.as_str()]);
    let path = page.body.split_once("data-path=\"").unwrap().1.split('"').next().unwrap();
    let place = format!("{path}:1");
    let open = browser.get(&format!("{address}?at=1:1")).await;
    open.assert_contains(&[&format!("form=\"review\" name=\"at\" value=\"{place}\""), "autofocus"]);

    // No sweep runs in this story, so the form's answer is the only look at the forge.
    let form = [("verdict", "request_changes"), ("summary", ""), ("at", &place), ("comment", "Say **why**.")];
    let sent = review(&browser, &address, &form).await;
    assert_eq!(sent.redirect(), (303, format!("{address}#conversation").as_str()));
    let revision = story.jobs().await.into_iter().find(|job| job.kind == JobKind::Revise).expect("a revision starts");
    browser.get(&address).await.assert_contains(&["Say <strong>why</strong>.", "class=\"talk\"", "local-user"]);
    assert_eq!(story.wait_for_end(&revision.id).await.status, JobStatus::Completed);
    story.wait_for_settled_ticket("APP-1").await;
    let request = browser.get(&format!("/jobs/{}/log", revision.id)).await;
    request.assert_contains(&[&format!("href=\"{address}#discussion_r")]);

    // The script loads the page again, because only its heading and its facts refresh.
    let version =
        |page: &Answer| page.body.split_once("data-version=\"").unwrap().1.split('"').next().unwrap().to_owned();
    let revised = browser.get(&address).await;
    assert_ne!(version(&page), version(&revised));
    assert_eq!(version(&revised), version(&browser.get(&address).await));
    let describe = async |text: &str| {
        let url = format!("{}/repos/{OWN}/pulls/{}", story.local.forge().api_url(), result.number);
        let call = http.patch(url).bearer_auth(story.forge_token()).body(json!({ "body": text }).to_string());
        assert_eq!(call.send().await.unwrap().status(), 200);
        version(&browser.get(&address).await)
    };
    assert_ne!(describe("One.").await, describe("Two.").await, "the version has the length of the text only");

    let old = browser.post(&format!("{address}/state"), &[("state", "merged"), ("head", field(&page, "head"))]).await;
    assert_eq!(old.status, 409);
    old.assert_contains(&["A branch has new commits: look at the changes again, then merge."]);
    let approved = review(&browser, &address, &[("verdict", "approve"), ("summary", "Fine.")]).await;
    assert_eq!(approved.status, 303);
    let page = browser.get(&address).await;
    page.assert_contains(&["approved", "Fine."]);
    let merge = [("state", "merged"), ("head", field(&page, "head"))];
    assert_eq!(browser.post(&format!("{address}/state"), &merge).await.redirect(), (303, address.as_str()));
    assert_eq!(story.ticket("APP-1").await.status, "Done");
    let page = browser.get(&address).await;
    page.assert_contains(&[
        "Merged by</dt><dd>local-user as <code>",
        "by pullyard-bot</dd>",
        "<dt>Commits</dt><dd>2</dd>",
    ]);
    assert!(!page.contains("name=\"state\"") && !page.contains("name=\"verdict\""), "{}", page.body);

    // The ticket still links to the page, but another project may own the repository now.
    story.api.remove_repository(&story.project, &RepositoryName::new(OWN).unwrap()).await.unwrap();
    let posted = browser.post(&format!("{address}/state"), &[("state", "open")]).await;
    for removed in [browser.get(&address).await, posted] {
        assert_eq!(removed.status, 404);
        removed.assert_contains(&["acme has removed the repository of pull request #1.", "The ticket APP-1 stays."]);
        assert!(!removed.contains("Merged by") && !removed.contains("<strong>why"), "{}", removed.body);
    }
    let typed = [("verdict", "comment"), ("summary", "Not lost.")];
    let removed = browser.post(&format!("{address}/review"), &typed).await;
    assert_eq!(removed.status, 404);
    removed.assert_contains(&["readonly>Not lost.</textarea>"]);
    check_hidden_from_other_projects(&story, &address).await;
}

async fn check_hidden_from_other_projects(story: &Story, address: &str) {
    let other = Browser::with(story, &[Scope::Read, Scope::Jobs], Some(&["other"])).await;
    assert_eq!(other.get(address).await.status, 404);
    for (form, field) in [("state", ("state", "closed")), ("review", ("verdict", "approve"))] {
        assert_eq!(other.post(&format!("{address}/{form}"), &[field]).await.status, 404, "{form}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn review_is_sent_once_and_for_the_commit_on_the_page() {
    let (story, browser, pulls) = with_local_repository(Setup { task: Task::Waiting, ..Setup::default() }).await;
    let address = format!("{pulls}/{}", open_local_pull(&story, "Change it", (FILE, "one\n2\n")).await);
    let page = browser.get(&address).await;
    let form = [("verdict", "comment"), ("summary", "Well."), ("at", "src/a.rs:2"), ("comment", "Two?")];
    for _ in 0..2 {
        assert_eq!(send_review(&browser, &address, &page, &form).await.status, 303);
    }
    let sent = browser.get(&address).await;
    // Commands are comments on the whole pull request, also if there are comments at lines.
    for anchor in ["id=\"issuecomment-", "id=\"discussion_r"] {
        assert_eq!(sent.body.matches(anchor).count(), 1, "{anchor}: {}", sent.body);
    }
    story.local.forge().commit(OWN, "job", "pullyard-bot", &[(FILE, "one\n3\n", false)]).await.unwrap();
    for verdict in ["approve", "request_changes"] {
        let form = [("verdict", verdict), ("summary", "Kept."), ("at", "src/a.rs:2"), ("comment", "Also kept.")];
        let moved = send_review(&browser, &address, &sent, &form).await;
        assert_eq!(moved.status, 409);
        moved.assert_contains(&["The branch has new commits", ">Kept.</textarea>", ">Also kept.</textarea>"]);
        moved.assert_contains(&[&format!("written for {}</span>", &field(&sent, "head")[..12])]);
        // The address of the refused form has no page.
        moved.assert_contains(&[
            &format!("href=\"{address}#changes\">Discard"),
            &format!("href=\"{address}?at=1:2#at\""),
        ]);
        assert!(!moved.contains("href=\"?"), "{}", moved.body);
        assert_eq!(send_review(&browser, &address, &moved, &form).await.status, 303);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn draft_cannot_be_merged_on_the_page() {
    let (story, browser, pulls) = with_local_repository(Setup { task: Task::Waiting, ..Setup::default() }).await;
    let address = format!("{pulls}/{}", open_local_pull(&story, DRAFT, (FILE, "one\n2\n")).await);
    let page = browser.get(&address).await;
    page.assert_contains(&[
        ">Draft</",
        "This is a draft, for example because a check failed, and cannot be merged here.",
        "value=\"closed\"",
        "name=\"verdict\"",
    ]);
    assert!(!page.contains("value=\"merged\""), "{}", page.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_forms_keep_the_text_and_name_the_reason() {
    let (story, browser, pulls) = with_local_repository(Setup { task: Task::Waiting, ..Setup::default() }).await;
    let address = format!("{pulls}/{}", open_local_pull(&story, "Change it", (FILE, "one\n2\n")).await);
    check_hidden_from_other_projects(&story, &address).await;
    let at = |place: &'static str| [("verdict", "comment"), ("summary", "Kept."), ("at", place), ("comment", "Lost?")];
    let (inside, outside, foreign) = (at("src/a.rs:2"), at("src/a.rs:99"), at("src/b.rs:1"));
    for (form, status, sentence) in [
        (&[("verdict", "request_changes"), ("summary", " ")][..], 422, "Write a comment first"),
        (&outside, 409, "the changes do not show src/a.rs:99. Delete this comment, or write it at another line."),
        (&foreign, 409, "Path could not be resolved: the changes do not show src/b.rs:1."),
        (&[("verdict", "merge"), ("summary", "Kept."), ("at", "f:2"), ("comment", "Lost?")], 422, "unknown field or"),
        (&[("at", "2"), ("comment", "x")], 422, "A comment at a line needs the line."),
    ] {
        let answer = review(&browser, &address, form).await;
        assert_eq!(answer.status, status, "{form:?}");
        answer.assert_contains(&[sentence]);
        if status == 409 {
            answer.assert_contains(&[">Kept.</textarea>", ">Lost?</textarea>"]);
            assert!(!answer.contains("Nothing was changed"), "the line comments may be stored: {}", answer.body);
        } else if form.len() == 4 {
            answer.assert_contains(&["readonly>Kept.\n\nf:2\nLost?</textarea>"]);
        }
    }
    assert_eq!(review(&browser, &address, &inside).await.status, 303);
    let merge = [("state", "merged"), ("head", "0")];
    for (form, status) in [(&[("state", "closed")][..], 303), (&merge, 409), (&[("state", "open")], 303)] {
        let answer = browser.post(&format!("{address}/state"), form).await;
        assert_eq!(answer.status, status, "{form:?}");
        if status == 409 {
            answer.assert_contains(&["is closed: reopen it, then merge.", "Reopen"]);
        }
    }
    assert_eq!(browser.post(&format!("{address}/state"), &[("state", "gone")]).await.status, 400);
    for missing in [format!("{pulls}/99"), "/pulls/local/1/1".into(), address.replace("local", "gh1")] {
        let page = browser.get(&missing).await;
        assert_eq!(page.status, 404, "{missing}");
        page.assert_contains(&["Your projects have no pull request #"]);
    }
    let reader = Browser::with(&story, &[Scope::Read], None).await;
    let page = reader.get(&format!("{address}?at=1:2")).await;
    assert!(page.status == 200 && !page.contains("<textarea") && !page.contains("?at="), "{}", page.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn totals_of_changes_count_files_beyond_the_limit() {
    let (story, browser, pulls) = with_local_repository(Setup { task: Task::Waiting, ..Setup::default() }).await;
    // Content that looks like a header is no file.
    let names: Vec<_> = (1..=70).map(|number| format!("many/{number}.txt")).collect();
    let files: Vec<_> = names.iter().map(|name| (name.as_str(), "one\ndiff --git a/x b/x\n", false)).collect();
    story.local.forge().commit(OWN, "job", "pullyard-bot", &files).await.unwrap();
    let address = format!("{pulls}/{}", open_local_pull(&story, "Change many", (FILE, "one\n2\n")).await);
    let page = browser.get(&address).await;
    let totals = "71 files, <span class=\"plus\">+141</span> <span class=\"minus\">−1</span>";
    page.assert_contains(&[totals, "11 more files are only in the branch."]);
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_pull_request_is_escaped() {
    let (story, browser, pulls) = with_local_repository(Setup { task: Task::Waiting, ..Setup::default() }).await;
    let text = format!("{HOSTILE}\n\n</details></div>\n\n<details>\n\n- <details>\n\n\u{202e}");
    let address = format!("{pulls}/{}", open_local_pull(&story, &text, (FILE, &format!("{HOSTILE}\n"))).await);
    for form in [
        [("verdict", "comment"), ("summary", text.as_str()), ("at", ""), ("comment", "")],
        [("verdict", "comment"), ("summary", HOSTILE), ("at", "src/a.rs:1"), ("comment", text.as_str())],
    ] {
        let form = if form[2].1.is_empty() { &form[..2] } else { &form[..] };
        assert_eq!(review(&browser, &address, form).await.status, 303);
    }
    let page = browser.get(&address).await;
    assert_harmless(&page);
    assert!(page.body.matches("&lt;script&gt;").count() >= 4, "{}", page.body);
    let count = |tag: &str| page.body.matches(tag).count();
    assert_eq!(count("<details"), count("</details>"));
    let typed = [("verdict", "approve"), ("summary", HOSTILE), ("at", "<b>:1"), ("comment", HOSTILE)];
    let refused = review(&browser, &address, &typed).await;
    assert_eq!(refused.status, 409);
    assert_harmless(&refused);
    let path = "a\u{202e}\"\\<b>.rs";
    story.local.forge().commit(OWN, "job", "pullyard-bot", &[(path, "one\n", false)]).await.unwrap();
    let place = format!("{path}:1");
    let form = [("verdict", "comment"), ("summary", ""), ("at", &place), ("comment", "Name?")];
    assert_eq!(review(&browser, &address, &form).await.status, 303);
    let page = browser.get(&format!("{address}?at=1:1")).await;
    page.assert_contains(&["<b>a⟨U+202E⟩&#34;\\&#60;b&#62;.rs:1</b>", "<code>a⟨U+202E⟩&#34;\\&#60;b&#62;.rs:1</code>"]);
    // Raw values are in the fields of the form only.
    let raw = page.body.matches('\u{202e}').count();
    assert_eq!(raw, page.body.matches("=\"a\u{202e}").count(), "{}", page.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn pull_request_of_a_hosted_forge_is_merged_there() {
    let (story, browser) = Story::with_browser().await;
    let number = open_pull(&story, "feature").await;
    link_new_ticket(&story, number, "APP-1").await;
    let repository = story.local.forge().repository(REPOSITORY).await.unwrap().id;
    let address = format!("/pulls/gh1/{repository}/{number}");
    let url = format!("{}/{REPOSITORY}/pull/{number}", story.local.forge().url());
    let page = browser.get(&address).await;
    assert!(page.status == 200 && page.contains(&format!("href=\"{url}\"")), "{}", page.body);
    assert!(!page.contains("name=\"state\"") && !page.contains("name=\"verdict\""), "{}", page.body);
    let refused = browser.post(&format!("{address}/state"), &[("state", "closed")]).await;
    assert_eq!(refused.status, 409);
    refused.assert_contains(&["reviewed and merged on its forge"]);
    let refused = browser.post(&format!("{address}/review"), &[("verdict", "comment"), ("summary", "")]).await;
    assert_eq!(refused.status, 409);
    refused.assert_contains(&["reviewed and merged on its forge"]);
    assert!(!refused.contains("id=\"review\""), "{}", refused.body);
}
