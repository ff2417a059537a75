use super::*;
use crate::project::tracker::{ToolStatus, TrackerKind};

#[track_caller]
fn check(change: impl FnOnce(&mut Settings), expected: Result<(), &str>) {
    let mut settings = Settings::default();
    change(&mut settings);
    settings.statuses = settings.statuses.with_missing_columns();
    assert_eq!(settings.validate().map_err(|fault| fault.pointer), expected);
}

#[test]
fn default_settings_are_valid_and_the_published_ones() {
    check(|_| (), Ok(()));
    let settings = Settings::default();
    let Statuses { todo, trigger, completion, .. } = &settings.statuses;
    assert_eq!([todo.as_str(), trigger, completion], ["Todo", "AI Processing", "In Review"]);
    assert!(!settings.auto_create, "auto-create is off by default");
    assert_eq!((settings.offline, settings.compute), (OfflinePolicy::Fail, Compute::Fargate));
    assert_eq!(serde_json::from_str::<Settings>("{}").unwrap(), settings);
}

#[test]
fn unknown_settings_are_rejected() {
    for text in [r#"{"auto_craete":true}"#, r#"{"statuses":{"done":"Done"}}"#, r#"{"limits":{"hours":1}}"#] {
        assert!(serde_json::from_str::<Settings>(text).is_err(), "{text}");
    }
}

#[test]
fn each_status_has_1_to_64_printable_characters() {
    type Status = fn(&mut Settings) -> &mut String;
    let statuses: [(Status, &str); 3] = [
        (|settings| &mut settings.statuses.todo, "/statuses/todo"),
        (|settings| &mut settings.statuses.trigger, "/statuses/trigger"),
        (|settings| &mut settings.statuses.completion, "/statuses/completion"),
    ];
    for (status, pointer) in statuses {
        let with = |text: String, expected| check(|settings| *status(settings) = text, expected);
        for bad in ["", " ", "a\nb", "a\u{7f}"] {
            with(bad.into(), Err(pointer));
        }
        with("日".repeat(65), Err(pointer));
        with("日".repeat(64), Ok(()));
        with("x".into(), Ok(()));
    }
}

#[test]
fn settings_that_would_loop_are_rejected() {
    check(|settings| settings.statuses.todo = "AI Processing".into(), Err("/statuses/todo"));
    check(|settings| settings.statuses.completion = "AI Processing".into(), Err("/statuses/completion"));
    check(|settings| settings.statuses.trigger = "Todo".into(), Err("/statuses/todo"));
    check(|settings| settings.statuses.trigger = "In Review".into(), Err("/statuses/completion"));
    check(|settings| settings.statuses.completion = "Todo".into(), Ok(()));
}

#[test]
fn limits_have_bounds() {
    type Limit = fn(&mut Limits, u64);
    let limits: [(Limit, &str, u64, u64); 7] = [
        (|limits, to| limits.wall_secs = to, "/limits/wall_secs", 60, 86_400),
        (|limits, to| limits.stall_secs = to, "/limits/stall_secs", 10, 86_400),
        (|limits, to| limits.cost_usd_micros = Some(to), "/limits/cost_usd_micros", 10_000, 1_000_000_000),
        (|limits, to| limits.turns = u32::try_from(to).ok(), "/limits/turns", 1, 10_000),
        (|limits, to| limits.unclaimed_secs = to, "/limits/unclaimed_secs", 900, 604_800),
        (|limits, to| limits.ticket_jobs = u32::try_from(to).ok(), "/limits/ticket_jobs", 1, 10_000),
        (|limits, to| limits.input_secs = to, "/limits/input_secs", 60, 2_592_000),
    ];
    for (times, expected) in [(0, Ok(())), (10, Ok(())), (11, Err("/limits/requeues"))] {
        check(|settings| settings.limits.requeues = times, expected);
    }
    for (limit, pointer, least, most) in limits {
        for (to, expected) in [(least - 1, Err(pointer)), (least, Ok(())), (most, Ok(())), (most + 1, Err(pointer))] {
            check(|settings| limit(&mut settings.limits, to), expected);
        }
    }
}

#[test]
fn ticket_limit_is_at_least_the_reservation_of_a_job() {
    let pointer = "/limits/ticket_usd_micros";
    for (limit, per_job, expected) in [
        (9_999, 0, Err(pointer)),
        (10_000, 10_000, Ok(())),
        (1_000_000_000_000, 5_000_000, Ok(())),
        (1_000_000_000_001, 5_000_000, Err(pointer)),
        (4_999_999, 5_000_000, Err(pointer)),
        // The default of a project that reserves more: its limit is the reservation.
        (50_000_000, 60_000_000, Ok(())),
    ] {
        let change = |settings: &mut Settings| {
            settings.limits.ticket_usd_micros = Some(limit);
            settings.budget.usd_micros_per_job = per_job;
        };
        check(change, expected);
    }
    check(|settings| settings.limits.ticket_usd_micros = None, Ok(()));
    let read = |text: &str| serde_json::from_str::<Settings>(text).unwrap().limits;
    assert_eq!((read("{}").ticket_usd_micros, read("{}").ticket_jobs), (Some(50_000_000), Some(20)));
    let none = read(r#"{"limits":{"ticket_usd_micros":null,"ticket_jobs":null}}"#);
    assert_eq!((none.ticket_usd_micros, none.ticket_jobs), (None, None));
}

#[test]
fn overflow_time_has_bounds_and_is_below_the_wait_limit() {
    for (secs, expected) in
        [(59, Err("/overflow_after_secs")), (60, Ok(())), (3_600, Ok(())), (3_601, Err("/overflow_after_secs"))]
    {
        check(|settings| settings.overflow_after_secs = secs, expected);
    }
    for (compute, secs, expected) in [
        (Compute::RunnersThenFargate, 300, Ok(())),
        (Compute::RunnersThenFargate, 301, Err("/overflow_after_secs")),
        (Compute::Runners, 301, Ok(())),
    ] {
        let change = |settings: &mut Settings| {
            (settings.compute, settings.overflow_after_secs, settings.limits.unclaimed_secs) = (compute, secs, 1_200);
        };
        check(change, expected);
    }
}

#[test]
fn hold_reason_and_closed_statuses_have_bounds() {
    let closed = |count: usize| (0..count).map(|number| format!("Closed {number}")).collect::<BTreeSet<_>>();
    check(|settings| settings.statuses.closed = closed(50), Ok(()));
    check(|settings| settings.statuses.closed = closed(61), Err("/statuses/closed"));
    check(|settings| settings.statuses.closed = [" ".to_owned()].into(), Err("/statuses/closed"));
    check(|settings| settings.held_by = Some(" ".into()), Err("/held_by"));
    check(|settings| settings.held_reason = Some("日".repeat(200)), Ok(()));
    for bad in ["日".repeat(201), " ".into(), "a\nb".into()] {
        check(|settings| settings.held_reason = Some(bad), Err("/held_reason"));
    }
    check(|settings| settings.tool_account = Some("bot".into()), Ok(()));
    check(|settings| settings.tool_account = Some(" ".into()), Err("/tool_account"));
}

#[test]
fn closed_status_must_not_be_a_workflow_status() {
    let statuses = Statuses::default();
    assert!(statuses.is_closed("Done") && statuses.is_closed("Closed") && !statuses.is_closed("Doing"));
    for statuses in [
        Statuses { todo: "Done".into(), ..Statuses::default() },
        Statuses { trigger: "Done".into(), ..Statuses::default() },
        Statuses { completion: "Done".into(), ..Statuses::default() },
    ] {
        assert!(!statuses.is_closed("Done") && statuses.is_closed("Closed"), "{statuses:?}");
    }
}

#[test]
fn first_holder_of_a_project_is_named_until_release() {
    let before = Settings { auto_create: true, ..Settings::default() };
    let held = before.clone().hold("ann", "a freeze").hold("ben", "another");
    assert_eq!((held.held_by.as_deref(), held.held_reason.as_deref()), (Some("ann"), Some("a freeze")));
    assert_eq!(held.clone().normalize(), held);
    assert_eq!(held.clone().release(), before);
    // A reason without a hold is removed.
    assert_eq!(Settings { held_by: None, ..held }.normalize(), before);
    let long = Settings::default().hold(&"n".repeat(200), "a freeze");
    assert_eq!(long.validate(), Ok(()));
}

#[test]
fn repository_inherits_the_agent_of_its_project() {
    let settings = Settings { agent: Some("codex".into()), model: Some("gpt-5".into()), ..Settings::default() };
    let repository = Repository { agent: Agent::project_default(), workflows: true, ..crate::fixtures::repository() };
    let agent = Agent { capability: "codex".into(), command: Vec::new(), model: Some("gpt-5".into()) };
    assert_eq!(repository.clone().resolve_agent(&settings), Repository { agent, ..repository });
}

#[test]
fn only_repository_becomes_the_default_once() {
    let (settings, one) = (Settings::default(), crate::fixtures::repository());
    let chosen = settings.with_only_repository(std::slice::from_ref(&one)).unwrap();
    assert_eq!(chosen.default_repository.as_ref(), Some(&one.name));
    assert_eq!(chosen.with_only_repository(std::slice::from_ref(&one)), None, "it has a default");
    assert_eq!(settings.with_only_repository(&[one.clone(), one]), None, "none of several is chosen");
    assert_eq!(settings.with_only_repository(&[]), None);
}

/// Columns from a comma-separated list, in which `!` marks the closed ones. The flow is a, b, c.
fn statuses(list: &str) -> Statuses {
    let [todo, trigger, completion] = ["a", "b", "c"].map(str::to_owned);
    let closed = list.split(',').filter_map(|name| name.strip_prefix('!')).map(str::to_owned).collect();
    let columns = list.split(',').map(|name| name.trim_start_matches('!').to_owned()).collect();
    Statuses { todo, trigger, completion, merged: None, unmerged: None, closed, columns, allow_others: false }
}

#[test]
fn settings_without_columns_derive_them_and_accept_every_status() {
    let stored = r#"{"statuses":{"todo":"a","trigger":"b","completion":"c","closed":["d"]}}"#;
    let loaded = serde_json::from_str::<Settings>(stored).unwrap();
    assert_eq!(loaded.statuses, Statuses { allow_others: true, ..statuses("a,b,c,!d") });
    assert_eq!(loaded.validate(), Ok(()));
    assert_eq!(serde_json::from_value::<Settings>(serde_json::to_value(&loaded).unwrap()).unwrap(), loaded);
    assert!(!Settings::default().statuses.accepts("d"), "a new project accepts its columns only");
}

#[test]
fn columns_are_distinct_and_contain_each_status_with_a_meaning() {
    let valid = |list: &str| {
        let settings = Settings { statuses: statuses(list), ..Settings::default() };
        settings.validate().map_err(|bad| (bad.pointer, bad.fault.into_owned()))
    };
    assert_eq!(valid("a,b,c,!d,e"), Ok(()));
    let many = (0..58).map(|n| format!(",x{n}")).collect::<String>();
    for (list, pointer, expected) in [
        ("a,b,c,A ", "/statuses/columns", "already a column"),
        ("a,b,c, ", "/statuses/columns", "name at most 60"),
        (&format!("a,b,c{many}"), "/statuses/columns", "name at most 60"),
        ("b,c,x", "/statuses/todo", "the project has no column a; its columns: b, c, x"),
    ] {
        let (at, fault) = valid(list).unwrap_err();
        assert!(at == pointer && fault.contains(expected), "{list}: {at} {fault}");
    }
}

#[test]
fn columns_are_changed_one_at_a_time() {
    use ColumnChange::{Add, Close, Down, Remove, Reopen, Up};
    let check = |change, name: &str, expected: Result<&str, &str>| {
        let changed = statuses("a,b,c,!d").change_column(change, name).map_err(|bad| bad.fault.into_owned());
        match expected {
            Ok(list) => assert_eq!(changed.as_ref(), Ok(&statuses(list)), "{change:?} {name}"),
            Err(fault) => assert!(changed.unwrap_err().contains(fault), "{change:?} {name}"),
        }
    };
    check(Add, "e", Ok("a,b,c,!d,e"));
    check(Up, "c", Ok("a,c,b,!d"));
    check(Up, "a", Ok("a,b,c,!d"));
    check(Down, "c", Ok("a,b,!d,c"));
    check(Down, "d", Ok("a,b,c,!d"));
    check(Reopen, "d", Ok("a,b,c,d"));
    check(Close, "d", Ok("a,b,c,!d"));
    check(Remove, "d", Ok("a,b,c"));
    check(Remove, "a", Err("tickets go to a after a failed job"));
    check(Close, "b", Err("tickets go to b to start a job"));
    let merged = Statuses { merged: Some("d".into()), ..statuses("a,b,c,!d") };
    assert!(merged.clone().change_column(Remove, "d").unwrap_err().fault.contains("after its pull request was merged"));
    assert!(merged.change_column(Reopen, "d").is_ok());
    check(Remove, "dd", Err("the project has no column dd; did you mean d? Its columns: a, b, c, d"));
}

#[test]
fn renamed_column_keeps_its_place_and_meaning() {
    let renamed = |from: &str, to: &str| statuses("a,b,c,!d").rename_column(from, to).map_err(|bad| bad.pointer);
    let trigger = Statuses { trigger: "B".into(), ..statuses("a,B,c,!d") };
    assert_eq!(renamed("b", "B"), Ok(trigger.clone()));
    assert_eq!(trigger.clone().rename_column("b", "B"), Ok(trigger), "a repeat");
    assert_eq!(renamed("d", "e"), Ok(statuses("a,b,c,!e")));
    assert_eq!((renamed("x", "y"), renamed("a", "d")), (Err("/from"), Err("/to")));
}

#[test]
fn merged_and_closed_pull_requests_have_columns_by_default() {
    let custom = |merged: Option<&str>, unmerged: Option<&str>| Statuses {
        merged: merged.map(str::to_owned),
        unmerged: unmerged.map(str::to_owned),
        ..statuses("a,b,c,!d,Done")
    };
    for (statuses, after_merge, after_close) in [
        (custom(None, None), Some("Done"), "a"),
        (custom(Some("d"), Some("c")), Some("d"), "c"),
        (statuses("a,b,c"), None, "a"),
        (Statuses { trigger: "Done".into(), ..custom(None, None) }, None, "a"),
    ] {
        assert_eq!((statuses.after_merge(), statuses.after_close()), (after_merge, after_close), "{statuses:?}");
    }
    let fault = |merged, unmerged| {
        let settings = Settings { statuses: custom(merged, unmerged), ..Settings::default() };
        settings.validate().map_err(|bad| (bad.pointer, bad.fault.into_owned()))
    };
    assert_eq!(fault(Some("d"), Some("c")), Ok(()));
    for (merged, unmerged, pointer, expected) in [
        (Some("x"), None, "/statuses/merged", "no column x"),
        (Some("b"), None, "/statuses/merged", "must differ from the trigger status"),
        (None, Some(""), "/statuses/unmerged", "1 to 64 printable characters"),
    ] {
        let (at, fault) = fault(merged, unmerged).unwrap_err();
        assert!(at == pointer && fault.contains(expected), "{at} {fault}");
    }
    let renamed = custom(Some("d"), Some("c")).rename_column("d", "Shipped").unwrap();
    assert_eq!((renamed.after_merge(), renamed.after_close()), (Some("Shipped"), "c"));
}

#[test]
fn repeated_choice_finds_renamed_statuses_by_id() {
    let status = |id: &str, name: &str| ToolStatus { id: id.into(), name: name.into(), closes: id == "4" };
    let [old, new] = [["Todo", "AI", "Review", "Done"], ["Backlog", "Robot", "Look", "Shipped"]]
        .map(|names| (1..).zip(names).map(|(id, name)| status(&id.to_string(), name)).collect::<Vec<_>>());
    let mut tool = TrackerSettings::new(TrackerKind::ALL[1], IntegrationId::new("tool").unwrap());
    let named = ToolChoice {
        todo: Some("Todo".into()),
        trigger: Some("AI".into()),
        completion: Some("Review".into()),
        merged: Some("Done".into()),
        ..ToolChoice::new(tool.connection.clone())
    };
    let before = named.choose_from(&old, &Statuses::default(), None).unwrap();
    tool.statuses = old.iter().map(|status| [status.id.clone(), status.name.clone()]).collect();
    let bare = ToolChoice::new(tool.connection.clone());
    let after = bare.choose_from(&new, &before, Some(&tool)).unwrap();
    assert_eq!((&*after.todo, &*after.trigger, &*after.completion), ("Backlog", "Robot", "Look"));
    assert_eq!((after.merged.as_deref(), after.closed), (Some("Shipped"), ["Shipped".to_owned()].into()));
    // A status that is gone has no meaning any more.
    let refused = bare.choose_from(&new[..3], &before, Some(&tool)).unwrap_err();
    assert_eq!((refused.pointer, refused.fault.contains("no status Done")), ("/merged", true));
}
