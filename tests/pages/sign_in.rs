//! Tests signing in: single-use links, sessions that end with their token, forged cookies, redirects.

use super::{Browser, code_of};
use crate::prelude::*;
use futures::future::join_all;
use pullyard_store::{Token, hash_token, to_stored_token};

const DAY: Duration = Duration::from_secs(24 * 3_600);

impl Story {
    async fn link(&self) -> String {
        self.api.create_sign_in_link().await.unwrap().url
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sign_in_link_works_once_and_survives_previews() {
    let story = Story::start_with_waiting_tasks().await;
    let link = story.api.create_sign_in_link().await.unwrap();
    assert_eq!(link.expires_in_secs, 600);
    assert!(link.url.starts_with(story.local.api_url()), "{}", link.url);
    let mut browser = Browser::new(&story);
    for _ in 0..3 {
        // A link preview sends GET only.
        let preview = browser.ask(Method::GET, &format!("/sign-in?code={}", code_of(&link.url)), &[], &[]).await;
        assert_eq!(preview.status, 200);
        assert!(preview.contains("Sign in") && preview.headers.get("set-cookie").is_none());
    }
    let entered = browser.use_link(&link.url).await;
    assert_eq!(entered.redirect(), (303, "/"));
    let cookie = entered.header("set-cookie");
    assert!(cookie.contains("HttpOnly; SameSite=Strict") && cookie.contains("Path=/"), "{cookie}");
    assert!(!cookie.contains("Domain"), "{cookie}");
    assert_eq!(browser.get("/jobs").await.status, 200);

    let mut other = Browser::new(&story);
    let refused = other.use_link(&link.url).await;
    assert_eq!(refused.status, 403);
    assert!(refused.contains("used before") && other.cookie.is_none());
    assert_eq!(browser.get("/jobs").await.status, 200, "the first browser lost its session");
    assert_ne!(story.link().await, link.url, "two links are equal");
    let admin = story.local.admin_token();
    let (status, headers, _) = story.request(Method::POST, "/v1/sign-in-links", Some(admin), b"{}".to_vec()).await;
    assert_eq!((status, headers["cache-control"].to_str().unwrap()), (201, "no-store"), "the link may be cached");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_eight_concurrent_uses_of_a_link_signs_in() {
    let story = Story::start_with_waiting_tasks().await;
    for _ in 0..3 {
        let link = story.link().await;
        let pressed = join_all((0..8).map(|_| async { Browser::new(&story).use_link(&link).await.status })).await;
        assert_eq!(pressed.iter().filter(|status| **status == 303).count(), 1, "{pressed:?}");
        assert_eq!(pressed.iter().filter(|status| **status == 403).count(), 7, "{pressed:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sign_in_link_expires_and_ends_with_its_token() {
    let story = Story::start_with_waiting_tasks().await;
    let mut browser = Browser::new(&story);
    let late = story.link().await;
    story.clock.advance(Duration::from_secs(600));
    assert_eq!(browser.use_link(&late).await.status, 403);

    let token = story.create_token(&[Scope::Read], None).await;
    let api = ApiClient::new(story.local.api_url(), &token).unwrap();
    let (first, second) = (api.create_sign_in_link().await.unwrap().url, api.create_sign_in_link().await.unwrap().url);
    assert_eq!(browser.use_link(&first).await.status, 303);
    assert_eq!(browser.get("/jobs").await.status, 200);
    story.revoke_token(&token).await;
    assert_eq!(Browser::new(&story).use_link(&second).await.status, 403);
    assert_eq!(browser.get("/jobs").await.redirect().0, 303, "the session outlives its token");
    let used = story.load_item(&format!("SIGNIN#{}", "nobody"), "SIGNIN").await;
    assert!(used.is_null());
}

#[tokio::test(flavor = "multi_thread")]
async fn session_ends_after_30_days_or_with_its_token() {
    let story = Story::start_with_waiting_tasks().await;
    let store = story.store().await;
    let mut expiring = to_stored_token("pat_expiring", "t", [Scope::Read].into(), None);
    expiring.expires_at = Some(story.clock.now().plus(DAY));
    store.put_token(&expiring).await.unwrap();
    let (mut brief, mut long) = (Browser::new(&story), Browser::admin(&story).await);
    assert_eq!(brief.sign_in_with_token("pat_expiring").await.redirect(), (303, "/jobs"));
    assert_eq!(brief.get("/jobs").await.status, 200);
    story.clock.advance(DAY);
    assert_eq!(brief.get("/jobs").await.status, 303);
    assert_eq!(long.get("/jobs").await.status, 200);
    story.clock.advance(28 * DAY);
    assert_eq!(long.get("/jobs").await.status, 200);
    story.clock.advance(DAY);
    assert_eq!(long.get("/jobs").await.status, 303);
    let out = {
        long.sign_in_with_token(story.local.admin_token()).await;
        let out = long.post("/sign-out", &[("x", "y")]).await;
        long.store_cookie(&out);
        out
    };
    assert_eq!(out.redirect(), (303, "/sign-in"));
    assert!(long.cookie.is_none() && out.header("set-cookie").contains("Max-Age=0"));
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_token_cannot_sign_in() {
    let story = Story::start_with_waiting_tasks().await;
    let admin = story.local.admin_token().to_owned();
    for token in ["", " ", "garbage", "pat_", &format!("pat_{}", "0".repeat(64)), &admin[..admin.len() - 1]] {
        let mut browser = Browser::new(&story);
        let answer = browser.sign_in_with_token(token).await;
        assert_eq!(answer.status, 403, "{token}");
        assert!(answer.contains("not valid, has expired, or was revoked") && browser.cookie.is_none());
        let page = answer.body.replace("placeholder=\"pat_…\"", "");
        assert!(token.trim().is_empty() || !page.contains(token), "the refused token is shown");
    }
    assert_eq!(Browser::new(&story).post("/sign-in", &[("user", "x")]).await.status, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn runner_token_cannot_sign_in() {
    let story = Story::start_with_waiting_tasks().await;
    let store = story.store().await;
    // A token's kind must match its prefix.
    for (text, kind) in [
        ("rnt_of-a-runner", TokenKind::Runner),
        ("pat_of-a-runner", TokenKind::Runner),
        ("rnt_of-a-person", TokenKind::Api),
    ] {
        let token = Token { kind, ..to_stored_token(text, "t", [Scope::Admin].into(), None) };
        assert_eq!(store.put_token(&token).await.unwrap(), Write::Applied);
        let mut browser = Browser::new(&story);
        let answer = browser.sign_in_with_token(text).await;
        assert_eq!((answer.status, browser.cookie.is_none()), (403, true), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn forged_cookie_is_refused() {
    let story = Story::start_with_waiting_tasks().await;
    let mut browser = Browser::admin(&story).await;
    let good = browser.cookie.clone().unwrap();
    let (name, value) = good.split_once('=').unwrap();
    let code = code_of(&story.link().await).to_owned();
    let job = story.create_job("e1", "APP-1", 1).await;
    let lease = story.claim(&job, "c1").await.unwrap().0.lease;
    let swapped = |at: usize| {
        let mut bytes = value.as_bytes().to_vec();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        String::from_utf8(bytes).unwrap()
    };
    let mut forged = vec![
        String::new(),
        "x".into(),
        code.replace("pyc_", "pys_"),
        code,
        lease.replace("pyl_", "pys_"),
        story.local.admin_token().to_owned(),
        hash_token(story.local.admin_token()),
        value.split('.').next().unwrap().to_owned(),
        "x".repeat(5_000),
    ];
    forged.extend((0..value.len()).step_by(7).map(swapped));
    for forged in forged {
        browser.cookie = Some(format!("{name}={forged}"));
        assert_eq!(browser.get("/jobs").await.redirect(), (303, "/sign-in?to=%2Fjobs"), "{forged}");
    }
    // A second cookie of the same name may come from another site.
    browser.cookie = Some(format!("{good}; {name}=x"));
    assert_eq!(browser.get("/jobs").await.status, 303);
    browser.cookie = Some(format!("a=b; {good}"));
    assert_eq!(browser.get("/jobs").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn sign_in_redirects_only_to_own_pages() {
    let story = Story::start_with_waiting_tasks().await;
    let mut browser = Browser::new(&story);
    let response = browser.get("/tickets/APP-1?project=acme").await;
    assert_eq!(response.redirect(), (303, "/sign-in?to=%2Ftickets%2FAPP-1%3Fproject%3Dacme"));
    browser.get(response.redirect().1).await.assert_contains(&[r#"name="to" value="/tickets/APP-1?project=acme""#]);
    let token = story.local.admin_token().to_owned();
    for (to, expected) in [
        ("/jobs?project=acme", "/jobs?project=acme"),
        ("//evil.example", "/"),
        ("/\\evil.example", "/"),
        ("/\t/evil.example", "/"),
        ("https://evil.example", "/"),
        ("javascript:alert(1)", "/"),
        ("", "/"),
        ("/a\r\nSet-Cookie: x=y", "/"),
    ] {
        let answer = browser.post("/sign-in", &[("token", &token), ("to", to)]).await;
        assert_eq!(answer.redirect(), (303, expected), "{to:?}");
        browser.store_cookie(&answer);
        let again = browser.get(&format!("/sign-in?to={}", super::percent(to))).await;
        assert_eq!(again.redirect(), (303, expected), "{to:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn link_from_another_site_reloads_with_the_session() {
    let story = Story::start_with_waiting_tasks().await;
    let mut browser = Browser::admin(&story).await;
    let cookie = browser.cookie.take();
    // A SameSite=Strict cookie is not sent with the first request.
    let path = "/jobs?project=acme";
    let click = browser.ask(Method::GET, path, &[("sec-fetch-site", "cross-site")], &[]).await;
    assert_eq!(click.status, 200);
    assert!(click.contains(r#"content="0;url=/jobs?project=acme&#38;hop=1""#), "{}", click.body);
    assert!(!click.contains("Set-Cookie") && click.body.len() < 400);
    // Without a cookie the second request leads to the sign-in page.
    let stranger = browser.ask(Method::GET, "/jobs?project=acme&hop=1", &[("sec-fetch-site", "cross-site")], &[]).await;
    assert_eq!(stranger.redirect(), (303, "/sign-in?to=%2Fjobs%3Fproject%3Dacme"));
    // The second request is same-site and carries the cookie.
    browser.cookie = cookie;
    assert_eq!(browser.get("/jobs?project=acme&hop=1").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn cli_open_prints_a_working_sign_in_link() {
    let story = Story::start_with_waiting_tasks().await;
    let open = async |arguments: &[&str]| {
        let ran = tokio::process::Command::new(env!("CARGO_BIN_EXE_pullyard"))
            .args(arguments)
            .env_clear()
            .env("HOME", "/nonexistent")
            .env("PULLYARD_URL", story.local.api_url())
            .env("PULLYARD_TOKEN", story.local.admin_token())
            .output()
            .await
            .unwrap();
        assert!(ran.status.success(), "{ran:?}");
        String::from_utf8(ran.stdout).unwrap()
    };
    let mut browser = Browser::new(&story);
    assert_eq!(browser.use_link(open(&["open"]).await.trim()).await.status, 303);
    let link: serde_json::Value = serde_json::from_str(&open(&["open", "--json"]).await).unwrap();
    assert_eq!(link["expires_in_secs"], 600);
    assert_eq!(browser.use_link(link["url"].as_str().unwrap()).await.status, 303);
}
