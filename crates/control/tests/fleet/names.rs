//! Names of secrets and integrations: stored by tokens of some projects, and used by projects that a list leaves out.

mod unlisted;

use crate::delayed_call::DelayedCall;
use crate::prelude::*;
use crate::world::World;
use pullyard_control::attempt::issue_credentials;
use pullyard_control::hooks::{NewHook, Target, install_hook};
use pullyard_control::{
    Error, IfConnected, RepositorySettings, SecretFault, add_repository, create_project, delete_endpoint,
    list_secret_projects, put_endpoint, set_integration_projects, set_secret, set_secret_projects, set_settings,
    test_endpoint, test_repository,
};
use pullyard_domain::agent::ModelKey;
use pullyard_domain::project::Project;
use pullyard_domain::project::forge::Integration;
use pullyard_domain::project::naming::{Named, ProjectChange};
use pullyard_domain::project::secret::SecretKind;
use pullyard_domain::run::notice::{Endpoint, EndpointKind};
use pullyard_domain::text::id::{EndpointId, HookName, IntegrationId, RepositoryName, SecretName};
use pullyard_testkit::Receiver;

const KEY: &str = "fleet/job/key";
const URL: &str = "fleet/user/url";

/// Two projects, and a token that is limited to the second.
struct Border {
    world: World,
    other: ProjectId,
    limited: BTreeSet<ProjectId>,
}

fn name(name: &str) -> SecretName {
    SecretName::new(name).unwrap()
}

fn set(projects: &[&str]) -> BTreeSet<ProjectId> {
    projects.iter().map(|id| ProjectId::new(*id).unwrap()).collect()
}

/// The thing that the refusal names.
fn refused<T: std::fmt::Debug>(answer: Result<T, Error>) -> Named {
    match answer {
        Err(Error::NotListed { refusal, .. }) => refusal.named,
        other => panic!("{other:?}"),
    }
}

fn secret(name: &str) -> Named {
    Named::Secret(name.into())
}

impl Border {
    /// Claims a job that signs its commits with the secret `KEY`.
    async fn claim_signing_job(&self) -> Fence {
        self.world.connect().await;
        set_secret(&self.world.ctx, SecretKind::Job, &name("key"), "a key").await.unwrap();
        let mut settings = Settings { compute: Compute::Runners, ..Settings::default() };
        settings.commits.signing_secret = Some(KEY.into());
        self.world.set_settings(settings.clone()).await;
        let runner = self.world.runners(1, 1, 1).await.remove(0);
        self.world.claim(&self.world.job(&settings).await.id, Some(&runner)).await
    }

    async fn of(world: World) -> Self {
        let other = ProjectId::new("other").unwrap();
        let settings = Settings { compute: Compute::Runners, ..Settings::default() };
        create_project(&world.ctx, None, other.clone(), "Other".into(), settings).await.unwrap();
        Self { world, limited: [other.clone()].into(), other }
    }

    async fn begin() -> Self {
        Self::of(World::begin().await).await
    }

    fn change(&self) -> ProjectChange<'_> {
        ProjectChange { project: &self.other, caller: Some(&self.limited) }
    }

    fn operator(&self) -> ProjectChange<'_> {
        ProjectChange::by_operator(&self.other)
    }

    async fn load(&self) -> Project {
        self.world.ctx.store.load_project(&self.other).await.unwrap().unwrap()
    }

    async fn set(&self, by: ProjectChange<'_>, change: impl FnOnce(&mut Settings)) -> Result<Project, Error> {
        let Project { mut settings, rev, .. } = self.load().await;
        change(&mut settings);
        set_settings(&self.world.ctx, by, settings, rev).await
    }

    async fn list(&self, kind: SecretKind, secret: &str, projects: Option<&[&str]>) {
        set_secret_projects(&self.world.ctx, kind, &name(secret), projects.map(set).as_ref()).await.unwrap();
    }
}

fn endpoint(id: &str, kind: EndpointKind, url: Option<&str>, url_secret: Option<&str>) -> Endpoint {
    let (url, url_secret) = (url.map(Into::into), url_secret.map(Into::into));
    Endpoint { id: EndpointId::new(id).unwrap(), kind, url, url_secret, secret: None, events: None }
}

fn with_secret(id: &str, secret: &str) -> Endpoint {
    Endpoint { secret: Some(secret.into()), ..endpoint(id, EndpointKind::Webhook, Some("http://127.0.0.1:9/"), None) }
}

type Field = (&'static str, SecretKind, &'static str, fn(&mut Settings, String));

/// Each field of the settings that names a secret.
fn fields() -> Vec<Field> {
    let mut fields: Vec<Field> = vec![
        ("key", SecretKind::Job, KEY, |settings, name| settings.commits.signing_secret = Some(name)),
        ("url", SecretKind::Forge, URL, |settings, name| {
            settings.notifications = vec![endpoint("ops", EndpointKind::Slack, None, Some(&name))];
        }),
        ("url", SecretKind::Forge, URL, |settings, name| settings.notifications = vec![with_secret("ops", &name)]),
    ];
    // A function has no place for the key, so each has its own.
    fields.extend(
        [
            |settings: &mut Settings, name| *settings.model_secrets.secret_mut(ModelKey::ALL[0]) = Some(name),
            |settings: &mut Settings, name| *settings.model_secrets.secret_mut(ModelKey::ALL[1]) = Some(name),
            |settings: &mut Settings, name| *settings.model_secrets.secret_mut(ModelKey::ALL[2]) = Some(name),
            |settings: &mut Settings, name| *settings.model_secrets.secret_mut(ModelKey::ALL[3]) = Some(name),
        ]
        .map(|set| ("key", SecretKind::Job, KEY, set as fn(&mut Settings, String))),
    );
    assert_eq!(ModelKey::ALL.len(), 4, "name the new key here");
    fields
}

#[tokio::test]
async fn limited_token_names_only_secrets_that_list_its_project() {
    for (short, kind, full, apply) in fields() {
        let it = Border::begin().await;
        let store = async |by| it.set(by, |settings| apply(settings, full.into())).await;
        assert_eq!(refused(store(it.change()).await), secret(full), "without a list");
        it.list(kind, short, Some(&["acme"])).await;
        assert_eq!(refused(store(it.change()).await), secret(full), "of another project");
        assert_eq!(refused(store(it.operator()).await), secret(full), "no token stores a name without effect");
        it.list(kind, short, Some(&["acme", "other"])).await;
        let stored = store(it.change()).await.unwrap();
        // A list does not change stored names.
        it.list(kind, short, None).await;
        let Settings { labels, .. } = store(it.change()).await.unwrap().settings;
        it.list(kind, short, Some(&["acme"])).await;
        let unchanged = it.set(it.change(), |settings| settings.labels = labels).await.unwrap();
        assert_eq!(unchanged.settings, stored.settings);
        it.set(it.change(), |settings| *settings = Settings { compute: Compute::Runners, ..Settings::default() })
            .await
            .unwrap();
        assert_eq!(refused(store(it.change()).await), secret(full), "removed, so new");
        it.list(kind, short, None).await;
        store(it.operator()).await.unwrap();
    }
}

#[tokio::test]
async fn similar_names_are_other_names() {
    let it = Border::begin().await;
    it.list(SecretKind::Job, "key", Some(&["other"])).await;
    let store = async |name: &str| {
        let name = name.to_owned();
        it.set(it.change(), |settings| settings.commits.signing_secret = Some(name)).await
    };
    for similar in ["fleet/job/KEY", "fleet/job/key/", "fleet/job//key", "fleet/job/keys", "fleet/job/../job/key"] {
        assert_eq!(refused(store(similar).await), secret(similar));
    }
    for wrong in ["https://vault.example/key", "fleet/user/key", "fleet/signing-key", "Fleet/job/key", "key", " ", ""] {
        let answer = store(wrong).await;
        assert!(
            matches!(&answer, Err(Error::Invalid { pointer: "/commits/signing_secret", .. })),
            "{wrong}: {answer:?}"
        );
    }
    store(KEY).await.unwrap();
}

#[tokio::test]
async fn new_project_names_only_secrets_that_list_it() {
    let it = Border::begin().await;
    let ctx = &it.world.ctx;
    let (id, caller) = (ProjectId::new("third").unwrap(), set(&["third"]));
    let mut settings = Settings::default();
    settings.commits.signing_secret = Some(KEY.into());
    let create = async || create_project(ctx, Some(&caller), id.clone(), "Third".into(), settings.clone()).await;
    it.list(SecretKind::Job, "key", Some(&["other"])).await;
    assert_eq!(refused(create().await), secret(KEY));
    assert_eq!(ctx.store.load_project(&id).await.unwrap(), None);
}

#[tokio::test]
async fn list_names_only_projects_that_exist() {
    let it = Border::begin().await;
    let ctx = &it.world.ctx;
    let unknown = set(&["other", "none"]);
    let answer = set_secret_projects(ctx, SecretKind::Job, &name("key"), Some(&unknown)).await;
    assert!(matches!(answer, Err(Error::NotFound { resource: "project", .. })), "{answer:?}");
    assert_eq!(list_secret_projects(ctx, [KEY].into_iter()).await.unwrap(), []);
    it.world.connect().await;
    let id = it.world.integration().id;
    let answer = set_integration_projects(ctx, &id, Some(&unknown)).await;
    assert!(matches!(answer, Err(Error::NotFound { resource: "project", .. })), "{answer:?}");
    let none = IntegrationId::new("none").unwrap();
    let answer = set_integration_projects(ctx, &none, None).await;
    assert!(matches!(answer, Err(Error::NotFound { resource: "integration", .. })), "{answer:?}");
}

#[tokio::test]
async fn list_that_shrinks_before_the_write_wins() {
    let held = DelayedCall::before("TransactWriteItems");
    let it = Border::of(World::with_client(held.clone()).await).await;
    it.list(SecretKind::Job, "key", Some(&["other"])).await;
    let store = it.set(it.change(), |settings| settings.commits.signing_secret = Some(KEY.into()));
    let answer = held.run_before_call(store, it.list(SecretKind::Job, "key", Some(&["acme"]))).await;
    assert_eq!(refused(answer), secret(KEY));
    assert_eq!(it.load().await.settings.commits.signing_secret, None);
}

#[tokio::test]
async fn address_of_an_endpoint_belongs_to_its_project() {
    let it = Border::begin().await;
    let ctx = &it.world.ctx;
    let acme = ProjectChange::by_operator(&it.world.project);
    let slack = |id: &str| endpoint(id, EndpointKind::Slack, Some("http://127.0.0.1:9/s"), None);
    put_endpoint(ctx, acme, slack("ops")).await.unwrap();
    put_endpoint(ctx, acme, endpoint("ci", EndpointKind::Webhook, Some("http://127.0.0.1:9/c"), None)).await.unwrap();
    let (ops, ci) = ("fleet/user/notify.acme.ops", "fleet/user/notify.acme.ci");
    let lists = list_secret_projects(ctx, [ops, ci].into_iter()).await.unwrap();
    assert_eq!(lists.iter().map(|(_, list)| list.clone()).collect::<Vec<_>>(), [set(&["acme"]), set(&["acme"])]);
    // By the route of endpoints, and by the settings.
    let by_url = endpoint("ops", EndpointKind::Slack, None, Some(ops));
    assert_eq!(refused(put_endpoint(ctx, it.change(), by_url).await), secret(ops));
    let stored = it.set(it.change(), |settings| settings.notifications = vec![with_secret("ci", ci)]).await;
    assert_eq!(refused(stored), secret(ci));
    // Its own are stored, changed and made again.
    for _ in 0..2 {
        put_endpoint(ctx, it.change(), slack("ops")).await.unwrap();
        put_endpoint(ctx, it.change(), slack("ops")).await.unwrap();
        delete_endpoint(ctx, &it.other, &EndpointId::new("ops").unwrap()).await.unwrap();
    }
}

#[tokio::test]
async fn refused_endpoint_leaves_the_value_of_its_secret() {
    let it = Border::begin().await;
    let ctx = &it.world.ctx;
    set_secret(ctx, SecretKind::Forge, &name("notify.other.ops"), "http://127.0.0.1:9/before").await.unwrap();
    it.list(SecretKind::Forge, "notify.other.ops", Some(&["acme"])).await;
    let slack = endpoint("ops", EndpointKind::Slack, Some("http://127.0.0.1:9/after"), None);
    assert_eq!(refused(put_endpoint(ctx, it.change(), slack).await), secret("fleet/user/notify.other.ops"));
    assert_eq!(&*ctx.secrets.get("fleet/user/notify.other.ops").await.unwrap(), "http://127.0.0.1:9/before");
}

#[tokio::test]
async fn endpoint_with_a_secret_of_another_project_gets_nothing() {
    let it = Border::begin().await;
    let (ctx, receiver) = (&it.world.ctx, Receiver::start().await.unwrap());
    set_secret(ctx, SecretKind::Forge, &name("url"), receiver.url()).await.unwrap();
    let ops = EndpointId::new("ops").unwrap();
    put_endpoint(ctx, it.operator(), endpoint("ops", EndpointKind::Slack, None, Some(URL))).await.unwrap();
    for (list, works) in [(None, true), (Some(&["acme"][..]), false), (Some(&["acme", "other"][..]), true)] {
        it.list(SecretKind::Forge, "url", list).await;
        let (accepted, answer) = test_endpoint(ctx, &it.other, &ops).await.unwrap();
        assert_eq!((accepted, receiver.take().len()), (works, usize::from(works)), "{answer}");
        if !works {
            assert_eq!(answer, "The secret fleet/user/url does not list the project other.");
        }
    }
}

#[tokio::test]
async fn job_gets_no_credential_whose_list_lost_its_project() {
    let it = Border::begin().await;
    let ctx = &it.world.ctx;
    let fence = it.claim_signing_job().await;
    assert_eq!(issue_credentials(ctx, &fence).await.unwrap().signing_key.as_deref(), Some("a key"));
    it.list(SecretKind::Job, "key", Some(&["other"])).await;
    match issue_credentials(ctx, &fence).await {
        Err(Error::NoSigningSecret { name, fault }) => {
            assert_eq!((name.as_str(), fault), (KEY, SecretFault::NotListed(it.world.project.clone())));
        }
        other => panic!("{other:?}"),
    }
    it.list(SecretKind::Job, "key", Some(&["acme"])).await;
    let id = it.world.integration().id;
    for (list, works) in [(&["other"][..], false), (&["acme"][..], true)] {
        set_integration_projects(ctx, &id, Some(&set(list))).await.unwrap();
        let answer = issue_credentials(ctx, &fence).await;
        match works {
            true => assert_eq!(&*answer.unwrap().forge_token, "a token"),
            false => assert_eq!(refused(answer), Named::Integration(id.clone())),
        }
    }
}

fn works() -> RepositorySettings {
    RepositorySettings {
        agent: pullyard_domain::agent::Agent::project_default(),
        workflows: false,
        commands: Default::default(),
        running_jobs: None,
        labels: None,
        if_connected: IfConnected::Replace,
    }
}

/// The forge does not exist, so its error means that the name was allowed.
fn is_allowed<T: std::fmt::Debug>(answer: Result<T, Error>) -> bool {
    match answer {
        Err(Error::Forge(_)) => true,
        Err(Error::NotListed { refusal, .. }) => {
            assert!(matches!(refusal.named, Named::Integration(_)), "{refusal:?}");
            false
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn repository_is_named_only_through_an_integration_that_lists_the_project() {
    let it = Border::begin().await;
    let ctx = &it.world.ctx;
    it.world.connect().await;
    let (id, repository) = (it.world.integration().id, it.world.repository());
    let add = async |change| is_allowed(add_repository(ctx, change, &id, &repository.name, works()).await);
    let hook = NewHook {
        name: HookName::new("hook").unwrap(),
        integration: id.clone(),
        main_project: it.other.clone(),
        target: Target::Repository(repository.name.clone()),
        base_url: "https://pullyard.example".into(),
        is_manual: true,
        template: None,
    };
    let install = async |caller| is_allowed(install_hook(ctx, &hook, caller).await);
    let limited = Some(&it.limited);
    for (list, by_limited, by_operator) in
        [(None, false, true), (Some(&["acme"][..]), false, false), (Some(&["other"][..]), true, true)]
    {
        set_integration_projects(ctx, &id, list.map(set).as_ref()).await.unwrap();
        assert_eq!((add(it.change()).await, add(it.operator()).await), (by_limited, by_operator), "{list:?}");
        assert_eq!((install(limited).await, install(None).await), (by_limited, by_operator), "{list:?}");
    }
    // The project has the repository, and the integration has no list.
    set_integration_projects(ctx, &id, None).await.unwrap();
    let own = pullyard_domain::project::Repository { project: it.other.clone(), ..repository.clone() };
    assert_applied(ctx.store.put_repository(&own, None).await);
    assert!(add(it.change()).await && install(limited).await);
    // The repository of the same name at another integration is not connected.
    let second = Integration { id: IntegrationId::new("gh2").unwrap(), ..it.world.integration() };
    assert_applied(ctx.store.put_integration(&second).await);
    assert!(!is_allowed(add_repository(ctx, it.change(), &second.id, &repository.name, works()).await));
    let unknown = RepositoryName::new("acme/secret").unwrap();
    assert!(!is_allowed(add_repository(ctx, it.change(), &id, &unknown, works()).await));
}

#[tokio::test]
async fn repository_of_a_project_that_left_the_list_is_not_called() {
    let it = Border::begin().await;
    let ctx = &it.world.ctx;
    it.world.connect().await;
    let (id, name) = (it.world.integration().id, it.world.repository().name);
    let test = async || test_repository(ctx, &it.world.project, &name).await;
    assert!(!matches!(test().await, Err(Error::NotListed { .. })));
    set_integration_projects(ctx, &id, Some(&it.limited)).await.unwrap();
    assert_eq!(refused(test().await), Named::Integration(id));
}
