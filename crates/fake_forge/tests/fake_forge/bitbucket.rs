//! Where Bitbucket's API differs from GitHub's. Tests of its client rely on these differences.

use pullyard_fake_forge::TestForge as _;
use serde_json::{Value, json};

use crate::world::{ANN, BOT, REPOSITORY, RON, Response, World};

impl World {
    fn bitbucket_url(&self, path: &str) -> String {
        let api = self.forge.bitbucket_api_url();
        match path.strip_prefix('/') {
            Some(path) => format!("{api}/{path}"),
            None => format!("{api}/repositories/{REPOSITORY}/{path}"),
        }
    }

    async fn post_bitbucket(&self, who: &str, path: &str, body: Value) -> Response {
        self.post(who, &self.bitbucket_url(path), body).await
    }
}

fn error_message(answer: &Response) -> &str {
    assert_eq!(answer.body["type"], json!("error"), "{}", answer.body);
    answer.body["error"]["message"].as_str().unwrap()
}

#[tokio::test]
async fn repeated_creation_updates_the_open_pull_request() {
    let world = World::new().await;
    world.forge.commit(REPOSITORY, "next", BOT, &[("other.txt", "x\n", false)]).await.unwrap();
    for title in ["Change it", "Change it more"] {
        let proposal = json!({ "title": title, "source": { "branch": { "name": "next" } } });
        let opened = world.post_bitbucket(BOT, "pullrequests", proposal).await;
        assert_eq!((opened.status, &opened.body["id"], &opened.body["title"]), (201, &json!(2), &json!(title)));
    }
}

#[tokio::test]
async fn edit_clears_omitted_fields_and_needs_a_title() {
    let world = World::new().await;
    let uuid = world.get(RON, &world.bitbucket_url("/user")).await.body["uuid"].clone();
    let change = async |who: &str, body: Value| world.put(who, &world.bitbucket_url("pullrequests/1"), body).await;
    let whole = json!({ "title": "New", "description": "So.", "reviewers": [{ "uuid": uuid }] });
    assert_eq!(change(BOT, whole).await.body["reviewers"][0]["nickname"], json!(RON));
    let changed = change(BOT, json!({ "title": "New", "description": "Thus." })).await.body;
    assert_eq!((&changed["description"], &changed["reviewers"]), (&json!("Thus."), &json!([])));
    let bare = change(BOT, json!({ "title": "New" })).await.body;
    assert!(!bare.to_string().contains("Thus."), "{bare}");
    let untitled = change(BOT, json!({ "description": "Thus." })).await;
    assert_eq!((untitled.status, error_message(&untitled)), (400, "title: This field is required."));
    assert_eq!(change(RON, json!({ "title": "No." })).await.status, 403);
}

#[tokio::test]
async fn each_account_has_one_verdict_until_its_withdrawal() {
    let world = World::new().await;
    let (request, approval) = ("pullrequests/1/request-changes", "pullrequests/1/approve");
    let withdraw = async |path: &str| world.delete(RON, &world.bitbucket_url(path)).await.status;
    assert_eq!(world.post_bitbucket(ANN, request, json!({})).await.status, 200);
    assert_eq!(world.post_bitbucket(RON, request, json!({})).await.status, 200);
    let twice = world.post_bitbucket(RON, request, json!({})).await;
    assert_eq!((twice.status, error_message(&twice)), (409, "You already requested changes to this pull request."));
    assert_eq!(world.post_bitbucket(RON, approval, json!({})).await.status, 200);
    assert_eq!(withdraw(request).await, 404, "the approval replaced the request");
    assert_eq!((withdraw(approval).await, withdraw(approval).await), (204, 404));
    let pull = world.get(BOT, &world.bitbucket_url("pullrequests/1")).await.body;
    let people = pull["participants"].as_array().unwrap().iter();
    let states: Vec<_> = people.map(|one| (one["user"]["nickname"].clone(), one["state"].clone())).collect();
    assert_eq!(states, [(json!(ANN), json!("changes_requested")), (json!(RON), Value::Null)]);
}
