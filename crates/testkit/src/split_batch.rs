//! Splits a `BatchGetItem` into halves: DynamoDB answers in part if the answer is large or the table is busy.

use serde_json::{Map, Value};

pub(crate) fn count_keys(call: &Value) -> usize {
    let tables = call["RequestItems"].as_object().into_iter().flat_map(Map::values);
    tables.filter_map(|wanted| wanted["Keys"].as_array()).map(Vec::len).sum()
}

/// The call with the first half of each table's keys, and the remaining keys.
pub(crate) fn split_batch(call: &Value) -> (Value, Value) {
    let (mut first, mut rest) = (call.clone(), call["RequestItems"].clone());
    for (table, wanted) in call["RequestItems"].as_object().into_iter().flatten() {
        let Some(keys) = wanted["Keys"].as_array() else { continue };
        let (first_half, second_half) = keys.split_at(keys.len().div_ceil(2));
        first["RequestItems"][table]["Keys"] = first_half.to_vec().into();
        rest[table]["Keys"] = second_half.to_vec().into();
    }
    (first, rest)
}

pub(crate) fn partial_answer(body: &[u8], rest: Value) -> Vec<u8> {
    let Ok(mut answer) = serde_json::from_slice::<Value>(body) else { return body.to_vec() };
    let tables = rest.as_object().into_iter().flatten();
    let tables = tables.filter(|(_, wanted)| wanted["Keys"].as_array().is_some_and(|keys| !keys.is_empty()));
    answer["UnprocessedKeys"] =
        tables.map(|(table, wanted)| (table.clone(), wanted.clone())).collect::<Map<_, _>>().into();
    answer.to_string().into_bytes()
}
