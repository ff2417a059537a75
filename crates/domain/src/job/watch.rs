//! How open pages receive changes, and how often a runner sends events: soon while a user watches, else in large batches
//! at under a tenth of the cost.

use super::Job;
use crate::time::Timestamp;
use std::time::Duration;

/// How long one request counts as watching.
const WATCH_DURATION: Duration = Duration::from_secs(30);
/// A watch is stored again only this close to its end: at most one write in 20 s for all users.
const RENEW_WITHIN: Duration = Duration::from_secs(10);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LiveUpdates {
    /// Pages repeat short requests, because Lambda bills the time of a held one.
    #[default]
    Poll,
    /// The server holds a request until something changes. For one process on one machine, where that is free.
    LongPoll,
}

impl LiveUpdates {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Poll => "poll",
            Self::LongPoll => "longpoll",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        [Self::Poll, Self::LongPoll].into_iter().find(|mode| mode.as_str() == text)
    }

    fn watched_interval(self) -> Duration {
        match self {
            Self::Poll => Duration::from_millis(500),
            Self::LongPoll => Duration::from_millis(200),
        }
    }

    /// On one machine a batch costs no money, and the first line after a page opens may wait as long.
    fn unwatched_interval(self) -> Duration {
        match self {
            Self::Poll => Duration::from_secs(10),
            Self::LongPoll => Duration::from_millis(800),
        }
    }
}

impl Job {
    /// The end of the watch to store. `None`: the stored one suffices, or the job has ended.
    pub fn renew_watch(&self, now: Timestamp) -> Option<Timestamp> {
        let is_watched = self.watched_until.is_some_and(|until| until > now.plus(RENEW_WITHIN));
        (!is_watched && !self.status.is_terminal()).then(|| now.plus(WATCH_DURATION))
    }

    pub fn is_watched(&self, now: Timestamp) -> bool {
        self.watched_until.is_some_and(|until| until > now)
    }

    pub fn send_interval(&self, now: Timestamp, updates: LiveUpdates) -> Duration {
        if self.is_watched(now) { updates.watched_interval() } else { updates.unwatched_interval() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures;
    use crate::job::JobStatus;

    fn executing_job() -> Job {
        Job { status: JobStatus::Executing, ..fixtures::job_and_ticket().0 }
    }

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_millis(secs * 1_000)
    }

    #[test]
    fn watch_is_stored_once_and_renewed_near_its_end() {
        let job = executing_job();
        assert_eq!(job.renew_watch(at(100)), Some(at(130)));
        let job = Job { watched_until: Some(at(130)), ..job };
        assert_eq!(job.renew_watch(at(119)), None);
        assert_eq!(job.renew_watch(at(120)), Some(at(150)));
        assert_eq!(Job { status: JobStatus::Completed, ..job }.renew_watch(at(500)), None);
    }

    #[test]
    fn events_are_sent_faster_while_the_job_is_watched() {
        let job = Job { watched_until: Some(at(130)), ..executing_job() };
        for (updates, watched, unwatched) in [(LiveUpdates::Poll, 500, 10_000), (LiveUpdates::LongPoll, 200, 800)] {
            let interval = |secs| (job.is_watched(at(secs)), job.send_interval(at(secs), updates).as_millis());
            assert_eq!((interval(129), interval(130)), ((true, watched), (false, unwatched)));
            assert_eq!(LiveUpdates::parse(updates.as_str()), Some(updates));
        }
    }
}
