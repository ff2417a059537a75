use super::*;

fn api_token() -> NewToken {
    NewToken {
        name: "ci".into(),
        kind: TokenKind::Api,
        scopes: [Scope::Read].into(),
        projects: None,
        runner: None,
        expires_in: None,
    }
}

fn runner_token() -> NewToken {
    NewToken { kind: TokenKind::Runner, scopes: BTreeSet::new(), runner: Some("kite-2".into()), ..api_token() }
}

fn check(new: NewToken, pointer: Option<&str>) {
    assert_eq!(new.validate().err().map(|fault| fault.pointer), pointer, "{new:?}");
}

#[test]
fn token_has_only_the_rights_of_its_kind() {
    check(api_token(), None);
    check(runner_token(), None);
    check(NewToken { runner: None, ..runner_token() }, None);
    check(NewToken { scopes: BTreeSet::new(), ..api_token() }, Some("/scopes"));
    check(NewToken { scopes: [Scope::Read].into(), ..runner_token() }, Some("/scopes"));
    check(NewToken { runner: Some("kite-2".into()), ..api_token() }, Some("/runner"));
}

#[test]
fn token_and_runner_names_are_validated() {
    for bad in [String::new(), "  ".into(), "a\nb".into(), "x".repeat(101)] {
        check(NewToken { name: bad.clone(), ..api_token() }, Some("/name"));
        check(NewToken { runner: Some(bad), ..runner_token() }, Some("/runner"));
    }
    check(NewToken { runner: Some("kite 2".into()), ..runner_token() }, Some("/runner"));
    check(NewToken { name: "Ana's laptop ü".into(), ..api_token() }, None);
    check(NewToken { name: "ü".repeat(100), ..api_token() }, None);
    check(NewToken { runner: Some("x".repeat(64)), ..runner_token() }, None);
    check(NewToken { runner: Some("x".repeat(65)), ..runner_token() }, Some("/runner"));
}

#[test]
fn token_without_projects_or_with_too_many_is_rejected() {
    let projects = |names: &[&str]| Some(names.iter().map(|name| ProjectId::new(*name).unwrap()).collect());
    check(NewToken { projects: projects(&[]), ..api_token() }, Some("/projects"));
    check(NewToken { projects: projects(&["acme"]), ..api_token() }, None);
    let many = |count: usize| Some((0..count).map(|n| ProjectId::new(format!("p{n}")).unwrap()).collect());
    check(NewToken { projects: many(50), ..api_token() }, None);
    check(NewToken { projects: many(51), ..api_token() }, Some("/projects"));
}

#[test]
fn token_expiry_is_between_a_minute_and_ten_years() {
    let ends = |secs| NewToken { expires_in: Some(Duration::from_secs(secs)), ..api_token() };
    check(ends(0), Some("/expires_in_secs"));
    check(ends(59), Some("/expires_in_secs"));
    check(ends(60), None);
    check(ends(10 * 366 * 86_400), None);
    check(ends(10 * 366 * 86_400 + 1), Some("/expires_in_secs"));
    check(ends(u64::MAX), Some("/expires_in_secs"));
}

#[test]
fn token_is_good_until_it_expires_or_is_revoked() {
    let at = Timestamp::from_millis;
    assert!(is_valid(false, None, at(9)));
    assert!(is_valid(false, Some(at(10)), at(9)));
    assert!(!is_valid(false, Some(at(10)), at(10)), "expired at its exact end");
    assert!(!is_valid(true, None, at(9)) && !is_valid(true, Some(at(10)), at(9)));
}

#[test]
fn token_use_is_recorded_once_a_minute() {
    let at = Timestamp::from_millis;
    assert!(should_record_use(None, at(0)));
    assert!(!should_record_use(Some(at(0)), at(59_999)));
    assert!(should_record_use(Some(at(0)), at(60_000)));
    assert!(!should_record_use(Some(at(60_000)), at(0)), "a clock behind the stored use writes nothing");
}
