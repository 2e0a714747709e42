//! The token endpoint's answers.

use crate::record::record;
use crate::secret::Secret;

record! {
    /// A token (RFC 6749, 5.1).
    ///
    /// ```
    /// use genesys::oauth::TokenResponse;
    ///
    /// let answer: TokenResponse = serde_json::from_str(
    ///     r#"{"access_token": "EXAMPLE", "token_type": "bearer", "expires_in": 86399}"#,
    /// )?;
    /// assert_eq!(answer.expires_in, Some(86_399));
    /// assert!(!format!("{answer:?}").contains("EXAMPLE"), "`Debug` hides the token");
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    tolerant TokenResponse {
        needs {
            /// The token.
            access_token: Secret = "access_token",
        }
        may {
            /// `bearer`.
            token_type: String = "token_type",
            /// Its lifetime in seconds, set on the OAuth client: 5 minutes to 48 hours.
            expires_in: u64 = "expires_in",
        }
    }
}

record! {
    /// No token (RFC 6749, 5.2).
    ///
    /// ```
    /// use genesys::oauth::OAuthError;
    ///
    /// let refusal = r#"{"error": "invalid_client", "description": "client not found"}"#;
    /// let refusal: OAuthError = serde_json::from_str(refusal)?;
    /// assert_eq!(refusal.error.as_deref(), Some("invalid_client"));
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    tolerant OAuthError {
        may {
            /// `invalid_client`, ...
            error: String = "error",
            /// A sentence, in Genesys's field.
            description: String = "description",
            /// A sentence, in the field of RFC 6749.
            error_description: String = "error_description",
        }
    }
}
