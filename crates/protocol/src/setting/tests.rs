use super::*;
use std::collections::BTreeSet;

fn list_paths(value: &Value, under: &str, paths: &mut Vec<String>) {
    let Value::Object(group) = value else { return paths.push(under.trim_start_matches('.').to_owned()) };
    group.iter().for_each(|(name, value)| list_paths(value, &format!("{under}.{name}"), paths));
}

fn setting(name: &str) -> &'static Setting {
    Setting::find(name).unwrap()
}

#[test]
fn table_has_exactly_the_settings_of_the_type() {
    let mut paths = Vec::new();
    list_paths(&DEFAULTS, "", &mut paths);
    let tabled = SETTINGS.iter().map(|setting| setting.path.to_owned()).collect::<BTreeSet<_>>();
    assert_eq!(tabled, paths.into_iter().collect());
    assert_eq!(tabled.len(), SETTINGS.len(), "a setting occurs twice");
}

#[test]
fn each_default_and_choice_is_a_value_that_users_can_write() {
    for setting in SETTINGS {
        let default = setting.default_value();
        assert_eq!(setting.parse(&setting.format(default)).as_ref(), Some(default), "{}", setting.path);
        let cleared = if setting.is_optional() { &Value::Null } else { default };
        assert_eq!(setting.parse("null").as_ref(), Some(cleared), "{}", setting.path);
        for code in setting.kind.codes() {
            assert!(setting.parse(code).is_some(), "{} {code}", setting.path);
        }
        let ends = |text: &str| text.ends_with('.') && !text.ends_with("..");
        assert!(ends(setting.meaning) && !setting.label.is_empty(), "{}", setting.path);
    }
}

#[test]
fn optional_setting_with_a_default_can_have_no_value() {
    let with_default = SETTINGS.iter().filter(|setting| setting.is_optional() && !setting.default_value().is_null());
    let with_default = with_default.map(|setting| setting.path).collect::<Vec<_>>();
    assert_eq!(with_default, ["limits.ticket_usd_micros", "limits.ticket_jobs"]);
    assert!(SETTINGS.iter().filter(|setting| setting.default_value().is_null()).all(Setting::is_optional));
    for name in ["limits.ticket_usd", "limits.ticket_jobs"] {
        for text in ["null", "", " "] {
            assert_eq!(setting(name).parse(text), Some(Value::Null), "{name}={text}");
        }
    }
    assert_eq!(setting("limits.wall_secs").parse("null"), Some(3_600.into()));
    assert_eq!(setting("limits.wall_secs").parse(""), None);
}

#[test]
fn values_are_parsed_and_formatted_in_the_unit_of_users() {
    for (name, text, json, formatted) in [
        ("limits.wall_secs", "1800", "1800", "30 min"),
        ("limits.wall_secs", "90s", "90", "90 s"),
        ("limits.wall_secs", " 2 h ", "7200", "2 h"),
        ("limits.input_secs", "7d", "604800", "7 d"),
        ("limits.stall_secs", "0", "0", "0 s"),
        ("limits.cost_usd", "2.5", "2500000", "2.50"),
        ("budget.usd_per_job", "0.000001", "1", "0.000001"),
        ("limits.turns", "", "null", ""),
        ("statuses.closed", "Done\r\n\n Closed ", r#"["Done","Closed"]"#, "Done\nClosed"),
        ("statuses.closed", r#"["Done"]"#, r#"["Done"]"#, "Done"),
        ("statuses.closed", "", "[]", ""),
        ("checks.commands", "[ -f x ]", r#"["[ -f x ]"]"#, "[ -f x ]"),
        ("statuses.todo", "5", "\"5\"", "5"),
        ("compute", "runners", "\"runners\"", "runners"),
    ] {
        let value = setting(name).parse(text).unwrap();
        assert_eq!(value, serde_json::from_str::<Value>(json).unwrap(), "{name}={text}");
        assert_eq!(setting(name).format(&value), formatted, "{name}={text}");
    }
}

#[test]
fn values_of_another_kind_are_refused() {
    for (name, text) in [
        ("auto_create", "maybe"),
        ("auto_create", ""),
        ("compute", "runner"),
        ("limits.wall_secs", "-1"),
        ("limits.wall_secs", "1 week"),
        ("limits.wall_secs", "99999999999999999999"),
        ("limits.wall_secs", "9999999999999999999d"),
        ("limits.requeues", "5000000000"),
        ("limits.cost_usd", "$5"),
        ("default_repository", "acme"),
        ("checks.commands", r#"["npm ci"#),
    ] {
        assert_eq!(setting(name).parse(text), None, "{name}={text}");
    }
}

#[test]
fn fault_of_a_setting_points_into_the_table() {
    assert_eq!(Setting::at("/limits/cost_usd_micros").unwrap().name(), "limits.cost_usd");
    assert_eq!(Setting::find("limits.cost_usd_micros").map(|setting| setting.path), None);
}
