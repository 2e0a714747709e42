//! Who may see the console.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use console_pages::Frame;
use store::Chain;

use super::page;
use crate::http::api::local_only;
use crate::http::state::HttpState;
use crate::http::users::cookie_of;

/// Who sees a page: the name of a user, or `None` on a machine without users.
#[derive(Clone, Debug)]
pub(super) struct Viewer(pub(super) Option<String>);

/// Passes on the requests of callers who may see the console.
pub(super) async fn check(
    State(state): State<Arc<HttpState>>,
    mut request: Request,
    next: Next,
) -> Response {
    let console = &state.console;
    if console.is_empty() {
        if let Err(why) = local_only(&request, "the console", "console.users") {
            state.engine.metrics.turned_away("console_access");
            let title = "This caller is not served";
            let notice = console_pages::notice(&Frame::default(), title, &why);
            return page(StatusCode::FORBIDDEN, notice);
        }
        request.extensions_mut().insert(Viewer(None));
        return next.run(request).await;
    }
    let user = match cookie_of(request.headers()) {
        Some(token) => console.signed_in(token).await,
        None => Ok(None),
    };
    match user {
        Ok(Some(user)) => {
            request.extensions_mut().insert(Viewer(Some(user)));
            next.run(request).await
        }
        Ok(None) => Redirect::to(&sign_in_address(&request)).into_response(),
        Err(error) => {
            tracing::error!(error = %Chain(&error), "a session of the console cannot be read");
            let why = "The store cannot be read now. Try again in a moment; the log has the cause.";
            let notice = console_pages::notice(&Frame::default(), "No answer", why);
            page(StatusCode::SERVICE_UNAVAILABLE, notice)
        }
    }
}

/// The address of the form, which leads back to the page that was asked for.
fn sign_in_address(request: &Request) -> String {
    let wanted = request.uri().path_and_query().map_or("/console", |wanted| wanted.as_str());
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.append_pair("target", wanted);
    format!("/console/sign-in?{}", query.finish())
}

/// Whether a form was sent by a page of the console, and not by a page of another site.
pub(super) fn is_own_form(method: &Method, headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).and_then(|value: &header::HeaderValue| value.to_str().ok());
    if *method != Method::POST {
        return true;
    }
    // Every current browser says where a request comes from.
    if let Some(site) = text(header::HeaderName::from_static("sec-fetch-site")) {
        return matches!(site, "same-origin" | "none");
    }
    match (text(header::ORIGIN), text(header::HOST)) {
        (Some(origin), Some(host)) => {
            origin.split_once("://").is_some_and(|(_, authority)| authority == host)
        }
        (Some(_), None) => false,
        // A program without either header is no browser.
        (None, _) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_of_another_site_is_refused() {
        let sent = |headers: &[(&str, &str)]| {
            let mut map = HeaderMap::new();
            for (name, value) in headers {
                let name: header::HeaderName = name.parse().expect("a name");
                map.insert(name, value.parse().expect("a value"));
            }
            is_own_form(&Method::POST, &map)
        };
        let host = ("host", "gateway:9090");
        assert!(sent(&[host]), "a program");
        assert!(sent(&[host, ("sec-fetch-site", "same-origin")]));
        assert!(sent(&[host, ("origin", "https://gateway:9090")]));
        for site in ["cross-site", "same-site"] {
            assert!(!sent(&[host, ("sec-fetch-site", site)]), "{site}");
        }
        for origin in ["https://evil.example", "null", "https://gateway:9090.evil.example"] {
            assert!(!sent(&[host, ("origin", origin)]), "{origin}");
        }
    }
}
