use super::*;

#[test]
fn app_has_two_secrets_and_prefers_its_client_id() {
    let app = |client_id: Option<&str>| Auth::App {
        app_id: 7,
        client_id: client_id.map(str::to_owned),
        slug: "pullyard-acme".into(),
        key_secret: "k".into(),
        webhook_secret: "w".into(),
    };
    let token = Auth::Token { secret: "t".into() };
    assert_eq!((token.secrets(), app(None).secrets()), (vec!["t"], vec!["k", "w"]));
    assert_eq!(token.issuer(), None);
    assert_eq!(app(None).issuer().as_deref(), Some("7"));
    assert_eq!(app(Some("Iv23")).issuer().as_deref(), Some("Iv23"));
}

#[test]
fn unknown_account_matches_any_account() {
    let account = |id| Account { id, login: "ann".into() };
    assert!(account(1).may_equal(&account(1)) && !account(1).may_equal(&account(2)));
    assert!(account(1).may_equal(&Account::unknown()) && Account::unknown().may_equal(&account(2)));
    assert!(account(1).may_be_author(1) && !account(1).may_be_author(2));
    assert!(Account::unknown().may_be_author(2));
}

#[test]
fn forges_page_lists_each_rest_base() {
    let page = include_str!("../../../../../docs/forges.md");
    for kind in ForgeKind::ALL {
        let own_servers = kind.spec().own_servers.iter().map(|server| (server.name, server.api_url));
        for (name, api_url) in own_servers.chain([(kind.label(), kind.spec().api_url)]) {
            assert!(page.contains(&format!("\n| {name} | `{api_url}` |\n")), "{name} {api_url}");
        }
    }
}

#[test]
fn forge_is_named_by_its_host() {
    let check =
        |api_url: &str, expected: &str| assert_eq!(ForgeKind::GitHub.display_name_at(api_url), expected, "{api_url}");
    check("https://api.github.com", "GitHub");
    check("https://github.acme.example/api/v3", "GitHub at github.acme.example");
    check("https://github.acme.example:8443/api/v3", "GitHub at github.acme.example");
    for local in ["http://127.0.0.1:4100/api/v3", "http://localhost:4100", "http://[::1]:4100/api/v3"] {
        check(local, "The local forge");
    }
    // A foreign host name cannot pass as the local machine.
    check("https://127.0.0.1.acme.example", "GitHub at 127.0.0.1.acme.example");
    check("https://api.github.com.acme.example", "GitHub at api.github.com.acme.example");
    let check = |api_url: &str, expected: &str| {
        assert_eq!(ForgeKind::Bitbucket.display_name_at(api_url), expected, "{api_url}")
    };
    check("https://api.bitbucket.org/2.0", "Bitbucket");
    check("http://127.0.0.1:4100/2.0", "The local forge");
    check("https://api.github.com", "Bitbucket at api.github.com");
}

#[test]
fn forge_kind_round_trips_by_code_and_has_an_api_url() {
    for kind in ForgeKind::ALL {
        assert_eq!(serde_json::to_string(&kind).unwrap(), format!("\"{}\"", kind.as_str()));
        assert_eq!(ForgeKind::from_code(kind.as_str()), Some(kind));
        assert_eq!(kind.display_name_at(kind.spec().api_url), kind.label());
    }
    assert_eq!(ForgeKind::from_code("gitlab"), None);
}
