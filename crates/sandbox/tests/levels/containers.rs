//! The canaries in real containers. `.ci/containers` names the image; without it they are skipped.

use crate::world::{HELPER, folder};
use pullyard_sandbox::{Containers, Level, Outcome, Sandbox};

#[test]
fn no_canary_fires_in_a_container() {
    let Ok(image) = std::env::var("PULLYARD_TEST_IMAGE") else {
        eprintln!("skipped: .ci/containers runs it");
        return;
    };
    let level: Level = std::env::var("PULLYARD_TEST_ENGINE").unwrap_or("podman".into()).parse().unwrap();
    let folder = folder();
    let containers = Containers {
        image,
        network: "none".into(),
        host: std::env::var("PULLYARD_TEST_ENGINE_HOST").ok(),
        memory_bytes: 1 << 30,
        cpu_percent: None,
        time_limit: None,
        pool: 0,
        label: folder.path().display().to_string(),
        folder: folder.path().join("containers"),
    };
    let check = |containers: &Containers| {
        let sandbox = Sandbox::with_helper(level, HELPER.into()).unwrap();
        sandbox.in_containers(containers.clone()).unwrap().check(folder.path())
    };
    let report = check(&containers);
    assert!(report.is_usable(), "{report}");
    assert!(report.outcomes.values().all(|outcome| *outcome == Outcome::Quiet), "{report}");
    let missing = check(&Containers { image: "localhost/none".into(), ..containers }).to_string();
    assert!(missing.contains("is not on this machine"), "{missing}");
}
