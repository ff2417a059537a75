//! Reads the labels of the image that tasks run from ECR.

use super::Finding;
use super::image::question;
use crate::aws::Service;
use crate::{Aws, Error, Stack};
use pullyard_domain::text::format_error_chain;
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
pub struct Labels(pub(super) BTreeMap<String, String>);

impl Labels {
    pub fn commit(&self) -> &str {
        self.get(REVISION)
    }

    pub(super) fn get(&self, name: &str) -> &str {
        self.0.get(name).map(|value| value.trim()).unwrap_or_default()
    }
}

enum Fault {
    Elsewhere,
    NotPushed,
    NoArchitecture(String),
    Aws(Error),
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Aws(error)
    }
}

pub(super) async fn look(aws: &Aws, stack: &Stack) -> Result<Labels, Finding> {
    let image = stack.image.clone().unwrap_or_else(|| format!("{}:latest", stack.repository_uri));
    read(aws, stack, &image).await.map_err(|fault| {
        let push = format!("Build and push it: `infra/image/push --stack {}`.", stack.name);
        let (reason, help) = match fault {
            Fault::Elsewhere => {
                ("it is not in the stack's repository".into(), "Check yourself which agents it has.".into())
            }
            Fault::NotPushed => ("the repository has no such image".into(), push),
            Fault::NoArchitecture(architecture) => (format!("it has no variant for {architecture}"), push),
            Fault::Aws(error) if error.is_denied() => {
                let action = error.operation().unwrap_or_default().replacen("ECR ", "ecr:", 1);
                let reason = format!("these credentials lack the permission {action}");
                (reason, "Grant it to the caller; docs/operations.md lists the permissions of this command.".into())
            }
            Fault::Aws(error) => (format!("failed to {}", format_error_chain(&error)), "Run the command again.".into()),
        };
        Finding::warning("labels", format!("Can't read the labels of the image {image}: {reason}."), help)
    })
}

async fn read(aws: &Aws, stack: &Stack, image: &str) -> Result<Labels, Fault> {
    let (mut image, _) = question(image, &stack.repository_uri).ok_or(Fault::Elsewhere)?;
    image["acceptedMediaTypes"] = json!(MEDIA_TYPES);
    let mut manifest = get_manifest(aws, &image).await?;
    if let Some(index) = manifest["manifests"].as_array() {
        let architecture = stack.architecture.as_deref().unwrap_or("x86_64");
        let digest = variant(index, architecture).ok_or_else(|| Fault::NoArchitecture(architecture.to_owned()))?;
        image["imageIds"] = json!([{ "imageDigest": digest }]);
        manifest = get_manifest(aws, &image).await?;
    }
    let digest = manifest["config"]["digest"].as_str().ok_or_else(|| unreadable("BatchGetImage"))?;
    let layer = json!({
        "registryId": image["registryId"], "repositoryName": image["repositoryName"], "layerDigest": digest,
    });
    let answer = aws.json(Service::Ecr, "GetDownloadUrlForLayer", &layer).await?;
    let url = answer["downloadUrl"].as_str().ok_or_else(|| unreadable("GetDownloadUrlForLayer"))?;
    Ok(labels(&aws.get_json(Service::Ecr, url).await?))
}

async fn get_manifest(aws: &Aws, image: &Value) -> Result<Value, Fault> {
    let answer = aws.json(Service::Ecr, "BatchGetImage", image).await?;
    let Some(manifest) = answer["images"][0]["imageManifest"].as_str() else {
        let code = answer["failures"][0]["failureCode"].as_str();
        return Err(match code {
            Some("ImageNotFound") => Fault::NotPushed,
            _ => unreadable("BatchGetImage").into(),
        });
    };
    Ok(serde_json::from_str(manifest).map_err(|_| unreadable("BatchGetImage"))?)
}

fn unreadable(operation: &str) -> Error {
    Error::Unreadable { operation: operation.to_owned() }
}

/// Digest of the image for Lambda's name of an architecture. Attestations have the architecture `unknown`.
fn variant<'a>(index: &'a [Value], architecture: &str) -> Option<&'a str> {
    let architecture = if architecture == "x86_64" { "amd64" } else { architecture };
    let fits = |entry: &&Value| entry["platform"]["architecture"] == architecture && entry["platform"]["os"] == "linux";
    index.iter().find(fits)?["digest"].as_str()
}

/// Without labels, Docker writes `null`.
fn labels(config: &Value) -> Labels {
    let labels = config["config"]["Labels"].as_object().into_iter().flatten();
    let text = |(name, value): (&String, &Value)| Some((name.clone(), value.as_str()?.to_owned()));
    Labels(labels.filter_map(text).collect())
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
        assert_eq!(variant(&index, "x86_64"), Some("sha256:amd64"));
        assert_eq!(variant(&index, "arm64"), Some("sha256:arm64"));
        assert_eq!(variant(&index[..3], "arm64"), None);
    }
}
