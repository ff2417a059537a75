use super::*;
use crate::text::id::ProjectId;
use std::time::Duration;

fn at(text: &str) -> Timestamp {
    let text = if text.ends_with('Z') { text.to_owned() } else { format!("{text}:00Z") };
    Timestamp::parse(&text).unwrap()
}

fn every(every: &str) -> ScheduleSpec {
    ScheduleSpec { analyse: true, every: Some(every.into()), ..ScheduleSpec::default() }
}

fn cron(cron: &str, zone: &str) -> ScheduleSpec {
    ScheduleSpec { analyse: true, cron: Some(cron.into()), zone: Some(zone.into()), ..ScheduleSpec::default() }
}

fn window(window: &str, cooldown: &str, zone: &str) -> ScheduleSpec {
    let (window, cooldown) = (Some(window.into()), Some(cooldown.into()));
    ScheduleSpec { analyse: true, window, cooldown, zone: Some(zone.into()), ..ScheduleSpec::default() }
}

fn named(name: &str, spec: ScheduleSpec) -> Schedule {
    let id = ScheduleId { project: ProjectId::new("acme").unwrap(), name: ScheduleName::new(name).unwrap() };
    Schedule { spec, ..Schedule::new(id, at("2026-01-01T00:00")) }
}

fn active(spec: ScheduleSpec, now: &str) -> Schedule {
    named("nightly", spec).apply(ScheduleCommand::Resume, at(now)).unwrap()
}

fn ran(started: u32, running: u32, refused: u32) -> Outcome {
    Outcome::Ran(Starts { started, running, refused, refusal: "The project is held.".into(), runs: false })
}

/// The minutes of the first times after `now`, in UTC.
#[track_caller]
fn check(spec: ScheduleSpec, now: &str, times: &[&str]) {
    let shown = format!("{spec:?} after {now}");
    let upcoming = named("nightly", spec).upcoming(at(now)).unwrap();
    let found: Vec<_> = upcoming.iter().take(times.len()).map(|time| time.at.to_string()[..16].to_owned()).collect();
    assert_eq!(found, times, "{shown}");
}

#[test]
fn cron_follows_local_time_over_both_clock_changes() {
    let daily = |zone| cron("30 2 * * *", zone);
    // Berlin skips 02:00 to 03:00 on 29 March and repeats it on 25 October.
    check(daily("Europe/Berlin"), "2026-03-28T00:00", &["2026-03-28T01:30", "2026-03-29T01:00", "2026-03-30T00:30"]);
    check(daily("Europe/Berlin"), "2026-10-24T12:00", &["2026-10-25T00:30", "2026-10-26T01:30"]);
    // New York skips 02:00 to 03:00 on 8 March and repeats 01:00 to 02:00 on 1 November.
    check(daily("America/New_York"), "2026-03-07T00:00", &["2026-03-07T07:30", "2026-03-08T07:00", "2026-03-09T06:30"]);
    check(cron("30 1 * * *", "America/New_York"), "2026-10-31T12:00", &["2026-11-01T05:30", "2026-11-02T06:30"]);
    // Lord Howe changes by half an hour: it skips 02:00 to 02:30 on 4 October and repeats 01:30 to 02:00 on 5 April.
    check(cron("10 2 * * *", "Australia/Lord_Howe"), "2026-10-03T00:00", &["2026-10-03T15:30", "2026-10-04T15:10"]);
    check(cron("45 1 * * *", "Australia/Lord_Howe"), "2026-04-04T00:00", &["2026-04-04T14:45", "2026-04-05T15:15"]);
    check(daily("UTC"), "2026-03-29T02:30", &["2026-03-30T02:30", "2026-03-31T02:30"]);
}

#[test]
fn half_hourly_cron_counts_a_repeated_hour_once() {
    let spec = || cron("*/30 1-3 * * *", "Europe/Berlin");
    let spring = ["2026-03-29T00:00", "2026-03-29T00:30", "2026-03-29T01:00", "2026-03-29T01:30", "2026-03-29T23:00"];
    check(spec(), "2026-03-28T22:00", &["2026-03-29T00:00"]);
    check(spec(), "2026-03-28T23:59", &spring);
    let autumn = ["2026-10-25T00:00", "2026-10-25T00:30", "2026-10-25T02:00", "2026-10-25T02:30"];
    check(spec(), "2026-10-24T23:30", &autumn);
    check(spec(), "2026-10-25T01:10", &autumn[2..]);
}

#[test]
fn cron_matches_as_vixie_cron() {
    check(cron("0 3 * * 1-5", "UTC"), "2026-11-27T03:00", &["2026-11-30T03:00", "2026-12-01T03:00"]);
    check(cron("0 0 13 * 5", "UTC"), "2026-11-11T00:00", &["2026-11-13T00:00", "2026-11-20T00:00"]);
    check(cron("0 0 29 2 *", "UTC"), "2026-01-01T00:00", &["2028-02-29T00:00", "2032-02-29T00:00"]);
    check(cron("0 0 1 jul wed", "UTC"), "2026-07-01T00:00", &["2026-07-08T00:00", "2026-07-15T00:00"]);
    check(cron("5,50 */12 * * sun", "UTC"), "2026-11-29T00:05", &["2026-11-29T00:50", "2026-11-29T12:05"]);
}

#[test]
fn interval_counts_elapsed_time() {
    check(every("6h"), "2026-03-29T00:10", &["2026-03-29T06:10", "2026-03-29T12:10"]);
    let schedule = active(every("6h"), "2026-11-29T00:00");
    let schedule = schedule.finish(ran(1, 0, 0), at("2026-11-29T06:00:40Z")).unwrap();
    assert_eq!(schedule.next, Some(at("2026-11-29T12:00")), "the time of a late start does not add up");
}

/// The window of a schedule around its first time after `now`.
#[track_caller]
fn check_window(spec: &ScheduleSpec, now: &str, opens: &str, closes: &str) {
    for name in ["a", "b", "nightly", "x-1", "weekly", "c", "d", "e"] {
        let first = named(name, spec.clone()).upcoming(at(now)).unwrap()[0].at;
        assert!(first >= at(opens) && first < at(closes), "{name}: {first} is not in {opens} to {closes}");
    }
}

#[test]
fn window_keeps_to_local_time_over_both_clock_changes() {
    let nightly = |zone| window("02:00-02:59", "20h", zone);
    for (zone, now, opens, closes) in [
        ("UTC", "2026-11-29T03:00", "2026-11-30T02:00", "2026-11-30T03:00"),
        ("UTC", "2026-11-29T02:58", "2026-11-29T02:58", "2026-11-29T02:59"),
        ("Europe/Berlin", "2026-11-29T03:00", "2026-11-30T01:00", "2026-11-30T02:00"),
        // The whole window is skipped, so it follows the gap.
        ("Europe/Berlin", "2026-03-28T12:00", "2026-03-29T01:00", "2026-03-29T02:00"),
        ("Europe/Berlin", "2026-10-24T12:00", "2026-10-25T00:00", "2026-10-25T02:00"),
        ("America/New_York", "2026-03-07T12:00", "2026-03-08T07:00", "2026-03-08T08:00"),
        ("America/New_York", "2026-10-31T12:00", "2026-11-01T07:00", "2026-11-01T08:00"),
        // Half of the window is skipped.
        ("Australia/Lord_Howe", "2026-10-03T04:00", "2026-10-03T15:30", "2026-10-03T16:00"),
        ("Australia/Lord_Howe", "2026-04-04T04:00", "2026-04-04T15:30", "2026-04-04T16:30"),
    ] {
        check_window(&nightly(zone), now, opens, closes);
    }
    check_window(&window("23:30-00:29", "20h", "UTC"), "2026-11-29T00:10", "2026-11-29T00:10", "2026-11-29T00:30");
    check_window(&window("23:30-00:29", "20h", "UTC"), "2026-11-29T00:30", "2026-11-29T23:30", "2026-11-30T00:30");
    check_window(&window("00:00-23:59", "1h", "UTC"), "2026-11-29T10:00", "2026-11-29T10:00", "2026-11-30T00:00");
}

#[test]
fn names_spread_over_a_window() {
    let first =
        |name: &str| named(name, window("02:00-02:59", "20h", "UTC")).upcoming(at("2026-11-29T12:00")).unwrap()[0].at;
    let minutes: std::collections::BTreeSet<_> =
        (0..40).map(|n| first(&format!("n{n}")).to_string()[14..16].to_owned()).collect();
    assert!(minutes.len() > 15, "{minutes:?}");
}

#[test]
fn cooldown_counts_from_the_last_start() {
    let schedule = active(window("02:00-02:59", "20h", "UTC"), "2026-11-29T12:00");
    let first = schedule.next.unwrap();
    let schedule = schedule.finish(ran(2, 0, 0), first).unwrap();
    assert_eq!(schedule.next, Some(first.plus(Duration::from_secs(86_400))));
    let slow = window("02:00-02:59", "7d", "UTC");
    let schedule = schedule.set_spec(slow, first).unwrap();
    let day = |day: u64| first.plus(Duration::from_secs(day * 86_400));
    assert!(schedule.next >= Some(day(7)) && schedule.next < Some(day(7).plus(Duration::from_secs(3_600))));
    // A missed time does not count.
    let schedule = Schedule { next: Some(day(7)), ..schedule };
    let schedule = schedule.finish(Outcome::Missed, day(7).plus(Duration::from_secs(8 * 3_600))).unwrap();
    assert_eq!(schedule.next.unwrap().day(), day(8).day());
}

#[test]
fn late_start_is_possible_within_an_hour_or_the_window() {
    for (spec, due, now, is_in_time) in [
        (every("6h"), "2026-11-29T06:00", "2026-11-29T07:00", true),
        (every("6h"), "2026-11-29T06:00", "2026-11-29T07:01", false),
        // The last of many missed times counts.
        (every("5m"), "2026-11-28T06:00", "2026-11-29T07:01", true),
        (every("2h"), "2026-11-29T00:00", "2026-11-29T04:30", true),
        (cron("0 3 * * *", "UTC"), "2026-11-28T03:00", "2026-11-29T03:20", true),
        (cron("0 3 * * *", "UTC"), "2026-11-28T03:00", "2026-11-29T04:20", false),
        (window("02:00-02:59", "20h", "UTC"), "2026-11-29T02:05", "2026-11-29T02:59", true),
        (window("02:00-02:59", "20h", "UTC"), "2026-11-29T02:50", "2026-11-29T03:01", true),
        (window("02:00-02:59", "20h", "UTC"), "2026-11-29T02:50", "2026-11-29T03:02", false),
        (window("22:00-03:59", "20h", "UTC"), "2026-11-28T22:05", "2026-11-29T03:59", true),
    ] {
        let schedule = Schedule { next: Some(at(due)), ..named("nightly", spec.clone()) };
        assert_eq!(schedule.is_in_time(at(now)), Ok(is_in_time), "{spec:?} due at {due}, now {now}");
        assert_eq!(Schedule { begun: true, ..schedule }.is_in_time(at(now)), Ok(true), "begun starts continue");
    }
}

#[test]
fn paused_schedule_is_not_due_until_it_is_resumed() {
    let (now, schedule) = (at("2026-11-29T12:00"), named("nightly", ScheduleSpec::default()));
    let schedule = schedule.set_spec(every("6h"), now).unwrap();
    assert_eq!((schedule.paused, schedule.next), (true, None), "a new schedule is paused");
    assert_eq!(schedule.upcoming(now).unwrap().len(), 5);
    let schedule = schedule.apply(ScheduleCommand::Resume, now).unwrap();
    assert_eq!(schedule.next, Some(at("2026-11-29T18:00")));
    let schedule = schedule.set_spec(every("1h"), now).unwrap();
    assert_eq!((schedule.paused, schedule.next), (false, Some(at("2026-11-29T13:00"))), "a change keeps the state");
    let schedule = schedule.apply(ScheduleCommand::Pause, now).unwrap();
    assert_eq!(schedule.next, None);
    let schedule = schedule.apply(ScheduleCommand::Run, now).unwrap();
    assert_eq!((schedule.paused, schedule.next), (true, Some(now)), "a paused schedule starts on request");
    let schedule = schedule.finish(ran(1, 0, 0), now).unwrap();
    assert_eq!((schedule.paused, schedule.next), (true, None));
}

#[test]
fn window_starts_each_night_though_the_sweeper_is_late() {
    let minute = Duration::from_secs(60);
    for (spec, name) in ["02:00-02:59", "02:00-02:01", "02:00-02:00", "23:30-00:29"]
        .into_iter()
        .flat_map(|spec| [spec].into_iter().cycle().zip(["a", "b", "nightly", "x-1", "weekly", "c", "d", "e"]))
    {
        let mut now = at("2026-11-29T12:00:41Z");
        let schedule = named(name, window(spec, "24h", "UTC"));
        let mut schedule = schedule.apply(ScheduleCommand::Resume, now).unwrap();
        let mut times = Vec::new();
        for _ in 0..10 * 24 * 60 {
            now = now.plus(minute);
            if schedule.is_due(now) {
                assert_eq!(schedule.is_in_time(now), Ok(true), "{spec} {name} {now}");
                schedule = schedule.finish(ran(1, 0, 0), now).unwrap();
                times.push(schedule.last.clone().unwrap().at);
            }
        }
        assert_eq!(times.len(), 10, "{spec} {name}");
        let days: Vec<_> = (0..10).map(|day| times[0].plus(Duration::from_secs(day * 86_400))).collect();
        assert_eq!(times, days, "{spec} {name}: no night is later than the one before");
    }
}

#[test]
fn repeated_put_and_resume_do_not_move_the_next_time() {
    let schedule = Schedule { rev: 1, ..active(every("6h"), "2026-11-29T12:00") };
    let later = at("2026-11-29T15:00");
    assert_eq!(schedule.clone().set_spec(every("6h"), later), Ok(schedule.clone()));
    assert_eq!(schedule.clone().apply(ScheduleCommand::Resume, later), Ok(schedule));
}

#[test]
fn run_of_an_overdue_schedule_is_due_now() {
    let schedule = active(every("6h"), "2026-11-29T12:00");
    for (now, due) in [("2026-11-29T18:30", "2026-11-29T18:00"), ("2026-11-29T22:00", "2026-11-29T22:00")] {
        let run = schedule.clone().apply(ScheduleCommand::Run, at(now)).unwrap();
        assert_eq!((run.next, run.is_in_time(at(now))), (Some(at(due)), Ok(true)), "at {now}");
    }
}

#[test]
fn missed_time_is_the_latest_one() {
    let schedule = active(every("6h"), "2026-11-29T00:00");
    let missed = schedule.finish(Outcome::Missed, at("2026-11-30T05:00")).unwrap();
    assert_eq!(missed.last.unwrap().at, at("2026-11-30T00:00"));
}

#[test]
fn five_failures_in_a_row_pause_a_schedule() {
    let mut schedule = active(every("5m"), "2026-11-29T12:00");
    let mut finish = |outcome, sentence: &str| {
        let due = schedule.next.unwrap();
        schedule = schedule.clone().finish(outcome, due).unwrap();
        assert_eq!(schedule.result().unwrap(), sentence);
        if schedule.paused {
            assert_eq!(schedule.next, None);
            schedule = schedule.clone().apply(ScheduleCommand::Resume, due).unwrap();
        }
    };
    (0..4).for_each(|_| finish(ran(0, 0, 2), "The project is held."));
    finish(ran(0, 2, 0), "Analyses started: 0, still running: 2.");
    (0..4).for_each(|_| finish(ran(0, 0, 2), "The project is held."));
    // A missed time is neither a failure nor a success.
    finish(Outcome::Missed, "Missed, because the server was down.");
    finish(ran(0, 0, 2), "Paused after 5 failures in a row: The project is held.");
    finish(ran(0, 0, 2), "The project is held.");
    finish(ran(3, 1, 1), "Analyses started: 3, still running: 1, refused: 1. The project is held.");
}

#[test]
fn faulty_times_name_their_field() {
    let with = |change: fn(&mut ScheduleSpec)| {
        let mut spec = every("6h");
        change(&mut spec);
        spec
    };
    for (spec, pointer) in [
        (with(|spec| spec.analyse = false), "/analyse"),
        (with(|spec| spec.every = None), "/every"),
        (with(|spec| spec.cron = Some("0 3 * * *".into())), "/every"),
        (with(|spec| spec.cooldown = Some("20h".into())), "/every"),
        (every("4m"), "/every"),
        (every("32d"), "/every"),
        (every("90s"), "/every"),
        (with(|spec| spec.zone = Some("Berlin".into())), "/zone"),
        (with(|spec| spec.zone = Some("../etc/passwd".into())), "/zone"),
        (cron("0 3 * *", "UTC"), "/cron"),
        (cron("0 3 * * 1 Asia/Tokyo", "UTC"), "/cron"),
        (cron("60 3 * * *", "UTC"), "/cron"),
        (cron("0 3 30 2 *", "UTC"), "/cron"),
        (cron("0 0 L * *", "UTC"), "/cron"),
        (cron("0 0 * * 5l", "UTC"), "/cron"),
        (cron("0 0 15W * *", "UTC"), "/cron"),
        (cron("0 0 * * 5#2", "UTC"), "/cron"),
        (cron("*/4 * * * *", "UTC"), "/cron"),
        (cron(&format!("0{} 3 * * *", ",0".repeat(100)), "UTC"), ""),
        (window("2-3", "20h", "UTC"), "/window"),
        (window("02:00-24:00", "20h", "UTC"), "/window"),
        (window("02:00-02:59", "", "UTC"), "/cooldown"),
        (window("02:00-02:59", "1m", "UTC"), "/cooldown"),
        (ScheduleSpec { cooldown: None, ..window("02:00-02:59", "", "UTC") }, "/cooldown"),
    ] {
        let fault = named("nightly", ScheduleSpec::default()).set_spec(spec.clone(), at("2026-11-29T12:00"));
        assert_eq!(fault.unwrap_err().pointer, pointer, "{spec:?}");
    }
}

#[test]
fn times_and_labels_are_local() {
    let upcoming = named("nightly", cron("0 3 * * *", "Europe/Berlin")).upcoming(at("2026-10-23T12:00")).unwrap();
    assert_eq!(upcoming[0].local, "2026-10-24 03:00");
    assert_eq!(upcoming[2].local, "2026-10-26 03:00");
    let labels = [every("6h"), cron("0 3 * * 1-5", "Europe/Berlin"), window("02:00-02:59", "20h", "Asia/Tokyo")];
    let labels = labels.map(|spec| spec.label());
    assert_eq!(labels, ["every 6h, UTC", "0 3 * * 1-5, Europe/Berlin", "02:00-02:59, cooldown 20h, Asia/Tokyo"]);
}

#[test]
fn clock_that_was_set_back_does_not_delay_the_next_time() {
    let ran_at = |spec, now: &str| active(spec, "2026-11-30T00:00").finish(ran(1, 0, 0), at(now)).unwrap();
    for (spec, next) in [(every("6h"), "2026-10-31T18:00"), (cron("30 2 * * *", "UTC"), "2026-11-01T02:30")] {
        let schedule = ran_at(spec, "2026-12-01T00:00");
        let back = schedule.after_clock_was_set_back(at("2026-10-31T12:00")).unwrap().unwrap();
        assert_eq!(back.next, Some(at(next)));
        assert_eq!(back.after_clock_was_set_back(at("2026-10-31T12:00")), Ok(None), "once");
        // Servers' clocks differ a little.
        let last = schedule.last.as_ref().unwrap().at;
        assert_eq!(schedule.after_clock_was_set_back(last), Ok(None));
        assert_eq!(schedule.after_clock_was_set_back(Timestamp::from_millis(last.millis() - 60_000)), Ok(None));
    }
    let new = Schedule { created: at("2026-11-30T00:00"), ..active(every("6h"), "2026-11-30T00:00") };
    let back = new.after_clock_was_set_back(at("2026-10-31T12:00")).unwrap().unwrap();
    assert_eq!(back.next, Some(at("2026-10-31T18:00")), "a schedule that never ran");
    let paused = new.apply(ScheduleCommand::Pause, at("2026-11-30T00:00")).unwrap();
    assert_eq!(paused.after_clock_was_set_back(at("2026-10-31T12:00")), Ok(None));
}
