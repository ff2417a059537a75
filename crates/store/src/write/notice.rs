//! Writes notices and the states of their endpoints.

use crate::item::Item;
use crate::transaction::{Condition, Transaction, number_value};
use crate::{Error, Store, Write};
use pullyard_domain::run::notice::{EndpointState, NoticeRecord};

impl Store {
    /// Records a step of a notice at one endpoint.
    /// Writes: NOTICE and ENDPOINT if `rev` is the one seen (ENDPOINT absent if new); the other NOTICE if absent.
    /// Idempotent: through the domain; a repeat is `Stale`, and reading again shows the step.
    pub async fn record_notice(&self, record: &NoticeRecord) -> Result<Write, Error> {
        let NoticeRecord { notice, state, other } = record;
        let transaction = Transaction::new("record a notice").revise(notice)?.revise_some(state.as_ref())?;
        transaction.revise_some(other.as_ref())?.commit(self).await
    }

    /// Writes: ENDPOINT if `rev` is the one seen (absent if new).
    pub async fn put_endpoint_state(&self, state: &EndpointState) -> Result<Write, Error> {
        Transaction::new("store an endpoint's state").revise(state)?.commit(self).await
    }

    /// Writes: ENDPOINT deleted if `rev` is the one seen or it is gone.
    /// Idempotent: a missing item is no error.
    pub async fn delete_endpoint_state(&self, state: &EndpointState) -> Result<Write, Error> {
        let same = Condition::new("attribute_not_exists(pk) OR rev = :seen").value(":seen", number_value(state.rev));
        Transaction::new("delete an endpoint's state").delete(state.key(), same).commit(self).await
    }
}
