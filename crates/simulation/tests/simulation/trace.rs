//! Records the steps of a life, one line each.

use crate::prelude::*;

#[derive(Debug)]
pub(crate) struct Trace {
    pub(crate) start: Timestamp,
    lines: Vec<String>,
}

impl Trace {
    pub(crate) fn new(start: Timestamp) -> Self {
        Self { start, lines: vec![] }
    }

    pub(crate) fn record(&mut self, now: Timestamp, line: String) {
        let since = now.since(self.start);
        self.lines.push(format!("{:>5}.{:03} {line}", since.as_secs(), since.subsec_millis()));
    }

    pub(crate) fn lines(&self) -> &[String] {
        &self.lines
    }
}
