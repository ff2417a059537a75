//! Converts domain values to items and back.
//! An item has the fields of its value, its key, the version of its shape, its rows of the `work` and `list` indexes,
//! and its expiry. The domain's `due` always computes the row of `work` for the whole value.

pub(crate) mod artifact;
pub(crate) mod blob;
pub(crate) mod breaker;
pub(crate) mod class;
pub(crate) mod hook;
pub(crate) mod sweeps;
pub(crate) mod token;

use crate::key::{self, Key};
use crate::schema::EXPIRES;
use crate::{Error, Store};
use aws_sdk_dynamodb::types::AttributeValue;
use pullyard_domain::delivery::Delivery;
use pullyard_domain::due::{self, Due};
use pullyard_domain::id::RunnerId;
use pullyard_domain::job::{AttemptRecord, Input, Job};
use pullyard_domain::project::{Integration, Project, Repository};
use pullyard_domain::pull_request::{PullRequest, PullRequestState};
use pullyard_domain::review::Review;
use pullyard_domain::runner::{Profile, Runner};
use pullyard_domain::ticket::Ticket;
use pullyard_domain::time::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::HashMap;
use std::time::Duration;

pub(crate) type Attributes = HashMap<String, AttributeValue>;

pub(crate) const SHAPE: u32 = 1;

const DAY: Duration = Duration::from_secs(24 * 3_600);

pub(crate) trait Stored: Serialize + DeserializeOwned {
    fn key(&self) -> Key;

    fn due(&self) -> Option<Due> {
        None
    }

    fn listed(&self) -> Option<(String, String)> {
        None
    }

    /// When it may be deleted. Only for values that are not needed any more.
    fn expires(&self) -> Option<Timestamp> {
        None
    }

    /// Attributes that conditions use and the value lacks.
    fn extra(&self) -> Vec<(&'static str, AttributeValue)> {
        Vec::new()
    }
}

/// A value that is only written over the revision that was read.
pub(crate) trait Revised: Stored {
    /// The revision that was read; 0 if it was never stored.
    fn seen(&self) -> u64;
}

pub(crate) fn encode<T: Stored>(value: &T) -> Result<Attributes, Error> {
    let key = value.key();
    let mut item: Attributes = serde_dynamo::to_item(value)
        .map_err(|error| Error::Corrupt { key: key.to_string(), reason: error.to_string() })?;
    drop_nulls(&mut item);
    if let Some(due) = value.due() {
        let (partition, order) = match due {
            Due::At(at) => (key::due(due::shard(&key.pk)), at.millis()),
            Due::Ready { class, order } => (key::ready(&class), order),
            Due::Held { project, order } => (key::held(&project), order),
        };
        item.insert("wk".into(), AttributeValue::S(partition));
        item.insert("ws".into(), AttributeValue::N(order.to_string()));
    }
    if let Some((list, order)) = value.listed() {
        item.insert("lk".into(), AttributeValue::S(list));
        item.insert("ls".into(), AttributeValue::S(order));
    }
    if let Some(at) = value.expires() {
        item.insert(EXPIRES.into(), AttributeValue::N((at.millis() / 1_000).to_string()));
    }
    for (name, value) in value.extra() {
        item.insert(name.into(), value);
    }
    item.insert("pk".into(), AttributeValue::S(key.pk));
    item.insert("sk".into(), AttributeValue::S(key.sk));
    item.insert("v".into(), AttributeValue::N(SHAPE.to_string()));
    Ok(item)
}

/// Removes nulls at any depth. An absent attribute has the same meaning and costs nothing.
fn drop_nulls(map: &mut Attributes) {
    map.retain(|_, value| !value.is_null());
    for value in map.values_mut() {
        if let AttributeValue::M(inner) = value {
            drop_nulls(inner);
        }
    }
}

pub(crate) fn decode<T: DeserializeOwned>(item: Attributes, key: &Key) -> Result<T, Error> {
    serde_dynamo::from_item(item).map_err(|error| Error::Corrupt { key: key.to_string(), reason: error.to_string() })
}

/// Like `decode`, with the key from the item itself.
pub(crate) fn decoded<T: DeserializeOwned>(item: Attributes) -> Result<T, Error> {
    let key = key_of(&item);
    decode(item, &key)
}

pub(crate) fn key_of(item: &Attributes) -> Key {
    let word = |name: &str| item.get(name).and_then(|value| value.as_s().ok()).cloned().unwrap_or_default();
    Key { pk: word("pk"), sk: word("sk") }
}

impl Store {
    pub(crate) async fn get<T: DeserializeOwned>(&self, key: &Key) -> Result<Option<T>, Error> {
        self.get_attributes(key).await?.map(|item| decode(item, key)).transpose()
    }

    pub(crate) async fn get_attributes(&self, key: &Key) -> Result<Option<Attributes>, Error> {
        let answer = self
            .client
            .get_item()
            .table_name(&self.table)
            .key("pk", AttributeValue::S(key.pk.clone()))
            .key("sk", AttributeValue::S(key.sk.clone()))
            .consistent_read(true)
            .send()
            .await
            .map_err(|error| Error::unavailable("read", error))?;
        Ok(answer.item)
    }
}

impl Stored for Job {
    fn key(&self) -> Key {
        key::job(&self.id)
    }
    fn due(&self) -> Option<Due> {
        due::job(self)
    }
    fn listed(&self) -> Option<(String, String)> {
        Some((key::job_list(&self.project), key::sortable(self.created)))
    }
}

impl Revised for Job {
    fn seen(&self) -> u64 {
        self.rev
    }
}

impl Stored for Ticket {
    fn key(&self) -> Key {
        key::ticket(&self.project, &self.key)
    }
    fn due(&self) -> Option<Due> {
        due::ticket(self)
    }
    fn listed(&self) -> Option<(String, String)> {
        Some((key::ticket_list(&self.project), key::encoded(self.key.as_str())))
    }
}

impl Revised for Ticket {
    fn seen(&self) -> u64 {
        self.rev
    }
}

impl Stored for PullRequest {
    fn key(&self) -> Key {
        key::pull_request(&self.id)
    }
    fn due(&self) -> Option<Due> {
        due::pull_request(self)
    }
    /// Only open pull requests are listed, because these are compared with the forge.
    fn listed(&self) -> Option<(String, String)> {
        let open = self.state == PullRequestState::Open;
        open.then(|| (key::pull_request_list(&self.project), self.id.to_string()))
    }
}

/// Has no `expires`: a replayed delivery must find the review while its pull request may still be open.
impl Stored for Review {
    fn key(&self) -> Key {
        key::review(&self.pull_request, &self.id)
    }
}

impl Revised for PullRequest {
    fn seen(&self) -> u64 {
        self.rev
    }
}

impl Stored for Project {
    fn key(&self) -> Key {
        key::project(&self.id)
    }
    fn listed(&self) -> Option<(String, String)> {
        Some((key::PROJECT_LIST.into(), self.id.to_string()))
    }
}

impl Revised for Project {
    fn seen(&self) -> u64 {
        self.rev
    }
}

impl Stored for AttemptRecord {
    fn key(&self) -> Key {
        key::attempt(&self.job, self.number)
    }
    fn expires(&self) -> Option<Timestamp> {
        Some(self.ended_at.plus(90 * DAY))
    }
}

impl Stored for Input {
    fn key(&self) -> Key {
        key::input(&self.job, self.seq)
    }
}

impl Stored for Delivery {
    fn key(&self) -> Key {
        key::delivery(&self.id)
    }
    fn listed(&self) -> Option<(String, String)> {
        let order = format!("{}#{}", key::sortable(self.at), self.id);
        Some((key::delivery_list(&self.project, &self.at.day()), order))
    }
    fn expires(&self) -> Option<Timestamp> {
        Some(self.at.plus(30 * DAY))
    }
    fn extra(&self) -> Vec<(&'static str, AttributeValue)> {
        vec![("final", AttributeValue::Bool(self.reason.is_final()))]
    }
}

impl Stored for Repository {
    fn key(&self) -> Key {
        key::repository(&self.project, &self.integration, self.id)
    }
}

impl Stored for Integration {
    fn key(&self) -> Key {
        key::integration(&self.id)
    }
    fn listed(&self) -> Option<(String, String)> {
        Some((key::INTEGRATION_LIST.into(), self.id.to_string()))
    }
}

impl Stored for Runner {
    fn key(&self) -> Key {
        key::runner(&self.id)
    }
}

impl Stored for Profile {
    fn key(&self) -> Key {
        key::runner_profile(&self.id)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Name {
    pub(crate) name: String,
    pub(crate) owner: RunnerId,
}

impl Stored for Name {
    fn key(&self) -> Key {
        key::runner_name(&self.name)
    }
}
