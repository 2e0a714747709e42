//! Makes and checks Standard Webhooks signatures (standardwebhooks.com, symmetric scheme `v1`).
//!
//! They sign calls in both directions. The time is an argument here, which the scheme's own crate
//! does not allow. The tests compare this module with that crate. Secrets never appear in errors or
//! in `Debug`.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, KeyInit, Mac};
use http::HeaderMap;
use jiff::Timestamp;
use serde::{Deserialize, Deserializer, de};
use sha2::Sha256;

use crate::protocol::SIGNATURE_TOLERANCE;

/// The header with the id of the call or event, the same for each repetition.
pub const WEBHOOK_ID: &str = "webhook-id";
/// The header with the time of signing, in seconds since 1970.
pub const WEBHOOK_TIMESTAMP: &str = "webhook-timestamp";
/// The header with one or more signatures, separated by spaces.
pub const WEBHOOK_SIGNATURE: &str = "webhook-signature";

/// A secret that the gateway shares with a chat service: `whsec_` and at least 24 bytes in base64.
///
/// ```
/// use connector::http::Secret;
/// use jiff::Timestamp;
///
/// let secret: Secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".parse()?;
/// let at = Timestamp::from_second(1_614_265_330)?;
/// let signature =
///     secret.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", at, br#"{"test": 2432232314}"#);
/// assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
/// assert_eq!(format!("{secret:?}"), "whsec_…");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Vec<u8>);

impl Secret {
    /// The shortest secret that the scheme allows, in bytes.
    const SHORTEST: usize = 24;

    /// Signs a body. Returns one signature for the header [`WEBHOOK_SIGNATURE`]. `id` and `at` must
    /// be the values of [`WEBHOOK_ID`] and [`WEBHOOK_TIMESTAMP`].
    pub fn sign(&self, id: &str, at: Timestamp, body: &[u8]) -> String {
        format!(
            "v1,{}",
            BASE64.encode(self.mac(id, &at.as_second().to_string(), body).finalize().into_bytes())
        )
    }

    fn mac(&self, id: &str, timestamp: &str, body: &[u8]) -> Hmac<Sha256> {
        let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(&self.0)
            .expect("HMAC takes keys of every length");
        for part in [id.as_bytes(), b".", timestamp.as_bytes(), b".", body] {
            mac.update(part);
        }
        mac
    }
}

impl FromStr for Secret {
    type Err = NotASecret;

    fn from_str(secret: &str) -> Result<Self, NotASecret> {
        let key = secret.strip_prefix("whsec_").ok_or(NotASecret::Prefix)?;
        let key = BASE64.decode(key).map_err(|_| NotASecret::Base64)?;
        if key.len() < Self::SHORTEST { Err(NotASecret::Short(key.len())) } else { Ok(Self(key)) }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("whsec_…")
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(de::Error::custom)
    }
}

/// Why a text is not a Standard Webhooks secret.
///
/// ```
/// use connector::http::{NotASecret, Secret};
///
/// assert_eq!("hunter2".parse::<Secret>(), Err(NotASecret::Prefix));
/// assert_eq!("whsec_c2hvcnQ=".parse::<Secret>(), Err(NotASecret::Short(5)));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotASecret {
    /// The text does not begin with `whsec_`.
    #[error("a connector's secret begins with `whsec_`, followed by base64")]
    Prefix,
    /// What follows `whsec_` is not base64.
    #[error(
        "what follows `whsec_` in a connector's secret is not base64 (standard alphabet, with \
         padding)"
    )]
    Base64,
    /// The secret has this many bytes, which is less than 24.
    #[error(
        "a connector's secret has {0} bytes, and needs at least 24: `openssl rand -base64 32` \
         makes one"
    )]
    Short(usize),
}

/// The secrets shared with one chat service: one, or several during a rotation.
///
/// All of them sign, and one is enough to verify. So either side may change its secret first.
///
/// ```
/// use connector::http::{Secret, Secrets};
/// use jiff::Timestamp;
///
/// let new: Secret = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD".parse()?;
/// let old: Secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".parse()?;
/// let secrets = Secrets::new(vec![new, old]).expect("the list is not empty");
/// let signatures = secrets.sign("e-1", Timestamp::from_second(1_700_000_000)?, b"{}");
/// assert_eq!(signatures.split(' ').count(), 2, "each of the secrets signs");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Secrets(Vec<Secret>);

impl Secrets {
    /// Wraps these secrets. Returns `None` if the list is empty.
    pub fn new(secrets: Vec<Secret>) -> Option<Self> {
        (!secrets.is_empty()).then_some(Self(secrets))
    }

    /// Signs a body with every secret. Returns the value of the header [`WEBHOOK_SIGNATURE`]. `id`
    /// and `at` must be the values of [`WEBHOOK_ID`] and [`WEBHOOK_TIMESTAMP`].
    pub fn sign(&self, id: &str, at: Timestamp, body: &[u8]) -> String {
        self.0.iter().map(|secret| secret.sign(id, at, body)).collect::<Vec<_>>().join(" ")
    }

    /// Checks that one of the secrets signed this body, and that the time of the signature differs
    /// from `now` by at most five minutes. The comparison takes constant time.
    ///
    /// # Errors
    /// * [`NotSigned::Missing`] if one of the three headers is absent.
    /// * [`NotSigned::Malformed`] if one of them is there twice or is not ASCII text, or the time
    ///   is not a number of 1 to 12 digits.
    /// * [`NotSigned::Stale`] or [`NotSigned::Future`] if the time differs from `now` by more than
    ///   five minutes.
    /// * [`NotSigned::Wrong`] if no signature matches any secret.
    pub fn verify(
        &self,
        headers: &HeaderMap,
        body: &[u8],
        now: Timestamp,
    ) -> Result<(), NotSigned> {
        let id = header(headers, WEBHOOK_ID)?;
        let timestamp = header(headers, WEBHOOK_TIMESTAMP)?;
        let signatures = header(headers, WEBHOOK_SIGNATURE)?;
        // Only plain digits, because the text itself is signed: two texts must not mean the same
        // time.
        let digits = !timestamp.is_empty()
            && timestamp.len() <= 12
            && timestamp.bytes().all(|b| b.is_ascii_digit());
        let at: i64 = timestamp
            .parse()
            .ok()
            .filter(|_| digits)
            .ok_or(NotSigned::Malformed(WEBHOOK_TIMESTAMP))?;
        match now.as_second() - at {
            age if age > SIGNATURE_TOLERANCE => return Err(NotSigned::Stale),
            age if age < -SIGNATURE_TOLERANCE => return Err(NotSigned::Future),
            _ => {}
        }
        let signed = signatures
            .split(' ')
            .filter_map(|signature| signature.strip_prefix("v1,"))
            .any(|signature| {
                BASE64.decode(signature).is_ok_and(|claimed| {
                    // `verify_slice` compares in constant time.
                    self.0.iter().any(|secret| {
                        secret.mac(id, timestamp, body).verify_slice(&claimed).is_ok()
                    })
                })
            });
        if signed { Ok(()) } else { Err(NotSigned::Wrong) }
    }
}

impl From<Secret> for Secrets {
    fn from(secret: Secret) -> Self {
        Self(vec![secret])
    }
}

/// Reads one secret, or a list of secrets that is not empty.
impl<'de> Deserialize<'de> for Secrets {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct OneOrMany;

        impl<'de> de::Visitor<'de> for OneOrMany {
            type Value = Secrets;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a secret, or a list of secrets")
            }

            fn visit_str<E: de::Error>(self, secret: &str) -> Result<Secrets, E> {
                secret.parse::<Secret>().map(Secrets::from).map_err(E::custom)
            }

            fn visit_seq<A: de::SeqAccess<'de>>(self, mut list: A) -> Result<Secrets, A::Error> {
                let mut secrets = Vec::new();
                while let Some(secret) = list.next_element()? {
                    secrets.push(secret);
                }
                Secrets::new(secrets)
                    .ok_or_else(|| de::Error::custom("the list of secrets is empty"))
            }
        }

        from.deserialize_any(OneOrMany)
    }
}

/// Why the signature of a body is not accepted. The gateway answers each of these with a 401.
///
/// ```
/// use connector::http::{NotSigned, Secret, Secrets, WEBHOOK_ID};
/// use jiff::Timestamp;
///
/// let secrets = Secrets::from("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".parse::<Secret>()?);
/// let unsigned = secrets.verify(&http::HeaderMap::new(), b"{}", Timestamp::UNIX_EPOCH);
/// assert_eq!(unsigned, Err(NotSigned::Missing(WEBHOOK_ID)));
/// # Ok::<(), connector::http::NotASecret>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotSigned {
    /// This header is missing.
    #[error("the header {0} is missing")]
    Missing(&'static str),
    /// This header cannot be read, or is there twice.
    #[error("the header {0} cannot be read")]
    Malformed(&'static str),
    /// The body was signed more than five minutes ago.
    #[error(
        "the signature is more than five minutes old: compare the clocks, and sign each \
         repetition again"
    )]
    Stale,
    /// The time of the signature is more than five minutes in the future.
    #[error("the signature is more than five minutes ahead: compare the clocks")]
    Future,
    /// No signature matches any secret.
    #[error("no signature fits: compare the secrets, and sign the very bytes that are sent")]
    Wrong,
}

fn header<'a>(headers: &'a HeaderMap, name: &'static str) -> Result<&'a str, NotSigned> {
    let mut values = headers.get_all(name).iter();
    let value = values.next().ok_or(NotSigned::Missing(name))?;
    match (value.to_str(), values.next()) {
        (Ok(value), None) => Ok(value),
        _ => Err(NotSigned::Malformed(name)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Vectors of the scheme's public libraries: Go, JavaScript and PHP share the first, Rust has
    /// the second.
    const VECTORS: [(&str, &str, i64, &str, &str); 2] = [
        (
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            1_614_265_330,
            r#"{"test": 2432232314}"#,
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
        ),
        (
            "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD",
            "msg_27UH4WbU6Z5A5EzD8u03UvzRbpk",
            1_649_367_553,
            r#"{"email":"test@example.com","username":"test_user"}"#,
            "v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw=",
        ),
    ];

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn headers(id: &str, timestamp: &str, signature: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(WEBHOOK_ID, id.parse().unwrap());
        headers.insert(WEBHOOK_TIMESTAMP, timestamp.parse().unwrap());
        headers.insert(WEBHOOK_SIGNATURE, signature.parse().unwrap());
        headers
    }

    #[test]
    fn the_public_vectors_are_reproduced_and_verified() {
        for (secret, id, second, body, signature) in VECTORS {
            let secret: Secret = secret.parse().unwrap();
            assert_eq!(secret.sign(id, at(second), body.as_bytes()), signature);
            let headers = headers(id, &second.to_string(), signature);
            assert_eq!(Secrets::from(secret).verify(&headers, body.as_bytes(), at(second)), Ok(()));
        }
    }

    #[test]
    fn what_we_sign_is_what_the_schemes_own_crate_signs() {
        let (secret, ..) = VECTORS[0];
        let theirs = standardwebhooks::Webhook::new(secret).unwrap();
        let ours: Secret = secret.parse().unwrap();
        for (id, body) in [
            ("", ""),
            ("a.b", "."),
            ("ü", "{\"text\":\"žluťoučký 🐎\"}"),
            ("x", &"y".repeat(100_000)),
        ] {
            let expected = theirs.sign(id, 1_700_000_000, body.as_bytes()).unwrap();
            assert_eq!(ours.sign(id, at(1_700_000_000), body.as_bytes()), expected);
        }
    }

    #[test]
    fn anything_else_is_refused() {
        let (secret, id, second, body, good) = VECTORS[0];
        let secrets = Secrets::from(secret.parse::<Secret>().unwrap());
        let now = second.to_string();
        let check = |headers: &HeaderMap, body: &str, second| {
            secrets.verify(headers, body.as_bytes(), at(second))
        };

        for name in [WEBHOOK_ID, WEBHOOK_TIMESTAMP, WEBHOOK_SIGNATURE] {
            let mut headers = headers(id, &now, good);
            headers.append(name, "again".parse().unwrap());
            assert!(
                matches!(check(&headers, body, second), Err(NotSigned::Malformed(_))),
                "{name} twice"
            );
            headers.remove(name);
            assert!(matches!(check(&headers, body, second), Err(NotSigned::Missing(_))), "{name}");
        }
        for time in
            ["hello", "", "1614265330.0", "+1614265330", " 1614265330", "16142653300000", "-1"]
        {
            assert!(check(&headers(id, time, good), body, second).is_err(), "{time:?}");
        }
        for signature in [
            "",
            "v1,",
            "v1",
            &good[..8],
            &good[3..],
            &good.replace("v1", "v2"),
            &good.replace("g0", "h0"),
            "v1,%%%",
            "v1,Ceo5qEr07ixe2NLpvHk3FH9bwy/WavXrAFQ/9tdO6mc=",
        ] {
            assert_eq!(
                check(&headers(id, &now, signature), body, second),
                Err(NotSigned::Wrong),
                "{signature:?}"
            );
        }
        assert_eq!(check(&headers("msg_other", &now, good), body, second), Err(NotSigned::Wrong));
        assert_eq!(check(&headers(id, "1614265331", good), body, second), Err(NotSigned::Wrong));
        assert_eq!(
            check(&headers(id, &now, good), r#"{"test":2432232314}"#, second),
            Err(NotSigned::Wrong)
        );
    }

    #[test]
    fn clocks_may_differ_by_five_minutes() {
        let (secret, id, second, body, good) = VECTORS[0];
        let secrets = Secrets::from(secret.parse::<Secret>().unwrap());
        let headers = headers(id, &second.to_string(), good);
        let check = |offset| secrets.verify(&headers, body.as_bytes(), at(second + offset));
        assert_eq!([check(300), check(-300)], [Ok(()), Ok(())]);
        assert_eq!([check(301), check(-301)], [Err(NotSigned::Stale), Err(NotSigned::Future)]);
    }

    #[test]
    fn while_rotating_either_side_may_change_over_first() {
        let [old, new] = VECTORS.map(|(secret, ..)| secret.parse::<Secret>().unwrap());
        let both = Secrets::new(vec![new.clone(), old.clone()]).unwrap();
        let (now, body) = (at(1_700_000_000), b"{}");
        for side in [old, new] {
            let side = Secrets::from(side);
            let theirs = headers("m", "1700000000", &side.sign("m", now, body));
            assert_eq!(both.verify(&theirs, body, now), Ok(()));
            let ours = headers("m", "1700000000", &both.sign("m", now, body));
            assert_eq!(side.verify(&ours, body, now), Ok(()));
        }
    }

    #[test]
    fn secrets_are_read_strictly_and_never_shown() {
        let (good, ..) = VECTORS[0];
        assert_eq!(good[6..].parse::<Secret>(), Err(NotASecret::Prefix));
        assert_eq!("whsec_%".parse::<Secret>(), Err(NotASecret::Base64));
        assert_eq!("whsec_c2hvcnQ=".parse::<Secret>(), Err(NotASecret::Short(5)));
        let secrets: Secrets = serde_json::from_value(json!([good])).unwrap();
        assert_eq!(secrets, serde_json::from_value(json!(good)).unwrap());
        assert!(serde_json::from_value::<Secrets>(json!([])).is_err());
        assert!(!format!("{secrets:?}").contains(&good[6..10]));
    }
}
