use super::*;
use crate::fixtures::{job_id, runner, slot, time_at};

fn instance(name: &str) -> InstanceId {
    InstanceId::new(name).unwrap()
}

fn claim(name: &str) -> ClaimId {
    ClaimId::new(name).unwrap()
}

fn introduction(process: &str) -> RunnerRegistration {
    let kite = runner("kite");
    RunnerRegistration {
        id: kite.id,
        name: kite.name,
        token: kite.token,
        instance: instance(process),
        max_slots: 3,
        active_jobs: BTreeSet::from([job_id("kept")]),
        new_mailbox: MailboxId::new("n".repeat(26)).unwrap(),
        offline_secs: None,
        updates: None,
    }
}

fn heartbeat(process: &str) -> Heartbeat {
    Heartbeat {
        instance: instance(process),
        active_jobs: BTreeSet::new(),
        draining: false,
        is_sign_off: false,
        order: None,
    }
}

#[track_caller]
fn check_second(old: &Runner, secs: u64, expected: Result<u32, &str>) {
    let answer = Runner::register(Some(old), introduction("i2"), time_at(secs));
    let actual = answer.as_ref().map(|taken| taken.epoch).map_err(Refusal::code);
    assert_eq!(actual, expected);
}

#[test]
fn second_process_takes_over_only_from_a_gone_one() {
    let kite = runner("kite");
    check_second(&kite, 0, Err("runner_live"));
    check_second(&kite, 90, Err("runner_live"));
    check_second(&kite, 91, Ok(2));
    let offline = kite.with_heartbeat(Heartbeat { is_sign_off: true, ..heartbeat("i1") }, time_at(5)).unwrap();
    check_second(&offline, 5, Ok(3));
    check_second(&Runner { status: Presence::Offline, ..kite.clone() }, 5, Ok(2));
    check_second(&Runner { status: Presence::Deleting, ..kite.clone() }, 500, Err("runner_deleting"));
    let live = Runner::register(Some(&kite), introduction("i2"), time_at(40)).unwrap_err();
    assert_eq!(live, Refusal::AlreadyOnline { name: "kite".into(), ago: Span(40), left: Span(50) });
}

#[test]
fn runner_is_offline_after_the_silence_that_it_states() {
    let kite = runner("kite");
    for (offline_secs, last) in [(None, 90), (Some(90), 90), (Some(600), 600)] {
        let new = RunnerRegistration { offline_secs, ..introduction("i1") };
        let stated = Runner::register(Some(&kite), new, time_at(0)).unwrap();
        assert_eq!(stated.offline_after(), Duration::from_secs(last));
        assert_eq!((stated.is_online(time_at(last)), stated.is_online(time_at(last + 1))), (true, false), "{last}");
        let waits = |secs| stated.waits_for_hints(time_at(secs));
        assert_eq!((waits(last), waits(last + 1)), (true, false), "{last}");
        check_second(&stated, last, Err("runner_live"));
        check_second(&stated, last + 1, Ok(2));
        // The next process states its own time.
        let next = Runner::register(Some(&stated), introduction("i2"), time_at(last + 1)).unwrap();
        assert_eq!(next.offline_secs, None);
    }
}

#[test]
fn name_is_free_only_for_the_instance_that_has_it() {
    let kite = runner("kite");
    let check = |runner: &Runner, process: &str, secs| {
        runner.check_name(&instance(process), time_at(secs)).map_err(|refusal| (refusal.code(), refusal.sentence()))
    };
    let sleeping = || Err(("name_used", "The name kite belongs to another runner, which may be asleep.".to_owned()));
    assert_eq!(check(&kite, "i1", 0), Ok(()));
    assert_eq!(check(&kite, "i1", 500), Ok(()));
    assert_eq!(check(&kite, "i2", 90).map_err(|(code, _)| code), Err("runner_live"));
    assert_eq!(check(&kite, "i2", 91), sleeping());
    let offline = Runner { status: Presence::Offline, ..kite.clone() };
    assert_eq!((check(&offline, "i1", 5), check(&offline, "i2", 5)), (Ok(()), sleeping()));
    let deleting = Runner { status: Presence::Deleting, ..kite };
    assert_eq!(check(&deleting, "i1", 5).map_err(|(code, _)| code), Err("runner_deleting"));
}

#[test]
fn new_runner_is_online_without_a_heartbeat() {
    let new = Runner::register(None, introduction("i2"), time_at(5)).unwrap();
    assert_eq!((new.status, new.epoch, new.last_heartbeat), (Presence::Online, 1, time_at(5)));
    assert_eq!((new.instance.as_str(), new.max, &new.active), ("i2", 3, &BTreeSet::from([job_id("kept")])));
    assert!(new.slots.is_empty() && new.claims.is_empty() && !new.is_draining());
    assert!(!new.has_been_seen());
    assert!(Runner { claims: vec![claim("c1")], ..new.clone() }.has_been_seen(), "it has sent a claim");
    assert!(new.with_heartbeat(heartbeat("i2"), time_at(6)).unwrap().has_been_seen());
}

#[test]
fn same_process_registers_again_as_the_same_runner() {
    let slots = BTreeMap::from([(job_id("j"), slot("c1", 1))]);
    let claims = vec![claim("c1")];
    let old = Runner { slots, claims, draining: true, active: [job_id("j")].into(), ..runner("kite") };
    let expected =
        Runner { last_heartbeat: time_at(5), max: 3, draining: false, active: [job_id("kept")].into(), ..old.clone() };
    // A restart before the runner counts as silent keeps its epoch.
    assert_eq!(Runner::register(Some(&old), introduction("i1"), time_at(5)).unwrap(), expected);
    // After it went Offline, its epoch rises and the spared time is cleared.
    let offline = Runner { status: Presence::Offline, spared_until: Some(time_at(300)), ..old };
    let back = Runner::register(Some(&offline), introduction("i1"), time_at(5)).unwrap();
    assert_eq!(back, Runner { epoch: 2, ..expected });
}

#[test]
fn mailbox_of_the_first_registration_stays() {
    let first = Runner::register(None, introduction("i1"), time_at(0)).unwrap();
    assert_eq!(first.mailbox, Some(introduction("i1").new_mailbox));
    for secs in [5, 200] {
        let other = MailboxId::new("o".repeat(26)).unwrap();
        let next = RunnerRegistration { new_mailbox: other.clone(), ..introduction("i1") };
        assert_eq!(Runner::register(Some(&first), next.clone(), time_at(secs)).unwrap().mailbox, first.mailbox);
        // A runner of an older release gets its mailbox when it registers again.
        let old = Runner { mailbox: None, ..first.clone() };
        assert_eq!(Runner::register(Some(&old), next, time_at(secs)).unwrap().mailbox, Some(other));
    }
}

#[test]
fn takeover_keeps_slots_and_the_requested_drain() {
    let drain = Drain { by: "ana".into(), at: time_at(3), acknowledged: Some(time_at(4)) };
    let slots = BTreeMap::from([(job_id("j"), slot("c1", 1))]);
    let old = Runner { slots: slots.clone(), drain: Some(drain.clone()), draining: true, ..runner("kite") };
    let new = Runner::register(Some(&old), introduction("i2"), time_at(200)).unwrap();
    assert_eq!((new.epoch, new.max, new.slots.clone()), (2, 3, slots));
    assert_eq!((new.instance.as_str(), new.last_heartbeat), ("i2", time_at(200)));
    assert_eq!((new.draining, new.drain.as_ref()), (false, Some(&drain)));
    assert_eq!(new.active, BTreeSet::from([job_id("kept")]));
    assert_eq!(new.with_heartbeat(heartbeat("i1"), time_at(201)).unwrap_err().code(), "runner_replaced");
    assert_eq!(new.check_claim(&instance("i1"), &claim("c"), time_at(201)).unwrap_err().code(), "runner_replaced");
}

#[test]
fn heartbeat_sets_online_and_the_last_one_offline() {
    let offline = Runner { status: Presence::Offline, spared_until: Some(time_at(300)), epoch: 4, ..runner("kite") };
    let back = offline.with_heartbeat(heartbeat("i1"), time_at(200)).unwrap();
    assert_eq!(
        (back.status, back.epoch, back.spared_until, back.has_sent_heartbeat),
        (Presence::Online, 4, None, true)
    );
    let signed_off = back.with_heartbeat(Heartbeat { is_sign_off: true, ..heartbeat("i1") }, time_at(210)).unwrap();
    assert_eq!((signed_off.status, signed_off.epoch), (Presence::Offline, 5));
    let again = signed_off.with_heartbeat(Heartbeat { is_sign_off: true, ..heartbeat("i1") }, time_at(211)).unwrap();
    assert_eq!((again.status, again.epoch), (Presence::Offline, 5));
    let deleting = Runner { status: Presence::Deleting, ..runner("kite") };
    assert_eq!(deleting.with_heartbeat(heartbeat("i1"), time_at(1)).unwrap_err().code(), "runner_deleting");
}

#[test]
fn active_jobs_and_drain_follow_the_last_heartbeat() {
    let last_heartbeat = Heartbeat { active_jobs: [job_id("j")].into(), draining: true, ..heartbeat("i1") };
    let kite = runner("kite").with_heartbeat(last_heartbeat, time_at(5)).unwrap();
    assert_eq!((&kite.active, kite.draining), (&BTreeSet::from([job_id("j")]), true));
    let later = kite.with_heartbeat(heartbeat("i1"), time_at(6)).unwrap();
    assert_eq!((later.active.len(), later.draining), (0, false));
}

#[test]
fn gap_between_heartbeats_begins_a_new_steady_time() {
    let beat = |runner: &Runner, secs| runner.with_heartbeat(heartbeat("i1"), time_at(secs)).unwrap();
    let kite = beat(&beat(&runner("kite"), 30), 75);
    assert_eq!((kite.steady_since, kite.alive_for(time_at(20))), (None, Duration::from_secs(55)));
    let woken = beat(&kite, 121);
    assert_eq!((woken.steady_since, woken.alive_for(time_at(20))), (Some(time_at(121)), Duration::ZERO));
    let later = beat(&woken, 130);
    assert_eq!((later.steady_since, later.alive_for(time_at(20))), (Some(time_at(121)), Duration::from_secs(9)));
    assert_eq!(later.alive_for(time_at(125)), Duration::from_secs(5));
    assert_eq!(Runner { status: Presence::Offline, ..later.clone() }.alive_for(time_at(125)), Duration::ZERO);
    let replaced = Runner::register(Some(&later), introduction("i2"), time_at(300)).unwrap();
    assert_eq!(replaced.steady_since, Some(time_at(300)));
}

#[test]
fn job_without_a_slot_has_ended_for_its_runner() {
    let active = [job_id("held"), job_id("lost")].into();
    let slots = BTreeMap::from([(job_id("held"), slot("c1", 1)), (job_id("new"), slot("c2", 1))]);
    let kite = Runner { active, slots, ..runner("kite") };
    assert_eq!(kite.ended_jobs(), BTreeSet::from([job_id("lost")]));
}

#[test]
fn drain_is_acknowledged_by_the_first_draining_heartbeat() {
    let with_drain =
        Runner { drain: Some(Drain { by: "ana".into(), at: time_at(3), acknowledged: None }), ..runner("kite") };
    let not_yet = with_drain.with_heartbeat(heartbeat("i1"), time_at(4)).unwrap();
    assert_eq!(not_yet.drain.as_ref().unwrap().acknowledged, None);
    let draining = Heartbeat { draining: true, ..heartbeat("i1") };
    let done = not_yet.with_heartbeat(draining.clone(), time_at(5)).unwrap();
    assert_eq!(done.drain.as_ref().unwrap().acknowledged, Some(time_at(5)));
    let later = done.with_heartbeat(draining, time_at(6)).unwrap();
    assert_eq!(later.drain.as_ref().unwrap().acknowledged, Some(time_at(5)));
    // A heartbeat without draining resets it.
    assert_eq!(later.with_heartbeat(heartbeat("i1"), time_at(7)).unwrap().drain.unwrap().acknowledged, None);
}

#[test]
fn clock_behind_does_not_age_the_last_heartbeat() {
    let kite = Runner { last_heartbeat: time_at(100), ..runner("kite") };
    assert_eq!(kite.with_heartbeat(heartbeat("i1"), time_at(70)).unwrap().last_heartbeat, time_at(100));
    assert_eq!(Runner::register(Some(&kite), introduction("i1"), time_at(70)).unwrap().last_heartbeat, time_at(100));
    assert_eq!(kite.with_heartbeat(heartbeat("i1"), time_at(101)).unwrap().last_heartbeat, time_at(101));
}

#[test]
fn busy_runner_sends_heartbeats_three_times_as_often() {
    let idle = runner("kite");
    let secs = |runner: Runner| runner.heartbeat_interval().as_secs();
    assert_eq!(secs(idle.clone()), 30);
    assert_eq!(secs(Runner { slots: [(job_id("j"), slot("c1", 1))].into(), ..idle.clone() }), 10);
    // The runner reports a job that has no slot.
    assert_eq!(secs(Runner { active: [job_id("j")].into(), ..idle }), 10);
}

#[test]
fn runner_claims_only_while_online_and_with_room() {
    let kite = runner("kite");
    let ask = |runner: &Runner, secs| runner.check_claim(&instance("i1"), &claim("c9"), time_at(secs)).unwrap();
    assert_eq!(ask(&kite, 90), None);
    assert_eq!(ask(&kite, 91), Some(NoClaim::Silent));
    assert_eq!(ask(&Runner { status: Presence::Offline, ..kite.clone() }, 1), Some(NoClaim::Silent));
    assert_eq!(ask(&Runner { draining: true, ..kite.clone() }, 1), Some(NoClaim::Draining));
    let drain = Some(Drain { by: "ana".into(), at: time_at(0), acknowledged: None });
    assert_eq!(ask(&Runner { drain, ..kite.clone() }, 1), Some(NoClaim::Draining));
    assert_eq!(
        ask(&Runner { claims: vec![claim("c8"), claim("c9")], ..kite.clone() }, 1),
        Some(NoClaim::AlreadyClaimed)
    );
    let slots = ["a", "b"].map(|name| (job_id(name), slot(name, 0)));
    let full = Runner { slots: slots.into(), ..kite.clone() };
    assert_eq!(ask(&full, 1), Some(NoClaim::Full));
    assert_eq!(full.slot_of_claim(&claim("b")).unwrap().0, &job_id("b"));
    assert_eq!(full.slot_of_claim(&claim("c")), None);
    assert_eq!(ask(&Runner { max: 3, ..full }, 1), None);
}

#[test]
fn answered_claim_is_spent_even_for_a_full_runner() {
    let kite = Runner { claims: vec![claim("c9")], ..runner("kite") };
    let full = Runner { max: 0, ..kite.clone() };
    for kite in [Runner { draining: true, ..kite }, full] {
        assert_eq!(kite.check_claim(&instance("i1"), &claim("c9"), time_at(1)), Ok(Some(NoClaim::AlreadyClaimed)));
        assert_eq!(kite.check_claim(&instance("i1"), &claim("c9"), time_at(91)), Ok(Some(NoClaim::Silent)));
    }
}

#[test]
fn newest_claims_are_remembered() {
    let claims = (0..MIN_REMEMBERED_CLAIMS + 3).map(|number| claim(&format!("c{number}"))).collect::<Vec<_>>();
    let kite = Runner { claims: claims.clone(), ..runner("kite") };
    let updated = kite.with_heartbeat(heartbeat("i1"), time_at(1)).unwrap();
    assert_eq!(updated.claims, claims[3..]);
    assert_eq!(updated.with_heartbeat(heartbeat("i1"), time_at(2)).unwrap().claims, claims[3..]);
    let ask = |number: usize| updated.check_claim(&instance("i1"), &claim(&format!("c{number}")), time_at(2)).unwrap();
    assert_eq!((ask(3), ask(MIN_REMEMBERED_CLAIMS + 3)), (Some(NoClaim::AlreadyClaimed), None));
}

#[test]
fn runner_name_is_url_safe() {
    for good in ["kite", "Kite-2_b.local", &"x".repeat(64)] {
        assert_eq!(validate_name(good), Ok(()), "{good}");
    }
    for bad in ["", "a b", "a/b", "ä", &"x".repeat(65)] {
        assert!(validate_name(bad).is_err(), "{bad}");
    }
}
