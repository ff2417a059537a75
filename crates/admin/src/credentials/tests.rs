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
async fn export_fails_without_the_output_of_the_cli() {
    let reason = "the AWS CLI exported no credentials of the profile work";
    let help = "run `aws sso login --profile work` (AWS CLI 2)";
    for script in [
        format!("echo 'Error when retrieving token from sso: {SECRET}' >&2; exit 255"),
        format!("echo '{{\"AccessKeyId\":\"AKIA\",\"SecretAccessKey\":\"{SECRET}\"}}'; exit 1"),
        format!("echo '{SECRET}'"),
    ] {
        check(export_with_script(&script, Some("work")).await, reason, help);
    }
    let silent = export_with_script_within("exec sleep 60", Some("work"), Duration::from_millis(50)).await;
    check(silent, reason, help);
    check(export_with_script("exit 1", None).await, "of the current profile", "run `aws sso login` (AWS CLI 2)");
}

#[tokio::test]
async fn export_fails_when_the_cli_does_not_start() {
    let install = "install the AWS CLI version 2, or name another --profile";
    let missing = export("/absent/aws".as_ref(), None, EXPORT_TIMEOUT).await;
    check(missing, "the current profile needs the AWS CLI, which failed to start", install);
    let folder = TempDir::new().unwrap();
    let unfit = export(folder.path().as_os_str(), Some("work"), EXPORT_TIMEOUT).await;
    check(unfit, "the profile work needs the AWS CLI, which failed to start", install);
}
