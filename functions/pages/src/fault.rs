//! Error pages: a sentence, advice and a code.
//! A [`Fault`] does not know its request: it travels in the response's extensions to the middleware that renders it.

use crate::frame::{Frame, own_path, referrer, render_page};
use crate::hints::{Page, name_buttons};
use crate::text::{self, Help, SafeText, line};
use askama::Template;
use axum::extract::Request;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use pullyard_control::{Error, StoreError};
use pullyard_domain::text::decision::Reason;
use pullyard_domain::text::time::Timestamp;
use pullyard_entry::http::RequestId;
use pullyard_entry::{Problem, strict};
use std::sync::{Arc, OnceLock};

#[derive(Clone, Debug)]
pub(crate) struct Fault {
    pub(crate) status: StatusCode,
    pub(crate) code: String,
    pub(crate) sentence: SafeText,
    pub(crate) help: Help,
    /// Text of the failed form, so that the visitor need not type it again.
    form_text: Option<String>,
}

/// Set when a request's visitor is known, so that an error page has the visitor's navigation.
#[derive(Clone, Debug, Default)]
pub(crate) struct FrameOfFault(Arc<OnceLock<Frame>>);

impl FrameOfFault {
    pub(crate) fn set(&self, frame: Frame) {
        self.0.get_or_init(|| frame);
    }
}

pub(crate) struct FailedRequest {
    frame: FrameOfFault,
    headers: HeaderMap,
    is_get: bool,
    target: String,
    id: Option<String>,
}

impl FailedRequest {
    pub(crate) fn prepare(request: &mut Request) -> Self {
        let frame = FrameOfFault::default();
        request.extensions_mut().insert(frame.clone());
        Self {
            frame,
            headers: request.headers().clone(),
            is_get: request.method() == Method::GET,
            target: request.uri().path_and_query().map(ToString::to_string).unwrap_or_default(),
            id: request.extensions().get::<RequestId>().map(|id| id.0.clone()),
        }
    }
}

#[derive(Template)]
#[template(path = "fault.html")]
struct FaultPage {
    frame: Frame,
    status: u16,
    sentence: SafeText,
    help: Help,
    path: SafeText,
    code: String,
    time: Option<Timestamp>,
    request_id: Option<String>,
    transient: bool,
    again: Option<(String, &'static str)>,
    written: Option<String>,
}

impl Fault {
    pub(crate) fn new(status: StatusCode, code: &str, sentence: &str) -> Self {
        let sentence = line(sentence);
        Self { status, code: code.into(), sentence, help: Help::default(), form_text: None }
    }

    pub(crate) fn with_form_text(mut self, text: &str) -> Self {
        self.form_text = Some(text.to_owned()).filter(|text| !text.trim().is_empty());
        self
    }

    pub(crate) fn help(mut self, help: &str) -> Self {
        self.help = text::help(&name_buttons(help, Page::Other));
        self
    }

    /// Returns the fault if a form can show it. Errors: the fault of the server, which gets a page of its own.
    pub(crate) fn for_form(self) -> Result<Self, Self> {
        if self.status.is_client_error() { Ok(self) } else { Err(self) }
    }

    pub(crate) fn not_found(sentence: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", sentence)
    }

    pub(crate) fn invalid(sentence: &str) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", sentence)
    }

    pub(crate) fn conflict(sentence: &str) -> Self {
        Self::new(StatusCode::CONFLICT, "conflict", sentence)
    }

    pub(crate) fn of_field(field: &str, fault: &str) -> Self {
        Self::invalid(&format!("The field {field}: {fault}."))
    }

    pub(crate) fn refused(reason: &Reason) -> Self {
        Self::new(StatusCode::CONFLICT, reason.code(), &reason.sentence()).help(&reason.help())
    }

    pub(crate) fn not_allowed(action: &str) -> Self {
        Self::new(StatusCode::FORBIDDEN, "not_allowed", &format!("The token you signed in with may not {action}."))
            .help("Sign out, then sign in with a token that has this scope and project.")
    }
}

impl From<Problem> for Fault {
    fn from(problem: Problem) -> Self {
        let body = problem.body();
        let status = StatusCode::from_u16(body.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Self::new(status, &body.code, &body.detail).help(body.help.as_deref().unwrap_or_default())
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        Problem::from(error).into()
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Problem::from(error).into()
    }
}

impl From<strict::FieldError> for Fault {
    fn from(fault: strict::FieldError) -> Self {
        Self::of_field(fault.pointer.trim_start_matches('/'), &fault.message)
    }
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

impl Fault {
    pub(crate) fn render(self, request: &FailedRequest, now: Timestamp) -> Response {
        let heading = match self.status {
            StatusCode::NOT_FOUND => "Not found",
            StatusCode::FORBIDDEN => "Not allowed",
            status if status.is_server_error() => "Pullyard failed",
            _ => "Request failed",
        };
        let frame = request.frame.0.get().cloned().unwrap_or_else(|| Frame::bare(heading, &request.headers));
        let is_server_error = self.status.is_server_error();
        let again = match (request.is_get, self.status) {
            (_, StatusCode::NOT_FOUND) => None,
            (true, _) => Some((own_path(Some(&request.target)).to_owned(), "Try again")),
            (false, _) => Some((referrer(&request.headers), "Go back")),
        };
        let page = FaultPage {
            frame: Frame { title: line(heading), ..frame },
            status: self.status.as_u16(),
            sentence: self.sentence,
            path: line(&request.target),
            time: is_server_error.then_some(now),
            request_id: request.id.clone().filter(|_| is_server_error),
            transient: request.is_get && self.status == StatusCode::SERVICE_UNAVAILABLE,
            again,
            help: if self.help.is_empty() { text::help(default_help(self.status)) } else { self.help },
            written: self.form_text,
            code: self.code,
        };
        render_page(self.status, &page)
    }
}

fn default_help(status: StatusCode) -> &'static str {
    match status {
        StatusCode::NOT_FOUND => "Check the address, or search the board and the list of jobs.",
        StatusCode::CONFLICT => "Open the page again to see the current state.",
        StatusCode::METHOD_NOT_ALLOWED => "Open the page again and use its buttons.",
        status if status.is_server_error() => {
            "Try again in a minute. If the error remains, run `pullyard doctor` to find its cause."
        }
        _ => "Go back, correct the form and send it again.",
    }
}

pub(crate) fn render_form(refusal: Option<&Fault>, page: &impl Template) -> Response {
    render_page(refusal.map_or(StatusCode::OK, |fault| fault.status), page)
}

pub(crate) async fn unknown_method() -> Fault {
    Fault::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "This page does not accept this kind of request.")
}
