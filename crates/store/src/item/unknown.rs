//! Reads and keeps fields that this version does not know.
//! After a rollback, a newer version has stored items with additional fields. Readers ignore them, and a writer that
//! replaces such an item writes them back. Requests stay strict, although they use some of the same types.

use super::{Attributes, Item, encode};
use crate::key::{DISCONNECTED, Key};
use crate::schema::EXPIRES;
use crate::{Error, mark};
use aws_sdk_dynamodb::types::AttributeValue;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_path_to_error::{Path, Segment};
use std::fmt::Display;

/// Attributes that each write computes for the whole item.
const COMPUTED: [&str; 7] = ["wk", "ws", "lk", "ls", EXPIRES, mark::ATTRIBUTE, DISCONNECTED];

/// Fields that identify an inner map: the variant of an enum, or an element of a list. A map with another identity has
/// replaced the stored one, whose unknown fields do not belong to it.
const IDENTITY: [&str; 9] = ["id", "is", "how", "what", "about", "kind", "fault", "of", "code"];

/// Decodes an item without the fields that its type rejects.
pub(crate) fn decode<T: DeserializeOwned>(item: &Attributes, key: &Key) -> Result<T, Error> {
    if let Ok(value) = serde_dynamo::from_item(item.clone()) {
        return Ok(value);
    }
    let mut map = AttributeValue::M(item.clone());
    decode_known(
        &mut map,
        |map| {
            let value = serde_dynamo::AttributeValue::from(map.clone());
            serde_path_to_error::deserialize(serde_dynamo::Deserializer::from_attribute_value(value))
        },
        remove_attribute,
    )
    .map_err(|error| Error::corrupt(key, error))
}

/// Decodes JSON without the fields that its type rejects.
pub(super) fn decode_json<T: DeserializeOwned>(json: &[u8]) -> Result<T, String> {
    if let Ok(value) = serde_json::from_slice(json) {
        return Ok(value);
    }
    let mut tree: Value = serde_json::from_slice(json).map_err(|error| error.to_string())?;
    decode_known(&mut tree, |tree| serde_path_to_error::deserialize(tree.clone()), remove_member)
}

/// Removes one rejected field after the other. serde reports only the first.
fn decode_known<T, Tree, E: Display>(
    tree: &mut Tree,
    decode: impl Fn(&Tree) -> Result<T, serde_path_to_error::Error<E>>,
    remove: impl Fn(&mut Tree, &[&Segment], &str) -> bool,
) -> Result<T, String> {
    loop {
        let error = match decode(tree) {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        let message = error.inner().to_string();
        let field = message.strip_prefix("unknown field `").and_then(|rest| rest.split_once('`'));
        let is_removed = field.is_some_and(|(field, _)| {
            let path = segments(error.path());
            // The path ends with the field, or at the enum with a tag that contains it.
            remove(tree, &path, field) || path.split_last().is_some_and(|(_, parent)| remove(tree, parent, field))
        });
        if !is_removed {
            return Err(error.to_string());
        }
    }
}

fn segments(path: &Path) -> Vec<&Segment> {
    path.iter().filter(|segment| matches!(segment, Segment::Map { .. } | Segment::Seq { .. })).collect()
}

/// Removes the field of this name at the path or below it.
fn remove_attribute(value: &mut AttributeValue, path: &[&Segment], field: &str) -> bool {
    let next = match (path.first(), &mut *value) {
        (Some(Segment::Map { key }), AttributeValue::M(map)) => map.get_mut(key),
        (Some(Segment::Seq { index }), AttributeValue::L(list)) => list.get_mut(*index),
        _ => None,
    };
    if let Some(next) = next {
        return remove_attribute(next, &path[1..], field);
    }
    match value {
        AttributeValue::M(map) => {
            map.remove(field).is_some() || map.values_mut().any(|value| remove_attribute(value, &[], field))
        }
        AttributeValue::L(list) => list.iter_mut().any(|value| remove_attribute(value, &[], field)),
        _ => false,
    }
}

/// Like `remove_attribute`.
fn remove_member(value: &mut Value, path: &[&Segment], field: &str) -> bool {
    let next = match (path.first(), &mut *value) {
        (Some(Segment::Map { key }), Value::Object(map)) => map.get_mut(key),
        (Some(Segment::Seq { index }), Value::Array(list)) => list.get_mut(*index),
        _ => None,
    };
    if let Some(next) = next {
        return remove_member(next, &path[1..], field);
    }
    match value {
        Value::Object(map) => {
            map.remove(field).is_some() || map.values_mut().any(|value| remove_member(value, &[], field))
        }
        Value::Array(list) => list.iter_mut().any(|value| remove_member(value, &[], field)),
        _ => false,
    }
}

/// The part of a stored item that this version knows. `None` if the item cannot be decoded.
pub(crate) fn known_part<T: Item>(stored: &Attributes) -> Option<Attributes> {
    encode(&decode::<T>(stored, &super::key_of(stored)).ok()?).ok()
}

/// Whether a stored item has fields that `known`, its known part, lacks.
pub(crate) fn has_unknown(stored: &Attributes, known: &Attributes) -> bool {
    stored.iter().any(|(name, stored)| match known.get(name) {
        Some(known) => has_inner_unknown(stored, known),
        None => !COMPUTED.contains(&name.as_str()),
    })
}

fn has_inner_unknown(stored: &AttributeValue, known: &AttributeValue) -> bool {
    match (stored, known) {
        (AttributeValue::M(stored), AttributeValue::M(known)) => {
            stored.iter().any(|(name, stored)| known.get(name).is_none_or(|known| has_inner_unknown(stored, known)))
        }
        (AttributeValue::L(stored), AttributeValue::L(known)) => {
            stored.iter().zip(known).any(|(stored, known)| has_inner_unknown(stored, known))
        }
        _ => false,
    }
}

/// Adds the unknown fields of a stored item to the item that replaces it. Lists of maps grow only at their end.
pub(crate) fn restore(stored: &Attributes, known: &Attributes, next: &mut Attributes) {
    let stored = stored.iter().filter(|(name, _)| !COMPUTED.contains(&name.as_str()));
    for (name, stored) in stored {
        restore_field(name, stored, known, next);
    }
}

fn restore_field(name: &str, stored: &AttributeValue, known: &Attributes, next: &mut Attributes) {
    match (known.get(name), next.get_mut(name)) {
        (Some(known), Some(next)) => restore_inner(stored, known, next),
        (None, None) => drop(next.insert(name.to_owned(), stored.clone())),
        (Some(_), None) | (None, Some(_)) => {}
    }
}

fn restore_inner(stored: &AttributeValue, known: &AttributeValue, next: &mut AttributeValue) {
    match (stored, known, next) {
        (AttributeValue::M(stored), AttributeValue::M(known), AttributeValue::M(next))
            if IDENTITY.iter().all(|name| known.get(*name) == next.get(*name)) =>
        {
            stored.iter().for_each(|(name, stored)| restore_field(name, stored, known, next));
        }
        (AttributeValue::L(stored), AttributeValue::L(known), AttributeValue::L(next)) => {
            stored.iter().zip(known).zip(next).for_each(|((stored, known), next)| restore_inner(stored, known, next));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests;
