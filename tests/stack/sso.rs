//! Tests credentials from an IAM Identity Center profile, with a script in place of the AWS CLI.

use super::account::Account;
use crate::prelude::*;

const PROFILE: &str = "[profile work]\nsso_session = corp\nsso_account_id = 123456789012\nsso_role_name = Admin\n\
                       [sso-session corp]\nsso_start_url = https://example.com/start\nsso_region = us-east-1\n";

fn sso_user(account: &Account, folder: &Path) -> User {
    std::fs::write(folder.join("config"), PROFILE).unwrap();
    let mut user = account.user_without_credentials();
    user.set_env("AWS_CONFIG_FILE", folder.join("config").to_str().unwrap());
    user.set_env("AWS_SHARED_CREDENTIALS_FILE", folder.join("credentials").to_str().unwrap());
    user.set_env("PATH", folder.to_str().unwrap());
    user
}

fn write_cli(folder: &Path, body: &str) {
    pullyard_test_script::write_script(folder.join("aws"), body);
}

#[tokio::test(flavor = "multi_thread")]
async fn sso_profile_signs_in_by_the_aws_cli() {
    let story = Story::start_with(Setup::default()).await;
    let account = Account::healthy(&story).await;
    let folder = TempDir::new().unwrap();
    let mut user = sso_user(&account, folder.path());
    user.set_env("PULLYARD_TOKEN", story.local.admin_token());
    let doctor = ["doctor", "--stack", "py", "--profile", "work"];
    let init = ["init", "--stack", "py", "--profile", "work", "--project", "shop", "--no-forge"];

    let missing = user.run(&doctor).await.assert_exit(1, "1 thing is wrong.");
    assert!(missing.out.contains("the profile work needs the AWS CLI, which failed to start"), "{missing:?}");
    assert!(missing.out.contains("  Install the AWS CLI version 2"), "{missing:?}");

    write_cli(
        folder.path(),
        "echo 'Error when retrieving token from sso: Token has expired and refresh failed' >&2; exit 255",
    );
    let expired = user.run(&doctor).await.assert_exit(1, "1 thing is wrong.");
    assert!(expired.out.contains("Run `aws sso login --profile work` (AWS CLI 2)."), "{expired:?}");
    let expired = user.run(&init).await.assert_exit(4, "exported no credentials of the profile work");
    assert!(expired.err.contains("run `aws sso login --profile work`"), "{expired:?}");
    assert_eq!(account.calls(), [""; 0], "AWS is not called without credentials");

    let exported = format!(
        r#"{{"Version":1,"AccessKeyId":"{ACCESS_KEY_ID}","SecretAccessKey":"{SECRET_ACCESS_KEY}","SessionToken":"t"}}"#
    );
    write_cli(folder.path(), &format!("echo '{exported}'"));
    user.run(&doctor).await.assert_exit(0, "Nothing is wrong.");
    user.set_env("AWS_PROFILE", "work");
    user.run(&doctor[..3]).await.assert_exit(0, "Nothing is wrong.");
    std::fs::remove_file(folder.path().join("aws")).unwrap();
    let missing = user.run(&doctor[..3]).await.assert_exit(1, "1 thing is wrong.");
    assert!(missing.out.contains("the current profile needs the AWS CLI"), "{missing:?}");
}
