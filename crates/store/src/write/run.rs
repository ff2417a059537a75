//! Writes runs with the jobs of their steps, and the templates and schedules that start them.

use crate::item::{Item, blob};
use crate::transaction::{Condition, Transaction};
use crate::{Error, Store, Write, key};
use pullyard_domain::job::Job;
use pullyard_domain::project::budget::Charge;
use pullyard_domain::project::schedule::Schedule;
use pullyard_domain::project::template::Template;
use pullyard_domain::run::notice::Notice;
use pullyard_domain::run::{FrozenPlan, Group, Run};

/// A move of a run with the jobs that change with it.
#[derive(Clone, Copy, Debug)]
pub struct RunWrite<'a> {
    pub run: &'a Run,
    /// Ended jobs that the run has noted.
    pub noted: &'a [Job],
    /// New jobs of its steps, whose contexts and classes are stored.
    pub created: &'a [Job],
    pub charge: Option<&'a Charge>,
    /// The notice of the move, if an endpoint subscribes to it.
    pub notice: Option<&'a Notice>,
    /// The run's group, if it changes.
    pub group: Option<&'a Group>,
}

impl Store {
    /// Writes: RUN and PLAN if absent; the GROUP in which the run waits if `rev` is the one seen.
    /// Idempotent: by the id of the run; a repeat is `Stale`, and reading again shows the run.
    pub async fn create_run(&self, run: &Run, frozen: &FrozenPlan, group: Option<&Group>) -> Result<Write, Error> {
        let plan = blob::pack(&key::plan(&run.id), frozen)?;
        let transaction = Transaction::new("create a run").revise(run)?.put_item(plan, Condition::absent());
        transaction.revise_some(group)?.commit(self).await
    }

    /// Writes: RUN if `rev` is the one seen.
    pub async fn update_run(&self, run: &Run) -> Result<Write, Error> {
        Transaction::new("change a run").revise(run)?.commit(self).await
    }

    /// Writes: RUN, GROUP and noted JOBs if `rev` is the one seen; new JOBs and NOTICE if absent; BUDGET if the day has
    /// enough left.
    /// All or nothing: a run has the jobs that it names, and a job's end counts once.
    /// Idempotent: through the domain; a repeat is `Stale`, and reading again shows the move.
    pub async fn move_run(&self, write: &RunWrite<'_>) -> Result<Write, Error> {
        let mut jobs = write.noted.iter().chain(write.created);
        let transaction = Transaction::new("move a run").revise(write.run)?;
        let transaction = jobs.try_fold(transaction, |transaction, job| transaction.revise(job))?;
        transaction.revise_some(write.group)?.charge(write.charge).revise_some(write.notice)?.commit(self).await
    }

    /// Writes: TEMPLATE if `rev` and `created` are those seen (absent if new).
    pub async fn put_template(&self, template: &Template) -> Result<Write, Error> {
        let condition = Condition::at_rev_since(template.rev, "created", template.created);
        Transaction::new("store a template").revise_over(template, condition)?.commit(self).await
    }

    /// Writes: TEMPLATE deleted if `rev` and `created` are those seen or it is gone.
    /// Idempotent: a missing template is no error.
    pub async fn delete_template(&self, template: &Template) -> Result<Write, Error> {
        let condition = Condition::at_rev_or_absent(template.rev, "created", template.created);
        Transaction::new("delete a template").delete(template.key(), condition).commit(self).await
    }

    /// Writes: SCHEDULE if `rev` and `created` are those seen (absent if new); NOTICE if absent.
    pub async fn put_schedule(&self, schedule: &Schedule, notice: Option<&Notice>) -> Result<Write, Error> {
        let condition = Condition::at_rev_since(schedule.rev, "created", schedule.created);
        let transaction = Transaction::new("store a schedule").revise_over(schedule, condition)?;
        transaction.revise_some(notice)?.commit(self).await
    }

    /// Writes: SCHEDULE deleted if `rev` and `created` are those seen or it is gone.
    /// Idempotent: a missing schedule is no error.
    pub async fn delete_schedule(&self, schedule: &Schedule) -> Result<Write, Error> {
        let condition = Condition::at_rev_or_absent(schedule.rev, "created", schedule.created);
        Transaction::new("delete a schedule").delete(schedule.key(), condition).commit(self).await
    }
}
