//! Converts domain values to items and back.
//! An item has the fields of its value, its key, its rows of the `work` and `list` indexes, and its expiry.
//! The domain's `due` always computes the row of `work` for the whole value.

pub(crate) mod blob;
pub(crate) mod hook;
mod host;
mod notice;
mod run;
pub(crate) mod secret;
pub(crate) mod sweeper_state;
pub(crate) mod token;
mod tracker;
pub(crate) mod unknown;

use crate::key::{self, Key};
use crate::schema::EXPIRES;
use crate::{Error, Store};
use aws_sdk_dynamodb::types::AttributeValue;
use pullyard_domain::agent::breaker::Breaker;
use pullyard_domain::agent::runner::{Profile, Runner};
use pullyard_domain::job::artifact::{Artifacts, RETENTION};
use pullyard_domain::job::limit::Places;
use pullyard_domain::job::select::ClassRequirements;
use pullyard_domain::job::{AttemptRecord, Input, Job};
use pullyard_domain::project::forge::Integration;
use pullyard_domain::project::naming::SecretProjects;
use pullyard_domain::project::spending::Spending;
use pullyard_domain::project::{Project, Repository};
use pullyard_domain::review::Review;
use pullyard_domain::review::analysis::Analysis;
use pullyard_domain::review::delivery::Delivery;
use pullyard_domain::review::pull_request::{PullRequest, PullRequestState};
use pullyard_domain::run::due::{self, Due};
use pullyard_domain::text::id::{ClassId, ProjectId, RunnerId};
use pullyard_domain::text::percent_encode;
use pullyard_domain::text::time::Timestamp;
use pullyard_domain::ticket::Ticket;
use pullyard_domain::ticket::comment::Comment;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::str::FromStr;
use std::sync::atomic::Ordering;
use std::time::Duration;

pub(crate) type Attributes = HashMap<String, AttributeValue>;

const DAY: Duration = Duration::from_secs(24 * 3_600);

pub(crate) trait Item: Serialize + DeserializeOwned {
    fn key(&self) -> Key;

    fn work_row(&self) -> Option<Due> {
        None
    }

    fn list_row(&self) -> Option<(String, String)> {
        None
    }

    fn expires_at(&self) -> Option<Timestamp> {
        None
    }

    /// Paths of fields whose null is stored, because their absence means a default.
    const STORED_NULLS: &'static [[&'static str; 3]] = &[];

    fn condition_attributes(&self) -> Vec<(&'static str, AttributeValue)> {
        Vec::new()
    }
}

pub(crate) fn encode<T: Item>(value: &T) -> Result<Attributes, Error> {
    let key = value.key();
    let mut item: Attributes = serde_dynamo::to_item(value).map_err(|error| Error::corrupt(&key, error))?;
    drop_nulls(&mut item);
    for [outer, inner, name] in T::STORED_NULLS {
        if let Some(AttributeValue::M(outer)) = item.get_mut(*outer)
            && let Some(AttributeValue::M(inner)) = outer.get_mut(*inner)
        {
            inner.entry((*name).to_owned()).or_insert(AttributeValue::Null(true));
        }
    }
    if let Some(due) = value.work_row() {
        let (partition, order) = match due {
            Due::At(at) => (key::due_partition(due::shard(&key.pk)), at.millis()),
            Due::Ready { class, order } => (key::ready_partition(&class), order),
            Due::Held { project, order } => (key::held_partition(&project), order),
            Due::Limited { project, repository, order } => (key::limited_partition(&project, &repository), order),
        };
        item.insert("wk".into(), AttributeValue::S(partition));
        item.insert("ws".into(), AttributeValue::N(order.to_string()));
    }
    if let Some((list, order)) = value.list_row() {
        item.insert("lk".into(), AttributeValue::S(list));
        item.insert("ls".into(), AttributeValue::S(order));
    }
    if let Some(at) = value.expires_at() {
        item.insert(EXPIRES.into(), AttributeValue::N((at.millis() / 1_000).to_string()));
    }
    for (name, value) in value.condition_attributes() {
        item.insert(name.into(), value);
    }
    item.extend(key.attributes());
    Ok(item)
}

/// Removes the nulls of a map and of the maps in it. An absent attribute has the same meaning and costs nothing.
fn drop_nulls(map: &mut Attributes) {
    map.retain(|_, value| !value.is_null());
    map.values_mut().for_each(drop_inner_nulls);
}

fn drop_inner_nulls(value: &mut AttributeValue) {
    match value {
        AttributeValue::M(map) => drop_nulls(map),
        AttributeValue::L(list) => list.iter_mut().for_each(drop_inner_nulls),
        _ => {}
    }
}

/// A part of the item `key`, as the value of an update.
pub(crate) fn encode_part(key: &Key, part: &impl Serialize) -> Result<AttributeValue, Error> {
    let mut value = serde_dynamo::to_attribute_value(part).map_err(|error| Error::corrupt(key, error))?;
    drop_inner_nulls(&mut value);
    Ok(value)
}

/// Decodes the attributes of an item that never replaces it. `Store::decode` is for the others.
pub(crate) fn decode_part<T: DeserializeOwned>(item: &Attributes) -> Result<T, Error> {
    unknown::decode(item, &key_of(item))
}

pub(crate) fn key_of(item: &Attributes) -> Key {
    let part = |name: &str| string_attribute(item, name).unwrap_or_default().to_owned();
    Key { pk: part("pk"), sk: part("sk") }
}

pub(crate) fn string_attribute<'a>(item: &'a Attributes, name: &str) -> Option<&'a str> {
    item.get(name)?.as_s().ok().map(String::as_str)
}

pub(crate) fn number_attribute<N: FromStr>(item: &Attributes, name: &str) -> Option<N> {
    item.get(name)?.as_n().ok()?.parse().ok()
}

impl Store {
    pub(crate) async fn load<T: Item>(&self, key: &Key) -> Result<Option<T>, Error> {
        self.load_attributes(key).await?.map(|item| self.decode(&item)).transpose()
    }

    pub(crate) async fn load_part<T: DeserializeOwned>(&self, key: &Key) -> Result<Option<T>, Error> {
        self.load_attributes(key).await?.as_ref().map(decode_part).transpose()
    }

    /// Decodes an item, and notes whether it has unknown fields.
    pub(crate) fn decode<T: Item>(&self, item: &Attributes) -> Result<T, Error> {
        let value = decode_part(item)?;
        if !self.has_unknown_fields() && unknown::has_unknown(item, &encode(&value)?) {
            self.unknown_fields.store(true, Ordering::Relaxed);
        }
        Ok(value)
    }

    /// Whether this store has decoded an item with unknown fields. It then reads each item before it replaces it.
    pub(crate) fn has_unknown_fields(&self) -> bool {
        self.unknown_fields.load(Ordering::Relaxed)
    }

    pub(crate) async fn load_attributes(&self, key: &Key) -> Result<Option<Attributes>, Error> {
        let answer = self
            .client
            .get_item()
            .table_name(&self.table)
            .set_key(Some(key.attributes()))
            .consistent_read(true)
            .send()
            .await
            .map_err(|error| Error::unavailable("read", error))?;
        Ok(answer.item)
    }
}

impl Item for Job {
    fn key(&self) -> Key {
        key::job(&self.id)
    }
    fn work_row(&self) -> Option<Due> {
        due::job(self)
    }
    fn list_row(&self) -> Option<(String, String)> {
        Some((key::job_list(&self.project), key::to_sort_key(self.created)))
    }
}

impl Item for Places {
    fn key(&self) -> Key {
        key::places(&self.project)
    }
}

impl Item for SecretProjects {
    fn key(&self) -> Key {
        key::secret_projects(&self.secret)
    }
}

impl Item for Ticket {
    fn key(&self) -> Key {
        key::ticket(&self.project, &self.key)
    }
    fn work_row(&self) -> Option<Due> {
        due::ticket(self)
    }
    fn list_row(&self) -> Option<(String, String)> {
        Some((key::ticket_list(&self.project), percent_encode(self.key.as_str())))
    }
}

impl Item for Spending {
    fn key(&self) -> Key {
        key::spending(&self.project, &self.of)
    }
}

impl Item for Comment {
    fn key(&self) -> Key {
        key::comment(&self.project, &self.ticket, self.number)
    }
}

impl Item for PullRequest {
    fn key(&self) -> Key {
        key::pull_request(&self.id)
    }
    fn work_row(&self) -> Option<Due> {
        due::pull_request(self)
    }
    /// Only open pull requests are listed, because these are compared with the forge.
    fn list_row(&self) -> Option<(String, String)> {
        let open = self.state == PullRequestState::Open;
        open.then(|| (key::pull_request_list(&self.project), self.id.to_string()))
    }
}

/// Has no `expires`: a replayed delivery must find the review while its pull request may still be open.
impl Item for Review {
    fn key(&self) -> Key {
        key::review(&self.pull_request, &self.id)
    }
}

impl Item for Project {
    const STORED_NULLS: &'static [[&'static str; 3]] =
        &[["settings", "limits", "ticket_usd_micros"], ["settings", "limits", "ticket_jobs"]];

    fn key(&self) -> Key {
        key::project(&self.id)
    }
    fn list_row(&self) -> Option<(String, String)> {
        Some((key::PROJECT_LIST.into(), self.id.to_string()))
    }
}

impl Item for Analysis {
    fn key(&self) -> Key {
        key::analysis(&self.project, &self.integration, self.repository)
    }
}

impl Item for AttemptRecord {
    fn key(&self) -> Key {
        key::attempt(&self.job, self.number)
    }
    fn expires_at(&self) -> Option<Timestamp> {
        Some(self.ended_at.plus(90 * DAY))
    }
}

impl Item for Artifacts {
    fn key(&self) -> Key {
        key::artifacts(&self.job, self.attempt)
    }
    /// The bucket deletes the objects after the same time.
    fn expires_at(&self) -> Option<Timestamp> {
        Some(self.at.plus(RETENTION))
    }
}

impl Item for Input {
    fn key(&self) -> Key {
        key::input(&self.job, self.seq)
    }
}

impl Item for Delivery {
    fn key(&self) -> Key {
        key::delivery(&self.id)
    }
    fn list_row(&self) -> Option<(String, String)> {
        let order = format!("{}#{}", key::to_sort_key(self.at), self.id);
        Some((key::delivery_list(&self.project), order))
    }
    fn expires_at(&self) -> Option<Timestamp> {
        Some(self.at.plus(30 * DAY))
    }
    fn condition_attributes(&self) -> Vec<(&'static str, AttributeValue)> {
        vec![("final", AttributeValue::Bool(self.reason.is_final()))]
    }
}

impl Item for Repository {
    fn key(&self) -> Key {
        key::repository(&self.project, &self.integration, self.id)
    }
}

impl Item for Integration {
    fn key(&self) -> Key {
        key::integration(&self.id)
    }
    fn list_row(&self) -> Option<(String, String)> {
        Some((key::INTEGRATION_LIST.into(), self.id.to_string()))
    }
}

impl Item for Runner {
    fn key(&self) -> Key {
        key::runner(&self.id)
    }
}

impl Item for Profile {
    fn key(&self) -> Key {
        key::runner_profile(&self.id)
    }
}

impl Item for Breaker {
    fn key(&self) -> Key {
        key::breaker(&self.id)
    }
    fn list_row(&self) -> Option<(String, String)> {
        Some((key::BREAKER_LIST.into(), self.id.to_string()))
    }
    fn expires_at(&self) -> Option<Timestamp> {
        Some(self.expires_at())
    }
}

/// A job class, which shows runners and the sweeper the existing classes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Class {
    pub(crate) project: ProjectId,
    pub(crate) class: ClassId,
    pub(crate) needs: ClassRequirements,
}

impl Item for Class {
    fn key(&self) -> Key {
        key::class(&self.project, &self.class)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RunnerName {
    pub(crate) name: String,
    pub(crate) owner: RunnerId,
}

impl Item for RunnerName {
    fn key(&self) -> Key {
        key::runner_name(&self.name)
    }
}
