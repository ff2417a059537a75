//! Tests least privilege: the AWS calls of the functions equal the list, and the list equals their IAM roles.
//!
//! Every test compares its calls with the list, `crates/entry/src/permissions.rs`.
//! `.ci/roles` verifies with the calls of all tests that every row is used. The list also generates
//! `docs/reference/roles.md`.

mod attacker;
mod aws_calls;
mod deployment;
mod items;
mod page;
mod policy;
mod self_check;
pub(crate) mod template;

use crate::calls::{self, AllowedCalls, Calls, UsedPermission};
use crate::pages::Browser;
use crate::prelude::*;
use crate::webhooks::World;
use aws_calls::{EXTRA_ACTIONS, EXTRA_OF_ALL, KMS_ACTIONS, SERVICE_ROLE_ACTIONS};
use deployment::{Deployment, KMS_KEY_ARN};
use policy::{Effect, Request, Statement, matches_pattern};
use pullyard_entry::permissions::{CALLS, Resource, Row};
use pullyard_testkit::observe::{Call, Service};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Variable with the file to which `.ci/roles` had every test append its calls.
const RECORDED_CALLS_VARIABLE: &str = "PULLYARD_RECORDED_CALLS";

type Line = (String, String, Resource);

fn listed_calls() -> BTreeSet<Line> {
    CALLS.iter().map(|(function, action, resource, _)| (function.to_string(), action.to_string(), *resource)).collect()
}

pub(crate) fn refusal(used: &UsedPermission) -> Option<String> {
    let (function, action) = (used.function.as_str(), used.action.as_str());
    let is_listed = |resource: Resource| {
        CALLS.iter().any(|(of, does, on, _)| *of == function && *does == action && *on == resource)
    };
    let reason = match aws_calls::resource_of_call(used) {
        None => {
            "`Resource` in crates/entry/src/permissions.rs has no variant for this resource, so it is nothing of ours"
                .to_owned()
        }
        Some(resource) if !is_listed(resource) => format!(
            "no row of crates/entry/src/permissions.rs allows this on `{resource:?}`; add one with its reason, and its \
             statement in infra/functions.yaml"
        ),
        Some(_) => items::refusal(used)?,
    };
    Some(format!("the function {function} calls {action} on {}: {reason}", used.resource))
}

#[tokio::test(flavor = "multi_thread")]
async fn aws_calls_of_all_functions_are_in_the_list() {
    let calls = Calls::default();
    let world = World::with_setup(Setup { calls: calls.clone(), ..Setup::default() }).await;
    world.install_by_hand("acme").await;
    let story = &world.story;
    let (status, response) =
        world.send("acme", "pull_request_review", &world.review(1, "submitted", "changes_requested")).await;
    assert_eq!((status, response["code"].as_str()), (200, Some("accepted")), "{response}");
    let (status, _) = world.send_as("acme", "pull_request_review", "g", "sha256=00", b"{}".to_vec()).await;
    assert_eq!(status, 401);
    let job = story.create_job("e2", "APP-2", 2).await;
    let task = story.wait_for_task(&job, 1).await;
    story.wait_for_empty_queues().await;
    let browser = Browser::admin(story).await;
    for path in ["/board", "/jobs", "/decisions", "/tickets/APP-2"] {
        assert_eq!(browser.get(path).await.status, 200, "{path}");
    }
    story.api.cancel_job(&job, &CancelJob::default()).await.unwrap();
    story.wait_for_stopped_task(&task).await;
    story.advance_and_sweep(Duration::from_secs(120)).await;
    story.wait_for_empty_queues().await;
    world.story.shut_down().await;

    let story = Story::start_with(Setup { task: Task::Runner, calls: calls.clone(), ..Setup::default() }).await;
    let job = story.create_job("e1", "APP-1", 1).await;
    story.wait_for_job(&job, has_status(JobStatus::Completed)).await;
    story.wait_for_settled_ticket("APP-1").await;
    story.wait_for_empty_queues().await;
    story.shut_down().await;

    let permissions = calls.all();
    let functions = permissions.iter().map(|permission| permission.function.as_str()).collect::<BTreeSet<_>>();
    assert_eq!(functions, BTreeSet::from(FUNCTIONS), "every function was called");
    assert_eq!(permissions.iter().find_map(refusal), None);
}

fn tasks_call(service: Service, operation: &str, body: Value) -> Call {
    Call { app: Some("tasks".into()), service, operation: operation.into(), body }
}

fn drop_panic_message<T>(value: T) -> String {
    let panic = catch_unwind(AssertUnwindSafe(|| drop(value)));
    *panic.unwrap_err().downcast::<String>().unwrap()
}

#[test]
fn refused_aws_call_fails_the_test_and_is_named() {
    let item = json!({ "pk": { "S": "TOKEN#1" }, "sk": { "S": "TOKEN" } });
    let queue = json!({ "QueueUrl": "http://127.0.0.1:1/000000000000/dispatch", "MessageBody": "{}" });
    let secret = json!({ "SecretId": "somebody-elses" });
    for (service, operation, body, expected) in [
        (Service::Sqs, "SendMessage", queue, ["sqs:SendMessage", "`Dispatch`", "crates/entry/src/permissions.rs"]),
        (
            Service::DynamoDb,
            "PutItem",
            json!({ "TableName": "pullyard", "Item": item }),
            ["dynamodb:PutItem", "`TOKEN#`", "crates/entry/src/permissions/items.rs"],
        ),
        (
            Service::SecretsManager,
            "GetSecretValue",
            secret,
            ["secretsmanager:GetSecretValue", "somebody-elses", "nothing of ours"],
        ),
    ] {
        let calls = Calls::default();
        calls.record(&tasks_call(service, operation, body));
        let message = drop_panic_message(AllowedCalls(calls));
        assert!(message.contains("the function tasks "), "{message}");
        assert!(expected.iter().all(|text| message.contains(text)), "{message}");
    }
}

#[test]
#[ignore = "reads the calls that all other tests recorded: .ci/roles"]
fn every_listed_aws_call_was_recorded() {
    let file = PathBuf::from(std::env::var_os(RECORDED_CALLS_VARIABLE).expect("PULLYARD_RECORDED_CALLS names a file"));
    let permissions = calls::read(&file);
    items::assert_all_recorded(&permissions);
    let line = |permission: &UsedPermission| {
        Some((permission.function.clone(), permission.action.clone(), aws_calls::resource_of_call(permission)?))
    };
    let recorded = permissions.iter().filter_map(line).collect::<BTreeSet<Line>>();
    let untested = |line: &&Line| {
        let is_of =
            |(function, action, resource, _): &Row| *function == line.0 && *action == line.1 && *resource == line.2;
        aws_calls::UNTESTED_CALLS.iter().any(is_of)
    };
    let listed = listed_calls();
    let unused = listed
        .difference(&recorded)
        .filter(|line| !untested(line))
        .map(|line| format!("{line:?}\n"))
        .collect::<String>();
    assert!(unused.is_empty(), "in crates/entry/src/permissions.rs but never called:\n{unused}");
}

#[test]
fn roles_page_is_generated_from_the_list() {
    page::check_page();
}

#[test]
fn each_role_allows_the_listed_calls_of_its_function() {
    let deployed = Deployment::read();
    let mut refused = Vec::new();
    for (function, action, target, _) in CALLS {
        let (resources, cluster) = aws_calls::arns(*target);
        let key = items::example_allowed_key(function, action).filter(|_| *target == Resource::Table);
        let cluster = cluster.iter().map(|cluster| ("ecs:cluster", cluster.as_str()));
        let keys = key.iter().map(|key| (items::LEADING_KEYS, key.as_str()));
        let create_action = (*action == "ecs:TagResource").then_some(("ecs:CreateAction", "RunTask"));
        let context = cluster.chain(keys).chain(create_action).collect::<Vec<_>>();
        for resource in &resources {
            if !deployed.role(function).allows(&Request { action, resource, context: &context }) {
                refused.push(format!("{function} {action} {resource}"));
            }
        }
    }
    assert!(refused.is_empty(), "refused by infra/functions.yaml:\n{}", refused.join("\n"));
}

/// Whether a resource of a role is in the list or in its exceptions.
fn is_listed(function: &str, action: &str, resource: &str) -> bool {
    let rows = CALLS.iter().filter(|(caller, does, ..)| *caller == function && *does == action);
    let mut listed = rows.flat_map(|(_, _, target, _)| aws_calls::arns(*target).0);
    let is_exact = |pattern: &str, resource: &str| {
        // A star, or a number of letters, is accepted only at the end, for names chosen by AWS, users or us.
        let stem = pattern.strip_suffix('*').unwrap_or(pattern.trim_end_matches('?'));
        matches_pattern(pattern, resource) && !stem.contains(['*', '?'])
    };
    let is_extra_of_all = EXTRA_OF_ALL.iter().any(|(does, suffix, _)| {
        let suffix = suffix.replace("FUNCTION", function);
        *does == action && resource.ends_with(&suffix)
    });
    let is_extra = |(caller, does, suffix, _): &aws_calls::ExtraAction| {
        *caller == function && *does == action && resource.ends_with(suffix)
    };
    listed.any(|wanted| is_exact(resource, &wanted)) || is_extra_of_all || EXTRA_ACTIONS.iter().any(is_extra)
}

#[test]
fn no_role_allows_more_than_the_listed_calls() {
    let deployed = Deployment::read();
    assert_eq!(deployed.functions.keys().map(String::as_str).collect::<BTreeSet<_>>(), BTreeSet::from(FUNCTIONS));
    assert_eq!(deployed.roles_with_managed_policies, Vec::<String>::new(), "roles with managed policies");
    let mut unlisted = Vec::new();
    for function in FUNCTIONS {
        for statement in deployed.role(function).statements.iter().filter(|statement| statement.effect == Effect::Allow)
        {
            for action in &statement.actions {
                for resource in statement.resources.iter().filter(|resource| !is_listed(function, action, resource)) {
                    unlisted.push(format!("{function} {action} {resource}"));
                }
            }
        }
    }
    assert!(unlisted.is_empty(), "allowed by infra/functions.yaml but never called:\n{}", unlisted.join("\n"));
    let mut unused = EXTRA_ACTIONS.iter().filter(|(function, action, suffix, _)| {
        let has_action = |statement: &Statement| statement.actions.iter().any(|a| a == action);
        let has_resource = |statement: &Statement| statement.resources.iter().any(|r| r.ends_with(suffix));
        !deployed.role(function).statements.iter().any(|statement| has_action(statement) && has_resource(statement))
    });
    assert_eq!(unused.next(), None, "allowed by no role: remove it from EXTRA_ACTIONS");
}

#[test]
fn roles_of_aws_services_allow_only_the_listed_actions() {
    let deployed = Deployment::read();
    let function_roles: BTreeSet<&String> = deployed.functions.values().collect();
    let mut used = BTreeSet::new();
    for (name, policy) in deployed.roles.iter().filter(|(name, _)| !function_roles.contains(name)) {
        for statement in &policy.statements {
            assert_eq!(statement.effect, Effect::Allow, "{name}");
            for (action, resource) in
                statement.actions.iter().flat_map(|action| statement.resources.iter().map(move |arn| (action, arn)))
            {
                let is_listed = |(role, does, suffix, _): &aws_calls::ExtraAction| {
                    let is_about = if *suffix == "*" { resource == "*" } else { resource.ends_with(suffix) };
                    name == role && action == does && is_about
                };
                let row = SERVICE_ROLE_ACTIONS.iter().position(is_listed);
                used.insert(row.unwrap_or_else(|| panic!("{name} may {action} on {resource}, which is not listed")));
            }
        }
    }
    assert_eq!(used.len(), SERVICE_ROLE_ACTIONS.len(), "only the rows {used:?} are allowed by a role");
}

fn may_use_key(deployed: &Deployment, function: &str, action: &str, key: &str, through: Option<&str>) -> bool {
    let via = through.map(|service| format!("{service}.us-east-1.amazonaws.com"));
    let context: Vec<(&str, &str)> = via.iter().map(|via| ("kms:ViaService", via.as_str())).collect();
    deployed.role(function).allows(&Request { action, resource: key, context: &context })
}

#[test]
fn own_kms_key_is_used_only_through_called_services() {
    let (without, deployed) = (Deployment::read(), Deployment::read_with_kms_key());
    let services = ["dynamodb", "ecr", "ecs", "lambda", "logs", "s3", "secretsmanager", "sns", "sqs"];
    let other_key = KMS_KEY_ARN.replace("0123", "9876");
    for function in FUNCTIONS {
        for action in KMS_ACTIONS {
            let allowed_services =
                services.into_iter().filter(|via| may_use_key(&deployed, function, action, KMS_KEY_ARN, Some(via)));
            assert_eq!(allowed_services.collect::<Vec<_>>(), aws_calls::kms_services(function), "{function} {action}");
            assert!(!may_use_key(&deployed, function, action, KMS_KEY_ARN, None), "{function} {action} directly");
            let another = |via: &str| may_use_key(&deployed, function, action, &other_key, Some(via));
            assert!(!services.into_iter().any(another), "{function} {action} with another key");
            let without_key = |via: &str| may_use_key(&without, function, action, KMS_KEY_ARN, Some(via));
            assert!(!services.into_iter().any(without_key), "{function} {action} without a key");
        }
    }
    // A key adds one statement per function role and changes no other role.
    let function_roles: BTreeSet<&String> = deployed.functions.values().collect();
    for (name, policy) in &deployed.roles {
        let of_key = |action: &String| KMS_ACTIONS.contains(&action.as_str());
        let unchanged = policy.statements.iter().filter(|statement| !statement.actions.iter().all(of_key));
        assert!(unchanged.eq(&without.roles[name].statements), "{name}");
        let added = policy.statements.len() - without.roles[name].statements.len();
        assert_eq!(added, usize::from(function_roles.contains(&name)), "{name}");
    }
}
