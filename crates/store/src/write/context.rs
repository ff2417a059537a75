//! Freezes the context of an agent before its job is created.

use crate::item::{Attributes, blob};
use crate::key::{self, Key};
use crate::transaction::{Condition, Transaction, string_value};
use crate::{Error, Store};
use pullyard_domain::kinds::prompt::Context;
use pullyard_domain::text::id::JobId;
use sha2::{Digest, Sha256};

impl Store {
    /// Stores a context and returns its hash, which the job will contain.
    /// Writes: CONTEXT if absent or the same, because its key is a hash of its content. A plain write before the job,
    /// because a transaction would cost double. If the job is not created, the context remains.
    pub async fn create_context(&self, job: &JobId, context: &Context) -> Result<String, Error> {
        let (hash, key, item) = encode_context(job, context)?;
        let same = Condition::new("attribute_not_exists(pk) OR pk = :pk").value(":pk", string_value(key.pk));
        Transaction::new("store a context").put_item(item, same).commit(self).await?;
        Ok(hash)
    }

    pub async fn load_context(&self, job: &JobId, hash: &str) -> Result<Option<Context>, Error> {
        let key = key::context(job, hash);
        self.load_attributes(&key).await?.map(|item| blob::unpack(&key, &item)).transpose()
    }
}

fn encode_context(job: &JobId, context: &Context) -> Result<(String, Key, Attributes), Error> {
    let json = serde_json::to_vec(context).map_err(|error| Error::corrupt(job, error))?;
    let hash = data_encoding::HEXLOWER.encode(&Sha256::digest(&json)[..16]);
    let key = key::context(job, &hash);
    let item = blob::pack(&key, context)?;
    Ok((hash, key, item))
}
