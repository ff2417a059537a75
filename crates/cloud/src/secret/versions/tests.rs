use super::*;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_secretsmanager::config::{Credentials, SharedCredentialsProvider};
use pullyard_testkit::{Fault, Wire};
use serde_json::json;
use std::sync::atomic::{AtomicU64, Ordering};

const GET: &str = "GetSecretValue";

fn script_current_version(wire: &Wire, value: &str) {
    wire.fail_next(GET, Fault::Refused(200, json!({ "Name": "s", "VersionId": value, "SecretString": value })));
    wire.fail_next(GET, Fault::Refused(400, json!({ "__type": "ResourceNotFoundException", "Message": "none" })));
}

/// Without SDK retries, so that the tests count only our own fetches.
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

fn secrets_with_clock(wire: &Wire) -> (Secrets, impl Fn(u64) + use<>) {
    let secs = Arc::new(AtomicU64::new(0));
    let passed = secs.clone();
    let secrets = secrets(wire).with_clock(move || Duration::from_secs(secs.load(Ordering::SeqCst)));
    let pass = move |by| {
        passed.fetch_add(by, Ordering::SeqCst);
    };
    (secrets, pass)
}

#[tokio::test]
async fn value_is_cached_for_a_minute() {
    let wire = Wire::default();
    let (secrets, pass) = secrets_with_clock(&wire);
    let stored = |value: &str| wire.fail_next(GET, Fault::Refused(200, json!({ "Name": "s", "SecretString": value })));
    stored("old");
    assert_eq!(&*secrets.get("s").await.unwrap(), "old");
    pass(59);
    assert_eq!(&*secrets.get("s").await.unwrap(), "old");
    assert_eq!(wire.take_call_count(GET), 1);
    pass(1);
    stored("new");
    assert_eq!(&*secrets.get("s").await.unwrap(), "new");
    assert_eq!(wire.take_call_count(GET), 1);
}

#[tokio::test]
async fn versions_are_cached_for_five_minutes() {
    let wire = Wire::default();
    let (secrets, pass) = secrets_with_clock(&wire);
    script_current_version(&wire, "old");
    let old = secrets.versions("s").await.unwrap();
    pass(299);
    assert_eq!(secrets.versions("s").await.unwrap(), old);
    pass(1);
    script_current_version(&wire, "new");
    assert_eq!(&*secrets.versions("s").await.unwrap().current.value, "new");
    assert_eq!(wire.take_call_count(GET), 4);
}

#[tokio::test]
async fn versions_are_refetched_at_most_every_ten_seconds() {
    let wire = Wire::default();
    let (secrets, pass) = secrets_with_clock(&wire);
    script_current_version(&wire, "old");
    let old = secrets.versions("s").await.unwrap();
    script_current_version(&wire, "old");
    assert_eq!(secrets.refetch_versions("s", &old).await.unwrap(), Some(old.clone()));
    pass(9);
    assert_eq!(secrets.refetch_versions("s", &old).await.unwrap(), None);
    pass(1);
    script_current_version(&wire, "new");
    let new = secrets.refetch_versions("s", &old).await.unwrap().expect("a newer version exists");
    assert_eq!(&*new.current.value, "new");

    wire.fail_next(GET, Fault::error(500, "InternalServiceError"));
    pass(10);
    assert!(secrets.refetch_versions("s", &new).await.is_err());
    pass(10);
    script_current_version(&wire, "newest");
    let newest = secrets.refetch_versions("s", &new).await.unwrap().expect("the service answers again");
    assert_eq!(&*newest.current.value, "newest");
}

#[tokio::test]
async fn failed_refetch_is_an_error_and_not_an_unchanged_version() {
    let wire = Wire::default();
    let secrets = secrets(&wire);
    script_current_version(&wire, "old");
    let old = secrets.versions("s").await.unwrap();
    assert_eq!((&*old.current.value, &old.previous), ("old", &None));

    wire.fail_next(GET, Fault::error(500, "InternalServiceError"));
    let failed = secrets.refetch_versions("s", &old).await.unwrap_err();
    assert!(failed.is_transient(), "{failed}");
    assert_eq!(wire.take_call_count(GET), 3);
    let still = secrets.refetch_versions("s", &old).await.unwrap_err();
    assert!(still.is_transient(), "{still}");
    assert_eq!(wire.take_call_count(GET), 0, "an unavailable service is called once in ten seconds");
    assert_eq!(secrets.versions("s").await.unwrap(), old, "cached versions stay usable");

    script_current_version(&wire, "new");
    let new = secrets.load_versions("s").await.unwrap();
    assert_eq!(secrets.refetch_versions("s", &old).await.unwrap(), Some(new.clone()));
    script_current_version(&wire, "new");
    assert_eq!(secrets.refetch_versions("s", &new).await.unwrap(), Some(new.clone()));
    assert_eq!(secrets.refetch_versions("s", &new).await.unwrap(), None);
    assert_eq!(wire.take_call_count(GET), 4);
}

#[tokio::test]
async fn missing_secret_is_fetched_once_in_ten_seconds() {
    let wire = Wire::default();
    let (secrets, pass) = secrets_with_clock(&wire);
    let none = || Fault::Refused(400, json!({ "__type": "ResourceNotFoundException", "Message": "none" }));
    wire.fail_next(GET, none());
    for _ in 0..3 {
        assert!(matches!(secrets.versions("s").await, Err(Error::NoSecret { .. })));
        pass(3);
    }
    assert_eq!(wire.take_call_count(GET), 1, "unauthenticated requests must not cause calls");
    pass(1);
    script_current_version(&wire, "first");
    let fetched = secrets.versions("s").await.unwrap();
    assert_eq!(&*fetched.current.value, "first", "ten seconds have passed");

    secrets.forget_versions("s");
    wire.fail_next(GET, none());
    assert!(secrets.versions("s").await.is_err());
    script_current_version(&wire, "second");
    let fetched = secrets.load_versions("s").await.unwrap();
    assert_eq!(secrets.versions("s").await.unwrap(), fetched, "a fresh fetch finds the new secret");
    secrets.forget_versions("s");
    wire.fail_next(GET, none());
    assert!(secrets.versions("s").await.is_err());
    secrets.forget_versions("s");
    script_current_version(&wire, "third");
    assert_eq!(&*secrets.versions("s").await.unwrap().current.value, "third", "a new secret is used at once");
}

#[tokio::test]
async fn service_failure_is_not_cached_as_a_missing_secret() {
    let wire = Wire::default();
    let secrets = secrets(&wire);
    wire.fail_next(GET, Fault::error(500, "InternalServiceError"));
    assert!(secrets.versions("s").await.unwrap_err().is_transient());
    script_current_version(&wire, "there");
    assert_eq!(&*secrets.versions("s").await.unwrap().current.value, "there");
}

#[tokio::test]
async fn denied_deletion_is_an_error() {
    let wire = Wire::default();
    let secrets = secrets(&wire);
    let refused = |kind: &str| Fault::Refused(400, json!({ "__type": kind, "Message": "none" }));
    let found = json!({ "Name": "s", "SecretBinary": "AAAA", "CreatedDate": 1.5 });
    wire.fail_next(GET, Fault::Refused(200, found));
    assert_eq!(secrets.load_before_deletion("s").await.unwrap().map(|at| at.millis()), Some(1_500));
    for missing in ["ResourceNotFoundException", "AccessDeniedException", "InvalidRequestException"] {
        wire.fail_next(GET, refused(missing));
        let error = secrets.load_before_deletion("s").await.unwrap_err();
        assert!(matches!(error, Error::NoSecret { .. }), "{missing}: {error}");
    }
    for (kind, is_gone) in
        [("InvalidRequestException", true), ("InternalServiceError", false), ("AccessDeniedException", false)]
    {
        wire.fail_next("DeleteSecret", refused(kind));
        let error = secrets.delete("s").await.unwrap_err();
        assert_eq!(matches!(error, Error::NoSecret { .. }), is_gone, "{kind}: {error}");
    }
}
