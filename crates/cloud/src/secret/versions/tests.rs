use super::*;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_secretsmanager::config::{Credentials, SharedCredentialsProvider};
use pullyard_testkit::{Fault, Wire};
use serde_json::json;
use std::sync::atomic::{AtomicU64, Ordering};

const GET: &str = "GetSecretValue";

fn has(wire: &Wire, value: &str) {
    wire.next(GET, Fault::Refused(200, json!({ "Name": "s", "VersionId": value, "SecretString": value })));
    wire.next(GET, Fault::Refused(400, json!({ "__type": "ResourceNotFoundException", "Message": "none" })));
}

/// No SDK retries, so that the tests count our own fetches.
fn secrets(wire: &Wire) -> Secrets {
    let config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("local"))
        .credentials_provider(SharedCredentialsProvider::new(Credentials::new("k", "s", None, None, "test")))
        .retry_config(aws_config::retry::RetryConfig::disabled())
        .http_client(wire.clone())
        .build();
    Secrets::new(&config, Some("http://127.0.0.1:9"))
}

fn aging(wire: &Wire) -> (Secrets, impl Fn(u64) + use<>) {
    let secs = Arc::new(AtomicU64::new(0));
    let passed = secs.clone();
    let secrets = secrets(wire).aged_by(move || Duration::from_secs(secs.load(Ordering::SeqCst)));
    let pass = move |by| {
        passed.fetch_add(by, Ordering::SeqCst);
    };
    (secrets, pass)
}

#[tokio::test]
async fn a_value_is_used_for_a_minute_and_then_fetched_again() {
    let wire = Wire::default();
    let (secrets, pass) = aging(&wire);
    let stored = |value: &str| wire.next(GET, Fault::Refused(200, json!({ "Name": "s", "SecretString": value })));
    stored("old");
    assert_eq!(&*secrets.get("s").await.unwrap(), "old");
    pass(59);
    assert_eq!(&*secrets.get("s").await.unwrap(), "old");
    assert_eq!(wire.calls(GET), 1);
    pass(1);
    stored("new");
    assert_eq!(&*secrets.get("s").await.unwrap(), "new");
    assert_eq!(wire.calls(GET), 1);
}

#[tokio::test]
async fn versions_are_used_for_five_minutes_and_then_fetched_again() {
    let wire = Wire::default();
    let (secrets, pass) = aging(&wire);
    has(&wire, "old");
    let old = secrets.versions("s").await.unwrap();
    pass(299);
    assert_eq!(secrets.versions("s").await.unwrap(), old);
    pass(1);
    has(&wire, "new");
    assert_eq!(&*secrets.versions("s").await.unwrap().current.value, "new");
    assert_eq!(wire.calls(GET), 4);
}

#[tokio::test]
async fn what_fits_nothing_is_looked_for_again_after_ten_seconds() {
    let wire = Wire::default();
    let (secrets, pass) = aging(&wire);
    has(&wire, "old");
    let old = secrets.versions("s").await.unwrap();
    has(&wire, "old");
    assert_eq!(secrets.refetched_versions("s", &old).await.unwrap(), Some(old.clone()));
    pass(9);
    assert_eq!(secrets.refetched_versions("s", &old).await.unwrap(), None);
    pass(1);
    has(&wire, "new");
    let new = secrets.refetched_versions("s", &old).await.unwrap().expect("there is a newer one");
    assert_eq!(&*new.current.value, "new");

    wire.next(GET, Fault::error(500, "InternalServiceError"));
    pass(10);
    assert!(secrets.refetched_versions("s", &new).await.is_err());
    pass(10);
    has(&wire, "newest");
    let newest = secrets.refetched_versions("s", &new).await.unwrap().expect("it answers again");
    assert_eq!(&*newest.current.value, "newest");
}

#[tokio::test]
async fn nothing_newer_is_said_only_by_a_fetch_that_was_answered() {
    let wire = Wire::default();
    let secrets = secrets(&wire);
    has(&wire, "old");
    let old = secrets.versions("s").await.unwrap();
    assert_eq!((&*old.current.value, &old.previous), ("old", &None));

    wire.next(GET, Fault::error(500, "InternalServiceError"));
    let failed = secrets.refetched_versions("s", &old).await.unwrap_err();
    assert!(failed.is_transient(), "{failed}");
    assert_eq!(wire.calls(GET), 3);
    let still = secrets.refetched_versions("s", &old).await.unwrap_err();
    assert!(still.is_transient(), "{still}");
    assert_eq!(wire.calls(GET), 0, "a service that does not answer is asked once in ten seconds");
    assert_eq!(secrets.versions("s").await.unwrap(), old, "what fits the kept ones goes on");

    has(&wire, "new");
    let new = secrets.fresh_versions("s").await.unwrap();
    assert_eq!(secrets.refetched_versions("s", &old).await.unwrap(), Some(new.clone()));
    has(&wire, "new");
    assert_eq!(secrets.refetched_versions("s", &new).await.unwrap(), Some(new.clone()));
    assert_eq!(secrets.refetched_versions("s", &new).await.unwrap(), None);
    assert_eq!(wire.calls(GET), 4);
}

#[tokio::test]
async fn a_name_without_a_secret_is_asked_for_once_in_ten_seconds() {
    let wire = Wire::default();
    let secrets = secrets(&wire);
    let none = || Fault::Refused(400, json!({ "__type": "ResourceNotFoundException", "Message": "none" }));
    wire.next(GET, none());
    for _ in 0..3 {
        assert!(matches!(secrets.versions("s").await, Err(Error::NoSecret { .. })));
    }
    assert_eq!(wire.calls(GET), 1, "strangers must not drive calls");

    has(&wire, "first");
    let fetched = secrets.fresh_versions("s").await.unwrap();
    assert_eq!(secrets.versions("s").await.unwrap(), fetched, "who looks anew finds what was set meanwhile");
    secrets.forget_versions("s");
    wire.next(GET, none());
    assert!(matches!(secrets.versions("s").await, Err(Error::NoSecret { .. })));
    secrets.forget_versions("s");
    has(&wire, "second");
    assert_eq!(&*secrets.versions("s").await.unwrap().current.value, "second", "whoever sets it here uses it at once");
}

#[tokio::test]
async fn a_secret_that_was_not_there_is_looked_for_again_after_ten_seconds() {
    let wire = Wire::default();
    let (secrets, pass) = aging(&wire);
    wire.next(GET, Fault::Refused(400, json!({ "__type": "ResourceNotFoundException", "Message": "none" })));
    assert!(secrets.versions("s").await.is_err());
    pass(9);
    assert!(secrets.versions("s").await.is_err());
    assert_eq!(wire.calls(GET), 1);
    pass(1);
    has(&wire, "first");
    assert_eq!(&*secrets.versions("s").await.unwrap().current.value, "first");
}

#[tokio::test]
async fn a_service_that_says_nothing_has_not_said_that_there_is_no_secret() {
    let wire = Wire::default();
    let secrets = secrets(&wire);
    wire.next(GET, Fault::error(500, "InternalServiceError"));
    assert!(secrets.versions("s").await.unwrap_err().is_transient());
    has(&wire, "there");
    assert_eq!(&*secrets.versions("s").await.unwrap().current.value, "there");
}
