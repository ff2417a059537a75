//! Simulates a self-hosted runner: it registers, sends heartbeats, claims jobs, dies and restarts.

use crate::plane::Ask;
use pullyard_domain::time::Timestamp;
use serde_json::{Value, json};
use std::time::Duration;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hand {
    /// Registers, then sends heartbeats.
    Beat,
    /// Claims jobs.
    Take,
}

#[derive(Debug)]
pub(crate) struct Daemon {
    pub(crate) name: String,
    pub(crate) token: String,
    pub(crate) alive: bool,
    /// No call before this time.
    pub(crate) silent_until: Timestamp,
    pub(crate) instance: String,
    pub(crate) slots: usize,
    id: Option<String>,
    draining: bool,
    beat_due: Timestamp,
    take_due: Timestamp,
    beating: bool,
    taking: bool,
    claim: Option<String>,
    claims: u32,
    incarnations: u32,
}

pub(crate) struct Given {
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
            beat_due: now,
            take_due: now,
            beating: false,
            taking: false,
            claim: None,
            claims: 0,
            incarnations: 0,
        }
    }

    /// The next call of this loop while the runner has these jobs; `None` if no call is due.
    pub(crate) fn ask(&mut self, hand: Hand, jobs: &[String], now: Timestamp) -> Option<Ask> {
        if !self.alive || now < self.silent_until {
            return None;
        }
        match (hand, &self.id) {
            (Hand::Beat, _) if self.beating || now < self.beat_due => None,
            (Hand::Beat, None) => {
                self.beating = true;
                let body = json!({
                    "name": self.name, "instance": self.instance, "capabilities": ["command"], "labels": [],
                    "version": "0.1.0", "slots": self.slots, "active": jobs,
                });
                Some(Ask::post("/v1/runners", &self.token, body))
            }
            (Hand::Beat, Some(id)) => {
                self.beating = true;
                let body = json!({ "instance": self.instance, "active": jobs, "draining": self.draining });
                Some(Ask::post(format!("/v1/runners/{id}/heartbeat"), &self.token, body))
            }
            (Hand::Take, Some(id)) if !self.taking && now >= self.take_due && !self.draining => {
                if jobs.len() >= self.slots {
                    return None;
                }
                self.taking = true;
                let (claims, name, incarnation) = (&mut self.claims, &self.name, self.incarnations);
                let claim = self.claim.get_or_insert_with(|| {
                    *claims += 1;
                    format!("{name}-{incarnation}-claim-{claims}")
                });
                let body = json!({ "instance": self.instance, "claim_id": claim });
                Some(Ask::post(format!("/v1/runners/{id}/claim"), &self.token, body))
            }
            (Hand::Take, _) => None,
        }
    }

    /// Handles an answer. `None`: no answer came.
    pub(crate) fn hear(&mut self, hand: Hand, answer: Option<(u16, Value)>, now: Timestamp) -> Option<Given> {
        let code = answer.as_ref().and_then(|(_, body)| body["code"].as_str()).unwrap_or_default().to_owned();
        let good = answer.filter(|(status, _)| *status == 200).map(|(_, body)| body);
        let after = |secs: u64| now.plus(Duration::from_secs(secs));
        match hand {
            Hand::Beat => {
                self.beating = false;
                match good {
                    Some(body) if self.id.is_none() => {
                        self.id = body["runner"].as_str().map(str::to_owned);
                        self.beat_due = now;
                    }
                    Some(body) => {
                        self.draining = body["drain"] == true;
                        self.beat_due = after(body["next_secs"].as_u64().unwrap_or(30));
                    }
                    None if code == "runner_replaced" => self.die(),
                    None if code == "not_found" || code == "runner_deleting" => {
                        // The runner was removed and registers again.
                        self.id = None;
                        self.beat_due = after(5);
                    }
                    None => self.beat_due = after(5),
                }
                None
            }
            Hand::Take => {
                self.taking = false;
                self.take_due = after(3);
                let body = good?;
                if body["spent"] == true {
                    self.claim = None;
                }
                let job = body["job"].as_object()?;
                self.take_due = now;
                Some(Given {
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

    /// Restarts: as the same process with its claim, or as a new one.
    pub(crate) fn come_back(&mut self, same: bool, now: Timestamp) {
        self.alive = true;
        self.id = None;
        self.draining = false;
        self.beat_due = now;
        self.take_due = now;
        self.beating = false;
        self.taking = false;
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
