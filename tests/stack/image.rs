//! Tests the findings of `doctor --stack` about the task image and the commits of a deployment.

use super::account::{CLAUDE_CODE, CODEX, IMAGES, REVISION, error_answer};
use super::doctor::DoctorWorld;
use crate::prelude::*;
use pullyard_version::{UNKNOWN, short_commit};

const OTHER: &str = "0123456789abcdef0123456789abcdef01234567";

#[tokio::test(flavor = "multi_thread")]
async fn parts_of_another_commit_are_reported() {
    if COMMIT == UNKNOWN {
        return;
    }
    let sick = DoctorWorld::healthy().await;
    let ours = format!("this program {}", short_commit(COMMIT));
    sick.account.set_output("Commit", OTHER);
    let phrases = [ours.as_str(), "its templates 0123456789ab", "`infra/preflight`", "push --stack py"];
    sick.assert_finding("commit", "warning", &phrases).await;
    sick.account.set_output("Commit", COMMIT);
    sick.account.set_image_labels(&json!({ REVISION: OTHER }));
    sick.assert_finding("commit", "warning", &[&ours, "its image 0123456789ab"]).await;
    let url = super::doctor::serve_version(env!("CARGO_PKG_VERSION"), pullyard_protocol::version::PROTOCOL).await;
    sick.account.set_output("ApiUrl", &url);
    sick.assert_finding("commit", "warning", &["the stack's program unknown"]).await;
    sick.account.remove_output("Commit");
    sick.assert_finding("commit", "warning", &["its templates unknown"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn agent_is_reported_when_the_image_lacks_it() {
    let sick = DoctorWorld::healthy().await;
    sick.assert_finding("agents", "good", &["The image has claude_code 2.1.197 and codex 0.63.0."]).await;
    sick.story.connect_repository(Agent { capability: "codex".into(), command: Vec::new(), model: None }).await;
    sick.account.set_image_labels(&json!({ REVISION: COMMIT, CLAUDE_CODE: "2.1.197", CODEX: "" }));
    let phrases = ["Jobs of acme run codex on Fargate, but the image lacks it.", "infra/image/push --codex latest"];
    sick.assert_finding("agents", "wrong", &phrases).await;
    sick.story.update_settings(|settings| settings.compute = Compute::Runners).await;
    sick.assert_finding("agents", "good", &["The image has claude_code 2.1.197."]).await;
    sick.account.set_image_labels(&Value::Null);
    sick.assert_finding(
        "agents",
        "warning",
        &["an older version of infra/image/push built it", "infra/image/push --stack py"],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn labels_are_read_from_the_variant_of_the_architecture() {
    let sick = DoctorWorld::healthy().await;
    let variant = |architecture: &str, digest: &str| json!({ "digest": digest, "platform": { "os": "linux", "architecture": architecture } });
    sick.account
        .set_image_manifest("", &json!({ "manifests": [variant("amd64", "sha256:1"), variant("arm64", "sha256:2")] }));
    sick.account.set_image_manifest("sha256:1", &json!({}));
    sick.account.set_image_manifest("sha256:2", &json!({ "config": { "digest": "sha256:config" } }));
    sick.assert_finding("agents", "good", &["claude_code 2.1.197"]).await;
    sick.account.set_output("Architecture", "x86_64");
    sick.assert_finding("labels", "warning", &["parse the response to BatchGetImage"]).await;
    sick.account.set_image_manifest("", &json!({ "manifests": [variant("arm64", "sha256:2")] }));
    sick.assert_finding("labels", "warning", &["it has no variant for x86_64", "infra/image/push --stack py"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unreadable_labels_are_one_warning() {
    let sick = DoctorWorld::healthy().await;
    let denied = error_answer("AccessDeniedException", "not authorized");
    sick.account.set_response("GetDownloadUrlForLayer", denied.clone());
    sick.assert_finding("labels", "warning", &["ECR GetDownloadUrlForLayer: not authorized", "docs/operations.md"])
        .await;
    sick.account.set_response("BatchGetImage", denied);
    sick.assert_finding("labels", "warning", &["ECR BatchGetImage: not authorized"]).await;
    sick.assert_finding("image", "good", &[]).await;
    sick.assert_finding("queue", "good", &[]).await;
    let findings = sick.findings().await;
    assert_eq!(findings.iter().filter(|finding| finding.to_string().contains("BatchGetImage")).count(), 1);

    sick.account.set_image_labels(&Value::Null);
    sick.account.set_response("GET /config", (403, "{}".into()));
    sick.assert_finding("labels", "warning", &["reach ECR in us-east-1"]).await;
    assert!(!json!(sick.findings().await).to_string().contains("hidden"), "the presigned URL is a secret");

    let missing = json!({ "images": [], "failures": [{ "failureCode": "ImageNotFound" }] });
    sick.account.set_answer("BatchGetImage", &missing.to_string());
    sick.account.remove_output("Image");
    let image = format!("Can't read the labels of the image {IMAGES}:latest: ");
    sick.assert_finding("labels", "warning", &[&image, "has no such image", "infra/image/push --stack py"]).await;
}
