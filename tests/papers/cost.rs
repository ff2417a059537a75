//! docs/cost.md: dollars from measured bounds and a price list.

use super::keep;
use crate::figures::flows::{BEAT, EMPTY_CLAIM, Flow, HEARTBEAT, IMPLEMENT, REVISE, SWEEP};
use crate::roles::template::read;
use pullyard_domain::project::Settings;
use pullyard_domain::task::TaskSize;
use pullyard_entry::metrics;
use serde_json::Value;
use std::fmt::Write as _;

/// Public prices of us-east-1 as known on this day; a user's own list may be another one. Units: US dollars.
const PRICES_OF: &str = "2026-11-20";
const WRITE_MILLION: f64 = 0.625;
const READ_MILLION: f64 = 0.125;
const LAMBDA_MILLION: f64 = 0.20;
const LAMBDA_GB_SECOND: f64 = 0.000_016_666_7;
const GATEWAY_MILLION: f64 = 1.00;
const STANDARD_MILLION: f64 = 0.40;
const FIFO_MILLION: f64 = 0.50;
const SECRET_MONTH: f64 = 0.40;
const SECRET_CALLS: f64 = 0.05 / 10_000.0;
const VCPU_HOUR: f64 = 0.040_48;
const GB_HOUR: f64 = 0.004_445;
/// The same on arm64.
const ARM_VCPU_HOUR: f64 = 0.032_38;
const ARM_GB_HOUR: f64 = 0.003_56;
/// Ephemeral storage, beyond what is free.
const DISK_GB_HOUR: f64 = 0.000_111;
const DISK_FREE_GB: f64 = 20.0;
/// A public IPv4 address, of AWS's own, that is in use.
const ADDRESS_HOUR: f64 = 0.005;
const LOGS_GB: f64 = 0.50;
const SCHEDULER_MILLION: f64 = 1.00;
const METRIC_MONTH: f64 = 0.30;
const ALARM_MONTH: f64 = 0.10;
const DASHBOARD_MONTH: f64 = 3.00;
const TRACE_MILLION: f64 = 5.00;

/// What the arithmetic assumes. Memory and time of a function: the smallest that leave room.
const FUNCTION_GB: f64 = 0.25;
const FUNCTION_SECONDS: f64 = 0.05;
/// What an invocation leaves in logs: Lambda's three lines about it, ours, and the gateway's, with the 26 bytes that
/// CloudWatch counts for each; a little over 1,000 for a call without news.
const LOG_BYTES: f64 = 1_500.0;
/// And a round of the sweeper, whose report and whose metrics are long lines.
const SWEEP_LOG_BYTES: f64 = 2_500.0;
const SECRETS: f64 = 5.0;
/// What each round of the sweeper tells; and all that a deployment may tell, with the one that CloudWatch counts in the
/// access log.
const METRICS: f64 = 9.0;
const ALL_METRICS: f64 = 25.0;
/// An alarm costs as much as the metrics that it looks at.
const ALARM_METRICS: f64 = 36.0;
const DASHBOARDS: f64 = 1.0;
/// Lambda's own pollers: five a queue, each asking every 20 s.
const POLLS_A_MINUTE: f64 = 15.0;
const MINUTES: f64 = 30.0 * 24.0 * 60.0;
/// A task of the size that a project's have unless it says otherwise.
const TASK: Size = Size { name: TaskSize::Medium, vcpu: 2.0, gb: 4.0 };
/// And of the smallest.
const SMALL: Size = Size { name: TaskSize::Small, vcpu: 1.0, gb: 2.0 };
/// Ten minutes.
const TASK_HOURS: f64 = 10.0 / 60.0;
/// A runner whose agent says nothing is heard every ten seconds.
const BEATS: f64 = TASK_HOURS * 360.0;
/// An instance of a function keeps the signing key for a minute, and each heartbeat needs it.
const KEYS_READ: f64 = TASK_HOURS * 60.0;
/// Of the calls of a function Lambda traces the first in each second, and of the others this part.
const TRACED: f64 = 0.05;
/// What the template gives a task unless it is told otherwise: its disk, and an address of its own.
const TASK_DISK_GB: f64 = 30.0;
const TASK_ADDRESSES: f64 = 1.0;
/// Batches of events of an agent that talks: a minute of it while somebody reads them, or twenty while nobody does.
const EVENT_BATCHES: f64 = 120.0;

/// Artifacts of a job whose agent talks, beside its patch, which the flows have: output and last word; and how large
/// all of a job are together, kept for three months.
const ARTIFACTS: f64 = 2.0;
const ARTIFACT_GB: f64 = 0.001;
const ARTIFACT_MONTHS: f64 = 3.0;
const PUT_THOUSAND: f64 = 0.005;
const GET_THOUSAND: f64 = 0.000_4;
const STORED_GB_MONTH: f64 = 0.023;

/// What a task has, as the template says.
struct Size {
    name: TaskSize,
    vcpu: f64,
    gb: f64,
}

/// One line of a bill: what, and its dollars.
type Line = (&'static str, f64);

fn invocations(count: f64) -> f64 {
    count / 1e6 * LAMBDA_MILLION + count * FUNCTION_GB * FUNCTION_SECONDS * LAMBDA_GB_SECOND
}

fn units(flow: Flow) -> f64 {
    flow.written / 1e6 * WRITE_MILLION + flow.read / 1e6 * READ_MILLION
}

/// What a thousand of a flow cost without the container.
fn a_thousand(flow: Flow) -> Vec<Line> {
    let calls = flow.requests + flow.messages;
    vec![
        ("DynamoDB", 1_000.0 * units(flow)),
        ("Lambda", 1_000.0 * invocations(calls)),
        ("API Gateway", 1_000.0 * flow.requests / 1e6 * GATEWAY_MILLION),
        // Sent, received, deleted; all at the dearer of the two kinds.
        ("SQS", 1_000.0 * flow.messages * 3.0 / 1e6 * FIFO_MILLION),
        ("logs", 1_000.0 * calls * LOG_BYTES / 1e9 * LOGS_GB),
    ]
}

/// The same of jobs of ten minutes, which are heard as long as they run.
fn a_thousand_jobs(flow: Flow) -> Vec<Line> {
    let mut lines = a_thousand(flow);
    lines.extend([
        ("heartbeats", BEATS * total(&a_thousand(BEAT))),
        ("Secrets Manager, the signing key", 1_000.0 * KEYS_READ * SECRET_CALLS),
    ]);
    lines
}

fn calls_of_a_job(flow: Flow) -> f64 {
    flow.requests + flow.messages + BEATS
}

fn traces(count: f64) -> f64 {
    count / 1e6 * TRACE_MILLION
}

/// How many calls within this time are traced. Units: seconds.
fn traced(calls: f64, seconds: f64) -> f64 {
    let first = calls.min(seconds);
    first + (calls - first) * TRACED
}

/// The events of a thousand jobs whose agents talk: each batch a request, a write of one unit, which bears a KB of events
/// once they are packed, and a look at the job.
fn talk() -> Vec<Line> {
    // Its look at the job is an eventually consistent one.
    let batch = Flow { written: 1.0, read: 0.5, requests: 1.0, messages: 0.0 };
    a_thousand(batch).into_iter().map(|(what, dollars)| (what, dollars * EVENT_BATCHES)).collect()
}

/// An artifact: a place and a word that it is there, both a request and a write of about one unit, with the lease's job
/// and the item read.
const KEPT: Flow = Flow { written: 2.0, read: 2.0, requests: 2.0, messages: 0.0 };

/// The further artifacts of a thousand jobs, and of all of them a put and a look at the bucket.
fn artifacts() -> Vec<Line> {
    let calls = a_thousand(KEPT).into_iter().map(|(what, dollars)| (what, dollars * ARTIFACTS));
    let bucket = (ARTIFACTS + 1.0) * (PUT_THOUSAND + GET_THOUSAND);
    calls
        .chain([("S3, requests", bucket), ("S3, storage", 1_000.0 * ARTIFACT_GB * ARTIFACT_MONTHS * STORED_GB_MONTH)])
        .collect()
}

/// The containers of a thousand jobs.
fn containers(size: &Size) -> Vec<Line> {
    let hours = 1_000.0 * TASK_HOURS;
    vec![
        ("Fargate, processor", hours * size.vcpu * VCPU_HOUR),
        ("Fargate, memory", hours * size.gb * GB_HOUR),
        ("Fargate, disk beyond 20 GB", hours * (TASK_DISK_GB - DISK_FREE_GB) * DISK_GB_HOUR),
        ("public IPv4 addresses", hours * TASK_ADDRESSES * ADDRESS_HOUR),
    ]
}

/// The further lines of an idle month with an `AlarmEmail` or `Alarms=true`.
fn alarms() -> Vec<Line> {
    vec![("metrics", METRICS * METRIC_MONTH), ("alarms", ALARM_METRICS * ALARM_MONTH)]
}

/// A month without a job, with the defaults of the templates.
fn idle() -> Vec<Line> {
    vec![
        ("sweeper, DynamoDB", MINUTES * units(SWEEP)),
        ("sweeper, Lambda", invocations(MINUTES)),
        ("sweeper, schedule", MINUTES / 1e6 * SCHEDULER_MILLION),
        ("queues that Lambda asks", MINUTES * POLLS_A_MINUTE / 1e6 * (STANDARD_MILLION + FIFO_MILLION)),
        ("secrets", SECRETS * SECRET_MONTH + 8.0 * MINUTES / 60.0 * SECRET_CALLS),
        ("logs", MINUTES * SWEEP_LOG_BYTES / 1e9 * LOGS_GB),
    ]
}

/// A month of so many self-hosted runners that do nothing: each asks every 3 s and is heard every 30 s. Their tokens
/// are in the table, so they need no signing key.
fn idle_runners(count: f64) -> Vec<Line> {
    let (claims, beats) = (count * 20.0 * MINUTES, count * 2.0 * MINUTES);
    let requests = claims + beats;
    vec![
        ("DynamoDB", claims * units(EMPTY_CLAIM) + beats * units(HEARTBEAT)),
        ("Lambda", invocations(requests)),
        ("API Gateway", requests / 1e6 * GATEWAY_MILLION),
        ("logs", requests * LOG_BYTES / 1e9 * LOGS_GB),
    ]
}

fn total(lines: &[Line]) -> f64 {
    lines.iter().map(|(_, dollars)| dollars).sum()
}

fn bill(page: &mut String, lines: &[Line]) {
    page.push_str("| what | dollars |\n|---|---|\n");
    for (what, dollars) in lines {
        writeln!(page, "| {what} | {dollars:.3} |").unwrap();
    }
    writeln!(page, "| **together** | **{:.2}** |", total(lines)).unwrap();
}

#[test]
fn the_arithmetic_is_the_price_lists() {
    let close = |found: f64, expected: f64| assert!((found - expected).abs() < 1e-9, "{found}, not {expected}");
    close(units(Flow { written: 1e6, read: 0.0, requests: 0.0, messages: 0.0 }), 0.625);
    close(units(Flow { written: 0.0, read: 1e6, requests: 0.0, messages: 0.0 }), 0.125);
    close(invocations(1e6), 0.20 + 1e6 * 0.25 * 0.05 * 0.000_016_666_7);
    let hours = |vcpu: f64, gb: f64| vcpu * 0.040_48 + gb * 0.004_445 + 10.0 * 0.000_111 + 0.005;
    close(total(&containers(&SMALL)), 1_000.0 / 6.0 * hours(1.0, 2.0));
    close(total(&containers(&TASK)), 1_000.0 / 6.0 * hours(2.0, 4.0));
    close(total(&[("a", 1.0), ("b", 0.5)]), 1.5);
    close(SECRET_CALLS * 10_000.0, 0.05);
    close(traces(1e6), 5.0);
    close(traced(10.0, 60.0), 10.0);
    close(traced(160.0, 60.0), 65.0);
}

#[test]
fn idle_stack_costs_less_than_three_dollars() {
    let functions = read(include_str!("../../infra/functions.yaml"));
    assert_eq!(functions["Parameters"]["Tracing"]["Default"], "PassThrough");
    let watch = read(include_str!("../../infra/watch.yaml"));
    assert_eq!(watch["Parameters"]["Alarms"]["Default"], "false");
    assert_eq!(watch["Parameters"]["Dashboard"]["Default"], "false");
    assert!(total(&idle()) < 3.0, "{}", total(&idle()));
    let page = include_str!("../../infra/README.md");
    let sentence = format!(
        "An idle stack costs {:.2} dollars a month, and about {:.0} dollars with alarms;",
        total(&idle()),
        total(&idle()) + total(&alarms())
    );
    assert!(page.contains(&sentence), "infra/README.md does not say: {sentence}");
    let source = include_str!("../../crates/cloud/src/secret.rs");
    assert!(source.contains("const KEPT_FOR: Duration = Duration::from_secs(60);"));
}

/// `figures::steps` measures what the first artifact of a job takes, its patch, and writes that paper.
#[test]
fn an_artifact_is_reckoned_with_as_the_patch_was_measured() {
    let paper = include_str!("../../docs/request-units.md");
    let Flow { written, read: units, .. } = KEPT;
    let row = format!("| the patch is kept | {written} | {units} | {written} | {units} |");
    assert!(paper.contains(&row), "docs/request-units.md does not say {row}");
}

#[test]
fn a_job_is_heard_as_often_as_its_runner_is_told() {
    let source = include_str!("../../functions/api/src/routes/attempts.rs");
    assert!(source.contains("const HEARTBEAT_SECS: u64 = 10;"));
    assert!((BEATS - 60.0).abs() < 1e-9, "{BEATS}");
    let paper = include_str!("../../docs/scale.md");
    // 7,000 jobs at once on average, 28,000 at the peak.
    for words in ["| 162, and 700 to 7,000 |", "| 700, and 2,800 to 28,000 |", "| 170, and 350 to 3,500 |"] {
        assert!(paper.contains(words), "docs/scale.md does not say {words}");
    }
}

#[test]
fn the_month_of_nothing_has_every_alarm_and_dashboard_of_the_template() {
    let watch = read(include_str!("../../infra/watch.yaml"));
    let all: Vec<&Value> = watch["Resources"].as_object().unwrap().values().collect();
    let of_kind = |kind: &str| all.iter().filter(|one| one["Type"] == kind).copied().collect::<Vec<_>>();
    let metrics = |alarm: &Value| match alarm["Properties"]["Metrics"].as_array() {
        Some(all) => all.iter().filter(|one| one["MetricStat"].is_object()).count(),
        None => 1,
    };
    let counted: usize = of_kind("AWS::CloudWatch::Alarm").into_iter().map(metrics).sum();
    assert_eq!(counted as f64, ALARM_METRICS);
    assert_eq!(of_kind("AWS::CloudWatch::Dashboard").len() as f64, DASHBOARDS);
}

#[test]
fn the_month_of_nothing_has_every_metric_of_a_round_and_no_other() {
    let source = include_str!("../../crates/entry/src/metrics.rs");
    let (_, after) = source.split_once("fn of_sweep(").unwrap();
    let (body, _) = after.split_once("\n}\n").unwrap();
    let told = metrics::METRICS.iter().filter(|metric| body.contains(&format!("({}, ", constant(metric.name))));
    assert_eq!(told.count() as f64, METRICS);
    let api = read(include_str!("../../infra/api.yaml"));
    let all = api["Resources"].as_object().unwrap().values();
    let counted = all.filter(|one| one["Type"] == "AWS::Logs::MetricFilter").count();
    assert_eq!((metrics::METRICS.len() + counted) as f64, ALL_METRICS);
}

#[test]
fn the_paper_of_scale_reckons_with_the_same_bounds_and_the_templates_own_limits() {
    let paper = include_str!("../../docs/scale.md");
    let Flow { written, read: units, requests, messages } = IMPLEMENT;
    let mut said = vec![
        format!("| write units | {written}, and "),
        format!("| read units | {units}, and "),
        format!("| requests to the API | {requests}, and "),
        format!("| messages | {messages} |"),
        format!("3,333 × {} + 333 × {} = ", EMPTY_CLAIM.read, HEARTBEAT.read),
    ];
    let api = read(include_str!("../../infra/api.yaml"));
    let functions = read(include_str!("../../infra/functions.yaml"));
    for (template, parameter, unit) in [
        (&api, "RequestsPerSecond", " for each route"),
        (&api, "WebhooksPerSecond", ""),
        (&functions, "DispatcherConcurrency", " batches of five"),
        (&functions, "EffectsConcurrency", " messages"),
    ] {
        said.push(format!("`{parameter}` ({}{unit})", template["Parameters"][parameter]["Default"]));
    }
    for words in said {
        assert!(paper.contains(&words), "docs/scale.md does not say {words}");
    }
}

/// How the source calls a metric: `JobsWaiting` is `JOBS_WAITING`.
fn constant(name: &str) -> String {
    let mut all = String::new();
    for letter in name.chars() {
        if letter.is_ascii_uppercase() && !all.is_empty() {
            all.push('_');
        }
        all.push(letter.to_ascii_uppercase());
    }
    all
}

#[test]
fn a_task_that_is_reckoned_with_is_what_a_project_gets_unless_it_says_otherwise() {
    assert_eq!(Settings::default().task_size, TASK.name);
    let tasks = read(include_str!("../../infra/tasks.yaml"));
    assert_eq!(tasks["Parameters"]["TaskDiskGiB"]["Default"].as_f64(), Some(TASK_DISK_GB));
    assert_eq!(tasks["Parameters"]["Architecture"]["Default"], "x86_64");
    let network = read(include_str!("../../infra/network.yaml"));
    let has_address = network["Parameters"]["AssignPublicIp"]["Default"] == "true";
    assert_eq!(if has_address { 1.0 } else { 0.0 }, TASK_ADDRESSES);
    for (size, resource) in [(TASK, "MediumTask"), (SMALL, "SmallTask")] {
        let definition = &tasks["Resources"][resource]["Properties"];
        assert_eq!(definition["Family"]["Fn::Sub"], format!("${{Deployment}}-{}", size.name.as_str()));
        assert_eq!(definition["Cpu"], (size.vcpu * 1_024.0).to_string());
        assert_eq!(definition["Memory"], (size.gb * 1_024.0).to_string());
        assert_eq!(definition["EphemeralStorage"]["SizeInGiB"]["Ref"], "TaskDiskGiB");
    }
}

#[test]
fn the_paper_of_cost_is_what_the_figures_say() {
    let mut page = format!(
        "# What it costs\n\nGenerated by `tests/papers/cost.rs` from bounds that `tests/figures` measures and holds; not written by hand.\nPrices are the public list of us-east-1 as it was known when this was written, {PRICES_OF} (DynamoDB's are those since November 2024), without free tiers and taxes; nothing asks AWS for them, so check these before you rely on them.\nThe model's provider is not in here, and is usually the largest part by far.\n\n## What is asked of AWS\n\nAt most, as the embedded services count it; requests are invocations through the API, messages are invocations by queues and events.\n\n| flow | write units | read units | requests | messages |\n|---|---|---|---|---|\n"
    );
    for (name, flow) in [
        ("an implement job, from the ticket's move to the settled ticket", IMPLEMENT),
        ("a revise job, from its delivery to the settled ticket", REVISE),
        ("a heartbeat of a job whose agent says nothing", BEAT),
        ("a heartbeat of an idle runner", HEARTBEAT),
        ("a claim that finds nothing", EMPTY_CLAIM),
        ("a round of the sweeper that finds nothing", SWEEP),
    ] {
        let Flow { written, read, requests, messages } = flow;
        writeln!(page, "| {name} | {written} | {read} | {requests} | {messages} |").unwrap();
    }
    page.push_str("\n[Request units](request-units.md) says how much of the first two each step takes.\n");
    page.push_str("\n## A thousand implement jobs\n\nThe control plane, for jobs of ten minutes with an agent that says little: its runner is heard every 10 s.\n\n");
    bill(&mut page, &a_thousand_jobs(IMPLEMENT));
    writeln!(page, "\n`Tracing=Active` adds at most {:.2} for X-Ray when jobs run one after the other, and {:.2} when a hundred run at once: Lambda traces a function's first call of each second, and one in twenty of the others.", traces(1_000.0 * calls_of_a_job(IMPLEMENT)), traces(traced(1_000.0 * calls_of_a_job(IMPLEMENT), 10.0 * TASK_HOURS * 3_600.0))).unwrap();
    writeln!(page, "\nAn agent that talks sends its events in batches, two a second at most while somebody reads them and one in 10 s, or for each 64 KB, while nobody does; {EVENT_BATCHES} of them a job, none of more than a KB once it is packed, add for the thousand:\n").unwrap();
    bill(&mut page, &talk());
    writeln!(page, "\nBeside the patch, which is in the first table, {ARTIFACTS} artifacts of such an agent, and {} MB a job in the bucket for {ARTIFACT_MONTHS} months, add for the thousand:\n", ARTIFACT_GB * 1_000.0).unwrap();
    bill(&mut page, &artifacts());
    let Size { name, vcpu, gb } = TASK;
    writeln!(page, "\nFargate, for ten minutes each, of the size that a project's tasks have unless it says otherwise (`{}`): {vcpu} vCPU, {gb} GB and {TASK_DISK_GB} GiB of disk, with a public address; on self-hosted runners nothing of that, and in subnets behind a NAT gateway of yours no address:\n", name.as_str()).unwrap();
    bill(&mut page, &containers(&TASK));
    let talked = total(&a_thousand_jobs(IMPLEMENT)) + total(&talk()) + total(&artifacts());
    writeln!(
        page,
        "\nSo a thousand jobs of ten minutes cost {:.2} dollars on Fargate, of which the control plane is {talked:.2}.\nWith `Architecture=arm64` the processor and the memory cost {:.2} dollars less.\nOf the size `{}`, {} vCPU and {} GB, the jobs cost {:.2}.\n",
        total(&containers(&TASK)) + talked,
        1_000.0 * TASK_HOURS * (TASK.vcpu * (VCPU_HOUR - ARM_VCPU_HOUR) + TASK.gb * (GB_HOUR - ARM_GB_HOUR)),
        SMALL.name.as_str(),
        SMALL.vcpu,
        SMALL.gb,
        total(&containers(&SMALL)) + talked,
    )
    .unwrap();
    page.push_str("## A thousand revise jobs\n\nThe same of these:\n\n");
    bill(&mut page, &a_thousand_jobs(REVISE));
    writeln!(page, "\n## A month without a job\n\n{SECRETS} secrets, one sweep a minute, and Lambda's own polling of two queues ({POLLS_A_MINUTE} times a minute each).\n").unwrap();
    bill(&mut page, &idle());
    writeln!(page, "\nAn `AlarmEmail`, or `Alarms=true`, adds {METRICS} metrics of the sweeper and alarms on {ALARM_METRICS} metrics:\n").unwrap();
    bill(&mut page, &alarms());
    writeln!(page, "\nCloudWatch charges for a metric in the hours in which it is written: a deployment that is never idle writes all {ALL_METRICS}, for {:.2} dollars more.\n`Dashboard=true` adds {DASHBOARD_MONTH:.2} dollars and the metrics, `Tracing=Active` {:.2} for the sweeper.", (ALL_METRICS - METRICS) * METRIC_MONTH, traces(MINUTES)).unwrap();
    page.push_str("The VPC of the template has no NAT gateway; one would cost more than everything here.\n\n## A month of one idle self-hosted runner\n\nIt asks for a job every 3 s and is heard every 30 s.\n\n");
    bill(&mut page, &idle_runners(1.0));
    writeln!(page, "\nTen thousand of them cost at most {:.0} dollars a month for asking alone, for beyond 300 million requests a month API Gateway is cheaper; `--poll-interval-ms` makes them ask more seldom.\n", total(&idle_runners(10_000.0))).unwrap();
    writeln!(
        page,
        "## Prices and assumptions\n\n| what | dollars |\n|---|---|\n| DynamoDB on demand, a million write units | {WRITE_MILLION} |\n| DynamoDB on demand, a million read units | {READ_MILLION} |\n| Lambda, a million requests | {LAMBDA_MILLION} |\n| Lambda, a GB-second | {LAMBDA_GB_SECOND} |\n| API Gateway HTTP API, a million requests | {GATEWAY_MILLION} |\n| SQS standard, a million requests | {STANDARD_MILLION} |\n| SQS FIFO, a million requests | {FIFO_MILLION} |\n| Secrets Manager, a secret and month | {SECRET_MONTH} |\n| Secrets Manager, 10,000 calls | 0.05 |\n| Fargate, a vCPU-hour | {VCPU_HOUR}, on arm64 {ARM_VCPU_HOUR} |\n| Fargate, a GB-hour | {GB_HOUR}, on arm64 {ARM_GB_HOUR} |\n| Fargate, a GB-hour of disk beyond {DISK_FREE_GB} GB | {DISK_GB_HOUR} |\n| a public IPv4 address, an hour | {ADDRESS_HOUR} |\n| EventBridge Scheduler, a million invocations | {SCHEDULER_MILLION} |\n| CloudWatch logs, a GB | {LOGS_GB} |\n| CloudWatch metrics, one and month | {METRIC_MONTH} |\n| CloudWatch alarms, a metric and month | {ALARM_MONTH} |\n| CloudWatch dashboards, one and month | {DASHBOARD_MONTH} |\n| S3, a thousand puts | {PUT_THOUSAND} |\n| S3, a thousand gets and looks | {GET_THOUSAND} |\n| S3, a GB and month | {STORED_GB_MONTH} |\n| X-Ray, a million traces | {TRACE_MILLION} |\n\nAn invocation is taken as {} ms of {} MB and {} bytes of logs, the gateway's and Lambda's own lines among them, which is more than a warm one takes, a round of the sweeper as {} bytes; the month has 30 days.\nNot in here: data transfer, storage of the table (0.25 dollars a GB and month), point-in-time recovery (0.20), what tasks write into their own log (0.25 a GB in its class), reads of other secrets than the signing key (ten of them a job are 0.05 for the thousand), calls of KMS for a key of your own, the image's registry.",
        FUNCTION_SECONDS * 1_000.0,
        FUNCTION_GB * 1_024.0,
        LOG_BYTES,
        SWEEP_LOG_BYTES,
    )
    .unwrap();
    keep::keep("cost.md", &page);
}
