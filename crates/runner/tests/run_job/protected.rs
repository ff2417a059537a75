//! Tests that files in Git LFS or encrypted form are never committed as plain content.

use crate::prelude::*;
use crate::world::World;
use pullyard_domain::text::id::RepositoryName;

const ATTRIBUTES: &str = "*.bin filter=lfs diff=lfs merge=lfs -text\n*.key filter=git-crypt diff=git-crypt\n\
                          *.nb filter=strips\n";
const POINTER: &str = "version https://git-lfs.github.com/spec/v1\n\
                       oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 12345\n";
/// Text that begins like a cipher, because the embedded forge accepts only text.
const CIPHER_TEXT: &str = "U2FsdGVkX1+c2VhbGVkIGJ5IHNvbWVib2R5\n";
const SOPS_RULES: &str =
    "creation_rules:\n  - path_regex: secrets.*\n    encrypted_regex: ^password$\n    age: age1x\n";
const SOPS_FILE: &str = "user: app\npassword: ENC[AES256_GCM,data:Zm9v,iv:YmFy,tag:YmF6,type:str]\n\
                       sops:\n    mac: ENC[AES256_GCM,data:Zm9v,iv:YmFy,tag:YmF6,type:str]\n    version: 3.9.0\n";
const ANSIBLE_VAULT_FILE: &str = "$ANSIBLE_VAULT;1.1;AES256\n33363431\n";
const AGE_FILE: &str = "-----BEGIN AGE ENCRYPTED FILE-----\nYWdl\n-----END AGE ENCRYPTED FILE-----\n";
const OPENPGP_FILE: &str = "-----BEGIN PGP MESSAGE-----\n\nd2U=\n-----END PGP MESSAGE-----\n";

pub(crate) async fn run_in_repository(name: &str, files: &[(&str, &str, bool)], agent: &str) -> World {
    let mut world = World::with_agent("exit 1").await;
    let agent = format!("#!/bin/sh\n{agent}\n");
    let files = [files, &[("agent.sh", agent.as_str(), true)]].concat();
    world.repository = world.forge.create_repository(name, "main", &files).await.unwrap();
    world.api.change_assignment(|job| {
        job.repository.clone_url = world.repository.clone_url.clone();
        job.repository.name = RepositoryName::new(name).unwrap();
    });
    let ran = world.run().await;
    assert_eq!(ran.code, Some(0), "{}", ran.log);
    world
}

async fn run_with_protected_files(agent: &str) -> World {
    let files = [
        (".gitattributes", ATTRIBUTES, false),
        ("kept.bin", POINTER, false),
        ("content.bin", "committed by somebody without LFS\n", false),
        ("sealed.key", CIPHER_TEXT, false),
        ("sealed.own", CIPHER_TEXT, false),
        ("notes.nb", "a text\n", false),
        (".sops.yaml", SOPS_RULES, false),
        ("secrets.yaml", SOPS_FILE, false),
        ("group_vars/vault.yml", ANSIBLE_VAULT_FILE, false),
        ("key.age", AGE_FILE, false),
        ("key.asc", OPENPGP_FILE, false),
        ("notes.md", "a text\n", false),
    ];
    run_in_repository("acme/protected", &files, agent).await
}

#[tokio::test]
async fn plain_content_of_a_protected_file_is_not_pushed() {
    for (agent, path, by) in [
        ("echo drawn > kept.bin; echo hello > greeting.txt", "kept.bin", "Git LFS"),
        // Attributes added by the agent count too.
        ("echo '*.psd filter=lfs' >> .gitattributes; echo drawn > new.psd", "new.psd", "lfs"),
        ("echo hunter2 > sealed.key; echo hello > greeting.txt", "sealed.key", "OpenSSL"),
        ("mkdir -p 'a b'; echo hunter2 > 'a b/new.key'", "a b/new.key", "git-crypt"),
        // The attributes file is itself ignored.
        (
            "mkdir config; echo /.gitattributes > config/.gitignore
             echo '*.env filter=crypt' > config/.gitattributes; echo x > config/new.env",
            "config/new.env",
            "crypt",
        ),
        // The SOPS metadata alone does not make the file encrypted.
        ("sed -i 's/^password: .*/password: hunter2/' secrets.yaml", "secrets.yaml", "SOPS"),
        ("echo 'password: hunter2' > group_vars/vault.yml", "group_vars/vault.yml", "Ansible Vault"),
        ("echo AGE-SECRET > key.age; rm .sops.yaml", "key.age", "age"),
        ("printf 'a\\000b' > key.asc", "key.asc", "OpenPGP"),
    ] {
        let world = run_with_protected_files(agent).await;
        let failure = world.api.only_finish().failure.unwrap();
        assert_eq!(failure.code(), "protected_content", "{agent}");
        let sentence = failure.sentence();
        assert!(sentence.contains(&format!("`{path}` is protected by {by},")), "{agent}: {sentence}");
        assert!(
            world.api.event_texts().contains(&format!("plain content in git: `{path}`.")),
            "{}",
            world.api.event_texts()
        );
        assert_eq!(world.branch_head(BRANCH), None, "{agent}");
    }
}

#[tokio::test]
async fn name_of_a_protected_file_is_one_line_in_the_log() {
    let world = run_with_protected_files("echo hunter2 > \"$(printf 'a\\nAll is \\140well.key')\"").await;
    assert_eq!(world.api.only_finish().failure.unwrap().code(), "protected_content");
    assert!(
        world.api.event_texts().contains("plain content in git: `a All is 'well.key`."),
        "{}",
        world.api.event_texts()
    );
}

#[tokio::test]
async fn protected_files_may_move_and_change_and_other_filters_pass() {
    let world = run_with_protected_files(
        "mv kept.bin moved.bin; : > empty.bin; mkdir art; mv content.bin art/old.bin
         mv sealed.key moved.key; echo U2FsdGVkX1/newer > other.key; : > empty.key
         echo more >> notes.nb; echo a > new.nb; echo a > new.own
         sed -i 's/data:Zm9v/data:YWJj/' secrets.yaml; mv key.age moved.age; rm key.asc
         cat moved.age > group_vars/vault.yml; echo more >> notes.md; echo 'password: x' > new.yaml",
    )
    .await;
    assert_eq!(world.api.only_finish().outcome, FinishOutcome::Completed, "{:?}", world.api.only_finish());
    for (path, content) in [
        ("moved.bin", Some(POINTER)),
        ("kept.bin", None),
        ("empty.bin", Some("")),
        ("art/old.bin", Some("committed by somebody without LFS\n")),
        ("moved.key", Some(CIPHER_TEXT)),
        ("sealed.key", None),
        ("other.key", Some("U2FsdGVkX1/newer\n")),
        ("empty.key", Some("")),
        ("notes.nb", Some("a text\nmore\n")),
        ("new.nb", Some("a\n")),
        ("new.own", Some("a\n")),
        ("secrets.yaml", Some(SOPS_FILE.replace("data:Zm9v", "data:YWJj").as_str())),
        ("moved.age", Some(AGE_FILE)),
        ("key.asc", None),
        ("group_vars/vault.yml", Some(AGE_FILE)),
        ("notes.md", Some("a text\nmore\n")),
        ("new.yaml", Some("password: x\n")),
    ] {
        assert_eq!(world.file_at(BRANCH, path).as_deref(), content, "{path}");
    }
}

#[tokio::test]
async fn plain_content_under_an_lfs_pattern_may_change() {
    let world = run_with_protected_files("echo more >> content.bin").await;
    assert_eq!(world.api.only_finish().outcome, FinishOutcome::Completed, "{:?}", world.api.only_finish());
    assert_eq!(world.file_at(BRANCH, "content.bin").unwrap().lines().last(), Some("more"));
}
