//! Everything outside the functions: users and their tools, the forge, queues, ECS, and the runners of jobs.

use super::{For, Late, World};
use crate::attempt::{Attempt, Begun, Home, Step};
use crate::cloud::cluster::State;
use crate::cloud::queue::Queue;
use crate::daemon::Hand;
use crate::mood::Mood;
use crate::plane::Ask;
use crate::{laws, setup};
use std::time::Duration;

impl World {
    pub(crate) async fn tell(&mut self) {
        let (number, ask) = self.tool.tell(setup::ADMIN, &mut self.dice);
        let invocation = self.plane.ask(&ask);
        let what = format!("tickets: {}", ask.body["event_id"].as_str().unwrap_or_default());
        self.start(invocation, For::Told(number), what).await;
    }

    pub(crate) fn review(&mut self) {
        let (now, Mood { twice, reviews_lost, .. }) = (self.now(), self.mood);
        let dice = &mut self.dice;
        let said = self.gate.cloud(|cloud| cloud.forge.review(now, twice.max(20), reviews_lost, dice));
        self.tally.add("reviews");
        self.trace.say(now, said);
    }

    pub(crate) fn turn(&mut self) {
        let (now, Mood { twice, reviews_lost, .. }) = (self.now(), self.mood);
        let dice = &mut self.dice;
        if let Some(said) = self.gate.cloud(|cloud| cloud.forge.turn(now, twice.max(20), reviews_lost, dice)) {
            self.tally.add("closed or reopened");
            self.trace.say(now, said);
        }
    }

    pub(crate) async fn deliver(&mut self) {
        let dice = &mut self.dice;
        let told = self.gate.cloud(|cloud| cloud.forge.tell(dice));
        let what = format!("webhook: {}", told.name);
        let invocation = self.plane.deliver(told);
        self.start(invocation, For::Forge, what).await;
    }

    pub(crate) async fn order(&mut self, ask: Ask) {
        self.may_come_late(&ask);
        let invocation = self.plane.ask(&ask);
        let what = format!("api: a person asks {}", ask.path);
        self.start(invocation, For::People(ask), what).await;
    }

    pub(crate) async fn come_late(&mut self, at: usize) {
        let Late { ask, .. } = self.late.remove(at);
        self.tally.add("came late");
        let invocation = self.plane.ask(&ask);
        self.start(invocation, For::Nobody, format!("api: once more {}", ask.path)).await;
    }

    /// Some requests are sent twice, and the repeat arrives during others.
    fn may_come_late(&mut self, ask: &Ask) {
        if !self.calm && self.dice.percent(self.mood.twice) {
            let at = self.now().plus(Duration::from_secs(self.dice.between(0, 60)));
            self.late.push(Late { at, ask: ask.clone() });
        }
    }

    pub(crate) async fn receive(&mut self, queue: Queue) {
        let now = self.now();
        let most = if self.dice.percent(80) { 1 } else { 3 };
        let mut messages = Vec::new();
        while messages.len() < most {
            let places = self.gate.cloud(|cloud| cloud.queues.receivable(queue, now));
            if places.is_empty() {
                break;
            }
            let at = places[self.dice.below(places.len())];
            messages.extend(self.gate.cloud(|cloud| cloud.queues.receive(at, now)));
        }
        if !messages.is_empty() {
            let ids = messages.iter().map(|message| message.id).collect();
            let what =
                format!("{queue:?} of {}", messages.iter().map(|it| it.body.as_str()).collect::<Vec<_>>().join(" "));
            let invocation = self.plane.batch(queue, &messages);
            self.start(invocation, For::Messages(ids), what).await;
        }
    }

    /// ECS reports a stopped task, sometimes twice or never.
    pub(crate) async fn event(&mut self) {
        let at = self.gate.cloud(|cloud| cloud.cluster.events.len());
        let at = self.dice.below(at);
        let keep = !self.calm && self.dice.percent(10);
        let lost = !self.calm && self.dice.percent(8);
        let event = self.gate.cloud(|cloud| match keep {
            true => cloud.cluster.events[at].clone(),
            false => cloud.cluster.events.remove(at),
        });
        if lost {
            return self.trace.say(self.now(), format!("a stop is never told: {}", event["detail"]["taskArn"]));
        }
        let what = format!("tasks: {} stopped", event["detail"]["taskArn"]);
        let invocation = self.plane.task_event(&event);
        self.start(invocation, For::Event(event), what).await;
    }

    /// Advances a task: its container starts, fails to start, or dies.
    pub(crate) fn task(&mut self, number: u32) {
        let now = self.now();
        let task = self.gate.cloud(|cloud| cloud.cluster.tasks[&number].clone());
        let dies = !self.calm && self.dice.percent(if task.state == State::Provisioning { 7 } else { 100 });
        let name = format!("task-{number}");
        match task.state {
            State::Provisioning if !dies => {
                self.trace.say(now, format!("{name} starts"));
                self.gate.cloud(|cloud| {
                    if let Some(task) = cloud.cluster.tasks.get_mut(&number) {
                        task.state = State::Running;
                    }
                });
                let begun = Begun {
                    home: Home::Task(number),
                    job: task.variable("PULLYARD_JOB"),
                    number: task.variable("PULLYARD_ATTEMPT").parse().unwrap(),
                    claim: format!("claim-{name}"),
                    instance: name.clone(),
                    bootstrap: task.variable("PULLYARD_BOOTSTRAP"),
                    task: self.dice.percent(85).then_some(task.arn),
                    fails: self.mood.fails,
                    asks: self.mood.asks,
                    name,
                };
                self.attempts.push(Attempt::new(begun, now, &mut self.dice));
            }
            State::Provisioning => self.stop_task(number, "TaskFailedToStart", "CannotPullContainerError", None),
            State::Stopping => self.stop_task(number, "UserInitiated", "its job was cancelled", Some(143)),
            State::Running if dies && self.dice.percent(30) => {
                self.stop_task(number, "SpotInterruption", "Your Spot Task was interrupted.", Some(143));
            }
            State::Running if dies => {
                self.stop_task(number, "EssentialContainerExited", "Essential container in task exited", Some(137));
            }
            _ => {}
        }
    }

    pub(crate) fn stop_task(&mut self, number: u32, code: &str, reason: &str, exit: Option<i64>) {
        self.trace.say(self.now(), format!("task-{number} stops: {code}"));
        self.gate.cloud(|cloud| cloud.cluster.stopped(number, code, reason, exit));
        self.attempts.retain(|attempt| attempt.home != Home::Task(number));
    }

    pub(crate) async fn act(&mut self, at: usize) {
        let now = self.now();
        if matches!(self.attempts[at].step, Step::Push(_)) {
            return self.push(at);
        }
        let attempt = &mut self.attempts[at];
        if let Some(ask) = attempt.ask(now) {
            attempt.asking = true;
            let (name, step) = (attempt.name.clone(), attempt.step);
            self.may_come_late(&ask);
            let invocation = self.plane.ask(&ask);
            self.start(invocation, For::Attempt(name.clone()), format!("api: {name} {step:?}")).await;
        }
    }

    fn push(&mut self, at: usize) {
        let now = self.now();
        let attempt = &mut self.attempts[at];
        let (job, claim) = (attempt.job.clone(), attempt.claim.clone());
        let dice = &mut self.dice;
        let pushed = self.gate.cloud(|cloud| attempt.push(now, &mut cloud.forge, dice));
        self.trace.say(now, format!("{} pushes: {pushed}", attempt.name));
        self.tally.add(if pushed { "pushed" } else { "not pushed" });
        if pushed && self.gate.cloud(|cloud| laws::held(&cloud.table.items, &job, &claim)).is_none() {
            self.broken.push(format!("{claim} pushed for {job}, which it does not hold"));
        }
    }

    /// Removes ended attempts and stops their tasks.
    pub(crate) fn tidy(&mut self) {
        while let Some(at) = self.attempts.iter().position(Attempt::is_over) {
            let attempt = self.attempts.remove(at);
            self.trace.say(self.now(), format!("{} is over", attempt.name));
            if let Home::Task(number) = attempt.home {
                self.stop_task(number, "EssentialContainerExited", "Essential container in task exited", Some(0));
            }
        }
    }

    /// Performs the next step of a runner's loop. Returns false if there is none.
    pub(crate) async fn hand(&mut self, at: usize, hand: Hand) -> bool {
        let now = self.now();
        let mine = self.attempts.iter().filter(|attempt| attempt.home == Home::Runner(at));
        let jobs: Vec<_> = mine.map(|attempt| attempt.job.clone()).collect();
        let daemon = &mut self.daemons[at];
        let Some(ask) = daemon.ask(hand, &jobs, now) else { return false };
        let (what, of) = (format!("api: {} {}", daemon.name, ask.path), daemon.incarnation());
        self.may_come_late(&ask);
        let invocation = self.plane.ask(&ask);
        self.start(invocation, For::Daemon(at, hand, of), what).await;
        true
    }
}
