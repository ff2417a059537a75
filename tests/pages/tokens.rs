//! Tests the page of tokens: creation, the value that is shown once, and revocation.

use super::Browser;
use crate::prelude::*;
use pullyard_protocol::token::TokenState;

const PAGE: &str = "/setup/tokens";

fn value_of(body: &str) -> Option<&str> {
    body.split("aria-label=\"Token\">").nth(1)?.split('<').next()
}

#[tokio::test(flavor = "multi_thread")]
async fn token_page_creates_shows_once_and_revokes_a_token() {
    let (story, browser) = Story::with_browser().await;
    let form = [
        ("form_key", "one"),
        ("name", "ci <b>"),
        ("expires", "7776000"),
        ("scope", "read"),
        ("scope", "jobs"),
        ("projects", "some"),
        ("only", "acme"),
    ];
    let page = browser.post(PAGE, &form).await;
    assert_eq!(page.status, 200, "{}", page.body);
    assert_eq!(page.header("cache-control"), "no-store");
    assert!(page.contains("Token “ci &#60;b&#62;” created.") && !page.contains("ci <b>"), "{}", page.body);
    assert!(page.contains("Scopes: read, jobs, for only acme, until "), "{}", page.body);
    let value = value_of(&page.body).unwrap().to_owned();
    let own = ApiClient::new(story.local.api_url(), &value).unwrap().own_token().await.unwrap();
    assert_eq!(own.scopes, [Scope::Read, Scope::Jobs].into());
    assert!(own.projects.unwrap().iter().map(|project| project.as_str()).eq(["acme"]) && own.expires_at.is_some());

    let again = browser.post(PAGE, &form).await;
    assert!(again.status == 409 && again.contains("a token is shown only once"), "{}", again.body);
    let list = browser.get(PAGE).await;
    for page in [&again, &list] {
        assert!(!page.contains(&value) && page.contains("ci &#60;b&#62;"), "{}", page.body);
    }
    let named = async || {
        let tokens = story.api.tokens(None).await.unwrap().tokens;
        tokens.into_iter().filter(|token| token.name == "ci <b>").collect::<Vec<_>>()
    };
    assert_eq!(named().await.len(), 1);
    let revoke = format!("{PAGE}/{}/revoke", own.id);
    assert!(list.contains(&revoke) && list.contains("browser sessions are refused at once"), "{}", list.body);
    assert_eq!(browser.post(&revoke, &[("x", "y")]).await.redirect(), (303, PAGE));
    assert_eq!(named().await[0].state, TokenState::Revoked);
    assert!(!browser.get(PAGE).await.contains(&revoke));
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_token_form_keeps_its_values() {
    let (story, browser) = Story::with_browser().await;
    let before = story.api.tokens(None).await.unwrap().tokens.len();
    for (extra, field) in [
        (&[("projects", "all")][..], "scopes"),
        (&[("scope", "read"), ("projects", "some")], "projects"),
        (&[("scope", "read"), ("projects", "all"), ("only", "acme")], "projects"),
        (&[("scope", "read"), ("expires", "soon")], "expires"),
        (&[("scope", "read"), ("expires", "1")], "expires_in_secs"),
    ] {
        let form = [&[("form_key", "one"), ("name", "my <i>token</i>")], extra].concat();
        let refused = browser.post(PAGE, &form).await;
        assert!(refused.status == 422 && refused.contains(&format!("The field {field}:")), "{}", refused.body);
        assert!(refused.contains("value=\"my &#60;i&#62;token&#60;/i&#62;\"") && value_of(&refused.body).is_none());
    }
    assert_eq!(story.api.tokens(None).await.unwrap().tokens.len(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_need_admin_of_all_projects() {
    let story = Story::start_with_waiting_tasks().await;
    let id = story.api.own_token().await.unwrap().id;
    for (scopes, projects) in [(&[Scope::Read, Scope::Jobs][..], None), (&[Scope::Admin], Some(&["acme"][..]))] {
        let browser = Browser::with(&story, scopes, projects).await;
        assert_eq!(browser.get(PAGE).await.status, 403);
        assert_eq!(browser.post(PAGE, &[("form_key", "one"), ("name", "x"), ("scope", "read")]).await.status, 403);
        assert_eq!(browser.post(&format!("{PAGE}/{id}/revoke"), &[("x", "y")]).await.status, 403);
    }
    assert_eq!(story.api.own_token().await.unwrap().state, TokenState::Active);
    let mut own = Browser::new(&story);
    let token = story.create_token(&[Scope::Admin], None).await;
    own.sign_in_with_token(&token).await;
    let page = own.get(PAGE).await;
    assert!(page.contains("You are signed in with this token"), "{}", page.body);
    let me = ApiClient::new(story.local.api_url(), &token).unwrap().own_token().await.unwrap().id;
    assert_eq!(own.post(&format!("{PAGE}/{me}/revoke"), &[("x", "y")]).await.status, 303);
    assert!(own.get(PAGE).await.redirect().1.starts_with("/sign-in"));
}

#[tokio::test(flavor = "multi_thread")]
async fn runner_token_names_its_runner_and_its_jobs() {
    let (story, browser) = Story::with_browser().await;
    let token = story.runner_token("kite", None, Some("kite")).await;
    assert!(browser.get(PAGE).await.contains("runner kite, not connected yet"));
    story.register_runner(&token, "kite", "i1").await;
    browser.get(PAGE).await.assert_contains(&["runner kite<", "kite: no more jobs."]);
}
