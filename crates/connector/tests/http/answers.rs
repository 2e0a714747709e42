//! Every row of the mapping table, over a real connection.

use std::time::Duration;

use connector::{Connector, Customer, Departure, Open, Refusal};
use conversation::{
    AttemptOutcome, Clock, ConversationId, OpenOutcome, Reason, ReasonCode, SessionId,
};

use crate::service::{RealClock, Reply, Service, message};

const SEVEN: Option<Duration> = Some(Duration::from_secs(7));

fn call() -> Open {
    Open {
        conversation: ConversationId::new("c1"),
        customer: Customer { id: "noor".to_owned(), ..Customer::default() },
        attempt: 1,
        departure: Departure::free(),
    }
}

fn opened(session: &str) -> OpenOutcome {
    OpenOutcome::Opened(SessionId::new(session))
}

fn accepted(id: Option<&str>) -> AttemptOutcome {
    AttemptOutcome::Accepted { service_id: id.map(Into::into) }
}

fn delivered(id: Option<&str>) -> AttemptOutcome {
    AttemptOutcome::Delivered { service_id: id.map(Into::into) }
}

#[tokio::test]
async fn open_is_answered_by_a_session_a_wait_or_a_refusal() {
    let service = Service::start().await;
    let long = "x".repeat(4_097);
    for (reply, expected) in [
        (Reply::new(200, r#"{"session":"s1","more":[]}"#), opened("s1")),
        (Reply::new(202, ""), OpenOutcome::Pending),
        (Reply::new(202, "<html>"), OpenOutcome::Pending),
    ] {
        service.always(reply.clone());
        assert_eq!(service.connector().open(&call()).await, expected, "{reply:?}");
    }
    // The bytes are repaired, and a number counts as an id.
    for (body, session) in [
        (&b"\xef\xbb\xbf{\"session\":\"s1\"}"[..], "s1"),
        (br#"{"session":"s\ud83d"}"#, "s\u{fffd}"),
        (b"{\"session\":\"caf\xe9\"}", "caf\u{fffd}"),
        (br#"{"session":7,"note":"\udc00","x":1e999}"#, "7"),
        (br#"{"session":18446744073709551616}"#, "18446744073709551616"),
    ] {
        service.always(Reply::new(200, body));
        let outcome = service.connector().open(&call()).await;
        assert_eq!(outcome, opened(session), "{}", String::from_utf8_lossy(body));
    }
    // The answer reports a session, and contains none.
    for body in [
        "",
        "{}",
        "<html>",
        r#"{"session":""}"#,
        r#"{"session":" "}"#,
        r#"{"session":true}"#,
        r#"{"session":null}"#,
        r#"{"session":["s1"]}"#,
        r#"{"session":{"id":"s1"}}"#,
        r#"{"session":"s1""#,
        r#"["s1"]"#,
        r#""s1""#,
        &format!(r#"{{"session":"{long}"}}"#),
    ] {
        service.always(Reply::new(200, body));
        let OpenOutcome::Retry { reason, .. } = service.connector().open(&call()).await else {
            panic!("{body}")
        };
        assert!(reason.message.contains("without a session"), "{reason}");
    }
    for status in [400, 403, 404, 410, 422, 451] {
        service.always(Reply::new(
            status,
            r#"{"reason":{"code":"MessageNotAllowed","message":"blocked"}}"#,
        ));
        let outcome = service.connector().open(&call()).await;
        assert_eq!(
            outcome,
            OpenOutcome::Refused(Reason::new(ReasonCode::MessageNotAllowed, "blocked")),
            "{status}"
        );
        service.always(Reply::new(status, "<h1>No</h1>"));
        let OpenOutcome::Refused(reason) = service.connector().open(&call()).await else {
            panic!("{status}")
        };
        assert_eq!(reason.code, ReasonCode::InvalidDestination);
        assert!(reason.message.contains(&status.to_string()), "{reason}");
    }
    // A wrong secret says nothing about the customer.
    for (body, code, says) in [
        ("", ReasonCode::GeneralError, "secret"),
        (
            r#"{"reason":{"code":"ServerError","message":"bad signature"}}"#,
            ReasonCode::ServerError,
            "bad signature",
        ),
    ] {
        service.always(Reply::new(401, body));
        let OpenOutcome::Unauthorized(reason) = service.connector().open(&call()).await else {
            panic!("{body}")
        };
        assert_eq!(reason.code, code);
        assert!(reason.message.contains("401") && reason.message.contains(says), "{reason}");
    }
    for status in [201, 204, 301, 302, 307, 308, 408, 409, 425, 429, 500, 502, 503, 504, 599] {
        service.always(
            Reply::new(status, r#"{"session":"s1"}"#)
                .with("retry-after", "7")
                .with("location", "/other"),
        );
        let OpenOutcome::Retry { reason, after } = service.connector().open(&call()).await else {
            panic!("{status}")
        };
        assert_eq!(after, SEVEN, "{status}");
        let code = if status == 429 { ReasonCode::RateLimited } else { ReasonCode::ServerError };
        assert_eq!(reason.code, code, "{status}");
    }
}

#[tokio::test]
async fn a_success_is_believed_as_far_as_it_is_understood() {
    let service = Service::start().await;
    let deep = format!(r#"{{"status":"delivered","x":{}1{}}}"#, "[".repeat(500), "]".repeat(500));
    for (reply, expected) in [
        (Reply::new(200, r#"{"status":"delivered","message_id":"x1"}"#), delivered(Some("x1"))),
        (Reply::new(200, r#"{"status":"delivered"}"#), delivered(None)),
        (Reply::new(202, r#"{"status":"sent","message_id":"x1"}"#), accepted(Some("x1"))),
        (Reply::new(200, r#"{"status":"sent","message_id":"x1"}"#), accepted(Some("x1"))),
        (Reply::new(202, r#"{"status":"delivered","message_id":7}"#), delivered(Some("7"))),
        // Case and surrounding blanks do not matter.
        (Reply::new(200, r#"{"status":"DELIVERED"}"#), delivered(None)),
        (Reply::new(200, r#"{"status":" Delivered\n"}"#), delivered(None)),
        (Reply::new(202, r#"{"status":"Sent"}"#), accepted(None)),
        // Other fields do not matter, if they can be skipped.
        (Reply::new(200, r#"{"status":"delivered","error":null,"x":1e999}"#), delivered(None)),
        (Reply::new(200, &deep), delivered(None)),
        (Reply::new(200, r#"{"status":"rejected","status":"delivered"}"#), delivered(None)),
        (
            Reply::new(200, r#"{"status":"delivered"}"#).with("content-type", "text/html"),
            delivered(None),
        ),
        // Bytes are repaired.
        (
            Reply::new(200, b"\xef\xbb\xbf{\"status\":\"delivered\",\"message_id\":\"x1\"}"),
            delivered(Some("x1")),
        ),
        (Reply::new(200, b"{\"status\":\"delivered\",\"by\":\"caf\xe9\"}"), delivered(None)),
        (Reply::new(200, r#"{"status":"delivered","to\ud83d":"\udc00"}"#), delivered(None)),
        // Only an id is an acceptance, and so is an empty answer.
        (Reply::new(200, r#"{"message_id":"x1"}"#), accepted(Some("x1"))),
        (Reply::new(200, "{}"), accepted(None)),
        (Reply::new(200, ""), accepted(None)),
        (Reply::new(202, " \r\n"), accepted(None)),
        (Reply::new(202, b"\xef\xbb\xbf"), accepted(None)),
        (Reply::new(204, ""), accepted(None)),
    ] {
        service.always(reply.clone());
        assert_eq!(
            service.connector().forward(&message("m1")).await,
            expected,
            "{:.99}",
            format!("{reply:?}")
        );
    }
}

#[tokio::test]
async fn ids_of_an_answer_may_be_numbers_and_odd_ones_are_none() {
    let service = Service::start().await;
    let long = format!("\"{}\"", "x".repeat(513));
    for (id, expected) in [
        ("42", Some("42")),
        ("0", Some("0")),
        ("-7", Some("-7")),
        ("9007199254740993", Some("9007199254740993")),
        ("123456789012345678901234567890", Some("123456789012345678901234567890")),
        ("42.0", Some("42")),
        ("1e3", Some("1000")),
        ("1.5", Some("1.5")),
        (r#""x\ud83d""#, Some("x\u{fffd}")),
        ("null", None),
        ("true", None),
        ("[7]", None),
        (r#"{"id":7}"#, None),
        (r#""""#, None),
        (r#""  ""#, None),
        (long.as_str(), None),
    ] {
        service.always(Reply::new(202, format!(r#"{{"status":"sent","message_id":{id}}}"#)));
        assert_eq!(
            service.connector().forward(&message("m1")).await,
            accepted(expected),
            "{id:.40}"
        );
    }
}

#[tokio::test]
async fn what_is_not_understood_is_no_success() {
    let service = Service::start().await;
    let megabytes = format!(r#"{{"status":"delivered","padding":"{}"}}"#, "x".repeat(3 << 20));
    let kilobytes = format!("{}{}", r#"{"status":"delivered"}"#, " ".repeat(64 << 10));
    for body in [
        // Another word, or no word.
        &br#"{"status":"rejected","reason":{"code":"RecipientOptedOut"}}"#[..],
        br#"{"status":"ok"}"#,
        br#"{"status":"delivered?"}"#,
        br#"{"status":"undelivered"}"#,
        br#"{"status":"not sent"}"#,
        br#"{"status":""}"#,
        br#"{"status":null}"#,
        br#"{"status":null,"message_id":"x1"}"#,
        br#"{"message_id":"x1","status": null }"#,
        br#"{"status":"delivered","status":null}"#,
        br#"{"status":true}"#,
        br#"{"status":1}"#,
        br#"{"status":["delivered"]}"#,
        br#"{"status":{"value":"delivered"}}"#,
        b"{\"status\":\"d\xe9livered\"}",
        br#"{"status":"delivered\ud83d"}"#,
        br#"{"Status":"delivered"}"#,
        // An error, or something that may be one.
        br#"{"error":"blocked"}"#,
        br#"{"error":{"code":"RecipientOptedOut"},"message_id":"x1"}"#,
        br#"{"status":"delivered","error":"blocked"}"#,
        br#"{"status":"sent","errors":[{"code":1}]}"#,
        br#"{"status":null,"reason":{"code":"RecipientOptedOut"}}"#,
        br#"{"ok":false}"#,
        br#"{"success":false,"message_id":"x1"}"#,
        // No object.
        b"OK",
        br#""delivered""#,
        br#"[{"status":"delivered"}]"#,
        b"null",
        b"7",
        b"\xff\xfe\x00",
        "[".repeat(60_000).as_bytes(),
        // Broken off, or too long to be read.
        br#"{"status":"delivered""#,
        br#"{"status":"delivered"} {"status":"failed"}"#,
        br#"{"status":"delivered",}"#,
        br"{'status':'delivered'}",
        megabytes.as_bytes(),
        kilobytes.as_bytes(),
        // A page.
        b"\n<!doctype html><title>Back soon</title>",
        b"\xef\xbb\xbf<html>Back soon</html>",
    ] {
        for status in [200, 202] {
            service.always(Reply::new(status, body));
            let outcome = service.connector().forward(&message("m1")).await;
            let AttemptOutcome::Unknown { reason } = outcome else {
                panic!("{:.80} {status}: {outcome:?}", String::from_utf8_lossy(body))
            };
            assert_eq!(reason.code, ReasonCode::ServerError);
            assert!(reason.message.contains(&status.to_string()), "{reason}");
        }
    }
}

#[tokio::test]
async fn failed_is_no_success_whatever_its_case_and_its_bytes() {
    let service = Service::start().await;
    let opted_out = Reason::new(ReasonCode::RecipientOptedOut, "blocked");
    let mended = Reason::new(ReasonCode::RecipientOptedOut, "blocked \u{fffd}");
    for (body, expected) in [
        (&br#"{"status":"failed","reason":{"code":"RecipientOptedOut","message":"blocked"}}"#[..], &opted_out),
        (br#"{"status":"FAILED","reason":{"code":"recipientoptedout","message":"blocked"}}"#, &opted_out),
        (br#"{"status":"failed","error":{"code":"RECIPIENT_OPTED_OUT","message":"blocked"}}"#, &opted_out),
        (br#"{"status":"failed","code":"recipient-opted-out","detail":"blocked"}"#, &opted_out),
        (br#"{"status":"failed","reason":"RecipientOptedOut","message":"blocked"}"#, &opted_out),
        (
            b"\xef\xbb\xbf{\"status\":\"failed\",\"reason\":{\"code\":\"RecipientOptedOut\",\"message\":\"blocked\"}}",
            &opted_out,
        ),
        (br#"{"status":"Failed","reason":{"code":"RecipientOptedOut","message":"blocked \ud83d"}}"#, &mended),
        (b"{\"status\":\"failed\",\"reason\":{\"code\":\"RecipientOptedOut\",\"message\":\"blocked \xe9\"}}", &mended),
    ] {
        for status in [200, 202] {
            service.always(Reply::new(status, body));
            let outcome = service.connector().forward(&message("m1")).await;
            let reason = expected.clone();
            assert_eq!(outcome, AttemptOutcome::Rejected { reason }, "{}", String::from_utf8_lossy(body));
        }
    }
    for body in [
        r#"{"status":"failed"}"#,
        r#"{"status":"failed","reason":7}"#,
        r#"{"status":"failed","reason":" "}"#,
    ] {
        service.always(Reply::new(200, body));
        let outcome = service.connector().forward(&message("m1")).await;
        let AttemptOutcome::Rejected { reason } = outcome else { panic!("{body}: {outcome:?}") };
        assert_eq!(reason.code, ReasonCode::GeneralError, "{body}");
    }
}

#[tokio::test]
async fn refusals_are_final_and_carry_the_services_reason() {
    let service = Service::start().await;
    let fallbacks = [
        (400, ReasonCode::GeneralError),
        (401, ReasonCode::GeneralError),
        (403, ReasonCode::MessageNotAllowed),
        (404, ReasonCode::InvalidDestination),
        (410, ReasonCode::InvalidDestination),
        (413, ReasonCode::GeneralError),
        (422, ReasonCode::GeneralError),
        (499, ReasonCode::GeneralError),
    ];
    for (status, fallback) in fallbacks {
        let given = r#"{"reason":{"code":"MediaTypeNotAllowed","message":"no videos"}}"#;
        service.always(Reply::new(status, given).with("retry-after", "7"));
        let reason = Reason::new(ReasonCode::MediaTypeNotAllowed, "no videos");
        assert_eq!(
            service.connector().forward(&message("m1")).await,
            AttemptOutcome::Rejected { reason },
            "{status}"
        );
        for given in [
            &b"\xef\xbb\xbf{\"reason\":{\"code\":\"MediaTypeNotAllowed\",\"message\":\"no videos\"}}"[..],
            br#"{"reason":{"code":"mediatypenotallowed","message":"no videos"},"x":1e999,"y\ud83d":1}"#,
            br#"{"error":{"code":"MediaTypeNotAllowed","message":"no videos"}}"#,
            br#"{"errors":[{"code":"MediaTypeNotAllowed","detail":"no videos"}]}"#,
            br#"{"code":"media_type_not_allowed","message":"no videos"}"#,
        ] {
            service.always(Reply::new(status, given));
            let reason = Reason::new(ReasonCode::MediaTypeNotAllowed, "no videos");
            let outcome = service.connector().forward(&message("m1")).await;
            assert_eq!(outcome, AttemptOutcome::Rejected { reason }, "{}", String::from_utf8_lossy(given));
        }
        for given in
            [r#"{"reason":"no videos"}"#, r#"{"error":"no videos"}"#, r#"{"detail":"no videos"}"#]
        {
            service.always(Reply::new(status, given));
            let reason = Reason::new(fallback, "no videos");
            assert_eq!(
                service.connector().forward(&message("m1")).await,
                AttemptOutcome::Rejected { reason },
                "{given}"
            );
        }
        for body in
            ["", "<html>", "{}", r#"{"reason":null}"#, r#"{"reason":{}}"#, r#"{"reason":["#, "[]"]
        {
            service.always(Reply::new(status, body));
            let AttemptOutcome::Rejected { reason } =
                service.connector().forward(&message("m1")).await
            else {
                panic!("{status} {body}")
            };
            assert_eq!(reason.code, fallback, "{status} {body}");
            assert!(reason.message.contains(&status.to_string()), "{reason}");
        }
        service.always(Reply::new(status, r#"{"reason":{"code":42,"message":"odd"}}"#));
        let reason = Reason::new(fallback, "42: odd");
        assert_eq!(
            service.connector().forward(&message("m1")).await,
            AttemptOutcome::Rejected { reason },
            "{status}"
        );
        service.always(Reply::new(status, r#"{"reason":{"code":"E42","message":"odd"}}"#));
        let reason = Reason::new(fallback, "E42: odd");
        assert_eq!(
            service.connector().forward(&message("m1")).await,
            AttemptOutcome::Rejected { reason },
            "{status}"
        );
    }
    service.always(Reply::new(409, r#"{"reason":{"code":"MessageNotAllowed"}}"#));
    assert_eq!(service.connector().forward(&message("m1")).await, AttemptOutcome::SessionGone);
}

/// The time this many seconds from now, in HTTP's format.
fn date(seconds: i64) -> String {
    let at = RealClock.now() + jiff::SignedDuration::from_secs(seconds);
    at.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

#[tokio::test]
async fn a_401_names_the_clocks_where_they_differ_and_the_secret_where_they_do_not() {
    let service = Service::start().await;
    for (off, says) in [
        (0, "secret may differ"),
        (200, "secret may differ"),
        (-200, "secret may differ"),
        (3_630, "clock is 60 min ahead of the gateway's"),
        (-7_230, "clock is 120 min behind the gateway's"),
    ] {
        for (body, given) in
            [("", ""), (r#"{"reason":{"message":"wrong signature"}}"#, "wrong signature")]
        {
            service.always(Reply::new(401, body).with("date", &date(off)));
            let OpenOutcome::Unauthorized(reason) = service.connector().open(&call()).await else {
                panic!("{off}")
            };
            assert!(
                reason.message.contains(says) && reason.message.contains(given),
                "{off}: {reason}"
            );
            let AttemptOutcome::Rejected { reason } =
                service.connector().forward(&message("m1")).await
            else {
                panic!("{off}: a 401 is final")
            };
            // The service's own reason is enough, unless the clocks explain more.
            assert!(reason.message.contains(given), "{off}: {reason}");
            assert!(
                reason.message.contains(says) || (off.abs() < 300 && !given.is_empty()),
                "{off}: {reason}"
            );
        }
    }
}

#[tokio::test]
async fn what_a_proxy_says_when_it_has_lost_the_answer_is_unknown() {
    let service = Service::start().await;
    for status in [502, 504] {
        service.always(Reply::new(status, r#"{"status":"delivered"}"#));
        let outcome = service.connector().forward(&message("m1")).await;
        assert!(matches!(outcome, AttemptOutcome::Unknown { .. }), "{status}: {outcome:?}");
    }
}

#[tokio::test]
async fn a_status_that_http_does_not_know_leaves_the_outcome_unknown() {
    let service = Service::start().await;
    for status in [600, 999] {
        service.always(Reply::new(status, r#"{"status":"delivered"}"#));
        let outcome = service.connector().forward(&message("m1")).await;
        assert!(matches!(outcome, AttemptOutcome::Unknown { .. }), "{status}: {outcome:?}");
    }
}

#[tokio::test]
async fn anything_else_was_not_taken_this_time() {
    let service = Service::start().await;
    for status in [300, 301, 302, 303, 304, 307, 308, 408, 425, 429, 500, 501, 503, 599] {
        let before = service.calls().len();
        let body = if status == 304 { "" } else { r#"{"status":"delivered"}"# };
        service
            .always(Reply::new(status, body).with("retry-after", "7").with("location", "/other"));
        let AttemptOutcome::NotTaken { reason, after } =
            service.connector().forward(&message("m1")).await
        else {
            panic!("{status}")
        };
        assert_eq!(after, SEVEN, "{status}");
        let code = if status == 429 { ReasonCode::RateLimited } else { ReasonCode::ServerError };
        assert_eq!(reason.code, code, "{status}");
        assert!(reason.message.contains(&status.to_string()), "{reason}");
        assert_eq!(
            service.calls().len(),
            before + 1,
            "{status} is not followed and not tried again here"
        );
    }
    service.always(Reply::new(503, ""));
    let outcome = service.connector().forward(&message("m1")).await;
    assert!(matches!(outcome, AttemptOutcome::NotTaken { after: None, .. }), "{outcome:?}");
}

#[tokio::test]
async fn a_pause_may_be_asked_for_in_any_of_the_forms_of_http() {
    let service = Service::start().await;
    for until in [
        "Sat, 28 Nov 2026 19:33:34 GMT",
        "Saturday, 28-Nov-26 19:33:34 GMT",
        "Sat Nov 28 19:33:34 2026",
    ] {
        let reply = Reply::new(503, "")
            .with("date", "Sat, 28 Nov 2026 19:33:27 GMT")
            .with("retry-after", until);
        service.always(reply);
        let outcome = service.connector().forward(&message("m1")).await;
        assert!(
            matches!(outcome, AttemptOutcome::NotTaken { after: SEVEN, .. }),
            "{until}: {outcome:?}"
        );
        let OpenOutcome::Retry { after, .. } = service.connector().open(&call()).await else {
            panic!("{until}")
        };
        assert_eq!(after, SEVEN, "{until}");
    }
}

#[tokio::test]
async fn an_event_is_heard_only_by_who_says_so() {
    let service = Service::start().await;
    let refusal = Refusal {
        conversation: ConversationId::new("c1"),
        message_id: "m-17".to_owned(),
        reason: Reason::new(ReasonCode::ServerError, "given up"),
        departure: Departure::free(),
    };
    // The last five mean that the service has no use for the event.
    for heard in [200, 202, 204, 400, 404, 405, 410, 422] {
        service.always(Reply::new(heard, ""));
        assert_eq!(service.connector().message_refused(&refusal).await, Ok(()), "{heard}");
    }
    for not in [301, 304, 401, 403, 407, 408, 409, 425, 429, 500, 502, 503, 504] {
        service.always(Reply::new(not, ""));
        let why = service
            .connector()
            .message_refused(&refusal)
            .await
            .expect_err("it is to be told again");
        assert!(why.contains(&not.to_string()), "{not}: {why}");
    }
}
