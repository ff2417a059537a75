//! Tests the author and the signing key of a project's commits.

use crate::prelude::*;
use pullyard_protocol::client::Error;

const GREETING_AGENT: &str = "#!/bin/sh\ncat > /dev/null\necho hello > work.txt\n";

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs ssh-keygen, which git may come without: .ci/run"]
async fn commits_have_the_projects_author_and_signature() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    let mut make = std::process::Command::new("ssh-keygen");
    let status = make.args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&path).status();
    assert!(status.unwrap().success());
    let story = Story::start_with(Setup { agent: GREETING_AGENT, ..Setup::default() }).await;
    let user = User::of(&story);
    let key = std::fs::read_to_string(&path).unwrap();
    let set = user.run_with(&["secrets", "set", "signing", "--for-jobs"], &key).await.assert_success();
    let secret = format!("commits.signing_secret={}", set.trim());
    let set = ["settings", "set", "commits.name=Acme Bot", "commits.email=bot@acme.example", &secret];
    user.ok(&set).await;
    let job = story.create_job("e1", "APP-1", 1).await;
    assert_eq!(story.wait_for_end(&job).await.status, JobStatus::Completed);
    let branch = story.branches().await.into_iter().find(|branch| branch.starts_with("pullyard/")).unwrap();
    assert_eq!(story.git(&["log", "-1", "--format=%an <%ae>", &branch]).await.trim(), "Acme Bot <bot@acme.example>");
    let signers = folder.path().join("signers");
    let public = std::fs::read_to_string(path.with_extension("pub")).unwrap();
    std::fs::write(&signers, format!("bot@acme.example {public}")).unwrap();
    let trusted = format!("gpg.ssh.allowedSignersFile={}", signers.display());
    assert_eq!(story.git(&["-c", &trusted, "log", "-1", "--format=%G?", &branch]).await.trim(), "G");
}

#[tokio::test(flavor = "multi_thread")]
async fn signing_secret_must_be_a_job_secret_and_exist() {
    let (story, user) = Story::with_user().await;
    user.run(&["settings", "set", "commits.signing_secret=production/database"]).await.assert_exit(2, "use a secret");
    let of_forges = format!("commits.signing_secret={}", story.local.forge_secret());
    user.run(&["settings", "set", &of_forges]).await.assert_exit(2, "--for-jobs");
    user.run(&["settings", "set", "commits.email=bot"]).await.assert_exit(2, "use an address");
    user.run(&["settings", "set", "commits.name=Bot <x>"]).await.assert_exit(2, "without < and >");
    user.ok(&["settings", "set", "commits.signing_secret=pullyard/job/none"]).await;
    let job = story.create_job("e1", "APP-1", 1).await;
    let (assignment, client) = story.claim(&job, "c1").await.unwrap();
    assert_eq!(assignment.author, None);
    let Err(Error::Problem(problem)) = client.credentials().await else { panic!("the credentials were returned") };
    assert_eq!((problem.status, problem.code.as_str()), (422, "signing_secret_missing"));
    assert!(problem.detail.contains("/none"), "{}", problem.detail);

    // A key removed from the settings no longer signs.
    user.ok(&["settings", "set", "commits.signing_secret=null"]).await;
    assert_eq!(client.credentials().await.unwrap().signing_key, None);
}
