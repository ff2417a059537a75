//! Charges a project's daily budget when a job is created, and refunds it when the job ends; raises a ticket's limits.
//! The update of a budget is arithmetic within limits that the domain computed, not over `rev`. Jobs of a project start and end at
//! any time and must not compete for a sum in which their order does not matter.

use crate::schema::EXPIRES;
use crate::transaction::{Condition, Transaction, number_value};
use crate::{Error, Store, Write, key};
use pullyard_domain::project::budget::{Charge, Refund};
use pullyard_domain::project::spending::Spending;
use std::time::Duration;

/// How long a day's item is stored: longer than a job may last.
const RETENTION: Duration = Duration::from_secs(40 * 24 * 3_600);

impl Store {
    /// Raises the limits of a ticket or pull request.
    /// Writes: SPENT if `rev` is the one seen (absent if new).
    /// Idempotent: by the id of the raise, through the domain; a repeat is `Stale`, and reading again shows the raise.
    pub async fn put_spending(&self, spending: &Spending) -> Result<Write, Error> {
        Transaction::new("raise a limit").revise(spending)?.commit(self).await
    }
}

impl Transaction {
    /// Adds the charge of a job, if it has one, to the transaction that creates it.
    /// Writes: BUDGET put if absent; otherwise one job and its dollars are added, if the stored sums allow it.
    pub(super) fn charge(self, charge: Option<&Charge>) -> Self {
        let Some(charge) = charge else { return self };
        let mut bounds = vec!["attribute_exists(pk)"];
        bounds.extend(charge.jobs_below.map(|_| "jobs < :below"));
        bounds.extend(charge.usd_micros_at_most.map(|_| "taken_usd_micros <= :most"));
        // Every limit is at least one job's charge, so the first job of a day always fits.
        let mut condition = Condition::new(&format!("attribute_not_exists(pk) OR ({})", bounds.join(" AND ")))
            .name("#day", "day")
            .name("#expires", EXPIRES)
            .value(":day", number_value(charge.day.start().millis()))
            .value(":expires", number_value(charge.day.end().plus(RETENTION).millis() / 1_000))
            .value(":usd", number_value(charge.usd_micros))
            .value(":zero", number_value(0))
            .value(":one", number_value(1));
        if let Some(below) = charge.jobs_below {
            condition = condition.value(":below", number_value(below));
        }
        if let Some(limit) = charge.usd_micros_at_most {
            condition = condition.value(":most", number_value(limit));
        }
        let sets = "#day = :day, #expires = :expires, jobs = if_not_exists(jobs, :zero) + :one, \
                    taken_usd_micros = if_not_exists(taken_usd_micros, :zero) + :usd, \
                    spent_usd_micros = if_not_exists(spent_usd_micros, :zero)";
        self.update(key::budget(&charge.project, charge.day), sets, "", condition)
    }

    /// Adds the refund, if any, to the transaction that ends a job; it is written once, because a job ends once.
    /// Writes: BUDGET if it exists: the reservation is subtracted, the spent amount is added.
    pub(super) fn refund(self, refund: Option<&Refund>) -> Self {
        let Some(refund) = refund else { return self };
        let condition = Condition::new("attribute_exists(pk)")
            .value(":jobs", number_value(refund.jobs))
            .value(":spent", number_value(refund.spent_usd_micros))
            // Negative if less was spent than reserved.
            .value(
                ":taken",
                number_value(i128::from(refund.spent_usd_micros) - i128::from(refund.reserved_usd_micros)),
            );
        let sets = "jobs = jobs - :jobs, taken_usd_micros = taken_usd_micros + :taken, \
                    spent_usd_micros = spent_usd_micros + :spent";
        self.update(key::budget(&refund.project, refund.day), sets, "", condition)
    }
}
