//! Reads tickets and their texts.

use crate::item::{Attributes, blob, key_of, string_attribute};
use crate::read::list::{Order, Page};
use crate::{Error, Store, key, mark};
use pullyard_domain::text::id::{ProjectId, TicketKey};
use pullyard_domain::ticket::Ticket;
use pullyard_domain::ticket::event::TicketText;
use serde_json::{Map, Value};
use std::collections::HashMap;

impl Store {
    pub async fn load_ticket(&self, project: &ProjectId, ticket: &TicketKey) -> Result<Option<Ticket>, Error> {
        self.load(&key::ticket(project, ticket)).await
    }

    /// Loads a ticket's text, with the mark of its last write.
    pub async fn load_ticket_text(&self, project: &ProjectId, ticket: &TicketKey) -> Result<Option<StoredText>, Error> {
        let key = key::ticket_text(project, ticket);
        let Some(item) = self.load_attributes(&key).await? else { return Ok(None) };
        // Every write stores a mark. For an item without one, `replace_text` returns `Stale`.
        let mark = string_attribute(&item, mark::ATTRIBUTE).unwrap_or_default().to_owned();
        let text = blob::unpack(&key, &item)?;
        let unknown = blob::unpack_unknown(&key, &item, &text)?;
        Ok(Some(StoredText { text, mark, unknown, item }))
    }

    /// Many tickets, in any order, read strongly. Missing ones are omitted. An undecodable one is its error.
    pub async fn load_tickets(
        &self,
        project: &ProjectId,
        tickets: &[TicketKey],
    ) -> Result<Vec<Result<Ticket, Error>>, Error> {
        let keys: Vec<_> = tickets.iter().map(|ticket| key::ticket(project, ticket)).collect();
        Ok(self.load_many(&keys).await?.iter().map(|item| self.decode(item)).collect())
    }

    pub async fn load_ticket_texts(
        &self,
        project: &ProjectId,
        tickets: &[TicketKey],
    ) -> Result<Vec<Result<(TicketKey, TicketText), Error>>, Error> {
        let tickets_by_key: HashMap<_, _> =
            tickets.iter().map(|ticket| (key::ticket_text(project, ticket).pk, ticket)).collect();
        let keys: Vec<_> = tickets.iter().map(|ticket| key::ticket_text(project, ticket)).collect();
        let items = self.load_many(&keys).await?;
        let text = |item| {
            let key = key_of(&item);
            let ticket = (*tickets_by_key.get(&key.pk)?).clone();
            Some(blob::unpack(&key, &item).map(|text| (ticket, text)))
        };
        Ok(items.into_iter().filter_map(text).collect())
    }

    /// Lists a page of a project's ticket keys, sorted as text, with the cursor of the next page.
    pub async fn list_ticket_keys(
        &self,
        project: &ProjectId,
        after: Option<&str>,
        limit: i32,
    ) -> Result<Page<TicketKey>, Error> {
        let (keys, next) = self.list_keys(&key::ticket_list(project), Order::ByName, after, limit).await?;
        Ok((keys.iter().filter_map(|pk| parse_ticket_key(pk)).collect(), next))
    }

    pub async fn list_all_ticket_keys(&self, project: &ProjectId) -> Result<Vec<TicketKey>, Error> {
        Ok(self.list_all_keys(&key::ticket_list(project)).await?.iter().filter_map(|pk| parse_ticket_key(pk)).collect())
    }
}

fn parse_ticket_key(pk: &str) -> Option<TicketKey> {
    TicketKey::new(key::percent_decode(pk.strip_prefix("TICKET#")?.split_once('#')?.1)?).ok()
}

#[derive(Clone, Debug)]
pub struct StoredText {
    pub text: TicketText,
    /// The mark of the write that stored the text. `replace_text` compares it, because a text has no `rev`.
    pub(crate) mark: String,
    /// The text's fields that this version does not know. `replace_text` keeps them and the attributes of the item.
    pub(crate) unknown: Map<String, Value>,
    pub(crate) item: Attributes,
}
