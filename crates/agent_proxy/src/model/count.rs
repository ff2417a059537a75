//! Counts one request from its reservation to its end.

use super::meter::{Meter, RequestEnd};
use super::usage::{Usage, UsageReader};
use std::sync::Arc;
use tokio::sync::Notify;

/// Ends the reservation when it is dropped, even if the agent disconnects before the provider reports the usage.
pub(super) struct RequestCount {
    number: u64,
    likely_input: u64,
    meter: Arc<dyn Meter>,
    ended: Arc<Notify>,
    reader: UsageReader,
    end: RequestEnd,
}

impl RequestCount {
    pub(super) fn new(number: u64, likely_input: u64, meter: Arc<dyn Meter>, ended: Arc<Notify>) -> Self {
        Self { number, likely_input, meter, ended, reader: UsageReader::default(), end: RequestEnd::Cut }
    }

    /// Errors: the answer exceeds the limit.
    pub(super) fn read(&mut self, part: &[u8]) -> std::io::Result<()> {
        if self.end == RequestEnd::NotBilled {
            return Ok(());
        }
        let usage = self.reader.read(part);
        if self.reader.has_ended() {
            if usage.is_some() || self.end != RequestEnd::Complete {
                self.end = RequestEnd::Complete;
                // Before the agent reads this part and sends its next request.
                self.finish(&self.reader.usage());
            }
        } else if usage.is_some_and(|usage| !self.meter.record(self.number, &usage)) {
            return Err(std::io::Error::other("the limit is used up"));
        }
        Ok(())
    }

    fn finish(&self, usage: &Usage) {
        self.meter.finish(self.number, usage, self.end);
        self.ended.notify_one();
    }

    pub(super) fn note_error_answer(&mut self) {
        self.end = RequestEnd::NotBilled;
    }

    /// The provider sent no answer, which an agent cannot cause. After a timeout, it may still bill one.
    pub(super) fn note_unanswered(&mut self, error: &reqwest::Error) {
        if error.is_connect() {
            self.end = RequestEnd::NotBilled;
        } else if !error.is_timeout() {
            self.end = RequestEnd::Complete;
            self.finish(&self.reader.estimate(self.likely_input));
        }
    }
}

impl Drop for RequestCount {
    fn drop(&mut self) {
        if self.end != RequestEnd::Complete {
            self.finish(&self.reader.estimate(self.likely_input));
        }
    }
}
