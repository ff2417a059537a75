//! Self-hosted runners, their classes, and the sweeper's own sign of life.

use crate::item::class::Class;
use crate::item::sweeps::Sweeps;
use crate::item::{Attributes, Name, decode};
use crate::key::{self, Key, RUNNER_SHARDS};
use crate::transaction::text;
use crate::{Error, Store};
use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes};
use pullyard_domain::fleet::Member;
use pullyard_domain::id::{ClassId, ProjectId, RunnerId};
use pullyard_domain::runner::{Profile, Runner};
use pullyard_domain::select::Needs;
use std::collections::HashMap;

/// How many items one call of BatchGetItem takes.
const BATCH: usize = 100;
/// How often what a batch left over is asked for again.
const TRIES: u32 = 8;

impl Store {
    /// The changing part of a runner, read strongly.
    pub async fn runner(&self, runner: &RunnerId) -> Result<Option<Runner>, Error> {
        self.get(&key::runner(runner)).await
    }

    /// Both parts of a runner, read strongly in one call; none if one of them is not there.
    pub async fn member(&self, runner: &RunnerId) -> Result<Option<Member>, Error> {
        let (changing, lasting) = (key::runner(runner), key::runner_profile(runner));
        let (mut found, mut profile) = (None, None);
        for item in self.items(vec![changing.clone(), lasting.clone()]).await? {
            match key_of(&item) {
                key if key == lasting => profile = Some(decode::<Profile>(item, &lasting)?),
                _ => found = Some(decode::<Runner>(item, &changing)?),
            }
        }
        Ok(found.zip(profile).map(|(runner, profile)| Member { runner, profile }))
    }

    /// Who has a runner's name, read strongly.
    pub async fn runner_named(&self, name: &str) -> Result<Option<RunnerId>, Error> {
        Ok(self.get::<Name>(&key::runner_name(name)).await?.map(|name| name.owner))
    }

    /// Every runner, by shard. Not strongly: whoever acts on one proves what was read. One that can't be
    /// read stands there as its error, so that it does not hide the others.
    pub async fn runners(&self) -> Result<Vec<Result<Runner, Error>>, Error> {
        let mut runners = Vec::new();
        for shard in 0..RUNNER_SHARDS {
            let pk = key::runner_shard(shard);
            for item in self.partition(&pk, "", "read the runners").await? {
                runners.push(decode(item.clone(), &key_of(&item)));
            }
        }
        Ok(runners)
    }

    /// The lasting parts of these runners, in any order; of those that are gone none.
    pub async fn runner_profiles(&self, runners: &[RunnerId]) -> Result<Vec<Profile>, Error> {
        let mut profiles = Vec::with_capacity(runners.len());
        for chunk in runners.chunks(BATCH) {
            let key = |runner: &RunnerId| {
                let key = key::runner_profile(runner);
                HashMap::from([("pk".to_owned(), text(key.pk)), ("sk".to_owned(), text(key.sk))])
            };
            let mut left = chunk.iter().map(key).collect::<Vec<_>>();
            for tried in 1..=TRIES {
                if left.is_empty() {
                    break;
                }
                if tried > 1 {
                    self.pause(std::time::Duration::from_millis(20 << tried)).await;
                }
                let (items, unprocessed) = self.batch(left).await?;
                for item in items {
                    profiles.push(decode(item.clone(), &key_of(&item))?);
                }
                left = unprocessed;
            }
            if !left.is_empty() {
                return Err(Error::Contended { operation: "read the runners' profiles" });
            }
        }
        Ok(profiles)
    }

    async fn batch(&self, keys: Vec<Attributes>) -> Result<(Vec<Attributes>, Vec<Attributes>), Error> {
        let broken = |error| Error::unavailable("read the runners' profiles", error);
        let keys = KeysAndAttributes::builder().set_keys(Some(keys)).build().map_err(broken)?;
        let answer = self
            .client
            .batch_get_item()
            .request_items(&self.table, keys)
            .send()
            .await
            .map_err(|error| Error::unavailable("read the runners' profiles", error))?;
        let items = answer.responses.and_then(|mut all| all.remove(&self.table)).unwrap_or_default();
        let left = answer.unprocessed_keys.and_then(|mut all| all.remove(&self.table));
        Ok((items, left.map(|left| left.keys).unwrap_or_default()))
    }

    /// The classes of a project's jobs, with what each asks of a runner.
    pub async fn classes(&self, project: &ProjectId) -> Result<Vec<(ClassId, Needs)>, Error> {
        let pk = key::class_pool(project);
        let items = self.partition(&pk, "CLASS#", "read the classes of a project").await?;
        let class = |item: Attributes| decode::<Class>(item.clone(), &key_of(&item));
        items.into_iter().map(|item| class(item).map(|class| (class.class, class.needs))).collect()
    }

    /// What a class asks of a runner, read strongly.
    pub async fn class(&self, project: &ProjectId, class: &ClassId) -> Result<Option<Needs>, Error> {
        Ok(self.get::<Class>(&key::class(project, class)).await?.map(|class| class.needs))
    }

    /// When the sweeper last went round, read strongly.
    pub async fn sweeps(&self) -> Result<Option<Sweeps>, Error> {
        self.get(&key::sweeps()).await
    }

    async fn partition(&self, pk: &str, sk: &str, operation: &'static str) -> Result<Vec<Attributes>, Error> {
        let mut items = Vec::new();
        let mut start = None;
        loop {
            let condition = if sk.is_empty() { "pk = :pk" } else { "pk = :pk AND begins_with(sk, :sk)" };
            let page = self
                .client
                .query()
                .table_name(&self.table)
                .key_condition_expression(condition)
                .expression_attribute_values(":pk", text(pk))
                .set_exclusive_start_key(start);
            let page = if sk.is_empty() { page } else { page.expression_attribute_values(":sk", text(sk)) };
            let page = page.send().await.map_err(|error| Error::unavailable(operation, error))?;
            items.extend(page.items.unwrap_or_default());
            start = page.last_evaluated_key;
            if start.is_none() {
                return Ok(items);
            }
        }
    }
}

/// The key that stands in an item.
pub(crate) fn key_of(item: &HashMap<String, AttributeValue>) -> Key {
    let word = |name: &str| item.get(name).and_then(|value| value.as_s().ok()).cloned().unwrap_or_default();
    Key { pk: word("pk"), sk: word("sk") }
}
