//! Writes metrics to stdout in CloudWatch's embedded metric format; none without a deployment's name.
//! Source:
//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>.

use crate::Context;
use pullyard_control::{Counter, SweepResult};
use pullyard_domain::text::time::Timestamp;
use serde_json::{Map, Value, json};

pub const TARGET: &str = "pullyard_metrics";
pub(crate) const FIELD: &str = "emf";
pub const NAMESPACE: &str = "Pullyard";
/// The only dimension: CloudWatch charges for each combination of values.
pub const DIMENSION: &str = "Deployment";

const OLDEST_JOB_WAITING: &str = "OldestJobWaiting";

/// The metrics of a sweep, in the order of `sweep_values`.
pub const SWEEP_METRICS: [&str; 9] = [
    "SweepsCompleted",
    "SweepHealed",
    "SweepFailed",
    "JobsWaiting",
    OLDEST_JOB_WAITING,
    "JobsRunning",
    "EntriesHeld",
    "RunnersOnline",
    "RunnersOffline",
];

/// The names of all metrics.
pub fn names() -> impl Iterator<Item = &'static str> {
    SWEEP_METRICS.into_iter().chain(Counter::ALL.iter().map(|counter| counter.metric()))
}

fn unit(metric: &str) -> &'static str {
    if metric == OLDEST_JOB_WAITING { "Seconds" } else { "Count" }
}

pub(crate) fn flush(ctx: &Context) {
    publish(ctx, ctx.counters().take().into_iter().map(|(counter, value)| (counter.metric(), value)).collect());
}

pub fn publish_sweep(ctx: &Context, round: &SweepResult) {
    publish(ctx, SWEEP_METRICS.into_iter().zip(sweep_values(ctx.clock.now(), round)).collect());
}

/// Only the first three values if the round has no gauges.
fn sweep_values(now: Timestamp, round: &SweepResult) -> Vec<u64> {
    let report = &round.report;
    let mut values = vec![u64::from(round.is_recorded), u64::from(report.repair_count()), u64::from(report.failed)];
    if let Some(gauges) = &report.gauges {
        values.extend([
            u64::from(gauges.waiting),
            gauges.oldest_wait(now).unwrap_or_default().as_secs(),
            u64::from(gauges.running),
            u64::from(gauges.held),
            u64::from(gauges.online) + u64::from(gauges.draining),
            u64::from(gauges.offline),
        ]);
    }
    values
}

fn publish(ctx: &Context, values: Vec<(&'static str, u64)>) {
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

fn format_line(deployment: &str, at: i64, values: &[(&str, u64)]) -> String {
    let names: Vec<_> = values.iter().map(|(name, _)| json!({ "Name": name, "Unit": unit(name) })).collect();
    let mut line = Map::new();
    let directive = json!({ "Namespace": NAMESPACE, "Dimensions": [[DIMENSION]], "Metrics": names });
    line.insert("_aws".into(), json!({ "Timestamp": at, "CloudWatchMetrics": [directive] }));
    line.insert(DIMENSION.into(), deployment.into());
    line.extend(values.iter().map(|(name, value)| ((*name).to_owned(), Value::from(*value))));
    Value::Object(line).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use pullyard_control::Report;
    use pullyard_store::Gauges;
    use std::collections::BTreeSet;

    #[test]
    fn line_has_the_embedded_metric_format() {
        let line = format_line("shop", 1_795_132_800_000, &[("JobsFailed", 2), (OLDEST_JOB_WAITING, 61)]);
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
    fn metric_names_are_unique() {
        assert_eq!(names().collect::<BTreeSet<_>>().len(), names().count());
    }

    #[test]
    fn sweep_values_are_in_the_order_of_their_metrics() {
        let gauges = Gauges {
            waiting: 4,
            oldest: Some(Timestamp::from_millis(1_000)),
            running: 6,
            held: 7,
            online: 3,
            draining: 5,
            offline: 9,
            ..Gauges::default()
        };
        let report = Report { woken: 2, failed: 3, gauges: Some(gauges), ..Report::default() };
        let round = SweepResult { report, is_recorded: true, error: None };
        assert_eq!(sweep_values(Timestamp::from_millis(6_000), &round), [1, 2, 3, 4, 5, 6, 7, 8, 9]);
        let round = SweepResult { report: Report::default(), is_recorded: false, error: None };
        assert_eq!(sweep_values(Timestamp::from_millis(6_000), &round), [0, 0, 0]);
    }

    #[test]
    fn operations_page_lists_every_metric() {
        let page = include_str!("../../../docs/operations.md");
        let rows = page.lines().skip_while(|line| !line.starts_with("| metric |")).skip(2);
        let rows = rows.take_while(|line| line.starts_with('|')).collect::<Vec<_>>();
        assert_eq!(rows.len(), names().count());
        for (row, name) in rows.into_iter().zip(names()) {
            assert!(row.starts_with(&format!("| `{name}` | {} | ", unit(name))), "{row}");
        }
    }
}
