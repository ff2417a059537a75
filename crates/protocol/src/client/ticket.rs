//! Calls for tickets and their comments.

use super::{ApiClient, Error, RetryPolicy};
use crate::decision::Decision;
use crate::ticket::{
    Comment, CommentPage, CreateTicket, DeletedComment, DeletedTicket, EditTicket, LimitUse, MoveTicket, MovedTicket,
    RaiseLimit, Ticket, TicketAnswer, TicketEvent, TicketPage, WriteComment,
};
use pullyard_domain::text::id::{ProjectId, TicketKey};
use pullyard_domain::text::percent_encode;
use reqwest::Method;

impl ApiClient {
    /// Sends a ticket tool's event. Idempotent: by the event's id.
    pub async fn send_ticket_event(&self, event: &TicketEvent) -> Result<Decision, Error> {
        self.http.post_idempotent("/v1/tickets/events", event).await
    }

    /// Creates a ticket. Idempotent: by `idempotency_key`.
    pub async fn create_ticket(
        &self,
        request: &CreateTicket,
        idempotency_key: Option<&str>,
    ) -> Result<TicketAnswer, Error> {
        self.http.post("/v1/tickets", request, idempotency_key).await
    }

    /// Moves a ticket. Idempotent: by `idempotency_key`.
    pub async fn move_ticket(
        &self,
        project: &ProjectId,
        key: &TicketKey,
        to: &MoveTicket,
        idempotency_key: Option<&str>,
    ) -> Result<MovedTicket, Error> {
        self.http.post(&ticket_path(project, key, "/move"), to, idempotency_key).await
    }

    /// Raises the limits of a ticket. Idempotent: by `idempotency_key`.
    pub async fn raise_ticket(
        &self,
        project: &ProjectId,
        key: &TicketKey,
        raise: &RaiseLimit,
        idempotency_key: Option<&str>,
    ) -> Result<LimitUse, Error> {
        self.http.post(&ticket_path(project, key, "/raises"), raise, idempotency_key).await
    }

    /// Edits a ticket. Idempotent: by `idempotency_key`.
    pub async fn edit_ticket(
        &self,
        project: &ProjectId,
        key: &TicketKey,
        edit: &EditTicket,
        idempotency_key: Option<&str>,
    ) -> Result<TicketAnswer, Error> {
        let call = self.http.request(Method::PATCH, &ticket_path(project, key, "")).json(edit);
        self.http.send_keyed(call, idempotency_key).await
    }

    pub async fn delete_ticket(&self, project: &ProjectId, key: &TicketKey) -> Result<DeletedTicket, Error> {
        self.http.delete(&ticket_path(project, key, "")).await
    }

    /// Adds a comment to a ticket. Idempotent: by `idempotency_key`.
    pub async fn add_comment(
        &self,
        project: &ProjectId,
        key: &TicketKey,
        text: &str,
        idempotency_key: Option<&str>,
    ) -> Result<Comment, Error> {
        let body = WriteComment { text: text.into() };
        self.http.post(&ticket_path(project, key, "/comments"), &body, idempotency_key).await
    }

    /// Replaces the text of a comment. Idempotent.
    pub async fn edit_comment(
        &self,
        project: &ProjectId,
        key: &TicketKey,
        number: u32,
        text: &str,
    ) -> Result<Comment, Error> {
        let body = WriteComment { text: text.into() };
        let path = ticket_path(project, key, &format!("/comments/{number}"));
        self.http.send(self.http.request(Method::PATCH, &path).json(&body), RetryPolicy::Idempotent).await
    }

    pub async fn delete_comment(
        &self,
        project: &ProjectId,
        key: &TicketKey,
        number: u32,
    ) -> Result<DeletedComment, Error> {
        let path = ticket_path(project, key, &format!("/comments/{number}"));
        self.http.delete(&path).await
    }

    pub async fn comments(
        &self,
        project: &ProjectId,
        key: &TicketKey,
        after: Option<u32>,
    ) -> Result<CommentPage, Error> {
        self.http.get_page(&ticket_path(project, key, "/comments"), after).await
    }

    pub async fn ticket(&self, project: &ProjectId, key: &TicketKey) -> Result<Ticket, Error> {
        self.http.get(&ticket_path(project, key, "")).await
    }

    pub async fn tickets(&self, project: &ProjectId, after: Option<&str>) -> Result<TicketPage, Error> {
        self.http.get_page(&format!("/v1/tickets?project={project}"), after).await
    }
}

/// Ticket keys may be any text. A key that does not fit into a path is sent in the query.
pub(super) fn ticket_path(project: &ProjectId, key: &TicketKey, action: &str) -> String {
    if key.is_path_segment() {
        format!("/v1/tickets/{key}{action}?project={project}")
    } else {
        format!("/v1/tickets/-{action}?project={project}&key={}", percent_encode(key.as_str()))
    }
}
