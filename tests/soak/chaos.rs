//! Random faults of processes and actions of users.

use super::hands::{Kind, RUNNERS, TODO, TRIGGER, World, stop};
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::{Pid, getpgid};
use pullyard_domain::job::JobStatus;
use pullyard_protocol::fleet::RunnerOrder;
use pullyard_testkit::Dice;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::sleep;

/// The actions; a repeated entry is chosen more often.
const DEEDS: &[&str] = &[
    "kill up",
    "kill up",
    "kill up",
    "stop up",
    "kill runner",
    "kill runner",
    "kill runner",
    "stop runner",
    "kill job",
    "kill job",
    "kill job",
    "kill job and agent",
    "stop job",
    "kill agent",
    "kill agent",
    "kill runner and jobs",
    "cancel",
    "cancel",
    "cancel",
    "retry",
    "retry",
    "retry",
    "move again",
    "move again",
    "tell twice",
    "tell twice",
    "drain and resume",
    "lose runner",
    "up is away",
];

/// Actions left out of a load test: those of users, and an outage longer than a job waits for the forge.
const NOT_UNDER_LOAD: [&str; 4] = ["cancel", "retry", "move again", "up is away"];

pub(super) struct Chaos<'a> {
    world: &'a World,
    dice: Dice,
    done: BTreeMap<&'static str, u32>,
    drained: Option<usize>,
}

impl<'a> Chaos<'a> {
    pub(super) fn new(world: &'a World, dice: Dice) -> Self {
        Self { world, dice, done: BTreeMap::new(), drained: None }
    }

    pub(super) async fn reign(&mut self) {
        loop {
            sleep(Duration::from_secs_f64(0.2 + 2.0 * self.dice.part())).await;
            let deed = DEEDS[self.dice.below(DEEDS.len())];
            if self.is_done_here(deed) && self.did(deed).await {
                *self.done.entry(deed).or_default() += 1;
            }
        }
    }

    fn is_done_here(&self, deed: &str) -> bool {
        self.world.kind == Kind::Life || !NOT_UNDER_LOAD.contains(&deed)
    }

    /// Pauses, then starts `up` again, which takes some seconds.
    async fn while_up_is_down(&mut self, most_secs: f64) {
        self.pause(if self.world.kind == Kind::Life { most_secs } else { 1.0 }).await;
        self.world.start_up().await;
    }

    /// Starts everything again and returns the number of executions of each action.
    pub(super) async fn end(self) -> BTreeMap<&'static str, u32> {
        self.world.start_up().await;
        for (at, name) in RUNNERS.iter().enumerate() {
            self.world.start_runner(at).await;
            if self.drained.is_some() {
                let resume = async || self.world.api.command_runner(name, RunnerOrder::Resume).await;
                let _ = self.world.asks("resume", resume).await;
            }
        }
        self.done
    }

    async fn pause(&mut self, most_secs: f64) {
        sleep(Duration::from_secs_f64(0.1 + most_secs * self.dice.part().powi(2))).await;
    }

    /// Executes a process action; returns whether it had a target.
    async fn did(&mut self, deed: &str) -> bool {
        let world = self.world;
        match deed {
            "kill up" => {
                if let Some(mut up) = world.up.lock().await.take() {
                    up.kill().await.unwrap();
                }
                self.while_up_is_down(12.0).await;
                true
            }
            // An outage of about the time after which a runner is Offline.
            "up is away" => {
                if let Some(mut up) = world.up.lock().await.take() {
                    up.kill().await.unwrap();
                }
                sleep(Duration::from_secs_f64(60.0 + 35.0 * self.dice.part())).await;
                world.start_up().await;
                true
            }
            // The runner stays down until a later action starts it.
            "lose runner" => {
                let at = self.dice.below(RUNNERS.len());
                if let Some(mut runner) = world.runners[at].lock().await.take() {
                    runner.kill().await.unwrap();
                }
                for pid in world.jobs_of(RUNNERS[at]) {
                    let _ = killpg(Pid::from_raw(pid), Signal::SIGKILL);
                }
                true
            }
            "stop up" => {
                stop(&world.up).await;
                self.while_up_is_down(5.0).await;
                true
            }
            "kill runner" | "kill runner and jobs" => {
                let at = self.dice.below(RUNNERS.len());
                if let Some(mut runner) = world.runners[at].lock().await.take() {
                    runner.kill().await.unwrap();
                }
                if deed == "kill runner and jobs" {
                    for pid in world.processes() {
                        let _ = killpg(Pid::from_raw(pid), Signal::SIGKILL);
                    }
                }
                self.pause(20.0).await;
                world.start_runner(at).await;
                true
            }
            "stop runner" => {
                let at = self.dice.below(RUNNERS.len());
                stop(&world.runners[at]).await;
                self.pause(5.0).await;
                world.start_runner(at).await;
                true
            }
            "kill job" | "stop job" | "kill job and agent" => {
                let Some(pid) = self.dice.one(&world.processes()).copied() else { return false };
                let signal = if deed == "stop job" { Signal::SIGTERM } else { Signal::SIGKILL };
                // Find the agents first: an orphan has lost its ancestors.
                let agents = if deed == "kill job and agent" { world.agents_of(pid) } else { Vec::new() };
                let _ = kill(Pid::from_raw(pid), signal);
                for agent in agents {
                    if let Ok(group) = getpgid(Some(Pid::from_raw(agent))) {
                        let _ = killpg(group, Signal::SIGKILL);
                    }
                }
                true
            }
            "kill agent" => {
                let Some(pid) = self.dice.one(&world.agents()).copied() else { return false };
                let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
                true
            }
            _ => self.asked(deed).await,
        }
    }

    async fn asked(&mut self, deed: &str) -> bool {
        let world = self.world;
        match deed {
            "cancel" => {
                let jobs = world.jobs().await.into_iter().filter(|job| !job.status.is_terminal());
                let Some(job) = self.dice.one(&jobs.collect::<Vec<_>>()).cloned() else { return false };
                let cancel = async || world.api.cancel_job(&job.id, &Default::default()).await;
                world.asks("cancel", cancel).await.is_ok()
            }
            "retry" => {
                let ended = |status| matches!(status, JobStatus::Failed | JobStatus::Cancelled);
                let jobs = world.jobs().await.into_iter().filter(|job| ended(job.status));
                let Some(job) = self.dice.one(&jobs.collect::<Vec<_>>()).cloned() else { return false };
                let key = format!("retry-{}-{}", job.id, self.dice.below(1_000_000));
                world.asks("retry", async || world.api.retry_job(&job.id, Some(&key)).await).await.is_ok()
            }
            "move again" => {
                let told = world.told.lock().unwrap().clone();
                let Some(event) = self.dice.one(&told) else { return false };
                let (project, key) = (event.project.to_string(), event.ticket.key.to_string());
                world.tell(&project, &key, TODO).await;
                self.pause(3.0).await;
                world.tell(&project, &key, TRIGGER).await;
                true
            }
            "tell twice" => {
                let told = world.told.lock().unwrap().clone();
                let Some(event) = self.dice.one(&told) else { return false };
                world.asks("tell twice", async || world.api.ticket_event(event).await).await.is_ok()
            }
            _ => {
                let at = self.dice.below(RUNNERS.len());
                let order = async |order| {
                    world.asks("order", async || world.api.command_runner(RUNNERS[at], order).await).await.is_ok()
                };
                self.drained = Some(at);
                let drained = order(RunnerOrder::Drain).await;
                self.pause(6.0).await;
                drained && order(RunnerOrder::Resume).await
            }
        }
    }
}
