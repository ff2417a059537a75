//! Text of any length as one compressed attribute, outside the items that are written often.

use super::Attributes;
use crate::Error;
use crate::key::Key;
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The attribute that carries it.
const ATTRIBUTE: &str = "body";
/// What a reader unpacks at most: a stored item is 400 KB, and hostile text may shrink a lot.
const LARGEST: usize = 16 << 20;

/// The value as a compressed attribute beside the key.
pub(crate) fn pack<T: Serialize>(key: &Key, value: &T) -> Result<Attributes, Error> {
    let broken = |reason: String| Error::Corrupt { key: key.to_string(), reason };
    let json = serde_json::to_vec(value).map_err(|error| broken(error.to_string()))?;
    let body = zstd::bulk::compress(&json, 3).map_err(|error| broken(error.to_string()))?;
    Ok(Attributes::from([
        ("pk".to_owned(), AttributeValue::S(key.pk.clone())),
        ("sk".to_owned(), AttributeValue::S(key.sk.clone())),
        ("v".to_owned(), AttributeValue::N(super::SHAPE.to_string())),
        (ATTRIBUTE.to_owned(), AttributeValue::B(Blob::new(body))),
    ]))
}

/// The value that was packed.
pub(crate) fn unpack<T: DeserializeOwned>(key: &Key, item: &Attributes) -> Result<T, Error> {
    let broken = |reason: String| Error::Corrupt { key: key.to_string(), reason };
    let body =
        item.get(ATTRIBUTE).and_then(|value| value.as_b().ok()).ok_or_else(|| broken("it has no body".into()))?;
    let json = zstd::bulk::decompress(body.as_ref(), LARGEST).map_err(|error| broken(error.to_string()))?;
    serde_json::from_slice(&json).map_err(|error| broken(error.to_string()))
}
