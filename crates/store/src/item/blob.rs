//! Stores text of any length as one compressed attribute, separate from items that are written often.

use super::Attributes;
use crate::Error;
use crate::key::Key;
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use serde::Serialize;
use serde::de::DeserializeOwned;

const ATTRIBUTE: &str = "body";
/// Limit for unpacking. A stored item has at most 400 KB, and hostile text may expand a lot. Units: bytes.
const LARGEST: usize = 16 << 20;

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

pub(crate) fn unpack<T: DeserializeOwned>(key: &Key, item: &Attributes) -> Result<T, Error> {
    let broken = |reason: String| Error::Corrupt { key: key.to_string(), reason };
    let body =
        item.get(ATTRIBUTE).and_then(|value| value.as_b().ok()).ok_or_else(|| broken("it has no body".into()))?;
    let json = zstd::bulk::decompress(body.as_ref(), LARGEST).map_err(|error| broken(error.to_string()))?;
    serde_json::from_slice(&json).map_err(|error| broken(error.to_string()))
}
