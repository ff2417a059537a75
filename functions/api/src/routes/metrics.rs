//! `GET /metrics`: the sweeper's last snapshot in the Prometheus format. Costs one read per call.
//! Source: <https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format>.

use crate::routes::prelude::*;
use aide::generate::GenContext;
use aide::openapi::{MediaType, Operation, Response as Described, SchemaObject};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use pullyard_control::Snapshot;
use pullyard_domain::text::time::Timestamp;
use std::fmt::Write;

const MEDIA_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

pub(crate) struct Exposition(String);

impl IntoResponse for Exposition {
    fn into_response(self) -> Response {
        ([(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE))], self.0).into_response()
    }
}

impl aide::OperationOutput for Exposition {
    type Inner = String;

    fn inferred_responses(_: &mut GenContext, _: &mut Operation) -> Vec<(Option<u16>, Described)> {
        let json_schema = schemars::json_schema!({ "type": "string" });
        let schema = Some(SchemaObject { json_schema, external_docs: None, example: None });
        let content = [("text/plain".to_owned(), MediaType { schema, ..MediaType::default() })].into_iter().collect();
        vec![(Some(200), Described { content, ..Described::default() })]
    }
}

pub(crate) async fn show(caller: Caller<scope::ReadAllProjects>) -> Result<Exposition, Problem> {
    Ok(Exposition(exposition(&control::load_snapshot(&caller.ctx).await?, caller.ctx.clock.now())))
}

/// Before the first snapshot the counts are absent, because an unknown count is not zero.
fn exposition(snapshot: &Snapshot, now: Timestamp) -> String {
    let mut text = ExpositionWriter::default();
    text.gauge("pullyard_build_info", "The release of this server.");
    text.sample("pullyard_build_info", &[("version", env!("CARGO_PKG_VERSION"))], 1_u32);
    if let Some(age) = snapshot.sweep_age {
        text.single_gauge("pullyard_sweep_age_seconds", "Age of the sweeper's last round.", age.as_secs());
    }
    let Some(gauges) = &snapshot.gauges else { return text.0 };
    if let Some(at) = gauges.at {
        text.single_gauge("pullyard_snapshot_age_seconds", "Age of these numbers.", now.since(at).as_secs());
    }
    let help = "1 if a count is incomplete, else 0.";
    text.single_gauge("pullyard_snapshot_capped", help, u64::from(gauges.more));
    text.gauge("pullyard_jobs", "Jobs that have not ended.");
    for (state, count) in [("pending", gauges.pending), ("waiting", gauges.waiting), ("running", gauges.running)] {
        text.sample("pullyard_jobs", &[("state", state)], count);
    }
    let oldest = gauges.oldest_wait(now).unwrap_or_default().as_secs();
    let help = "Wait of the longest waiting job; 0 if none waits.";
    text.single_gauge("pullyard_oldest_job_waiting_seconds", help, oldest);
    text.gauge("pullyard_jobs_waiting", "Waiting jobs of the projects with the most.");
    for (project, count) in &gauges.waiting_by {
        text.sample("pullyard_jobs_waiting", &[("project", project.as_str())], *count);
    }
    text.gauge("pullyard_entries_held", "Entries that wait until their project may start jobs.");
    for (project, count) in &gauges.held_by {
        text.sample("pullyard_entries_held", &[("project", project.as_str())], *count);
    }
    let help = "Tickets that are due later: their reviews or a retry wait.";
    text.single_gauge("pullyard_tickets_scheduled", help, gauges.later);
    text.gauge("pullyard_runners", "Self-hosted runners.");
    for (state, count) in [("online", gauges.online), ("draining", gauges.draining), ("offline", gauges.offline)] {
        text.sample("pullyard_runners", &[("state", state)], count);
    }
    text.gauge("pullyard_runner_slots", "Slots of self-hosted runners.");
    for (state, count) in [("busy", gauges.slots_busy), ("free", gauges.slots_free)] {
        text.sample("pullyard_runner_slots", &[("state", state)], count);
    }
    text.0
}

#[derive(Default)]
struct ExpositionWriter(String);

impl ExpositionWriter {
    fn gauge(&mut self, name: &str, help: &str) {
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} gauge");
    }

    fn single_gauge(&mut self, name: &str, help: &str, value: impl Into<u64>) {
        self.gauge(name, help);
        self.sample(name, &[], value);
    }

    /// Label values are our own ids and constants, without quotes, backslashes or line ends.
    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Into<u64>) {
        let labels: Vec<_> = labels.iter().map(|(name, value)| format!("{name}=\"{value}\"")).collect();
        let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        let _ = writeln!(self.0, "{name}{labels} {}", value.into());
    }
}
