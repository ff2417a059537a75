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
        Err(CredentialsError::InvalidConfiguration(_)) => with_exported(sdk, profile).await,
        Err(CredentialsError::CredentialsNotLoaded(_)) if profile.is_some() => with_exported(sdk, profile).await,
        Err(error) => Err(missing(format_error_chain(&error))),
    }
}

async fn with_exported(sdk: SdkConfig, profile: Option<&str>) -> Result<SdkConfig, Error> {
    let credentials = export("aws".as_ref(), profile, EXPORT_TIMEOUT).await?;
    Ok(sdk.into_builder().credentials_provider(SharedCredentialsProvider::new(credentials)).build())
}

/// No `Debug`: it contains a secret.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Exported {
    access_key_id: String,
    secret_access_key: String,
    session_token: Option<String>,
}

async fn export(program: &OsStr, profile: Option<&str>, timeout: Duration) -> Result<Credentials, Error> {
    let fault = Faults { profile };
    let mut command = Command::new(program);
    command.args(["configure", "export-credentials", "--format", "process"]);
    command.args(profile.into_iter().flat_map(|profile| ["--profile", profile]));
    command.env("AWS_CLI_AUTO_PROMPT", "off").env("AWS_PAGER", "");
    command.stdin(Stdio::null()).kill_on_drop(true);
    let output = match tokio::time::timeout(timeout, command.output()).await {
        Err(_) => return Err(fault.silent(timeout)),
        Ok(Err(error)) => return Err(fault.not_started(&error)),
        Ok(Ok(output)) => output,
    };
    if !output.status.success() {
        return Err(fault.refused(&String::from_utf8_lossy(&output.stderr)));
    }
    let Ok(exported) = serde_json::from_slice::<Exported>(&output.stdout) else { return Err(fault.unreadable()) };
    let Exported { access_key_id, secret_access_key, session_token } = exported;
    Ok(Credentials::new(access_key_id, secret_access_key, session_token, None, "AwsCli"))
}

/// Errors never quote the AWS CLI's output, because a profile's `credential_process` may write a secret there.
struct Faults<'a> {
    profile: Option<&'a str>,
}

impl Faults<'_> {
    fn option(&self) -> String {
        self.profile.map(|profile| format!(" --profile {profile}")).unwrap_or_default()
    }

    fn named(&self) -> String {
        self.profile.map_or_else(|| "the current profile".into(), |profile| format!("the profile {profile}"))
    }

    fn error(reason: String, help: String) -> Error {
        Error::NotExported { reason, help }
    }

    fn not_started(&self, error: &std::io::Error) -> Error {
        let install = "install the AWS CLI version 2, or name another --profile".to_owned();
        if error.kind() == std::io::ErrorKind::NotFound {
            let reason = format!("{} needs the AWS CLI, which is not installed", self.named());
            return Self::error(reason, install);
        }
        Self::error(format!("{} needs the AWS CLI, which failed to start: {error}", self.named()), install)
    }

    fn silent(&self, timeout: Duration) -> Error {
        let reason =
            format!("the AWS CLI did not export credentials of {} within {} s", self.named(), timeout.as_secs());
        Self::error(reason, self.examine())
    }

    fn unreadable(&self) -> Error {
        Self::error(format!("the AWS CLI exported no credentials of {}", self.named()), self.examine())
    }

    fn examine(&self) -> String {
        format!("find the cause with `aws sts get-caller-identity{}`", self.option())
    }

    fn refused(&self, stderr: &str) -> Error {
        let said = stderr.to_lowercase();
        let has = |parts: &[&str]| parts.iter().any(|part| said.contains(part));
        if has(&["invalid choice"]) {
            let reason = "the AWS CLI is too old: it has no `aws configure export-credentials`".to_owned();
            return Self::error(reason, "install the AWS CLI version 2, or update it".into());
        }
        if has(&["could not be found"]) {
            let help = "see the profiles with `aws configure list-profiles`".to_owned();
            return Self::error(format!("the AWS CLI does not find {}", self.named()), help);
        }
        let expired = format!("the session of {} has expired", self.named());
        if has(&["sso login", "sso token", "sso session", "from sso"]) {
            return Self::error(expired, format!("run `aws sso login{}`", self.option()));
        }
        if has(&["aws login"]) {
            return Self::error(expired, format!("run `aws login{}`", self.option()));
        }
        self.unreadable()
    }
}

#[cfg(test)]
mod tests;
