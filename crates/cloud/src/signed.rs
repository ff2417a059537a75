//! Signed calls to AWS over its Query, JSON and REST protocols, without an SDK per service.

mod service;

pub use service::Service;

use crate::dns_suffix;
use crate::xml::Element;
use aws_config::SdkConfig;
use aws_credential_types::provider::ProvideCredentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use pullyard_domain::text::format_error_chain;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName};
use serde_json::Value;
use service::Protocol;
use std::time::{Duration, SystemTime};

const CALL_TIMEOUT: Duration = Duration::from_secs(10);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
const TRIES: u32 = 3;

/// Lambda and X-Ray name the error in this header.
const ERROR_TYPE: &str = "x-amzn-errortype";

#[derive(Clone, Debug, thiserror::Error)]
pub enum SignedCallError {
    #[error("sign in to AWS: {reason}")]
    NoCredentials { reason: String },
    #[error("reach {service} in {region}: {reason}")]
    Unreachable { service: &'static str, region: String, reason: String },
    /// `code` of a server error starts with `ServiceUnavailable`.
    #[error("{operation}: {message} ({code})")]
    Refused { operation: String, code: String, message: String },
}

impl SignedCallError {
    pub fn is_transient(&self) -> bool {
        match self {
            Self::NoCredentials { .. } => false,
            Self::Unreachable { .. } => true,
            Self::Refused { code, .. } => is_transient_code(code),
        }
    }

    /// Whether IAM, or the policy of a key, refused the call.
    pub fn is_denied(&self) -> bool {
        matches!(self, Self::Refused { code, .. } if is_denial(code))
    }
}

pub fn is_denial(code: &str) -> bool {
    code.contains("AccessDenied") || ["UnauthorizedOperation", "AuthorizationError"].contains(&code)
}

pub fn is_transient_code(code: &str) -> bool {
    let codes =
        ["Throttling", "ThrottlingException", "ThrottledException", "TooManyRequestsException", "RequestLimitExceeded"];
    codes.contains(&code) || code.starts_with("InternalError") || code.starts_with("ServiceUnavailable")
}

#[derive(Debug)]
pub struct SignedClient {
    sdk: SdkConfig,
    region: String,
    http: reqwest::Client,
}

/// The address of an embedded service, instead of AWS's.
type Endpoint<'a> = Option<&'a str>;

struct Call<'a> {
    service: Service,
    operation: &'a str,
    url: String,
    headers: Vec<(&'static str, String)>,
    body: String,
    limit: Duration,
}

impl SignedClient {
    /// Uses region, credentials, application name and endpoint of the SDK's configuration.
    pub fn new(sdk: SdkConfig, region: String) -> Result<Self, SignedCallError> {
        let mut http = reqwest::Client::builder();
        if sdk.endpoint_url().is_some_and(is_loopback) {
            // A proxy cannot reach this machine's own addresses.
            http = http.no_proxy();
        }
        let app = sdk.app_name().map(|app| format!(" app/{app}")).unwrap_or_default();
        let http = http
            .timeout(CALL_TIMEOUT)
            .connect_timeout(CONNECT_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(format!("pullyard/{}{app}", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| SignedCallError::NoCredentials { reason: format_error_chain(&error) })?;
        Ok(Self { sdk, region, http })
    }

    pub fn region(&self) -> &str {
        &self.region
    }

    pub fn sdk(&self) -> &SdkConfig {
        &self.sdk
    }

    pub fn http(&self) -> &reqwest::Client {
        &self.http
    }

    /// Returns the body of the answer. `service` has the protocol JSON.
    pub async fn call_json(
        &self,
        service: Service,
        endpoint: Endpoint<'_>,
        operation: &str,
        body: &Value,
    ) -> Result<String, SignedCallError> {
        let headers = match service.protocol {
            Protocol::Json { target_prefix, version } => vec![
                ("content-type", format!("application/x-amz-json-{version}")),
                ("x-amz-target", format!("{target_prefix}.{operation}")),
            ],
            Protocol::Query { .. } | Protocol::Rest => Vec::new(),
        };
        let url = self.url_of(service, endpoint, "");
        self.send_with_retries(Call { service, operation, url, headers, body: body.to_string(), limit: CALL_TIMEOUT })
            .await
    }

    /// Returns the body of the answer, XML. `service` has the protocol Query.
    pub async fn call_query(
        &self,
        service: Service,
        operation: &str,
        parameters: &[(String, String)],
    ) -> Result<String, SignedCallError> {
        let version = match service.protocol {
            Protocol::Query { version } => version,
            Protocol::Json { .. } | Protocol::Rest => "",
        };
        let mut form = vec![("Action".to_owned(), operation.to_owned()), ("Version".to_owned(), version.to_owned())];
        form.extend_from_slice(parameters);
        let encoded = reqwest::Url::parse_with_params("http://form/", &form).ok();
        let body = encoded.and_then(|url| url.query().map(str::to_owned)).unwrap_or_default();
        let headers = vec![("content-type", "application/x-www-form-urlencoded; charset=utf-8".to_owned())];
        let url = self.url_of(service, None, "");
        self.send_with_retries(Call { service, operation, url, headers, body, limit: CALL_TIMEOUT }).await
    }

    /// Posts to `path`, which has no slash at its start and no character that needs encoding. `limit`: of one try.
    pub async fn post(
        &self,
        service: Service,
        endpoint: Endpoint<'_>,
        operation: &str,
        path: &str,
        body: &str,
        limit: Duration,
    ) -> Result<String, SignedCallError> {
        let headers = vec![("content-type", "application/json".to_owned())];
        let url = self.url_of(service, endpoint, path);
        self.send_with_retries(Call { service, operation, url, headers, body: body.to_owned(), limit }).await
    }

    /// Retries transient errors, because every call is a read or may be repeated.
    async fn send_with_retries(&self, call: Call<'_>) -> Result<String, SignedCallError> {
        let mut tries = 1;
        loop {
            match self.send_once(&call).await {
                Err(error) if tries < TRIES && error.is_transient() => {
                    tokio::time::sleep(Duration::from_millis(100 * u64::from(rand::random_range(1..=4 * tries)))).await;
                    tries += 1;
                }
                result => return result,
            }
        }
    }

    async fn send_once(&self, call: &Call<'_>) -> Result<String, SignedCallError> {
        let unreachable = |error: reqwest::Error| self.unreachable(call.service, &error);
        let headers = self.signed_headers(call, &call.url).await?;
        let answer =
            self.http.post(&call.url).headers(headers).timeout(call.limit).body(call.body.clone()).send().await;
        let answer = answer.map_err(unreachable)?;
        let (status, headers) = (answer.status(), answer.headers().clone());
        let text = answer.text().await.map_err(unreachable)?;
        if status.is_success() {
            return Ok(text);
        }
        let (code, message) = parse_error(&text, &headers, status.as_u16());
        let code = if status.is_server_error() && !is_transient_code(&code) {
            format!("ServiceUnavailable {code}")
        } else {
            code
        };
        Err(SignedCallError::Refused {
            operation: format!("{} {}", call.service.display_name, call.operation),
            code,
            message,
        })
    }

    fn url_of(&self, service: Service, endpoint: Endpoint<'_>, path: &str) -> String {
        if let Some(url) = endpoint.or_else(|| self.sdk.endpoint_url()) {
            return format!("{}/{path}", url.trim_end_matches('/'));
        }
        format!("https://{}.{}.{}/{path}", service.host, self.region, dns_suffix(&self.region))
    }

    pub fn unreachable(&self, service: Service, error: &reqwest::Error) -> SignedCallError {
        let (region, reason) = (self.region.clone(), format_error_chain(error));
        SignedCallError::Unreachable { service: service.display_name, region, reason }
    }

    async fn signed_headers(&self, call: &Call<'_>, url: &str) -> Result<HeaderMap, SignedCallError> {
        let credentials_error = |reason: String| SignedCallError::NoCredentials { reason };
        let provider =
            self.sdk.credentials_provider().ok_or_else(|| credentials_error("there are no credentials".into()))?;
        let credentials =
            provider.provide_credentials().await.map_err(|error| credentials_error(format_error_chain(&error)))?;
        let identity = credentials.into();
        let signing_error =
            |error: &dyn std::error::Error| credentials_error(format!("the call can't be signed: {error}"));
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name(call.service.signing_name())
            .time(SystemTime::now())
            .settings(SigningSettings::default())
            .build()
            .map_err(|error| signing_error(&error))?
            .into();
        let call_headers = call.headers.iter().map(|(name, value)| (*name, value.as_str()));
        let request = SignableRequest::new("POST", url, call_headers, SignableBody::Bytes(call.body.as_bytes()))
            .map_err(|error| signing_error(&error))?;
        let (instructions, _) = sign(request, &parameters).map_err(|error| signing_error(&error))?.into_parts();
        let signature_headers = instructions.headers().map(|(name, value)| (name.to_owned(), value.to_owned()));
        let call_headers = call.headers.iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
        let mut headers = HeaderMap::new();
        for (name, value) in call_headers.chain(signature_headers) {
            let name = HeaderName::try_from(name).map_err(|error| signing_error(&error))?;
            headers.insert(
                name,
                value.parse().map_err(|error: reqwest::header::InvalidHeaderValue| signing_error(&error))?,
            );
        }
        Ok(headers)
    }
}

fn is_loopback(url: &str) -> bool {
    let host = url.split_once("://").map_or(url, |(_, rest)| rest);
    host.starts_with("127.") || host.starts_with("localhost") || host.starts_with("[::1]")
}

fn parse_error(text: &str, headers: &HeaderMap, status: u16) -> (String, String) {
    let is_xml = headers.get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().windows(3).any(|part| part == b"xml"));
    let (code, message) = if is_xml || text.trim_start().starts_with('<') {
        let root = Element::parse(text).unwrap_or_default();
        let fault = root.descendant("Error").unwrap_or(&root).clone();
        (fault.child_text("Code").map(str::to_owned), fault.child_text("Message").map(str::to_owned))
    } else {
        let body: Value = serde_json::from_str(text).unwrap_or_default();
        let field = |names: [&str; 2]| names.iter().find_map(|name| body[name].as_str()).map(str::to_owned);
        (field(["__type", "code"]), field(["message", "Message"]))
    };
    let header = || headers.get(ERROR_TYPE).and_then(|code| code.to_str().ok()).map(str::to_owned);
    let code = code.or_else(header).unwrap_or_else(|| status.to_string());
    let code = code.rsplit('#').next().unwrap_or_default().split(':').next().unwrap_or_default().to_owned();
    (code, message.unwrap_or_else(|| "no reason given".into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(kind: &str, text: &str, expected: (&str, &str)) {
        let headers = [(CONTENT_TYPE, kind.parse().unwrap())].into_iter().collect();
        let (code, message) = parse_error(text, &headers, 400);
        assert_eq!((code.as_str(), message.as_str()), expected, "{text}");
    }

    #[test]
    fn error_bodies_are_parsed_in_every_format() {
        let json = "application/x-amz-json-1.1";
        check(json, r#"{"__type":"ns#NotFound","message":"gone"}"#, ("NotFound", "gone"));
        check(json, r#"{"__type":"NotFound:http://x/","Message":"gone"}"#, ("NotFound", "gone"));
        let xml = "<ErrorResponse><Error><Type>Sender</Type><Code>ValidationError</Code><Message>no</Message></Error></ErrorResponse>";
        check("text/xml", xml, ("ValidationError", "no"));
        let ec2 = "<Response><Errors><Error><Code>InvalidSubnetID.NotFound</Code><Message>no</Message></Error></Errors></Response>";
        check("text/xml;charset=UTF-8", ec2, ("InvalidSubnetID.NotFound", "no"));
        check("text/html", "<html>", ("400", "no reason given"));
        let headers = [(HeaderName::from_static(ERROR_TYPE), "AccessDeniedException:http://x/".parse().unwrap())];
        let (code, message) = parse_error(r#"{"Message":"no"}"#, &headers.into_iter().collect(), 403);
        assert_eq!((code.as_str(), message.as_str()), ("AccessDeniedException", "no"));
    }
}
