//! The signature of the outbound webhook: `sha256=` and the base64 of HMAC-SHA256 over the body's
//! raw bytes.
//!
//! A middleware verifies it, and an emulator creates it. Use the bytes exactly as they came over
//! the wire: the same JSON in another format has another signature.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

pub use crate::secret::Secret;

/// The header that carries the signature.
pub const HEADER: &str = "x-hub-signature-256";

const PREFIX: &str = "sha256=";

/// Why a webhook body must be rejected.
///
/// ```
/// use genesys::Secret;
/// use genesys::signature::{SignatureError, sign, verify};
///
/// let header = sign(&Secret::new("the right secret"), b"{}");
/// let secrets = [Secret::new("another secret")];
/// let outcome = verify(&secrets, Some(header.as_bytes()), b"{}");
/// assert_eq!(outcome, Err(SignatureError::Mismatch));
/// assert_eq!(verify(&secrets, None, b"{}"), Err(SignatureError::Missing));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// The header with the signature is missing.
    #[error("the {HEADER} header is missing")]
    Missing,
    /// The header is not `sha256=` and the base64 of 32 bytes.
    #[error("the {HEADER} header is not sha256=<base64 of 32 bytes>")]
    Malformed,
    /// No secret made this signature: the body was changed, or another secret signed it.
    #[error("the {HEADER} header was made with another secret or for another body")]
    Mismatch,
}

/// Signs `body`. Returns the value of the header [`HEADER`].
///
/// ```
/// use genesys::Secret;
/// use genesys::signature::sign;
///
/// let header = sign(&Secret::new("the integration's secret"), br#"{"id":"m"}"#);
/// assert!(header.starts_with("sha256="));
/// assert_eq!(header.len(), "sha256=".len() + 44, "the base64 of 32 bytes");
/// ```
pub fn sign(secret: &Secret, body: &[u8]) -> String {
    format!("{PREFIX}{}", STANDARD.encode(mac(secret, body).finalize().into_bytes()))
}

/// Checks that one of `secrets` signed `body`. `header` is the value of the header [`HEADER`].
/// There are several secrets during a rotation. Each comparison takes constant time, and an empty
/// secret never matches.
///
/// ```
/// use genesys::Secret;
/// use genesys::signature::{sign, verify};
///
/// let (old, new) = (Secret::new("the old secret"), Secret::new("the new secret"));
/// let body = br#"{"id":"m"}"#;
/// let header = sign(&old, body);
/// assert_eq!(verify(&[new, old], Some(header.as_bytes()), body), Ok(()));
/// ```
///
/// # Errors
/// * [`SignatureError::Missing`] if `header` is `None`.
/// * [`SignatureError::Malformed`] if the header is not `sha256=` and the base64 of 32 bytes.
/// * [`SignatureError::Mismatch`] if no secret made this signature for `body`, or there is no
///   secret.
pub fn verify(
    secrets: &[Secret],
    header: Option<&[u8]>,
    body: &[u8],
) -> Result<(), SignatureError> {
    let header = header.ok_or(SignatureError::Missing)?.trim_ascii();
    let encoded = header.strip_prefix(PREFIX.as_bytes()).ok_or(SignatureError::Malformed)?;
    let signature = STANDARD.decode(encoded).map_err(|_| SignatureError::Malformed)?;
    if signature.len() != 32 {
        return Err(SignatureError::Malformed);
    }
    let matches = |secret: &Secret| {
        !secret.expose().is_empty() && mac(secret, body).verify_slice(&signature).is_ok()
    };
    if secrets.iter().any(matches) { Ok(()) } else { Err(SignatureError::Mismatch) }
}

fn mac(secret: &Secret, body: &[u8]) -> Hmac<Sha256> {
    // HMAC takes keys of any length; only other algorithms of the same trait may refuse some.
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.expose().as_bytes())
        .expect("HMAC takes a key of any length");
    mac.update(body);
    mac
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_form_is_malformed() {
        let secret = [Secret::new("0123456789abcdef")];
        let good = sign(&secret[0], b"body");
        assert_eq!(verify(&secret, Some(good.as_bytes()), b"body"), Ok(()));
        assert_eq!(verify(&secret, Some(format!(" {good} ").as_bytes()), b"body"), Ok(()));
        for header in
            ["", "sha256=", "sha256=AAAA", &good[7..], &good.replace("256", "1"), "sha256=\u{fc}"]
        {
            assert_eq!(
                verify(&secret, Some(header.as_bytes()), b"body"),
                Err(SignatureError::Malformed),
                "{header}"
            );
        }
        assert_eq!(verify(&secret, None, b"body"), Err(SignatureError::Missing));
    }

    #[test]
    fn any_of_several_secrets_will_do_but_no_empty_one() {
        let secrets =
            [Secret::new("the new secret 1"), Secret::new("the old secret 2"), Secret::new("")];
        for (secret, outcome) in secrets.iter().zip([Ok(()), Ok(()), Err(SignatureError::Mismatch)])
        {
            assert_eq!(verify(&secrets, Some(sign(secret, b"body").as_bytes()), b"body"), outcome);
        }
        assert_eq!(
            verify(&[], Some(sign(&secrets[0], b"body").as_bytes()), b"body"),
            Err(SignatureError::Mismatch)
        );
    }

    #[test]
    fn a_secret_is_not_shown() {
        assert_eq!(format!("{:?}", Secret::new("hush")), "Secret(..)");
    }
}
