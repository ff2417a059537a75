//! Writes log lines. Fields of an event override fields of its spans, and inner spans override outer ones.

use super::Timestamps;
use crate::{Clock, metrics};
use serde_json::{Map, Value};
use std::fmt::Debug;
use std::io::Write;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

#[derive(Debug)]
pub struct JsonLines<W> {
    writer: W,
    timestamps: Timestamps,
}

struct Fields(Map<String, Value>);

impl<W> JsonLines<W> {
    pub fn new(to: W, times: Timestamps) -> Self {
        Self { writer: to, timestamps: times }
    }
}

impl<S, W> Layer<S> for JsonLines<W>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'a> MakeWriter<'a> + 'static,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, ctx: Context<'_, S>) {
        // Record only our spans. Libraries use our field names for other values, which were never checked for secrets.
        if let Some(span) = ctx.span(id).filter(|span| span.metadata().target().starts_with("pullyard")) {
            let mut fields = Map::new();
            attributes.record(&mut FieldVisitor(&mut fields));
            span.extensions_mut().insert(Fields(fields));
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, ctx: Context<'_, S>) {
        if let Some(span) = ctx.span(id)
            && let Some(Fields(fields)) = span.extensions_mut().get_mut()
        {
            values.record(&mut FieldVisitor(fields));
        }
    }

    fn on_event(&self, event: &Event<'_>, ctx: Context<'_, S>) {
        let mut own = Map::new();
        event.record(&mut FieldVisitor(&mut own));
        let mut line = match own.remove(metrics::FIELD) {
            Some(Value::String(metrics)) if event.metadata().target() == metrics::TARGET => metrics,
            _ => Value::Object(self.line(event, own, &ctx)).to_string(),
        };
        line.push('\n');
        // A failed write of the log cannot be reported anywhere.
        let _ = self.writer.make_writer_for(event.metadata()).write_all(line.as_bytes());
    }
}

impl<W> JsonLines<W> {
    fn line<S>(&self, event: &Event<'_>, own: Map<String, Value>, ctx: &Context<'_, S>) -> Map<String, Value>
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        let mut line = Map::new();
        for span in ctx.event_scope(event).into_iter().flat_map(|scope| scope.from_root()) {
            if let Some(Fields(fields)) = span.extensions().get() {
                line.extend(fields.clone());
            }
        }
        line.extend(own);
        let metadata = event.metadata();
        line.insert("level".into(), metadata.level().as_str().into());
        line.insert("target".into(), metadata.target().into());
        if self.timestamps == Timestamps::Include {
            line.insert("timestamp".into(), Clock::default().now().to_string().into());
        }
        line
    }
}

/// One name per meaning, without characters that a query must quote.
fn field_name(field: &Field) -> String {
    match field.name() {
        "job.id" => "job".into(),
        "message.id" => "message_id".into(),
        "decision.reason" => "decision".into(),
        "duration_ms" => "ms".into(),
        other => other.replace('.', "_"),
    }
}

struct FieldVisitor<'a>(&'a mut Map<String, Value>);

impl FieldVisitor<'_> {
    fn set(&mut self, field: &Field, value: impl Into<Value>) {
        self.0.insert(field_name(field), value.into());
    }
}

impl Visit for FieldVisitor<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        // Paths supply the attempt as text, other callers as a number.
        match value.parse::<u32>() {
            Ok(number) if field.name() == "attempt" => self.set(field, number),
            _ => self.set(field, value),
        }
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.set(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.set(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.set(field, value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.set(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.set(field, format!("{value:?}"));
    }
}

#[cfg(test)]
mod tests;
