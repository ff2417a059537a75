use super::super::{Timestamps, layer};
use crate::metrics;
use serde_json::Value;
use std::io::Write;
use std::sync::{Arc, Mutex};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;

#[derive(Clone, Default)]
struct LogBuffer(Arc<Mutex<Vec<u8>>>);

impl Write for LogBuffer {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for LogBuffer {
    type Writer = Self;
    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

fn capture_lines(filter: &str, say: impl FnOnce()) -> Vec<Value> {
    let buffer = LogBuffer::default();
    let subscriber =
        tracing_subscriber::registry().with(layer(buffer.clone(), filter.parse().unwrap(), Timestamps::Omit));
    tracing::subscriber::with_default(subscriber, say);
    let text = String::from_utf8(buffer.0.lock().unwrap().clone()).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn line_is_flat_and_has_the_ids_of_all_enclosing_spans() {
    let lines = capture_lines("info", || {
        let outer =
            tracing::error_span!("invocation", function = "effects", trace_id = "t1", job = tracing::field::Empty);
        let _outer = outer.enter();
        let _inner = tracing::error_span!("message", trace_id = "t2", job = tracing::field::Empty).entered();
        tracing::Span::current().record("job", "job_1");
        tracing::info!(decision.reason = "repeat", attempt = 2, "said\nin two lines");
        outer.record("job", "job_0");
    });
    let [line] = lines.as_slice() else { panic!("{lines:?}") };
    let expected = serde_json::json!({
        "function": "effects", "trace_id": "t2", "job": "job_1", "decision": "repeat", "attempt": 2,
        "message": "said\nin two lines", "level": "INFO", "target": module_path!(),
    });
    assert_eq!(line, &expected);
}

#[test]
fn span_ids_are_logged_with_the_filter_warn() {
    let lines = capture_lines("warn", || {
        let _span = tracing::error_span!("invocation", function = "api").entered();
        tracing::info!("not heard");
        tracing::warn!(job.id = "job_1", "heard");
    });
    let [line] = lines.as_slice() else { panic!("{lines:?}") };
    assert_eq!((&line["function"], &line["job"]), (&"api".into(), &"job_1".into()));
}

#[test]
fn fields_of_library_spans_are_omitted() {
    let lines = capture_lines("info", || {
        let _span = tracing::error_span!(target: "hyper", "connection", authorization = "Bearer s3cret").entered();
        tracing::info!("said");
    });
    assert!(!lines[0].to_string().contains("s3cret"), "{lines:?}");
}

#[test]
fn metric_lines_bypass_the_filter_and_omit_span_ids() {
    let lines = capture_lines("error", || {
        let _span = tracing::error_span!("invocation", function = "api").entered();
        metrics::write_line(r#"{"_aws":{},"JobsFailed":1}"#);
    });
    assert_eq!(lines, [serde_json::json!({ "_aws": {}, "JobsFailed": 1 })]);
}
