//! Defines the schema, used to create the table and to check the template.

use crate::{Error, Store};
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType, Projection, ProjectionType,
    ScalarAttributeType, TimeToLiveSpecification,
};

/// The index of items that are due, and of jobs that may be claimed.
pub(crate) const WORK: &str = "work";
pub(crate) const LIST: &str = "list";
/// The attribute for DynamoDB's time to live. DynamoDB deletes late, so readers compare it. Units: epoch seconds.
pub(crate) const EXPIRES: &str = "expires";

const ATTRIBUTES: [(&str, ScalarAttributeType); 6] = [
    ("pk", ScalarAttributeType::S),
    ("sk", ScalarAttributeType::S),
    ("wk", ScalarAttributeType::S),
    ("ws", ScalarAttributeType::N),
    ("lk", ScalarAttributeType::S),
    ("ls", ScalarAttributeType::S),
];

/// Both are sparse and contain only keys: an index suggests, the item decides.
const INDEXES: [(&str, &str, &str); 2] = [(WORK, "wk", "ws"), (LIST, "lk", "ls")];

impl Store {
    /// Creates the table if it is missing. Only the local system needs this; on AWS the template creates it.
    pub async fn create_table(&self) -> Result<(), Error> {
        let build_error = |error| Error::unavailable("create the table", error);
        let mut call = self.client.create_table().table_name(&self.table).billing_mode(BillingMode::PayPerRequest);
        for (name, kind) in ATTRIBUTES {
            let attribute = AttributeDefinition::builder().attribute_name(name).attribute_type(kind);
            call = call.attribute_definitions(attribute.build().map_err(build_error)?);
        }
        for element in key_schema("pk", "sk")? {
            call = call.key_schema(element);
        }
        for (name, hash, range) in INDEXES {
            let keys_only = Projection::builder().projection_type(ProjectionType::KeysOnly).build();
            let index = GlobalSecondaryIndex::builder()
                .index_name(name)
                .set_key_schema(Some(key_schema(hash, range)?))
                .projection(keys_only);
            call = call.global_secondary_indexes(index.build().map_err(build_error)?);
        }
        match call.send().await {
            Ok(_) => {}
            Err(error) if error.as_service_error().is_some_and(|error| error.is_resource_in_use_exception()) => {
                return Ok(());
            }
            Err(error) => return Err(Error::unavailable("create the table", error)),
        }
        let ttl = TimeToLiveSpecification::builder().attribute_name(EXPIRES).enabled(true);
        self.client
            .update_time_to_live()
            .table_name(&self.table)
            .time_to_live_specification(ttl.build().map_err(build_error)?)
            .send()
            .await
            .map_err(|error| Error::unavailable("switch on the time to live", error))?;
        Ok(())
    }
}

fn key_schema(hash: &str, range: &str) -> Result<Vec<KeySchemaElement>, Error> {
    [(hash, KeyType::Hash), (range, KeyType::Range)]
        .into_iter()
        .map(|(name, kind)| {
            KeySchemaElement::builder()
                .attribute_name(name)
                .key_type(kind)
                .build()
                .map_err(|error| Error::unavailable("describe the table", error))
        })
        .collect()
}
