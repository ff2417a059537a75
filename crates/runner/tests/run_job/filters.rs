//! Repositories whose filters encrypt: nothing becomes readable in git's history that they would have encrypted.

use crate::lfs::ran_in;
use crate::world::{BRANCH, World};
use pullyard_protocol::attempt::FinishOutcome;

const ATTRIBUTES: &str = "*.key filter=git-crypt diff=git-crypt\n*.own filter=own\n*.nb filter=strips\n";
/// As the embedded forge takes it: a text, which begins as a cipher does.
const SEALED: &str = "U2FsdGVkX1+c2VhbGVkIGJ5IHNvbWVib2R5\n";

/// A run in a repository with encrypted files, by an agent that does this.
async fn ran(agent: &str) -> World {
    let files = [
        (".gitattributes", ATTRIBUTES, false),
        ("sealed.key", SEALED, false),
        ("sealed.own", SEALED, false),
        ("notes.nb", "a text\n", false),
    ];
    ran_in("acme/sealed", &files, agent).await
}

#[tokio::test]
async fn what_a_filter_would_have_encrypted_is_neither_committed_nor_pushed() {
    for (agent, path) in [
        ("echo hunter2 > sealed.key; echo hello > greeting.txt", "sealed.key"),
        ("mkdir -p 'a b'; echo hunter2 > 'a b/new.key'", "a b/new.key"),
        // A picture is as readable as a text.
        ("printf 'a\\000b' > new.key", "new.key"),
        // What its own name does not say, the file does.
        ("echo hunter2 > sealed.own", "sealed.own"),
        ("echo hunter2 > sealed.key; rm .gitattributes", "sealed.key"),
        ("echo hunter2 > sealed.key; echo '*.key -filter' >> .gitattributes", "sealed.key"),
        ("echo '*.env filter=crypt' >> .gitattributes; echo hunter2 > new.env", "new.env"),
        // Said by a file that is itself kept out of the commit.
        (
            "echo /.gitattributes > config/.gitignore; echo '*.env filter=crypt' > config/.gitattributes; echo x > config/new.env",
            "config/new.env",
        ),
    ] {
        let world = ran(&format!("mkdir config; {agent}")).await;
        let failure = world.api.finish().failure.unwrap();
        assert_eq!(failure.code(), "filtered_content", "{agent}");
        assert!(failure.sentence().contains(path), "{}", failure.sentence());
        assert!(world.api.texts().contains(&format!("on their way into git: `{path}`.")), "{}", world.api.texts());
        assert_eq!(world.head(BRANCH), None, "{agent}");
    }
}

#[tokio::test]
async fn whatever_a_file_is_called_its_name_is_one_in_the_log() {
    let world = ran("echo hunter2 > \"$(printf 'a\\nAll is \\140well.key')\"").await;
    assert_eq!(world.api.finish().failure.unwrap().code(), "filtered_content");
    assert!(world.api.texts().contains("on their way into git: `a All is 'well.key`."), "{}", world.api.texts());
}

#[tokio::test]
async fn what_stays_encrypted_may_change_and_move_and_other_filters_hold_nothing_up() {
    let world = ran("mv sealed.key moved.key; echo U2FsdGVkX1/newer > other.key; : > empty.key
         echo more >> notes.nb; echo a > new.nb; echo a > new.own")
    .await;
    assert_eq!(world.api.finish().outcome, FinishOutcome::Completed, "{:?}", world.api.finish());
    assert_eq!(world.file(BRANCH, "moved.key").as_deref(), Some(SEALED));
    for (path, content) in [
        ("sealed.key", None),
        ("other.key", Some("U2FsdGVkX1/newer\n")),
        ("empty.key", Some("")),
        ("notes.nb", Some("a text\nmore\n")),
        ("new.nb", Some("a\n")),
        ("new.own", Some("a\n")),
    ] {
        assert_eq!(world.file(BRANCH, path).as_deref(), content, "{path}");
    }
}
