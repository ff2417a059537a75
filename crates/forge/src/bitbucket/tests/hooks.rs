//! Webhooks of a repository and of a workspace.

use serde_json::{Value, json};

use super::{REPOSITORY, error_response, ok, page, scripted_client};
use crate::{Error, ErrorKind, Forge, Hook, HookScope, HookSettings, bitbucket::id::uuid_to_id, webhook::Secret};

const FIRST: &str = "{9eeaf3a6-0000-4a1c-8d0f-1f0a3a1f0001}";
const SECOND: &str = "{9eeaf3a6-0000-4a1c-8d0f-1f0a3a1f0002}";
const URL: &str = "https://pullyard.example/webhooks/bitbucket/shop";

fn settings(secret: &str) -> HookSettings {
    HookSettings {
        url: URL.to_owned(),
        secret: Secret::new(secret),
        events: vec!["pullrequest:fulfilled".to_owned(), "repo:updated".to_owned()],
        active: true,
    }
}

fn hook(uuid: &str, fields: Value) -> Value {
    let mut hook = json!({
        "type": "webhook_subscription", "uuid": uuid, "url": URL, "description": "Pullyard", "active": true,
        "subject_type": "repository", "events": ["pullrequest:fulfilled", "repo:updated"], "secret_set": true,
        "created_at": super::TIME,
    });
    for (name, value) in fields.as_object().unwrap() {
        hook[name] = value.clone();
    }
    hook
}

fn scopes() -> [(HookScope, &'static str); 2] {
    [
        (HookScope::Repository(REPOSITORY.to_owned()), "/repositories/acme/app/hooks"),
        (HookScope::Organisation("acme".to_owned()), "/workspaces/acme/hooks"),
    ]
}

fn escape_braces(uuid: &str) -> String {
    uuid.replace('{', "%7B").replace('}', "%7D")
}

#[tokio::test]
async fn hooks_are_listed_with_their_settings() {
    for (scope, path) in scopes() {
        let spoiled = json!({
            "url": null, "active": false, "secret_set": false, "events": [], "skip_cert_verification": true,
        });
        let played = scripted_client([page(json!([hook(FIRST, json!({})), hook(SECOND, spoiled)]))]);
        let found = played.forge.hooks(&scope).await.unwrap().items;
        assert_eq!(played.requests(), [format!("GET {path}?pagelen=100")]);
        let good = Hook {
            id: uuid_to_id(FIRST),
            url: URL.to_owned(),
            events: settings("s").events,
            active: true,
            json: true,
            has_secret: true,
            verifies_tls: true,
        };
        let bad = Hook {
            id: uuid_to_id(SECOND),
            url: String::new(),
            events: Vec::new(),
            active: false,
            has_secret: false,
            verifies_tls: false,
            ..good.clone()
        };
        assert_eq!(found, [good, bad]);
    }
}

#[tokio::test]
async fn hook_is_created_once_with_all_settings() {
    for (scope, path) in scopes() {
        let played = scripted_client([Some((201, hook(FIRST, json!({}))))]);
        let created = played.forge.create_hook(&scope, &settings("s3cret")).await.unwrap();
        assert_eq!((created.id, created.has_secret), (uuid_to_id(FIRST), true));
        assert_eq!(played.requests(), [format!("POST {path}")]);
        assert_eq!(
            played.last_body(),
            json!({
                "description": "Pullyard", "url": URL, "active": true, "secret": "s3cret",
                "events": ["pullrequest:fulfilled", "repo:updated"],
            })
        );
        let played = scripted_client([error_response(502, "away")]);
        assert!(played.forge.create_hook(&scope, &settings("s3cret")).await.unwrap_err().is_transient());
        assert_eq!(played.requests().len(), 1);
    }
}

#[tokio::test]
async fn editing_a_hook_preserves_its_description() {
    for (scope, path) in scopes() {
        for (theirs, expected) in [(json!("Ours, do not touch"), "Ours, do not touch"), (json!(" "), "Pullyard")] {
            let there = json!([hook(FIRST, json!({})), hook(SECOND, json!({ "description": theirs }))]);
            let played = scripted_client([page(there), error_response(503, "away"), ok(hook(SECOND, json!({})))]);
            let changed = played.forge.edit_hook(&scope, uuid_to_id(SECOND), &settings("s3cret")).await.unwrap();
            assert_eq!(changed.id, uuid_to_id(SECOND));
            let put = format!("PUT {path}/{}", escape_braces(SECOND));
            assert_eq!(played.requests(), [format!("GET {path}?pagelen=100"), put.clone(), put]);
            let sent = played.last_body();
            assert_eq!(
                (&sent["description"], &sent["secret"], &sent["url"]),
                (&json!(expected), &json!("s3cret"), &json!(URL))
            );
        }
        for (fields, sent) in [(json!({ "skip_cert_verification": true }), json!(false)), (json!({}), Value::Null)] {
            let played = scripted_client([page(json!([hook(SECOND, fields)])), ok(hook(SECOND, json!({})))]);
            played.forge.edit_hook(&scope, uuid_to_id(SECOND), &settings("s3cret")).await.unwrap();
            assert_eq!(played.last_body()["skip_cert_verification"], sent);
        }
        let played = scripted_client([page(json!([hook(FIRST, json!({}))]))]);
        let error = played.forge.edit_hook(&scope, uuid_to_id(SECOND), &settings("s3cret")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Missing);
        assert_eq!(played.requests().len(), 1);
    }
}

#[tokio::test]
async fn deleting_an_absent_hook_succeeds() {
    let delete = async |forge: &Forge, scope: &HookScope| forge.delete_hook(scope, uuid_to_id(SECOND)).await;
    for (scope, path) in scopes() {
        let all = || page(json!([hook(FIRST, json!({})), hook(SECOND, json!({}))]));
        for answer in [Some((204, Value::Null)), error_response(404, "Not found.")] {
            let played = scripted_client([all(), answer]);
            delete(&played.forge, &scope).await.unwrap();
            assert_eq!(
                played.requests(),
                [format!("GET {path}?pagelen=100"), format!("DELETE {path}/{}", escape_braces(SECOND))]
            );
        }
        for nothing in [page(json!([hook(FIRST, json!({}))])), error_response(404, "Not found.")] {
            let played = scripted_client([nothing]);
            delete(&played.forge, &scope).await.unwrap();
            assert_eq!(played.requests().len(), 1);
        }
        for refusal in
            [scripted_client([error_response(403, "No.")]), scripted_client([all(), error_response(403, "No.")])]
        {
            assert_eq!(delete(&refusal.forge, &scope).await.unwrap_err().kind(), ErrorKind::Denied);
        }
    }
}

#[tokio::test]
async fn empty_hook_secret_is_rejected_without_a_request() {
    for (scope, _) in scopes() {
        let played = scripted_client([]);
        let create_error = played.forge.create_hook(&scope, &settings("")).await.unwrap_err();
        let edit_error = played.forge.edit_hook(&scope, 1, &settings("")).await.unwrap_err();
        for error in [create_error, edit_error] {
            assert!(matches!(error, Error::Settings { .. }) && error.to_string().contains("empty"), "{error}");
        }
        assert!(played.requests().is_empty());
    }
}

#[tokio::test]
async fn app_hooks_and_deliveries_are_unsupported() {
    let forge = scripted_client([]).forge;
    let [(repository, _), _] = scopes();
    let errors = [
        forge.hooks(&HookScope::App).await.unwrap_err(),
        forge.create_hook(&HookScope::App, &settings("s")).await.unwrap_err(),
        forge.edit_hook(&HookScope::App, 1, &settings("s")).await.unwrap_err(),
        forge.delete_hook(&HookScope::App, 1).await.unwrap_err(),
        forge.deliveries(&repository, 1).await.unwrap_err(),
    ];
    for error in errors {
        assert!(matches!(error, Error::Unsupported { .. }), "{error:?}");
        assert_eq!((error.kind(), error.is_transient()), (ErrorKind::Refused, false));
        assert!(error.to_string().starts_with("do this at the forge: "), "{error}");
    }
    for odd in ["../x", "", "a b"] {
        let scope = HookScope::Organisation(odd.to_owned());
        assert_eq!(forge.hooks(&scope).await.unwrap_err().kind(), ErrorKind::Missing, "{odd:?}");
    }
}
