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

async fn export(program: &OsStr, profile: Option<&str>, timeout: Duration) -> Result<Credentials, Error> {
    let fault = ExportErrors { profile };
    let mut command = Command::new(program);
    command.args(["configure", "export-credentials", "--format", "process"]);
    command.args(profile.into_iter().flat_map(|profile| ["--profile", profile]));
    command.env("AWS_CLI_AUTO_PROMPT", "off").env("AWS_PAGER", "");
    command.stdin(Stdio::null()).kill_on_drop(true);
    let output = match tokio::time::timeout(timeout, command.output()).await {
        Err(_) => return Err(fault.timeout(timeout)),
        Ok(Err(error)) => return Err(fault.start_failure(&error)),
        Ok(Ok(output)) => output,
    };
    if !output.status.success() {
        return Err(fault.parse_stderr(&String::from_utf8_lossy(&output.stderr)));
    }
    let Ok(exported) = serde_json::from_slice::<ExportedCredentials>(&output.stdout) else {
        return Err(fault.invalid_output());
    };
    let ExportedCredentials { access_key_id, secret_access_key, session_token } = exported;
    Ok(Credentials::new(access_key_id, secret_access_key, session_token, None, "AwsCli"))
}

/// Errors never quote the AWS CLI's output, because a profile's `credential_process` may write a secret there.
struct ExportErrors<'a> {
    profile: Option<&'a str>,
}

impl ExportErrors<'_> {
    fn profile_option(&self) -> String {
        self.profile.map(|profile| format!(" --profile {profile}")).unwrap_or_default()
    }

    fn profile_name(&self) -> String {
        self.profile.map_or_else(|| "the current profile".into(), |profile| format!("the profile {profile}"))
    }

    fn error(reason: String, help: String) -> Error {
        Error::ExportFailed { reason, help }
    }

    fn start_failure(&self, error: &std::io::Error) -> Error {
        let install = "install the AWS CLI version 2, or name another --profile".to_owned();
        if error.kind() == std::io::ErrorKind::NotFound {
            let reason = format!("{} needs the AWS CLI, which is not installed", self.profile_name());
            return Self::error(reason, install);
        }
        Self::error(format!("{} needs the AWS CLI, which failed to start: {error}", self.profile_name()), install)
    }

    fn timeout(&self, timeout: Duration) -> Error {
        let reason =
            format!("the AWS CLI did not export credentials of {} within {} s", self.profile_name(), timeout.as_secs());
        Self::error(reason, self.help())
    }

    fn invalid_output(&self) -> Error {
        Self::error(format!("the AWS CLI exported no credentials of {}", self.profile_name()), self.help())
    }

    fn help(&self) -> String {
        format!("find the cause with `aws sts get-caller-identity{}`", self.profile_option())
    }

    fn parse_stderr(&self, stderr: &str) -> Error {
        let lowercase = stderr.to_lowercase();
        let has = |parts: &[&str]| parts.iter().any(|part| lowercase.contains(part));
        if has(&["invalid choice"]) {
            let reason = "the AWS CLI is too old: it has no `aws configure export-credentials`".to_owned();
            return Self::error(reason, "install the AWS CLI version 2, or update it".into());
        }
        if has(&["could not be found"]) {
            let help = "see the profiles with `aws configure list-profiles`".to_owned();
            return Self::error(format!("the AWS CLI does not find {}", self.profile_name()), help);
        }
        let expired = format!("the session of {} has expired", self.profile_name());
        if has(&["sso login", "sso token", "sso session", "from sso"]) {
            return Self::error(expired, format!("run `aws sso login{}`", self.profile_option()));
        }
        if has(&["aws login"]) {
            return Self::error(expired, format!("run `aws login{}`", self.profile_option()));
        }
        self.invalid_output()
    }
}

#[cfg(test)]
mod tests;
