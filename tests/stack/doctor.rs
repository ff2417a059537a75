//! Tests that `doctor --stack` reports each fault of a deployed stack and the remedy.

use super::account::{Account, IMAGES, error_answer, route_tables, subscriptions};
use crate::cli::CommandOutput;
use crate::prelude::*;
use pullyard_domain::text::self_check::RefusedCall;
use pullyard_protocol::version::PROTOCOL;
use pullyard_store::{ReadyCursors, SweeperState};
use pullyard_version::UNKNOWN;

pub(super) struct DoctorWorld {
    pub(super) story: Story,
    pub(super) account: Account,
    pub(super) user: User,
}

impl DoctorWorld {
    pub(super) async fn healthy() -> Self {
        let story = Story::start_with(Setup::default()).await;
        let account = Account::healthy(&story).await;
        let mut user = account.operator();
        user.set_env("PULLYARD_TOKEN", story.local.admin_token());
        story.set_ingress(REPOSITORY, Ingress::Webhook).await;
        story.update_settings(|settings| settings.revise_on_review = false).await;
        Self { story, account, user }
    }

    pub(super) async fn findings(&self) -> Vec<Value> {
        let ran: CommandOutput = self.user.run(&["doctor", "--stack", "py", "--json"]).await;
        let findings: Vec<Value> = serde_json::from_str(&ran.out).unwrap_or_else(|error| panic!("{error}: {ran:?}"));
        let wrong = findings.iter().any(|finding| finding["verdict"] == "wrong");
        assert_eq!(ran.code, i32::from(wrong), "{ran:?}");
        findings
    }

    pub(super) async fn assert_finding(&self, check: &str, verdict: &str, texts: &[&str]) {
        let findings = self.findings().await;
        let text = |finding: &Value| {
            ["sentence", "help"].map(|part| finding[part].as_str().unwrap_or_default().to_owned()).join(" ")
        };
        let fits = |finding: &&Value| {
            finding["check"] == check
                && finding["verdict"] == verdict
                && texts.iter().all(|phrase| text(finding).contains(phrase))
        };
        assert!(findings.iter().any(|finding| fits(&finding)), "{check} {verdict} {texts:?}: {findings:#?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn healthy_stack_passes_every_check() {
    let sick = DoctorWorld::healthy().await;
    let findings = sick.findings().await;
    let of = |check: &str| {
        findings.iter().find(|finding| finding["check"] == check).map(|finding| finding["verdict"].clone())
    };
    for check in [
        "stack", "clock", "secret", "image", "agents", "egress", "alarms", "queue", "sweeper", "quota", "version",
        "token", "model", "forge", "roles",
    ] {
        assert_eq!(of(check), Some(json!("good")), "{check}: {findings:#?}");
    }
    assert_eq!(of("hook"), Some(json!("warning")), "no repository needs a webhook: {findings:#?}");
    // A build without git has no commit to compare.
    assert_eq!(of("commit"), Some(json!(if COMMIT == UNKNOWN { "warning" } else { "good" })), "{findings:#?}");
    let operations = [
        "BatchGetImage",
        "DescribeImages",
        "DescribeRouteTables",
        "DescribeSecret",
        "DescribeSecurityGroups",
        "DescribeStacks",
        "DescribeSubnets",
        "DescribeTaskDefinition",
        "GET",
        "GetDownloadUrlForLayer",
        "GetItem",
        "GetQueueAttributes",
        "GetServiceQuota",
        "Invoke",
        "ListSubscriptionsByTopic",
    ];
    assert_eq!(sick.account.calls(), operations, "only reads and self-checks, and no value of a secret");
    let ran = sick.user.run(&["doctor", "--stack", "py"]).await.assert_exit(0, "see above.");
    assert!(ran.out.contains("No quota is small: 140 Fargate vCPUs, "), "{ran:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn stack_in_update_rolled_back_or_failed_is_reported() {
    let sick = DoctorWorld::healthy().await;
    for (status, verdict, sentence) in [
        ("UPDATE_IN_PROGRESS", "warning", "py is being updated (UPDATE_IN_PROGRESS)"),
        ("UPDATE_ROLLBACK_COMPLETE", "warning", "The last update of the stack py was rolled back"),
        ("UPDATE_ROLLBACK_FAILED", "wrong", "py is in a failed state (UPDATE_ROLLBACK_FAILED)"),
    ] {
        sick.account.set_status(status);
        sick.assert_finding("stack", verdict, &[sentence]).await;
        sick.assert_finding("queue", "good", &[]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn denied_call_of_a_function_is_named() {
    let sick = DoctorWorld::healthy().await;
    sick.assert_finding("roles", "good", &["The 8 roles allow all 240 calls."]).await;
    let denied = RefusedCall {
        action: "dynamodb:PutItem".into(),
        on: "TICKET# in a transaction".into(),
        reason: "no identity-based policy allows it".into(),
    };
    sick.account.set_role_report("webhook", &[denied]);
    let phrases =
        ["webhook is denied dynamodb:PutItem on TICKET# in a transaction", "no identity-based policy allows it"];
    sick.assert_finding("roles", "wrong", &phrases).await;
    sick.account.set_invocation("webhook", r#"{"errorType":"Error","errorMessage":"missing field `Records`"}"#);
    let phrases = ["webhook did not check its role: missing field `Records`", "Deploy the release of this program"];
    sick.assert_finding("roles", "wrong", &phrases).await;
    sick.account.set_response(
        "Invoke /2015-03-31/functions/py-api/invocations",
        (
            403,
            json!({ "Message": "not authorized to perform: lambda:InvokeFunction", "__type": "AccessDeniedException" })
                .to_string(),
        ),
    );
    let phrases = ["This check failed", "lambda:InvokeFunction", "docs/operations.md lists all"];
    sick.assert_finding("roles", "wrong", &phrases).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn key_secret_without_a_value_is_reported() {
    let sick = DoctorWorld::healthy().await;
    sick.account.set_output("KeySecretName", "py/key");
    sick.assert_finding("secret", "wrong", &["py/key does not exist", "Deploy the stack again"]).await;
    sick.account.set_answer("DescribeSecret", &json!({ "Name": "py/key" }).to_string());
    sick.assert_finding("secret", "wrong", &["py/key has no value", "put-secret-value --secret-id py/key"]).await;
    let deleted = json!({ "Name": "py/key", "DeletedDate": 1.0, "VersionIdsToStages": { "v": ["AWSCURRENT"] } });
    sick.account.set_answer("DescribeSecret", &deleted.to_string());
    sick.assert_finding("secret", "wrong", &["marked for deletion", "restore-secret --secret-id py/key"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn agent_on_fargate_without_a_model_key_is_reported() {
    let sick = DoctorWorld::healthy().await;
    sick.story.connect_repository(Agent { capability: "claude_code".into(), command: Vec::new(), model: None }).await;
    let phrases = ["Jobs of acme run claude_code on Fargate", "model_secrets.anthropic_api_key=", "--project acme"];
    sick.assert_finding("model", "wrong", &phrases).await;
    // A runner may have its own key.
    sick.story.update_settings(|settings| settings.compute = Compute::Runners).await;
    sick.assert_finding("model", "good", &[]).await;
    let another = Some("pullyard/job/openai".to_owned());
    sick.story
        .update_settings(|settings| {
            settings.compute = Compute::Fargate;
            settings.model_secrets.openai_api_key = another;
        })
        .await;
    sick.assert_finding("model", "wrong", &phrases).await;

    let set = SetSecret { value: "sk-ant-1".into(), kind: SecretKind::Job };
    let secret = sick.story.api.set_secret(&SecretName::new("anthropic").unwrap(), &set).await.unwrap().secret;
    let missing = format!("{secret}-2");
    let phrases =
        [missing.as_str(), "which acme names", "does not exist", "pullyard secrets set anthropic-2 --for-jobs"];
    sick.story.update_settings(|settings| settings.model_secrets.anthropic_api_key = Some(missing.clone())).await;
    sick.assert_finding("model", "wrong", &phrases).await;
    // A configured secret must exist even if runners run the jobs.
    sick.story.update_settings(|settings| settings.compute = Compute::Runners).await;
    sick.assert_finding("model", "wrong", &phrases).await;
    sick.story.update_settings(|settings| settings.model_secrets.anthropic_api_key = Some(secret)).await;
    sick.assert_finding("model", "good", &["has a value"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn signing_key_without_a_value_is_reported() {
    let sick = DoctorWorld::healthy().await;
    let missing = Some("pullyard/job/signing".to_owned());
    sick.story.update_settings(|settings| settings.commits.signing_secret = missing).await;
    let phrases =
        ["pullyard/job/signing, which acme names", "does not exist", "pullyard secrets set signing --for-jobs"];
    sick.assert_finding("model", "wrong", &phrases).await;
    let set = SetSecret { value: "key-1".into(), kind: SecretKind::Job };
    sick.story.api.set_secret(&SecretName::new("signing").unwrap(), &set).await.unwrap();
    sick.assert_finding("model", "good", &["has a value"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_task_image_is_reported() {
    let sick = DoctorWorld::healthy().await;
    sick.account.set_response(
        "DescribeImages",
        error_answer("ImageNotFoundException", "The image with imageId … does not exist"),
    );
    let phrases = ["small, medium, large", IMAGES, "has no 1.0", "infra/image/push --stack py"];
    sick.assert_finding("image", "wrong", &phrases).await;
    sick.account.set_answer("DescribeImages", &json!({ "imageDetails": [] }).to_string());
    sick.assert_finding("image", "wrong", &phrases).await;
    sick.account
        .set_response("DescribeTaskDefinition", error_answer("ClientException", "Unable to describe task definition."));
    sick.assert_finding("image", "wrong", &["no task definition py-small"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bitbucket_repository_without_a_webhook_is_reported() {
    let sick = DoctorWorld::healthy().await;
    let Story { api, local, project, .. } = &sick.story;
    local.forge().create_repository("acme/api", "main", &[("README.md", "# Shop\n", false)]).await.unwrap();
    let connect = json!({
        "id": "bb", "kind": "bitbucket", "api_url": local.forge().bitbucket_api_url(), "token_secret": local.forge_secret(),
    });
    api.create_integration(&serde_json::from_value(connect).unwrap()).await.unwrap();
    let add =
        json!({ "integration": "bb", "name": "acme/api", "agent": { "capability": "command", "command": ["a"] } });
    api.add_repository(project, &serde_json::from_value(add).unwrap()).await.unwrap();
    sick.story.update_settings(|settings| settings.revise_on_review = true).await;
    sick.story.set_ingress(REPOSITORY, Ingress::Poll).await;
    sick.story.set_ingress("acme/api", Ingress::Webhook).await;
    let install = "--integration bb --repo acme/api --project acme";
    let mend = "pullyard repos ingress acme/api poll --project acme";
    sick.assert_finding("hook", "wrong", &["No webhook sends reviews of acme/api to the project acme.", install, mend])
        .await;
    sick.story.set_ingress("acme/api", Ingress::Poll).await;
    sick.assert_finding("hook", "good", &["No repository needs a webhook"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_or_disabled_webhook_is_reported() {
    let sick = DoctorWorld::healthy().await;
    let mend =
        format!("pullyard hooks install --base-url {} --integration gh1 --repo acme/app", sick.story.local.api_url());
    sick.assert_finding("hook", "warning", &["acme/app", &mend]).await;
    sick.story.update_settings(|settings| settings.revise_on_review = true).await;
    sick.assert_finding("hook", "wrong", &["acme/app", &mend]).await;

    let url = sick.story.local.api_url().to_owned();
    let install = ["hooks", "install", "--base-url", &url, "--integration", "gh1", "--repo", "acme/app", "--url", &url];
    sick.user.ok(&[&install[..], &["--project", "acme"]].concat()).await;
    sick.assert_finding("hook", "good", &["1 repository"]).await;
    let hooks = sick.story.call_forge(reqwest::Method::GET, "/hooks", Value::Null).await;
    let id = hooks[0]["id"].as_u64().unwrap();
    let off = json!({ "active": false });
    sick.story.call_forge(reqwest::Method::PATCH, &format!("/hooks/{id}"), off).await;
    sick.assert_finding("hook", "wrong", &["differs from its expected settings", "pullyard hooks repair"]).await;
    sick.story.call_forge(reqwest::Method::PATCH, &format!("/hooks/{id}"), json!({ "active": true })).await;

    // The webhook of a repository serves one project.
    sick.user.ok(&["projects", "create", "late", "--url", &url]).await;
    let add = ["repos", "add", "acme/app", "--integration", "gh1", "--url", &url, "--project", "late"];
    sick.user.ok(&[&add[..], &["--agent-command", "./agent.sh"]].concat()).await;
    sick.user.ok(&["repos", "ingress", "acme/app", "webhook", "--url", &url, "--project", "late"]).await;
    let phrases = ["No webhook sends reviews of acme/app to the project late.", "--project late"];
    sick.assert_finding("hook", "wrong", &phrases).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn subnet_without_internet_egress_is_reported() {
    let sick = DoctorWorld::healthy().await;
    sick.account.set_answer("DescribeRouteTables", &route_tables(""));
    sick.assert_finding("egress", "wrong", &["subnet-1 has no route to the internet", "0.0.0.0/0"]).await;
    let gateway = "<item><destinationCidrBlock>0.0.0.0/0</destinationCidrBlock><gatewayId>igw-7</gatewayId><state>active</state></item>";
    sick.account.set_answer("DescribeRouteTables", &route_tables(gateway));
    sick.assert_finding("egress", "good", &[]).await;
    sick.account.set_parameter("AssignPublicIp", "false");
    sick.assert_finding("egress", "wrong", &["subnet-1 routes to igw-7, but", "AssignPublicIp=true"]).await;
    let blackhole = "<item><destinationCidrBlock>0.0.0.0/0</destinationCidrBlock><natGatewayId>nat-9</natGatewayId><state>blackhole</state></item>";
    sick.account.set_answer("DescribeRouteTables", &route_tables(blackhole));
    sick.assert_finding("egress", "wrong", &["subnet-2", "nat-9, which does not exist"]).await;
    let closed = "<DescribeSecurityGroupsResponse><securityGroupInfo><item><ipPermissionsEgress><item><ipProtocol>tcp</ipProtocol>\
                  <fromPort>80</fromPort><toPort>80</toPort><ipRanges><item><cidrIp>0.0.0.0/0</cidrIp></item></ipRanges></item>\
                  </ipPermissionsEgress></item></securityGroupInfo></DescribeSecurityGroupsResponse>";
    sick.account.set_answer("DescribeSecurityGroups", closed);
    sick.assert_finding("egress", "wrong", &["sg-1 blocks outgoing HTTPS"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn alarms_without_a_confirmed_subscriber_are_reported() {
    let sick = DoctorWorld::healthy().await;
    sick.account.set_answer("ListSubscriptionsByTopic", &subscriptions(""));
    sick.assert_finding("alarms", "wrong", &["no subscriber", "aws sns subscribe"]).await;
    let pending =
        "<member><SubscriptionArn>PendingConfirmation</SubscriptionArn><Endpoint>ops@example.com</Endpoint></member>";
    sick.account.set_answer("ListSubscriptionsByTopic", &subscriptions(pending));
    sick.assert_finding("alarms", "wrong", &["ops@example.com has not confirmed"]).await;
    let subscription = pending.replace("PendingConfirmation", "Deleted");
    sick.account.set_answer("ListSubscriptionsByTopic", &subscriptions(&subscription));
    sick.assert_finding("alarms", "wrong", &["no subscriber", "aws sns subscribe"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn queue_backlog_and_dead_letters_are_reported() {
    let sick = DoctorWorld::healthy().await;
    sick.account.add_undelivered_event(&sick.story).await;
    sick.assert_finding("queue", "warning", &["1 stopped task was not reported", "dlq list --queue undelivered"]).await;
    let attributes = |waiting: &str| json!({ "Attributes": { "ApproximateNumberOfMessages": waiting } }).to_string();
    sick.account.add_dead_letter(&sick.story).await;
    sick.assert_finding("queue", "wrong", &["dead-letter queue of dispatch has 1 message", "pullyard dlq list"]).await;
    sick.account.set_answer("GetQueueAttributes", &attributes("1000"));
    let phrases = ["dispatch queue is backed up", "1000 messages are waiting", "/pullyard/py/dispatcher"];
    sick.assert_finding("queue", "wrong", &phrases).await;
    sick.assert_finding("queue", "wrong", &["effects queue is backed up", "/pullyard/py/effects"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn late_sweeper_is_reported() {
    let story = Story::start_with(Setup::default()).await;
    let account = Account::before_first_sweep(&story).await;
    let mut user = account.operator();
    user.set_env("PULLYARD_TOKEN", story.local.admin_token());
    let other = DoctorWorld { story, account, user };
    other.assert_finding("sweeper", "wrong", &["never ran", "/pullyard/py/sweeper"]).await;
    let at = Timestamp::from(SystemTime::now()).minus(Duration::from_secs(1_200));
    other
        .story
        .store()
        .await
        .put_sweeper_state(&SweeperState {
            at,
            ready_at: at,
            since: None,
            ready_cursors: ReadyCursors::new(),
            gauges: None,
        })
        .await
        .unwrap();
    other.assert_finding("sweeper", "wrong", &["is late", "20 min"]).await;
    other.story.local.sweep().await.unwrap();
    other.assert_finding("sweeper", "good", &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn small_quota_is_reported() {
    let sick = DoctorWorld::healthy().await;
    sick.account.set_answer("GetServiceQuota L-B99A9384", &json!({ "Quota": { "Value": 10.0 } }).to_string());
    let phrases = ["only 10 concurrent Lambda executions", "webhooks and heartbeats", "--quota-code L-B99A9384"];
    sick.assert_finding("quota", "warning", &phrases).await;
    sick.account.set_response("GetServiceQuota L-B99A9384", error_answer("NoSuchResourceException", "never asked for"));
    sick.account.set_answer("GetAWSDefaultServiceQuota", &json!({ "Quota": { "Value": 1000.0 } }).to_string());
    sick.assert_finding("quota", "good", &["1000 concurrent Lambda executions"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_clock_is_the_advice_when_a_signature_is_expired() {
    let sick = DoctorWorld::healthy().await;
    sick.account.set_clock_lead(Duration::from_secs(3_600));
    sick.assert_finding("stack", "wrong", &["Signature expired", "This machine's clock is wrong; set it."]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn version_mismatch_is_reported() {
    let sick = DoctorWorld::healthy().await;
    sick.account.set_output("Version", "0.9.9");
    sick.assert_finding("version", "wrong", &["is of version 0.9.9, but its functions run", "infra/preflight"]).await;
    sick.account.set_output("ApiUrl", "http://127.0.0.1:1");
    sick.assert_finding("version", "wrong", &["The API returns no version", "/pullyard/py/api"]).await;
}

pub(super) async fn serve_version(version: &str, protocol: u32) -> String {
    let body = json!({ "version": version, "protocol": protocol }).to_string();
    let answer = move || {
        let body = body.clone();
        async move { ([("content-type", "application/json")], body) }
    };
    let router = axum::Router::new().route("/v1/version", axum::routing::get(answer));
    serve(router).await
}

#[tokio::test(flavor = "multi_thread")]
async fn other_protocol_is_wrong_and_other_release_a_warning() {
    let sick = DoctorWorld::healthy().await;
    for (version, protocol, verdict, sentence) in [
        (env!("CARGO_PKG_VERSION"), PROTOCOL + 1, "wrong", "The API speaks protocol"),
        ("0.9.9", PROTOCOL, "warning", "The stack runs version 0.9.9, this program is"),
    ] {
        sick.account.set_output("ApiUrl", &serve_version(version, protocol).await);
        sick.account.set_output("Version", version);
        sick.assert_finding("version", verdict, &[sentence, "Update the older of the two"]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn denied_read_is_reported_and_other_checks_continue() {
    let sick = DoctorWorld::healthy().await;
    let denied = "<R><Error><Code>AuthorizationError</Code><Message>not you</Message></Error></R>".to_owned();
    sick.account.set_response("ListSubscriptionsByTopic", (403, denied));
    sick.assert_finding("alarms", "wrong", &["This check failed", "not you", "Request this permission"]).await;
    sick.assert_finding("queue", "good", &[]).await;
    let error_body =
        "<R><Error><Code>ValidationError</Code><Message>Stack with id py does not exist</Message></Error></R>"
            .to_owned();
    sick.account.set_response("DescribeStacks", (400, error_body));
    sick.assert_finding("stack", "wrong", &["find the stack py in us-east-1"]).await;
    sick.account.set_answer("DescribeStacks", "<DescribeStacksResponse><DescribeStacksResult><Stacks><member><StackStatus>CREATE_COMPLETE</StackStatus></member></Stacks></DescribeStacksResult></DescribeStacksResponse>");
    sick.assert_finding("stack", "wrong", &["it has no output"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn aws_checks_run_without_an_api_token() {
    let mut sick = DoctorWorld::healthy().await;
    sick.user = sick.account.operator();
    sick.assert_finding("token", "wrong", &["has no token for", "pullyard init --stack py"]).await;
    sick.assert_finding("image", "good", &[]).await;
}
