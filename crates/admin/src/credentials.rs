//! Credentials that the AWS CLI exports, for IAM Identity Center and other methods that our SDK is built without.

use crate::Error;
use aws_config::SdkConfig;
use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use pullyard_domain::text::format_error_chain;
use serde::Deserialize;
use std::ffi::OsStr;
use std::process::Stdio;
use std::time::Duration;
use tokio::process::Command;

/// The AWS CLI may have to refresh a session or assume a role.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(30);

/// `profile` is the value of the flag. The AWS CLI finds any other profile as our SDK does.
pub(crate) async fn resolve(sdk: SdkConfig, profile: Option<&str>) -> Result<SdkConfig, Error> {
    let missing = |reason: String| Error::NoCredentials { reason };
    let provider = sdk.credentials_provider().ok_or_else(|| missing("there are no credentials".into()))?;
    match provider.provide_credentials().await {
        Ok(_) => Ok(sdk),
        // The profile uses a method whose feature of aws-config is off.
        Err(CredentialsError::InvalidConfiguration(_)) => use_exported_credentials(sdk, profile).await,
        Err(CredentialsError::CredentialsNotLoaded(_)) if profile.is_some() => {
            use_exported_credentials(sdk, profile).await
        }
        Err(error) => Err(missing(format_error_chain(&error))),
    }
}

async fn use_exported_credentials(sdk: SdkConfig, profile: Option<&str>) -> Result<SdkConfig, Error> {
    let credentials = export("aws".as_ref(), profile, EXPORT_TIMEOUT).await?;
    Ok(sdk.into_builder().credentials_provider(SharedCredentialsProvider::new(credentials)).build())
}

/// No `Debug`: it contains a secret.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ExportedCredentials {
    access_key_id: String,
    secret_access_key: String,
    session_token: Option<String>,
}

/// Errors never quote the AWS CLI's output, because a profile's `credential_process` may write a secret there.
async fn export(program: &OsStr, profile: Option<&str>, timeout: Duration) -> Result<Credentials, Error> {
    let name = profile.map_or_else(|| "the current profile".to_owned(), |profile| format!("the profile {profile}"));
    let mut command = Command::new(program);
    command.args(["configure", "export-credentials", "--format", "process"]);
    command.args(profile.into_iter().flat_map(|profile| ["--profile", profile]));
    command.env("AWS_CLI_AUTO_PROMPT", "off").env("AWS_PAGER", "");
    command.stdin(Stdio::null()).kill_on_drop(true);
    let output = match tokio::time::timeout(timeout, command.output()).await {
        Ok(Err(error)) => {
            let reason = format!("{name} needs the AWS CLI, which failed to start: {error}");
            let help = "install the AWS CLI version 2, or name another --profile".to_owned();
            return Err(Error::ExportFailed { reason, help });
        }
        Ok(Ok(output)) if output.status.success() => output.stdout,
        Ok(Ok(_)) | Err(_) => Vec::new(),
    };
    let Ok(exported) = serde_json::from_slice::<ExportedCredentials>(&output) else {
        let option = profile.map(|profile| format!(" --profile {profile}")).unwrap_or_default();
        return Err(Error::ExportFailed {
            reason: format!("the AWS CLI exported no credentials of {name}"),
            help: format!("run `aws sso login{option}` (AWS CLI 2)"),
        });
    };
    let ExportedCredentials { access_key_id, secret_access_key, session_token } = exported;
    Ok(Credentials::new(access_key_id, secret_access_key, session_token, None, "AwsCli"))
}

#[cfg(test)]
mod tests;
