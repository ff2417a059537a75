use super::*;

fn api() -> NewToken {
    NewToken {
        name: "ci".into(),
        kind: TokenKind::Api,
        scopes: [Scope::Read].into(),
        projects: None,
        runner: None,
        expires_in: None,
    }
}

fn runner() -> NewToken {
    NewToken { kind: TokenKind::Runner, scopes: BTreeSet::new(), runner: Some("kite-2".into()), ..api() }
}

fn check(new: NewToken, pointer: Option<&str>) {
    assert_eq!(new.check().err().map(|fault| fault.pointer), pointer, "{new:?}");
}

#[test]
fn a_token_has_the_rights_of_its_kind_and_no_others() {
    check(api(), None);
    check(runner(), None);
    check(NewToken { runner: None, ..runner() }, None);
    check(NewToken { scopes: BTreeSet::new(), ..api() }, Some("/scopes"));
    check(NewToken { scopes: [Scope::Read].into(), ..runner() }, Some("/scopes"));
    check(NewToken { runner: Some("kite-2".into()), ..api() }, Some("/runner"));
}

#[test]
fn names_are_for_people() {
    for bad in [String::new(), "  ".into(), "a\nb".into(), "x".repeat(101)] {
        check(NewToken { name: bad.clone(), ..api() }, Some("/name"));
        check(NewToken { runner: Some(bad), ..runner() }, Some("/runner"));
    }
    check(NewToken { runner: Some("kite 2".into()), ..runner() }, Some("/runner"));
    check(NewToken { name: "Ana's laptop ü".into(), ..api() }, None);
    check(NewToken { name: "ü".repeat(100), ..api() }, None);
    check(NewToken { runner: Some("x".repeat(64)), ..runner() }, None);
    check(NewToken { runner: Some("x".repeat(65)), ..runner() }, Some("/runner"));
}

#[test]
fn a_token_for_no_project_or_too_many_is_refused() {
    let projects = |names: &[&str]| Some(names.iter().map(|name| ProjectId::new(*name).unwrap()).collect());
    check(NewToken { projects: projects(&[]), ..api() }, Some("/projects"));
    check(NewToken { projects: projects(&["acme"]), ..api() }, None);
    let many = |count: usize| Some((0..count).map(|n| ProjectId::new(format!("p{n}")).unwrap()).collect());
    check(NewToken { projects: many(50), ..api() }, None);
    check(NewToken { projects: many(51), ..api() }, Some("/projects"));
}

#[test]
fn an_end_is_neither_at_once_nor_beyond_reason() {
    let ends = |secs| NewToken { expires_in: Some(Duration::from_secs(secs)), ..api() };
    check(ends(0), Some("/expires_in_secs"));
    check(ends(59), Some("/expires_in_secs"));
    check(ends(60), None);
    check(ends(10 * 366 * 86_400), None);
    check(ends(10 * 366 * 86_400 + 1), Some("/expires_in_secs"));
    check(ends(u64::MAX), Some("/expires_in_secs"));
}

#[test]
fn a_token_is_good_until_its_end_and_never_once_it_was_revoked() {
    let at = Timestamp::from_millis;
    assert!(is_good(false, None, at(9)));
    assert!(is_good(false, Some(at(10)), at(9)));
    assert!(!is_good(false, Some(at(10)), at(10)), "the end itself is too late");
    assert!(!is_good(true, None, at(9)) && !is_good(true, Some(at(10)), at(9)));
}

#[test]
fn a_use_is_noted_once_a_minute() {
    let at = Timestamp::from_millis;
    assert!(is_use_worth_noting(None, at(0)));
    assert!(!is_use_worth_noting(Some(at(0)), at(59_999)));
    assert!(is_use_worth_noting(Some(at(0)), at(60_000)));
    assert!(!is_use_worth_noting(Some(at(60_000)), at(0)), "a clock behind the noted use writes nothing");
}
