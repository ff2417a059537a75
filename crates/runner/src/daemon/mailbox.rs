//! Waits between two claims: for a hint at the runner's mailbox, a freed slot, or the safety interval.
//! Without a usable mailbox it waits for the polling interval.

use super::context::DaemonContext;
use super::heartbeat::with_timeout;
use super::pauses;
use super::state::StateSnapshot;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use pullyard_domain::agent::runner::SAFETY_CLAIM_INTERVAL;
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
        let longest = if may_be_late { poll } else { self.safety_pause() };
        tokio::select! {
            () = daemon.state().wait_until(|state| daemon.free_slots_in(state) > free_slots) => true,
            () = self.wait_for_hint(poll) => self.unusable_until.is_none(),
            () = sleep(longest) => false,
        }
    }

    fn safety_pause(&self) -> Duration {
        let safety = SAFETY_CLAIM_INTERVAL.max(self.daemon.settings.poll_interval.unwrap_or_default());
        pauses::with_jitter(safety, rand::random())
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
                // The call was not polled during the claim, so its connection may have ended.
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
    use crate::daemon::launch::Launch;
    use crate::daemon::lifecycle::{registration, take_over};
    use crate::daemon::setting_names::SettingSources;
    use crate::daemon::settings::Settings;
    use crate::daemon::state_folder::StateFolder;
    use axum::Router;
    use axum::http::{HeaderMap, StatusCode};
    use axum::routing::{get, post};
    use pullyard_protocol::client::RunnerClient;
    use serde_json::json;
    use std::path::Path;
    use tokio::net::TcpListener;
    use tokio::time::timeout;

    async fn register() -> String {
        let runner = format!("rnr_{}", "k".repeat(26));
        let answer = json!({ "runner": runner, "heartbeat_idle_secs": 30, "heartbeat_busy_secs": 10,
                             "offline_after_secs": 90, "poll_ms": 3_000, "mailbox": "new" });
        answer.to_string()
    }

    async fn wake(headers: HeaderMap) -> (StatusCode, String) {
        match headers["pullyard-mailbox"].to_str().unwrap() {
            "new" => (StatusCode::OK, format!("wake job_{} 1", "a".repeat(26))),
            "broken" => (StatusCode::INTERNAL_SERVER_ERROR, String::new()),
            _ => std::future::pending().await,
        }
    }

    async fn daemon(dir: &Path) -> DaemonContext {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let routes = Router::new().route("/v1/wake", get(wake)).route("/v1/runners", post(register));
        tokio::spawn(async move { axum::serve(listener, routes).await });
        let flags = [("api-url", url.as_str()), ("work-dir", dir.to_str().unwrap()), ("isolation", "none")];
        let flags = flags.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let sources = SettingSources { flags, file: Default::default(), environment: &|_| None, saved_api_url: None };
        let settings = Settings::parse(&sources).settings;
        let state_folder = StateFolder::lock(dir, "kite", &url).unwrap();
        DaemonContext {
            once: false,
            launch: Launch { run_job: Vec::new(), check: Vec::new(), update_limit: None },
            client: RunnerClient::new(&url, "token").unwrap(),
            request: registration(&settings, false, state_folder.instance.clone(), None),
            registration: serde_json::from_str(&register().await).unwrap(),
            jobs: take_over(&settings, &state_folder, Vec::new(), None).await.unwrap(),
            settings,
            state_folder,
        }
    }

    fn mailbox<'a>(daemon: &'a DaemonContext, address: &str) -> Mailbox<'a> {
        Mailbox { address: Some(address.to_owned()), ..Mailbox::new(daemon) }
    }

    /// With polls that are an hour apart.
    async fn wait(mailbox: &mut Mailbox<'_>) -> bool {
        timeout(Duration::from_secs(30), mailbox.wait(Duration::from_secs(3_600), false)).await.unwrap()
    }

    #[tokio::test]
    async fn claim_follows_while_the_mailbox_is_silent() {
        let dir = tempfile::tempdir().unwrap();
        let daemon = daemon(dir.path()).await;
        let mut mailbox = mailbox(&daemon, "silent");
        assert!((45..=75).contains(&mailbox.safety_pause().as_secs()));
        let pause = mailbox.wait(Duration::from_millis(10), true);
        assert!(!timeout(Duration::from_secs(30), pause).await.unwrap());
        assert!(mailbox.receive.is_some(), "the call outlives the claim");
        // After the longest wait of the route, another call takes its place.
        mailbox.address = Some("new".to_owned());
        mailbox.receive = Some((Instant::now().checked_sub(LONGEST_WAIT).unwrap(), std::future::pending().boxed()));
        assert!(wait(&mut mailbox).await);
    }

    #[tokio::test]
    async fn unusable_mailbox_is_registered_again_after_a_pause() {
        let dir = tempfile::tempdir().unwrap();
        let daemon = daemon(dir.path()).await;
        let mut mailbox = mailbox(&daemon, "broken");
        for _ in 0..2 {
            mailbox.wait_for_hint(Duration::ZERO).await;
            assert!(mailbox.unusable_until.is_some_and(|until| until > Instant::now()));
            assert_eq!(mailbox.address.as_deref(), Some("broken"));
        }
        mailbox.unusable_until = Some(Instant::now());
        assert!(wait(&mut mailbox).await);
        assert_eq!(mailbox.address.as_deref(), Some("new"));
    }

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
