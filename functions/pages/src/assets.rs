//! Serves style, script and icon at URLs with a hash of their content, so that browsers cache them for ever.

use crate::compress::{accepts_gzip, gzip};
use axum::extract::Path;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{AppendHeaders, IntoResponse, Response};
use flate2::Compression;
use std::sync::LazyLock;

pub(crate) struct Asset {
    pub(crate) url: String,
    kind: &'static str,
    content: String,
    /// The content for browsers that accept gzip, as all do: a quarter of the bytes.
    gzipped: Vec<u8>,
}

pub(crate) static STYLE: LazyLock<Asset> =
    LazyLock::new(|| asset("ui", "css", "text/css; charset=utf-8", minify_style(include_str!("../assets/ui.css"))));
pub(crate) static SCRIPT: LazyLock<Asset> = LazyLock::new(|| script("ui", include_str!("../assets/ui.js")));
pub(crate) static BOARD_SCRIPT: LazyLock<Asset> = LazyLock::new(|| script("board", include_str!("../assets/board.js")));
pub(crate) static LOG_SCRIPT: LazyLock<Asset> = LazyLock::new(|| script("log", include_str!("../assets/log.js")));
pub(crate) static ICON: LazyLock<Asset> =
    LazyLock::new(|| asset("icon", "svg", "image/svg+xml", include_str!("../assets/icon.svg").into()));

fn script(name: &str, source: &str) -> Asset {
    asset(name, "js", "text/javascript; charset=utf-8", minify_script(source))
}

fn asset(name: &str, ending: &str, kind: &'static str, content: String) -> Asset {
    Asset {
        url: format!("/assets/{name}.{:016x}.{ending}", hash(&content)),
        kind,
        gzipped: gzip(content.as_bytes(), Compression::best()).unwrap_or_default(),
        content,
    }
}

/// Drops comments and superfluous spaces of a style sheet, a sixth of its bytes. A space before a colon stays.
fn minify_style(style: &str) -> String {
    let mut out = String::with_capacity(style.len());
    let parts = style.split("/*").enumerate();
    let code = parts.map(|(at, part)| if at == 0 { part } else { part.split_once("*/").map_or("", |(_, code)| code) });
    for word in code.flat_map(str::split_whitespace) {
        if !out.ends_with(['{', '}', ';', ',', ':']) && !word.starts_with(['{', '}', ';', ',']) {
            out.push(' ');
        }
        out.push_str(word);
    }
    out
}

/// Drops indentation and the lines that are comments, a fifth of the bytes. No text of the script spans lines.
fn minify_script(script: &str) -> String {
    let lines = script.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("//"));
    lines.flat_map(|line| [line, "\n"]).collect()
}

/// FNV-1a, whose result is the same in every build.
pub(crate) fn hash(content: &str) -> u64 {
    content.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

pub(crate) async fn serve(Path(name): Path<String>, request: HeaderMap) -> Response {
    let all = [&*STYLE, &*SCRIPT, &*BOARD_SCRIPT, &*LOG_SCRIPT, &*ICON];
    let found = all.into_iter().find(|asset| asset.url.strip_prefix("/assets/") == Some(&name));
    let Some(asset) = found else { return (StatusCode::NOT_FOUND, "There is no such file.").into_response() };
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(asset.kind)),
        (header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000, immutable")),
    ];
    let vary = (header::VARY, HeaderValue::from_static("accept-encoding"));
    if accepts_gzip(&request) && !asset.gzipped.is_empty() {
        let encoding = (header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        return (headers, AppendHeaders([vary, encoding]), asset.gzipped.as_slice()).into_response();
    }
    (headers, AppendHeaders([vary]), asset.content.as_str()).into_response()
}
