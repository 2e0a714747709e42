//! The token endpoint's answers.

use crate::record::record;
use crate::secret::Secret;

record! {
    /// A token (RFC 6749, 5.1).
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
