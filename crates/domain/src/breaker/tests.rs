use super::*;
use crate::job::{Claim, End, EndedBy};
use crate::story::{
    at, claim, crashed, finish_id, finished, job_id, just_before, no_changes, project_id, ready, worked_to,
};
use crate::text::{Span, Until};
use proptest::prelude::*;

fn kite() -> RunnerId {
    RunnerId::of("token", "kite")
}

fn id() -> BreakerId {
    BreakerId { account: Account::Project(project_id()), capability: CLAUDE_CODE.into() }
}

fn by(job: &str, attempt: u32) -> By {
    By { job: job_id(job), attempt }
}

fn limit(ends: Option<u64>) -> Trouble {
    Trouble { cause: Cause::LimitReached, ends: ends.map(at) }
}

fn failing() -> Trouble {
    Trouble { cause: Cause::ProviderUnavailable, ends: None }
}

/// Opened at 0 by the first attempt of `a`, until an hour later.
fn open() -> Breaker {
    Breaker::opened(None, &id(), &limit(Some(3_600)), &by("a", 1), at(0)).unwrap()
}

/// The job that tries first is known to be claimed.
fn claimed(claimed: u64) -> Breaker {
    open().tried_by(&job_id("b"), at(3_600)).unwrap().claimed_by(&job_id("b"), at(claimed)).unwrap()
}

/// Its agent is known to be at work.
fn probed(working: u64) -> Breaker {
    claimed(3_650).worked_by(&job_id("b"), at(working)).unwrap()
}

#[test]
fn only_what_is_the_accounts_trouble_opens_a_breaker() {
    let end = Some(at(60));
    assert_eq!(Trouble::of(&Failure::AgentQuota { time: Until(end) }), Some(limit(Some(60))));
    assert_eq!(Trouble::of(&Failure::AgentOverloaded { n: 3 }), Some(failing()));
    assert_eq!(Trouble::of(&Failure::AgentUnreachable { reason: "refused".into() }), Some(failing()));
    for other in [Failure::NoChanges {}, Failure::AgentBilling {}, Failure::AgentRefused {}, stalled()] {
        assert_eq!(Trouble::of(&other), None, "{other:?}");
    }
}

/// An agent that asked its model again and again was stopped.
fn stalled() -> Failure {
    Failure::ProviderStalled { limit: Span(900), event: "api_retry".into() }
}

#[test]
fn an_account_is_left_alone_as_long_as_it_says_within_bounds_or_ever_longer() {
    let check = |trouble: Trouble, expected: [u64; 4]| {
        let secs = |times| trouble.until(times, at(100)).since(at(100)).as_secs();
        assert_eq!([secs(1), secs(2), secs(3), secs(9)], expected, "{trouble:?}");
    };
    check(limit(Some(1_000)), [900, 900, 900, 3_600]);
    // What is over, by somebody's clock, is not tried in a loop.
    check(limit(Some(50)), [60, 120, 240, 3_600]);
    check(limit(Some(9_000_000)), [86_400; 4]);
    check(limit(None), [300, 600, 1_200, 3_600]);
    check(failing(), [300, 600, 1_200, 3_600]);
}

#[test]
fn a_limit_is_its_keys_and_an_unreachable_provider_the_runners() {
    let (project, kite) = (project_id(), kite());
    let check = |trouble: Trouble, key, runner, expected: Option<Account>| {
        assert_eq!(trouble.account(key, &project, runner), expected, "{trouble:?} {key:?} {runner:?}");
    };
    let (of_project, of_kite) = (Some(Account::Project(project.clone())), Some(Account::Runner(kite.clone())));
    check(limit(None), KeyOf::Project, Some(&kite), of_project.clone());
    check(limit(None), KeyOf::Project, None, of_project.clone());
    check(failing(), KeyOf::Project, None, of_project);
    check(failing(), KeyOf::Project, Some(&kite), of_kite.clone());
    check(limit(None), KeyOf::Runner, Some(&kite), of_kite.clone());
    check(failing(), KeyOf::Runner, Some(&kite), of_kite);
    check(limit(None), KeyOf::Runner, None, None);
}

#[test]
fn whoever_may_be_blamed_is_asked_before() {
    let (project, kite) = (project_id(), kite());
    for key in [KeyOf::Runner, KeyOf::Project] {
        for runner in [None, Some(&kite)] {
            let asked = asked(key, CODEX, &project, runner);
            for trouble in [limit(None), failing()] {
                let blamed = trouble.account(key, &project, runner);
                assert!(
                    blamed.is_none_or(|account| asked.iter().any(|id| id.account == account)),
                    "{key:?} {runner:?}"
                );
            }
        }
    }
    let other = ProjectId::new("other").unwrap();
    assert!(asked(KeyOf::Project, CODEX, &other, None).iter().all(|id| id.account != Account::Project(project_id())));
}

#[test]
fn an_account_is_named_in_words_that_read_back() {
    for account in [Account::Project(project_id()), Account::Runner(kite())] {
        let id = BreakerId { account, capability: CODEX.into() };
        assert_eq!(id.to_string().parse(), Ok(id));
    }
    assert_eq!(id().to_string(), "project/acme/claude_code");
    for bad in [
        "",
        "project/acme",
        "project/acme/",
        "project/acme/a/b",
        "team/acme/codex",
        "runner/kite/codex",
        "project/acme/A",
    ] {
        assert!(bad.parse::<BreakerId>().is_err(), "{bad}");
    }
    let named = |capability: &str| format!("project/acme/{capability}").parse::<BreakerId>();
    assert!(named("gpt_5").is_ok());
    assert!(named(&"a".repeat(40)).is_ok() && named(&"a".repeat(41)).is_err());
}

#[test]
fn everybody_waits_while_it_is_open_and_one_tries_first_after_that() {
    let (a, b, c) = (job_id("a"), job_id("b"), job_id("c"));
    let open = open();
    for job in [&a, &b] {
        assert_eq!(open.gate(job, at(3_599)), Gate::Shut(at(3_600)));
        assert_eq!(open.gate(job, at(3_600)), Gate::First);
    }
    assert_eq!(open.tried_by(&b, at(3_599)), None);
    let tried = open.tried_by(&b, at(3_600)).unwrap();
    assert_eq!(tried.gate(&b, at(3_601)), Gate::First);
    assert_eq!(tried.tried_by(&b, at(3_601)), None, "that is written down");
    assert_eq!(tried.tried_by(&c, at(3_601)), None);
    assert_eq!(tried.gate(&c, at(3_601)), Gate::Shut(at(4_200)));
    // It never came: the next one tries.
    assert_eq!(tried.gate(&c, at(4_200)), Gate::First);
    // Or the same once more, which is written down anew.
    assert_eq!(tried.tried_by(&b, just_before(at(4_200))), None);
    assert_eq!(tried.tried_by(&b, at(4_200)).unwrap().probe.unwrap().at, at(4_200));
}

#[test]
fn no_news_of_the_first_is_good_news_once_its_agent_works() {
    let probed = probed(3_700);
    assert_eq!(probed.gate(&job_id("c"), at(4_899)), Gate::Shut(at(4_900)));
    assert_eq!(probed.gate(&job_id("c"), at(4_900)), Gate::Free);
    assert!(probed.is_over(at(4_900)) && !probed.is_over(just_before(at(4_900))));
    for again in [probed.claimed_by(&job_id("b"), at(3_800)), probed.worked_by(&job_id("b"), at(3_800))] {
        assert_eq!(again, None, "a repeat");
    }
    for another in [probed.claimed_by(&job_id("c"), at(3_800)), probed.worked_by(&job_id("c"), at(3_800))] {
        assert_eq!(another, None, "another job");
    }
    assert!(probed.is_proven_by(&job_id("b"), at(3_800)));
    assert!(!probed.is_proven_by(&job_id("c"), at(3_800)));
    assert!(!open().is_proven_by(&job_id("a"), at(10)));
    let tried = open().tried_by(&job_id("b"), at(3_600)).unwrap();
    assert!(!tried.is_proven_by(&job_id("b"), at(3_800)), "it has not asked yet");
    let unheard = tried.worked_by(&job_id("b"), at(3_700)).unwrap();
    assert!(unheard.is_proven_by(&job_id("b"), at(3_800)), "it was claimed, whoever heard that");
}

#[test]
fn what_was_proven_while_it_was_open_is_over_from_the_moment_at_which_it_ends() {
    for until in [4_900, 9_000] {
        let longer = Breaker { until: at(until), ..probed(3_700) };
        let over = [just_before(at(until)), at(until), at(until + 1)].map(|now| longer.is_over(now));
        assert_eq!(over, [false, true, true], "{until}");
        assert_eq!(longer.gate(&job_id("c"), at(until)), Gate::Free);
    }
}

#[test]
fn what_is_set_up_before_the_agent_is_no_news_of_the_account_and_holds_others_back_for_an_hour() {
    let (claimed, c) = (claimed(3_700), job_id("c"));
    assert_eq!(claimed.gate(&c, at(4_300)), Gate::Shut(at(7_300)), "its setup takes long");
    assert_eq!(claimed.gate(&c, just_before(at(7_300))), Gate::Shut(at(7_300)));
    assert_eq!(claimed.gate(&c, at(7_300)), Gate::First, "another one tries: nothing is proven");
    assert!(!claimed.is_over(at(7_300)));
    let late = claimed.worked_by(&job_id("b"), at(7_290)).unwrap();
    assert_eq!(late.gate(&c, at(7_300)), Gate::Shut(at(7_290).plus(PROBE_FOR)));
    let other = claimed.tried_by(&c, at(7_300)).unwrap();
    assert_eq!(other.worked_by(&job_id("b"), at(7_310)), None, "another one tries by now");
}

#[test]
fn a_silence_is_good_news_only_after_a_model_that_hangs_would_have_been_told_of() {
    let (stall, waits) = (crate::project::Limits::default().stall_secs, 30 + 60 + 90);
    assert!(PROBE_FOR > Duration::from_secs(stall + waits));
}

#[test]
fn one_that_was_lost_as_it_tried_tries_anew() {
    let lost = probed(3_700);
    let again = lost.tried_by(&job_id("b"), at(3_900)).unwrap();
    let expected = Probe { job: job_id("b"), at: at(3_900), claimed: None, working: None };
    assert_eq!(again.probe, Some(expected));
    assert!(!again.is_over(at(4_900)), "what the lost one did not say proves nothing");
    assert_eq!(again.tried_by(&job_id("b"), at(3_910)), None, "that is written down");
    assert_eq!(lost.tried_by(&job_id("c"), at(3_900)), None);
}

#[test]
fn trouble_of_the_one_that_tried_first_shows_that_its_silence_proved_nothing() {
    let unknown = Breaker::opened(None, &id(), &failing(), &by("a", 1), at(0)).unwrap();
    let probed = unknown.tried_by(&job_id("b"), at(300)).unwrap().worked_by(&job_id("b"), at(300)).unwrap();
    let opened = |by, now| Breaker::opened(Some(&probed), &id(), &failing(), &by, at(now)).unwrap();
    assert!(probed.is_over(at(1_530)));
    let again = opened(by("b", 1), 1_530);
    assert_eq!((again.times, again.until, again.probe), (2, at(1_530 + 600), None));
    assert_eq!(opened(by("c", 1), 1_530).times, 1, "a new trouble, of another job");
    assert_eq!(opened(by("b", 1), 300 + 86_400).times, 1, "a day later");
}

#[test]
fn an_account_answers_where_its_agent_was_answered_and_not_where_it_may_not_have_been_asked() {
    let failed = |failure: Failure| AttemptEnd::Failed { failure };
    let (setup, lost) = (
        Failure::SetupFailed { command: "make".into(), exit: "exit code 2".into() },
        Failure::WorkspaceFailed { reason: "no space".into() },
    );
    let asked = |agent: &str, turns| Work { agent: agent.into(), turns, ..work() };
    let (answered, unanswered, command) = (asked(CODEX, 1), asked(CLAUDE_CODE, 0), asked("command", 0));
    let check = |status, ended: &AttemptEnd, work: Option<&Work>, expected| {
        assert_eq!(Shown::by(status, ended, work), expected, "{status:?} {ended:?} {work:?}");
    };
    let (answers, nothing) = (Shown::Answers, Shown::Nothing);
    // Before the model was asked.
    check(Status::Claimed, &failed(lost.clone()), None, nothing);
    check(Status::Preparing, &failed(setup), None, nothing);
    check(Status::Executing, &failed(lost.clone()), None, nothing);
    check(Status::Executing, &failed(Failure::NoChanges {}), Some(&unanswered), nothing);
    // Its agent says that it was answered, however it ended.
    for ended in [failed(lost), failed(Failure::NoChanges {}), AttemptEnd::Cancelled {}, AttemptEnd::Paused {}] {
        check(Status::Executing, &ended, Some(&answered), answers);
    }
    // But by what is asked about.
    for failure in [Failure::AgentBilling {}, Failure::AgentOverloaded { n: 3 }, stalled()] {
        check(Status::Executing, &failed(failure), Some(&answered), nothing);
    }
    // Who does not say it goes by what was made.
    for work in [None, Some(&command)] {
        check(Status::Executing, &failed(Failure::NoChanges {}), work, answers);
        check(Status::Syncing, &failed(Failure::HeadMoved {}), work, answers);
        check(Status::Syncing, &AttemptEnd::Completed {}, work, answers);
        check(Status::Executing, &AttemptEnd::Asked {}, work, answers);
        check(Status::Executing, &AttemptEnd::Cancelled {}, work, nothing);
        check(Status::Executing, &AttemptEnd::Paused {}, work, nothing);
        check(Status::Preparing, &failed(Failure::SessionLost {}), work, nothing);
        let stalled = Failure::Stalled { limit: crate::text::Span(900), event: "command".into() };
        check(Status::Executing, &failed(stalled), work, nothing);
    }
}

fn work() -> Work {
    let told = serde_json::json!({ "agent": "codex", "isolation": "none", "starts": 1 });
    serde_json::from_value(told).unwrap()
}

#[test]
fn the_next_one_tries_at_once_where_the_first_one_shows_nothing() {
    let (claimed, c) = (claimed(3_700), job_id("c"));
    assert_eq!(claimed.untried_by(&c, at(3_710)), None, "it is not that one");
    let untried = claimed.untried_by(&job_id("b"), at(3_710)).unwrap();
    assert_eq!((untried.probe.clone(), untried.times, untried.until), (None, 1, claimed.until));
    assert_eq!(untried.gate(&c, at(3_710)), Gate::First);
    assert_eq!(untried.untried_by(&job_id("b"), at(3_710)), None, "a repeat");
}

/// A job that tries first, and the breaker that says so: claimed at 3,650 s, its agent at work from 3,660 s.
fn tries(status: Status) -> (Job, Breaker) {
    let job = worked_to(&ready().tries_first(), status);
    let claimed = open().tried_by(&job.id, at(3_600)).unwrap().claimed_by(&job.id, at(3_650)).unwrap();
    let working = claimed.worked_by(&job.id, at(3_660)).unwrap();
    (job, if status == Status::Executing { working } else { claimed })
}

#[test]
fn the_next_one_tries_at_once_where_the_attempt_of_the_first_one_was_lost_without_a_word() {
    let now = at(3_700);
    for status in [Status::Claimed, Status::Preparing, Status::Executing] {
        let (job, breaker) = tries(status);
        assert_eq!(breaker.waits_for(now), Some(&job.id));
        assert_eq!(breaker.left_by(&job, now), None, "it tries: {status:?}");
        let back = job.requeued(now).unwrap();
        // Its next attempt only adopts, or asks another account.
        let again = back.claimed(&claim(2, "c2"), now).unwrap();
        let told = EndedBy { attempt: 0, finish: Some(finish_id("f0")) };
        let told_before = Job { ended_by: Some(told), ..back.clone() };
        for lost in [back, job.given_up(crashed(), now).unwrap(), again, told_before] {
            let left = breaker.left_by(&lost, now).unwrap();
            assert_eq!(left, Breaker { probe: None, ..breaker.clone() });
            assert_eq!(left.gate(&job_id("c"), now), Gate::First, "{lost:?}");
            let other = Job { id: job_id("c"), ..lost };
            assert_eq!(breaker.left_by(&other, now), None, "nobody waits for that one");
        }
    }
}

/// Both are written one after the other: who looks in between takes no turn of an account that was just proven.
#[test]
fn an_end_that_was_told_is_left_to_whoever_heard_it() {
    let (job, breaker) = tries(Status::Executing);
    let told = finished(&job, End::Failed(no_changes(), None));
    assert_eq!(breaker.left_by(&told, at(3_700)), None);
}

#[test]
fn whether_a_first_one_was_lost_is_asked_while_others_wait_for_its_attempt() {
    let (job, claimed) = tries(Status::Preparing);
    let (_, working) = tries(Status::Executing);
    let lost = job.requeued(at(3_660)).unwrap();
    let on_its_way = open().tried_by(&job.id, at(3_600)).unwrap();
    let opened = Breaker { until: at(3_701), ..claimed.clone() };
    for nobody in [&open(), &on_its_way, &opened] {
        assert_eq!((nobody.waits_for(at(3_700)), nobody.left_by(&lost, at(3_700))), (None, None), "{nobody:?}");
    }
    assert_eq!(opened.waits_for(at(3_701)), Some(&job.id));
    for (breaker, end) in [(&claimed, at(3_650 + 3_600)), (&working, at(3_660).plus(PROBE_FOR))] {
        assert_eq!(breaker.waits_for(just_before(end)), Some(&job.id));
        assert!(breaker.left_by(&lost, just_before(end)).is_some());
        assert_eq!((breaker.waits_for(end), breaker.left_by(&lost, end)), (None, None));
    }
}

#[test]
fn a_first_one_that_another_runner_has_by_now_does_not_try_this_ones_account() {
    let held_by = |runner: &RunnerId, first: bool| {
        let job = if first { ready().tries_first() } else { ready() };
        job.claimed(&Claim { runner: Some(runner.clone()), task: None, ..claim(1, "c1") }, at(3_650)).unwrap()
    };
    let account = BreakerId { account: Account::Runner(kite()), capability: CLAUDE_CODE.into() };
    let breaker = Breaker { id: account, ..tries(Status::Claimed).1 };
    let gull = RunnerId::of("token", "gull");
    assert_eq!(breaker.left_by(&held_by(&kite(), true), at(3_700)), None, "it tries");
    for elsewhere in [held_by(&gull, true), held_by(&kite(), false)] {
        assert!(breaker.left_by(&elsewhere, at(3_700)).is_some(), "{elsewhere:?}");
    }
}

#[test]
fn whom_a_silence_let_go_is_held_back_no_more_by_an_end_that_shows_nothing() {
    let (probed, b) = (probed(3_700), job_id("b"));
    let in_time = probed.untried_by(&b, just_before(at(4_900))).unwrap();
    assert_eq!(in_time.gate(&job_id("c"), at(4_900)), Gate::First);
    assert_eq!(probed.untried_by(&b, at(4_900)), None);
    assert_eq!(probed.gate(&job_id("c"), at(4_900)), Gate::Free);
}

#[test]
fn an_end_proves_nothing_of_an_account_that_is_to_be_left_alone_since() {
    let longer = Breaker { until: at(9_000), ..probed(3_700) };
    assert!(!longer.is_proven_by(&job_id("b"), just_before(at(9_000))));
    assert!(longer.is_proven_by(&job_id("b"), at(9_000)));
}

#[test]
fn one_that_began_before_adds_nothing_but_a_later_end() {
    let open = open();
    let again = |trouble, by, now| Breaker::opened(Some(&open), &id(), &trouble, &by, at(now));
    assert_eq!(again(limit(Some(3_600)), by("b", 1), 60), None);
    assert_eq!(again(failing(), by("b", 1), 60), None);
    assert_eq!(again(limit(Some(9_000)), by("a", 1), 60), None, "a repeat of what opened it");
    let later = again(limit(Some(7_200)), by("b", 1), 60).unwrap();
    assert_eq!((later.until, later.times, later.opened), (at(7_200), 1, at(0)));
}

#[test]
fn whoever_has_it_last_longer_says_from_then_on_why_and_is_known_when_that_is_repeated() {
    let short = Breaker::opened(None, &id(), &limit(None), &by("a", 1), at(0)).unwrap();
    let longer = Breaker::opened(Some(&short), &id(), &failing(), &by("b", 1), at(60)).unwrap();
    let expected = Breaker { until: at(360), cause: Cause::ProviderUnavailable, by: by("b", 1), ..short };
    assert_eq!(longer, expected);
    assert_eq!(Breaker::opened(Some(&longer), &id(), &limit(Some(9_000)), &by("b", 1), at(61)), None);
}

#[test]
fn it_opens_for_longer_from_the_moment_at_which_one_may_try_until_a_day_later() {
    let short = Breaker::opened(None, &id(), &limit(None), &by("a", 1), at(0)).unwrap();
    let times = |now| Breaker::opened(Some(&short), &id(), &failing(), &by("b", 1), now).unwrap().times;
    assert_eq!((times(just_before(short.until)), times(short.until)), (1, 2));
    let over = short.until.plus(Duration::from_secs(86_400));
    assert_eq!((times(just_before(over)), times(over)), (2, 1));
    assert_eq!(short.forgotten(), over.plus(Duration::from_secs(86_400)), "nobody asks for it any more");
}

#[test]
fn what_fails_when_it_is_tried_again_opens_for_longer_and_what_worked_begins_anew() {
    let unknown = Breaker::opened(None, &id(), &limit(None), &by("a", 1), at(0)).unwrap();
    assert_eq!(unknown.until, at(300));
    let tried = Breaker { rev: 4, ..unknown.tried_by(&job_id("b"), at(300)).unwrap() };
    let again = Breaker::opened(Some(&tried), &id(), &limit(None), &by("b", 1), at(310)).unwrap();
    assert_eq!((again.until, again.times, again.rev), (at(910), 2, 4));
    assert_eq!(again.probe, None);
    // The first one worked: the next trouble is a new one.
    let proven = Breaker { rev: 7, ..probed(3_700) };
    let anew = Breaker::opened(Some(&proven), &id(), &limit(None), &by("c", 1), at(4_900)).unwrap();
    assert_eq!((anew.until, anew.times, anew.rev), (at(5_200), 1, 7), "over what stands there");
    let old = Breaker::opened(Some(&open()), &id(), &limit(None), &by("c", 1), at(3_600 + 86_400)).unwrap();
    assert_eq!(old.times, 1, "a day later");
}

#[test]
fn of_several_accounts_the_one_that_is_shut_longest_counts() {
    let (open, job) = (open(), job_id("c"));
    let later = Breaker { until: at(5_000), ..open.clone() };
    assert_eq!(gate([], &job, at(10)), Gate::Free);
    assert_eq!(gate([&open, &later], &job, at(10)), Gate::Shut(at(5_000)));
    assert_eq!(gate([&open, &later], &job, at(4_000)), Gate::Shut(at(5_000)));
    assert_eq!(gate([&later, &open], &job, at(5_000)), Gate::First);
    assert_eq!(gate([&probed(3_700), &open], &job, at(4_900)), Gate::First);
    assert_eq!(gate([&open, &probed(3_700)], &job, at(4_900)), Gate::First);
    assert_eq!(gate([&later, &open], &job, at(10)), Gate::Shut(at(5_000)));
    assert_eq!(gate([&later, &open], &job, at(4_000)), Gate::Shut(at(5_000)));
}

#[test]
fn the_one_that_keeps_a_job_back_longest_is_named_with_its_end() {
    let (open, job) = (open(), job_id("c"));
    let later = Breaker { until: at(5_000), ..open.clone() };
    for both in [[&open, &later], [&later, &open]] {
        assert_eq!(keeps_back(both, &job, at(10)), Some((&later, at(5_000))));
        assert_eq!(keeps_back(both, &job, at(4_000)), Some((&later, at(5_000))));
        assert_eq!(keeps_back(both, &job, at(5_000)), None, "it may try");
    }
    let probed = probed(3_700);
    assert_eq!(keeps_back([&probed], &job, at(3_800)), Some((&probed, at(4_900))));
    assert_eq!(keeps_back([&probed], &job_id("b"), at(3_800)), None, "it tries first");
}

#[test]
fn what_waits_for_it_says_for_whom() {
    let open = open();
    assert_eq!(open.wait(at(3_600)).sentence(), "The model account's limit is used up until 2026-11-20 07:00 UTC.");
    let words = wait(Cause::ProviderUnavailable, CODEX, at(0)).sentence();
    assert_eq!(words, "OpenAI keeps failing; new jobs for it wait until 2026-11-20 06:00 UTC.");
    assert_eq!(open.holds_until(at(10)), Some(at(3_600)));
    assert_eq!(open.holds_until(at(3_600)), None, "somebody may try");
    assert_eq!(probed(3_700).holds_until(at(3_800)), Some(at(4_900)));
    assert_eq!(probed(3_700).holds_until(at(4_900)), None, "it is over");
    assert_eq!(Breaker { until: at(9_000), ..probed(3_700) }.holds_until(at(4_900)), Some(at(9_000)));
    for (capability, asks) in [(CLAUDE_CODE, "Anthropic"), (CODEX, "OpenAI"), ("auto", "The model's provider")] {
        let expected = Wait::ProviderUnavailable { provider: asks.into(), time: at(5) };
        assert_eq!(wait(Cause::ProviderUnavailable, capability, at(5)), expected);
    }
}

/// What may happen to a breaker, by one of three jobs, after so many seconds.
#[derive(Clone, Copy, Debug)]
enum Happens {
    Asks,
    Claims,
    Works,
    Troubled(Option<u64>),
    Ends,
    ShowsNothing,
}

fn happens() -> impl Strategy<Value = (Happens, usize, u64)> {
    let what = prop_oneof![
        3 => Just(Happens::Asks),
        2 => Just(Happens::Claims),
        2 => Just(Happens::Works),
        2 => proptest::option::of(0u64..200_000).prop_map(Happens::Troubled),
        1 => Just(Happens::Ends),
        1 => Just(Happens::ShowsNothing),
    ];
    let pause = prop_oneof![0u64..30, 0u64..5_000, 0u64..100_000];
    (what, 0..3usize, pause)
}

proptest! {
    /// Whatever happens: nobody is kept back for longer than a day at a time, no two jobs try an account that is
    /// not proven, a trouble never shortens what stands, and nothing but a trouble holds back whom it let go.
    #[test]
    fn nobody_waits_for_ever_and_only_one_tries(steps in proptest::collection::vec(happens(), 1..60)) {
        let jobs = ["a", "b", "c"].map(job_id);
        let (mut stored, mut secs) = (None::<Breaker>, 0);
        for (attempt, (what, who, pause)) in steps.into_iter().enumerate() {
            secs += pause;
            let (now, job) = (at(secs), &jobs[who]);
            let gates = jobs.each_ref().map(|job| stored.as_ref().map_or(Gate::Free, |it| it.gate(job, now)));
            for gate in gates {
                if let Gate::Shut(until) = gate {
                    prop_assert!(until > now && until <= now.plus(LONGEST), "{gate:?}");
                }
            }
            let over = stored.as_ref().is_none_or(|it| it.is_over(now));
            prop_assert!(gates.iter().all(|gate| (*gate == Gate::Free) == over), "{stored:?}");
            let tries = stored.as_ref().and_then(|it| it.probe.as_ref()).is_some_and(|it| now < it.lasts());
            let may = gates.iter().filter(|gate| **gate == Gate::First).count();
            prop_assert!(may <= 1 || !tries, "{stored:?}");
            stored = match (what, stored) {
                (Happens::Asks, Some(it)) => Some(it.tried_by(job, now).unwrap_or(it)),
                (Happens::Claims, Some(it)) => Some(it.claimed_by(job, now).unwrap_or(it)),
                (Happens::Works, Some(it)) => Some(it.worked_by(job, now).unwrap_or(it)),
                (Happens::Ends, Some(it)) if it.is_proven_by(job, now) => None,
                (Happens::ShowsNothing, Some(it)) => Some(it.untried_by(job, now).unwrap_or(it)),
                (Happens::Troubled(ends), it) => {
                    let ends = ends.map(|ends| now.plus(Duration::from_secs(ends)));
                    let trouble = Trouble { cause: Cause::LimitReached, ends };
                    let by = By { job: job.clone(), attempt: u32::try_from(attempt).unwrap() };
                    let next = Breaker::opened(it.as_ref(), &id(), &trouble, &by, now);
                    if let (Some(next), Some(it)) = (&next, &it) {
                        prop_assert!(next.until >= it.until, "{it:?} {next:?}");
                    }
                    prop_assert!(next.is_some() || it.is_some());
                    next.or(it)
                }
                (_, it) => it,
            };
            let lets_go = stored.as_ref().is_none_or(|it| it.is_over(now));
            prop_assert!(!over || lets_go || matches!(what, Happens::Troubled(_)), "{stored:?}");
        }
    }
}
