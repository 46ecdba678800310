//! `GET /openapi.json`: this API as OpenAPI 3.1, made of the handlers' own descriptions.

use axum::Json;
use axum::extract::Extension;
use serde::Serialize;
use utoipa::openapi::path::{Operation, Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{
    Components, Content, Info, InfoBuilder, OpenApi, OpenApiBuilder, PathItem, Ref, RefOr, Response, ResponseBuilder,
};
use utoipa::{PartialSchema as _, ToSchema};

use crate::error::Code;

/// What the two tokens are called in the document.
const OPERATOR: &str = "operator";
const MERCHANT: &str = "merchant";

/// The document, and the routes that it describes.
pub(crate) type Router = utoipa_axum::router::OpenApiRouter<crate::Portal>;

/// Why a request is not done, as `application/problem+json`. There may be further members, for programs.
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
struct ProblemShape {
    /// The HTTP status, said again.
    status: u16,
    /// Stable.
    code: Code,
    /// What is wrong and what to do.
    detail: String,
    /// The field of the request that is wrong, as a path: `a.b[0]`.
    field: Option<String>,
}

/// This API, as OpenAPI 3.1.
#[utoipa::path(get, path = "/openapi.json", operation_id = "read_openapi", tag = "openapi",
    responses((status = 200, description = "The document", body = Object)))]
pub(crate) async fn read(Extension(document): Extension<Document>) -> Json<OpenApi> {
    Json(OpenApi::clone(&document.0))
}

/// The document, for its handler.
#[derive(Clone)]
pub(crate) struct Document(pub(crate) std::sync::Arc<OpenApi>);

/// Routes that only the operator's token opens.
pub(crate) fn for_operator(mut router: Router) -> Router {
    for_tokens(router.get_openapi_mut(), &[OPERATOR]);
    router
}

/// Routes that a merchant's token opens, too.
pub(crate) fn for_merchants(mut router: Router) -> Router {
    for_tokens(router.get_openapi_mut(), &[OPERATOR, MERCHANT]);
    router
}

/// The document without any path.
pub(crate) fn head() -> OpenApi {
    let info: Info = InfoBuilder::new()
        .title("Everhook's management API")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(
            "Merchants, their endpoints, and what became of every event. Lists come newest first, in pages; every \
             problem is `application/problem+json` with a stable `code`. A POST with the header `Idempotency-Key` is \
             done once for each key.",
        ))
        .build();
    let mut components = Components::new();
    components.add_security_scheme(OPERATOR, bearer("The operator's token. It opens everything."));
    components.add_security_scheme(MERCHANT, bearer("A merchant's token, made by the operator: `emt_v1.…`"));
    components.schemas.insert("Problem".to_owned(), ProblemShape::schema());
    components.schemas.insert("Code".to_owned(), Code::schema());
    components.responses.insert("Problem".to_owned(), RefOr::T(problem()));
    OpenApiBuilder::new().info(info).components(Some(components)).build()
}

fn bearer(description: &str) -> SecurityScheme {
    let mut http = Http::new(HttpAuthScheme::Bearer);
    http.description = Some(description.to_owned());
    SecurityScheme::Http(http)
}

fn problem() -> Response {
    ResponseBuilder::new()
        .description("Why it is not done")
        .content("application/problem+json", Content::new(Some(Ref::from_schema_name("Problem"))))
        .build()
}

/// Says of each operation which tokens open it, and that it may answer with a problem.
fn for_tokens(document: &mut OpenApi, tokens: &[&str]) {
    for operation in document.paths.paths.values_mut().filter_map(|item| item.post.as_mut()) {
        let parameters = operation.parameters.get_or_insert_default();
        // Who remembers keys otherwise says so itself.
        if !parameters.iter().any(|parameter| parameter.name == chassis::idempotency::HEADER) {
            parameters.push(idempotency_key());
        }
    }
    for operation in document.paths.paths.values_mut().flat_map(operations) {
        let requirement = |token: &&str| SecurityRequirement::new(*token, Vec::<String>::new());
        operation.security = Some(tokens.iter().map(requirement).collect());
        operation.responses.responses.insert("default".to_owned(), Ref::from_response_name("Problem").into());
    }
}

fn idempotency_key() -> Parameter {
    ParameterBuilder::new()
        .name(chassis::idempotency::HEADER)
        .parameter_in(ParameterIn::Header)
        .description(Some(
            "1 to 255 visible ASCII characters. For 7 days the same request with the same key is answered as the first \
             one was, and does nothing.",
        ))
        .schema(Some(ObjectBuilder::new().schema_type(Type::String).max_length(Some(255))))
        .build()
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [&mut item.get, &mut item.post, &mut item.put, &mut item.patch, &mut item.delete].into_iter().flatten()
}
