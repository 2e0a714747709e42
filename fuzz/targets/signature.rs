//! The signature headers of both sides: what we sign is valid, and nothing else is.
//!
//! A forged header is a valid one overlaid with the input's bytes, since random bytes never come
//! near a valid one.

#![no_main]

use connector::http::{
    NotSigned, Secret, Secrets, WEBHOOK_ID, WEBHOOK_SIGNATURE, WEBHOOK_TIMESTAMP,
};
use genesys::signature::{self, SignatureError};
use http::{HeaderMap, HeaderValue};
use jiff::Timestamp;
use libfuzzer_sys::fuzz_target;

const NOW: Timestamp = Timestamp::constant(1_795_165_443, 482_000_000);
const TOLERANCE: i64 = 300;

// The header of Genesys; the id, the time and the signature of a chat service; the body.
fuzz_target!(|data: &[u8]| {
    let mut parts = data.splitn(5, |byte| *byte == b'\n');
    let mut part = || parts.next().unwrap_or_default();
    let (header, id, time, signatures, body) = (part(), part(), part(), part(), part());
    genesys(header, body);
    chat_service(id, time, signatures, body);
    let _ = std::str::from_utf8(signatures).map(secret);
});

fn genesys(header: &[u8], body: &[u8]) {
    let secrets = [
        genesys::Secret::new("the new secret 1"),
        genesys::Secret::new(""),
        "the old secret 2".into(),
    ];
    let good = signature::sign(&secrets[2], body);
    let verify = |header: &[u8], body: &[u8]| signature::verify(&secrets, Some(header), body);
    assert_eq!(verify(good.as_bytes(), body), Ok(()));
    let unkeyed = signature::sign(&secrets[1], body);
    assert_eq!(verify(unkeyed.as_bytes(), body), Err(SignatureError::Mismatch));
    assert_eq!(verify(good.as_bytes(), &[body, b" "].concat()), Err(SignatureError::Mismatch));

    for forged in [header.to_vec(), overlaid(&good, header), [good.as_bytes(), header].concat()] {
        let signed = [&secrets[0], &secrets[2]].map(|secret| signature::sign(secret, body));
        let is_good = signed.iter().any(|good| good.as_bytes() == forged.trim_ascii());
        assert_eq!(verify(&forged, body).is_ok(), is_good, "{}", forged.escape_ascii());
    }
}

fn chat_service(id: &[u8], time: &[u8], signatures: &[u8], body: &[u8]) {
    let secret: Secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".parse().unwrap();
    let secrets = Secrets::from(secret.clone());
    let Some(id) = HeaderValue::from_bytes(id).ok().filter(|id| id.to_str().is_ok()) else {
        return;
    };
    let text = id.to_str().unwrap();
    let good = secret.sign(text, NOW, body);
    let now = NOW.as_second().to_string();
    assert_eq!(verify(&secrets, &id, now.as_bytes(), good.as_bytes(), body), Some(Ok(())));
    let longer = [body, b" "].concat();
    assert_eq!(
        verify(&secrets, &id, now.as_bytes(), good.as_bytes(), &longer),
        Some(Err(NotSigned::Wrong))
    );

    for (time, forged) in [
        (time.to_vec(), signatures.to_vec()),
        (time.to_vec(), good.clone().into_bytes()),
        (overlaid(&now, time), good.clone().into_bytes()),
        (now.clone().into_bytes(), overlaid(&good, signatures)),
        (now.clone().into_bytes(), [signatures, b" ", good.as_bytes(), signatures].concat()),
    ] {
        if verify(&secrets, &id, &time, &forged, body) == Some(Ok(())) {
            let time = std::str::from_utf8(&time).expect("a time is digits");
            let at = Timestamp::from_second(time.parse().expect("a time is digits"))
                .expect("it is near");
            assert!((at.as_second() - NOW.as_second()).abs() <= TOLERANCE);
            let good = secret.sign(text, at, body);
            let mut claimed = forged.split(|byte| *byte == b' ');
            assert!(claimed.any(|claimed| claimed == good.as_bytes()), "{}", forged.escape_ascii());
        }
    }
    for age in [-TOLERANCE - 1, TOLERANCE + 1] {
        let at = Timestamp::from_second(NOW.as_second() + age).unwrap();
        let good = secret.sign(text, at, body);
        let verified =
            verify(&secrets, &id, at.as_second().to_string().as_bytes(), good.as_bytes(), body);
        assert!(matches!(verified, Some(Err(NotSigned::Stale | NotSigned::Future))));
    }
}

/// `None` if HTTP does not allow such headers.
fn verify(
    secrets: &Secrets,
    id: &HeaderValue,
    time: &[u8],
    signatures: &[u8],
    body: &[u8],
) -> Option<Result<(), NotSigned>> {
    let mut headers = HeaderMap::new();
    headers.insert(WEBHOOK_ID, id.clone());
    headers.insert(WEBHOOK_TIMESTAMP, HeaderValue::from_bytes(time).ok()?);
    headers.insert(WEBHOOK_SIGNATURE, HeaderValue::from_bytes(signatures).ok()?);
    Some(secrets.verify(&headers, body, NOW))
}

/// Everything accepted as a secret can sign, and is never shown.
fn secret(text: &str) {
    if let Ok(secret) = text.parse::<Secret>() {
        assert_eq!(format!("{secret:?}"), "whsec_…");
        let headers = [(WEBHOOK_ID, "m"), (WEBHOOK_TIMESTAMP, "1795165443")];
        let mut headers: HeaderMap = headers
            .map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value)))
            .into_iter()
            .collect();
        headers.insert(WEBHOOK_SIGNATURE, secret.sign("m", NOW, b"body").parse().unwrap());
        assert_eq!(Secrets::from(secret).verify(&headers, b"body", NOW), Ok(()));
    }
}

/// The valid text overlaid with the bytes of `over`, from its end; a zero byte keeps the original.
fn overlaid(good: &str, over: &[u8]) -> Vec<u8> {
    let mut bytes = good.as_bytes().to_vec();
    for (byte, over) in bytes.iter_mut().rev().zip(over.iter().rev()) {
        if *over != 0 {
            *byte = *over;
        }
    }
    bytes
}
