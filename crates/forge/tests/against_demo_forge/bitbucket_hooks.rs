//! Bitbucket's webhooks of a repository and a workspace, on the demo forge.

use pullyard_fake_forge::TestForge as _;
use pullyard_forge::{HookScope, HookSettings, Meaning, webhook::Secret};
use serde_json::{Value, json};

use crate::{
    bitbucket::bitbucket,
    world::{REPOSITORY, TOKEN, World, asked},
};

fn settings(path: &str, events: &[&str]) -> HookSettings {
    HookSettings {
        url: format!("http://127.0.0.1:9/{path}"),
        secret: Secret::new("s3cret"),
        events: events.iter().map(|event| (*event).to_owned()).collect(),
        active: true,
    }
}

fn scopes() -> [(HookScope, String); 2] {
    [
        (HookScope::Repository(REPOSITORY.to_owned()), format!("/repositories/{REPOSITORY}/hooks")),
        (HookScope::Organisation("acme".to_owned()), "/workspaces/acme/hooks".to_owned()),
    ]
}

async fn call(world: &World, method: &str, path: &str, body: Value) -> Value {
    asked(method, format!("{}{path}", world.demo.bitbucket_api_url()), TOKEN, body).await
}

#[tokio::test]
async fn hook_is_created_listed_edited_and_deleted() {
    let world = World::new().await;
    let forge = bitbucket(&world, TOKEN);
    for (scope, path) in scopes() {
        let made = forge.create_hook(&scope, &settings("one", &["pullrequest:fulfilled"])).await.unwrap();
        assert!(made.active && made.json && made.has_secret && made.verifies_tls, "{made:?}");
        assert_eq!((made.url.as_str(), made.last_code), ("http://127.0.0.1:9/one", None));
        let other = forge.create_hook(&scope, &settings("other", &["repo:updated"])).await.unwrap();
        assert_ne!(made.id, other.id);
        let both = forge.hooks(&scope).await.unwrap().found;
        assert!(both.len() == 2 && both.contains(&made) && both.contains(&other), "{both:?}");

        let there = call(&world, "GET", &path, Value::Null).await;
        let uuid =
            there["values"].as_array().unwrap().iter().find(|hook| hook["url"] == made.url).unwrap()["uuid"].clone();
        let own = format!("{path}/{}", uuid.as_str().unwrap());
        let spoiled = json!({
            "url": "http://127.0.0.1:9/two", "active": false, "secret": null, "events": ["repo:updated"],
            "description": "Theirs", "skip_cert_verification": true,
        });
        call(&world, "PUT", &own, spoiled).await;
        let found = forge.hooks(&scope).await.unwrap().found.into_iter().find(|hook| hook.id == made.id).unwrap();
        assert!(!found.active && !found.has_secret && !found.verifies_tls, "{found:?}");
        assert_eq!(
            (found.url.as_str(), &found.events[..]),
            ("http://127.0.0.1:9/two", &["repo:updated".to_owned()][..])
        );

        let wanted = settings("one", &["pullrequest:fulfilled"]);
        assert_eq!(forge.edit_hook(&scope, made.id, &wanted).await.unwrap(), made);
        assert_eq!(call(&world, "GET", &own, Value::Null).await["description"], "Theirs");

        for _ in 0..2 {
            forge.delete_hook(&scope, made.id).await.unwrap();
            assert_eq!(forge.hooks(&scope).await.unwrap().found, std::slice::from_ref(&other));
        }
        let gone = forge.edit_hook(&scope, made.id, &wanted).await.unwrap_err();
        assert_eq!(gone.meaning(), Meaning::Missing);
        forge.delete_hook(&scope, other.id).await.unwrap();
    }
}
