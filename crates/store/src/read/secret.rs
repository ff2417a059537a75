//! Reads the names of users' secrets.

use crate::item::secret::SecretRecord;
use crate::read::partition::SortKeys;
use crate::{Error, Store, key};

impl Store {
    /// `secret`: the full name.
    pub async fn load_secret_record(&self, secret: &str) -> Result<Option<SecretRecord>, Error> {
        self.load(&key::secret_record(secret)).await
    }

    /// All users' secrets, by full name. An undecodable one is its error.
    pub async fn list_secret_records(&self) -> Result<Vec<Result<SecretRecord, Error>>, Error> {
        let items = self.query_items(key::SECRETS, SortKeys::All, None, "read the names of secrets").await?;
        Ok(items.iter().map(|item| self.decode(item)).collect())
    }
}
