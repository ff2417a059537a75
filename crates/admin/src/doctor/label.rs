//! Reads the labels of the image that tasks run from ECR.

use super::Finding;
use super::image::image_request;
use crate::aws::{Service, unreadable_response};
use crate::{Aws, Error, Stack};
use pullyard_domain::text::{format_error_chain, to_sentence};
use serde_json::{Value, json};
use std::collections::BTreeMap;

pub(super) const REVISION: &str = "org.opencontainers.image.revision";

/// Docker's and OCI's types for one image and for several architectures.
const MEDIA_TYPES: [&str; 4] = [
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.oci.image.index.v1+json",
];

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImageLabels(pub(super) BTreeMap<String, String>);

impl ImageLabels {
    pub fn commit(&self) -> &str {
        self.get(REVISION)
    }

    pub(super) fn get(&self, name: &str) -> &str {
        self.0.get(name).map(|value| value.trim()).unwrap_or_default()
    }
}

enum LabelError {
    OtherRepository,
    NotPushed,
    NoArchitecture(String),
    Aws(Error),
}

impl From<Error> for LabelError {
    fn from(error: Error) -> Self {
        Self::Aws(error)
    }
}

pub async fn load_labels(aws: &Aws, stack: &Stack) -> Result<ImageLabels, Finding> {
    let image = stack.image.clone().unwrap_or_else(|| format!("{}:latest", stack.repository_uri));
    get_labels(aws, stack, &image).await.map_err(|fault| {
        let push = format!("Build and push it: `infra/image/push --stack {}`.", stack.name);
        let (reason, help) = match fault {
            LabelError::OtherRepository => {
                ("it is not in the stack's repository".into(), "Check yourself which agents it has.".into())
            }
            LabelError::NotPushed => ("the repository has no such image".into(), push),
            LabelError::NoArchitecture(architecture) => (format!("it has no variant for {architecture}"), push),
            LabelError::Aws(error) => (format!("failed to {}", format_error_chain(&error)), to_sentence(error.help())),
        };
        Finding::warning("labels", format!("Can't read the labels of the image {image}: {reason}."), help)
    })
}

async fn get_labels(aws: &Aws, stack: &Stack, image: &str) -> Result<ImageLabels, LabelError> {
    let (mut image, _) = image_request(image, &stack.repository_uri).ok_or(LabelError::OtherRepository)?;
    image["acceptedMediaTypes"] = json!(MEDIA_TYPES);
    let mut manifest = get_manifest(aws, &image).await?;
    if let Some(index) = manifest["manifests"].as_array() {
        let architecture = stack.architecture.as_deref().unwrap_or("x86_64");
        let digest =
            find_variant(index, architecture).ok_or_else(|| LabelError::NoArchitecture(architecture.to_owned()))?;
        image["imageIds"] = json!([{ "imageDigest": digest }]);
        manifest = get_manifest(aws, &image).await?;
    }
    let digest = manifest["config"]["digest"].as_str().ok_or_else(|| unreadable_response("BatchGetImage"))?;
    let layer = json!({
        "registryId": image["registryId"], "repositoryName": image["repositoryName"], "layerDigest": digest,
    });
    let answer = aws.call_json(Service::ECR, "GetDownloadUrlForLayer", &layer).await?;
    let url = answer["downloadUrl"].as_str().ok_or_else(|| unreadable_response("GetDownloadUrlForLayer"))?;
    Ok(parse_labels(&aws.get_json(Service::ECR, url).await?))
}

async fn get_manifest(aws: &Aws, image: &Value) -> Result<Value, LabelError> {
    let answer = aws.call_json(Service::ECR, "BatchGetImage", image).await?;
    let Some(manifest) = answer["images"][0]["imageManifest"].as_str() else {
        let code = answer["failures"][0]["failureCode"].as_str();
        return Err(match code {
            Some("ImageNotFound") => LabelError::NotPushed,
            _ => unreadable_response("BatchGetImage").into(),
        });
    };
    Ok(serde_json::from_str(manifest).map_err(|_| unreadable_response("BatchGetImage"))?)
}

/// Digest of the image for Lambda's name of an architecture. Attestations have the architecture `unknown`.
fn find_variant<'a>(index: &'a [Value], architecture: &str) -> Option<&'a str> {
    let architecture = if architecture == "x86_64" { "amd64" } else { architecture };
    let matches = |item: &&Value| item["platform"]["architecture"] == architecture && item["platform"]["os"] == "linux";
    index.iter().find(matches)?["digest"].as_str()
}

/// Without labels, Docker writes `null`.
fn parse_labels(config: &Value) -> ImageLabels {
    let labels = config["config"]["Labels"].as_object().into_iter().flatten();
    let text = |(name, value): (&String, &Value)| Some((name.clone(), value.as_str()?.to_owned()));
    ImageLabels(labels.filter_map(text).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variant_is_the_linux_image_of_the_architecture() {
        let entry = |os: &str, architecture: &str, digest: &str| json!({ "digest": digest, "platform": { "os": os, "architecture": architecture } });
        let index = [
            entry("unknown", "unknown", "sha256:attestation"),
            entry("windows", "amd64", "sha256:windows"),
            entry("linux", "amd64", "sha256:amd64"),
            entry("linux", "arm64", "sha256:arm64"),
        ];
        assert_eq!(find_variant(&index, "x86_64"), Some("sha256:amd64"));
        assert_eq!(find_variant(&index, "arm64"), Some("sha256:arm64"));
        assert_eq!(find_variant(&index[..3], "arm64"), None);
    }
}
