//! Waits between two claims: for a hint at the runner's mailbox, a freed slot, or the safety interval.
//! Without a usable mailbox it waits for the polling interval.

use super::context::DaemonContext;
use super::heartbeat::with_timeout;
use super::pauses;
use super::state::StateSnapshot;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use pullyard_domain::runner::SAFETY_CLAIM_INTERVAL;
use pullyard_protocol::client;
use pullyard_protocol::runner::RegisterRequest;
use std::collections::VecDeque;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Pause before an unusable mailbox is tried again.
const RETRY_AFTER: Duration = Duration::from_secs(60);
/// The route waits so long for a hint.
const LONGEST_WAIT: Duration = Duration::from_secs(20);
/// An earlier answer without a hint is not from SQS.
const MIN_WAIT: Duration = Duration::from_secs(10);
/// SQS repeats a hint every 10 seconds for a minute.
const REPEATED_HINT_PAUSE: Duration = Duration::from_secs(1);
const MAX_SEEN: usize = 100;

pub(crate) struct Mailbox<'a> {
    daemon: &'a DaemonContext,
    address: Option<String>,
    unusable_until: Option<Instant>,
    /// The call that waits at the mailbox since this moment. It outlives [`Self::wait`], because SQS would answer a
    /// dropped call too, and hide its hint for 10 seconds.
    receive: Option<(Instant, BoxFuture<'a, Result<String, client::Error>>)>,
    seen: SeenHints,
}

/// The newest hints that led to a claim.
#[derive(Default)]
struct SeenHints(VecDeque<String>);

impl<'a> Mailbox<'a> {
    pub(crate) fn new(daemon: &'a DaemonContext) -> Self {
        let address = daemon.registration.mailbox.clone();
        Self { daemon, address, unusable_until: None, receive: None, seen: SeenHints::default() }
    }

    /// Waits until a claim may get a job. `poll`: the interval without a mailbox, and the longest wait after an earlier
    /// sign of a job, because the server's list may be late. Returns whether there is a new sign.
    pub(crate) async fn wait(&mut self, poll: Duration, may_be_late: bool) -> bool {
        let daemon = self.daemon;
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
            () = self.wait_for_hint(poll) => self.unusable_until.is_none(),
            () = sleep(longest) => false,
        }
    }

    async fn wait_for_hint(&mut self, poll: Duration) {
        let daemon = self.daemon;
        match self.unusable_until {
            Some(until) if Instant::now() < until => return sleep(poll).await,
            Some(_) => self.renew().await,
            None => {}
        }
        // A draining runner waits for its next slot instead.
        while daemon.free_slots() > 0 {
            let Some(address) = self.address.clone() else { return sleep(poll).await };
            // While no slot was free, nobody looked at the call.
            self.receive.take_if(|(began, _)| began.elapsed() >= LONGEST_WAIT);
            let is_earlier = self.receive.is_some();
            let call = || async move { daemon.client.receive_hints(&address).await }.boxed();
            let (began, call) = self.receive.get_or_insert_with(|| (Instant::now(), call()));
            let (began, received) = (*began, call.await);
            self.receive = None;
            let fault = match received {
                Ok(answer) => match self.seen.add(&answer) {
                    Received::New => return,
                    Received::Repeated => {
                        sleep(REPEATED_HINT_PAUSE).await;
                        continue;
                    }
                    Received::Nothing if began.elapsed() >= MIN_WAIT => continue,
                    Received::Nothing => "an answer without a hint came too early".to_owned(),
                },
                // It was not polled during the claim, so its connection may have ended.
                Err(_) if is_earlier => continue,
                Err(error) => error.to_string(),
            };
            tracing::warn!(fault, "cannot wait for hints, polling for a minute: {fault}");
            self.unusable_until = Some(Instant::now() + pauses::with_jitter(RETRY_AFTER, rand::random()));
            return sleep(poll).await;
        }
    }

    /// Registers again, which creates a lost queue again, as after a restart of `pullyard up`.
    async fn renew(&mut self) {
        let daemon = self.daemon;
        let active = daemon.state().read(StateSnapshot::active_jobs);
        let request = RegisterRequest { active, ..daemon.request.clone() };
        let (limit, url) = (daemon.settings.request_timeout, &daemon.settings.api_url);
        // If another process has replaced this one, the next heartbeat ends it.
        if let Ok(answer) = with_timeout(limit, url, daemon.client.register(&request)).await {
            self.address = answer.mailbox;
        }
        self.unusable_until = None;
    }
}

impl SeenHints {
    fn add(&mut self, answer: &str) -> Received {
        let mut received = Received::Nothing;
        for hint in parse_hints(answer) {
            if self.0.iter().any(|seen| seen == hint) {
                received = received.max(Received::Repeated);
                continue;
            }
            received = Received::New;
            self.0.push_back(hint.to_owned());
        }
        self.0.drain(..self.0.len().saturating_sub(MAX_SEEN));
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
        let mut seen = SeenHints::default();
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
            assert_eq!(seen.add(&answer), received, "{answer}");
        }
        for number in 10..10 + u32::try_from(MAX_SEEN).unwrap() {
            seen.add(&json(hint("d", number)));
        }
        assert_eq!(seen.0.len(), MAX_SEEN);
        assert_eq!(seen.add(&json(hint("a", 1))), Received::New, "it was forgotten");
    }
}
