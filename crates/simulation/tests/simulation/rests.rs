//! Users pause and resume jobs, and answer the questions of agents.

use crate::plane::Ask;
use crate::setup;
use crate::world::World;
use pullyard_domain::job::{Job, JobStatus};
use pullyard_domain::time::Timestamp;
use serde_json::json;
use std::time::Duration;

/// How long after its limit a suspended job may end while no faults occur.
const LATE_BY: Duration = Duration::from_secs(300);

pub(crate) fn stands_still(job: &Job) -> bool {
    matches!(job.status, JobStatus::AwaitingInput | JobStatus::Paused)
}

fn order(job: &Job, what: &str) -> Ask {
    Ask::post(format!("/v1/jobs/{}/{what}", job.id), setup::ADMIN, json!({}))
}

pub(crate) fn says(job: &Job, key: String) -> Ask {
    let path = format!("/v1/jobs/{}/answer", job.id);
    Ask { key: Some(key), ..Ask::post(path, setup::ADMIN, json!({ "text": "In blue." })) }
}

pub(crate) fn pauses(job: &Job) -> Ask {
    order(job, "pause")
}

impl World {
    /// A user pauses or resumes a random open job, or sends it an input.
    pub(crate) async fn speak(&mut self) {
        let open = self.unrest();
        if open.is_empty() {
            return;
        }
        self.asked += 1;
        let job = &open[self.dice.below(open.len())];
        let weights = match job.status {
            JobStatus::AwaitingInput => [5, 10, 85],
            JobStatus::Paused => [5, 60, 35],
            _ => [50, 20, 30],
        };
        let ask = match self.dice.weighted(&weights) {
            Some(0) => pauses(job),
            Some(1) => order(job, "continue"),
            _ => says(job, format!("say-{}", self.asked)),
        };
        self.order(ask).await;
    }

    /// Answers some suspended jobs; the others receive no further input.
    pub(crate) fn answer_some(&mut self) {
        for job in self.unrest().iter().filter(|job| stands_still(job)) {
            if self.dice.percent(60) {
                self.orders.push(says(job, format!("say-last-{}", job.id)));
            }
        }
    }

    /// Jobs that are suspended beyond their limit, although no faults occurred since then.
    pub(crate) fn forgotten(&self, since: Timestamp) -> Vec<String> {
        let now = self.now();
        let late = |job: &Job| {
            let until = job.suspended_until()?;
            let until = job.not_before.map_or(until, |not_before| until.max(not_before)).max(since);
            (now.since(until) > LATE_BY).then(|| format!("{} stands still beyond its limit", job.id))
        };
        self.unrest().iter().filter_map(late).collect()
    }
}
