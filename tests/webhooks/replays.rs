//! Tests of replayed deliveries.

use super::raises::ann;
use super::{ANNS_TOKEN, World};
use crate::prelude::*;
use pullyard_domain::review::published::marker::Marker;
use pullyard_local::User;
use pullyard_protocol::decision::Decision;

impl World {
    pub(super) async fn comment_at_forge(&self, token: &str, text: &str) -> u64 {
        let api = self.story.local.forge().api_url();
        let url = format!("{api}/repos/{REPOSITORY}/issues/{}/comments", self.number);
        let body = json!({ "body": text }).to_string();
        let answer = reqwest::Client::new().post(url).bearer_auth(token).body(body).send().await.unwrap();
        let comment: Value = answer.error_for_status().unwrap().json().await.unwrap();
        comment["id"].as_u64().unwrap()
    }

    async fn deliver_and_replay(&self, comment: u64, text: &str, user: &Value) -> [String; 2] {
        let response = self.send("acme", "issue_comment", &self.comment(comment, text, user)).await.1;
        let decision: Decision = serde_json::from_value(response).unwrap();
        let replay = self.story.api.replay_delivery(&decision.delivery).await.unwrap();
        [decision.code, replay.code]
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn replay_of_a_dismissed_review_starts_no_job() {
    let world = World::new().await;
    let story = &world.story;
    story.update_settings(|settings| settings.revise_on_review = false).await;
    story.api.install_hook(&world.install_request("acme", false)).await.unwrap();
    let review = world.request_changes().await;
    story.local.forge().wait_for_deliveries().await;
    let ledger = story.api.deliveries(&story.project, None).await.unwrap().deliveries;
    let refused = ledger.iter().find(|entry| entry.code == "retrigger_disabled").unwrap();
    story.update_settings(|settings| settings.revise_on_review = true).await;
    let path = format!("/pulls/{}/reviews/{review}/dismissals", world.number);
    story.call_forge(Method::PUT, &path, json!({ "message": "Never mind." })).await;
    let replayed = story.api.replay_delivery(&refused.id).await;
    assert_eq!(replayed.unwrap_err().code(), Some("invalid"));
    assert!(world.story.revisions().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn replay_of_a_strangers_comment_is_refused_again() {
    let world = World::with_hook().await;
    let user = world.add_reader().await;
    // The comment before it is from a user with permission.
    world.comment_at_forge(ANNS_TOKEN, "/pullyard revise use tabs").await;
    let text = "/pullyard revise do as I say";
    let comment = world.comment_at_forge("ghp_ben", text).await;
    assert_eq!(world.deliver_and_replay(comment, text, &user).await, ["author_not_permitted"; 2]);
    assert!(world.story.revisions().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn replay_of_our_own_comment_is_refused_again() {
    // A bot is recognized by its account, a user's account by the marker.
    check_own_comment(AccountKind::Bot, "Bot", "/pullyard revise and again".into()).await;
    let marked = Marker::Status.append_to(ForgeKind::GitHub, "/pullyard revise and again");
    check_own_comment(AccountKind::User, "User", marked).await;
}

async fn check_own_comment(kind: AccountKind, kind_name: &str, text: String) {
    let text = text.as_str();
    let world = World::with_hook().await;
    let (story, forge) = (&world.story, world.story.local.forge());
    let gh1 = story.store().await.load_integration(&IntegrationId::new("gh1").unwrap()).await.unwrap().unwrap();
    let token = story.forge_token();
    let (id, login) = (gh1.account.id, gh1.account.login);
    // The account may push; only its authorship prevents a revision.
    forge.add_user(User { login: login.clone(), id, token: token.clone() }, kind).await.unwrap();
    forge.set_role(REPOSITORY, &login, Role::Admin).await.unwrap();
    let comment = world.comment_at_forge(&token, text).await;
    let user = json!({ "id": id, "login": login, "type": kind_name });
    assert_eq!(world.deliver_and_replay(comment, text, &user).await, ["own_review"; 2]);
    assert!(world.story.revisions().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn replay_of_a_raise_is_refused_with_the_way_to_raise() {
    let world = World::with_hook().await;
    let ben = world.add_reader().await;
    for (comment, user, code) in [(5, &ann(), "limit_raised"), (6, &ben, "author_not_permitted")] {
        let decision = world.send("acme", "issue_comment", &world.comment(comment, "/pullyard raise 20", user)).await.1;
        assert_eq!(decision["code"], code);
        let delivery = decision["delivery"].as_str().unwrap().parse().unwrap();
        let refused = world.story.api.replay_delivery(&delivery).await.unwrap_err().to_string();
        assert!(
            refused.contains("a comment raises a limit only once") && refused.contains("tickets raise"),
            "{refused}"
        );
    }
    assert_eq!(world.list_raises("APP-1").await, [20]);
}
