//! Files that were encrypted where they stand, without a filter of git's: none becomes readable in git's history.

use crate::lfs::ran_in;
use crate::world::{BRANCH, World};
use pullyard_protocol::attempt::FinishOutcome;

const RULES: &str = "creation_rules:\n  - path_regex: secrets.*\n    encrypted_regex: ^password$\n    age: age1x\n";
const OF_SOPS: &str = "user: app\npassword: ENC[AES256_GCM,data:Zm9v,iv:YmFy,tag:YmF6,type:str]\n\
                       sops:\n    mac: ENC[AES256_GCM,data:Zm9v,iv:YmFy,tag:YmF6,type:str]\n    version: 3.9.0\n";
const OF_ANSIBLE: &str = "$ANSIBLE_VAULT;1.1;AES256\n33363431\n";
const OF_AGE: &str = "-----BEGIN AGE ENCRYPTED FILE-----\nYWdl\n-----END AGE ENCRYPTED FILE-----\n";
const OF_OPENPGP: &str = "-----BEGIN PGP MESSAGE-----\n\nd2U=\n-----END PGP MESSAGE-----\n";

/// A run in a repository with encrypted files, by an agent that does this.
async fn ran(agent: &str) -> World {
    let files = [
        (".sops.yaml", RULES, false),
        ("secrets.yaml", OF_SOPS, false),
        ("group_vars/vault.yml", OF_ANSIBLE, false),
        ("key.age", OF_AGE, false),
        ("key.asc", OF_OPENPGP, false),
        ("notes.md", "a text\n", false),
    ];
    ran_in("acme/sealed", &files, agent).await
}

#[tokio::test]
async fn what_was_encrypted_where_it_stands_is_neither_committed_nor_pushed_readable() {
    for (agent, path, by) in [
        ("printf 'user: app\\npassword: hunter2\\n' > secrets.yaml; echo hello > greeting.txt", "secrets.yaml", "SOPS"),
        // What SOPS says of it is no cipher by itself.
        ("sed -i 's/^password: .*/password: hunter2/' secrets.yaml", "secrets.yaml", "SOPS"),
        ("echo 'password: hunter2' > group_vars/vault.yml", "group_vars/vault.yml", "Ansible Vault"),
        ("echo AGE-SECRET > key.age; rm .sops.yaml", "key.age", "age"),
        ("printf 'a\\000b' > key.asc", "key.asc", "OpenPGP"),
    ] {
        let world = ran(agent).await;
        let failure = world.api.finish().failure.unwrap();
        assert_eq!(failure.code(), "decrypted_content", "{agent}");
        let sentence = failure.sentence();
        assert!(sentence.contains(&format!("`{path}` was encrypted by {by} ")), "{sentence}");
        let told = format!("Files that were encrypted and are readable now: `{path}`.");
        assert!(world.api.texts().contains(&told), "{}", world.api.texts());
        assert_eq!(world.head(BRANCH), None, "{agent}");
    }
}

#[tokio::test]
async fn what_stays_encrypted_by_whatever_program_may_change_move_and_go_and_texts_are_texts() {
    let world = ran("sed -i 's/data:Zm9v/data:YWJj/' secrets.yaml; mv key.age moved.age; rm key.asc
         cat moved.age > group_vars/vault.yml; echo more >> notes.md; echo 'password: x' > new.yaml")
    .await;
    assert_eq!(world.api.finish().outcome, FinishOutcome::Completed, "{:?}", world.api.finish());
    for (path, content) in [
        ("secrets.yaml", Some(OF_SOPS.replace("data:Zm9v", "data:YWJj"))),
        ("moved.age", Some(OF_AGE.to_owned())),
        ("key.asc", None),
        ("group_vars/vault.yml", Some(OF_AGE.to_owned())),
        ("notes.md", Some("a text\nmore\n".to_owned())),
        ("new.yaml", Some("password: x\n".to_owned())),
    ] {
        assert_eq!(world.file(BRANCH, path), content, "{path}");
    }
}
