//! Tests what `doctor --stack` reads from the task image and from the commits of a deployment.

use super::account::{CLAUDE_CODE, CODEX, IMAGES, REVISION, refused};
use super::sick::Sick;
use pullyard_domain::agent::Agent;
use pullyard_domain::project::Compute;
use pullyard_version::{COMMIT, UNKNOWN, short};
use serde_json::{Value, json};

const OTHER: &str = "0123456789abcdef0123456789abcdef01234567";

#[tokio::test(flavor = "multi_thread")]
async fn parts_of_another_commit_are_reported() {
    if COMMIT == UNKNOWN {
        return;
    }
    let sick = Sick::healthy().await;
    let deploy = "sam build && sam deploy --config-file samconfig.local.toml";
    sick.account.output("Commit", OTHER);
    let said = ["The stack's templates are from commit 0123456789ab;", short(COMMIT), deploy];
    sick.says("commit", "wrong", &said).await;
    sick.account.output("Commit", COMMIT);
    sick.account.image(&json!({ REVISION: OTHER }));
    let said = ["The image is from commit 0123456789ab;", short(COMMIT), "infra/image/push --stack py"];
    sick.says("commit", "wrong", &said).await;
    sick.account.image(&Value::Null);
    sick.says("commit", "warning", &["The commit of the image is unknown", "infra/image/push --stack py"]).await;
    sick.account.without_output("Commit");
    sick.says("commit", "warning", &["run infra/preflight before sam deploy"]).await;
    let url = super::sick::an_api_that_is(env!("CARGO_PKG_VERSION"), pullyard_protocol::version::PROTOCOL).await;
    sick.account.output("ApiUrl", &url);
    sick.says("commit", "warning", &["The commit of the stack's program is unknown", deploy]).await;
    sick.story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn agent_is_reported_when_the_image_lacks_it() {
    let sick = Sick::healthy().await;
    sick.says("agents", "good", &["The image has claude_code 2.1.197 and codex 0.63.0."]).await;
    sick.story.connect(Agent { capability: "codex".into(), command: Vec::new(), model: None }).await;
    sick.account.image(&json!({ REVISION: COMMIT, CLAUDE_CODE: "2.1.197", CODEX: "" }));
    let said = ["Jobs of acme run codex on Fargate, but the image lacks it.", "infra/image/push --codex latest"];
    sick.says("agents", "wrong", &said).await;
    sick.story.settings(|settings| settings.compute = Compute::Runners).await;
    sick.says("agents", "good", &["The image has claude_code 2.1.197."]).await;
    sick.account.image(&Value::Null);
    sick.says("agents", "warning", &["an older version of infra/image/push built it", "infra/image/push --stack py"])
        .await;
    sick.story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn labels_are_read_from_the_variant_of_the_architecture() {
    let sick = Sick::healthy().await;
    let variant = |architecture: &str, digest: &str| json!({ "digest": digest, "platform": { "os": "linux", "architecture": architecture } });
    sick.account.manifest("", &json!({ "manifests": [variant("amd64", "sha256:1"), variant("arm64", "sha256:2")] }));
    sick.account.manifest("sha256:1", &json!({}));
    sick.account.manifest("sha256:2", &json!({ "config": { "digest": "sha256:config" } }));
    sick.says("agents", "good", &["claude_code 2.1.197"]).await;
    sick.account.output("Architecture", "x86_64");
    sick.says("labels", "warning", &["parse the response to BatchGetImage"]).await;
    sick.account.manifest("", &json!({ "manifests": [variant("arm64", "sha256:2")] }));
    sick.says("labels", "warning", &["it has no variant for x86_64", "infra/image/push --stack py"]).await;
    sick.story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unreadable_labels_are_one_warning() {
    let sick = Sick::healthy().await;
    let denied = refused("AccessDeniedException", "not authorized");
    sick.account.replies("GetDownloadUrlForLayer", denied.clone());
    sick.says("labels", "warning", &["lack the permission ecr:GetDownloadUrlForLayer", "docs/operations.md"]).await;
    sick.account.replies("BatchGetImage", denied);
    sick.says("labels", "warning", &["these credentials lack the permission ecr:BatchGetImage"]).await;
    sick.says("image", "good", &[]).await;
    sick.says("queue", "good", &[]).await;
    let findings = sick.findings().await;
    assert_eq!(findings.iter().filter(|finding| finding.to_string().contains("BatchGetImage")).count(), 1);

    sick.account.image(&Value::Null);
    sick.account.replies("GET /config", (403, "{}".into()));
    sick.says("labels", "warning", &["reach ECR in us-east-1"]).await;
    assert!(!json!(sick.findings().await).to_string().contains("hidden"), "the presigned URL is a secret");

    let missing = json!({ "images": [], "failures": [{ "failureCode": "ImageNotFound" }] });
    sick.account.answers("BatchGetImage", &missing.to_string());
    sick.account.without_output("Image");
    let image = format!("Can't read the labels of the image {IMAGES}:latest: ");
    sick.says("labels", "warning", &[&image, "has no such image", "infra/image/push --stack py"]).await;
    sick.story.end().await;
}
