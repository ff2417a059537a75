//! Bitbucket's webhooks: authorization, refusals, and events caused through either API.

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::{
    listener::{Heard, Listener},
    world::{ANN, BOT, EVE, REPOSITORY, RON, World},
};

const SECRET: &str = "hush";
const REQUESTED: &str = "pullrequest:changes_request_created";
const REMOVED: &str = "pullrequest:changes_request_removed";
const SAID: &str = "pullrequest:comment_created";

fn wanted(url: &str, events: &[&str]) -> Value {
    json!({ "description": "Pullyard", "url": url, "active": true, "secret": SECRET, "events": events })
}

/// The path of a hook by its UUID.
fn named(place: &str, hook: &Value) -> String {
    let uuid = hook["uuid"].as_str().unwrap();
    assert!(uuid.starts_with('{') && uuid.len() == 38, "{uuid}");
    format!("{place}/%7B{}%7D", uuid.trim_matches(['{', '}']))
}

/// Creates a repository hook with these events; also returns its path.
async fn listening(events: &[&str]) -> (World, Listener, String) {
    let (world, listener) = (World::new().await, Listener::start().await);
    let made = world.send(BOT, "hooks", wanted(&listener.url, events)).await;
    assert_eq!(made.status, 201, "{}", made.body);
    let path = named("hooks", &made.body);
    (world, listener, path)
}

async fn heard(world: &World, listener: &Listener) -> Vec<Heard> {
    world.forge.deliveries_settled().await;
    listener.heard()
}

async fn whats(world: &World, listener: &Listener) -> Vec<String> {
    heard(world, listener).await.iter().map(Heard::what).collect()
}

/// The only delivery since the last call.
async fn only(world: &World, listener: &Listener, key: &str) -> Heard {
    let heard = heard(world, listener).await;
    let told: Vec<String> = heard.iter().map(Heard::what).collect();
    assert_eq!(told, [key]);
    heard[0].clone()
}

fn signed(heard: &Heard) -> bool {
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
    mac.update(&heard.raw);
    let hex = data_encoding::HEXLOWER.encode(&mac.finalize().into_bytes());
    heard.header("x-hub-signature") == format!("sha256={hex}")
}

#[tokio::test]
async fn hook_is_edited_and_deleted_and_hides_its_secret() {
    let (world, listener, path) = listening(&["repo:updated", SAID]).await;
    let shown = world.read(BOT, &path).await;
    let body = &shown.body;
    assert_eq!((shown.status, &body["url"], &body["active"]), (200, &json!(listener.url), &json!(true)));
    assert_eq!((&body["description"], &body["subject_type"]), (&json!("Pullyard"), &json!("repository")));
    assert_eq!((&body["events"], &body["secret_set"]), (&json!([SAID, "repo:updated"]), &json!(true)));
    assert!(!body.to_string().contains(SECRET), "{body}");
    assert_eq!(body["subject"]["full_name"], json!(REPOSITORY));
    let list = world.read(BOT, "hooks?pagelen=100").await.body;
    assert_eq!((&list["size"], &list["values"][0]), (&json!(1), body));
    assert!(whats(&world, &listener).await.is_empty(), "no ping is sent");

    let changed = world.put(BOT, &world.at(&path), json!({ "active": false, "events": [REQUESTED] })).await;
    assert_eq!((changed.status, &changed.body["events"]), (200, &json!([REQUESTED])));
    assert_eq!(
        (&changed.body["active"], &changed.body["secret_set"], &changed.body["url"]),
        (&json!(false), &json!(true), &json!(listener.url)),
        "omitted fields stay"
    );
    let bare = world.put(BOT, &world.at(&path), json!({ "secret": null })).await;
    assert_eq!((bare.status, &bare.body["secret_set"]), (200, &json!(false)));
    assert_eq!(world.delete(BOT, &world.at(&path)).await.status, 204);
    for gone in [world.read(BOT, &path).await, world.delete(BOT, &world.at(&path)).await] {
        assert_eq!((gone.status, &gone.body["type"]), (404, &json!("error")));
    }
    assert_eq!(world.read(BOT, "hooks").await.body["values"], json!([]));
}

#[tokio::test]
async fn invalid_hook_settings_are_rejected_by_field() {
    let (world, listener, path) = listening(&[SAID]).await;
    let url = listener.url.as_str();
    let check = async |field: &str, sent: Value| {
        let refused = world.send(BOT, "hooks", sent.clone()).await;
        assert_eq!(refused.status, 400, "{sent}: {}", refused.body);
        assert!(refused.body["error"]["fields"].get(field).is_some(), "{sent}: {}", refused.body);
    };
    check("url", json!({ "events": [SAID] })).await;
    check("events", json!({ "url": url })).await;
    check("url", wanted("ftp://x", &[SAID])).await;
    check("events", wanted(url, &[])).await;
    check("events", wanted(url, &["*"])).await;
    check("events", wanted(url, &["pull_request_review"])).await;
    for secret in [String::new(), "s".repeat(129)] {
        check("secret", json!({ "url": url, "events": [SAID], "secret": secret })).await;
    }
    let longest = json!({ "url": url, "events": [SAID], "secret": "s".repeat(128) });
    assert_eq!(world.send(BOT, "hooks", longest).await.status, 201, "two hooks may share an address");
    let changed = world.put(BOT, &world.at(&path), json!({ "events": ["party"] })).await;
    assert_eq!((changed.status, world.read(BOT, &path).await.body["events"].clone()), (400, json!([SAID])));
}

#[tokio::test]
async fn hooks_are_for_administrators_only() {
    let (world, listener, path) = listening(&[SAID]).await;
    for place in ["hooks", "/workspaces/acme/hooks"] {
        let refused = world.read(ANN, place).await;
        assert_eq!(
            (refused.status, &refused.body["error"]["detail"]["required"]),
            (403, &json!(["read:webhook:bitbucket"]))
        );
        let refused = world.send(ANN, place, wanted(&listener.url, &[SAID])).await;
        assert_eq!(
            (refused.status, &refused.body["error"]["detail"]["required"]),
            (403, &json!(["write:webhook:bitbucket"]))
        );
        assert_eq!(world.read(EVE, place).await.status, 404);
    }
    for (refused, scope) in [
        (world.put(RON, &world.at(&path), json!({ "active": false })).await, "write:webhook:bitbucket"),
        (world.delete(RON, &world.at(&path)).await, "delete:webhook:bitbucket"),
    ] {
        assert_eq!((refused.status, &refused.body["error"]["detail"]["required"]), (403, &json!([scope])));
    }
    for nowhere in ["/workspaces/none/hooks", "hooks/%7B0%7D", format!("{path}/deliveries").as_str()] {
        assert_eq!(world.read(BOT, nowhere).await.status, 404, "{nowhere}");
    }
}

#[tokio::test]
async fn workspace_hook_receives_events_of_all_its_repositories() {
    let (world, listener) = (World::new().await, Listener::start().await);
    for name in ["acme/other", "else/where"] {
        world.forge.create_repository(name, "main", &[]).await.unwrap();
    }
    let made = world.send(BOT, "/workspaces/acme/hooks", wanted(&listener.url, &[SAID, "repo:updated"])).await;
    assert_eq!((made.status, &made.body["subject_type"]), (201, &json!("workspace")));
    assert_eq!(world.read(BOT, &named("/workspaces/acme/hooks", &made.body)).await.body, made.body);
    assert_eq!(world.read(BOT, "hooks").await.body["values"], json!([]), "the repository has no hook");
    world.post(RON, "issues/1/comments", json!({ "body": "Hi" })).await;
    world.forge.rename_repository("acme/other", "acme/another", BOT).await.unwrap();
    world.forge.rename_repository("else/where", "else/there", BOT).await.unwrap();
    assert_eq!(whats(&world, &listener).await, [SAID, "repo:updated"]);
}

#[tokio::test]
async fn each_api_has_its_own_hooks_and_event_format() {
    let (world, listener, path) = listening(&[SAID]).await;
    let githubs = Listener::start().await;
    let config = json!({ "url": githubs.url, "content_type": "json", "secret": SECRET });
    let made = world.post(BOT, "hooks", json!({ "config": config, "events": ["issue_comment"] })).await;
    assert_eq!(made.status, 201, "{}", made.errors());
    assert_eq!(whats(&world, &githubs).await, ["ping -"]);
    let world = world.restarted().await;
    let list = world.get(BOT, "hooks").await.body;
    assert_eq!((list.as_array().unwrap().len(), &list[0]["id"]), (1, &made.body["id"]));
    let list = world.read(BOT, "hooks").await.body["values"].clone();
    assert_eq!((list.as_array().unwrap().len(), named("hooks", &list[0])), (1, path));

    for words in ["on GitHub's", "on Bitbucket's"] {
        let note = json!({ "body": words, "content": { "raw": words } });
        let written = match words {
            "on GitHub's" => world.post(RON, "issues/1/comments", note).await,
            _ => world.send(RON, "pullrequests/1/comments", note).await,
        };
        assert_eq!(written.status, 201, "{}", written.body);
        let here = only(&world, &listener, SAID).await;
        assert_eq!(here.body["comment"]["content"]["raw"], json!(words));
        assert!(here.headers.get("x-github-event").is_none());
        let there = only(&world, &githubs, "issue_comment created").await;
        assert_eq!(there.body["comment"]["body"], json!(words));
    }
}

#[tokio::test]
async fn change_request_and_withdrawal_are_sent_signed() {
    let (world, listener, path) = listening(&[REQUESTED, REMOVED]).await;
    let id = world.request_changes(RON, "No.").await;
    let told = only(&world, &listener, REQUESTED).await;
    assert!(signed(&told));
    assert_eq!(told.header("x-attempt-number"), "1");
    assert_eq!(told.header("x-request-uuid").len(), 36);
    assert!(path.contains(told.header("x-hook-uuid")), "{path}");
    let body = &told.body;
    let own = world.read(RON, "").await.body;
    assert_eq!((&body["repository"]["uuid"], &body["repository"]["full_name"]), (&own["uuid"], &own["full_name"]));
    assert_eq!((&body["pullrequest"]["id"], &body["pullrequest"]["state"]), (&json!(1), &json!("OPEN")));
    assert_eq!(body["pullrequest"]["participants"][0]["state"], json!("changes_requested"));
    let uuid = world.read(RON, "/user").await.body["uuid"].clone();
    assert_eq!((&body["actor"]["uuid"], &body["changes_request"]["user"]["uuid"]), (&uuid, &uuid));
    let given = world.get(BOT, &format!("pulls/1/reviews/{id}")).await.body["submitted_at"].clone();
    let (given, date) = (given.as_str().unwrap(), body["changes_request"]["date"].as_str().unwrap());
    assert!(date.starts_with(given.trim_end_matches('Z')) && date.ends_with("+00:00"), "{date} is not {given}");

    world.put(ANN, &format!("pulls/1/reviews/{id}/dismissals"), json!({ "message": "x" })).await;
    let removed = only(&world, &listener, REMOVED).await;
    assert_eq!(removed.body["changes_request"], body["changes_request"]);
    assert_eq!(removed.body["actor"]["nickname"], json!(ANN));
}

#[tokio::test]
async fn approval_and_its_withdrawal_are_sent() {
    let (approved, unapproved) = ("pullrequest:approved", "pullrequest:unapproved");
    let (world, listener, _) = listening(&[REQUESTED, REMOVED, approved, unapproved]).await;
    let given = world.post(RON, "pulls/1/reviews", json!({ "event": "APPROVE" })).await;
    assert_eq!(given.status, 200, "{}", given.errors());
    let told = only(&world, &listener, approved).await;
    assert_eq!(told.body["approval"]["user"]["nickname"], json!(RON));
    let path = format!("pulls/1/reviews/{}/dismissals", given.body["id"]);
    world.put(ANN, &path, json!({ "message": "x" })).await;
    assert_eq!(only(&world, &listener, unapproved).await.body["approval"], told.body["approval"]);
}

#[tokio::test]
async fn review_bodies_and_line_comments_are_sent_as_comments() {
    let (world, listener, _) = listening(&[SAID, "pullrequest:comment_updated"]).await;
    let id = world.request_changes(RON, "No.").await;
    let told = heard(&world, &listener).await;
    assert_eq!(told.iter().map(Heard::what).collect::<Vec<_>>(), [SAID, SAID]);
    let of = |raw: &str| told.iter().find(|one| one.body["comment"]["content"]["raw"] == json!(raw)).unwrap();
    assert_eq!(of("No.").body["comment"]["id"], json!(id));
    assert!(of("No.").body["comment"].get("inline").is_none());
    let line = &of("Why so?").body["comment"];
    assert_eq!((&line["inline"]["path"], &line["inline"]["to"]), (&json!("change.txt"), &json!(10)));
    assert_eq!((&line["deleted"], &line["pending"]), (&json!(false), &json!(false)));
    let path = format!("pulls/1/comments/{}/replies", line["id"]);
    world.post(BOT, &path, json!({ "body": "Done." })).await;
    let reply = only(&world, &listener, SAID).await;
    assert_eq!(reply.body["comment"]["parent"]["id"], line["id"], "a review without a body is no comment");
    world.put(RON, &format!("pulls/1/reviews/{id}"), json!({ "body": "Never." })).await;
    let reworded = only(&world, &listener, "pullrequest:comment_updated").await;
    assert_eq!(reworded.body["comment"]["content"]["raw"], json!("Never."));
}

#[tokio::test]
async fn pull_request_events_are_sent_to_subscribed_hooks_only() {
    let (pushed, updated) = ("pullrequest:push", "pullrequest:updated");
    let (merged, declined) = ("pullrequest:fulfilled", "pullrequest:rejected");
    let (world, listener, path) = listening(&[pushed, updated, merged, declined]).await;
    let head = world.push(&[(10, "again")]).await;
    let told = only(&world, &listener, pushed).await.body["pullrequest"]["source"]["commit"]["hash"].clone();
    assert_eq!(told, json!(&head[..12]));
    world.patch(BOT, "pulls/1", json!({ "title": "Other" })).await;
    assert_eq!(only(&world, &listener, updated).await.body["pullrequest"]["title"], json!("Other"));
    world.request_changes(RON, "No.").await;
    assert!(whats(&world, &listener).await.is_empty(), "the hook is not subscribed to reviews");
    assert_eq!(world.send(ANN, "pullrequests/1/decline", json!({})).await.status, 200);
    assert_eq!(only(&world, &listener, declined).await.body["pullrequest"]["state"], json!("DECLINED"));
    world.patch(BOT, "pulls/1", json!({ "state": "open" })).await;
    world.post(ANN, "issues/1/labels", json!({ "labels": ["revise"] })).await;
    assert!(whats(&world, &listener).await.is_empty(), "Bitbucket has no such events");
    assert_eq!(world.put(ANN, "pulls/1/merge", json!({})).await.status, 200);
    assert_eq!(only(&world, &listener, merged).await.body["pullrequest"]["state"], json!("MERGED"));

    world.put(BOT, &world.at(&path), json!({ "active": false })).await;
    world.patch(BOT, "pulls/1", json!({ "title": "Late" })).await;
    assert!(whats(&world, &listener).await.is_empty(), "the hook is inactive");
}

#[tokio::test]
async fn rename_transfer_and_deletion_of_a_repository_are_sent() {
    let (world, listener, _) = listening(&["repo:updated", "repo:transfer", "repo:deleted"]).await;
    let uuid = world.read(BOT, "").await.body["uuid"].clone();
    world.forge.rename_repository(REPOSITORY, "acme/next", BOT).await.unwrap();
    let told = only(&world, &listener, "repo:updated").await.body;
    assert_eq!((&told["repository"]["uuid"], &told["repository"]["full_name"]), (&uuid, &json!("acme/next")));
    assert_eq!(told["changes"]["name"], json!({ "new": "next", "old": "app" }));
    assert_eq!(told["changes"]["full_name"], json!({ "new": "acme/next", "old": "acme/app" }));
    world.forge.rename_repository("acme/next", "other/next", BOT).await.unwrap();
    let told = only(&world, &listener, "repo:transfer").await.body;
    assert_eq!((&told["repository"]["uuid"], &told["repository"]["full_name"]), (&uuid, &json!("other/next")));
    world.forge.delete_repository("other/next").await.unwrap();
    assert_eq!(only(&world, &listener, "repo:deleted").await.body["repository"]["uuid"], uuid);
}

#[tokio::test]
async fn failed_delivery_is_not_retried_and_large_ones_not_sent() {
    let (world, listener, _) = listening(&[SAID]).await;
    listener.answer(503);
    world.send(RON, "pullrequests/1/comments", json!({ "content": { "raw": "Hi" } })).await;
    assert_eq!(whats(&world, &listener).await, [SAID]);
    listener.answer(200);
    let written =
        world.send(RON, "pullrequests/1/comments", json!({ "content": { "raw": "x".repeat(256 * 1024) } })).await;
    assert_eq!(written.status, 201);
    assert!(whats(&world, &listener).await.is_empty());
}
