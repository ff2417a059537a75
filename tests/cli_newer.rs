//! Tests the CLI with a server of another release: unknown settings are ignored when read and preserved when written,
//! and `version` names the program to update.

use crate::prelude::*;
use axum::Json;
use axum::http::Method;
use axum::routing::get;

type SharedSettings = Arc<Mutex<Value>>;

async fn newer_server() -> (User, SharedSettings) {
    let mut settings = serde_json::to_value(Settings::default()).unwrap();
    settings["limits"]["patience_secs"] = json!(5);
    settings["weather"] = json!({ "rain": true });
    let held = SharedSettings::new(Mutex::new(settings));
    let mut user = User::new();
    user.set_env("PULLYARD_URL", &serve(Router::new().fallback(answer).with_state(held.clone())).await);
    user.set_env("PULLYARD_TOKEN", "pat_x");
    user.set_env("PULLYARD_PROJECT", "acme");
    (user, held)
}

async fn answer(State(held): State<SharedSettings>, request: Request) -> Json<Value> {
    let (parts, body) = request.into_parts();
    if parts.method == Method::PUT {
        assert_eq!(parts.uri.path(), "/v1/projects/acme/settings");
        let body = axum::body::to_bytes(body, 65_536).await.unwrap();
        *held.lock().unwrap() = serde_json::from_slice(&body).unwrap();
    }
    let project = json!({ "id": "acme", "name": "Acme", "settings": *held.lock().unwrap(), "revision": 3 });
    let budget = json!({ "project": "acme", "budget": project["settings"]["budget"], "day": "2026-11-20",
        "until": "2026-11-21T00:00:00Z", "jobs": 0, "reserved_usd_micros": 0, "spent_usd_micros": 0 });
    Json(match parts.uri.path() {
        "/v1/projects" => json!({ "projects": [project], "next": null }),
        "/v1/projects/acme/budget" => budget,
        _ => project,
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_settings_are_sent_back_unchanged() {
    let (user, held) = newer_server().await;
    let before = held.lock().unwrap().clone();
    let mut expected = before.clone();
    user.ok(&["settings", "set", "auto_create=true", "limits.turns=9"]).await;
    expected["auto_create"] = json!(true);
    expected["limits"]["turns"] = json!(9);
    assert_eq!(*held.lock().unwrap(), expected);
    user.ok(&["budgets", "set", "--jobs-per-day", "7", "--usd-per-job", "2"]).await;
    expected["budget"]["jobs_per_day"] = json!(7);
    expected["budget"]["usd_micros_per_job"] = json!(2_000_000);
    assert_eq!(*held.lock().unwrap(), expected);
    // The server validates settings that the CLI does not know.
    user.ok(&["settings", "set", "weather.rain=false", "limits.patience_secs=8"]).await;
    expected["weather"]["rain"] = json!(false);
    expected["limits"]["patience_secs"] = json!(8);
    assert_eq!(*held.lock().unwrap(), expected);
    user.run(&["settings", "set", "auto_create=maybe"]).await.assert_exit(2, "auto_create must be true or false");
    assert_eq!(*held.lock().unwrap(), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn version_names_the_program_to_update() {
    let rows = [
        ("0.0.9", json!([]), "help: update the server, or install pullyard 0.0.9\n"),
        (pullyard_version::VERSION, json!([]), ""),
        // This program cannot read the list.
        ("99.0.0", json!([{ "status": "odd" }]), "help: update this program: `pullyard update` prints the command\n"),
    ];
    for (release, runners, help) in rows {
        let version = Json(json!({ "version": release, "commit": "", "protocol": 5 }));
        let runners = Json(json!({ "runners": runners, "next": null }));
        let router = Router::new().route("/v1/version", get(version)).route("/v1/runners", get(runners));
        let mut user = User::new();
        user.set_env("PULLYARD_URL", &serve(router).await);
        user.set_env("PULLYARD_TOKEN", "pat_x");
        let ran = user.run(&["version"]).await.assert_exit(0, help);
        assert!(ran.out.ends_with(&format!("\nserver\t{release}\n")), "{ran:?}");
        assert_eq!(ran.err, help);
    }
}

#[tokio::test]
async fn update_of_a_program_without_a_release_names_cargo() {
    let ran = User::new().run(&["update"]).await.assert_exit(1, "`cargo install --path crates/cli --locked`");
    assert_eq!(ran.out, "");
}
