//! The users of the console: their passwords, their sessions, and how often a password is tried.

mod password;
mod sessions;
mod tries;

use std::sync::Arc;

use genesys::Secret;
use sha2::{Digest, Sha256};
use store::StoreError;
use tokio::sync::OwnedSemaphorePermit;

use crate::engine::Engine;
use crate::settings::ConsoleUser;
use sessions::Sessions;
use tries::Tries;

pub(super) use sessions::{LIFE, cookie, cookie_of};

/// The users of the console, and who of them is signed in.
pub(crate) struct ConsoleUsers {
    users: Vec<ConsoleUser>,
    sessions: Sessions,
    tries: Tries,
}

impl ConsoleUsers {
    pub(super) fn new(users: &[ConsoleUser], engine: &Engine) -> Self {
        for user in users.iter().filter(|user| !password::is_readable(&user.password_hash)) {
            tracing::error!(
                user = user.name,
                "the password hash of this user cannot be read, so they cannot sign in: \
                 make one with tidegate hash-password"
            );
        }
        let sessions = Sessions::new(Arc::clone(&engine.store), Arc::clone(&engine.clock));
        Self { users: users.to_vec(), sessions, tries: Tries::default() }
    }

    /// Whether no user is configured.
    pub(super) fn is_empty(&self) -> bool {
        self.users.is_empty()
    }

    /// Whether there is a user of this name.
    pub(super) fn is_user(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    /// The user who is signed in with this token. One who was removed from the configuration, or
    /// whose password has changed since, is not.
    pub(super) async fn signed_in(&self, token: &str) -> Result<Option<&ConsoleUser>, StoreError> {
        let Some(session) = self.sessions.find(token).await? else { return Ok(None) };
        let same = |user: &ConsoleUser| fingerprint(&user.password_hash) == session.password;
        Ok(self.find(&session.user).filter(|user| same(user)))
    }

    /// Permits one try of a password for this name; `None` if there were too many.
    pub(super) async fn permit_try(&self, name: &str) -> Option<OwnedSemaphorePermit> {
        self.tries.begin(name).await
    }

    /// Whether this is the user's password.
    pub(super) async fn is_password(
        &self,
        name: &str,
        given: String,
        permit: OwnedSemaphorePermit,
    ) -> bool {
        let hash = self.find(name).map(|user| user.password_hash.clone());
        let check = move || {
            // A caller who hangs up does not end the check, so the place is the check's.
            let _permit = permit;
            password::is_right(given.as_bytes(), hash.as_ref())
        };
        let is_right = tokio::task::spawn_blocking(check).await.unwrap_or(false);
        if is_right {
            self.tries.succeeded(name);
        }
        is_right
    }

    /// Begins a session. Returns the token for the cookie.
    pub(super) async fn sign_in(&self, name: &str) -> Result<String, StoreError> {
        let password = self.find(name).map(|user| fingerprint(&user.password_hash));
        self.sessions.begin(name, password.unwrap_or_default()).await
    }

    /// Ends the session of this token.
    pub(super) async fn sign_out(&self, token: &str) -> Result<(), StoreError> {
        self.sessions.end(token).await
    }

    fn find(&self, name: &str) -> Option<&ConsoleUser> {
        self.users.iter().find(|user| user.name == name)
    }
}

/// Tells a password from another, for sessions. It is a hash of the password's hash.
fn fingerprint(hash: &Secret) -> String {
    hex::encode(Sha256::digest(hash.expose()))
}
