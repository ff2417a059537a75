//! Account, scopes, statuses and webhooks of a connection.

use crate::world::{KINDS, World, connection, http, start_fake};
use pullyard_fake_tracker::{BACKLOG, BOT, DONE, IN_REVIEW, Kind, PROCESSING};
use pullyard_tracker::{Account, Connection, Error, Jira, Linear, Scope, Token};

#[tokio::test]
async fn account_names_itself_and_its_kind() {
    for kind in KINDS {
        let world = World::new(kind).await;
        let (ids, name) = (vec![BOT.0.to_owned()], BOT.1.to_owned());
        assert_eq!(world.account().await, Ok(Account { ids, name, is_person: true }));
    }
}

#[tokio::test]
async fn scopes_are_listed_page_by_page() {
    for (kind, expected) in [
        (Kind::Jira, &[("ABC", "Alphabet"), ("PRJ", "Project"), ("XYZ", "Zoo")][..]),
        (Kind::Linear, &[("ABC", "Team ABC"), ("ENG", "Team ENG")]),
    ] {
        let world = World::new(kind).await;
        world.fake.state().set_page_size(1);
        let expected = expected.iter().map(|(id, name)| Scope { id: (*id).to_owned(), name: (*name).to_owned() });
        assert_eq!(world.list_scopes().await, Ok(expected.collect()));
    }
}

#[tokio::test]
async fn statuses_have_the_order_of_the_board() {
    for kind in KINDS {
        let world = World::new(kind).await;
        let statuses = world.list_statuses(world.scope).await.unwrap();
        let statuses = statuses.iter().map(|status| (status.id.clone(), status.name.as_str(), status.closes));
        let expected = [
            (BACKLOG, "Backlog", false),
            (PROCESSING, "AI Processing", false),
            (IN_REVIEW, "In Review", false),
            (DONE, "Done", true),
        ];
        assert_eq!(
            statuses.collect::<Vec<_>>(),
            expected.map(|(status, name, closes)| (world.id(status), name, closes))
        );
        assert_eq!(world.list_statuses("NONE").await, Err(Error::NotFound));
    }
}

#[tokio::test]
async fn hook_is_installed_once_and_repaired() {
    for kind in KINDS {
        let world = World::new(kind).await;
        world.install_hook("https://pullyard.example/webhooks/a", "other").await.unwrap();
        for secret in ["old", "new"] {
            world.install_hook("https://pullyard.example/webhooks/b", secret).await.unwrap();
            world.fake.state().disable_hooks();
        }
        world.install_hook("https://pullyard.example/webhooks/b", "new").await.unwrap();
        let hook = |name: &str, secret: &str, enabled| {
            (format!("https://pullyard.example/webhooks/{name}"), Some(secret.to_owned()), enabled)
        };
        assert_eq!(world.fake.state().hooks(), [hook("a", "other", false), hook("b", "new", true)]);
    }
}

#[tokio::test]
async fn hooks_with_a_url_and_any_query_are_removed() {
    for kind in KINDS {
        let world = World::new(kind).await;
        let url = |rest: &str| format!("https://pullyard.example/webhooks/a{rest}");
        for rest in ["?scope=PR", "?scope=PRJ", "?scope=X", "b?scope=PRJ"] {
            world.install_hook(&url(rest), "s").await.unwrap();
        }
        let urls = || world.fake.state().hooks().into_iter().map(|(url, ..)| url).collect::<Vec<_>>();
        for _ in 0..2 {
            world.remove_hooks(&url("?scope=PR")).await.unwrap();
            assert_eq!(urls(), ["?scope=PRJ", "?scope=X", "b?scope=PRJ"].map(url), "{kind:?}");
        }
        world.remove_hooks(&url("")).await.unwrap();
        assert_eq!(urls(), [url("b?scope=PRJ")], "{kind:?}");
    }
}

#[tokio::test]
async fn app_of_linear_requests_a_token_once_and_when_it_ends() {
    let fake = start_fake(Kind::Linear).await;
    let linear = Linear::new(http(), connection(&fake, "app:secret&more")).unwrap();
    let account = linear.account().await.unwrap();
    let ids = [BOT.0, "00000000-0000-4000-8000-000000000004", "Pullyard"].map(str::to_owned);
    assert_eq!(account, Account { ids: ids.to_vec(), name: BOT.1.to_owned(), is_person: false });
    let tokens = || fake.take_calls().iter().filter(|call| call.contains("/oauth/token")).count();
    assert_eq!(tokens(), 1);
    fake.state().revoke_token();
    linear.clone().account().await.unwrap();
    linear.account().await.unwrap();
    assert_eq!(tokens(), 1);
    let linear = Linear::new(http(), connection(&fake, "app:wrong")).unwrap();
    let reason = "check the secret of the app, and enable client credentials for it".to_owned();
    assert_eq!(linear.account().await, Err(Error::Refused { status: 401, reason }));
    assert_eq!(tokens(), 1);
}

#[tokio::test]
async fn service_account_of_jira_needs_a_cloud_id() {
    let fake = start_fake(Kind::Jira).await;
    let rejected = Jira::new(http(), connection(&fake, "bot@serviceaccount.atlassian.com:scoped")).unwrap_err();
    assert!(rejected.to_string().contains("set --cloud-id"), "{rejected}");
}

#[tokio::test]
async fn connection_rejects_addresses_that_are_not_allowed() {
    let connection = |base_url: &str| Connection {
        base_url: base_url.to_owned(),
        cloud_id: None,
        credential: Token::new("a@b.example:token"),
    };
    for address in
        ["http://10.0.0.1", "https://169.254.169.254", "ftp://acme.example", "https://u:p@acme.example", "acme"]
    {
        assert!(matches!(Jira::new(http(), connection(address)), Err(Error::Unexpected { .. })), "{address}");
        assert!(matches!(Linear::new(http(), connection(address)), Err(Error::Unexpected { .. })), "{address}");
    }
    let scoped = Connection { cloud_id: Some("c1-d2".to_owned()), ..connection("https://acme.atlassian.net") };
    let jira = format!("{:?}", Jira::new(http(), scoped).unwrap());
    assert!(jira.contains("/ex/jira/c1-d2") && !jira.contains("token"), "{jira}");
}
