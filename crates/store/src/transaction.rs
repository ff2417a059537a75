//! Writes one or several items under conditions, all or nothing.
//! A single put or update is a plain write, which costs half. A delete or several actions are a transaction with a
//! random token, so that the SDK can repeat it safely. Any cancellation except for refused conditions or a
//! `ValidationError` proves nothing, so it is retried.

use crate::item::{Attributes, Item, encode, key_of, number_attribute, unknown};
use crate::key::Key;
use crate::mark::{self, Mark};
use crate::{Error, Store, Write};
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{
    AttributeValue, CancellationReason, Delete, Put, ReturnValuesOnConditionCheckFailure as OnFailure,
    TransactWriteItem, Update,
};
use pullyard_domain::text::time::Timestamp;
use rand::RngExt;
use std::collections::{HashMap, HashSet};
use std::time::Duration;

/// Tries of a transaction while other writers touch the same items.
const MAX_TRIES: u32 = 6;

const ABSENT: &str = "attribute_not_exists(pk)";

#[derive(Clone, Debug)]
pub(crate) struct Condition {
    expression: String,
    names: Option<HashMap<String, String>>,
    values: Option<HashMap<String, AttributeValue>>,
}

impl Condition {
    pub(crate) fn absent() -> Self {
        Self::new(ABSENT)
    }

    fn is_absent(&self) -> bool {
        self.expression == ABSENT
    }

    /// The item still has the revision that was read, or is still absent.
    pub(crate) fn at_rev(rev: u64) -> Self {
        if rev == 0 { Self::absent() } else { Self::new("rev = :seen").value(":seen", number_value(rev)) }
    }

    /// Like `at_rev`, for items that can be deleted and created again. A new item starts at its first revision, so its
    /// creation time must match too: `since` is the attribute with that time.
    pub(crate) fn at_rev_since(rev: u64, since: &str, at: Timestamp) -> Self {
        match rev {
            0 => Self::absent(),
            _ => Self::new(&format!("rev = :seen AND {since} = :{since}"))
                .value(":seen", number_value(rev))
                .with_since(since, at),
        }
    }

    /// Like `at_rev_since`, or the item is gone.
    pub(crate) fn at_rev_or_absent(rev: u64, since: &str, at: Timestamp) -> Self {
        Self::new(&format!("attribute_not_exists(pk) OR (rev = :seen AND {since} = :{since})"))
            .value(":seen", number_value(rev))
            .with_since(since, at)
    }

    fn with_since(self, since: &str, at: Timestamp) -> Self {
        self.value(&format!(":{since}"), number_value(at.millis()))
    }

    pub(crate) fn new(expression: &str) -> Self {
        Self { expression: expression.into(), names: None, values: None }
    }

    pub(crate) fn name(mut self, placeholder: &str, name: &str) -> Self {
        self.names.get_or_insert_default().insert(placeholder.into(), name.into());
        self
    }

    pub(crate) fn value(mut self, placeholder: &str, value: AttributeValue) -> Self {
        self.values.get_or_insert_default().insert(placeholder.into(), value);
        self
    }
}

pub(crate) fn number_value(number: impl ToString) -> AttributeValue {
    AttributeValue::N(number.to_string())
}

pub(crate) fn string_value(text: impl Into<String>) -> AttributeValue {
    AttributeValue::S(text.into())
}

/// Computes the part of a stored item that this version knows.
type KnownPart = fn(&Attributes) -> Option<Attributes>;

#[derive(Clone)]
enum Action {
    Put { item: Attributes, condition: Condition, known_part: Option<KnownPart> },
    Update { key: Key, expression: String, condition: Condition },
    Delete { key: Key, condition: Condition },
}

impl Action {
    fn key(&self) -> Key {
        match self {
            Self::Update { key, .. } | Self::Delete { key, .. } => key.clone(),
            Self::Put { item, .. } => key_of(item),
        }
    }
}

// The SDK's requests and parts of transactions share these methods, but no trait.
macro_rules! with_condition {
    ($builder:expr, $condition:expr) => {
        $builder
            .condition_expression($condition.expression)
            .set_expression_attribute_names($condition.names)
            .set_expression_attribute_values($condition.values)
            .return_values_on_condition_check_failure(OnFailure::AllOld)
    };
}

/// Actions on different items.
pub(crate) struct Transaction {
    operation: &'static str,
    mark: Mark,
    actions: Vec<Action>,
}

impl Transaction {
    /// `operation` must read well after "failed to".
    pub(crate) fn new(operation: &'static str) -> Self {
        Self { operation, mark: Mark::random(), actions: Vec::new() }
    }

    /// Puts the next revision of a value over the revision that was read, which is its field `rev`.
    pub(crate) fn revise<T: Item>(self, value: &T) -> Result<Self, Error> {
        let mut item = encode(value)?;
        let read = raise_rev(&mut item)?;
        Ok(self.replace::<T>(item, Condition::at_rev(read)))
    }

    /// Like `revise` under another condition, which must prove the revision that was read.
    pub(crate) fn revise_over<T: Item>(self, value: &T, condition: Condition) -> Result<Self, Error> {
        let mut item = encode(value)?;
        raise_rev(&mut item)?;
        Ok(self.replace::<T>(item, condition))
    }

    pub(crate) fn revise_some<T: Item>(self, value: Option<&T>) -> Result<Self, Error> {
        match value {
            Some(value) => self.revise(value),
            None => Ok(self),
        }
    }

    /// Puts a value, if there is one, that must not be stored yet.
    pub(crate) fn create_some<T: Item>(self, value: Option<&T>) -> Result<Self, Error> {
        match value {
            Some(value) => self.put(value, Condition::absent()),
            None => Ok(self),
        }
    }

    pub(crate) fn put<T: Item>(self, value: &T, condition: Condition) -> Result<Self, Error> {
        Ok(self.replace::<T>(encode(value)?, condition))
    }

    /// Puts an item that may replace a value of the same type, whose unknown fields stay.
    fn replace<T: Item>(self, item: Attributes, condition: Condition) -> Self {
        match condition.is_absent() {
            true => self.put_item(item, condition),
            false => self.replace_item(item, condition, unknown::known_part::<T>),
        }
    }

    pub(crate) fn replace_item(self, item: Attributes, condition: Condition, known_part: KnownPart) -> Self {
        self.push_put(item, condition, Some(known_part))
    }

    pub(crate) fn put_item(self, item: Attributes, condition: Condition) -> Self {
        self.push_put(item, condition, None)
    }

    fn push_put(mut self, mut item: Attributes, condition: Condition, known_part: Option<KnownPart>) -> Self {
        item.insert(mark::ATTRIBUTE.into(), self.mark.value());
        self.actions.push(Action::Put { item, condition, known_part });
        self
    }

    /// Updates an item under a condition. `sets` follows `SET`, `removes` follows `REMOVE`; either may be empty.
    pub(crate) fn update(mut self, key: Key, sets: &str, removes: &str, condition: Condition) -> Self {
        let mut expression = format!("SET {} = :mark", mark::ATTRIBUTE);
        if !sets.is_empty() {
            expression.push_str(&format!(", {sets}"));
        }
        if !removes.is_empty() {
            expression.push_str(&format!(" REMOVE {removes}"));
        }
        let mut condition = condition.value(":mark", self.mark.value());
        // Most updates would succeed twice, but the repeat after a lost answer must be refused.
        condition.expression = format!("({}) AND NOT {} = :mark", condition.expression, mark::ATTRIBUTE);
        self.actions.push(Action::Update { key, expression, condition });
        self
    }

    /// Deletes an item under a condition. A deleted item has no mark, so the condition must also hold if the item is
    /// gone. Otherwise the repeat after a lost answer would be refused.
    pub(crate) fn delete(mut self, key: Key, condition: Condition) -> Self {
        self.actions.push(Action::Delete { key, condition });
        self
    }

    /// Writes all actions or none.
    /// Idempotent: a lost answer is recognised by the token and by the mark.
    /// Errors: `Contended` if other writers prevented every try.
    pub(crate) async fn commit(mut self, store: &Store) -> Result<Write, Error> {
        if let Some(key) = duplicate_key(&self.actions) {
            return Err(Error::corrupt(key, "it occurs twice in one transaction"));
        }
        if store.has_unknown_fields() {
            self.restore_unknown_fields(store).await?;
        }
        for round in 1..=MAX_TRIES {
            let result = match &self.actions[..] {
                [action @ (Action::Put { .. } | Action::Update { .. })] => self.send_one(store, action.clone()).await?,
                _ => self.send_all(store, round).await?,
            };
            match result {
                SendResult::Decided(write) => return Ok(write),
                SendResult::Retry => pause(store, round).await,
            }
        }
        Err(Error::Contended { operation: self.operation })
    }

    /// Adds the unknown fields of each item that this transaction replaces. If the item changes after this read, the
    /// condition over its revision refuses the write.
    async fn restore_unknown_fields(&mut self, store: &Store) -> Result<(), Error> {
        for action in &mut self.actions {
            let Action::Put { item, known_part: Some(known_part), .. } = action else { continue };
            let Some(stored) = store.load_attributes(&key_of(item)).await? else { continue };
            if let Some(known) = known_part(&stored) {
                unknown::restore(&stored, &known, item);
            }
        }
        Ok(())
    }

    async fn send_one(&self, store: &Store, action: Action) -> Result<SendResult, Error> {
        let operation = self.operation;
        // DynamoDB refuses a plain write while a transaction uses its item, and the SDK does not retry that.
        macro_rules! send {
            ($call:expr, $Error:ident) => {
                match $call.send().await {
                    Ok(_) => return Ok(SendResult::Decided(Write::Applied)),
                    Err(error) => match error.as_service_error() {
                        Some($Error::ConditionalCheckFailedException(exception)) => exception.item.clone(),
                        Some($Error::TransactionConflictException(_)) => return Ok(SendResult::Retry),
                        _ => return Err(Error::unavailable(operation, error)),
                    },
                }
            };
        }
        let stored = match action {
            Action::Put { item, condition, .. } => {
                let call = store.client.put_item().table_name(&store.table).set_item(Some(item));
                send!(with_condition!(call, condition), PutItemError)
            }
            Action::Update { key, expression, condition } => {
                let call = store.client.update_item().table_name(&store.table).set_key(Some(key.attributes()));
                send!(with_condition!(call.update_expression(expression), condition), UpdateItemError)
            }
            // `commit` sends a delete as a transaction, even alone.
            Action::Delete { .. } => {
                let reason = "a delete is part of a transaction".into();
                return Err(Error::Unavailable { operation, reason, transient: false });
            }
        };
        Ok(SendResult::Decided(if self.mark.is_on(stored.as_ref()) { Write::Applied } else { Write::Stale }))
    }

    async fn send_all(&self, store: &Store, round: u32) -> Result<SendResult, Error> {
        let items = self.actions.iter().map(|action| to_transact_item(&store.table, action.clone()));
        let items = items.collect::<Result<Vec<_>, _>>()?;
        // A new token after a cancellation, because DynamoDB answers the same token with its first outcome.
        let token = if round == 1 { self.mark.clone() } else { Mark::random() };
        let call = store.client.transact_write_items().set_transact_items(Some(items));
        match call.client_request_token(token.as_str()).send().await {
            Ok(_) => Ok(SendResult::Decided(Write::Applied)),
            Err(error) => self.classify_error(error),
        }
    }

    fn classify_error(&self, error: SdkError<TransactWriteItemsError>) -> Result<SendResult, Error> {
        let operation = self.operation;
        match error.as_service_error() {
            Some(TransactWriteItemsError::TransactionCanceledException(exception)) => {
                let reasons = exception.cancellation_reasons();
                let codes = || reasons.iter().filter_map(|reason| reason.code()).filter(|code| *code != "None");
                if codes().any(|code| code == "ValidationError") {
                    return Err(Error::Unavailable { operation, reason: join_reasons(reasons), transient: false });
                }
                if codes().next().is_none() || codes().any(|code| code != "ConditionalCheckFailed") {
                    return Ok(SendResult::Retry);
                }
                let is_own = reasons.iter().any(|reason| self.mark.is_on(reason.item.as_ref()));
                Ok(SendResult::Decided(if is_own { Write::Applied } else { Write::Stale }))
            }
            Some(TransactWriteItemsError::TransactionInProgressException(_)) => Ok(SendResult::Retry),
            _ => Err(Error::unavailable(operation, error)),
        }
    }
}

/// Raises the `rev` of an item. Returns the previous `rev`.
fn raise_rev(item: &mut Attributes) -> Result<u64, Error> {
    let rev: u64 = number_attribute(item, "rev").ok_or_else(|| Error::corrupt(key_of(item), "it has no `rev`"))?;
    item.insert("rev".into(), number_value(rev + 1));
    Ok(rev)
}

/// The item that several actions touch. DynamoDB refuses such a transaction; it is a bug of the caller.
fn duplicate_key(actions: &[Action]) -> Option<Key> {
    let mut keys = HashSet::new();
    actions.iter().map(Action::key).find(|key| !keys.insert(key.clone()))
}

enum SendResult {
    Decided(Write),
    Retry,
}

/// Waits with jitter, so that other writers of the same items can finish.
async fn pause(store: &Store, round: u32) {
    let limit = 20u64 << round.min(6);
    let pause = rand::rng().random_range(limit / 4..=limit);
    store.pause(Duration::from_millis(pause)).await;
}

fn to_transact_item(table: &str, action: Action) -> Result<TransactWriteItem, Error> {
    let to_error = |error| Error::unavailable("build a transaction", error);
    let builder = TransactWriteItem::builder();
    Ok(match action {
        Action::Put { item, condition, .. } => {
            let put = Put::builder().table_name(table).set_item(Some(item));
            builder.put(with_condition!(put, condition).build().map_err(to_error)?).build()
        }
        Action::Update { key, expression, condition } => {
            let update =
                Update::builder().table_name(table).set_key(Some(key.attributes())).update_expression(expression);
            builder.update(with_condition!(update, condition).build().map_err(to_error)?).build()
        }
        Action::Delete { key, condition } => {
            let delete = Delete::builder().table_name(table).set_key(Some(key.attributes()));
            builder.delete(with_condition!(delete, condition).build().map_err(to_error)?).build()
        }
    })
}

fn join_reasons(reasons: &[CancellationReason]) -> String {
    let each = reasons.iter().map(|reason| reason.message().or(reason.code()).unwrap_or("None"));
    each.collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn duplicate_key_in_a_transaction_is_found() {
        let part = |name: &str, value: &str| (name.to_owned(), string_value(value));
        let item = |pk: &str, sk: &str| Attributes::from_iter([part("pk", pk), part("sk", sk)]);
        let key = |pk: &str, sk: &str| Key { pk: pk.into(), sk: sk.into() };
        let two = Transaction::new("write").put_item(item("TICKET#a", "TICKET"), Condition::absent()).update(
            key("TICKET#a", "TEXT"),
            "",
            "",
            Condition::absent(),
        );
        assert_eq!(duplicate_key(&two.actions), None);
        let again = two.delete(key("TICKET#a", "TICKET"), Condition::absent());
        assert_eq!(duplicate_key(&again.actions), Some(key("TICKET#a", "TICKET")));
    }

    #[test]
    fn cancellation_message_lists_each_reason_in_order() {
        let reason = CancellationReason::builder;
        let reasons = [
            reason().code("None").build(),
            reason().code("ValidationError").message("an empty key").build(),
            reason().code("ConditionalCheckFailed").build(),
            reason().build(),
        ];
        assert_eq!(join_reasons(&reasons), "None; an empty key; ConditionalCheckFailed; None");
        assert_eq!(join_reasons(&[]), "");
    }
}
