//! Tests the export of credentials with a script in place of the AWS CLI.

use super::*;
use tempfile::TempDir;

const SECRET: &str = "wJalrXUtnFEMI";

async fn export_with_script(body: &str, profile: Option<&str>) -> Result<Credentials, Error> {
    export_with_script_within(body, profile, EXPORT_TIMEOUT).await
}

async fn export_with_script_within(body: &str, profile: Option<&str>, timeout: Duration) -> Result<Credentials, Error> {
    let folder = TempDir::new().unwrap();
    let program = folder.path().join("aws");
    pullyard_test_script::write_script(&program, body);
    export(program.as_os_str(), profile, timeout).await
}

#[track_caller]
fn check(result: Result<Credentials, Error>, reason: &str, help: &str) {
    let error = result.unwrap_err();
    let Error::ExportFailed { reason: actual, help: advice } = &error else { panic!("{error:?}") };
    assert!(actual.contains(reason), "{actual}");
    assert_eq!(advice, help);
    assert!(!format!("{error} {error:?}").contains(SECRET), "{error:?}");
}

#[tokio::test]
async fn credentials_are_parsed_when_the_cli_exports_them() {
    let answer = format!(
        r#"{{"Version":1,"AccessKeyId":"AKIA","SecretAccessKey":"{SECRET}","SessionToken":"t","Expiration":"x"}}"#
    );
    let script =
        format!("[ \"$*\" = 'configure export-credentials --format process --profile work' ] && echo '{answer}'");
    let credentials = export_with_script(&script, Some("work")).await.unwrap();
    assert_eq!((credentials.access_key_id(), credentials.session_token()), ("AKIA", Some("t")));
    assert_eq!(credentials.secret_access_key(), SECRET);
    assert!(!format!("{credentials:?}").contains(SECRET));
    let plain = format!(r#"{{"Version":1,"AccessKeyId":"AKIA","SecretAccessKey":"{SECRET}"}}"#);
    let script = format!("[ \"$*\" = 'configure export-credentials --format process' ] && echo '{plain}'");
    assert_eq!(export_with_script(&script, None).await.unwrap().session_token(), None);
}

#[tokio::test]
async fn cli_error_names_its_cause_and_the_fix() {
    let update = "install the AWS CLI version 2, or update it";
    let find = "find the cause with `aws sts get-caller-identity --profile work`";
    for (stderr, code, reason, help) in [
        ("aws: error: argument subcommand: Invalid choice, valid choices are:", 2, "is too old", update),
        (
            "Error when retrieving token from sso: Token has expired and refresh failed",
            255,
            "the session of the profile work has expired",
            "run `aws sso login --profile work`",
        ),
        (
            "Error loading SSO Token: Token for x does not exist",
            255,
            "has expired",
            "run `aws sso login --profile work`",
        ),
        (
            "Your session has expired. Please reauthenticate using aws login.",
            255,
            "expired",
            "run `aws login --profile work`",
        ),
        (
            "The config profile (from sso) could not be found",
            255,
            "does not find the profile work",
            "see the profiles with `aws configure list-profiles`",
        ),
        (&format!("custom-process: {SECRET}"), 255, "exported no credentials of the profile work", find),
    ] {
        let script = format!("echo '{stderr}' >&2; exit {code}");
        check(export_with_script(&script, Some("work")).await, reason, help);
    }
    check(export_with_script(&format!("echo '{SECRET}'"), Some("work")).await, "exported no credentials", find);
}

#[tokio::test]
async fn export_fails_when_the_cli_is_missing_or_silent() {
    let install = "install the AWS CLI version 2, or name another --profile";
    let missing = export("/absent/aws".as_ref(), None, EXPORT_TIMEOUT).await;
    check(missing, "the current profile needs the AWS CLI, which is not installed", install);
    let folder = TempDir::new().unwrap();
    let unfit = export(folder.path().as_os_str(), Some("work"), EXPORT_TIMEOUT).await;
    check(unfit, "the profile work needs the AWS CLI, which failed to start", install);
    let silent = export_with_script_within("exec sleep 60", Some("work"), Duration::from_millis(50)).await;
    check(
        silent,
        "did not export credentials of the profile work within 0 s",
        "find the cause with `aws sts get-caller-identity --profile work`",
    );
}
