//! The page of a pull request, and its review form.

use serde_json::json;

use crate::world::{ANN, BOT, RON, World};

const FORM_BODY: &str =
    "user=ron&event=REQUEST_CHANGES&body=No%21%0D%0ASorry.&path=change.txt&line=10&comment=%3Cb%3EWhy%3F";

async fn submit(world: &World, body: &str) -> reqwest::Response {
    world.submit("reviews", body, &[("sec-fetch-site", "same-origin")]).await
}

async fn page(world: &World) -> String {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    client.get(format!("{}/acme/app/pull/1", world.forge.url())).send().await.unwrap().text().await.unwrap()
}

#[tokio::test]
async fn form_creates_a_review_that_the_page_shows() {
    let world = World::new().await;
    world.post(BOT, "pulls/1/requested_reviewers", json!({ "reviewers": [ANN] })).await;
    let before = page(&world).await;
    assert!(before.contains("Review requested from ann") && before.contains("<option value=\"ron\">"), "{before}");
    assert!(!before.contains("<option value=\"eve\">"), "an account without a role can't review");
    let answer = submit(&world, FORM_BODY).await;
    let location = answer.headers()["location"].to_str().unwrap();
    assert_eq!((answer.status().as_u16(), location), (303, "/acme/app/pull/1#reviews"));
    let review = world.get(BOT, "pulls/1/reviews").await.body[0].clone();
    assert_eq!((&review["state"], &review["body"]), (&json!("CHANGES_REQUESTED"), &json!("No!\nSorry.")));
    let after = page(&world).await;
    for part in ["<b>ron</b> changes requested", "change.txt:10", "&#60;b&#62;Why?"] {
        assert!(after.contains(part), "{part}: {after}");
    }
}

#[tokio::test]
async fn html_comment_on_its_own_line_is_hidden() {
    let world = World::new().await;
    let body = "Ours. <!-- in a line -->\r\n\r\n<!-- a mark -->\r\nMore.\n<!-- an end -->";
    world.patch(BOT, "pulls/1", json!({ "body": body })).await;
    world.post(BOT, "issues/1/comments", json!({ "body": "A note.\n\n<!-- of whom -->" })).await;
    let html = page(&world).await;
    for part in ["&#60;!-- in a line --&#62;", "More.", "A note."] {
        assert!(html.contains(part), "{part}: {html}");
    }
    for part in ["a mark", "an end", "of whom"] {
        assert!(!html.contains(part), "{part}: {html}");
    }
}

#[tokio::test]
async fn refused_review_form_shows_the_reason_and_the_text() {
    let world = World::new().await;
    let off = FORM_BODY.replace("line=10", "line=29");
    let answer = submit(&world, &off).await;
    assert_eq!(answer.status().as_u16(), 422);
    let html = answer.text().await.unwrap();
    for part in ["Line could not be resolved", "No!", "<option value=\"ron\" selected>", "&#60;b&#62;Why?</textarea>"] {
        assert!(html.contains(part), "{part}: {html}");
    }
    let eve = FORM_BODY.replace("ron", "eve");
    assert_eq!(submit(&world, &eve).await.status().as_u16(), 404);
    assert_eq!(world.get(RON, "pulls/1/reviews").await.body, json!([]));
}
