use super::*;
use crate::fixtures::{self, active, finish, project_id, ready_job, time_at};
use crate::job::Job;
use crate::job::{End, JobStatus};
use crate::text::failure::Failure;

const DOLLAR: u64 = 1_000_000;

fn budget() -> Budget {
    Budget { jobs_per_day: Some(2), usd_micros_per_day: Some(10 * DOLLAR), usd_micros_per_job: 4 * DOLLAR }
}

fn today(jobs: u32, used_jobs: u64, spent: u64) -> DailyUsage {
    DailyUsage {
        jobs,
        taken_usd_micros: used_jobs,
        spent_usd_micros: spent,
        ..DailyUsage::zero(Day::containing(time_at(0)))
    }
}

#[track_caller]
fn check(budget: Budget, today: &DailyUsage, sentence: Option<&str>) {
    let reason = budget.refusal(&project_id(), today);
    assert_eq!(reason.map(|reason| reason.sentence()).as_deref(), sentence);
}

#[test]
fn daily_job_limit_refuses_the_next_job() {
    let by_jobs = Budget { usd_micros_per_day: None, ..budget() };
    check(by_jobs, &today(1, 90 * DOLLAR, 0), None);
    check(by_jobs, &today(2, 0, 0), Some("acme has used 2 of 2 jobs for today."));
    check(by_jobs, &today(3, 0, 0), Some("acme has used 3 of 2 jobs for today."));
    // The job limit is reported before the dollar limit.
    check(budget(), &today(2, 10 * DOLLAR, 0), Some("acme has used 2 of 2 jobs for today."));
    check(Budget { jobs_per_day: Some(1), ..by_jobs }, &today(1, 0, 0), Some("acme has used 1 of 1 job for today."));
}

#[test]
fn reserved_dollars_count_as_used() {
    let by_dollars = Budget { jobs_per_day: None, ..budget() };
    check(by_dollars, &today(9, 6 * DOLLAR, 0), None);
    let over = "acme has used $0.00 and reserved $6.00 of $10.00 for today.";
    check(by_dollars, &today(9, 6 * DOLLAR + 1, 0), Some(over));
    check(by_dollars, &today(9, 8 * DOLLAR, 8 * DOLLAR), Some("acme has used $8.00 of $10.00 for today."));
    check(
        by_dollars,
        &today(9, 8 * DOLLAR, 4 * DOLLAR),
        Some("acme has used $4.00 and reserved $4.00 of $10.00 for today."),
    );
}

#[test]
fn budget_without_limits_refuses_and_reserves_nothing() {
    check(Budget::default(), &today(u32::MAX, u64::MAX, 0), None);
    assert_eq!(Budget::default().reserve(time_at(0)), None);
    assert_eq!(ready_job().reserved, None);
}

#[test]
fn charge_condition_agrees_with_the_guard() {
    let job = job_with_reservation();
    let charge = budget().charge(&job).unwrap();
    for jobs in 0..4 {
        for used_jobs in [0, 5, 6, 7, 10].map(|dollars| dollars * DOLLAR).into_iter().chain([6 * DOLLAR + 1]) {
            let allowed = budget().refusal(&project_id(), &today(jobs, used_jobs, 0)).is_none();
            let proved = charge.jobs_below.is_none_or(|below| jobs < below)
                && charge.usd_micros_at_most.is_none_or(|most| used_jobs <= most);
            assert_eq!(allowed, proved, "{jobs} jobs, {used_jobs} taken");
            assert_eq!(allowed, budget().remaining_jobs(&today(jobs, used_jobs, 0)) > 0);
        }
    }
}

#[test]
fn room_is_the_smaller_of_both_limits() {
    let room = |jobs, dollars| budget().remaining_jobs(&today(jobs, dollars * DOLLAR, 0));
    assert_eq!((room(0, 0), room(1, 0), room(0, 3), room(0, 7), room(9, 90)), (2, 1, 1, 0, 0));
    assert_eq!(Budget::default().remaining_jobs(&today(9, 0, 0)), u32::MAX);
}

#[test]
fn budget_day_is_a_utc_day() {
    let midnight = Timestamp::parse("2026-11-20T00:00:00Z").unwrap();
    let day = Day::containing(midnight);
    assert_eq!((day.start(), day.to_string().as_str()), (midnight, "2026-11-20"));
    assert_eq!(Day::containing(fixtures::just_before(day.end())), day);
    assert_eq!(Day::containing(day.end()).start(), Timestamp::parse("2026-11-21T00:00:00Z").unwrap());
    assert_ne!(Day::containing(fixtures::just_before(midnight)), day);
    // The refusal names the time at which the budget is available again.
    let reason = budget().refusal(&project_id(), &DailyUsage { jobs: 2, ..DailyUsage::zero(day) });
    assert!(matches!(reason, Some(Reason::BudgetExhausted { time, .. }) if time == day.end()));
}

fn job_with_reservation() -> Job {
    Job { reserved: budget().reserve(time_at(0)), ..ready_job() }
}

#[track_caller]
fn check_returned(job: &Job, jobs: u32, spent: u64) {
    let returned = job.refund().unwrap();
    assert_eq!((returned.day, returned.reserved_usd_micros), (Day::containing(time_at(0)), 4 * DOLLAR));
    assert_eq!((returned.jobs, returned.spent_usd_micros), (jobs, spent));
}

#[test]
fn reservation_is_returned_when_the_job_ends() {
    let working = Job { reserved: job_with_reservation().reserved, ..active(JobStatus::Executing) };
    for job in [&job_with_reservation(), &working, &working.requeue(time_at(250)).unwrap()] {
        assert_eq!(job.refund(), None, "{:?}", job.status);
    }
    let failed = finish(&working, End::Failed(fixtures::no_changes_failure(), None));
    check_returned(&failed, 0, 0);
    check_returned(&failed.with_cost(3 * DOLLAR), 0, 3 * DOLLAR);
    // Spending above the reservation still counts.
    check_returned(&finish(&working, End::Cancelled).with_cost(9 * DOLLAR), 0, 9 * DOLLAR);
}

#[test]
fn job_without_agent_work_returns_its_daily_place() {
    let reason = "nobody is there".into();
    let given_up = job_with_reservation()
        .fail(Failure::NeverClaimed { limit: crate::text::Span(60), why: crate::text::Cause(reason) }, time_at(9))
        .unwrap();
    check_returned(&given_up, 1, 0);
    let preparing = Job { reserved: job_with_reservation().reserved, ..active(JobStatus::Preparing) };
    check_returned(&finish(&preparing, End::Failed(fixtures::crash_failure(), None)), 1, 0);
}

#[test]
fn limits_range_from_one_job_to_a_million_jobs_or_dollars() {
    let check = |budget: Budget, pointer: Option<&str>| {
        assert_eq!(budget.check().err().map(|fault| fault.pointer), pointer, "{budget:?}");
    };
    let (jobs, per_day, per_job) = ("/budget/jobs_per_day", "/budget/usd_micros_per_day", "/budget/usd_micros_per_job");
    check(budget(), None);
    check(Budget::default(), None);
    check(Budget { usd_micros_per_day: None, usd_micros_per_job: 0, ..budget() }, None);
    check(Budget { usd_micros_per_job: 0, ..budget() }, Some(per_job));
    check(Budget { jobs_per_day: Some(0), ..budget() }, Some(jobs));
    check(Budget { jobs_per_day: Some(1), ..budget() }, None);
    check(Budget { jobs_per_day: Some(1_000_000), ..budget() }, None);
    check(Budget { jobs_per_day: Some(1_000_001), ..budget() }, Some(jobs));
    check(Budget { usd_micros_per_day: Some(MAX_USD_MICROS), ..budget() }, None);
    check(Budget { usd_micros_per_day: Some(MAX_USD_MICROS + 1), ..budget() }, Some(per_day));
    check(Budget { usd_micros_per_day: Some(4 * DOLLAR), ..budget() }, None);
    check(Budget { usd_micros_per_day: Some(4 * DOLLAR - 1), ..budget() }, Some(per_day));
    check(Budget { usd_micros_per_day: None, usd_micros_per_job: MAX_USD_MICROS, ..budget() }, None);
    check(Budget { usd_micros_per_day: None, usd_micros_per_job: MAX_USD_MICROS + 1, ..budget() }, Some(per_job));
}

#[test]
fn attempt_costs_add_up_to_at_most_a_million_dollars() {
    let twice = ready_job().with_cost(3 * DOLLAR).with_cost(4 * DOLLAR);
    assert_eq!(twice.spent_usd_micros, 7 * DOLLAR);
    assert_eq!(twice.with_cost(u64::MAX).spent_usd_micros, MAX_USD_MICROS);
}

#[test]
fn amounts_are_rounded_to_the_cent() {
    for (micros, expected) in
        [(0, "$0.00"), (4_999, "$0.00"), (5_000, "$0.01"), (1_500_000, "$1.50"), (MAX_USD_MICROS, "$1000000.00")]
    {
        assert_eq!(format_usd(micros), expected);
    }
}

#[test]
fn dollars_are_parsed_and_formatted_to_the_millionth() {
    for (text, micros, formatted) in
        [("50", 50_000_000, "50.00"), ("2.50", 2_500_000, "2.50"), ("0.000001", 1, "0.000001"), ("0", 0, "0.00")]
    {
        assert_eq!(parse_usd_micros(text), Ok(micros), "{text}");
        assert_eq!(format_usd_exact(micros), formatted);
    }
    for text in ["", ".", "1.", ".5", "-1", "1e3", "$5", "0.0000001", "99999999999999", "1,5"] {
        assert!(parse_usd_micros(text).is_err(), "{text}");
    }
}
