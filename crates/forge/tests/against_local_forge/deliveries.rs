//! Webhooks and their deliveries.

use crate::prelude::*;
use pullyard_forge::{Error, ErrorKind, HookScope, HookSettings, webhook::Secret};

use crate::scripted_forge::{ScriptLine, ok, script_forge};

const ID: u64 = 9_007_199_254_740_993;

fn scopes() -> [(HookScope, &'static str); 2] {
    [
        (HookScope::Repository("acme/app".to_owned()), "/repos/acme/app/hooks"),
        (HookScope::Organisation("acme".to_owned()), "/orgs/acme/hooks"),
    ]
}

fn settings() -> HookSettings {
    HookSettings {
        url: "https://pullyard.example/webhooks/github/h".to_owned(),
        secret: Secret::new("s3cret"),
        events: vec!["pull_request_review".to_owned()],
        active: true,
    }
}

fn hook() -> Value {
    json!({
        "id": ID, "active": true, "events": ["pull_request_review"],
        "config": {"url": "https://h", "content_type": "json", "insecure_ssl": "0", "secret": "********"},
        "last_response": {"code": 502, "status": "misconfigured", "message": "x"},
    })
}

fn delivery(id: u64) -> Value {
    json!({
        "id": id, "guid": "g", "delivered_at": "2026-11-20T12:04:01Z", "redelivery": false, "duration": 0.1,
        "status": "Invalid HTTP Response: 502", "status_code": 502, "event": "ping", "action": null,
        "installation_id": null, "repository_id": ID,
    })
}

#[tokio::test]
async fn hooks_are_listed_with_settings_that_may_drift() {
    for (scope, path) in scopes() {
        let bare =
            json!({"id": 1, "active": false, "events": ["*"], "config": {"content_type": "form", "insecure_ssl": 1}});
        let (forge, scripted) = script_forge([ok(json!([hook(), bare]))]).await;
        let found = forge.hooks(&scope).await.unwrap().items;
        assert_eq!((found[0].id, found[0].json, found[0].has_secret, found[0].verifies_tls), (ID, true, true, true));
        assert_eq!(
            (found[1].active, found[1].json, found[1].has_secret, found[1].verifies_tls),
            (false, false, false, false)
        );
        assert_eq!(scripted.requests(), [format!("GET {path}?per_page=100&page=1")]);
    }
}

#[tokio::test]
async fn hook_secret_is_sent_on_create_and_edit() {
    for (scope, path) in scopes() {
        let (forge, scripted) = script_forge([(201, &[], hook().to_string()), ok(hook())]).await;
        assert_eq!(forge.create_hook(&scope, &settings()).await.unwrap().id, ID);
        assert_eq!(forge.edit_hook(&scope, ID, &settings()).await.unwrap().id, ID);
        assert_eq!(scripted.requests(), [format!("POST {path}"), format!("PATCH {path}/{ID}")]);
        for body in scripted.bodies() {
            assert_eq!(body["config"]["secret"], "s3cret");
            assert_eq!(
                (&body["config"]["content_type"], &body["config"]["insecure_ssl"]),
                (&json!("json"), &json!("0"))
            );
        }
    }
    let (forge, scripted) = script_forge([]).await;
    let none = HookSettings { secret: Secret::new(""), ..settings() };
    assert_eq!(forge.create_hook(&scopes()[0].0, &none).await.unwrap_err().kind(), ErrorKind::Denied);
    assert!(scripted.requests().is_empty());
}

#[tokio::test]
async fn deleting_an_absent_hook_succeeds() {
    for (scope, path) in scopes() {
        let (forge, scripted) =
            script_forge([(204, &[], String::new()), (404, &[], json!({"message": "Not Found"}).to_string())]).await;
        forge.delete_hook(&scope, ID).await.unwrap();
        forge.delete_hook(&scope, ID).await.unwrap();
        assert_eq!(scripted.requests(), [format!("DELETE {path}/{ID}"), format!("DELETE {path}/{ID}")]);
    }
}

#[tokio::test]
async fn failed_deliveries_are_listed() {
    for (scope, path) in scopes() {
        let (forge, scripted) = script_forge([ok(json!([delivery(ID)]))]).await;
        let found = forge.deliveries(&scope, 5).await.unwrap();
        assert_eq!((found[0].status_code, found[0].is_success()), (502, false));
        assert_eq!(scripted.requests(), [format!("GET {path}/5/deliveries?per_page=100")]);
    }
}

#[tokio::test]
async fn app_has_one_hook_that_cannot_be_created_or_deleted() {
    let config = || ok(json!({"url": "https://h", "content_type": "json", "insecure_ssl": "0", "secret": "********"}));
    let (forge, scripted) = script_forge([config(), config(), ok(json!([delivery(1)]))]).await;
    let app = HookScope::App;
    let found = forge.hooks(&app).await.unwrap().items;
    assert_eq!((found.len(), found[0].id, found[0].has_secret), (1, 0, true));
    forge.edit_hook(&app, 0, &settings()).await.unwrap();
    forge.deliveries(&app, 0).await.unwrap();
    let expected = ["GET /app/hook/config", "PATCH /app/hook/config", "GET /app/hook/deliveries?per_page=100"];
    assert_eq!(scripted.requests(), expected);
    for refused in [forge.create_hook(&app, &settings()).await.map(|_| ()), forge.delete_hook(&app, 0).await] {
        assert!(matches!(refused, Err(Error::Refused { .. })), "{refused:?}");
    }
    let (forge, _) = script_forge([(404, &[], json!({"message": "Not Found"}).to_string())]).await;
    assert!(forge.hooks(&app).await.unwrap().items.is_empty(), "the App has no hook");
}

#[tokio::test]
async fn hook_edit_and_delete_are_retried_and_create_is_not() {
    let away: ScriptLine = (502, &[], "{}".to_owned());
    let empty: ScriptLine = (204, &[], String::new());
    for (scope, _) in scopes() {
        let (forge, scripted) = script_forge([away.clone()]).await;
        assert_eq!(forge.create_hook(&scope, &settings()).await.unwrap_err().kind(), ErrorKind::Unavailable);
        assert_eq!(scripted.requests().len(), 1);
        let (forge, scripted) = script_forge([away.clone(), ok(hook()), away.clone(), empty.clone()]).await;
        assert_eq!(forge.edit_hook(&scope, ID, &settings()).await.unwrap().id, ID);
        forge.delete_hook(&scope, ID).await.unwrap();
        assert_eq!(scripted.requests().len(), 4);
    }
}
