//! Compares `infra` with the code: the table, routes, environment, queues, alarms and release.

use crate::prelude::*;
use crate::processes::FUNCTION_TIMEOUTS;
use crate::roles::template::parse;
use pullyard_domain::text::back_off::back_off;
use pullyard_emulator::{Access, Aws, Options, ecs};
use pullyard_entry::config::RUNNER_CONTAINER;
use pullyard_entry::{config, metrics};
use pullyard_store::Store;

const GATEWAY: &str = include_str!("../crates/local/src/functions.rs");
const CONFIG: &str = include_str!("../crates/entry/src/config.rs");

fn resources(template: &str) -> BTreeMap<String, Value> {
    serde_json::from_value(parse(template)["Resources"].clone()).unwrap()
}

/// The resources of a type, each with its properties.
fn of_type<'a>(resources: &'a BTreeMap<String, Value>, kind: &'a str) -> impl Iterator<Item = (&'a str, &'a Value)> {
    let matching = resources.iter().filter(move |(_, resource)| resource["Type"] == kind);
    matching.map(|(name, resource)| (name.as_str(), &resource["Properties"]))
}

async fn describe_table(endpoint: &str, operation: &str) -> Value {
    let request = reqwest::Client::builder().no_proxy().build().unwrap().post(endpoint);
    let request = request.header("X-Amz-Target", format!("DynamoDB_20120810.{operation}"));
    let answer = request.body(json!({ "TableName": "table" }).to_string()).send().await.unwrap();
    let (status, body) = (answer.status(), answer.text().await.unwrap());
    assert!(status.is_success(), "{body}");
    serde_json::from_str(&body).unwrap()
}

fn pick_fields(list: &Value, fields: &[&str]) -> Vec<Value> {
    let mut items: Vec<Value> = list.as_array().unwrap().clone();
    for item in &mut items {
        item.as_object_mut().unwrap().retain(|field, _| fields.contains(&field.as_str()));
    }
    items.sort_by_key(Value::to_string);
    items
}

#[tokio::test]
async fn templates_table_matches_the_stores_table() {
    let folder = tempfile::tempdir().unwrap();
    let tasks = ecs::Options::new(folder.path().to_owned(), Vec::new());
    let aws = Aws::start(Options { data: None, tasks, access: Access::Open }).await.unwrap();
    let endpoint = aws.endpoints().dynamodb.clone();
    let sdk = config::local_sdk_config(REGION, ACCESS_KEY_ID, SECRET_ACCESS_KEY).await;
    let sdk = config::with_call_limit(sdk, WAIT_LIMIT);
    Store::new(&sdk, Some(&endpoint), "table").create_table().await.unwrap();
    let table = describe_table(&endpoint, "DescribeTable").await["Table"].clone();
    let expiry = describe_table(&endpoint, "DescribeTimeToLive").await["TimeToLiveDescription"].clone();
    aws.shutdown().await;

    let declared_table = resources(include_str!("../infra/data.yaml"))["Table"]["Properties"].clone();
    let keys = ["AttributeName", "KeyType"];
    assert_eq!(pick_fields(&declared_table["KeySchema"], &keys), pick_fields(&table["KeySchema"], &keys));
    let types = ["AttributeName", "AttributeType"];
    assert_eq!(
        pick_fields(&declared_table["AttributeDefinitions"], &types),
        pick_fields(&table["AttributeDefinitions"], &types)
    );
    let shape = ["IndexName", "KeySchema", "Projection"];
    let (mine, theirs) = (
        pick_fields(&declared_table["GlobalSecondaryIndexes"], &shape),
        pick_fields(&table["GlobalSecondaryIndexes"], &shape),
    );
    assert_eq!(mine.len(), 2, "expected two indexes");
    assert_eq!(mine, theirs);
    assert_eq!(declared_table["TimeToLiveSpecification"]["AttributeName"], expiry["AttributeName"]);
    assert_eq!(declared_table["TimeToLiveSpecification"]["Enabled"], true);
    assert_eq!(declared_table["BillingMode"], table["BillingModeSummary"]["BillingMode"]);
}

/// The local gateway's routes in API Gateway's format, each with its function.
fn local_routes() -> BTreeSet<(String, String)> {
    let (_, after) = GATEWAY.split_once(" vec![").unwrap();
    let (list, _) = after.split_once("\n        ]\n").unwrap();
    let route = |line: &str| {
        let (matcher, rest) = line.split_once('(').unwrap();
        let (before, rest) = rest.split_once('"').unwrap();
        let (path, function) = rest.split_once('"').unwrap();
        let method = before.split("Method::").nth(1).map_or("ANY", |after| after.split(')').next().unwrap());
        let key = match (matcher, path) {
            ("under", "/") => "$default".to_owned(),
            ("under", path) => format!("{method} {path}/{{proxy+}}"),
            ("exactly" | "waiting", path) => format!("{method} {path}"),
            _ => panic!("{line} is no route"),
        };
        let named = ["webhook", "tickets", "pages", "api", "wake"].into_iter().find(|name| function.contains(name));
        (key, named.unwrap_or_else(|| panic!("{line} leads nowhere")).to_owned())
    };
    list.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("//")).map(route).collect()
}

#[test]
fn aws_routes_match_the_local_gateway() {
    let resources = resources(include_str!("../infra/api.yaml"));
    let deployed: BTreeSet<(String, String)> = of_type(&resources, "AWS::ApiGatewayV2::Route")
        .map(|(name, route)| {
            let target = route["Target"]["Fn::Sub"].as_str().unwrap();
            let integration = target.strip_prefix("integrations/${").unwrap().strip_suffix('}').unwrap();
            // An integration's resource is named after the function that it calls.
            if integration != "Wake" {
                let uri = resources[integration]["Properties"]["IntegrationUri"]["Fn::Sub"].as_str().unwrap();
                assert!(uri.contains(&format!("${{{integration}Arn}}")), "{name}: {uri}");
            }
            assert_eq!(route["AuthorizationType"], "NONE", "{name}");
            (route["RouteKey"].as_str().unwrap().to_owned(), integration.to_lowercase())
        })
        .collect();
    assert_eq!(deployed, local_routes());
    // AWS refuses stage settings for a route that does not exist yet.
    let depends_on: BTreeSet<&str> =
        resources["Stage"]["DependsOn"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert_eq!(depends_on, of_type(&resources, "AWS::ApiGatewayV2::Route").map(|(name, _)| name).collect());
    let limited = resources["Stage"]["Properties"]["RouteSettings"].as_object().unwrap();
    assert!(limited.keys().all(|key| deployed.iter().any(|(route, _)| route == key)), "{limited:?}");
}

/// The local route has the same parameters, and the names of mailboxes begin like the dispatch queue's.
#[test]
fn mailbox_route_receives_from_mailboxes_as_the_local_one() {
    let wake = resources(include_str!("../infra/api.yaml"))["Wake"]["Properties"].clone();
    assert_eq!((&wake["IntegrationSubtype"], &wake["IntegrationUri"]), (&json!("SQS-ReceiveMessage"), &Value::Null));
    let parameters = wake["RequestParameters"].as_object().unwrap();
    assert_eq!(parameters["QueueUrl"], "$request.header.Pullyard-Mailbox");
    assert!(GATEWAY.contains(r#"event["headers"]["pullyard-mailbox"]"#));
    for (name, value) in parameters.iter().filter(|(name, _)| *name != "QueueUrl") {
        let value = value.as_str().unwrap();
        assert!(GATEWAY.contains(&format!("\"{name}\": {value}")), "{name} is not {value} in `up`");
    }
    let secs = parameters["WaitTimeSeconds"].as_str().unwrap().parse::<u64>().unwrap();
    assert!(secs * 1_000 < wake["TimeoutInMillis"].as_u64().unwrap());
    let queues = resources(include_str!("../infra/queues.yaml"));
    assert_eq!(queues["DispatchQueue"]["Properties"]["QueueName"]["Fn::Sub"], "${Deployment}-dispatch");
}

#[test]
fn access_log_contains_no_header_path_or_query() {
    let api = resources(include_str!("../infra/api.yaml"));
    let format = api["Stage"]["Properties"]["AccessLogSettings"]["Format"]["Fn::Sub"].as_str().unwrap();
    let named = format
        .split("$context.")
        .skip(1)
        .map(|rest| rest.split(|c: char| !c.is_ascii_alphanumeric() && c != '.').next().unwrap_or_default());
    let known = BTreeSet::from([
        "requestTimeEpoch",
        "requestId",
        "routeKey",
        "httpMethod",
        "status",
        "responseLength",
        "responseLatency",
        "integrationLatency",
        "integrationStatus",
        "error.responseType",
        "identity.sourceIp",
    ]);
    assert_eq!(named.collect::<BTreeSet<_>>(), known);
    // The metric filter reads one JSON object per line.
    let line = format.replace("${Deployment}", "pullyard").replace("$context.status", "502");
    let line: Value = serde_json::from_str(&line).unwrap();
    assert_eq!((&line["status"], &line["deployment"]), (&json!(502), &json!("pullyard")));
    // The filter counts only the webhook function's answers, by fields of the line.
    let pattern = api["WebhookServerErrors"]["Properties"]["FilterPattern"].as_str().unwrap();
    let prefix = pattern.strip_prefix("{ $.status >= 500 && $.route = \"").and_then(|rest| rest.strip_suffix("*\" }"));
    let counted = local_routes().into_iter().filter(|(route, _)| route.starts_with(prefix.expect(pattern)));
    let functions: Vec<String> = counted.map(|(_, function)| function).collect();
    assert!(functions == ["webhook"] && line["route"].is_string(), "{pattern}: {functions:?}");
}

#[test]
fn template_sets_every_variable_that_functions_need() {
    let functions = parse(include_str!("../infra/functions.yaml"));
    let variables = functions["Globals"]["Function"]["Environment"]["Variables"].as_object().unwrap();
    let needed: Vec<&str> =
        CONFIG.split("needed(\"").skip(1).map(|rest| rest.split('"').next().unwrap_or_default()).collect();
    assert!(needed.len() >= 7, "{needed:?}");
    for name in needed.into_iter() {
        assert!(variables.contains_key(name), "{name} is not in infra/functions.yaml");
    }
    for name in variables.keys().filter(|name| *name != "RUST_LOG") {
        assert!(CONFIG.contains(name.as_str()), "{name} is not read by the functions");
    }
}

#[test]
fn function_timeouts_match_local_processes_queues_and_gateway() {
    let functions = resources(include_str!("../infra/functions.yaml"));
    let deployed: BTreeMap<&str, u64> = of_type(&functions, "AWS::Serverless::Function")
        .map(|(_, function)| (function["Handler"].as_str().unwrap(), function["Timeout"].as_u64().unwrap()))
        .collect();
    assert_eq!(deployed, FUNCTION_TIMEOUTS.into_iter().collect());
    // The gateway waits longer than the function's timeout.
    let api = resources(include_str!("../infra/api.yaml"));
    for (name, integration) in of_type(&api, "AWS::ApiGatewayV2::Integration").filter(|(name, _)| *name != "Wake") {
        let timeout_ms = integration["TimeoutInMillis"].as_u64().unwrap();
        assert!(deployed[name.to_lowercase().as_str()] * 1_000 < timeout_ms, "{name}");
    }
    let queues = resources(include_str!("../infra/queues.yaml"));
    let readers = [
        ("DispatchQueue", "dispatcher"),
        ("EffectsQueue", "effects"),
        ("CallsQueue", "effects"),
        ("SubmissionsQueue", "effects"),
    ];
    for (queue, function) in readers {
        assert_eq!(queues[queue]["Properties"]["VisibilityTimeout"], 6 * deployed[function], "{queue}");
    }
}

/// The oldest message's age on a standard queue excludes messages that were received three times; a FIFO queue keeps
/// its order.
/// Source: <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-available-cloudwatch-metrics.html>.
#[test]
fn queue_age_alarms_fire_early_enough_and_count_unreceived() {
    let (queues, watch) =
        (resources(include_str!("../infra/queues.yaml")), resources(include_str!("../infra/watch.yaml")));
    let number = |resource: &Value, name: &str| resource["Properties"][name].as_u64().unwrap();
    let hidden_secs = |queue: &str| number(&queues[queue], "VisibilityTimeout");
    let dispatch = &watch["DispatchOldestAlarm"];
    for (queue, alarm) in [("EffectsQueue", "EffectsOldestAlarm"), ("CallsQueue", "CallsOldestAlarm")] {
        let alarm = &watch[alarm];
        let alarm_secs = number(alarm, "Threshold") + number(alarm, "EvaluationPeriods") * number(alarm, "Period");
        let tries = queues[queue]["Properties"]["RedrivePolicy"]["maxReceiveCount"].as_u64().unwrap();
        assert!(alarm_secs < tries * hidden_secs(queue), "{queue} {alarm_secs}");
        assert_eq!(queues[queue]["Properties"]["FifoQueue"], true, "{queue}");
    }
    for (queue, alarm) in [("DispatchQueue", dispatch), ("SubmissionsQueue", &watch["SubmissionsOldestAlarm"])] {
        let hidden = 3 * hidden_secs(queue);
        assert!(hidden <= number(alarm, "Threshold"), "the alarm of {queue} would report only some failures");
    }
    assert_eq!(queues["DispatchQueue"]["Properties"]["FifoQueue"], Value::Null);
}

#[test]
fn image_matches_the_task_definitions() {
    let image = include_str!("../infra/image/Dockerfile");
    let (_, last) = image.rsplit_once("\nFROM ").unwrap();
    let instruction = |word: &str| last.lines().filter_map(|line| line.strip_prefix(word)).next_back().unwrap();
    let [volumes, command] = ["VOLUME ", "CMD "].map(|word| serde_json::from_str::<Value>(instruction(word)).unwrap());
    let tasks = resources(include_str!("../infra/tasks.yaml"));
    for size in ["SmallTask", "MediumTask", "LargeTask"] {
        let container = &tasks[size]["Properties"]["ContainerDefinitions"][0];
        let mounts = container["MountPoints"].as_array().unwrap().iter();
        assert_eq!(mounts.map(|mount| mount["ContainerPath"].clone()).collect::<Value>(), volumes, "{size}");
        assert_eq!(container["Name"], RUNNER_CONTAINER, "{size}");
        assert_eq!(container["Command"], command, "{size}");
        assert_eq!(container["User"], instruction("USER "), "{size}");
        let [name, folder] = ["Name", "Value"].map(|field| container["Environment"][0][field].as_str().unwrap());
        assert!(instruction("ENV ").split(' ').any(|variable| variable == format!("{name}={folder}")), "{size}");
    }
    // The step that removes setuid bits follows the steps that install programs.
    let positions = |text: &str| last.match_indices(text).map(|(at, _)| at).collect::<Vec<_>>();
    let removals = positions("find / -xdev -type f -perm /6000 -exec chmod a-s {} +");
    assert_eq!(removals.len(), 1);
    let installs = [positions("prepare packages"), positions("prepare agents")].concat();
    assert!(installs.len() == 2 && installs.iter().all(|at| *at < removals[0]), "{installs:?}");
    assert!(removals[0] < positions("\nUSER 10001:10001")[0], "only root can change the mode");
}

#[test]
fn compose_file_sets_the_isolation_and_mounts_no_socket() {
    let runner = parse(include_str!("../infra/compose/compose.yaml"))["services"]["runner"].clone();
    assert_eq!(runner["environment"]["PULLYARD_ISOLATION"], "external");
    assert_eq!(runner["environment"]["PULLYARD_WORK_DIR"], "/var/lib/pullyard-jobs/runner");
    let binds = runner["volumes"].as_array().unwrap().iter().filter(|volume| *volume != "work:/var/lib/pullyard-jobs");
    let binds: Vec<_> = binds.map(|bind| (&bind["target"], &bind["read_only"], &bind["bind"])).collect();
    let (target, is_read_only, no_folder) =
        (json!("/usr/local/bin/pullyard-runner"), json!(true), json!({ "create_host_path": false }));
    assert_eq!(binds, [(&target, &is_read_only, &no_folder)]);
    let keys = ["init", "restart", "stop_grace_period", "env_file"].map(|key| runner[key].to_string());
    assert_eq!(keys, ["true", "\"unless-stopped\"", "\"2h\"", "\"runner.env\""]);
    assert!(runner.get("privileged").is_none() && runner.get("cap_add").is_none());
}

#[test]
fn operations_page_lists_exactly_the_alarms() {
    let resources = resources(include_str!("../infra/watch.yaml"));
    let alarm_names: BTreeSet<&str> = of_type(&resources, "AWS::CloudWatch::Alarm")
        .map(|(_, alarm)| alarm["AlarmName"]["Fn::Sub"].as_str().unwrap())
        .map(|name| name.strip_prefix("${Deployment}").unwrap())
        .collect();
    let page = include_str!("../docs/operations.md");
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `-")).map(|row| row.split(" | ").next().unwrap());
    let page_names: BTreeSet<String> =
        rows.flat_map(|row| row.split(", ")).map(|name| format!("-{}", name.trim_matches(['`', '-']))).collect();
    assert_eq!(page_names.iter().map(String::as_str).collect::<BTreeSet<_>>(), alarm_names);
}

/// The metrics and dimensions in the sum of an alarm. Emulators do not support alarms on sums, so only this test
/// covers them.
fn summed_metrics<'a>(watch: &'a BTreeMap<String, Value>, alarm: &str) -> Vec<(&'a str, &'a Value)> {
    let queries = watch[alarm]["Properties"]["Metrics"].as_array().unwrap();
    let (sums, parts): (Vec<&Value>, Vec<&Value>) = queries.iter().partition(|query| query["MetricStat"].is_null());
    assert_eq!(sums.len(), 1, "{alarm}");
    assert_eq!(sums[0]["Expression"], "SUM(METRICS())", "{alarm}");
    assert!(parts.iter().all(|part| part["ReturnData"] == false && part["MetricStat"]["Stat"] == "Sum"), "{alarm}");
    let metrics = parts.into_iter().map(|part| &part["MetricStat"]["Metric"]);
    metrics.map(|metric| (metric["MetricName"].as_str().unwrap(), &metric["Dimensions"])).collect()
}

#[test]
fn summed_alarms_cover_every_function_and_every_index() {
    let watch = resources(include_str!("../infra/watch.yaml"));
    let functions = resources(include_str!("../infra/functions.yaml"));
    let functions = of_type(&functions, "AWS::Serverless::Function");
    let names: BTreeSet<String> = functions.map(|(_, function)| function["FunctionName"].to_string()).collect();
    assert_eq!(names.len(), 8, "{names:?}");
    for (alarm, metric) in [("FunctionErrorsAlarm", "Errors"), ("FunctionThrottlesAlarm", "Throttles")] {
        let parts = summed_metrics(&watch, alarm);
        assert!(parts.iter().all(|(name, about)| *name == metric && about[0]["Name"] == "FunctionName"), "{alarm}");
        let counted: BTreeSet<String> = parts.iter().map(|(_, about)| about[0]["Value"].to_string()).collect();
        assert_eq!((&counted, parts.len()), (&names, names.len()), "{alarm}");
    }
    let table = resources(include_str!("../infra/data.yaml"))["Table"]["Properties"].clone();
    let indexes = table["GlobalSecondaryIndexes"].as_array().unwrap().iter().map(|index| &index["IndexName"]);
    let dimensions: Vec<String> = indexes.map(Value::to_string).chain(["null".to_owned()]).collect();
    let expected: BTreeSet<String> = ["ReadThrottleEvents", "WriteThrottleEvents"]
        .into_iter()
        .flat_map(|metric| dimensions.iter().map(move |dimension| format!("{metric} {dimension}")))
        .collect();
    let parts = summed_metrics(&watch, "TableThrottlesAlarm");
    assert!(parts.iter().all(|(_, about)| about[0]["Value"]["Ref"] == "TableName"));
    let counted: BTreeSet<String> =
        parts.iter().map(|(metric, about)| format!("{metric} {}", about[1]["Value"])).collect();
    assert_eq!((&counted, parts.len()), (&expected, expected.len()));
}

#[test]
fn work_queues_alarm_by_age_and_other_queues_by_count() {
    let queues = parse(include_str!("../infra/queues.yaml"));
    let root = parse(include_str!("../infra/template.yaml"));
    let watch = resources(include_str!("../infra/watch.yaml"));
    let watched_queues = |metric: &str| -> BTreeSet<String> {
        let alarms = watch.values().filter(|alarm| alarm["Properties"]["MetricName"] == metric);
        alarms
            .map(|alarm| {
                let parameter = alarm["Properties"]["Dimensions"][0]["Value"]["Ref"].as_str().unwrap();
                let value = &root["Resources"]["Watch"]["Properties"]["Parameters"][parameter];
                // The queue of submissions is optional.
                let source = &value.pointer("/Fn::If/1").unwrap_or(value)["Fn::GetAtt"];
                let output = source[1].as_str().unwrap().strip_prefix("Outputs.").unwrap();
                queues["Outputs"][output]["Value"]["Fn::GetAtt"][0].as_str().unwrap().to_owned()
            })
            .collect()
    };
    let queue_resources = resources(include_str!("../infra/queues.yaml"));
    let (work_queues, others): (Vec<_>, Vec<_>) =
        of_type(&queue_resources, "AWS::SQS::Queue").partition(|(_, queue)| !queue["RedrivePolicy"].is_null());
    assert_eq!((work_queues.len(), others.len()), (4, 5));
    let names = |queues: Vec<(&str, &Value)>| queues.iter().map(|(name, _)| name.to_string()).collect::<BTreeSet<_>>();
    assert_eq!(watched_queues("ApproximateAgeOfOldestMessage"), names(work_queues));
    assert_eq!(watched_queues("ApproximateNumberOfMessagesVisible"), names(others));
}

/// Other accounts may send a submission, and no more. The body has the limit of a request to the API.
#[test]
fn submission_principals_may_only_send_to_their_queue() {
    let queues = resources(include_str!("../infra/queues.yaml"));
    let grants = of_type(&queues, "AWS::SQS::QueuePolicy").flat_map(|(name, policy)| {
        let statements = policy["PolicyDocument"]["Statement"].as_array().unwrap().iter();
        statements.filter(|statement| statement["Principal"]["AWS"] != Value::Null).map(move |grant| (name, grant))
    });
    let grants: Vec<_> = grants.collect();
    let [(name, grant)] = grants[..] else { panic!("{grants:?}") };
    assert_eq!((name, &grant["Action"]), ("SubmissionsPolicy", &json!("sqs:SendMessage")));
    assert_eq!(grant["Principal"], json!({ "AWS": { "Fn::Split": [",", { "Ref": "SubmissionPrincipals" }] } }));
    assert_eq!(grant["Resource"], json!({ "Fn::GetAtt": ["SubmissionsQueue", "Arn"] }));
    let optional = queues.iter().filter(|(name, _)| name.starts_with("Submissions"));
    assert!(optional.clone().count() == 4 && optional.clone().all(|(_, it)| it["Condition"] == "TakesSubmissions"));
    let largest = queues["SubmissionsQueue"]["Properties"]["MaximumMessageSize"].as_u64();
    assert_eq!(largest, Some(pullyard_entry::strict::MAX_BODY_BYTES as u64));
    let source = resources(include_str!("../infra/functions.yaml"))["SubmissionsSource"].clone();
    assert_eq!((&source["Condition"], &source["Properties"]["BatchSize"]), (&json!("TakesSubmissions"), &json!(10)));
}

#[test]
fn every_own_metric_of_an_alarm_is_emitted() {
    let (watch, api) = (resources(include_str!("../infra/watch.yaml")), resources(include_str!("../infra/api.yaml")));
    let filtered: BTreeSet<&str> = of_type(&api, "AWS::Logs::MetricFilter")
        .map(|(_, filter)| filter["MetricTransformations"][0]["MetricName"].as_str().unwrap())
        .collect();
    let ours = watch.values().filter(|alarm| alarm["Properties"]["Namespace"] == metrics::NAMESPACE);
    let alarm_metrics: BTreeSet<&str> = ours.map(|alarm| alarm["Properties"]["MetricName"].as_str().unwrap()).collect();
    assert!(alarm_metrics.contains("SweepFailed"), "{alarm_metrics:?}");
    for metric in alarm_metrics {
        assert!(filtered.contains(metric) || metrics::names().any(|name| name == metric), "{metric}");
    }
}

#[test]
fn sweep_alarm_ignores_one_item_that_backs_off() {
    let alarm = resources(include_str!("../infra/watch.yaml"))["SweepFailedAlarm"]["Properties"].clone();
    let [periods, failing, secs] =
        ["EvaluationPeriods", "DatapointsToAlarm", "Period"].map(|name| alarm[name].as_u64().unwrap());
    assert!(failing * 2 <= periods);
    let mut next = 0;
    let failures = (0..10).map(|tries| {
        let at = next;
        next += back_off(tries).as_secs();
        at
    });
    let failures: Vec<u64> = failures.collect();
    for first in &failures {
        let window = *first..first + periods * secs;
        let count = failures.iter().filter(|at| window.contains(*at)).count() as u64;
        assert!(count < failing, "{count} from {first} s on: {failures:?}");
    }
}

#[test]
fn artifact_objects_expire_with_their_items() {
    let bucket = resources(include_str!("../infra/data.yaml"))["Artifacts"]["Properties"].clone();
    let rule = &bucket["LifecycleConfiguration"]["Rules"][0];
    let days = pullyard_domain::job::artifact::RETENTION.as_secs() / 86_400;
    assert_eq!((&rule["ExpirationInDays"], &rule["Status"]), (&json!(days), &json!("Enabled")));
    assert!(rule.get("Prefix").is_none() && rule.get("Filter").is_none(), "the rule does not cover all objects");
}

/// A first deployment that fails in an independent stack has created no data, which survives its stack.
#[test]
fn table_is_created_after_all_independent_resources() {
    let stacks = resources(include_str!("../infra/template.yaml"));
    let reads = |stack: &Value, of: &str| stack.to_string().contains(&format!("\"Fn::GetAtt\":[\"{of}\","));
    let mut dependents = BTreeSet::from(["Data"]);
    // Transitive closure: repeat once per resource.
    for _ in &stacks {
        let readers = stacks.iter().filter(|(_, stack)| dependents.iter().any(|of| reads(stack, of)));
        let names: Vec<&str> = readers.map(|(name, _)| name.as_str()).collect();
        dependents.extend(names);
    }
    assert!(["Functions", "Doors", "Watch"].iter().all(|name| dependents.contains(name)), "{dependents:?}");
    let depends_on = stacks["Data"]["DependsOn"].as_array().unwrap().iter().filter_map(Value::as_str);
    let independent = stacks.keys().map(String::as_str).filter(|name| !dependents.contains(name));
    assert_eq!(depends_on.collect::<BTreeSet<_>>(), independent.collect());
}

#[test]
fn parameters_that_break_running_tasks_need_a_hold() {
    let page = include_str!("../infra/README.md");
    for name in ["Architecture", "Subnets", "DomainName"] {
        let in_column = format!("`{name}");
        let mut rows = page.lines().filter(|line| line.starts_with("| ") && line.contains(&in_column));
        assert!(rows.any(|line| line.contains("(#changes-that-interrupt-jobs)")), "{name}");
    }
    assert!(page.contains("\n## Changes that interrupt jobs\n"));
    let archive = include_str!("../infra/releases/aws.md");
    assert!(archive.contains("For the other architecture, `pullyard hold --all --reason "));
}

/// An update can end the protection, so a check before it finds nothing.
#[test]
fn tables_protection_is_checked_after_the_deployment() {
    for (page, start) in [
        (include_str!("../infra/README.md"), "## Update and roll back"),
        (include_str!("../infra/releases/aws.md"), "To update"),
    ] {
        let (_, update) = page.split_once(start).unwrap();
        let deployment = update.find("sam deploy --config-file").unwrap();
        assert!(update[deployment..].contains("infra/preflight --only table"), "{update}");
    }
}

/// `.ci/aws-page`, a rare check, runs each unmarked command of the page on a machine without credentials.
#[test]
fn commands_that_need_aws_are_marked_on_the_page() {
    let page = include_str!("../infra/README.md");
    let blocks = page.split("```sh\n").skip(1).filter_map(|rest| rest.split_once("```"));
    let local: BTreeSet<_> = blocks
        .flat_map(|(block, _)| block.lines())
        .filter(|line| !line.is_empty() && !line.contains("needs AWS"))
        .map(|line| line.split('#').next().unwrap().trim())
        .collect();
    let expected = [
        "",
        "cargo install --path crates/cli --locked",
        "pip install aws-sam-cli cargo-lambda ziglang",
        "sam build --config-file samconfig.local.toml",
        "sed s/NAME/pullyard/g infra/deploy-policy.json",
    ];
    assert_eq!(local, BTreeSet::from(expected));
}

#[test]
fn key_statements_name_the_services_of_every_partition() {
    let of_key = include_str!("../infra/functions.yaml").lines().filter(|line| line.contains("kms:ViaService"));
    let of_key: Vec<_> = of_key.collect();
    assert!(!of_key.is_empty() && of_key.iter().all(|line| !line.contains(".amazonaws.com")), "{of_key:?}");
}

#[test]
fn template_has_the_version_of_the_program() {
    let root = parse(include_str!("../infra/template.yaml"));
    assert_eq!(root["Mappings"]["Release"]["Pullyard"]["Version"], env!("CARGO_PKG_VERSION"));
}

#[test]
fn template_has_every_output_that_commands_read() {
    let root = parse(include_str!("../infra/template.yaml"));
    let outputs = root["Outputs"].as_object().unwrap();
    let names = "ApiUrl TableName KeySecretName UserSecretPrefix DispatchQueueUrl DispatchDeadLetterUrl \
        EffectsQueueUrl EffectsDeadLetterUrl CallsQueueUrl CallsDeadLetterUrl UndeliveredUrl ClusterName TaskDefinitions RepositoryUri \
        Subnets SecurityGroup AlarmTopicArn Version Commit Image BucketName ArtifactsBucketName \
        Architecture DeletionProtection SubmissionsQueueUrl SubmissionsDeadLetterUrl";
    for name in names.split(' ') {
        assert!(outputs.contains_key(name), "{name}");
    }
    let push = include_str!("../infra/image/push");
    for (at, _) in push.match_indices("$(output ") {
        let name = push[at + 9..].split(')').next().unwrap_or_default();
        assert!(outputs.contains_key(name), "infra/image/push reads {name}");
    }
}
