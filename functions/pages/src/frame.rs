//! The frame of every page: title, navigation, who is signed in.

use crate::assets;
use crate::text::{Text, line};
use askama::Template;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

/// What is around a page's own content.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    pub(crate) title: Text,
    /// The page of the navigation that one is on.
    pub(crate) at: &'static str,
    /// The project that one looks at.
    pub(crate) project: Option<String>,
    /// All that one may look at.
    pub(crate) projects: Vec<String>,
    /// Who is signed in.
    pub(crate) who: Option<Text>,
    pub(crate) style: &'static str,
    pub(crate) script: &'static str,
    pub(crate) icon: &'static str,
}

impl Frame {
    /// Without anybody signed in.
    pub(crate) fn bare(title: &str) -> Self {
        Self {
            title: line(title),
            at: "",
            project: None,
            projects: Vec::new(),
            who: None,
            style: &assets::STYLE.address,
            script: &assets::SCRIPT.address,
            icon: &assets::ICON.address,
        }
    }
}

/// A page as an answer.
pub(crate) fn page(status: StatusCode, template: &impl Template) -> Response {
    match template.render() {
        Ok(html) => {
            let kind = HeaderValue::from_static("text/html; charset=utf-8");
            (status, [(header::CONTENT_TYPE, kind)], html).into_response()
        }
        // Rendering into memory fails for no reason of the request's.
        Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, "Pullyard failed to write this page.").into_response(),
    }
}

/// Goes on elsewhere, by GET.
pub(crate) fn go(to: &str) -> Response {
    match HeaderValue::from_str(to) {
        Ok(to) => (StatusCode::SEE_OTHER, [(header::LOCATION, to)]).into_response(),
        Err(_) => (StatusCode::SEE_OTHER, [(header::LOCATION, HeaderValue::from_static("/"))]).into_response(),
    }
}

/// A path of ours that one may be sent back to; the board for anything else.
pub(crate) fn own_path(path: Option<&str>) -> &str {
    let own = |path: &&str| {
        let first = path.strip_prefix('/').is_some_and(|rest| !rest.starts_with('/'));
        first && path.len() <= 500 && path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\')
    };
    path.filter(own).unwrap_or("/board")
}
