//! OpenAPI parameters, credentials and early errors for each kind of handler argument.

use super::answers::problems;
use super::{API_TOKEN, BOOTSTRAP, LEASE, RUNNER_TOKEN, media_type, parameter_data};
use crate::auth::scope::RequiredScope;
use crate::{
    AnyTokenCaller, BootstrapCaller, Caller, IdempotencyKey, LeaseCaller, Path, ProjectCaller, Query, Revision,
    RunnerCaller, StrictJson,
};
use aide::OperationInput;
use aide::generate::GenContext;
use aide::openapi::{HeaderStyle, Operation, Parameter, RequestBody, Response};
use aide::operation::{ParamLocation, add_parameters, parameters_from_schema, set_body};
use pullyard_domain::text::id::{EventId, ProjectId};
use pullyard_protocol::version;
use schemars::{JsonSchema, Schema, json_schema};

type Responses = Vec<(Option<u16>, Response)>;

const UNREADABLE: &str =
    "A parameter or the body is invalid; `pointer` locates the field. `bad_parameter`, `body_unreadable`.";

impl<T: JsonSchema, const MOST: usize> OperationInput for StrictJson<T, MOST> {
    fn operation_input(ctx: &mut GenContext, operation: &mut Operation) {
        let schema = ctx.schema.subschema_for::<T>();
        let content = [("application/json".to_owned(), media_type(schema))].into_iter().collect();
        set_body(ctx, operation, RequestBody { content, required: true, ..RequestBody::default() });
    }

    fn inferred_early_responses(_: &mut GenContext, _: &mut Operation) -> Responses {
        let too_large = format!("The body is larger than {} KiB. `body_too_large`.", MOST / 1024);
        problems([(400, UNREADABLE.to_owned()), (413, too_large)])
    }
}

impl<T: JsonSchema> OperationInput for Query<T> {
    fn operation_input(ctx: &mut GenContext, operation: &mut Operation) {
        let schema = ctx.schema.subschema_for::<T>();
        let parameters = parameters_from_schema(ctx, schema, ParamLocation::Query);
        add_parameters(ctx, operation, parameters);
    }

    fn inferred_early_responses(_: &mut GenContext, _: &mut Operation) -> Responses {
        problems([(400, UNREADABLE.to_owned())])
    }
}

/// [`build_document`](super::build_document) adds the parameters from the route.
impl<T> OperationInput for Path<T> {
    fn inferred_early_responses(_: &mut GenContext, _: &mut Operation) -> Responses {
        problems([(404, "Not found, or not visible to this credential. `not_found`.".to_owned())])
    }
}

impl OperationInput for IdempotencyKey {
    fn operation_input(ctx: &mut GenContext, operation: &mut Operation) {
        let schema = ctx.schema.subschema_for::<EventId>();
        let description = "A key that you choose per request; a repeat with the same key has no further effect.";
        add_parameters(ctx, operation, [header("Idempotency-Key", description, false, schema)]);
    }

    fn inferred_early_responses(_: &mut GenContext, _: &mut Operation) -> Responses {
        problems([(400, UNREADABLE.to_owned())])
    }
}

impl OperationInput for Revision {
    fn operation_input(ctx: &mut GenContext, operation: &mut Operation) {
        let schema = json_schema!({ "type": "string", "pattern": "^\"?[0-9]{1,19}\"?$" });
        let description = "The revision that you read, in quotes.";
        add_parameters(ctx, operation, [header("If-Match", description, true, schema)]);
    }

    fn inferred_early_responses(_: &mut GenContext, _: &mut Operation) -> Responses {
        problems([(428, "The revision that you read is missing. `revision_missing`.".to_owned())])
    }
}

fn header(name: &str, description: &str, required: bool, schema: Schema) -> Parameter {
    let parameter_data = parameter_data(name, Some(description), required, schema);
    Parameter::Header { parameter_data, style: HeaderStyle::Simple }
}

fn require_credential(operation: &mut Operation, scheme: &str, description: Option<String>) {
    operation.security.push([(scheme.to_owned(), Vec::new())].into_iter().collect());
    operation.description = description;
}

fn unauthorized() -> (u16, String) {
    (401, "The credential is missing, wrong, expired or revoked. `not_signed_in`.".to_owned())
}

impl<S: RequiredScope> OperationInput for Caller<S> {
    fn operation_input(_: &mut GenContext, operation: &mut Operation) {
        let projects = if S::ALL_PROJECTS { " and access all projects" } else { "" };
        require_credential(operation, API_TOKEN, Some(format!("For tokens that may {}{projects}.", S::DESCRIPTION)));
    }

    fn inferred_early_responses(_: &mut GenContext, _: &mut Operation) -> Responses {
        problems([unauthorized(), (403, "The token lacks the scope or the project. `not_allowed`.".to_owned())])
    }
}

impl<S: RequiredScope> OperationInput for ProjectCaller<S> {
    fn operation_input(ctx: &mut GenContext, operation: &mut Operation) {
        Caller::<S>::operation_input(ctx, operation);
    }

    fn inferred_early_responses(ctx: &mut GenContext, operation: &mut Operation) -> Responses {
        let mut responses = Caller::<S>::inferred_early_responses(ctx, operation);
        responses.extend(Path::<ProjectId>::inferred_early_responses(ctx, operation));
        responses
    }
}

impl OperationInput for AnyTokenCaller {
    fn operation_input(_: &mut GenContext, operation: &mut Operation) {
        require_credential(operation, API_TOKEN, None);
        require_credential(operation, RUNNER_TOKEN, Some("For every token.".into()));
    }

    fn inferred_early_responses(_: &mut GenContext, _: &mut Operation) -> Responses {
        problems([unauthorized()])
    }
}

macro_rules! runner_credentials {
    ($($Credential:ty = $scheme:expr;)*) => {$(
        impl OperationInput for $Credential {
            fn operation_input(ctx: &mut GenContext, operation: &mut Operation) {
                require_credential(operation, $scheme, None);
                let served = version::OLDEST_PROTOCOL..=version::PROTOCOL;
                let schema = json_schema!({ "type": "string", "enum": served.map(|version| version.to_string()).collect::<Vec<_>>() });
                let description = "The runner's protocol version.";
                add_parameters(ctx, operation, [header("Pullyard-Version", description, false, schema)]);
            }

            fn inferred_early_responses(_: &mut GenContext, _: &mut Operation) -> Responses {
                let too_old = "The runner's protocol version is too old. `runner_too_old`.";
                problems([unauthorized(), (426, too_old.to_owned())])
            }
        }
    )*};
}

runner_credentials! {
    RunnerCaller = RUNNER_TOKEN;
    BootstrapCaller = BOOTSTRAP;
    LeaseCaller = LEASE;
}
