//! Serves style, script and icon at URLs with a hash of their content, so that browsers cache them for ever.

use axum::extract::Path;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use std::sync::LazyLock;

pub(crate) struct Asset {
    pub(crate) url: String,
    kind: &'static str,
    content: &'static str,
}

pub(crate) static STYLE: LazyLock<Asset> =
    LazyLock::new(|| asset("ui", "css", "text/css; charset=utf-8", include_str!("../assets/ui.css")));
pub(crate) static SCRIPT: LazyLock<Asset> =
    LazyLock::new(|| asset("ui", "js", "text/javascript; charset=utf-8", include_str!("../assets/ui.js")));
pub(crate) static ICON: LazyLock<Asset> =
    LazyLock::new(|| asset("icon", "svg", "image/svg+xml", include_str!("../assets/icon.svg")));

fn asset(name: &str, ending: &str, kind: &'static str, content: &'static str) -> Asset {
    Asset { url: format!("/assets/{name}.{:016x}.{ending}", hash(content)), kind, content }
}

fn hash(content: &str) -> u64 {
    content.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

pub(crate) async fn serve(Path(name): Path<String>) -> Response {
    let found = [&*STYLE, &*SCRIPT, &*ICON].into_iter().find(|asset| asset.url.strip_prefix("/assets/") == Some(&name));
    let Some(asset) = found else { return (StatusCode::NOT_FOUND, "There is no such file.").into_response() };
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(asset.kind)),
        (header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000, immutable")),
    ];
    (headers, asset.content).into_response()
}
