//! Builds the OpenAPI 3.1 document from the handlers, so that a route's description cannot differ from its code.
//! Summaries, refusal codes and examples come from the function's list of [`RouteDoc`].

mod answers;
mod inputs;
mod normalize;

pub use answers::{
    AcceptedResponse, CreatedNoStore, CreatedOrExisting, CreatedResponse, RequestOutcome, TemporaryRedirect,
};

use aide::axum::ApiRouter;
use aide::generate::in_context;
use aide::openapi::{
    Components, Info, MediaType, OpenApi, Operation, Parameter, ParameterData, ParameterSchemaOrContent, PathStyle,
    ReferenceOr, Response, SchemaObject, SecurityScheme, StatusCode,
};
use pullyard_protocol as protocol;
use schemars::Schema;
use schemars::generate::SchemaSettings;
use serde::Deserialize;
use serde_json::Value;

const API_TOKEN: &str = "api_token";
const RUNNER_TOKEN: &str = "runner_token";
const BOOTSTRAP: &str = "bootstrap";
const LEASE: &str = "lease";

/// Parts of a route's description that its types do not contain.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RouteDoc {
    pub method: String,
    pub route: String,
    pub id: String,
    pub tag: String,
    pub summary: String,
    /// Statuses with their comma-separated codes.
    #[serde(default)]
    pub refusals: Vec<(u16, String)>,
    /// Examples of the bodies.
    pub request: Option<Value>,
    pub response: Option<Value>,
}

/// Adds routes and their descriptions. `parameters` returns a path parameter's schema, which is the same on all routes.
pub fn build_document<S: Clone + Send + Sync + 'static>(
    routes: impl FnOnce() -> ApiRouter<S>,
    docs: &[RouteDoc],
    parameters: impl Fn(&mut schemars::SchemaGenerator, &str) -> Schema,
) -> Value {
    aide::generate::reset_context();
    in_context(|ctx| {
        let settings = SchemaSettings::draft2020_12().with(|settings| {
            settings.definitions_path = "#/components/schemas/".into();
            settings.meta_schema = None;
        });
        ctx.schema = settings.into_generator();
    });
    let routes = routes();
    in_context(|ctx| ctx.schema.subschema_for::<protocol::Problem>());
    let names = |route: &str| -> Vec<String> {
        route.split('{').skip(1).filter_map(|rest| rest.split('}').next()).map(str::to_owned).collect()
    };
    let mut path_schemas = std::collections::BTreeMap::new();
    for name in docs.iter().flat_map(|doc| names(&doc.route)) {
        let schema = in_context(|ctx| parameters(&mut ctx.schema, &name));
        path_schemas.insert(name, schema);
    }
    let mut api = OpenApi {
        info: Info {
            title: "Pullyard".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            description: Some(
                "Turns tickets into pull requests. Requests reject unknown fields; responses may gain fields. Every \
                 error is a problem document (RFC 9457) with a stable `code`."
                    .into(),
            ),
            ..Info::default()
        },
        components: Some(Components {
            security_schemes: security_schemes().into_iter().collect(),
            ..Components::default()
        }),
        ..OpenApi::default()
    };
    drop(routes.finish_api(&mut api));
    for (route, item) in api.paths.iter_mut().flat_map(|paths| paths.paths.iter_mut()) {
        let ReferenceOr::Item(item) = item else { continue };
        item.parameters.clear();
        for name in names(route) {
            let schema = path_schemas.get(&name).cloned().unwrap_or_default();
            item.parameters.push(ReferenceOr::Item(path_parameter(&name, schema)));
        }
        let operations = [
            ("get", &mut item.get),
            ("put", &mut item.put),
            ("post", &mut item.post),
            ("patch", &mut item.patch),
            ("delete", &mut item.delete),
        ];
        for (method, operation) in operations.into_iter().filter_map(|(method, it)| Some((method, it.as_mut()?))) {
            if let Some(doc) = docs.iter().find(|doc| doc.method == method && doc.route == *route) {
                describe_operation(operation, doc);
            }
        }
    }
    let mut document = serde_json::to_value(&api).unwrap_or_default();
    normalize::normalize(&mut document);
    document
}

fn describe_operation(operation: &mut Operation, doc: &RouteDoc) {
    operation.operation_id = Some(doc.id.clone());
    operation.summary = Some(doc.summary.clone());
    operation.tags = vec![doc.tag.clone()];
    let answers = &mut operation.responses.get_or_insert_default().responses;
    for answer in answers.values_mut() {
        // A plain body has no description.
        if let ReferenceOr::Item(Response { description, .. }) = answer
            && description.is_empty()
        {
            *description = doc.summary.clone();
        }
    }
    for (status, codes) in &doc.refusals {
        let codes = codes.split(", ").map(|code| format!("`{code}`")).collect::<Vec<_>>().join(", ");
        let response = answers.entry(StatusCode::Code(*status));
        let response = response.or_insert_with(|| ReferenceOr::Item(answers::problem(String::new())));
        if let ReferenceOr::Item(Response { description, .. }) = response {
            let before = std::mem::take(description);
            *description = if before.is_empty() { format!("{codes}.") } else { format!("{before} {codes}.") };
        }
    }
    answers.sort_by(|one, _, other, _| one.to_string().cmp(&other.to_string()));
}

fn parameter_data(name: &str, description: Option<&str>, required: bool, schema: Schema) -> ParameterData {
    ParameterData {
        name: name.to_owned(),
        description: description.map(str::to_owned),
        required,
        deprecated: None,
        format: ParameterSchemaOrContent::Schema(schema_object(schema)),
        example: None,
        examples: Default::default(),
        explode: None,
        extensions: Default::default(),
    }
}

fn path_parameter(name: &str, schema: Schema) -> Parameter {
    Parameter::Path { parameter_data: parameter_data(name, None, true, schema), style: PathStyle::Simple }
}

fn security_schemes() -> [(String, ReferenceOr<SecurityScheme>); 4] {
    let scheme = |name: &str, description: &str| {
        let scheme = SecurityScheme::Http {
            scheme: "bearer".into(),
            bearer_format: None,
            description: Some(description.into()),
            extensions: Default::default(),
        };
        (name.to_owned(), ReferenceOr::Item(scheme))
    };
    [
        scheme(API_TOKEN, "An API token of a person or program, `pat_…`."),
        scheme(RUNNER_TOKEN, "A self-hosted runner's token, `rnt_…`."),
        scheme(BOOTSTRAP, "The bootstrap token of an attempt's task, `pyb_…`."),
        scheme(LEASE, "The lease of a claimed attempt, `pyl_…`."),
    ]
}

fn media_type(schema: Schema) -> MediaType {
    MediaType { schema: Some(schema_object(schema)), ..MediaType::default() }
}

fn schema_object(json_schema: Schema) -> SchemaObject {
    SchemaObject { json_schema, external_docs: None, example: None }
}

fn problem_schema() -> Schema {
    schemars::json_schema!({ "$ref": "#/components/schemas/Problem" })
}
