use super::*;
use crate::fixtures::{
    active, crash_failure, fence, finish, job_id, key, linked_pull_request, project_id, ready_job, time_at,
};
use crate::job::{AgentWrites, End, Job, JobStatus, RevisedPullRequest, TransitionRefusal};
use crate::text::failure::Failure;
use std::time::Duration;

const DOLLAR: u64 = 1_000_000;

fn limits(dollars: u64, jobs: u32) -> SpendingLimits {
    SpendingLimits { usd_micros: Some(dollars * DOLLAR), jobs: Some(jobs), usd_micros_per_job: 5 * DOLLAR }
}

fn empty() -> Spending {
    Spending::new(project_id(), SpentOn::Ticket(key()))
}

fn taken(dollars: u64) -> Spending {
    Spending { taken_usd_micros: dollars * DOLLAR, spent_usd_micros: dollars * DOLLAR, ..empty() }
}

fn raise(id: &str, dollars: u64) -> Raise {
    let (at, until) = (time_at(0), time_at(0).plus(DEFAULT_RAISE_TIME));
    Raise { id: id.into(), by: "ann".into(), at, usd_micros: dollars * DOLLAR, jobs: 0, until }
}

#[track_caller]
fn check_reserved(taken_dollars: u64, writes: AgentWrites, expected: Option<u64>) {
    let reserved = taken(taken_dollars).reserve(&limits(50, 20), writes, time_at(0));
    assert_eq!(reserved.map(|(_, charge)| charge.usd_micros.unwrap() / DOLLAR), expected, "{taken_dollars} {writes:?}");
}

#[test]
fn change_reserves_all_but_one_reservation() {
    for (taken, expected) in [(0, Some(45)), (40, Some(5)), (41, Some(9)), (49, Some(1)), (50, None), (70, None)] {
        check_reserved(taken, AgentWrites::Tree, expected);
    }
    for (taken, expected) in [(0, Some(25)), (30, Some(10)), (40, Some(5)), (45, Some(5)), (48, Some(2)), (50, None)] {
        check_reserved(taken, AgentWrites::OutputFile, expected);
    }
    let without_unit = SpendingLimits { usd_micros_per_job: 0, ..limits(50, 20) };
    let (_, charge) = empty().reserve(&without_unit, AgentWrites::OutputFile, time_at(0)).unwrap();
    assert_eq!(charge.usd_micros, Some(50 * DOLLAR));
    let without_money = SpendingLimits { usd_micros: None, ..limits(50, 20) };
    let (next, charge) = empty().reserve(&without_money, AgentWrites::Tree, time_at(0)).unwrap();
    assert_eq!((charge.usd_micros, next.jobs, next.taken_usd_micros), (None, 1, 0));
}

#[track_caller]
fn check_attempt_part(dollars: u64, writes: AgentWrites, expected: (u64, u64)) {
    let (_, charge) = empty().reserve(&limits(dollars, 20), writes, time_at(0)).unwrap();
    let part = charge.attempt_usd_micros.unwrap();
    assert_eq!((charge.usd_micros.unwrap() / DOLLAR, part / DOLLAR), expected, "{dollars} {writes:?}");
}

#[test]
fn attempt_may_use_half_of_the_reservation() {
    check_attempt_part(55, AgentWrites::Tree, (50, 25));
    check_attempt_part(12, AgentWrites::Tree, (7, 5));
    check_attempt_part(3, AgentWrites::Tree, (3, 3));
    check_attempt_part(40, AgentWrites::OutputFile, (20, 10));
    check_attempt_part(12, AgentWrites::OutputFile, (6, 5));
}

/// A review that its reservation stopped gets more after the raise that its failure advises.
#[test]
fn review_may_use_more_after_a_raise() {
    let limit = |spending: &Spending| {
        let (_, charge) = spending.reserve(&limits(50, 20), AgentWrites::OutputFile, time_at(0)).unwrap();
        Job { charged: Some(charge), ..ready_job() }.attempt_cost_limit().unwrap()
    };
    // The first review had the last $5 and used them.
    assert_eq!(limit(&taken(45)), 5 * DOLLAR);
    let RaiseResult::Raised(raised) = taken(50).raise(raise("a", 20), &limits(50, 20), RaiseRight::Jobs).unwrap()
    else {
        panic!("a new raise")
    };
    let (_, charge) = raised.reserve(&limits(50, 20), AgentWrites::OutputFile, time_at(0)).unwrap();
    assert_eq!(charge.usd_micros, Some(10 * DOLLAR));
}

/// Reservations of jobs at once, then their costs: the sum is never above the limit while jobs start.
#[test]
fn job_without_a_charge_keeps_the_limit_of_its_attempts() {
    let mut job = ready_job();
    (job.charged, job.policy.cost_usd_micros) = (None, Some(DOLLAR));
    assert_eq!(job.attempt_cost_limit(), Some(DOLLAR));
}

#[test]
fn reservations_never_exceed_the_limit() {
    let limits = limits(50, 20);
    for writes in [[AgentWrites::Tree, AgentWrites::OutputFile], [AgentWrites::OutputFile, AgentWrites::Tree]] {
        let mut spending = empty();
        for round in 0..40 {
            let Some((next, charge)) = spending.reserve(&limits, writes[round % 2], time_at(0)) else { break };
            assert_eq!(next.taken_usd_micros, spending.taken_usd_micros + charge.usd_micros.unwrap());
            assert!(next.taken_usd_micros <= 50 * DOLLAR && next.jobs <= 20);
            spending = next;
        }
        assert!(spending.fact(&limits, None, time_at(0)).refusal().is_some());
    }
}

#[track_caller]
fn check_refusal(spending: &Spending, expected: Option<(&str, &str)>) {
    let reason = spending.fact(&limits(50, 20), Some("acme/app#7"), time_at(0)).refusal();
    assert_eq!(reason.map(|reason| (reason.sentence(), reason.help())), expected.map(|(a, b)| (a.into(), b.into())));
}

#[test]
fn refusal_names_use_limit_and_raise() {
    check_refusal(&empty(), None);
    check_refusal(
        &Spending { jobs: 9, ..taken(50) },
        Some((
            "APP-17 has used $50.00 of $50.00 in 9 jobs.",
            "Raise the limit: `pullyard tickets raise APP-17 --usd 20`.",
        )),
    );
    check_refusal(
        &Spending { jobs: 20, ..taken(50) },
        Some((
            "APP-17 has used $50.00 of $50.00 and 20 of 20 jobs.",
            "Raise the limit: `pullyard tickets raise APP-17 --usd 20 --jobs 5`.",
        )),
    );
    // The rest of half a cent counts as nothing.
    let cents = Spending { taken_usd_micros: 50 * DOLLAR - 9_999, spent_usd_micros: 20 * DOLLAR, jobs: 1, ..empty() };
    check_refusal(
        &cents,
        Some((
            "APP-17 has used $20.00 and reserved $29.99 of $50.00 in 1 job.",
            "Raise the limit: `pullyard tickets raise APP-17 --usd 20`, or start it again when its running jobs have ended.",
        )),
    );
    // The end of the running job returns less than a job needs.
    let rest = Spending { taken_usd_micros: 50 * DOLLAR, spent_usd_micros: 50 * DOLLAR - 9_999, jobs: 2, ..empty() };
    check_refusal(
        &rest,
        Some((
            "APP-17 has used $49.99 and reserved $0.01 of $50.00 in 2 jobs.",
            "Raise the limit: `pullyard tickets raise APP-17 --usd 20`.",
        )),
    );
    check_refusal(
        &Spending { jobs: 20, of: SpentOn::PullRequest(linked_pull_request().id), ..empty() },
        Some(("acme/app#7 has used 20 of 20 jobs.", "Raise the limit: `pullyard pulls raise acme/app#7 --jobs 5`.")),
    );
}

#[test]
fn use_is_described_with_its_limits() {
    let used = Spending { jobs: 6, attempts: 8, taken_usd_micros: 41_200_000, spent_usd_micros: 41_200_000, ..empty() };
    assert_eq!(used.describe(&limits(50, 20)), "$41.20 of $50.00, 6 of 20 jobs, 8 attempts");
    let running = Spending { taken_usd_micros: 50_000_000, ..used };
    let unlimited = SpendingLimits { usd_micros: None, jobs: None, ..limits(50, 20) };
    assert_eq!(running.describe(&unlimited), "$41.20 and $8.80 reserved, 6 jobs, 8 attempts");
}

#[test]
fn limit_is_at_least_the_reservation_of_a_job() {
    let mut settings = Settings::default();
    assert_eq!(SpendingLimits::from(&settings), limits(50, 20));
    settings.budget.usd_micros_per_job = 60 * DOLLAR;
    assert_eq!(SpendingLimits::from(&settings).usd_micros, Some(60 * DOLLAR));
    (settings.limits.ticket_usd_micros, settings.limits.ticket_jobs) = (None, None);
    assert!(!SpendingLimits::from(&settings).has_limit());
}

#[track_caller]
fn check_settled(worked: bool, spent: u64, expected: (u32, u32, u64, u64)) {
    let (running, charge) = empty().reserve(&limits(50, 20), AgentWrites::Tree, time_at(0)).unwrap();
    let ended = Job { status: JobStatus::Failed, worked, attempt: 2, charged: Some(charge), ..ready_job() };
    let ended = ended.with_cost(spent * DOLLAR);
    let next = running.settle(&ended, ended.ended_charge().unwrap());
    let dollars = (next.taken_usd_micros / DOLLAR, next.spent_usd_micros / DOLLAR);
    assert_eq!((next.jobs, next.attempts, dollars.0, dollars.1), expected);
}

#[test]
fn end_replaces_the_reservation_by_the_cost() {
    check_settled(true, 12, (1, 2, 12, 12));
    // A job may exceed its reservation by its last request.
    check_settled(true, 70, (1, 2, 70, 70));
    check_settled(false, 0, (0, 2, 0, 0));
    let running = Job { charged: Some(charge(None)), ..ready_job() };
    assert_eq!(running.ended_charge(), None);
}

fn charge(usd_micros: Option<u64>) -> JobCharge {
    JobCharge { of: SpentOn::Ticket(key()), usd_micros, attempt_usd_micros: None, lost_usd_micros: 0 }
}

/// The running job of a ticket with $50, whose attempts may use `limit` or their part of $45.
fn running_job(status: JobStatus, limit: Option<u64>) -> Job {
    let (_, charge) = empty().reserve(&limits(50, 20), AgentWrites::Tree, time_at(0)).unwrap();
    let mut job = Job { charged: Some(charge), worked: true, ..active(status) };
    job.policy.cost_usd_micros = limit.map(|dollars| dollars * DOLLAR);
    job
}

fn lost(job: &Job) -> u64 {
    job.charged.as_ref().unwrap().lost_usd_micros
}

#[test]
fn stopped_attempt_counts_with_its_reported_cost() {
    let job = running_job(JobStatus::Executing, None);
    let fence = fence(&job, 1, "c1");
    let stopped = job.record_stop_cost(&fence, DOLLAR).unwrap();
    assert_eq!(stopped.record_stop_cost(&fence, DOLLAR), Err(TransitionRefusal::AlreadyDone));
    let next = stopped.requeue(time_at(400)).unwrap();
    assert_eq!((next.spent_usd_micros, lost(&next)), (DOLLAR, 0));
    assert_eq!(next.attempt_cost_limit(), job.attempt_cost_limit(), "the reservation pays for another whole attempt");
    // A finish has a later sum.
    assert_eq!(finish(&stopped, End::Failed(crash_failure(), None)).spent_usd_micros, 0);
}

#[test]
fn lost_attempt_counts_with_its_limit() {
    let lose = |status, limit| lost(&running_job(status, limit).requeue(time_at(400)).unwrap());
    assert_eq!(lose(JobStatus::Executing, None), 22_500_000);
    assert_eq!(lose(JobStatus::Executing, Some(5)), 5 * DOLLAR);
    assert_eq!(lose(JobStatus::Syncing, Some(5)), 5 * DOLLAR);
    assert_eq!(lose(JobStatus::Preparing, None), 0, "no agent has worked");
    let job = running_job(JobStatus::Executing, Some(5));
    let crashed = job.fail(crash_failure(), time_at(400)).unwrap();
    assert_eq!(lost(&crashed), 5 * DOLLAR);
    assert_eq!(lost(&finish(&job, End::Failed(crash_failure(), None))), 0, "its runner reports the cost");
    let without_money = Job { charged: Some(charge(None)), ..job.clone() };
    assert_eq!(lost(&without_money.requeue(time_at(400)).unwrap()), 0);
    // The ticket counts both, and the runner's report of another attempt.
    let (reserved, _) = empty().reserve(&limits(50, 20), AgentWrites::Tree, time_at(0)).unwrap();
    let ended = crashed.with_cost(3 * DOLLAR);
    let next = reserved.settle(&ended, ended.ended_charge().unwrap());
    assert_eq!((next.taken_usd_micros, next.spent_usd_micros), (8 * DOLLAR, 8 * DOLLAR));
}

proptest::proptest! {
    /// Each attempt uses all that it may; some are lost. The jobs of a ticket never use more than its limit.
    #[test]
    fn lost_attempts_never_exceed_the_limit(
        attempts in proptest::collection::vec((proptest::bool::ANY, proptest::bool::ANY, 0_u64..30), 1..60),
        limit in proptest::option::of(1_u64..30),
    ) {
        let (limits, mut spending, mut job, mut used) = (limits(50, 100), empty(), None::<Job>, 0);
        for (is_lost, is_last, cost) in attempts {
            let running = match job.take() {
                Some(job) => job,
                None => {
                    let Some((next, charge)) = spending.reserve(&limits, AgentWrites::Tree, time_at(0)) else { break };
                    spending = next;
                    Job { charged: Some(charge), ..running_job(JobStatus::Executing, limit) }
                }
            };
            let may_use = running.attempt_cost_limit().unwrap();
            let cost = if is_lost { may_use } else { may_use.min(cost * DOLLAR) };
            used += cost;
            let next = match (is_lost, is_last) {
                (true, true) => running.fail(crash_failure(), time_at(400)).unwrap(),
                (true, false) => running.requeue(time_at(400)).unwrap(),
                (false, true) => finish(&running, End::Failed(crash_failure(), None)).with_cost(cost),
                (false, false) => running.with_cost(cost),
            };
            if is_last {
                spending = spending.settle(&next, next.ended_charge().unwrap());
            } else {
                let (status, run) = (JobStatus::Executing, active(JobStatus::Executing).run);
                job = Some(Job { status, run, ..next });
            }
            proptest::prop_assert!(used <= 50 * DOLLAR, "{used}");
            proptest::prop_assert!(job.is_some() || spending.spent_usd_micros >= used);
        }
    }
}

fn stop_at_limit(job: &Job, pull_request: Option<&str>) -> Failure {
    let cost = Failure::CostLimit { spent: "$4.00".into(), limit: "$4.00".into() };
    match job.name_limit_of(End::Failed(cost, None), pull_request) {
        End::Failed(failure, _) => failure,
        end => panic!("{end:?}"),
    }
}

/// `limits.cost_usd` lets an attempt use more than its part, but not more than the rest.
#[test]
fn stopped_attempt_names_the_limit_that_a_user_can_raise() {
    let mut job = running_job(JobStatus::Executing, None);
    assert_eq!(stop_at_limit(&job, None).code(), "cost_limit");
    job.spent_usd_micros = 22_500_000;
    assert_eq!(stop_at_limit(&job, None).code(), "ticket_limit");
    job.policy.cost_usd_micros = Some(40 * DOLLAR);
    assert_eq!(job.attempt_cost_limit(), Some(22_500_000));
    job.spent_usd_micros = 0;
    assert_eq!((job.attempt_cost_limit(), stop_at_limit(&job, None).code()), (Some(40 * DOLLAR), "cost_limit"));
    let of = SpentOn::PullRequest(linked_pull_request().id);
    let review = Job { charged: Some(JobCharge { of, ..charge(Some(5 * DOLLAR)) }), ..ready_job() };
    let help = |name: Option<&str>| stop_at_limit(&review, name).help();
    let name = "a-company/the-service-with-a-long-name#1234";
    let expected = format!("Raise the limit: `pullyard pulls raise {name} --usd 20`; then `pullyard jobs retry`.");
    assert_eq!(help(Some(name)), expected);
    assert!(help(None).contains("pulls raise PR"), "{}", help(None));
}

#[test]
fn attempt_has_the_rest_of_the_reservation() {
    let job = |limit: Option<u64>, reserved: Option<u64>, spent: u64| {
        let mut job = Job { charged: Some(charge(reserved)), ..ready_job() };
        (job.policy.cost_usd_micros, job.spent_usd_micros) = (limit, spent);
        job
    };
    let spent_all = |job: &Job| stop_at_limit(job, None);
    for (limit, reserved, spent, expected, code) in [
        (None, None, 3, None, "cost_limit"),
        (Some(5), None, 3, Some(5), "cost_limit"),
        (None, Some(10), 3, Some(7), "ticket_limit"),
        (Some(5), Some(10), 3, Some(5), "cost_limit"),
        (Some(5), Some(10), 5, Some(5), "cost_limit"),
        (Some(5), Some(10), 6, Some(4), "ticket_limit"),
        (Some(5), Some(10), 12, Some(0), "ticket_limit"),
    ] {
        let job = job(limit, reserved, spent);
        assert_eq!(
            (job.attempt_cost_limit(), spent_all(&job).code()),
            (expected, code),
            "{limit:?} {reserved:?} {spent}"
        );
    }
    let failure = spent_all(&job(None, Some(45 * DOLLAR), 0));
    assert_eq!(failure.sentence(), "The job spent $4.00 of $45.00, which was the rest of the limit of APP-17.");
    assert_eq!(
        failure.help(),
        "Raise the limit: `pullyard tickets raise APP-17 --usd 20`; then `pullyard jobs retry`."
    );
    // Earlier attempts left no money, and the failed one spent none.
    let failure = spent_all(&job(None, Some(45 * DOLLAR), 45 * DOLLAR));
    assert_eq!(failure.sentence(), "The job spent $45.00 of $45.00, which was the rest of the limit of APP-17.");
}

#[test]
fn job_counts_for_its_ticket_or_pull_request() {
    let id = linked_pull_request().id;
    let plain = Job { ticket: None, ..ready_job() };
    let revises = |job: Job| {
        let (branch, head) = ("b".to_owned(), "c".to_owned());
        Job { revises: Some(RevisedPullRequest { number: id.number, branch, head, review: None }), ..job }
    };
    let ticket = Some(SpentOn::Ticket(key()));
    assert_eq!(Job { ticket: Some(key()), ..plain.clone() }.spent_on(None), ticket);
    assert_eq!(plain.spent_on(None), None);
    assert_eq!(plain.spent_on(Some(&key())), None);
    assert_eq!(revises(plain.clone()).spent_on(Some(&key())), ticket);
    let review = revises(plain.clone());
    assert_eq!(review.spent_on(None), review.pull_request().map(SpentOn::PullRequest));
}

#[test]
fn raise_adds_to_the_limit_until_its_end() {
    let spent = taken(50);
    let RaiseResult::Raised(raised) = spent.raise(raise("a", 20), &limits(50, 20), RaiseRight::Jobs).unwrap() else {
        panic!("a new raise")
    };
    let end = raised.raises[0].until;
    assert_eq!(raised.limits_in_force(&limits(50, 20), time_at(0)), limits(70, 20));
    assert_eq!(raised.raises[0].describe_limit(&limits(70, 20)), "$70.00");
    assert_eq!(Raise { jobs: 5, ..raise("a", 20) }.describe_limit(&limits(70, 25)), "$70.00 and 25 jobs");
    assert_eq!(raised.limits_in_force(&limits(50, 20), end), limits(50, 20));
    assert!(raised.reserve(&limits(50, 20), AgentWrites::Tree, time_at(0)).is_some());
    assert_eq!(raised.reserve(&limits(50, 20), AgentWrites::Tree, end), None);
    // A redelivered comment, or a repeated request, later.
    let later = |raise: Raise| Raise { at: time_at(60_000), until: time_at(60_000).plus(DEFAULT_RAISE_TIME), ..raise };
    let repeat = |raise: Raise| raised.raise(later(raise), &limits(50, 20), RaiseRight::Jobs);
    assert_eq!(repeat(raise("a", 20)), Ok(RaiseResult::Repeat));
    assert_eq!(repeat(raise("a", 10)), Ok(RaiseResult::KeyReused));
    assert_eq!(repeat(Raise { jobs: 1, ..raise("a", 20) }), Ok(RaiseResult::KeyReused));
    let longer = Raise { until: later(raise("a", 20)).until.plus(Duration::from_secs(1)), ..later(raise("a", 20)) };
    assert_eq!(raised.raise(longer, &limits(50, 20), RaiseRight::Jobs), Ok(RaiseResult::KeyReused));
}

#[track_caller]
fn check_fault(raise: Raise, right: RaiseRight, expected: Option<(&str, &str)>) {
    let fault = taken(50).raise(raise, &limits(50, 20), right).err();
    assert_eq!(fault.as_ref().map(|fault| (fault.pointer, fault.fault.as_str())), expected);
}

#[test]
fn impossible_raises_are_refused() {
    use RaiseRight::{Admin, Jobs};
    check_fault(raise("a", 0), Admin, Some(("/usd_micros", "raise by at least $0.01 or one job")));
    check_fault(Raise { usd_micros: 9_999, ..raise("a", 0) }, Admin, Some(("/usd_micros", "use $0.01 to $1,000,000")));
    check_fault(raise("a", 1_000_001), Admin, Some(("/usd_micros", "use $0.01 to $1,000,000")));
    check_fault(Raise { jobs: 1_001, ..raise("a", 0) }, Admin, Some(("/jobs", "use at most 1000 jobs")));
    let until = |days: u64| Raise { until: time_at(0).plus(Duration::from_secs(days * 86_400)), ..raise("a", 1) };
    check_fault(until(0), Admin, Some(("/for_secs", "use at most 30 days")));
    check_fault(until(99), Admin, Some(("/for_secs", "use at most 30 days")));
    check_fault(until(30), Admin, None);
    check_fault(raise("a", 50), Jobs, None);
    let rule = "without the scope `admin`, all raises add up to at most $50.00";
    check_fault(raise("a", 51), Jobs, Some(("/usd_micros", rule)));
    check_fault(raise("a", 51), Admin, None);
    let rule = "without the scope `admin`, all raises add up to at most 20 jobs";
    check_fault(Raise { jobs: 21, ..raise("a", 0) }, Jobs, Some(("/jobs", rule)));
    let unlimited = SpendingLimits { usd_micros: None, jobs: None, ..limits(50, 20) };
    let fault = empty().raise(raise("a", 1), &unlimited, Admin).unwrap_err();
    assert_eq!(fault.fault, "the project has no `limits.ticket_usd` to raise");
}

fn raise_often(count: usize, right: RaiseRight) -> Spending {
    (0..count).fold(taken(50), |spending, number| {
        let small = Raise { usd_micros: 10_000, ..raise(&number.to_string(), 0) };
        match spending.raise(small, &limits(50, 20), right).unwrap() {
            RaiseResult::Raised(raised) => raised,
            other => panic!("{other:?}"),
        }
    })
}

#[test]
fn many_raises_are_refused_but_leave_room_for_an_admin() {
    let late = |at: Timestamp| Raise { at, until: at.plus(DEFAULT_RAISE_TIME), ..raise("late", 1) };
    let fault = |spending: &Spending, right| spending.raise(late(time_at(1)), &limits(50, 20), right).err();
    let starts = |fault: Option<RaiseFault>, text: &str| fault.is_some_and(|fault| fault.fault.starts_with(text));
    let small = raise_often(MAX_RAISES_WITHOUT_ADMIN, RaiseRight::Jobs);
    assert!(starts(fault(&small, RaiseRight::Jobs), "10 raises are in force until"));
    assert_eq!(fault(&small, RaiseRight::Admin), None);
    let full = raise_often(MAX_RAISES, RaiseRight::Admin);
    assert!(starts(fault(&full, RaiseRight::Admin), "20 raises are in force until"));
    let jobs = Raise { usd_micros: 0, jobs: 1, ..late(time_at(1)) };
    let refused = full.raise(jobs, &limits(50, 20), RaiseRight::Admin).unwrap_err();
    assert!(refused.pointer == "/jobs" && refused.fault.contains("`limits.ticket_jobs`"), "{refused:?}");
    // Expired raises give their places.
    let after = late(full.raises[0].until);
    let Ok(RaiseResult::Raised(raised)) = full.raise(after, &limits(50, 20), RaiseRight::Admin) else {
        panic!("the others have expired")
    };
    assert_eq!(raised.raises.iter().map(|raise| raise.id.as_str()).collect::<Vec<_>>(), ["late"]);
}

#[track_caller]
fn check_comment(text: &str, expected: Option<Result<(u64, u32), &str>>) {
    let parsed = RaiseAmount::parse_comment(text);
    let parsed = parsed.as_ref().map(|parsed| match parsed {
        Ok(amount) => Ok((amount.usd_micros, amount.jobs)),
        Err(fault) => Err(fault.as_str()),
    });
    assert_eq!(parsed, expected, "{text:?}");
}

#[test]
fn comment_raises_only_by_its_first_line() {
    check_comment("/pullyard raise 20\nThe tests are slow.", Some(Ok((20 * DOLLAR, 0))));
    check_comment("/pullyard raise $2.50", Some(Ok((2_500_000, 0))));
    check_comment("/pullyard raise 5 jobs", Some(Ok((0, 5))));
    check_comment("\u{feff}/Pullyard\u{a0}Raise 5 Jobs\r\n", Some(Ok((0, 5))));
    for other in [
        "",
        "Please /pullyard raise 20",
        "\n/pullyard raise 20",
        "> /pullyard raise 20",
        "/pullyard revise",
        "    /pullyard raise 20",
    ] {
        check_comment(other, None);
    }
    check_comment("/pullyard raise $$20", Some(Err("use dollars, such as 50 or 2.50")));
    check_comment("/pullyard raise -5", Some(Err("use dollars, such as 50 or 2.50")));
    check_comment("/pullyard raise -5 jobs", Some(Err("use a number of jobs")));
    let rule = "write `/pullyard raise 20` for dollars, or `/pullyard raise 5 jobs`";
    for vague in ["/pullyard raise", "/pullyard raise it a bit"] {
        check_comment(vague, Some(Err(rule)));
    }
}

#[test]
fn step_of_a_run_has_no_spending() {
    let step =
        serde_json::from_value(serde_json::json!({"run": "run_00000000000000000000000001", "name": "build"})).unwrap();
    let job = Job { id: job_id("j1"), step: Some(step), ticket: Some(key()), ..ready_job() };
    assert_eq!(job.spent_on(None), None);
}
