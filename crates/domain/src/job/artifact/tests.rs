//! Tests the limits, repeats and names of artifacts.

use super::*;

fn now() -> Timestamp {
    Timestamp::from_millis(1_000)
}

fn empty_artifacts() -> Artifacts {
    Artifacts::empty(JobId::new(format!("job_{}", "a".repeat(26))).unwrap(), 1, now())
}

fn offer(kind: ArtifactKind, name: &str, size_bytes: u64) -> NewArtifact {
    let sha256 = Sha256Hex::new("0".repeat(64)).unwrap();
    NewArtifact { kind, name: ArtifactName::new(name).unwrap(), size_bytes, sha256 }
}

fn reserve(artifacts: &Artifacts, offer: &NewArtifact) -> Artifacts {
    match artifacts.reserve(offer, now()) {
        Ok(ArtifactReservation::New(next, artifact)) => {
            assert_eq!(next.kept.last(), Some(&artifact));
            next
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn repeated_offer_is_idempotent_and_other_content_is_refused() {
    let patch = offer(ArtifactKind::Patch, "patch.diff", 12);
    let one = reserve(&empty_artifacts(), &patch);
    assert_eq!(one.reserve(&patch, now()), Ok(ArtifactReservation::Existing(one.kept[0].clone())));
    let larger = NewArtifact { size_bytes: 13, ..patch.clone() };
    let other = NewArtifact { sha256: Sha256Hex::new("1".repeat(64)).unwrap(), ..patch.clone() };
    assert_eq!(one.reserve(&larger, now()), Err(ArtifactRefusal::Conflict));
    assert_eq!(one.reserve(&other, now()), Err(ArtifactRefusal::Conflict));
    // The same name with another kind is another artifact.
    assert_eq!(reserve(&one, &offer(ArtifactKind::CheckOutput, "patch.diff", 12)).kept.len(), 2);
}

#[test]
fn size_limits_are_exact_to_the_byte() {
    let largest = offer(ArtifactKind::AgentOutput, "a", MAX_SIZE_BYTES);
    let above = offer(ArtifactKind::AgentOutput, "a", MAX_SIZE_BYTES + 1);
    assert_eq!(empty_artifacts().reserve(&above, now()), Err(ArtifactRefusal::TooLarge));
    let mut all = reserve(&empty_artifacts(), &largest);
    for name in ["b", "c", "d"] {
        all = reserve(&all, &offer(ArtifactKind::AgentOutput, name, MAX_SIZE_BYTES));
    }
    assert_eq!(all.size_bytes(), MAX_TOTAL_BYTES);
    assert_eq!(all.reserve(&offer(ArtifactKind::Patch, "e", 1), now()), Err(ArtifactRefusal::TotalTooLarge));
    assert_eq!(reserve(&all, &offer(ArtifactKind::Patch, "e", 0)).kept.len(), 5);
    // A repeat does not count again.
    assert!(matches!(all.reserve(&largest, now()), Ok(ArtifactReservation::Existing(_))));
}

#[test]
fn attempt_has_at_most_fifty_artifacts() {
    let mut all = empty_artifacts();
    for number in 0..MAX_COUNT {
        all = reserve(&all, &offer(ArtifactKind::CheckOutput, &format!("check-{number}"), 1));
    }
    assert_eq!(all.reserve(&offer(ArtifactKind::Patch, "patch.diff", 1), now()), Err(ArtifactRefusal::TooMany));
}

#[test]
fn object_is_marked_stored_once() {
    let one = reserve(&empty_artifacts(), &offer(ArtifactKind::Patch, "patch.diff", 12));
    let id = one.kept[0].id.clone();
    let seen = one.mark_stored(&id).unwrap();
    assert!(seen.kept[0].stored);
    assert_eq!(seen.mark_stored(&id), None);
    assert_eq!(empty_artifacts().mark_stored(&id), None);
}

#[test]
fn artifact_name_is_a_plain_file_name() {
    for good in ["patch.diff", "a", "A-1_b.jsonl", &"x".repeat(100)] {
        assert!(ArtifactName::new(good).is_ok(), "{good}");
    }
    for bad in ["", ".", "..", ".hidden", "-f", "a/b", "a\\b", "a b", "a\"b", "a\nb", "ü", &"x".repeat(101)] {
        assert!(ArtifactName::new(bad).is_err(), "{bad}");
    }
}

#[test]
fn kinds_serialize_to_their_names() {
    for kind in ArtifactKind::ALL {
        assert_eq!(serde_json::to_value(kind).unwrap(), kind.as_str());
    }
}

#[test]
fn newest_checkpoint_is_listed_first() {
    let mut all = empty_artifacts();
    for (kind, name) in [
        (ArtifactKind::Checkpoint, "checkpoint.tar.zst"),
        (ArtifactKind::Patch, "changes.patch"),
        (ArtifactKind::Checkpoint, "checkpoint-2.tar.zst"),
    ] {
        all = reserve(&all, &offer(kind, name, 12));
    }
    let names: Vec<_> = all.checkpoints().map(|one| one.name.as_str()).collect();
    assert_eq!(names, ["checkpoint-2.tar.zst", "checkpoint.tar.zst"]);
}

#[test]
fn reservation_updates_the_time_of_the_list() {
    let later = Timestamp::from_millis(9_000);
    let one = reserve(&empty_artifacts(), &offer(ArtifactKind::Patch, "patch.diff", 12));
    let Ok(ArtifactReservation::New(two, artifact)) = one.reserve(&offer(ArtifactKind::AgentOutput, "a", 12), later)
    else {
        panic!("no reservation")
    };
    assert_eq!((two.at, artifact.at, artifact.stored), (later, later, false));
    assert_eq!(two.kept[0], one.kept[0]);
    let again = two.reserve(&offer(ArtifactKind::Patch, "patch.diff", 12), later);
    assert_eq!(again, Ok(ArtifactReservation::Existing(one.kept[0].clone())));
}
