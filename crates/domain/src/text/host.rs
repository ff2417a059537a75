//! Decides how long a host rests after calls without an answer.

use crate::text::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;
use url::Url;

const FIRST_REST: Duration = Duration::from_secs(5);
const MAX_REST: Duration = Duration::from_secs(600);
/// The number of timeouts is forgotten after this time without another one.
const MEMORY: Duration = Duration::from_secs(24 * 3_600);
/// DNS allows 253 bytes. A longer host never resolves, and could exceed the length of a table key.
const MAX_HOST_BYTES: usize = 255;
/// The log of a process is cleared when it exceeds this number of hosts.
const MAX_HOSTS: usize = 1_000;

/// The rest of a host after timeouts. Calls that can be put off wait for its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostRest {
    /// As `host_of` returns it.
    pub host: String,
    /// Timeouts since the last answer. Concurrent timeouts count once.
    pub timeouts: u32,
    pub until: Timestamp,
    #[serde(default)]
    pub rev: u64,
}

impl HostRest {
    /// The rest after a timeout: 5 s, doubled each time, at most 10 min. `None`: a concurrent call has begun a rest.
    pub fn after_timeout(stored: Option<Self>, host: &str, now: Timestamp) -> Option<Self> {
        if stored.as_ref().is_some_and(|rest| rest.active_until(now).is_some()) {
            return None;
        }
        let rev = stored.as_ref().map_or(0, |rest| rest.rev);
        let before = stored.filter(|rest| rest.forgotten_at() > now).map_or(0, |rest| rest.timeouts);
        let rest = FIRST_REST.saturating_mul(1 << before.min(7)).min(MAX_REST);
        Some(Self { host: host.to_owned(), timeouts: before.saturating_add(1), until: now.plus(rest), rev })
    }

    /// The item after an answer, which ends the rest. `None`: it counts no timeout, so it stays as it is.
    pub fn after_answer(self, now: Timestamp) -> Option<Self> {
        (self.timeouts > 0).then(|| Self { timeouts: 0, until: self.until.min(now), ..self })
    }

    /// The end of the rest. `None`: the rest has ended.
    pub fn active_until(&self, now: Timestamp) -> Option<Timestamp> {
        Some(self.until).filter(|until| *until > now)
    }

    pub fn forgotten_at(&self) -> Timestamp {
        self.until.plus(MEMORY)
    }
}

/// The normalised host of a URL. It includes the port unless that is the default of the scheme.
/// `None`: the URL is malformed, has no host, or its host is longer than a DNS name.
pub fn host_of(url: &str) -> Option<String> {
    let url = Url::parse(url.trim()).ok()?;
    let host = url.host_str().filter(|host| !host.is_empty() && host.len() <= MAX_HOST_BYTES)?;
    Some(url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}")))
}

/// Numbers of exchanges of one process with a host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Exchanges {
    pub answers: u64,
    pub timeouts: u64,
}

/// The state of a host, as the exchanges of one message show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostSign {
    Hangs,
    Answers,
}

/// Which exchanges of a message decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignRule {
    /// An answer outweighs all timeouts: all projects call the host of a forge, many times for one message, and one slow
    /// request must not stop them.
    Forge,
    /// A timeout outweighs all answers: the next message would wait for it again.
    User,
}

impl Exchanges {
    /// `None`: there was no exchange, or no connection.
    pub fn sign_since(self, before: Self, rule: SignRule) -> Option<HostSign> {
        let answers = (self.answers > before.answers).then_some(HostSign::Answers);
        let hangs = (self.timeouts > before.timeouts).then_some(HostSign::Hangs);
        match rule {
            SignRule::Forge => answers.or(hangs),
            SignRule::User => hangs.or(answers),
        }
    }
}

/// Counts the exchanges of one process per host. Use cases map errors in many ways; the counts show each timeout.
#[derive(Debug, Default)]
pub struct ExchangeLog(BTreeMap<String, Exchanges>);

impl ExchangeLog {
    pub fn count(&self, host: &str) -> Exchanges {
        self.0.get(host).copied().unwrap_or_default()
    }

    pub fn add(&mut self, url: &str, is_timeout: bool) {
        let Some(host) = host_of(url) else { return };
        if self.0.len() >= MAX_HOSTS && !self.0.contains_key(&host) {
            self.0.clear();
        }
        let exchanges = self.0.entry(host).or_default();
        if is_timeout { exchanges.timeouts += 1 } else { exchanges.answers += 1 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time_at(secs: u64) -> Timestamp {
        Timestamp::from_millis(0).plus(Duration::from_secs(secs))
    }

    #[test]
    fn host_rests_twice_as_long_after_each_timeout() {
        let (mut rest, mut now, mut seen) = (None, time_at(0), Vec::new());
        for _ in 0..9 {
            let next = HostRest::after_timeout(rest, "h.test", now).unwrap();
            seen.push(next.until.since(now).as_secs());
            now = next.until;
            rest = Some(next);
        }
        assert_eq!(seen, [5, 10, 20, 40, 80, 160, 320, 600, 600]);
    }

    #[test]
    fn timeouts_of_concurrent_calls_begin_one_rest() {
        let first = HostRest::after_timeout(None, "h.test", time_at(10)).unwrap();
        assert_eq!(HostRest::after_timeout(Some(first), "h.test", time_at(12)), None);
    }

    #[test]
    fn answer_or_a_day_makes_the_next_rest_short() {
        let mut rest = HostRest::after_timeout(None, "h.test", time_at(0)).unwrap();
        rest = HostRest::after_timeout(Some(rest), "h.test", time_at(5)).unwrap();
        let answered = HostRest { rev: 7, ..rest.clone() }.after_answer(time_at(90)).unwrap();
        let next = HostRest::after_timeout(Some(answered.clone()), "h.test", time_at(100)).unwrap();
        assert_eq!((next.until, next.timeouts, next.rev), (time_at(105), 1, 7));
        assert_eq!(answered.after_answer(time_at(90)), None);
        let late = time_at(3 * 86_400);
        assert_eq!(HostRest::after_timeout(Some(rest), "h.test", late).unwrap().timeouts, 1);
    }

    #[test]
    fn answer_ends_a_rest() {
        let rest = HostRest::after_timeout(None, "h.test", time_at(10)).unwrap();
        assert_eq!(rest.active_until(time_at(12)), Some(time_at(15)));
        let answered = rest.clone().after_answer(time_at(12)).unwrap();
        assert_eq!((answered.active_until(time_at(12)), answered.timeouts), (None, 0));
        assert_eq!(rest.after_answer(time_at(99)).unwrap().until, time_at(15));
    }

    #[test]
    fn one_answer_outweighs_timeouts_only_for_forges() {
        let before = Exchanges { answers: 5, timeouts: 2 };
        let (answered, hung) = (Some(HostSign::Answers), Some(HostSign::Hangs));
        for (answers, timeouts, of_forge, of_user) in
            [(0, 0, None, None), (1, 0, answered, answered), (0, 1, hung, hung), (30, 1, answered, hung)]
        {
            let after = Exchanges { answers: 5 + answers, timeouts: 2 + timeouts };
            let signs = [SignRule::Forge, SignRule::User].map(|rule| after.sign_since(before, rule));
            assert_eq!(signs, [of_forge, of_user], "{answers} answers, {timeouts} timeouts");
        }
        // The log was emptied meanwhile.
        assert_eq!(Exchanges::default().sign_since(before, SignRule::User), None);
    }

    #[test]
    fn host_of_a_url_has_its_port() {
        for (url, host) in [
            ("https://Hooks.test/a?b", Some("hooks.test")),
            ("https://hooks.test:443", Some("hooks.test")),
            ("https://hooks.test:8443/x", Some("hooks.test:8443")),
            ("http://127.0.0.1:80/", Some("127.0.0.1")),
            ("http://[::1]:9/x", Some("[::1]:9")),
            ("https://user@hooks.test#x", Some("hooks.test")),
            ("https://user@safe.test\\@hooks.test/", Some("safe.test")),
            ("https://bücher.test/", Some("xn--bcher-kva.test")),
            ("http://127.1:9/", Some("127.0.0.1:9")),
            ("https://", None),
            ("hooks.test", None),
            ("mailto:hooks@hooks.test", None),
            (&format!("https://{}.test/", "a".repeat(300)), None),
        ] {
            assert_eq!(host_of(url).as_deref(), host, "{url}");
        }
    }

    #[test]
    fn exchange_log_is_bounded() {
        let mut log = ExchangeLog::default();
        for n in 0..5_000 {
            log.add(&format!("https://h{n}.test/"), n % 2 == 0);
        }
        assert!(log.0.len() <= MAX_HOSTS);
        assert_eq!(log.count("h4999.test"), Exchanges { answers: 1, timeouts: 0 });
    }
}
