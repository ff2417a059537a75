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
const MAX_UNPACKED: usize = 16 << 20;

pub(crate) fn pack<T: Serialize>(key: &Key, value: &T) -> Result<Attributes, Error> {
    let json = serde_json::to_vec(value).map_err(|error| Error::corrupt(key, error))?;
    let body = zstd::bulk::compress(&json, 3).map_err(|error| Error::corrupt(key, error))?;
    let mut item = key.attributes();
    item.insert(ATTRIBUTE.into(), AttributeValue::B(Blob::new(body)));
    Ok(item)
}

pub(crate) fn unpack<T: DeserializeOwned>(key: &Key, item: &Attributes) -> Result<T, Error> {
    let body = item.get(ATTRIBUTE).and_then(|value| value.as_b().ok());
    let body = body.ok_or_else(|| Error::corrupt(key, "it has no body"))?;
    let json = zstd::bulk::decompress(body.as_ref(), MAX_UNPACKED).map_err(|error| Error::corrupt(key, error))?;
    serde_json::from_slice(&json).map_err(|error| Error::corrupt(key, error))
}
