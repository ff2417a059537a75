//! Waits between two claims: for a hint at the runner's mailbox, a freed slot, or the safety interval.
//! Without a usable mailbox it waits for the polling interval.

use super::context::DaemonContext;
use super::heartbeat::with_timeout;
use super::pauses;
use super::state::StateSnapshot;
use pullyard_domain::runner::SAFETY_CLAIM_INTERVAL;
use pullyard_protocol::runner::RegisterRequest;
use std::collections::VecDeque;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Pause before an unusable mailbox is tried again.
const RETRY_AFTER: Duration = Duration::from_secs(60);
/// The route waits for 20 seconds, so an earlier answer without a hint is not from SQS.
const MIN_WAIT: Duration = Duration::from_secs(10);
/// SQS repeats a hint every 10 seconds for a minute.
const REPEATED_HINT_PAUSE: Duration = Duration::from_secs(1);
const MAX_SEEN: usize = 100;

pub(crate) struct Mailbox {
    address: Option<String>,
    unusable_until: Option<Instant>,
    /// The newest hints that led to a claim.
    seen: VecDeque<String>,
}

impl Mailbox {
    pub(crate) fn new(address: Option<String>) -> Self {
        Self { address, unusable_until: None, seen: VecDeque::new() }
    }

    /// Waits until a claim may get a job. `poll`: the interval without a mailbox, and the longest wait after an earlier
    /// sign of a job, because the server's list may be late. Returns whether there is a new sign.
    pub(crate) async fn wait(&mut self, daemon: &DaemonContext, poll: Duration, may_be_late: bool) -> bool {
        if self.address.is_none() {
            sleep(poll).await;
            return false;
        }
        let free_slots = daemon.free_slots();
        if free_slots == 0 {
            return true;
        }
        let safety = SAFETY_CLAIM_INTERVAL.max(daemon.settings.poll_interval.unwrap_or_default());
        let longest = if may_be_late { poll } else { pauses::with_jitter(safety, rand::random()) };
        tokio::select! {
            () = daemon.state().wait_until(|state| daemon.free_slots_in(state) > free_slots) => true,
            () = self.wait_for_hint(daemon, poll) => self.unusable_until.is_none(),
            () = sleep(longest) => false,
        }
    }

    async fn wait_for_hint(&mut self, daemon: &DaemonContext, poll: Duration) {
        match self.unusable_until {
            Some(until) if Instant::now() < until => return sleep(poll).await,
            Some(_) => self.renew(daemon).await,
            None => {}
        }
        // A draining runner waits for its next slot instead.
        while daemon.free_slots() > 0 {
            let Some(address) = &self.address else { return sleep(poll).await };
            let began = Instant::now();
            let fault = match daemon.client.receive_hints(address).await {
                Ok(answer) => match self.add_hints(&answer) {
                    Received::New => return,
                    Received::Repeated => {
                        sleep(REPEATED_HINT_PAUSE).await;
                        continue;
                    }
                    Received::Nothing if began.elapsed() >= MIN_WAIT => continue,
                    Received::Nothing => "an answer without a hint came too early".to_owned(),
                },
                Err(error) => error.to_string(),
            };
            tracing::warn!(fault, "cannot wait for hints, polling for a minute: {fault}");
            self.unusable_until = Some(Instant::now() + pauses::with_jitter(RETRY_AFTER, rand::random()));
            return sleep(poll).await;
        }
    }

    /// Registers again, which creates a lost queue again, as after a restart of `pullyard up`.
    async fn renew(&mut self, daemon: &DaemonContext) {
        let active = daemon.state().read(StateSnapshot::active_jobs);
        let request = RegisterRequest { active, ..daemon.request.clone() };
        let (limit, url) = (daemon.settings.request_timeout, &daemon.settings.api_url);
        // If another process has replaced this one, the next heartbeat ends it.
        if let Ok(answer) = with_timeout(limit, url, daemon.client.register(&request)).await {
            self.address = answer.mailbox;
        }
        self.unusable_until = None;
    }

    fn add_hints(&mut self, answer: &str) -> Received {
        let mut received = Received::Nothing;
        for hint in parse_hints(answer) {
            if self.seen.iter().any(|seen| seen == hint) {
                received = received.max(Received::Repeated);
                continue;
            }
            received = Received::New;
            self.seen.push_back(hint.to_owned());
        }
        self.seen.drain(..self.seen.len().saturating_sub(MAX_SEEN));
        received
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Received {
    Nothing,
    Repeated,
    New,
}

/// The hints in an answer of SQS, in JSON or XML: `wake`, the job and the hint's number.
fn parse_hints(answer: &str) -> impl Iterator<Item = &str> {
    let is_end = |c: char| !c.is_ascii_alphanumeric() && c != ' ';
    answer.split("wake job_").skip(1).filter_map(move |rest| rest.split(is_end).next())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hints_are_found_in_json_and_xml_and_repeats_are_recognised() {
        let hint = |job: &str, number: u32| format!("wake job_{} {number:016x}", job.repeat(26));
        let json = |hint: String| format!(r#"{{"Messages":[{{"Body":"{hint}","MessageId":"1"}}]}}"#);
        let xml = |hint: String| format!("<ReceiveMessageResult><Body>{hint}</Body></ReceiveMessageResult>");
        let mut mailbox = Mailbox::new(None);
        for (answer, received) in [
            (json(hint("a", 1)), Received::New),
            (json(hint("a", 1)), Received::Repeated),
            (xml(hint("a", 1)), Received::Repeated),
            (xml(hint("b", 1)), Received::New),
            // Another hint about the same job, which was requeued.
            (xml(hint("b", 2)), Received::New),
            (json(hint("a", 1)) + &json(hint("c", 3)) + &json(hint("b", 2)), Received::New),
            ("{}".to_owned(), Received::Nothing),
            ("<html>Sign in</html>".to_owned(), Received::Nothing),
            (String::new(), Received::Nothing),
        ] {
            assert_eq!(mailbox.add_hints(&answer), received, "{answer}");
        }
        for number in 10..10 + u32::try_from(MAX_SEEN).unwrap() {
            mailbox.add_hints(&json(hint("d", number)));
        }
        assert_eq!(mailbox.seen.len(), MAX_SEEN);
        assert_eq!(mailbox.add_hints(&json(hint("a", 1))), Received::New, "it was forgotten");
    }
}
