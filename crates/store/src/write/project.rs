//! Writes projects, their repositories and connected forges.

use crate::item::{Attributes, Item, encode_part};
use crate::key::{self, Key};
use crate::transaction::{Condition, Transaction, number_value, string_value};
use crate::{Error, Store, Write};
use aws_sdk_dynamodb::types::AttributeValue;
use pullyard_domain::project::forge::{Auth, Integration};
use pullyard_domain::project::hook::Poll;
use pullyard_domain::project::naming::{Named, SecretProjects};
use pullyard_domain::project::{Project, Repository};
use pullyard_domain::review::analysis::Analysis;
use pullyard_domain::text::id::{ProjectId, RepositoryName};
use std::collections::BTreeSet;

#[derive(Clone, Copy, Debug)]
pub struct RepositoryRemoval<'a> {
    pub repository: &'a Repository,
    pub names: &'a [RepositoryName],
    /// How it is polled, at the revision that was read; `None` if it never was.
    pub poll: Option<&'a Poll>,
    /// Its analyses, at the revision that was read; `None` if there was none.
    pub analysis: Option<&'a Analysis>,
    /// Its project with changed settings, at the revision that was read, if they named the repository.
    pub project: Option<&'a Project>,
}

fn alias_item(alias: &Key, repository: &Repository) -> Attributes {
    let mut item = alias.attributes();
    item.insert("integration".into(), string_value(repository.integration.as_str()));
    item.insert("id".into(), number_value(repository.id));
    item
}

/// The alias of a name that the repository had before.
fn former_alias_item(alias: &Key, repository: &Repository) -> Attributes {
    let mut item = alias_item(alias, repository);
    item.insert(key::FORMER.into(), AttributeValue::Bool(true));
    item
}

/// Another repository may take a former name, as at the forge.
fn free_or_own_alias(repository: &Repository) -> Condition {
    Condition::new("attribute_not_exists(pk) OR former = :former OR (integration = :integration AND id = :id)")
        .value(":former", AttributeValue::Bool(true))
        .value(":integration", string_value(repository.integration.as_str()))
        .value(":id", number_value(repository.id))
}

fn known_alias(stored: &Attributes) -> Option<Attributes> {
    let known = |name: &str| ["pk", "sk", "integration", "id", key::FORMER].contains(&name);
    Some(stored.iter().filter(|(name, _)| known(name)).map(|(name, value)| (name.clone(), value.clone())).collect())
}

fn absent_or_own_alias(repository: &Repository) -> Condition {
    Condition::new("attribute_not_exists(pk) OR (integration = :integration AND id = :id)")
        .value(":integration", string_value(repository.integration.as_str()))
        .value(":id", number_value(repository.id))
}

/// The thing still lists the project.
fn listed(project: &ProjectId) -> Condition {
    Condition::new("contains(#projects, :project)")
        .name("#projects", PROJECTS)
        .value(":project", string_value(project.as_str()))
}

/// The attribute with the list of an integration or a secret.
const PROJECTS: &str = "projects";

impl Transaction {
    /// Refuses the write if one of these no longer lists the project.
    fn check_listed(self, project: &ProjectId, listing: &[Named]) -> Self {
        listing.iter().fold(self, |transaction, named| {
            let key = match named {
                Named::Secret(secret) => key::secret_projects(secret),
                Named::Integration(id) => key::integration(id),
            };
            transaction.update(key, "", "", listed(project))
        })
    }
}

impl Store {
    /// Writes: PROJECT if `rev` is the one seen (absent if new).
    pub async fn put_project(&self, project: &Project) -> Result<Write, Error> {
        Transaction::new("store a project").revise(project)?.commit(self).await
    }

    /// Stores a project that names these things, which list it.
    /// Writes: PROJECT if `rev` is the one seen (absent if new), and the mark of each list that has the project.
    pub async fn put_project_with_names(&self, project: &Project, listing: &[Named]) -> Result<Write, Error> {
        let transaction = Transaction::new("store a project").revise(project)?;
        transaction.check_listed(&project.id, listing).commit(self).await
    }

    /// Stores the list of a secret.
    /// Writes: SECRET if `rev` is the one seen (absent if new).
    pub async fn put_secret_projects(&self, list: &SecretProjects) -> Result<Write, Error> {
        Transaction::new("store the projects of a secret").revise(list)?.commit(self).await
    }

    /// Replaces the list of an integration.
    /// Writes: INTEGRATION if it is connected and has the list seen.
    pub async fn update_integration_projects(
        &self,
        seen: &Integration,
        projects: Option<&BTreeSet<ProjectId>>,
    ) -> Result<Write, Error> {
        let key = seen.key();
        let unchanged = match &seen.projects {
            None => Condition::new(
                "attribute_exists(pk) AND attribute_not_exists(#gone) AND attribute_not_exists(#projects)",
            ),
            Some(list) => Condition::new("attribute_not_exists(#gone) AND #projects = :seen")
                .value(":seen", encode_part(&key, list)?),
        };
        let unchanged = unchanged.name("#gone", key::DISCONNECTED).name("#projects", PROJECTS);
        let transaction = Transaction::new("store the projects of an integration");
        let transaction = match projects {
            None => transaction.update(key, "", "#projects", unchanged),
            Some(list) => {
                let list = encode_part(&key, list)?;
                transaction.update(key, "#projects = :list", "", unchanged.value(":list", list))
            }
        };
        transaction.commit(self).await
    }

    /// Writes: PROJECT deleted if `rev` is the one seen or it is gone.
    /// Idempotent: a missing item is no error.
    pub async fn delete_project(&self, project: &Project) -> Result<Write, Error> {
        let same = Condition::new("attribute_not_exists(pk) OR rev = :seen").value(":seen", number_value(project.rev));
        Transaction::new("delete a project").delete(project.key(), same).commit(self).await
    }

    /// Writes: INTEGRATION if absent or disconnected with the same URL. `Stale` if the name is taken.
    pub async fn put_integration(&self, integration: &Integration) -> Result<Write, Error> {
        let free = Condition::new("attribute_not_exists(pk) OR (#gone = :gone AND api_url = :api_url)")
            .name("#gone", key::DISCONNECTED)
            .value(":gone", AttributeValue::Bool(true))
            .value(":api_url", string_value(&integration.api_url));
        Transaction::new("connect a forge").put(integration, free)?.commit(self).await
    }

    /// Connects a repository, or replaces its settings. A new repository is also polled.
    /// Writes: REPO; its name's alias if absent, another's former name or already its own; POLL if absent. `Stale` if
    /// another repository of the project has that name, or the repository is polled already.
    pub async fn put_repository(&self, repository: &Repository, poll: Option<&Poll>) -> Result<Write, Error> {
        self.put_repository_with_names(repository, poll, &[]).await
    }

    /// Like `put_repository`, if these still list the project.
    /// Writes: as `put_repository`, and the mark of each list that has the project.
    pub async fn put_repository_with_names(
        &self,
        repository: &Repository,
        poll: Option<&Poll>,
        listing: &[Named],
    ) -> Result<Write, Error> {
        let alias = key::repository_name(&repository.project, &repository.name);
        let same =
            Condition::new("attribute_not_exists(pk) OR pk = :pk").value(":pk", string_value(repository.key().pk));
        Transaction::new("connect a repository")
            .put(repository, same)?
            .replace_item(alias_item(&alias, repository), free_or_own_alias(repository), known_alias)
            .revise_some(poll)?
            .check_listed(&repository.project, listing)
            .commit(self)
            .await
    }

    /// The old name still finds the repository, as at the forge, until another repository takes it.
    /// Writes: REPO if its name, limit and labels are those seen; the new name's alias if absent, another's former name
    /// or already its own; the old name's alias, as a former name, if it is its own or gone. `Stale` if the name, the
    /// limit or the labels changed since, or another repository has the new name.
    /// Idempotent: a repeat is `Stale`, and reading again shows the name.
    pub async fn rename_repository(&self, previous: &Repository, next: &Repository) -> Result<Write, Error> {
        let limit = match previous.running_jobs {
            Some(_) => "running_jobs = :max",
            None => "attribute_not_exists(running_jobs)",
        };
        let labels = if previous.labels.is_empty() { "attribute_not_exists(labels)" } else { "labels = :labels" };
        let mut unchanged = Condition::new(&format!("#name = :seen AND {limit} AND {labels}"))
            .name("#name", "name")
            .value(":seen", string_value(previous.name.as_str()));
        if let Some(max) = previous.running_jobs {
            unchanged = unchanged.value(":max", number_value(max));
        }
        if !previous.labels.is_empty() {
            unchanged = unchanged.value(":labels", encode_part(&previous.key(), &previous.labels)?);
        }
        let alias = key::repository_name(&next.project, &next.name);
        let old = key::repository_name(&previous.project, &previous.name);
        let mut transaction = Transaction::new("rename a repository").put(next, unchanged)?.replace_item(
            alias_item(&alias, next),
            free_or_own_alias(next),
            known_alias,
        );
        // Names that differ only in case have one alias.
        if old != alias {
            transaction =
                transaction.replace_item(former_alias_item(&old, next), absent_or_own_alias(next), known_alias);
        }
        transaction.commit(self).await
    }

    /// Writes: REPO deleted if its name is the one seen or it is gone; each alias deleted if it is its own or gone;
    /// POLL and ANALYSIS deleted if `rev` is the one seen or they are gone (must be absent if never seen); PROJECT if
    /// `rev` is the one seen. `Stale` if the name, the polling or the analyses changed since.
    /// Idempotent: missing items are no error.
    pub async fn remove_repository(&self, removal: &RepositoryRemoval<'_>) -> Result<Write, Error> {
        let repository = removal.repository;
        let same_name = Condition::new("attribute_not_exists(pk) OR #name = :seen")
            .name("#name", "name")
            .value(":seen", string_value(repository.name.as_str()));
        let unchanged = |seen: Option<u64>| match seen {
            Some(rev) => Condition::new("attribute_not_exists(pk) OR rev = :seen").value(":seen", number_value(rev)),
            None => Condition::absent(),
        };
        let poll = key::poll(&repository.project, &repository.integration, repository.id);
        let analysis = key::analysis(&repository.project, &repository.integration, repository.id);
        let mut transaction = Transaction::new("remove a repository")
            .delete(repository.key(), same_name)
            .delete(poll, unchanged(removal.poll.map(|poll| poll.rev)))
            .delete(analysis, unchanged(removal.analysis.map(|analysis| analysis.rev)));
        for name in removal.names {
            let alias = key::repository_name(&repository.project, name);
            transaction = transaction.delete(alias, absent_or_own_alias(repository));
        }
        transaction.revise_some(removal.project)?.commit(self).await
    }

    /// Disconnects a forge. Its item is marked and remains, but it is in no list and reads as absent. Links, jobs and
    /// the ledger use its name for repositories whose ids another forge may use too.
    /// Writes: INTEGRATION if its URL, account, first secret and App are those seen.
    /// Idempotent: a repeat marks it again.
    pub async fn remove_integration(&self, integration: &Integration) -> Result<Write, Error> {
        let unchanged =
            |auth: &str| Condition::new(&format!("api_url = :api_url AND #account.#id = :account AND {auth}"));
        let condition = match &integration.auth {
            Auth::Token { secret } => {
                unchanged("#auth.#secret = :secret").name("#secret", "secret").value(":secret", string_value(secret))
            }
            Auth::App { app_id, key_secret, .. } => unchanged("#auth.#secret = :secret AND #auth.#app = :app")
                .name("#secret", "key_secret")
                .name("#app", "app_id")
                .value(":secret", string_value(key_secret))
                .value(":app", number_value(app_id)),
        };
        let condition = condition
            .name("#gone", key::DISCONNECTED)
            .name("#auth", "auth")
            .name("#account", "account")
            .name("#id", "id")
            .value(":api_url", string_value(&integration.api_url))
            .value(":account", number_value(integration.account.id))
            .value(":gone", AttributeValue::Bool(true));
        Transaction::new("disconnect a forge")
            .update(integration.key(), "#gone = :gone", "lk, ls", condition)
            .commit(self)
            .await
    }
}
