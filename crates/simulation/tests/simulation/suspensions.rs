//! Users pause and resume jobs, and answer the questions of agents.

use crate::prelude::*;
use crate::world::World;

/// How long after its limit a suspended job may end while no faults occur.
const LATENESS_LIMIT: Duration = Duration::from_secs(300);

pub(crate) fn is_suspended(job: &Job) -> bool {
    matches!(job.status, JobStatus::AwaitingInput | JobStatus::Paused)
}

fn job_call(job: &Job, action: &str) -> ApiCall {
    ApiCall::post(format!("/v1/jobs/{}/{action}", job.id), setup::ADMIN, json!({}))
}

pub(crate) fn answer_call(job: &Job, key: String) -> ApiCall {
    let path = format!("/v1/jobs/{}/answer", job.id);
    ApiCall { key: Some(key), ..ApiCall::post(path, setup::ADMIN, json!({ "text": "In blue." })) }
}

pub(crate) fn pause_call(job: &Job) -> ApiCall {
    job_call(job, "pause")
}

impl World {
    pub(crate) async fn send_random_input(&mut self) {
        let open = self.open_jobs();
        if open.is_empty() {
            return;
        }
        self.user_request_count += 1;
        let job = &open[self.rng.below(open.len())];
        let weights = match job.status {
            JobStatus::AwaitingInput => [5, 10, 85],
            JobStatus::Paused => [5, 60, 35],
            _ => [50, 20, 30],
        };
        let ask = match self.rng.choose_weighted(&weights) {
            Some(0) => pause_call(job),
            Some(1) => job_call(job, "continue"),
            _ => answer_call(job, format!("say-{}", self.user_request_count)),
        };
        self.send_user_request(ask).await;
    }

    pub(crate) fn answer_some(&mut self) {
        for job in self.open_jobs().iter().filter(|job| is_suspended(job)) {
            if self.rng.percent(60) {
                self.user_requests.push(answer_call(job, format!("say-last-{}", job.id)));
            }
        }
    }

    /// Jobs that are suspended beyond their limit, although no faults occurred since then.
    pub(crate) fn overdue_suspensions(&self, since: Timestamp) -> Vec<String> {
        let now = self.now();
        let late = |job: &Job| {
            let until = job.suspended_until()?;
            let until = job.not_before.map_or(until, |not_before| until.max(not_before)).max(since);
            (now.since(until) > LATENESS_LIMIT).then(|| format!("{} stands still beyond its limit", job.id))
        };
        self.open_jobs().iter().filter_map(late).collect()
    }
}
