//! Webhooks as Genesys posts them: each has one text of an agent, is 640 bytes long, and is signed.

use bytes::Bytes;
use genesys::{Secret, signature};
use http::{Method, Request, header};
use http_body_util::Full;

/// The secret that signs the webhooks of every measured program.
pub(crate) const SECRET: &str = "bench-webhook-secret-0123456789abcdef";

/// The length of a body, in bytes.
const LENGTH: usize = 640;

/// The time at which the agent wrote, in each body.
pub(crate) const TIME: &str = "2026-11-20T09:14:03.482Z";

/// The id of the customer with this number. Each customer has one conversation.
pub(crate) fn customer(number: usize) -> String {
    format!("customer-{number:07}")
}

/// The body of a message with this id for this customer.
pub(crate) fn body(id: &str, customer: &str) -> String {
    let mut body = format!(
        r#"{{"id":"{id}","channel":{{"id":"6f1c9a54-2d0b-4b8e-9a77-0c5d3e1f2a10","platform":"Open","type":"Private","messageId":"{id}","to":{{"id":"{customer}","idType":"Opaque"}},"from":{{"nickname":"acme","id":"6f1c9a54-2d0b-4b8e-9a77-0c5d3e1f2a10","idType":"Opaque"}},"time":"{TIME}"}},"type":"Text","originatingEntity":"Human","direction":"Outbound","text":""#
    );
    for word in ["Your ", "parcel ", "left ", "us ", "yesterday. "].into_iter().cycle() {
        if body.len() + 2 >= LENGTH {
            break;
        }
        body.push_str(word);
    }
    body.truncate(LENGTH - 2);
    body.push_str("\"}");
    body
}

/// The whole request.
pub(crate) fn request(id: &str, customer: &str) -> Request<Full<Bytes>> {
    let body = body(id, customer);
    let signature = signature::sign(&Secret::from(SECRET), body.as_bytes());
    Request::builder()
        .method(Method::POST)
        .uri("/genesys/acme")
        .header(header::HOST, "localhost")
        .header(header::CONTENT_TYPE, "application/json")
        .header(signature::HEADER, signature)
        .body(Full::new(Bytes::from(body)))
        .expect("a request")
}
