//! The answers of Genesys's token endpoint, `POST /oauth/token`.

use crate::record::record;
use crate::secret::Secret;

record! {
    /// The answer with a token (RFC 6749, section 5.1).
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
            /// The access token, for the header `authorization`.
            access_token: Secret = "access_token",
        }
        may {
            /// The type of the token: `bearer`.
            token_type: String = "token_type",
            /// The lifetime in seconds, from 5 minutes to 48 hours. It is a setting of the OAuth
            /// client.
            expires_in: u64 = "expires_in",
        }
    }
}

record! {
    /// The answer that refuses a token (RFC 6749, section 5.2).
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
            /// The kind of error, such as `invalid_client`.
            error: String = "error",
            /// A sentence for people, in the field that Genesys uses.
            description: String = "description",
            /// A sentence for people, in the field of RFC 6749.
            error_description: String = "error_description",
        }
    }
}
