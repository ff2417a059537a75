//! Tests that the self-check of each function finds every statement that its role lacks.
//!
//! A server in the place of AWS evaluates the role of `infra/functions.yaml` for each call.

use super::deployment::{DEPLOYMENT, Deployment};
use super::items::{ATTRIBUTES, LEADING_KEYS};
use super::policy::{Effect, Policy, Request as IamRequest};
use crate::prelude::*;
use axum::http::{Method, Uri};
use pullyard_domain::text::self_check::RoleReport;
use pullyard_emulator::ACCOUNT;
use pullyard_entry::Config;
use pullyard_entry::config::{Endpoints, QueuePair, Tags, TaskDefinitions, local_sdk_config};
use pullyard_entry::self_check::{OwnLog, Owner, SelfCheck};
use pullyard_testkit::observe::{Call, Permission, Service};

/// Statements that only a task that starts could check: function, action.
const UNCHECKED: [(&str, &str); 2] = [("dispatcher", "ecs:TagResource"), ("dispatcher", "iam:PassRole")];

/// A request that AWS would evaluate.
#[derive(Clone, Debug)]
struct Evaluated {
    action: String,
    resource: String,
    context: Vec<(&'static str, String)>,
}

impl Evaluated {
    fn is_allowed_by(&self, policy: &Policy) -> bool {
        let context: Vec<_> = self.context.iter().map(|(key, value)| (*key, value.as_str())).collect();
        policy.allows(&IamRequest { action: &self.action, resource: &self.resource, context: &context })
    }
}

struct Iam {
    policy: Policy,
    /// With a KMS key, the services decrypt and encrypt with the caller's permission.
    has_key: bool,
    evaluated: Mutex<Vec<Evaluated>>,
}

fn simple(action: &str, resource: String) -> Evaluated {
    Evaluated { action: action.to_owned(), resource, context: Vec::new() }
}

fn with_conditions(permission: Permission) -> Evaluated {
    let Permission { action, resource, cluster, leading_key, attributes } = permission;
    let keys = leading_key.map(|key| (LEADING_KEYS, key));
    let cluster = cluster.map(|cluster| ("ecs:cluster", cluster));
    let context = keys.into_iter().chain(cluster).chain(attributes.into_iter().map(|name| (ATTRIBUTES, name)));
    Evaluated { context: context.collect(), action, resource }
}

fn evaluate(method: &Method, uri: &Uri, target: &str, body: &Value) -> Vec<Evaluated> {
    let observed =
        |service| Call { app: None, service, operation: target.rsplit('.').next().unwrap().into(), body: body.clone() };
    let service = match target.split('.').next().unwrap() {
        "DynamoDB_20120810" => Service::DynamoDb,
        "AmazonSQS" => Service::Sqs,
        "secretsmanager" => Service::SecretsManager,
        "AmazonEC2ContainerServiceV20141113" => Service::Ecs,
        "Logs_20140328" => {
            let text = |name: &str| body[name].as_str().unwrap().to_owned();
            let resource = format!("log-group:{}:log-stream:{}", text("logGroupName"), text("logStreamName"));
            let operation = target.rsplit('.').next().unwrap();
            return vec![simple(&format!("logs:{operation}"), super::deployment::arn("logs", &resource))];
        }
        _ => {
            return match uri.path() {
                "/TraceSegments" => vec![simple("xray:PutTraceSegments", "*".into())],
                "/TelemetryRecords" => vec![simple("xray:PutTelemetryRecords", "*".into())],
                path => {
                    let action = if *method == Method::PUT { "s3:PutObject" } else { "s3:GetObject" };
                    vec![simple(action, format!("arn:aws:s3:::{}", path.trim_start_matches('/')))]
                }
            };
        }
    };
    observed(service).permissions().into_iter().map(with_conditions).collect()
}

async fn answer(State(iam): State<Arc<Iam>>, method: Method, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let target = headers.get("x-amz-target").map(|target| target.to_str().unwrap().to_owned()).unwrap_or_default();
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let mut evaluated = evaluate(&method, &uri, &target, &body);
    let through = evaluated[0].action.split(':').next().unwrap().to_owned();
    if iam.has_key && ["dynamodb", "s3", "secretsmanager", "sqs"].contains(&through.as_str()) {
        let context = vec![("kms:ViaService", format!("{through}.us-east-1.amazonaws.com"))];
        let key = super::deployment::KMS_KEY_ARN.to_owned();
        let of_key = |action: &str| Evaluated { context: context.clone(), ..simple(action, key.clone()) };
        evaluated.extend(super::aws_calls::KMS_ACTIONS.map(of_key));
    }
    let denied = evaluated.iter().find(|request| !request.is_allowed_by(&iam.policy)).cloned();
    let is_object = through == "s3";
    iam.evaluated.lock().unwrap().extend(evaluated);
    let (status, code) = match (denied, is_object) {
        (Some(_), true) => (StatusCode::FORBIDDEN, "AccessDenied".to_owned()),
        (Some(denied), false) => (StatusCode::BAD_REQUEST, format!("AccessDeniedException {}", denied.action)),
        (None, true) => (StatusCode::OK, String::new()),
        (None, false) => {
            let code = match through.as_str() {
                "dynamodb" => "ConditionalCheckFailedException",
                "sqs" => "QueueDoesNotExist",
                "ecs" => "ClientException",
                _ => "ResourceNotFoundException",
            };
            (StatusCode::BAD_REQUEST, code.to_owned())
        }
    };
    let (code, message) = code.split_once(' ').unwrap_or((&code, "no"));
    (status, axum::Json(json!({ "__type": code, "message": message }))).into_response()
}

fn config(url: &str) -> Config {
    let queue = |name: &str| format!("https://sqs.us-east-1.amazonaws.com/{ACCOUNT}/{DEPLOYMENT}-{name}");
    Config {
        table: DEPLOYMENT.into(),
        dispatch_queue_url: queue("dispatch"),
        effects_queue_url: queue("effects.fifo"),
        calls_queue_url: queue("calls.fifo"),
        dispatch_dlq_url: queue("dispatch-dead"),
        effects_dlq_url: queue("effects-dead.fifo"),
        calls_dlq_url: queue("calls-dead.fifo"),
        undelivered_dlq_url: queue("undelivered"),
        submissions: Some(QueuePair { queue_url: queue("submissions"), dead_url: queue("submissions-dead") }),
        cluster: DEPLOYMENT.into(),
        task_definitions: TaskDefinitions::parse("small=pullyard-small,medium=pullyard-medium,large=pullyard-large")
            .unwrap(),
        network: None,
        key_secret: format!("{DEPLOYMENT}/key"),
        api_url: "https://pullyard.example".into(),
        public_url: None,
        task_isolation: "external".into(),
        on_one_machine: false,
        disk: Default::default(),
        artifacts_bucket: format!("{DEPLOYMENT}-artifacts"),
        kms_key: Some(super::deployment::KMS_KEY_ARN.into()),
        tags: Tags::parse("team=a").unwrap(),
        outbound_allow: Default::default(),
        deployment: None,
        endpoints: Endpoints { s3: Some(url.to_owned()), ..Endpoints::default() },
    }
}

/// The report of a function whose role has this policy, and every request that AWS evaluated.
async fn check(function: &str, policy: Policy, has_key: bool) -> (RoleReport, Vec<Evaluated>) {
    let iam = Arc::new(Iam { policy, has_key, evaluated: Mutex::default() });
    let router = Router::new().fallback(answer).with_state(Arc::clone(&iam));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    let sdk =
        local_sdk_config(REGION, ACCESS_KEY_ID, SECRET_ACCESS_KEY).await.into_builder().endpoint_url(&url).build();
    let owner = Owner::from_arn(&format!("arn:aws:lambda:{REGION}:{ACCOUNT}:function:{DEPLOYMENT}-{function}"));
    let log = OwnLog { group: format!("/pullyard/{DEPLOYMENT}/{function}"), stream: "2026/12/01/[$LATEST]1".into() };
    let check = SelfCheck::new(function, config(&url), sdk, owner.unwrap(), Some(log)).unwrap();
    let report = check.run().await;
    server.abort();
    let evaluated = iam.evaluated.lock().unwrap().clone();
    (report, evaluated)
}

fn without(policy: &Policy, index: usize) -> Policy {
    let mut statements = policy.statements.clone();
    statements.remove(index);
    Policy { statements }
}

#[tokio::test]
async fn self_check_finds_each_missing_statement() {
    let deployed = Deployment::read_with_kms_key();
    let (mut calls, mut statements, mut unseen) = (0, 0, Vec::new());
    for function in FUNCTIONS {
        let role = deployed.role(function);
        let (report, evaluated) = check(function, role.clone(), true).await;
        assert_eq!((report.denied, report.unanswered), (Vec::new(), Vec::new()), "{function}");
        calls += report.calls;
        statements += role.statements.len();
        for (index, statement) in role.statements.iter().enumerate() {
            let rest = without(role, index);
            if evaluated.iter().all(|request| request.is_allowed_by(&rest)) {
                unseen.extend(statement.actions.iter().map(|action| (function.to_owned(), action.clone())));
            }
        }
    }
    assert_eq!(unseen, UNCHECKED.map(|(function, action)| (function.to_owned(), action.to_owned())));
    println!("{calls} calls check {} of {statements} statements", statements - UNCHECKED.len());
}

#[tokio::test]
async fn self_check_makes_each_call_that_a_role_allows() {
    let deployed = Deployment::read();
    let mut unused = Vec::new();
    for function in FUNCTIONS {
        let role = deployed.role(function);
        let (_, evaluated) = check(function, role.clone(), false).await;
        for statement in role.statements.iter().filter(|statement| statement.effect == Effect::Allow) {
            for action in &statement.actions {
                for resource in &statement.resources {
                    let one = super::policy::Statement {
                        actions: vec![action.clone()],
                        resources: vec![resource.clone()],
                        ..statement.clone()
                    };
                    let alone = Policy { statements: vec![one] };
                    let is_made = evaluated.iter().any(|request| request.is_allowed_by(&alone));
                    if !is_made && !UNCHECKED.contains(&(function, action)) {
                        unused.push(format!("{function} {action} {resource}\n"));
                    }
                }
            }
        }
    }
    assert!(unused.is_empty(), "allowed, but not checked by crates/entry/src/self_check:\n{}", unused.concat());
}

#[tokio::test]
async fn denied_call_is_named_with_the_kind_of_item() {
    let deployed = Deployment::read();
    let role = deployed.role("webhook");
    let write = role.statements.iter().position(|statement| statement.actions.iter().any(|a| a == "dynamodb:PutItem"));
    let (report, _) = check("webhook", without(role, write.unwrap()), false).await;
    let denied: BTreeSet<_> = report.denied.iter().map(|call| (call.action.as_str(), call.on.as_str())).collect();
    for call in [
        ("dynamodb:PutItem", "JOB# in a transaction"),
        ("dynamodb:PutItem", "JOB#"),
        ("dynamodb:UpdateItem", "HOOK# in a transaction"),
    ] {
        assert!(denied.contains(&call), "{call:?}: {denied:?}");
    }
    assert!(denied.iter().all(|(action, _)| action.starts_with("dynamodb:") && !action.ends_with("GetItem")));
}
