//! Signed calls to AWS over its Query and JSON protocols, without an SDK per service.
//! `AWS_ENDPOINT_URL` replaces every address.

mod service;

pub(crate) use service::Service;

use crate::error::is_transient_code;
use crate::xml::Element;
use crate::{Error, credentials};
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::provider::ProvideCredentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use pullyard_cloud::{dns_suffix, with_timeouts};
use pullyard_domain::text::format_error_chain;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName};
use serde_json::Value;
use service::Protocol;
use std::time::{Duration, SystemTime};

const CALL_TIMEOUT: Duration = Duration::from_secs(10);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
const TRIES: u32 = 3;

/// The configuration of an image has a few kilobytes. Units: bytes.
const MAX_DOWNLOAD_BYTES: usize = 1 << 20;

#[derive(Debug)]
pub struct Aws {
    sdk: SdkConfig,
    region: String,
    http: reqwest::Client,
}

struct Call<'a> {
    service: Service,
    operation: &'a str,
    headers: Vec<(&'static str, String)>,
    body: String,
}

impl Aws {
    /// Uses the operator's environment and files, except for a region or profile given here.
    pub async fn connect(region: Option<String>, profile: Option<String>) -> Result<Self, Error> {
        let mut loader = with_timeouts(aws_config::defaults(BehaviorVersion::latest()));
        if let Some(region) = region {
            loader = loader.region(Region::new(region));
        }
        if let Some(profile) = &profile {
            loader = loader.profile_name(profile);
        }
        let sdk = Box::pin(loader.load()).await;
        let region = sdk.region().map(ToString::to_string).ok_or(Error::NoRegion)?;
        let sdk = Box::pin(credentials::resolve(sdk, profile.as_deref())).await?;
        let mut http = reqwest::Client::builder();
        if sdk.endpoint_url().is_some_and(is_loopback) {
            // A proxy cannot reach this machine's own addresses.
            http = http.no_proxy();
        }
        let http = http
            .timeout(CALL_TIMEOUT)
            .connect_timeout(CONNECT_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("pullyard/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| Error::NoCredentials { reason: format_error_chain(&error) })?;
        Ok(Self { sdk, region, http })
    }

    pub fn region(&self) -> &str {
        &self.region
    }

    pub(crate) fn sdk(&self) -> &SdkConfig {
        &self.sdk
    }

    pub(crate) async fn call_json(&self, service: Service, operation: &str, body: &Value) -> Result<Value, Error> {
        let Protocol::Json { target_prefix, version } = service.protocol else {
            return Err(unreadable_response(operation));
        };
        let headers = vec![
            ("content-type", format!("application/x-amz-json-{version}")),
            ("x-amz-target", format!("{target_prefix}.{operation}")),
        ];
        let answer = self.send_with_retries(Call { service, operation, headers, body: body.to_string() }).await?;
        serde_json::from_str(&answer).map_err(|_| unreadable_response(operation))
    }

    /// Downloads JSON from a presigned URL. Errors omit the URL, because its signature is a secret.
    pub(crate) async fn get_json(&self, service: Service, url: &str) -> Result<Value, Error> {
        let unreachable = |error: reqwest::Error| self.unreachable(service, &error.without_url());
        let answer = self.http.get(url).send().await.and_then(reqwest::Response::error_for_status);
        let mut answer = answer.map_err(unreachable)?;
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(unreachable)? {
            body.extend_from_slice(&chunk);
            if body.len() > MAX_DOWNLOAD_BYTES {
                return Err(unreadable_response("the download"));
            }
        }
        serde_json::from_slice(&body).map_err(|_| unreadable_response("the download"))
    }

    pub(crate) async fn call_query(
        &self,
        service: Service,
        operation: &str,
        parameters: &[(String, String)],
    ) -> Result<Element, Error> {
        let Protocol::Query { version } = service.protocol else { return Err(unreadable_response(operation)) };
        let mut form = vec![("Action".to_owned(), operation.to_owned()), ("Version".to_owned(), version.to_owned())];
        form.extend_from_slice(parameters);
        let encoded =
            reqwest::Url::parse_with_params("http://form/", &form).map_err(|_| unreadable_response(operation))?;
        let body = encoded.query().unwrap_or_default().to_owned();
        let headers = vec![("content-type", "application/x-www-form-urlencoded; charset=utf-8".to_owned())];
        let answer = self.send_with_retries(Call { service, operation, headers, body }).await?;
        Element::parse(&answer).ok_or_else(|| unreadable_response(operation))
    }

    /// Retries transient errors, because every call is a read or may be repeated.
    async fn send_with_retries(&self, call: Call<'_>) -> Result<String, Error> {
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

    async fn send_once(&self, call: &Call<'_>) -> Result<String, Error> {
        let unreachable = |error: reqwest::Error| self.unreachable(call.service, &error);
        let url = self.url_of(call.service);
        let headers = self.signed_headers(call, &url).await?;
        let answer = self.http.post(&url).headers(headers).body(call.body.clone()).send().await;
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
        Err(Error::Refused { operation: format!("{} {}", call.service.display_name, call.operation), code, message })
    }

    fn url_of(&self, service: Service) -> String {
        if let Some(url) = self.sdk.endpoint_url() {
            return format!("{}/", url.trim_end_matches('/'));
        }
        format!("https://{}.{}.{}/", service.host, self.region, dns_suffix(&self.region))
    }

    fn unreachable(&self, service: Service, error: &reqwest::Error) -> Error {
        let (region, reason) = (self.region.clone(), format_error_chain(error));
        Error::Unreachable { service: service.display_name, region, reason }
    }

    async fn signed_headers(&self, call: &Call<'_>, url: &str) -> Result<HeaderMap, Error> {
        let credentials_error = |reason: String| Error::NoCredentials { reason };
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

pub(crate) fn unreadable_response(operation: &str) -> Error {
    Error::Unreadable { operation: operation.to_owned() }
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
    let code = code.unwrap_or_else(|| status.to_string());
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
    }
}
