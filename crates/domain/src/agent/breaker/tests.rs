use super::*;
use crate::agent::{CLAUDE_CODE, CODEX};
use crate::fixtures::{job_id, just_before, project_id, time_at};
use crate::text::{Quoted, Span, Until};
use std::collections::BTreeSet;

fn runner_id() -> RunnerId {
    RunnerId::for_registration("token", "kite")
}

fn breaker_id() -> BreakerId {
    BreakerId { account: Account::Project(project_id()), capability: CLAUDE_CODE.into() }
}

fn opened_by(job: &str, attempt: u32) -> AttemptRef {
    AttemptRef { job: job_id(job), attempt }
}

fn limit_reached(ends: Option<u64>) -> AccountFault {
    AccountFault { cause: BreakerCause::LimitReached, ends_at: ends.map(time_at) }
}

fn provider_unavailable() -> AccountFault {
    AccountFault { cause: BreakerCause::ProviderUnavailable, ends_at: None }
}

fn open_breaker() -> Breaker {
    Breaker::record_fault(None, &breaker_id(), &limit_reached(Some(3_600)), &opened_by("a", 1), time_at(0)).unwrap()
}

#[test]
fn only_account_failures_open_a_breaker() {
    let end = Some(time_at(60));
    assert_eq!(AccountFault::from_failure(&Failure::AgentQuota { time: Until(end) }), Some(limit_reached(Some(60))));
    assert_eq!(AccountFault::from_failure(&Failure::AgentOverloaded { n: 3 }), Some(provider_unavailable()));
    assert_eq!(
        AccountFault::from_failure(&Failure::AgentUnreachable { reason: "refused".into() }),
        Some(provider_unavailable())
    );
    for other in [
        Failure::NoChanges { left_out: Quoted(None) },
        Failure::AgentBilling {},
        Failure::AgentRefused {},
        provider_stalled(),
    ] {
        assert_eq!(AccountFault::from_failure(&other), None, "{other:?}");
    }
}

fn provider_stalled() -> Failure {
    Failure::ProviderStalled { limit: Span(900), event: "api_retry".into() }
}

#[test]
fn breaker_duration_follows_the_reported_end_or_backs_off() {
    let check = |trouble: AccountFault, expected: [u64; 4]| {
        let secs = |times| trouble.blocked_until(times, time_at(100)).since(time_at(100)).as_secs();
        assert_eq!([secs(1), secs(2), secs(3), secs(9)], expected, "{trouble:?}");
    };
    check(limit_reached(Some(1_000)), [900, 900, 900, 3_600]);
    // An end in the past still opens the breaker; otherwise a wrong clock would cause a retry loop.
    check(limit_reached(Some(50)), [60, 120, 240, 3_600]);
    check(limit_reached(Some(9_000_000)), [86_400; 4]);
    check(limit_reached(None), [300, 600, 1_200, 3_600]);
    check(provider_unavailable(), [300, 600, 1_200, 3_600]);
}

#[test]
fn limit_blames_the_key_and_an_outage_blames_the_runner() {
    let (project, kite) = (project_id(), runner_id());
    let check = |trouble: AccountFault, key, runner, expected: Option<Account>| {
        assert_eq!(trouble.account(key, &project, runner), expected, "{trouble:?} {key:?} {runner:?}");
    };
    let (of_project, of_kite) = (Some(Account::Project(project.clone())), Some(Account::Runner(kite.clone())));
    check(limit_reached(None), KeyOwner::Project, Some(&kite), of_project.clone());
    check(limit_reached(None), KeyOwner::Project, None, of_project.clone());
    check(provider_unavailable(), KeyOwner::Project, None, of_project);
    check(provider_unavailable(), KeyOwner::Project, Some(&kite), of_kite.clone());
    check(limit_reached(None), KeyOwner::Runner, Some(&kite), of_kite.clone());
    check(provider_unavailable(), KeyOwner::Runner, Some(&kite), of_kite);
    check(limit_reached(None), KeyOwner::Runner, None, None);
}

#[test]
fn breakers_to_check_include_every_blamed_account() {
    let (project, kite) = (project_id(), runner_id());
    for key in [KeyOwner::Runner, KeyOwner::Project] {
        for runner in [None, Some(&kite)] {
            let ids = breaker_ids(key, CODEX, &project, runner);
            for trouble in [limit_reached(None), provider_unavailable()] {
                let blamed = trouble.account(key, &project, runner);
                assert!(blamed.is_none_or(|account| ids.iter().any(|id| id.account == account)), "{key:?} {runner:?}");
            }
        }
    }
    let other = ProjectId::new("other").unwrap();
    assert!(
        breaker_ids(KeyOwner::Project, CODEX, &other, None)
            .iter()
            .all(|id| id.account != Account::Project(project_id()))
    );
}

#[test]
fn breaker_id_parses_from_its_display_form() {
    for account in [Account::Project(project_id()), Account::Runner(runner_id())] {
        let id = BreakerId { account, capability: CODEX.into() };
        assert_eq!(id.to_string().parse(), Ok(id));
    }
    assert_eq!(breaker_id().to_string(), "project/acme/claude_code");
    for bad in ["", "project/acme", "project/acme/a/b", "team/acme/codex", "runner/kite/codex", "project/acme/A"] {
        assert!(bad.parse::<BreakerId>().is_err(), "{bad}");
    }
    let named = |capability: &str| format!("project/acme/{capability}").parse::<BreakerId>();
    assert!(named("gpt_5").is_ok());
    assert!(named(&"a".repeat(40)).is_ok() && named(&"a".repeat(41)).is_err());
}

#[test]
fn jobs_resume_one_by_one_within_the_spread() {
    let open = open_breaker();
    let times: BTreeSet<_> = (0..200).map(|n| open.start_time(&job_id(&n.to_string()))).collect();
    assert!(times.len() > 100, "{} different times", times.len());
    let last = open.until.plus(START_SPREAD);
    assert!(times.iter().all(|time| open.until <= *time && *time < last));
    // Only a few jobs start early, so a new failure still holds back the others.
    let early = times.iter().filter(|time| **time < open.until.plus(START_SPREAD / 10)).count();
    assert!((1..times.len() / 4).contains(&early), "{early} of {}", times.len());
    assert!(open.is_over(last) && !open.is_over(just_before(last)));
}

#[test]
fn job_has_one_stable_reopening_time() {
    let (open, job) = (open_breaker(), job_id("b"));
    let time = open.start_time(&job);
    assert_eq!(open.start_time(&job), time);
    assert_eq!(longest_delay([&open], &job, just_before(time)), Some((&open, time)));
    assert_eq!(longest_delay([&open], &job, time), None);
}

#[test]
fn report_during_an_open_breaker_only_extends_its_end() {
    let open = open_breaker();
    let again = |trouble, by, now| Breaker::record_fault(Some(&open), &breaker_id(), &trouble, &by, time_at(now));
    assert_eq!(again(limit_reached(Some(3_600)), opened_by("b", 1), 60), None);
    assert_eq!(again(provider_unavailable(), opened_by("b", 1), 60), None);
    assert_eq!(again(limit_reached(Some(9_000)), opened_by("a", 1), 60), None, "a repeat of the first report");
    let later = again(limit_reached(Some(7_200)), opened_by("b", 1), 60).unwrap();
    assert_eq!((later.until, later.times, later.opened), (time_at(7_200), 1, time_at(0)));
}

#[test]
fn longest_report_sets_the_cause_and_is_idempotent() {
    let short =
        Breaker::record_fault(None, &breaker_id(), &limit_reached(None), &opened_by("a", 1), time_at(0)).unwrap();
    let longer =
        Breaker::record_fault(Some(&short), &breaker_id(), &provider_unavailable(), &opened_by("b", 1), time_at(60))
            .unwrap();
    let expected =
        Breaker { until: time_at(360), cause: BreakerCause::ProviderUnavailable, by: opened_by("b", 1), ..short };
    assert_eq!(longer, expected);
    assert_eq!(
        Breaker::record_fault(
            Some(&longer),
            &breaker_id(),
            &limit_reached(Some(9_000)),
            &opened_by("b", 1),
            time_at(61)
        ),
        None
    );
}

#[test]
fn failure_within_an_hour_of_the_end_raises_the_count() {
    let short =
        Breaker::record_fault(None, &breaker_id(), &limit_reached(None), &opened_by("a", 1), time_at(0)).unwrap();
    assert_eq!(short.until, time_at(300));
    let next = |now| {
        Breaker::record_fault(Some(&short), &breaker_id(), &provider_unavailable(), &opened_by("b", 1), now).unwrap()
    };
    let forgotten = short.until.plus(Duration::from_secs(3_600));
    let times = [just_before(short.until), short.until, just_before(forgotten), forgotten].map(|now| next(now).times);
    assert_eq!(times, [1, 2, 2, 1]);
    assert!(short.expires_at() >= forgotten);
    assert_eq!(short.close(time_at(100)).times, 0, "a user who closes it ends the series");
    let stored = Breaker { rev: 4, ..short };
    let again =
        Breaker::record_fault(Some(&stored), &breaker_id(), &limit_reached(None), &opened_by("b", 1), time_at(310))
            .unwrap();
    assert_eq!((again.until, again.rev), (time_at(910), 4), "replaces the revision that was read");
}

#[test]
fn longest_of_several_breakers_holds_a_job_back() {
    let (open, job) = (open_breaker(), job_id("c"));
    let later = Breaker { until: time_at(5_000), ..open.clone() };
    assert_eq!(longest_delay([], &job, time_at(10)), None);
    let (first, last) = (open.start_time(&job), later.start_time(&job));
    for both in [[&open, &later], [&later, &open]] {
        assert_eq!(longest_delay(both, &job, time_at(10)), Some((&later, last)));
        assert_eq!(longest_delay(both, &job, first), Some((&later, last)));
        assert_eq!(longest_delay(both, &job, last), None);
    }
}

#[test]
fn wait_sentence_names_the_account_or_provider() {
    let open = open_breaker();
    assert_eq!(
        open.wait_reason(time_at(3_600)).sentence(),
        "The model account's limit is used up until 2026-11-20 07:00 UTC."
    );
    let sentence = wait_reason(BreakerCause::ProviderUnavailable, CODEX, time_at(0)).sentence();
    assert_eq!(sentence, "OpenAI keeps failing; new jobs for it wait until 2026-11-20 06:00 UTC.");
    assert_eq!(open.blocked_until(time_at(10)), time_at(3_600));
    assert_eq!(open.blocked_until(time_at(3_600)), time_at(4_200), "the last job may start by then");
    for (capability, asks) in [(CLAUDE_CODE, "Anthropic"), (CODEX, "OpenAI"), ("auto", "The model's provider")] {
        let expected = Wait::ProviderUnavailable { provider: asks.into(), time: time_at(5) };
        assert_eq!(wait_reason(BreakerCause::ProviderUnavailable, capability, time_at(5)), expected);
    }
}
