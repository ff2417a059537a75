//! Stores text of any length as one compressed attribute, separate from items that are written often.

use super::Attributes;
use super::unknown::decode_json;
use crate::Error;
use crate::key::Key;
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

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

/// Packs a value together with the unknown fields of the stored value.
pub(crate) fn pack_with<T: Serialize>(key: &Key, value: &T, unknown: &Map<String, Value>) -> Result<Attributes, Error> {
    #[derive(Serialize)]
    struct Body<'a, T> {
        #[serde(flatten)]
        value: &'a T,
        #[serde(flatten)]
        unknown: &'a Map<String, Value>,
    }
    pack(key, &Body { value, unknown })
}

pub(crate) fn unpack<T: DeserializeOwned>(key: &Key, item: &Attributes) -> Result<T, Error> {
    decode_json(&decompress(key, item)?).map_err(|error| Error::corrupt(key, error))
}

/// The fields of a packed value that its decoded form, `known`, lacks.
pub(crate) fn unpack_unknown<T: Serialize>(
    key: &Key,
    item: &Attributes,
    known: &T,
) -> Result<Map<String, Value>, Error> {
    let corrupt = |error: serde_json::Error| Error::corrupt(key, error);
    let mut fields: Map<String, Value> = serde_json::from_slice(&decompress(key, item)?).map_err(corrupt)?;
    let known = serde_json::to_value(known).map_err(corrupt)?;
    fields.retain(|name, _| known.get(name).is_none());
    Ok(fields)
}

fn decompress(key: &Key, item: &Attributes) -> Result<Vec<u8>, Error> {
    let body = item.get(ATTRIBUTE).and_then(|value| value.as_b().ok());
    let body = body.ok_or_else(|| Error::corrupt(key, "it has no body"))?;
    zstd::bulk::decompress(body.as_ref(), MAX_UNPACKED).map_err(|error| Error::corrupt(key, error))
}
