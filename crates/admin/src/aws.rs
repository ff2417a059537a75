//! Calls to AWS with the operator's credentials. `AWS_ENDPOINT_URL` replaces every address.

use crate::{Error, credentials};
use aws_config::{BehaviorVersion, Region, SdkConfig};
pub(crate) use pullyard_cloud::signed::Service;
use pullyard_cloud::signed::SignedClient;
use pullyard_cloud::with_timeouts;
use pullyard_cloud::xml::Element;
use pullyard_domain::text::self_check::SELF_CHECK;
use serde_json::Value;
use std::time::Duration;

/// Longer than each function runs.
const INVOKE_LIMIT: Duration = Duration::from_secs(130);

/// The configuration of an image has a few kilobytes. Units: bytes.
const MAX_DOWNLOAD_BYTES: usize = 1 << 20;

#[derive(Debug)]
pub struct Aws {
    client: SignedClient,
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
        Ok(Self { client: SignedClient::new(sdk, region)? })
    }

    pub fn region(&self) -> &str {
        self.client.region()
    }

    pub(crate) fn sdk(&self) -> &SdkConfig {
        self.client.sdk()
    }

    pub(crate) async fn call_json(&self, service: Service, operation: &str, body: &Value) -> Result<Value, Error> {
        let answer = self.client.call_json(service, None, operation, body).await?;
        serde_json::from_str(&answer).map_err(|_| unreadable_response(operation))
    }

    /// Lets a function check its role, and returns the body of its answer.
    pub(crate) async fn self_check(&self, function: &str) -> Result<String, Error> {
        let path = format!("2015-03-31/functions/{function}/invocations");
        Ok(self.client.post(Service::LAMBDA, None, "Invoke", &path, SELF_CHECK, INVOKE_LIMIT).await?)
    }

    /// Downloads JSON from a presigned URL. Errors omit the URL, because its signature is a secret.
    pub(crate) async fn get_json(&self, service: Service, url: &str) -> Result<Value, Error> {
        let unreachable = |error: reqwest::Error| self.client.unreachable(service, &error.without_url());
        let answer = self.client.http().get(url).send().await.and_then(reqwest::Response::error_for_status);
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
        let answer = self.client.call_query(service, operation, parameters).await?;
        Element::parse(&answer).ok_or_else(|| unreadable_response(operation))
    }
}

pub(crate) fn unreadable_response(operation: &str) -> Error {
    Error::Unreadable { operation: operation.to_owned() }
}
