//! Creates the initial state of a life: a project with a repository, tokens, and runners.

use crate::control_plane::{HOOK, HOOK_VALUE, KEY_SECRET, TABLE, sdk};
use crate::daemon::Daemon;
use crate::gate::Gate;
use crate::prelude::*;
use crate::profile::Profile;
use pullyard_domain::agent::Agent;
use pullyard_domain::agent::checks::CommandOverrides;
use pullyard_domain::project::budget::Budget;
use pullyard_domain::project::forge::{Account, Auth, ForgeKind, Integration};
use pullyard_domain::project::hook::{Poll, Webhook, WebhookScope};
use pullyard_domain::project::{Compute, Limits, OfflinePolicy, Project, Repository, Settings, Statuses};
use pullyard_domain::text::id::{HookName, IntegrationId, ProjectId, RepositoryName, SecretName};
use pullyard_store::{Scope, Store, Token, TokenKind, Write, to_stored_token};

pub(crate) const ADMIN: &str = "pat_simulated";

const RUNNERS: [(&str, &str); 3] = [("kite", "rnt_kite"), ("lark", "rnt_lark"), ("wren", "rnt_wren")];

const FORGE_SECRET: &str = "pullyard/user/forge-token";

/// The name that a user gave. The stored name has the deployment and the kind before it.
const HOOK_SECRET: &str = "hook-secret";

pub(crate) async fn prepare(gate: &Gate, dice: &mut SeededRng, now: Timestamp, mood: &Profile) -> Vec<Daemon> {
    gate.cloud(|cloud| {
        let secret = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        cloud.secrets = vec![
            secret(KEY_SECRET, &"k".repeat(64)),
            secret(FORGE_SECRET, "simulated-forge-token"),
            secret(&format!("{TABLE}/user/{HOOK_SECRET}"), HOOK_VALUE),
        ];
    });
    let store = Store::new(&sdk(gate), Some("http://dynamodb.simulated"), TABLE);
    store.create_table().await.unwrap();
    let applied = |write| assert_eq!(write, Write::Applied);
    let (kind, id) = (ForgeKind::GitHub, 99);
    let integration = IntegrationId::new("gh1").unwrap();
    let project = ProjectId::new("acme").unwrap();
    let name = RepositoryName::new("acme/app").unwrap();
    let stored = Integration {
        id: integration.clone(),
        kind,
        api_url: "http://forge.simulated".into(),
        auth: Auth::Token { secret: FORGE_SECRET.into() },
        account: Account { id: 1, login: "pullyard-bot".into() },
        projects: None,
    };
    applied(store.put_integration(&stored).await.unwrap());
    let mut settings =
        Settings { default_repository: Some(name.clone()), compute: mood.compute, ..settings(dice, mood) };
    // They stay for the whole life, so that the invariant holds at every moment.
    settings.limits.running_jobs = dice.percent(35).then(|| 1 + dice.below(2) as u32);
    let stored = Project { id: project.clone(), name: "Acme".into(), settings, deleted_number: 0, rev: 0 };
    applied(store.put_project(&stored).await.unwrap());
    if mood.reviews > 0 {
        let stored = Webhook {
            name: HookName::new(HOOK).unwrap(),
            integration: integration.clone(),
            forge: kind,
            home: project.clone(),
            kind: WebhookScope::Repository { name: name.clone(), id },
            secret: SecretName::new(HOOK_SECRET).unwrap(),
            base_url: None,
            forge_id: None,
            template: None,
            created: now,
            rev: 0,
        };
        applied(store.put_hook(&stored).await.unwrap());
    }
    let stored = Repository {
        project,
        integration,
        id,
        name,
        default_branch: "main".into(),
        clone_url: "http://forge.simulated/acme/app.git".into(),
        agent: Agent { capability: "command".into(), command: vec!["./agent.sh".into()], model: None },
        workflows: false,
        commands: CommandOverrides::default(),
        running_jobs: dice.percent(20).then_some(1),
        labels: Default::default(),
    };
    let poll = (mood.reviews > 0).then(|| Poll::new(&stored, now));
    applied(store.put_repository(&stored, poll.as_ref()).await.unwrap());
    applied(store.put_token(&to_stored_token(ADMIN, "admin", [Scope::Admin].into(), None)).await.unwrap());
    let mut daemons = Vec::new();
    for (name, token) in &RUNNERS[..1 + dice.below(RUNNERS.len())] {
        let stored = Token { kind: TokenKind::Runner, ..to_stored_token(token, name, [].into(), None) };
        applied(store.put_token(&stored).await.unwrap());
        daemons.push(Daemon::new(name, token, 1 + dice.below(2), now));
    }
    daemons
}

pub(crate) fn settings(dice: &mut SeededRng, mood: &Profile) -> Settings {
    let budget = match dice.percent(30) {
        true => Budget { usd_micros_per_day: Some(40_000_000), usd_micros_per_job: 1_000_000, ..Budget::default() },
        false => Budget::default(),
    };
    Settings {
        auto_create: true,
        // The simulated ticket tool has statuses of its own.
        statuses: Statuses { allow_others: true, ..Statuses::default() },
        revise_on_review: true,
        coalesce: dice.percent(mood.coalesces),
        compute: if dice.percent(50) { Compute::Fargate } else { Compute::Runners },
        limits: Limits {
            wall_secs: 600,
            stall_secs: 300,
            requeues: if mood.requeues { 2 } else { dice.below(3) as u32 },
            input_secs: dice.between(300, 2_400),
            // Every job reserves, and no life reaches the limits: its laws know no refusal by them.
            ticket_usd_micros: Some(10_000_000_000),
            ticket_jobs: Some(10_000),
            ..Limits::default()
        },
        offline: if mood.requeues || dice.percent(50) { OfflinePolicy::Requeue } else { OfflinePolicy::Fail },
        budget,
        ..Settings::default()
    }
}
