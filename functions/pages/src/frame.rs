//! Title, navigation and visitor of every page.

use crate::assets;
use crate::text::{SafeText, line};
use askama::Template;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

#[derive(Clone, Debug)]
pub(crate) struct Frame {
    pub(crate) title: SafeText,
    pub(crate) at: &'static str,
    pub(crate) project: Option<String>,
    pub(crate) projects: Vec<String>,
    pub(crate) who: Option<SafeText>,
    pub(crate) style: &'static str,
    pub(crate) script: &'static str,
    pub(crate) icon: &'static str,
}

impl Frame {
    pub(crate) fn bare(title: &str) -> Self {
        Self {
            title: line(title),
            at: "",
            project: None,
            projects: Vec::new(),
            who: None,
            style: &assets::STYLE.url,
            script: &assets::SCRIPT.url,
            icon: &assets::ICON.url,
        }
    }
}

pub(crate) fn render_page(status: StatusCode, template: &impl Template) -> Response {
    match template.render() {
        Ok(html) => {
            let kind = HeaderValue::from_static("text/html; charset=utf-8");
            (status, [(header::CONTENT_TYPE, kind)], html).into_response()
        }
        Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, "Pullyard failed to render this page.").into_response(),
    }
}

pub(crate) fn redirect(to: &str) -> Response {
    match HeaderValue::from_str(to) {
        Ok(to) => (StatusCode::SEE_OTHER, [(header::LOCATION, to)]).into_response(),
        Err(_) => (StatusCode::SEE_OTHER, [(header::LOCATION, HeaderValue::from_static("/"))]).into_response(),
    }
}

/// Returns a path of our own, otherwise the board, so that no redirect leaves the site.
pub(crate) fn own_path(path: Option<&str>) -> &str {
    let own = |path: &&str| {
        let first = path.strip_prefix('/').is_some_and(|rest| !rest.starts_with('/'));
        first && path.len() <= 500 && path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\')
    };
    path.filter(own).unwrap_or("/board")
}
