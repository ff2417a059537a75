//! Tests the limits of an attacker who controls a function or a task.

use super::deployment::{DEPLOYMENT, Deployment, arn};
use super::items;
use super::policy::Request;
use crate::prelude::*;

const CLUSTER: &str = "cluster/pullyard";

fn functions_allowed(deployed: &Deployment, action: &str, resource: &str, cluster: &str) -> Vec<&'static str> {
    let cluster = arn("ecs", cluster);
    let service = ("iam:PassedToService", "ecs-tasks.amazonaws.com");
    let context = [("ecs:cluster", cluster.as_str()), service];
    let allows = |function: &&str| deployed.role(function).allows(&Request { action, resource, context: &context });
    FUNCTIONS.into_iter().filter(allows).collect()
}

fn assert_denied_to_all(deployed: &Deployment, actions: &[&str], resources: &[String]) {
    for action in actions {
        for resource in resources {
            let allowed = functions_allowed(deployed, action, resource, CLUSTER);
            assert_eq!(allowed, Vec::<&str>::new(), "{action} {resource}");
        }
    }
}

fn secret(name: &str) -> String {
    arn("secretsmanager", &format!("secret:{name}-AbCdEf"))
}

#[test]
fn only_the_dispatcher_controls_tasks_of_its_own_cluster() {
    let deployed = Deployment::read();
    let ours = arn("ecs", &format!("task-definition/{DEPLOYMENT}-medium:3"));
    let task = arn("ecs", &format!("task/{DEPLOYMENT}/0123"));
    for (action, resource) in [("ecs:RunTask", ours.as_str()), ("ecs:StopTask", &task), ("ecs:ListTasks", "*")] {
        assert_eq!(functions_allowed(&deployed, action, resource, CLUSTER), ["dispatcher"], "{action}");
        assert!(functions_allowed(&deployed, action, resource, "cluster/production").is_empty(), "{action} elsewhere");
    }
    let cluster = arn("ecs", CLUSTER);
    let with_a_shell = [("ecs:cluster", cluster.as_str()), ("ecs:enable-execute-command", "true")];
    let request = Request { action: "ecs:RunTask", resource: &ours, context: &with_a_shell };
    assert!(!deployed.role("dispatcher").allows(&request), "ECS Exec in a task");
    let families = ["production:1", "pullyard:1", "pullyard-medium-admin:1"];
    assert_denied_to_all(
        &deployed,
        &["ecs:RunTask"],
        &families.map(|family| arn("ecs", &format!("task-definition/{family}"))),
    );
    assert_denied_to_all(&deployed, &["ecs:StopTask"], &[arn("ecs", "task/production/0123")]);
    // Tags can be set only while a task is created.
    let tags = |creator: &str| {
        let context = [("ecs:CreateAction", creator)];
        let request = Request { action: "ecs:TagResource", resource: &task, context: &context };
        deployed.role("dispatcher").allows(&request)
    };
    assert!(tags("RunTask") && !tags("CreateCluster"));
    let changes = [
        "ecs:RegisterTaskDefinition",
        "ecs:UpdateService",
        "ecs:ExecuteCommand",
        "ecs:CreateCluster",
        "ecs:TagResource",
        "ecs:UntagResource",
    ];
    assert_denied_to_all(&deployed, &changes, &["*".into(), task.clone(), ours]);
}

#[test]
fn only_ecs_is_passed_a_role_and_only_the_execution_role() {
    let deployed = Deployment::read();
    let role = |name: &str| format!("arn:aws:iam::000000000000:role/{name}");
    let ours = role("pullyard-TaskExecutionRole");
    assert_eq!(functions_allowed(&deployed, "iam:PassRole", &ours, CLUSTER), ["dispatcher"]);
    assert_denied_to_all(&deployed, &["iam:PassRole"], &[role("admin"), role("pullyard-ApiRole")]);
    let to_lambda = [("iam:PassedToService", "lambda.amazonaws.com")];
    let request = Request { action: "iam:PassRole", resource: &ours, context: &to_lambda };
    assert!(!deployed.role("dispatcher").allows(&request));
}

#[test]
fn task_has_no_aws_permissions() {
    let deployed = Deployment::read();
    assert_eq!(deployed.task_roles, Vec::<String>::new(), "the container gets AWS credentials");
    let execution = &deployed.roles["TaskExecutionRole"];
    for statement in &execution.statements {
        for action in &statement.actions {
            let pulls = action.starts_with("ecr:Get") || action.starts_with("ecr:Batch");
            assert!(pulls || action.starts_with("logs:"), "{action} of the execution role");
        }
    }
}

#[test]
fn functions_read_only_the_secrets_they_need() {
    let deployed = Deployment::read();
    let get = "secretsmanager:GetSecretValue";
    let key = secret("pullyard/key");
    // The other functions verify no signed token: webhooks are signed by the forge, and the ticket tool's token is in
    // the table.
    assert_eq!(functions_allowed(&deployed, get, &key, CLUSTER), ["api", "pages", "dispatcher"]);
    // These functions call forges. Users choose the names of webhook secrets and forge tokens, so IAM cannot
    // distinguish them.
    let user_secret = secret("pullyard/user/github-token");
    assert_eq!(functions_allowed(&deployed, get, &user_secret, CLUSTER), ["webhook", "api", "pages", "effects"]);
    // Model keys and signing keys: only the API reads them. The pages could request them from the API with a lease
    // signed by the key above.
    assert_eq!(functions_allowed(&deployed, get, &secret("pullyard/job/anthropic"), CLUSTER), ["api"]);
    let others = [
        "production/database",
        "pullyard2/user/a",
        "pullyard2/job/a",
        "pullyard/jobs",
        "pullyard/users",
        "pullyard/keys",
        "pullyard/other",
    ];
    assert_denied_to_all(&deployed, &[get, "secretsmanager:BatchGetSecretValue"], &others.map(secret));
}

/// AWS grants `ListSecrets` only for all secrets of an account. The names that users set are in the table.
#[test]
fn no_function_lists_the_secrets_of_the_account() {
    let deployed = Deployment::read();
    let lists = ["secretsmanager:ListSecrets", "secretsmanager:DescribeSecret", "secretsmanager:ListSecretVersionIds"];
    assert_denied_to_all(&deployed, &lists, &["*".into(), secret("pullyard/user/a"), secret("production/database")]);
    let reads = functions_with_item_access(&deployed, &items::READ_ACTIONS, "SECRETS");
    let writes = functions_with_item_access(&deployed, &["dynamodb:PutItem", "dynamodb:DeleteItem"], "SECRETS");
    assert_eq!((reads, writes), (vec!["api", "pages"], vec!["api"]));
}

#[test]
fn security_page_names_functions_that_can_sign_leases() {
    let deployed = Deployment::read();
    let get = "secretsmanager:GetSecretValue";
    let signers = functions_allowed(&deployed, get, &secret("pullyard/key"), CLUSTER);
    let readers = functions_allowed(&deployed, get, &secret("pullyard/job/anthropic"), CLUSTER);
    let signers_without_read: Vec<&str> = signers.into_iter().filter(|function| !readers.contains(function)).collect();
    assert_eq!(signers_without_read, ["pages", "dispatcher"]);
    let (_, gaps) = include_str!("../../SECURITY.md").split_once("## Known gaps").unwrap();
    assert!(gaps.contains("An attacker with the pages or the dispatcher can sign the lease of any attempt"));
}

#[test]
fn only_the_api_changes_secrets_and_only_those_of_users() {
    let deployed = Deployment::read();
    let set =
        ["PutSecretValue", "CreateSecret", "TagResource", "DeleteSecret"].map(|name| format!("secretsmanager:{name}"));
    let set = set.each_ref().map(String::as_str);
    for action in set {
        for name in ["pullyard/user/hook-a", "pullyard/job/anthropic"] {
            assert_eq!(functions_allowed(&deployed, action, &secret(name), CLUSTER), ["api"], "{action} {name}");
        }
    }
    assert_denied_to_all(&deployed, &set, &["pullyard/key", "production/database", "pullyard2/user/a"].map(secret));
    let names = ["Restore", "Update", "UntagResource", "PutResourcePolicy", "RotateSecret"];
    let actions = names.map(|name| format!("secretsmanager:{name}{}", if name.len() < 8 { "Secret" } else { "" }));
    let secrets = ["pullyard/user/a", "pullyard/job/a", "pullyard/key"].map(secret);
    assert_denied_to_all(&deployed, &actions.each_ref().map(String::as_str), &secrets);
}

fn functions_with_item_access(deployed: &Deployment, actions: &[&str], key: &str) -> Vec<&'static str> {
    let has_access = |function: &&str| {
        actions.iter().any(|action| items::is_allowed(deployed, function, action, key, &["pk", "scopes"]))
    };
    FUNCTIONS.into_iter().filter(has_access).collect()
}

#[test]
fn only_the_api_writes_tokens_integrations_and_rotations() {
    let deployed = Deployment::read();
    let writes = ["dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:DeleteItem"];
    for key in ["TOKEN#abc", "INTEGRATION#gh1", "ROTATION#hook-acme"] {
        assert_eq!(functions_with_item_access(&deployed, &writes, key), ["api"], "{key}");
    }
    // A session belongs to an existing token; the pages mark a sign-in link as used.
    assert_eq!(functions_with_item_access(&deployed, &writes, "SIGNIN#nonce"), ["pages"]);
    assert_eq!(functions_with_item_access(&deployed, &writes, "FIRST"), Vec::<&str>::new());
    assert_eq!(
        functions_with_item_access(&deployed, &writes, "TOKEN"),
        Vec::<&str>::new(),
        "a key that only resembles a token's"
    );
}

#[test]
fn only_api_and_pages_hold_signing_key_and_read_tokens() {
    let deployed = Deployment::read();
    let signers = functions_allowed(&deployed, "secretsmanager:GetSecretValue", &secret("pullyard/key"), CLUSTER);
    let reads = ["dynamodb:GetItem", "dynamodb:BatchGetItem"];
    for key in ["TOKEN#abc", "FIRST"] {
        let mut readers = functions_with_item_access(&deployed, &reads, key);
        readers.retain(|function| signers.contains(function));
        assert_eq!(readers, ["api", "pages"], "{key}");
    }
    let list = arn("dynamodb", &format!("table/{DEPLOYMENT}/index/list"));
    assert!(!functions_allowed(&deployed, "dynamodb:Query", &list, CLUSTER).contains(&"dispatcher"));
}

#[test]
fn only_api_and_pages_read_sessions_requests_and_events() {
    let deployed = Deployment::read();
    for key in ["FIRST", "SIGNIN#nonce", "IDEMPOTENCY#caller#key", "EVENTS#job#0001", "NAME#runner#a"] {
        assert_eq!(functions_with_item_access(&deployed, &items::READ_ACTIONS, key), ["api", "pages"], "{key}");
    }
    // Tickets finds its caller's token by hash, and the sweeper a runner's token by the hash in the runner item.
    assert_eq!(
        functions_with_item_access(&deployed, &items::READ_ACTIONS, "TOKEN#abc"),
        ["tickets", "api", "pages", "sweeper"]
    );
    let list = arn("dynamodb", &format!("table/{DEPLOYMENT}/index/list"));
    assert!(
        !functions_allowed(&deployed, "dynamodb:Query", &list, CLUSTER).contains(&"tickets"),
        "tickets cannot list tokens"
    );
    for (partition, expected) in [("PROJECT", true), ("TOKEN", false)] {
        let context = &[(items::LEADING_KEYS, partition)];
        let query = Request { action: "dynamodb:Query", resource: &list, context };
        assert_eq!(deployed.role("webhook").allows(&query), expected, "{partition}");
    }
    let forges = ["webhook", "api", "pages", "effects", "sweeper"];
    assert_eq!(functions_with_item_access(&deployed, &items::READ_ACTIONS, "INTEGRATION#gh1"), forges);
    assert_eq!(
        functions_with_item_access(&deployed, &items::READ_ACTIONS, "ROTATION#hook-acme"),
        ["webhook", "api", "pages", "effects"]
    );
}

#[test]
fn no_function_manages_resources_or_reads_foreign_ones() {
    let deployed = Deployment::read();
    let table = arn("dynamodb", &format!("table/{DEPLOYMENT}"));
    let changes = [
        "dynamodb:CreateTable",
        "dynamodb:DeleteTable",
        "dynamodb:UpdateTable",
        "dynamodb:UpdateTimeToLive",
        "dynamodb:ExportTableToPointInTime",
        "dynamodb:Scan",
        "dynamodb:BatchWriteItem",
        "dynamodb:PartiQLSelect",
    ];
    assert_denied_to_all(&deployed, &changes, &[table.clone(), format!("{table}/index/work"), "*".into()]);
    let others = ["table/production", "table/pullyard2", "table/pullyard2/index/work"];
    let reads = ["dynamodb:GetItem", "dynamodb:Query", "dynamodb:PutItem", "dynamodb:BatchGetItem"];
    assert_denied_to_all(&deployed, &reads, &others.map(|other| arn("dynamodb", other)));
    let queues =
        ["pullyard-dispatch", "pullyard-effects.fifo", "pullyard-dispatch-dead"].map(|queue| arn("sqs", queue));
    let changes = ["CreateQueue", "TagQueue", "DeleteQueue", "PurgeQueue", "SetQueueAttributes", "AddPermission"];
    let changes = changes.map(|name| format!("sqs:{name}"));
    let changes = changes.each_ref().map(String::as_str);
    assert_denied_to_all(&deployed, &changes, &queues);
    assert_denied_to_all(&deployed, &["sqs:SendMessage", "sqs:ReceiveMessage"], &[arn("sqs", "production")]);
    let name = "abcdefghijklmnopqrstuvwxyz";
    let mailbox = arn("sqs", &format!("{DEPLOYMENT}-wake-{name}"));
    for (action, functions) in [
        ("sqs:CreateQueue", &["api"][..]),
        ("sqs:TagQueue", &["api"]),
        ("sqs:DeleteQueue", &["api", "sweeper"]),
        ("sqs:SendMessage", &["dispatcher"]),
    ] {
        assert_eq!(functions_allowed(&deployed, action, &mailbox, CLUSTER), functions, "{action} of a mailbox");
    }
    assert_denied_to_all(&deployed, &["sqs:ReceiveMessage", "sqs:SetQueueAttributes"], &[mailbox]);
    // The queues of other deployments, of which one is named after our mailboxes.
    let others =
        [format!("pullyard2-wake-{name}"), format!("{DEPLOYMENT}-wake-dispatch")].map(|queue| arn("sqs", &queue));
    assert_denied_to_all(
        &deployed,
        &["sqs:CreateQueue", "sqs:TagQueue", "sqs:DeleteQueue", "sqs:SendMessage"],
        &others,
    );
    let bucket = format!("arn:aws:s3:::{DEPLOYMENT}-artifacts");
    let changes = ["s3:DeleteObject", "s3:ListBucket", "s3:PutBucketPolicy", "s3:PutLifecycleConfiguration"];
    assert_denied_to_all(&deployed, &changes, &[bucket.clone(), format!("{bucket}/artifacts/job_0/0001/art_0")]);
    assert_denied_to_all(&deployed, &["s3:PutObject", "s3:GetObject"], &[format!("{bucket}/elsewhere"), bucket]);
    let foreign =
        ["s3:GetObject", "sts:AssumeRole", "iam:CreateRole", "lambda:InvokeFunction", "lambda:UpdateFunctionCode"];
    assert_denied_to_all(&deployed, &foreign, &["*".into(), "arn:aws:s3:::pullyard-bucket/x".into()]);
}
