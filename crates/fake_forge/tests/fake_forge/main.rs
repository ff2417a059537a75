//! The fake forge's additions to the demo forge, over HTTP.

#![expect(clippy::unwrap_used, reason = "clippy.toml allows it in tests, not in what they share")]

mod bitbucket;
#[expect(dead_code, reason = "shared with the tests of the demo forge")]
#[path = "../../../demo_forge/tests/demo_forge/world.rs"]
mod world;

fn extension() -> std::sync::Arc<dyn pullyard_demo_forge::Extension> {
    pullyard_fake_forge::FakeForge::extension()
}
