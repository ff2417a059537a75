//! Writes metrics to stdout in CloudWatch's embedded metric format; none without a deployment's name.
//! Source:
//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>.

use crate::Context;
use pullyard_control::{Counter, SweepResult};
use serde_json::{Map, Value, json};

pub const TARGET: &str = "pullyard_metrics";
pub(crate) const FIELD: &str = "emf";
pub const NAMESPACE: &str = "Pullyard";
/// The only dimension: CloudWatch charges for each combination of values.
pub const DIMENSION: &str = "Deployment";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metric {
    pub name: &'static str,
    pub unit: &'static str,
    pub help: &'static str,
}

macro_rules! metrics {
    ($($constant:ident = $name:literal $unit:literal $help:literal;)*) => {
        $(const $constant: Metric = Metric { name: $name, unit: $unit, help: $help };)*
        pub const METRICS: &[Metric] = &[$($constant),*];
    };
}

metrics! {
    SWEEPS_COMPLETED = "SweepsCompleted" "Count" "Finished rounds of the sweeper, with or without failures; one per \
                                                  minute is normal.";
    SWEEP_HEALED = "SweepHealed" "Count" "Due steps that a round started: starts, ends, settlings, admissions.";
    SWEEP_FAILED = "SweepFailed" "Count" "Items that a round postponed and parts that it skipped after a failure.";
    JOBS_WAITING = "JobsWaiting" "Count" "Jobs that wait for a runner or a task; at most 40 per class are counted.";
    OLDEST_JOB_WAITING = "OldestJobWaiting" "Seconds" "Age of the oldest waiting job; 0 without one.";
    JOBS_RUNNING = "JobsRunning" "Count" "Jobs that an attempt holds.";
    ENTRIES_HELD = "EntriesHeld" "Count" "Ticket entries that wait for a release of their project or for budget.";
    RUNNERS_ONLINE = "RunnersOnline" "Count" "Self-hosted runners with a recent heartbeat, including draining ones.";
    RUNNERS_OFFLINE = "RunnersOffline" "Count" "Self-hosted runners without a recent heartbeat.";
    DELIVERIES_ACCEPTED = "DeliveriesAccepted" "Count" "Deliveries, ticket events and requests that started a job.";
    DELIVERIES_HELD = "DeliveriesHeld" "Count" "Deliveries that wait for a later job.";
    DELIVERIES_REFUSED = "DeliveriesRefused" "Count" "Deliveries whose request for a job was refused.";
    DELIVERIES_IGNORED = "DeliveriesIgnored" "Count" "Deliveries that request no job.";
    DELIVERIES_DUPLICATE = "DeliveriesDuplicate" "Count" "Deliveries that repeat an earlier one.";
    DELIVERIES_INVALID = "DeliveriesInvalid" "Count" "Deliveries that are unreadable or not authentic.";
    SIGNATURES_REFUSED = "SignaturesRefused" "Count" "Webhook deliveries with a wrong or missing signature.";
    TASKS_STARTED = "TasksStarted" "Count" "Fargate tasks that were requested.";
    TASK_STARTS_FAILED = "TaskStartsFailed" "Count" "Task starts that were refused, postponed, or stopped before \
                                                     their claim.";
    JOBS_COMPLETED = "JobsCompleted" "Count" "Jobs that completed.";
    JOBS_FAILED = "JobsFailed" "Count" "Jobs that failed.";
    JOBS_CANCELLED = "JobsCancelled" "Count" "Jobs that were cancelled.";
    JOBS_REQUEUED = "JobsRequeued" "Count" "Jobs that were requeued after a platform failure.";
    MODELS_LEFT_ALONE = "ModelsLeftAlone" "Count" "Model accounts paused after errors: a limit is reached, or the \
                                                   provider keeps failing.";
    WAKEUPS_LOST = "WakeupsLost" "Count" "Hints that could not be sent; the sweeper sends them again.";
    ITEMS_CORRUPT = "ItemsCorrupt" "Count" "Unreadable table items that were skipped.";
}

fn metric_for(count: Counter) -> Metric {
    match count {
        Counter::DeliveryAccepted => DELIVERIES_ACCEPTED,
        Counter::DeliveryHeld => DELIVERIES_HELD,
        Counter::DeliveryRefused => DELIVERIES_REFUSED,
        Counter::DeliveryIgnored => DELIVERIES_IGNORED,
        Counter::DeliveryDuplicate => DELIVERIES_DUPLICATE,
        Counter::DeliveryInvalid => DELIVERIES_INVALID,
        Counter::SignatureRefused => SIGNATURES_REFUSED,
        Counter::TaskStarted => TASKS_STARTED,
        Counter::TaskStartFailed => TASK_STARTS_FAILED,
        Counter::JobCompleted => JOBS_COMPLETED,
        Counter::JobFailed => JOBS_FAILED,
        Counter::JobCancelled => JOBS_CANCELLED,
        Counter::JobRequeued => JOBS_REQUEUED,
        Counter::BreakerOpened => MODELS_LEFT_ALONE,
        Counter::WakeupLost => WAKEUPS_LOST,
        Counter::ItemCorrupt => ITEMS_CORRUPT,
    }
}

pub(crate) fn flush(ctx: &Context) {
    let counted = ctx.counters().take();
    publish(ctx, counted.into_iter().map(|(count, value)| (metric_for(count), value)).collect());
}

pub fn publish_sweep(ctx: &Context, round: &SweepResult) {
    publish(ctx, sweep_values(ctx, round));
}

fn sweep_values(ctx: &Context, round: &SweepResult) -> Vec<(Metric, u64)> {
    let report = &round.report;
    let mut all = vec![
        (SWEEPS_COMPLETED, u64::from(round.is_recorded)),
        (SWEEP_HEALED, u64::from(report.repair_count())),
        (SWEEP_FAILED, u64::from(report.failed)),
    ];
    if let Some(gauges) = &report.gauges {
        let oldest = gauges.oldest_wait(ctx.clock.now()).unwrap_or_default().as_secs();
        all.extend([
            (JOBS_WAITING, u64::from(gauges.waiting)),
            (OLDEST_JOB_WAITING, oldest),
            (JOBS_RUNNING, u64::from(gauges.running)),
            (ENTRIES_HELD, u64::from(gauges.held)),
            (RUNNERS_ONLINE, u64::from(gauges.online) + u64::from(gauges.draining)),
            (RUNNERS_OFFLINE, u64::from(gauges.offline)),
        ]);
    }
    all
}

fn publish(ctx: &Context, values: Vec<(Metric, u64)>) {
    if let Some(deployment) = &ctx.deployment
        && !values.is_empty()
    {
        write_line(&format_line(deployment, ctx.clock.now().millis(), &values));
    }
}

/// Writes through the log, so that metrics and log lines never mix.
pub(crate) fn write_line(line: &str) {
    tracing::info!(target: TARGET, emf = line);
}

fn format_line(deployment: &str, at: i64, values: &[(Metric, u64)]) -> String {
    let names: Vec<_> = values.iter().map(|(metric, _)| json!({ "Name": metric.name, "Unit": metric.unit })).collect();
    let mut line = Map::new();
    let directive = json!({ "Namespace": NAMESPACE, "Dimensions": [[DIMENSION]], "Metrics": names });
    line.insert("_aws".into(), json!({ "Timestamp": at, "CloudWatchMetrics": [directive] }));
    line.insert(DIMENSION.into(), deployment.into());
    line.extend(values.iter().map(|(metric, value)| (metric.name.to_owned(), Value::from(*value))));
    Value::Object(line).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn line_has_the_embedded_metric_format() {
        let line = format_line("shop", 1_795_132_800_000, &[(JOBS_FAILED, 2), (OLDEST_JOB_WAITING, 61)]);
        let line: Value = serde_json::from_str(&line).unwrap();
        let expected = json!({
            "_aws": {
                "Timestamp": 1_795_132_800_000_i64,
                "CloudWatchMetrics": [{
                    "Namespace": "Pullyard",
                    "Dimensions": [["Deployment"]],
                    "Metrics": [
                        { "Name": "JobsFailed", "Unit": "Count" },
                        { "Name": "OldestJobWaiting", "Unit": "Seconds" },
                    ],
                }],
            },
            "Deployment": "shop",
            "JobsFailed": 2,
            "OldestJobWaiting": 61,
        });
        assert_eq!(line, expected);
    }

    #[test]
    fn metrics_have_unique_names_and_cloudwatch_units() {
        let names: BTreeSet<_> = METRICS.iter().map(|metric| metric.name).collect();
        assert_eq!(names.len(), METRICS.len());
        assert!(METRICS.iter().all(|metric| ["Count", "Seconds"].contains(&metric.unit)));
        let counted: BTreeSet<_> = Counter::ALL.iter().map(|count| metric_for(*count).name).collect();
        assert_eq!(counted.len(), Counter::ALL.len(), "two counters share one metric");
        assert!(counted.is_subset(&names));
    }

    #[test]
    fn operations_page_lists_every_metric() {
        let page = include_str!("../../../docs/operations.md");
        let rows: Vec<_> =
            METRICS.iter().map(|metric| format!("| `{}` | {} | {} |", metric.name, metric.unit, metric.help)).collect();
        let documented_rows: Vec<_> = page.lines().skip_while(|line| !line.starts_with("| metric |")).skip(2).collect();
        let documented_rows: Vec<_> = documented_rows.into_iter().take_while(|line| line.starts_with('|')).collect();
        assert_eq!(documented_rows, rows);
    }
}
