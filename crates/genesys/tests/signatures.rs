//! The reference's signature vectors.

#![expect(clippy::unwrap_used, reason = "a test that cannot read its own files stops")]

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use genesys::signature::{Secret, SignatureError, sign, verify};
use serde::Deserialize;

#[derive(Deserialize)]
struct Vectors {
    vectors: Vec<Vector>,
}

#[derive(Deserialize)]
struct Vector {
    name: String,
    secret: Secret,
    body_base64: String,
    header: String,
    hex_form_not_genesys: String,
}

fn vectors() -> Vec<(Vector, Vec<u8>)> {
    let file = include_str!("../signature-vectors.json");
    let vectors = serde_json::from_str::<Vectors>(file).unwrap().vectors;
    let body = |vector: &Vector| STANDARD.decode(&vector.body_base64).unwrap();
    vectors
        .into_iter()
        .map(|vector| (body(&vector), vector))
        .map(|(body, vector)| (vector, body))
        .collect()
}

#[test]
fn each_vector_is_signed_and_verified() {
    assert_eq!(vectors().len(), 5);
    for (vector, body) in vectors() {
        assert_eq!(sign(&vector.secret, &body), vector.header, "{}", vector.name);
        let header = Some(vector.header.as_bytes());
        let secrets = [Secret::new("some other secret"), vector.secret.clone()];
        assert_eq!(verify(&secrets, header, &body), Ok(()), "{}", vector.name);
        assert_eq!(
            verify(&secrets[..1], header, &body),
            Err(SignatureError::Mismatch),
            "{}",
            vector.name
        );
    }
}

#[test]
fn the_hex_form_is_not_genesys_and_is_refused() {
    for (vector, body) in vectors() {
        let header = Some(vector.hex_form_not_genesys.as_bytes());
        assert_eq!(
            verify(&[vector.secret], header, &body),
            Err(SignatureError::Malformed),
            "{}",
            vector.name
        );
    }
}

#[test]
fn a_signature_is_good_for_its_own_bytes_only() {
    let vectors = vectors();
    for (vector, body) in &vectors {
        let secret = [vector.secret.clone()];
        for (other, _) in vectors.iter().filter(|(other, _)| other.name != vector.name) {
            // The same JSON, formatted differently, has another signature.
            assert_eq!(
                verify(&secret, Some(other.header.as_bytes()), body),
                Err(SignatureError::Mismatch)
            );
        }
        let mut changed = body.clone();
        changed[10] ^= 1;
        assert_eq!(
            verify(&secret, Some(vector.header.as_bytes()), &changed),
            Err(SignatureError::Mismatch)
        );
        assert_eq!(
            verify(&secret, Some(vector.header.as_bytes()), &body[1..]),
            Err(SignatureError::Mismatch)
        );
    }
}
