//! OpenAPI responses for each kind of answer, and the answers with a status of their own.

use super::{media_type, problem_schema};
use crate::Problem;
use aide::OperationOutput;
use aide::generate::GenContext;
use aide::openapi::{Operation, Response};
use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::IntoResponse;
use pullyard_protocol as protocol;
use schemars::JsonSchema;
use serde::Serialize;

type Responses = Vec<(Option<u16>, Response)>;

pub(super) fn problem(description: String) -> Response {
    let content = [("application/problem+json".to_owned(), media_type(problem_schema()))].into_iter().collect();
    Response { description, content, ..Response::default() }
}

pub(super) fn problems<const N: usize>(all: [(u16, String); N]) -> Responses {
    all.into_iter().map(|(status, description)| (Some(status), problem(description))).collect()
}

fn json_response<T: JsonSchema>(ctx: &mut GenContext, description: &str) -> Response {
    let schema = ctx.schema.subschema_for::<T>();
    let content = [("application/json".to_owned(), media_type(schema))].into_iter().collect();
    Response { description: description.to_owned(), content, ..Response::default() }
}

impl OperationOutput for Problem {
    type Inner = protocol::Problem;

    fn inferred_responses(_: &mut GenContext, _: &mut Operation) -> Responses {
        problems([(503, "Temporarily unavailable; try again. `contended`, `unavailable`.".to_owned())])
    }
}

#[derive(Clone, Copy, Debug)]
pub struct CreatedResponse<T>(pub T);

#[derive(Clone, Copy, Debug)]
pub struct CreatedNoStore<T>(pub T);

/// `201` for a new item, `200` for a repeated request.
#[derive(Clone, Copy, Debug)]
pub enum CreatedOrExisting<T> {
    Created(T),
    Existing(T),
}

/// `200` when it is done, `202` when it will be done.
#[derive(Clone, Copy, Debug)]
pub enum AcceptedResponse<T> {
    Done(T),
    Pending(T),
}

/// `201` for a new item, `200` for a repeated request, `202` if a later item will include it.
#[derive(Clone, Copy, Debug)]
pub enum RequestOutcome<T> {
    Created(T),
    Existing(T),
    Deferred(T),
}

/// `302` to a URL that expires soon.
#[derive(Clone, Debug)]
pub struct TemporaryRedirect(pub String);

impl IntoResponse for TemporaryRedirect {
    fn into_response(self) -> axum::response::Response {
        // The URL is a credential, so no cache may store it.
        let no_store = [(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))];
        match HeaderValue::from_str(&self.0) {
            Ok(to) => (StatusCode::FOUND, no_store, [(header::LOCATION, to)]).into_response(),
            Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        }
    }
}

impl OperationOutput for TemporaryRedirect {
    type Inner = ();

    fn inferred_responses(_: &mut GenContext, _: &mut Operation) -> Responses {
        let description = "`Location` is valid for five minutes and needs no credential.".to_owned();
        vec![(Some(302), Response { description, ..Response::default() })]
    }
}

macro_rules! answers {
    ($($Kind:ident: $(($status:literal, $description:literal)),+; $convert:expr;)*) => {$(
        impl<T: Serialize> IntoResponse for $Kind<T> {
            fn into_response(self) -> axum::response::Response {
                let convert: fn(Self) -> axum::response::Response = $convert;
                convert(self)
            }
        }

        impl<T: JsonSchema> OperationOutput for $Kind<T> {
            type Inner = T;

            fn inferred_responses(ctx: &mut GenContext, _: &mut Operation) -> Responses {
                vec![$((Some($status), json_response::<T>(ctx, $description))),+]
            }
        }
    )*};
}

fn respond<T: Serialize>(status: StatusCode, body: T) -> axum::response::Response {
    (status, Json(body)).into_response()
}

answers! {
    CreatedResponse: (201, "Created."); |Self(it)| respond(StatusCode::CREATED, it);
    CreatedNoStore: (201, "Created; shown only this once."); |Self(it)| {
        let no_store = [(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))];
        (StatusCode::CREATED, no_store, Json(it)).into_response()
    };
    CreatedOrExisting: (201, "Created."), (200, "An earlier equal request created it."); |outcome| match outcome {
        Self::Created(it) => respond(StatusCode::CREATED, it),
        Self::Existing(it) => respond(StatusCode::OK, it),
    };
    RequestOutcome: (201, "Created."), (200, "An earlier equal request created it."),
        (202, "It waits for a later job."); |outcome| match outcome {
        Self::Created(it) => respond(StatusCode::CREATED, it),
        Self::Existing(it) => respond(StatusCode::OK, it),
        Self::Deferred(it) => respond(StatusCode::ACCEPTED, it),
    };
    AcceptedResponse: (200, "Done."), (202, "Accepted; it will be done."); |accepted| match accepted {
        Self::Done(it) => respond(StatusCode::OK, it),
        Self::Pending(it) => respond(StatusCode::ACCEPTED, it),
    };
}
