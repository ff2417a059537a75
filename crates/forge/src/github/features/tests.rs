//! Which features work with the permissions of an App or a token.

use super::super::app_permissions::*;
use super::*;
use crate::TokenPermission;

fn permissions(pairs: &[(&str, &str)]) -> Permissions {
    pairs.iter().map(|(name, level)| ((*name).to_owned(), (*level).to_owned())).collect()
}

fn row(feature: Feature) -> &'static FeatureRow {
    FEATURES.iter().find(|row| row.feature == feature).unwrap()
}

fn token(role: &str) -> TokenAccess {
    TokenAccess {
        scopes: None,
        private: true,
        account_may_push: role != "reader",
        account_may_administer: role == "admin",
        missing: Vec::new(),
    }
}

#[track_caller]
fn check(feature: Feature, seen: &AccessTest, expected: &str) {
    let text = match super::check(row(feature), seen, WorkflowPolicy::Allow) {
        FeatureStatus::Works => "works".to_owned(),
        FeatureStatus::Missing(message) => format!("missing: {message}"),
        FeatureStatus::Unknown(message) => format!("untold: {message}"),
        FeatureStatus::NotNeeded(reason) => format!("needless: {reason}"),
    };
    assert_eq!(text, expected, "{feature:?}");
}

#[test]
fn attempt_token_has_contents_and_pull_requests_only() {
    let least = permissions(&[("contents", "write"), ("pull_requests", "write")]);
    assert_eq!(attempt_permissions(WorkflowPolicy::Forbid), least);
    let more = permissions(&[("contents", "write"), ("pull_requests", "write"), ("workflows", "write")]);
    assert_eq!(attempt_permissions(WorkflowPolicy::Allow), more);
}

#[test]
fn control_token_cannot_push_and_stays_within_the_grant() {
    let all = app_permissions(WorkflowPolicy::Allow);
    let own = control_permissions(&all);
    assert_eq!(own["contents"], "read");
    assert!(!own.contains_key("workflows"));
    assert_eq!(
        control_permissions(&permissions(&[("metadata", "read"), ("issues", "read"), ("administration", "write")])),
        { permissions(&[("metadata", "read"), ("issues", "read")]) }
    );
    assert!(missing_permissions(&all, &own).is_empty());
}

#[test]
fn app_with_manifest_permissions_has_every_feature() {
    let seen = AccessTest::App(app_permissions(WorkflowPolicy::Allow));
    for row in &FEATURES {
        let verdict = super::check(row, &seen, WorkflowPolicy::Allow);
        assert!(matches!(verdict, FeatureStatus::Works | FeatureStatus::NotNeeded(_)), "{row:?} {verdict:?}");
    }
}

#[test]
fn app_requests_workflows_on_demand_and_never_hooks() {
    let (keep, change) = (app_permissions(WorkflowPolicy::Forbid), app_permissions(WorkflowPolicy::Allow));
    assert_eq!(missing_permissions(&keep, &change), ["workflows: write"]);
    assert!(!change.contains_key("repository_hooks"));
    let least = [("contents", "write"), ("issues", "read"), ("metadata", "read"), ("pull_requests", "write")];
    assert_eq!(minimum_app_permissions(), permissions(&least));
}

#[test]
fn missing_app_permission_is_named() {
    let seen = AccessTest::App(permissions(&[("metadata", "read"), ("contents", "read"), ("pull_requests", "write")]));
    check(Feature::ReadRepository, &seen, "works");
    check(Feature::PullRequests, &seen, "works");
    check(Feature::Threads, &seen, "missing: grant the App contents: write, and accept it where it is installed");
    check(Feature::Hooks, &seen, "needless: the App's own webhook receives its events");
}

#[test]
fn classic_token_is_judged_by_scopes_and_account_role() {
    let seen = |scopes: &[&str], private, account: &str| {
        let scopes = scopes.iter().map(|scope| (*scope).to_owned()).collect();
        AccessTest::Token(TokenAccess { scopes: Some(scopes), private, ..token(account) })
    };
    check(Feature::Push, &seen(&["repo"], true, "writer"), "works");
    check(Feature::Push, &seen(&["public_repo"], false, "writer"), "works");
    check(Feature::Push, &seen(&["public_repo"], true, "writer"), "missing: give the token the scope repo");
    check(Feature::Workflows, &seen(&["repo"], true, "admin"), "missing: give the token the scope workflow");
    let reader = seen(&["repo"], true, "reader");
    check(Feature::ReadRepository, &reader, "works");
    check(Feature::Push, &reader, "missing: give the token's account the role write in the repository");
    let writer = seen(&["repo"], true, "writer");
    check(Feature::Hooks, &writer, "missing: give the token's account the role admin in the repository");
}

#[test]
fn fine_grained_token_is_judged_by_refused_reads() {
    let seen = AccessTest::Token(TokenAccess { missing: vec![TokenPermission::Issues], ..token("admin") });
    check(Feature::ReadRepository, &seen, "works");
    check(Feature::Comments, &seen, "missing: give the token issues: write");
    check(Feature::Push, &seen, "untold: it needs contents: write");
}

#[test]
fn workflows_are_needless_without_the_repository_setting() {
    let seen = AccessTest::App(Permissions::new());
    let verdict = super::check(row(Feature::Workflows), &seen, WorkflowPolicy::Forbid);
    assert_eq!(verdict, FeatureStatus::NotNeeded("jobs may not change workflows in this repository"));
}

#[test]
fn documented_feature_table_matches_the_code() {
    let page = include_str!("../../../../../docs/forges.md");
    let rows = FEATURES.iter().map(|row| {
        let permissions = row.permissions.iter().map(|(name, level)| format!("`{name}: {}`", level.code()));
        let need = match row.need {
            FeatureNeed::Always => "always",
            FeatureNeed::ByRepository => "repositories connected with `--workflows`",
            FeatureNeed::Optional => "optional",
            FeatureNeed::TokensOnly => "`hooks install` with a token; an App has its own webhook",
        };
        let permissions = permissions.collect::<Vec<_>>().join(", ");
        format!("| {} | {permissions} | `{}` | {need} |\n", row.description, row.scope)
    });
    let table = rows.collect::<String>();
    assert!(page.contains(&table), "put this into docs/forges.md:\n{table}");
    for event in APP_EVENTS {
        assert!(page.contains(&format!("`{event}`")), "docs/forges.md does not name {event}");
    }
}
