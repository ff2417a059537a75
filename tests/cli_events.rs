//! Tests `pullyard events` next to a running `pullyard up`.

use crate::prelude::*;
use crate::up::Machine;
use crate::webhooks::{SECRET, signature};
use std::fs;

fn event(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../events").join(name)
}

fn read(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

/// The variables of a file for `--env-vars`, with ports masked, because another program may use the default ports.
fn without_ports(environment: &Value) -> Vec<(String, String)> {
    let variables = environment["Parameters"].as_object().unwrap();
    let masked = |value: &str| {
        let hosts = ["127.0.0.1:", "host.docker.internal:"];
        let host = hosts.into_iter().find_map(|host| Some((host, value.split_once(host)?)));
        let Some((host, (before, rest))) = host else { return value.to_owned() };
        format!("{before}{host}PORT{}", rest.trim_start_matches(|c: char| c.is_ascii_digit()))
    };
    variables.iter().map(|(name, value)| (name.clone(), masked(value.as_str().unwrap()))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn events_env_prints_the_endpoints_of_the_running_up() {
    let (machine, up) = Machine::started().await;
    let printed: Value = serde_json::from_str(&machine.stdout(&["events", "env", "--data", "data"]).await).unwrap();
    assert_eq!(without_ports(&printed), without_ports(&read(&event("env.json"))));
    assert_eq!(printed["Parameters"]["PULLYARD_API_URL"], up.url());

    let arguments = ["events", "env", "--data", "data", "--host", "127.0.0.1"];
    let here: Value = serde_json::from_str(&machine.stdout(&arguments).await).unwrap();
    let dynamodb = here["Parameters"]["PULLYARD_DYNAMODB_ENDPOINT"].as_str().unwrap();
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    assert_eq!(http.get(dynamodb).send().await.unwrap().status(), 200);
    let page = http.get(dynamodb).header("origin", "https://page.example").send().await;
    assert!(page.is_err(), "a web page was served: {page:?}");

    assert_eq!(up.stop(Signal::SIGTERM).await.0, 0);
    let data = machine.path("data").display().to_string();
    User::new()
        .run(&["events", "env", "--data", &data])
        .await
        .assert_exit(1, "no `pullyard up` runs on the data folder");
}

#[tokio::test]
async fn events_sign_adds_signature_or_token() {
    let mut user = User::new();
    user.set_env("HOOK_SECRET", SECRET);
    user.set_env("PULLYARD_TOKEN", "pat_of_ana");
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("secret.txt");
    fs::write(&secret, format!("{SECRET}\n")).unwrap();
    let secret = ["--secret-file", secret.to_str().unwrap()];
    for (name, flags, header) in [
        ("webhook.review.json", &["--secret-env", "HOOK_SECRET"][..], "x-hub-signature-256"),
        ("webhook.bitbucket_review.json", &secret, "x-hub-signature"),
        ("tickets.ignored.json", &[], "authorization"),
    ] {
        let file = event(name);
        let mut expected = read(&file);
        expected["headers"][header] = match header {
            "authorization" => "Bearer pat_of_ana".into(),
            _ => signature(SECRET, expected["body"].as_str().unwrap().as_bytes()).into(),
        };
        let arguments = [&["events", "sign", file.to_str().unwrap()], flags].concat();
        let printed: Value = serde_json::from_str(&user.ok(&arguments).await).unwrap();
        assert_eq!(printed, expected, "{name}");
    }
}

#[tokio::test]
async fn events_sign_reports_missing_secret_token_or_file() {
    let user = User::new();
    let (webhook, ticket) = (event("webhook.review.json"), event("tickets.ignored.json"));
    let (webhook, ticket) = (webhook.to_str().unwrap(), ticket.to_str().unwrap());
    let records = event("dispatcher.empty.json");
    for (arguments, code, reason) in [
        (&["events", "sign", webhook][..], 2, "--secret-env"),
        (&["events", "sign", webhook, "--secret-env", "NO_SUCH"], 2, "the variable NO_SUCH is not set"),
        (&["events", "sign", ticket], 4, "there is no API token"),
        (&["events", "sign", "no-such-file"], 2, "cannot read no-such-file"),
        (&["events", "sign", records.to_str().unwrap(), "--token", "t"], 2, "the event has no headers"),
    ] {
        user.run(arguments).await.assert_exit(code, reason);
    }
}
