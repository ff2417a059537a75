//! Simulates a self-hosted runner: it registers, sends heartbeats, claims jobs, dies and restarts.

use crate::prelude::*;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Loop {
    Heartbeat,
    Claim,
}

#[derive(Debug)]
pub(crate) struct Daemon {
    pub(crate) name: String,
    pub(crate) token: String,
    pub(crate) alive: bool,
    pub(crate) silent_until: Timestamp,
    pub(crate) instance: String,
    pub(crate) slots: usize,
    id: Option<String>,
    draining: bool,
    heartbeat_due: Timestamp,
    claim_due: Timestamp,
    heartbeat_pending: bool,
    claim_pending: bool,
    claim: Option<String>,
    claims: u32,
    incarnations: u32,
}

pub(crate) struct ClaimedJob {
    pub(crate) job: String,
    pub(crate) attempt: u64,
    pub(crate) claim: String,
    pub(crate) bootstrap: String,
}

impl Daemon {
    pub(crate) fn new(name: &str, token: &str, slots: usize, now: Timestamp) -> Self {
        Self {
            name: name.to_owned(),
            token: token.to_owned(),
            alive: true,
            silent_until: now,
            instance: format!("{name}-0"),
            slots,
            id: None,
            draining: false,
            heartbeat_due: now,
            claim_due: now,
            heartbeat_pending: false,
            claim_pending: false,
            claim: None,
            claims: 0,
            incarnations: 0,
        }
    }

    /// The next call of this loop while the runner has these jobs; `None` if no call is due.
    pub(crate) fn next_call(&mut self, hand: Loop, jobs: &[String], now: Timestamp) -> Option<ApiCall> {
        if !self.alive || now < self.silent_until {
            return None;
        }
        match (hand, &self.id) {
            (Loop::Heartbeat, _) if self.heartbeat_pending || now < self.heartbeat_due => None,
            (Loop::Heartbeat, None) => {
                self.heartbeat_pending = true;
                let body = json!({
                    "name": self.name, "instance": self.instance, "capabilities": ["command"], "labels": [],
                    "version": "0.1.0", "slots": self.slots, "active": jobs,
                });
                Some(ApiCall::post("/v1/runners", &self.token, body))
            }
            (Loop::Heartbeat, Some(id)) => {
                self.heartbeat_pending = true;
                let body = json!({ "instance": self.instance, "active": jobs, "draining": self.draining });
                Some(ApiCall::post(format!("/v1/runners/{id}/heartbeat"), &self.token, body))
            }
            (Loop::Claim, Some(id)) if !self.claim_pending && now >= self.claim_due && !self.draining => {
                if jobs.len() >= self.slots {
                    return None;
                }
                self.claim_pending = true;
                let (claims, name, incarnation) = (&mut self.claims, &self.name, self.incarnations);
                let claim = self.claim.get_or_insert_with(|| {
                    *claims += 1;
                    format!("{name}-{incarnation}-claim-{claims}")
                });
                let body = json!({ "instance": self.instance, "claim_id": claim });
                Some(ApiCall::post(format!("/v1/runners/{id}/claim"), &self.token, body))
            }
            (Loop::Claim, _) => None,
        }
    }

    /// Handles an answer. `None`: no answer came.
    pub(crate) fn handle_answer(
        &mut self,
        hand: Loop,
        answer: Option<(u16, Value)>,
        now: Timestamp,
    ) -> Option<ClaimedJob> {
        let code = answer.as_ref().and_then(|(_, body)| body["code"].as_str()).unwrap_or_default().to_owned();
        let good = answer.filter(|(status, _)| *status == 200).map(|(_, body)| body);
        let after = |secs: u64| now.plus(Duration::from_secs(secs));
        match hand {
            Loop::Heartbeat => {
                self.heartbeat_pending = false;
                match good {
                    Some(body) if self.id.is_none() => {
                        self.id = body["runner"].as_str().map(str::to_owned);
                        self.heartbeat_due = now;
                    }
                    Some(body) => {
                        self.draining = body["drain"] == true;
                        self.heartbeat_due = after(body["next_secs"].as_u64().unwrap_or(30));
                    }
                    None if code == "runner_replaced" => self.die(),
                    None if code == "not_found" || code == "runner_deleting" => {
                        // The runner was removed and registers again.
                        self.id = None;
                        self.heartbeat_due = after(5);
                    }
                    None => self.heartbeat_due = after(5),
                }
                None
            }
            Loop::Claim => {
                self.claim_pending = false;
                self.claim_due = after(3);
                let body = good?;
                if body["spent"] == true {
                    self.claim = None;
                }
                let job = body["job"].as_object()?;
                self.claim_due = now;
                Some(ClaimedJob {
                    job: job["job"].as_str()?.to_owned(),
                    attempt: job["attempt"].as_u64()?,
                    claim: self.claim.take()?,
                    bootstrap: job["bootstrap"].as_str()?.to_owned(),
                })
            }
        }
    }

    pub(crate) fn die(&mut self) {
        self.alive = false;
    }

    pub(crate) fn restart(&mut self, same: bool, now: Timestamp) {
        self.alive = true;
        self.id = None;
        self.draining = false;
        self.heartbeat_due = now;
        self.claim_due = now;
        self.heartbeat_pending = false;
        self.claim_pending = false;
        self.silent_until = now;
        if !same {
            self.incarnations += 1;
            self.instance = format!("{}-{}", self.name, self.incarnations);
            self.claim = None;
        }
    }

    /// Identifies the process, so that answers to an earlier one are ignored.
    pub(crate) fn incarnation(&self) -> (u32, bool) {
        (self.incarnations, self.alive)
    }
}
