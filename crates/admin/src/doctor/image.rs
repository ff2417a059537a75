//! Finds task definitions whose image was not pushed.

use super::Finding;
use crate::aws::Service;
use crate::{Aws, Error, Stack};
use serde_json::{Value, json};
use std::collections::BTreeMap;

pub(super) async fn check(aws: &Aws, stack: &Stack) -> Result<Vec<Finding>, Error> {
    // Task sizes usually share one image; query each image once.
    let mut images = BTreeMap::<String, Vec<&str>>::new();
    for (size, family) in &stack.task_definitions {
        let request = json!({ "taskDefinition": family });
        let answer = match aws.call_json(Service::ECS, "DescribeTaskDefinition", &request).await {
            Err(error) if error.code() == Some("ClientException") => {
                let sentence = format!("There is no task definition {family} for {size} tasks.");
                return Ok(vec![Finding::wrong("image", sentence, "Deploy the stack again to create it.")]);
            }
            answer => answer?,
        };
        let image = answer["taskDefinition"]["containerDefinitions"][0]["image"].as_str().unwrap_or_default();
        images.entry(image.to_owned()).or_default().push(size);
    }
    let mut findings = Vec::new();
    for (image, sizes) in images {
        let sizes = sizes.join(", ");
        let Some((request, tag)) = image_request(&image, &stack.repository_uri) else {
            let sentence = format!("{sizes} tasks run {image}, which is not in the stack's own repository.");
            findings.push(Finding::warning(
                "image",
                sentence,
                "Check yourself that the image exists; this command reads only the stack's own repository.",
            ));
            continue;
        };
        let is_pushed = match aws.call_json(Service::ECR, "DescribeImages", &request).await {
            Err(error) if error.code() == Some("ImageNotFoundException") => false,
            answer => answer?["imageDetails"].as_array().is_some_and(|images| !images.is_empty()),
        };
        findings.push(match is_pushed {
            true => Finding::good("image", format!("The image of {sizes} tasks, {tag}, is pushed.")),
            false => Finding::wrong(
                "image",
                format!("The image of {sizes} tasks is not pushed: {} has no {tag}.", stack.repository_uri),
                format!("Build and push it: `infra/image/push --stack {}`.", stack.name),
            ),
        });
    }
    Ok(findings)
}

pub(super) fn image_request(image: &str, repository_uri: &str) -> Option<(Value, String)> {
    let rest = image.strip_prefix(repository_uri)?;
    let (key, tag) = match (rest.strip_prefix('@'), rest.strip_prefix(':')) {
        (Some(digest), _) => ("imageDigest", digest),
        (None, Some(tag)) => ("imageTag", tag),
        (None, None) if rest.is_empty() => ("imageTag", "latest"),
        (None, None) => return None,
    };
    let (registry, name) = repository_uri.split_once('/')?;
    let account = registry.split('.').next()?;
    let request = json!({ "registryId": account, "repositoryName": name, "imageIds": [{ key: tag }] });
    Some((request, tag.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn query_names_the_image_by_tag_or_digest() {
        let uri = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/py/runner";
        let tag = |image: &str| image_request(image, uri).map(|(request, tag)| (request["imageIds"][0].clone(), tag));
        assert_eq!(tag(&format!("{uri}:1.2")), Some((json!({ "imageTag": "1.2" }), "1.2".into())));
        assert_eq!(tag(uri), Some((json!({ "imageTag": "latest" }), "latest".into())));
        assert_eq!(tag(&format!("{uri}@sha256:ab")), Some((json!({ "imageDigest": "sha256:ab" }), "sha256:ab".into())));
        assert_eq!((tag(&format!("{uri}-2:1")), tag("debian:12")), (None, None));
        let (request, _) = image_request(uri, uri).unwrap();
        assert_eq!((&request["registryId"], &request["repositoryName"]), (&json!("123456789012"), &json!("py/runner")));
    }
}
