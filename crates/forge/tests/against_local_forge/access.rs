//! Access checks of a token.

use crate::prelude::*;
use pullyard_forge::{Error, TokenPermission};

use crate::scripted_forge::{ScriptLine, ScriptedExchange};
use crate::world::TOKEN;

const CLASSIC: &[(&str, &str)] = &[("x-oauth-scopes", "repo, workflow")];

fn repository(headers: &'static [(&'static str, &'static str)], push: bool, admin: bool) -> ScriptLine {
    let body = json!({ "default_branch": "main", "private": true, "permissions": { "push": push, "admin": admin } });
    (200, headers, body.to_string())
}

fn list(status: u16) -> ScriptLine {
    let body = if status == 200 { json!([]) } else { json!({ "message": "Resource not accessible" }) };
    (status, &[], body.to_string())
}

async fn access(
    lines: impl IntoIterator<Item = ScriptLine>,
) -> (Result<pullyard_forge::TokenAccess, Error>, Vec<String>) {
    let scripted = ScriptedExchange::start(lines).await;
    let github = GitHub::new(Endpoint::new(scripted.url.clone()), Token::new(TOKEN)).unwrap();
    let access = github.access("acme/app").await;
    (access, scripted.requests())
}

#[tokio::test]
async fn classic_token_reports_its_scopes() {
    let lines = [repository(CLASSIC, true, false), list(200), list(200), list(200), list(200), list(404)];
    let (access, requests) = access(lines).await;
    let access = access.unwrap();
    assert_eq!(access.scopes, Some(vec!["repo".to_owned(), "workflow".to_owned()]));
    assert!(access.account_may_push && !access.account_may_administer && access.private);
    assert_eq!(access.missing, [TokenPermission::Hooks]);
    assert!(requests.iter().all(|request| request.starts_with("GET ")), "{requests:?}");
}

#[tokio::test]
async fn fine_grained_token_reports_refused_reads() {
    let lines = [repository(&[], true, true), list(200), list(403), list(200), list(409), list(404)];
    let access = access(lines).await.0.unwrap();
    assert_eq!((access.scopes, access.missing), (None, vec![TokenPermission::PullRequests, TokenPermission::Hooks]));
}

#[tokio::test]
async fn disabled_issues_and_empty_repository_are_not_missing_rights() {
    let mut without_issues = repository(&[("x-oauth-scopes", "")], false, true);
    let mut body: serde_json::Value = serde_json::from_str(&without_issues.2).unwrap();
    body["has_issues"] = json!(false);
    without_issues.2 = body.to_string();
    // A repository without commits answers with either status.
    let lines = [without_issues, list(409), list(200), list(422), list(200)];
    let (access, requests) = access(lines).await;
    let access = access.unwrap();
    assert_eq!((access.scopes, access.missing), (Some(Vec::new()), Vec::new()));
    assert!(!access.account_may_push && access.account_may_administer);
    assert!(requests.len() == 5 && requests.iter().all(|request| !request.contains("/issues")), "{requests:?}");
    assert!(requests[1..].iter().all(|request| request.ends_with("?per_page=1")), "{requests:?}");
}

#[tokio::test]
async fn invisible_repository_or_failed_probe_is_an_error() {
    let (invisible, requests) = access([list(404)]).await;
    assert!(matches!(invisible, Err(Error::NotFound { .. })) && requests.len() == 1, "{invisible:?}");
    let lines = [repository(&[], true, true), list(200), list(501)];
    let (access, requests) = access(lines).await;
    assert!(matches!(access, Err(Error::Unexpected { status: 501, .. })) && requests.len() == 3, "{access:?}");
}
