//! A fake AWS account: scripted answers of a healthy stack, plus the embedded table, secrets and queues.

use crate::prelude::*;
use axum::http::{Method, Uri};
use pullyard_domain::text::self_check::{RefusedCall, RoleReport, SELF_CHECK};

pub(super) const IMAGES: &str = "123456789012.dkr.ecr.us-east-1.amazonaws.com/py/runner";

pub(super) const REVISION: &str = "org.opencontainers.image.revision";
pub(super) const CLAUDE_CODE: &str = "pullyard.agent.claude_code";
pub(super) const CODEX: &str = "pullyard.agent.codex";

#[derive(Default)]
struct AccountState {
    calls: Vec<String>,
    answers: BTreeMap<String, (u16, String)>,
    clock_lead: Duration,
    /// Addresses of the embedded services by target prefix.
    embedded: Vec<(&'static str, String)>,
}

pub(super) struct Account {
    state: Arc<Mutex<AccountState>>,
    url: String,
    /// Dead-letter queues of dispatch, effects, and undelivered events.
    dead_letters: [String; 3],
    server: tokio::task::JoinHandle<()>,
}

impl Drop for Account {
    fn drop(&mut self) {
        self.server.abort();
    }
}

fn xml_response(operation: &str, inner: &str) -> String {
    format!("<{operation}Response><{operation}Result>{inner}</{operation}Result></{operation}Response>")
}

pub(super) fn route_tables(target: &str) -> String {
    format!(
        "<DescribeRouteTablesResponse><routeTableSet>\
         <item><associationSet><item><main>true</main></item></associationSet><routeSet/></item>\
         <item><associationSet><item><subnetId>subnet-1</subnetId></item><item><subnetId>subnet-2</subnetId></item></associationSet>\
         <routeSet><item><destinationCidrBlock>10.0.0.0/16</destinationCidrBlock><gatewayId>local</gatewayId></item>\
         {target}</routeSet></item></routeTableSet></DescribeRouteTablesResponse>"
    )
}

pub(super) fn subscriptions(members: &str) -> String {
    xml_response("ListSubscriptionsByTopic", &format!("<Subscriptions>{members}</Subscriptions>"))
}

pub(super) fn error_answer(code: &str, message: &str) -> (u16, String) {
    (400, json!({ "__type": code, "message": message }).to_string())
}

impl Account {
    pub(super) async fn healthy(story: &Story) -> Self {
        let account = Self::before_first_sweep(story).await;
        story.local.sweep().await.unwrap();
        account
    }

    pub(super) async fn before_first_sweep(story: &Story) -> Self {
        let at = story.local.aws().endpoints().clone();
        let mut dead_letters = Vec::new();
        for name in ["dead-dispatch", "dead-effects", "dead-undelivered"] {
            let response = story.local.aws().sqs().call("CreateQueue", &json!({ "QueueName": name })).await.unwrap();
            dead_letters.push(response["QueueUrl"].as_str().unwrap().to_owned());
        }
        let queue = async |name| story.queue_url(name).await.as_str().unwrap().to_owned();
        let outputs = [
            ("ApiUrl", story.local.api_url().to_owned()),
            ("TableName", "pullyard".into()),
            ("KeySecretName", "pullyard/signing-key".into()),
            ("UserSecretPrefix", "pullyard/user/".into()),
            ("DispatchQueueUrl", queue("dispatch").await),
            ("DispatchDeadLetterUrl", dead_letters[0].clone()),
            ("EffectsQueueUrl", queue("effects.fifo").await),
            ("EffectsDeadLetterUrl", dead_letters[1].clone()),
            ("CallsQueueUrl", queue("calls.fifo").await),
            ("CallsDeadLetterUrl", queue("calls-dead.fifo").await),
            ("UndeliveredUrl", dead_letters[2].clone()),
            ("ClusterName", "py".into()),
            ("TaskDefinitions", "small=py-small,medium=py-medium,large=py-large".into()),
            ("RepositoryUri", IMAGES.into()),
            ("Subnets", "subnet-1,subnet-2".into()),
            ("SecurityGroup", "sg-1".into()),
            ("AlarmTopicArn", "arn:aws:sns:us-east-1:123456789012:py-alarms".into()),
            ("Version", env!("CARGO_PKG_VERSION").into()),
            ("Commit", COMMIT.into()),
            ("Image", format!("{IMAGES}:1.0")),
            ("Architecture", "arm64".into()),
            ("BucketName", "py-bucket".into()),
            ("ArtifactsBucketName", "py-artifacts".into()),
        ];
        let embedded = vec![
            ("DynamoDB_", at.dynamodb.clone()),
            ("secretsmanager.", at.secretsmanager.clone()),
            ("AmazonSQS.", at.sqs.clone()),
        ];
        let desk = Arc::new(Mutex::new(AccountState { embedded, ..AccountState::default() }));
        let router = Router::new().fallback(handle_call).with_state(Arc::clone(&desk));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        let account = Self { state: desk, url, dead_letters: dead_letters.try_into().unwrap(), server };
        account.set_outputs(&outputs.iter().map(|(name, value)| (*name, value.as_str())).collect::<Vec<_>>());
        let definition =
            json!({ "taskDefinition": { "containerDefinitions": [{ "image": format!("{IMAGES}:1.0") }] } });
        account.set_answer("DescribeTaskDefinition", &definition.to_string());
        account.set_answer("DescribeImages", &json!({ "imageDetails": [{ "imageTags": ["1.0"] }] }).to_string());
        let labels = json!({ REVISION: COMMIT, CLAUDE_CODE: "2.1.197", CODEX: "0.63.0" });
        account.set_image_labels(&labels);
        let subnets = "<subnetSet><item><subnetId>subnet-1</subnetId><vpcId>vpc-1</vpcId></item></subnetSet>";
        account.set_answer("DescribeSubnets", &format!("<DescribeSubnetsResponse>{subnets}</DescribeSubnetsResponse>"));
        let gateway = "<item><destinationCidrBlock>0.0.0.0/0</destinationCidrBlock><gatewayId>igw-1</gatewayId><state>active</state></item>";
        account.set_answer("DescribeRouteTables", &route_tables(gateway));
        let rule =
            "<item><ipProtocol>-1</ipProtocol><ipRanges><item><cidrIp>0.0.0.0/0</cidrIp></item></ipRanges></item>";
        account.set_answer(
            "DescribeSecurityGroups",
            &format!(
                "<DescribeSecurityGroupsResponse><securityGroupInfo><item><ipPermissionsEgress>{rule}</ipPermissionsEgress>\
                 </item></securityGroupInfo></DescribeSecurityGroupsResponse>"
            ),
        );
        let subscription =
            "<member><SubscriptionArn>arn:aws:sns:us-east-1:123456789012:py-alarms:1</SubscriptionArn></member>";
        account.set_answer("ListSubscriptionsByTopic", &subscriptions(subscription));
        for (code, limit) in [("L-3032A538", 140), ("L-36FBB829", 140), ("L-B99A9384", 1_000)] {
            let quota = json!({ "Quota": { "Value": limit } });
            account.set_answer(&format!("GetServiceQuota {code}"), &quota.to_string());
        }
        for function in FUNCTIONS {
            account.set_role_report(function, &[]);
        }
        account
    }

    /// The answer of a function to its self-check.
    pub(super) fn set_role_report(&self, function: &str, denied: &[RefusedCall]) {
        let report =
            RoleReport { function: function.into(), calls: 30, denied: denied.to_vec(), unanswered: Vec::new() };
        self.set_invocation(function, &serde_json::to_string(&report).unwrap());
    }

    pub(super) fn set_invocation(&self, function: &str, answer: &str) {
        self.set_answer(&format!("Invoke /2015-03-31/functions/py-{function}/invocations"), answer);
    }

    pub(super) fn set_image_labels(&self, labels: &Value) {
        self.set_image_manifest("", &json!({ "config": { "digest": "sha256:config" } }));
        let download = json!({ "downloadUrl": format!("{}/config?X-Amz-Signature=hidden", self.url) });
        self.set_answer("GetDownloadUrlForLayer", &download.to_string());
        self.set_answer("GET /config", &json!({ "config": { "Labels": labels } }).to_string());
    }

    pub(super) fn set_image_manifest(&self, digest: &str, manifest: &Value) {
        let images = json!({ "images": [{ "imageManifest": manifest.to_string() }], "failures": [] });
        self.set_answer(format!("BatchGetImage {digest}").trim(), &images.to_string());
    }

    pub(super) fn remove_output(&self, name: &str) {
        let (_, text) = self.state.lock().unwrap().answers["DescribeStacks"].clone();
        let (before, after) = text.split_once(&format!("<member><OutputKey>{name}<")).unwrap();
        let (_, after) = after.split_once("</member>").unwrap();
        self.set_answer("DescribeStacks", &format!("{before}{after}"));
    }

    pub(super) fn set_outputs(&self, outputs: &[(&str, &str)]) {
        let member = |(key, value): &(&str, &str)| {
            format!("<member><OutputKey>{key}</OutputKey><OutputValue>{value}</OutputValue></member>")
        };
        let outputs: String = outputs.iter().map(member).collect();
        let status = "<StackName>py</StackName><StackStatus>CREATE_COMPLETE</StackStatus>";
        let stack = format!("<Stacks><member>{status}<Outputs>{outputs}</Outputs></member></Stacks>");
        self.set_answer("DescribeStacks", &xml_response("DescribeStacks", &stack));
    }

    pub(super) fn add_output(&self, name: &str, value: &str) {
        let (_, text) = self.state.lock().unwrap().answers["DescribeStacks"].clone();
        let member =
            format!("<member><OutputKey>{name}</OutputKey><OutputValue>{value}</OutputValue></member></Outputs>");
        self.set_answer("DescribeStacks", &text.replacen("</Outputs>", &member, 1));
    }

    pub(super) fn set_output(&self, name: &str, value: &str) {
        let (_, text) = self.state.lock().unwrap().answers["DescribeStacks"].clone();
        let key = format!("<OutputKey>{name}</OutputKey><OutputValue>");
        let (before, after) = text.split_once(&key).unwrap();
        let (_, after) = after.split_once('<').unwrap();
        self.set_answer("DescribeStacks", &format!("{before}{key}{value}<{after}"));
    }

    pub(super) fn set_status(&self, status: &str) {
        let (_, text) = self.state.lock().unwrap().answers["DescribeStacks"].clone();
        let (before, after) = text.split_once("<StackStatus>").unwrap();
        let (_, after) = after.split_once('<').unwrap();
        self.set_answer("DescribeStacks", &format!("{before}<StackStatus>{status}<{after}"));
    }

    pub(super) fn set_parameter(&self, name: &str, value: &str) {
        let (_, text) = self.state.lock().unwrap().answers["DescribeStacks"].clone();
        let member = format!("<ParameterKey>{name}</ParameterKey><ParameterValue>{value}</ParameterValue>");
        let parameters = format!("<Parameters><member>{member}</member></Parameters><Outputs>");
        self.set_answer("DescribeStacks", &text.replacen("<Outputs>", &parameters, 1));
    }

    pub(super) fn set_answer(&self, operation: &str, body: &str) {
        self.set_response(operation, (200, body.to_owned()));
    }

    pub(super) fn set_response(&self, operation: &str, answer: (u16, String)) {
        self.state.lock().unwrap().answers.insert(operation.to_owned(), answer);
    }

    pub(super) fn set_clock_lead(&self, by: Duration) {
        self.state.lock().unwrap().clock_lead = by;
    }

    pub(super) fn calls(&self) -> Vec<String> {
        let mut calls = self.state.lock().unwrap().calls.clone();
        calls.sort();
        calls.dedup();
        calls
    }

    pub(super) async fn add_dead_letter(&self, story: &Story) {
        let body = json!({ "QueueUrl": self.dead_letters[0], "MessageBody": "{}" });
        story.local.aws().sqs().call("SendMessage", &body).await.unwrap();
    }

    pub(super) async fn add_undelivered_event(&self, story: &Story) {
        let body = json!({ "QueueUrl": self.dead_letters[2], "MessageBody": "{}" });
        story.local.aws().sqs().call("SendMessage", &body).await.unwrap();
    }

    pub(super) fn operator(&self) -> User {
        let mut user = self.user_without_credentials();
        user.set_env("AWS_ACCESS_KEY_ID", ACCESS_KEY_ID);
        user.set_env("AWS_SECRET_ACCESS_KEY", SECRET_ACCESS_KEY);
        user
    }

    pub(super) fn user_without_credentials(&self) -> User {
        let mut user = User::new();
        user.set_env("AWS_ENDPOINT_URL", &self.url);
        user.set_env("AWS_REGION", REGION);
        user.set_env("AWS_EC2_METADATA_DISABLED", "true");
        user
    }
}

fn operation_of(headers: &HeaderMap, path: &str, body: &str) -> (String, String) {
    if let Some(target) = headers.get("x-amz-target") {
        let operation = target.to_str().unwrap().rsplit('.').next().unwrap().to_owned();
        let body: Value = serde_json::from_str(body).unwrap_or_default();
        let word = body["QuotaCode"].as_str().or_else(|| body["imageIds"][0]["imageDigest"].as_str());
        return (operation, word.unwrap_or_default().to_owned());
    }
    if body == SELF_CHECK {
        return ("Invoke".to_owned(), path.to_owned());
    }
    let form = reqwest::Url::parse(&format!("http://x/?{body}")).unwrap();
    let parameter = |name: &str| form.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned());
    (parameter("Action").unwrap_or_default(), String::new())
}

async fn handle_call(
    State(desk): State<Arc<Mutex<AccountState>>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let text = String::from_utf8(body.to_vec()).unwrap();
    // A download through a presigned URL.
    let (operation, word) = match method {
        Method::GET => ("GET".to_owned(), uri.path().to_owned()),
        _ => operation_of(&headers, uri.path(), &text),
    };
    let target = headers.get("x-amz-target").map(|target| target.to_str().unwrap().to_owned());
    let (ahead, found, embedded) = {
        let mut desk = desk.lock().unwrap();
        desk.calls.push(operation.clone());
        let found = desk.answers.get(&format!("{operation} {word}")).or_else(|| desk.answers.get(&operation)).cloned();
        let starts = |start: &str| target.as_deref().is_some_and(|target| target.starts_with(start));
        (desk.clock_lead, found, desk.embedded.iter().find(|(start, _)| starts(start)).map(|(_, url)| url.clone()))
    };
    let now = SystemTime::now() + ahead;
    let (status, kind, body) = match (found, embedded) {
        (None, Some(url)) => forward(&url, &headers, body).await,
        (None, None) => (
            404,
            "application/json".into(),
            format!("{{\"__type\":\"Unscripted\",\"message\":\"{operation}\"}}").into(),
        ),
        (Some(_), _) if method != Method::GET && !is_signed_at(&headers, now) => {
            let (code, message) = ("InvalidSignatureException", "Signature expired");
            let body = match &target {
                Some(_) => json!({ "__type": code, "message": message }).to_string(),
                None => format!("<R><Error><Code>{code}</Code><Message>{message}</Message></Error></R>"),
            };
            (403, if target.is_some() { "application/json".into() } else { "text/xml".into() }, body.into())
        }
        (Some((status, body)), _) => (
            status,
            if body.starts_with('<') { "text/xml".into() } else { "application/x-amz-json-1.1".into() },
            body.into(),
        ),
    };
    let status = StatusCode::from_u16(status).unwrap();
    (status, [("content-type", kind)], body).into_response()
}

async fn forward(url: &str, headers: &HeaderMap, body: Bytes) -> (u16, String, Bytes) {
    // With the same `Host`, which is signed.
    let call = reqwest::Client::builder().no_proxy().build().unwrap().post(url).headers(headers.clone());
    let answer = call.body(body.to_vec()).send().await.unwrap();
    let kind = answer.headers().get("content-type").map(|kind| kind.to_str().unwrap().to_owned()).unwrap_or_default();
    (answer.status().as_u16(), kind, answer.bytes().await.unwrap())
}

/// Like AWS: signed for region and service, within five minutes of the account's clock.
fn is_signed_at(headers: &HeaderMap, now: SystemTime) -> bool {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    let stamp = header("x-amz-date");
    let part = |range: std::ops::Range<usize>| stamp.get(range).unwrap_or("00").to_owned();
    let at = format!("{}-{}-{}T{}:{}:{}Z", part(0..4), part(4..6), part(6..8), part(9..11), part(11..13), part(13..15));
    let at = pullyard_domain::text::time::Timestamp::parse(&at).map_or(0, |at| at.millis());
    let now = i64::try_from(now.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis()).unwrap();
    let authorization = header("authorization");
    authorization.contains(&format!("/{REGION}/")) && authorization.contains("Signature=") && (now - at).abs() < 300_000
}
