//! Bitbucket's line comments, replies, resolved threads and deleted comments.

use serde_json::{Value, json};

use crate::{
    bitbucket::{note, said},
    world::{ANN, Answer, BOT, EVE, RON, World},
};

const COMMENTS: &str = "pullrequests/1/comments";

impl World {
    async fn comment(&self, id: u64) -> Value {
        self.read(BOT, &format!("{COMMENTS}/{id}")).await.body
    }

    /// Creates a comment with one more field and returns its id.
    async fn write(&self, who: &str, words: &str, (name, more): (&str, Value)) -> u64 {
        let mut body = note(words);
        body[name] = more;
        let answer = self.send(who, COMMENTS, body).await;
        assert_eq!(answer.status, 201, "{}", answer.body);
        answer.body["id"].as_u64().unwrap()
    }

    async fn write_on_line(&self, who: &str, words: &str) -> u64 {
        self.write(who, words, ("inline", json!({ "path": "change.txt", "to": 10 }))).await
    }

    async fn write_below(&self, who: &str, words: &str, parent: u64) -> u64 {
        self.write(who, words, ("parent", json!({ "id": parent }))).await
    }

    async fn take_away(&self, who: &str, id: u64) -> Answer {
        self.delete(who, &self.at(&format!("{COMMENTS}/{id}"))).await
    }
}

#[tokio::test]
async fn both_apis_show_line_comments_of_either_side() {
    let world = World::new().await;
    let inline = json!({ "path": "change.txt", "start_to": 9, "to": 11 });
    let new = world.write(RON, "Here.", ("inline", inline)).await;
    let old = world.write(RON, "There.", ("inline", json!({ "path": "change.txt", "from": 10 }))).await;
    let told = world.comment(new).await["inline"].clone();
    assert_eq!((&told["to"], &told["start_to"], &told["from"]), (&json!(11), &json!(9), &Value::Null));
    let told = world.comment(old).await["inline"].clone();
    assert_eq!((&told["from"], &told["to"], &told["path"]), (&json!(10), &Value::Null, &json!("change.txt")));
    let on_lines = world.get(BOT, "pulls/1/comments").await.body;
    let sides: Vec<&Value> = on_lines.as_array().unwrap().iter().map(|comment| &comment["side"]).collect();
    assert_eq!(sides, [&json!("RIGHT"), &json!("LEFT")]);
    assert_eq!(on_lines[0]["created_at"].as_str().unwrap().len(), 20, "precision in seconds: {}", on_lines[0]);
    assert_eq!(world.comment(new).await["created_on"].as_str().unwrap().len(), 32, "precision in microseconds");
    assert_eq!(
        world.read(BOT, "pullrequests/1").await.body["participants"][0]["state"],
        Value::Null,
        "a comment is no verdict"
    );
    assert_eq!(world.send(EVE, COMMENTS, note("Hm.")).await.status, 404);
}

#[tokio::test]
async fn reply_to_any_comment_names_its_parent() {
    let world = World::new().await;
    let first = world.write_on_line(RON, "Why so?").await;
    let answer = world.write_below(BOT, "Because.", first).await;
    let second = world.write_below(RON, "I see.", answer).await;
    for (id, parent) in [(answer, first), (second, answer)] {
        let told = world.comment(id).await;
        assert_eq!((&told["parent"]["id"], &told["inline"]["to"]), (&json!(parent), &json!(10)));
    }
    let on_lines = world.get(BOT, "pulls/1/comments").await.body;
    let threads: Vec<&Value> = on_lines.as_array().unwrap().iter().map(|one| &one["in_reply_to_id"]).collect();
    assert_eq!(threads, [&Value::Null, &json!(first), &json!(first)], "one thread in GitHub's API");

    let whole = world.say(RON, "All of it?").await;
    let below = world.write_below(BOT, "Yes.", whole).await;
    let told = world.comment(below).await;
    assert_eq!((&told["parent"]["id"], told.get("inline")), (&json!(whole), None));
    assert_eq!(world.get(BOT, "issues/1/comments").await.body[1]["body"], json!("Yes."));
    world.request_changes(ANN, "Not yet.").await;
    let list = world.read(BOT, &format!("{COMMENTS}?pagelen=100")).await.body["values"].clone();
    let summary = list.as_array().unwrap().iter().find(|one| one["content"]["raw"] == json!("Not yet.")).unwrap();
    let summary = summary["id"].as_u64().unwrap();
    let below = world.write_below(BOT, "Soon.", summary).await;
    assert_eq!(world.comment(below).await["parent"]["id"], json!(summary));
}

#[tokio::test]
async fn thread_is_resolved_once_and_reopened() {
    let world = World::new().await;
    let first = world.write_on_line(RON, "Why so?").await;
    let answer = world.write_below(BOT, "Because.", first).await;
    let whole = world.say(RON, "Hello").await;
    let resolve = |id: u64| format!("{COMMENTS}/{id}/resolve");
    let bare = world.call(RON, reqwest::Method::POST, &world.at(&resolve(first)), None).await;
    assert_eq!(bare.status, 400, "the body must be an object");
    for other in [answer, whole] {
        let refused = world.send(RON, &resolve(other), json!({})).await;
        assert_eq!((refused.status, said(&refused)), (403, "This is no top-level comment on the diff."));
    }
    let resolved = world.send(RON, &resolve(first), json!({})).await;
    assert_eq!((resolved.status, &resolved.body["user"]["nickname"]), (200, &json!(RON)));
    assert_eq!(world.comment(first).await["resolution"]["user"]["nickname"], json!(RON));
    assert_eq!(world.send(ANN, &resolve(first), json!({})).await.status, 409);
    let reopen = async || world.delete(ANN, &world.at(&resolve(first))).await.status;
    assert_eq!(reopen().await, 204);
    assert_eq!(world.comment(first).await.get("resolution"), None);
    assert_eq!(reopen().await, 404);
    assert_eq!(world.send(RON, &resolve(7), json!({})).await.status, 404);
    assert_eq!(world.send(EVE, &resolve(first), json!({})).await.status, 404);
}

#[tokio::test]
async fn deleted_comment_stays_listed_with_its_replies() {
    let world = World::new().await;
    let (line, whole) = (world.write_on_line(RON, "Why so?").await, world.say(RON, "Hello").await);
    let answer = world.write_below(BOT, "Because.", line).await;
    let refused = world.take_away(ANN, line).await;
    assert_eq!((refused.status, said(&refused)), (403, "You do not have permission to delete this comment."));
    for id in [line, whole] {
        assert_eq!(world.take_away(RON, id).await.status, 204);
        let told = world.comment(id).await;
        assert_eq!((&told["deleted"], &told["content"]["raw"]), (&json!(true), &json!("")));
        assert_eq!(told.get("inline").is_some(), id == line);
        assert_eq!(world.take_away(RON, id).await.status, 404);
        let answered = world.send(RON, COMMENTS, json!({ "content": { "raw": "Hm." }, "parent": { "id": id } })).await;
        assert_eq!((answered.status, said(&answered)), (400, "parent: The comment does not exist."));
    }
    let reworded = world.put(RON, &world.at(&format!("{COMMENTS}/{whole}")), note("Hello!")).await;
    assert_eq!((reworded.status, &reworded.body["deleted"]), (200, &json!(true)), "it stays deleted");
    let list = world.read(BOT, COMMENTS).await.body;
    assert_eq!(list["size"], json!(3));
    assert_eq!(world.comment(answer).await["parent"]["id"], json!(line));
    let later = world.write_below(RON, "Fine.", answer).await;
    assert_eq!(world.comment(later).await["inline"]["to"], json!(10), "the thread continues");
    assert_eq!(world.read(BOT, "pullrequests/1").await.body["comment_count"], json!(2));
    assert_eq!(world.get(BOT, "issues/1/comments").await.body, json!([]), "GitHub's API drops it");
    let kept = world.get(BOT, "pulls/1/comments").await.body;
    assert_eq!((kept.as_array().unwrap().len(), &kept[0]["body"]), (2, &json!("Because.")));
}

#[tokio::test]
async fn review_bodies_and_pending_comments_cannot_be_deleted() {
    let world = World::new().await;
    world.request_changes(RON, "Not yet.").await;
    let values = world.read(RON, COMMENTS).await.body["values"].clone();
    let summary = values[0]["id"].as_u64().unwrap();
    let refused = world.take_away(RON, summary).await;
    assert_eq!((refused.status, said(&refused)), (400, "the demo forge deletes no summary of a review"));
    let waiting = json!({ "comments": [{ "path": "change.txt", "line": 10, "side": "RIGHT", "body": "Hm." }] });
    assert_eq!(world.post(ANN, "pulls/1/reviews", waiting).await.status, 200);
    let values = world.read(ANN, COMMENTS).await.body["values"].clone();
    let pending = values.as_array().unwrap().iter().find(|one| one["pending"] == json!(true)).unwrap();
    let pending = pending["id"].as_u64().unwrap();
    assert_eq!(world.take_away(RON, pending).await.status, 404);
    let refused = world.take_away(ANN, pending).await;
    assert_eq!(
        (refused.status, said(&refused)),
        (400, "the demo forge deletes no comment of a review that was not submitted")
    );
}
