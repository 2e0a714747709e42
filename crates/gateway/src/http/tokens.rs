//! The tokens of the operators' API.

use std::sync::Arc;

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::settings::{OperatorToken, Role};

/// Whose token a request has.
#[derive(Debug)]
pub(super) struct TokenOwner {
    pub(super) name: String,
    pub(super) role: Role,
}

/// The tokens that the API takes.
pub(crate) struct TokenTable(Vec<TokenEntry>);

/// Tokens are compared by their hashes, so that the time does not depend on their content.
struct TokenEntry {
    owner: Arc<TokenOwner>,
    hash: [u8; 32],
}

impl TokenTable {
    pub(crate) fn new(tokens: &[OperatorToken]) -> Self {
        let entry = |token: &OperatorToken| TokenEntry {
            owner: Arc::new(TokenOwner { name: token.name.clone(), role: token.role }),
            hash: Sha256::digest(token.token.expose()).into(),
        };
        Self(tokens.iter().map(entry).collect())
    }

    /// Whether no token is configured.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whose token this is. Compares with each, whatever it finds.
    pub(super) fn owner(&self, token: &[u8]) -> Option<&Arc<TokenOwner>> {
        let hash: [u8; 32] = Sha256::digest(token).into();
        let equal: Vec<bool> = self.0.iter().map(|entry| entry.hash.ct_eq(&hash).into()).collect();
        let place = equal.iter().position(|equal| *equal)?;
        Some(&self.0[place].owner)
    }
}
