//! Title, navigation and visitor of every page.

use crate::assets;
use crate::text::{SafeText, line};
use askama::Template;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};

#[derive(Clone, Debug)]
pub(crate) struct Frame {
    pub(crate) title: SafeText,
    pub(crate) at: &'static str,
    pub(crate) project: Option<String>,
    /// `None` hides the sidebar.
    pub(crate) visitor: Option<VisitorView>,
    /// A state of the whole deployment that stops all work.
    pub(crate) alarm: Option<&'static str>,
    /// `None` follows the system.
    pub(crate) theme: Option<&'static str>,
    pub(crate) style: &'static str,
    pub(crate) script: &'static str,
    pub(crate) icon: &'static str,
}

/// The signed-in visitor, and the navigation entries that the visitor's scopes allow.
#[derive(Clone, Debug)]
pub(crate) struct VisitorView {
    pub(crate) name: SafeText,
    pub(crate) initial: char,
    pub(crate) projects: Vec<String>,
    pub(crate) may_work: bool,
    pub(crate) may_administer: bool,
    pub(crate) operates: bool,
}

/// A link above a list that limits it to one state.
pub(crate) struct Tab {
    pub(crate) name: &'static str,
    pub(crate) address: String,
    pub(crate) is_current: bool,
}

impl Frame {
    pub(crate) fn bare(title: &str, headers: &HeaderMap) -> Self {
        Self {
            title: line(title),
            at: "",
            project: None,
            visitor: None,
            alarm: None,
            theme: find_theme(headers),
            style: &assets::STYLE.url,
            script: &assets::SCRIPT.url,
            icon: &assets::ICON.url,
        }
    }

    pub(crate) fn log_script(&self) -> &'static str {
        &assets::LOG_SCRIPT.url
    }

    pub(crate) fn projects(&self) -> &[String] {
        self.visitor.as_ref().map_or(&[], |visitor| &visitor.projects)
    }

    /// Id of the project; empty if there is none.
    pub(crate) fn project(&self) -> &str {
        self.project.as_deref().unwrap_or_default()
    }

    pub(crate) fn may_work(&self) -> bool {
        self.visitor.as_ref().is_some_and(|visitor| visitor.may_work)
    }

    pub(crate) fn may_administer(&self) -> bool {
        self.visitor.as_ref().is_some_and(|visitor| visitor.may_administer)
    }

    pub(crate) fn may_operate(&self) -> bool {
        self.visitor.as_ref().is_some_and(|visitor| visitor.operates)
    }

    pub(crate) fn is_at(&self, entry: &str) -> bool {
        self.at == entry
    }

    pub(crate) fn has_theme(&self, name: &str) -> bool {
        self.theme.unwrap_or("system") == name
    }

    pub(crate) fn link(&self, path: &str) -> String {
        self.project.as_ref().map_or_else(|| path.to_owned(), |project| format!("{path}?project={project}"))
    }

    /// The page that the project menu opens: the same entry of the navigation, for another project.
    pub(crate) fn section(&self) -> String {
        match self.at {
            "overview" => "/".to_owned(),
            "jobs" | "runs" | "pulls" | "decisions" | "analyses" => format!("/{}", self.at),
            "repositories" | "runners" | "schedules" | "notifications" | "tokens" | "settings" | "tracker"
            | "operations" => {
                format!("/setup/{}", self.at)
            }
            _ => "/board".to_owned(),
        }
    }
}

pub(crate) fn render_page(status: StatusCode, template: &impl Template) -> Response {
    match template.render() {
        Ok(html) => (status, Html(html)).into_response(),
        Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, "Pullyard failed to render this page.").into_response(),
    }
}

pub(crate) fn redirect(to: &str) -> Response {
    let to = HeaderValue::from_str(to).unwrap_or(HeaderValue::from_static("/"));
    (StatusCode::SEE_OTHER, [(header::LOCATION, to)]).into_response()
}

/// Pages of a project redirect to the first run while the visitor has no project.
pub(crate) fn redirect_to_start() -> Response {
    redirect("/setup/start")
}

/// The path of the page that linked here, if it is a page of this server; otherwise the overview.
pub(crate) fn referrer(headers: &HeaderMap) -> String {
    let url = headers.get(header::REFERER).and_then(|url| url.to_str().ok());
    let path = url.and_then(|url| url.splitn(4, '/').nth(3)).unwrap_or_default();
    own_path(Some(&format!("/{path}"))).to_owned()
}

/// Returns a path of our own, otherwise the overview, so that no redirect leaves the site.
pub(crate) fn own_path(path: Option<&str>) -> &str {
    let is_own = |path: &&str| {
        let is_absolute = path.strip_prefix('/').is_some_and(|rest| !rest.starts_with('/'));
        is_absolute && path.len() <= 500 && path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\')
    };
    path.filter(is_own).unwrap_or("/")
}

fn find_theme(headers: &HeaderMap) -> Option<&'static str> {
    let lists = headers.get_all(header::COOKIE).into_iter().filter_map(|list| list.to_str().ok());
    let theme = lists.flat_map(|list| list.split(';')).find_map(|pair| pair.trim().strip_prefix("theme="))?;
    ["light", "dark"].into_iter().find(|name| *name == theme)
}
