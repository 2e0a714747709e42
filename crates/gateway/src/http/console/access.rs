//! Who may see the console.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use console_pages::Frame;
use store::Chain;

use super::page;
use crate::http::api::local_only;
use crate::http::state::HttpState;
use crate::http::users::cookie_of;
use crate::settings::Role;

/// Who sees a page: a user, or `None` on a machine without users.
#[derive(Clone, Debug)]
pub(super) struct Viewer(Option<(String, Role)>);

impl Viewer {
    /// What each page of this viewer shows.
    pub(super) fn frame(self) -> Frame {
        let acts = self.operator().is_ok();
        Frame { user: self.0.map(|(name, _)| name), acts, ..Frame::default() }
    }

    /// The user's name, if they may act; otherwise why not.
    pub(super) fn operator(&self) -> Result<&str, &'static str> {
        match &self.0 {
            Some((name, Role::Operator)) => Ok(name),
            Some((_, Role::Viewer)) => {
                Err("You may only read: in console.users, your role is \"viewer\".")
            }
            None => {
                Err("Without console.users, the console only reads, because the journal names \
                         the user with each action. Add a user with role = \"operator\".")
            }
        }
    }
}

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
            request.extensions_mut().insert(Viewer(Some((user.name.clone(), user.role))));
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
