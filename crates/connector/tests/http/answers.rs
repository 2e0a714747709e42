//! Every row of the mapping table, over a real connection.

use std::time::Duration;

use connector::{Connector, Customer, Open};
use conversation::{AttemptOutcome, ConversationId, OpenOutcome, Reason, ReasonCode, SessionId};

use crate::service::{Reply, Service, message};

const SEVEN: Option<Duration> = Some(Duration::from_secs(7));

fn call() -> Open {
    Open {
        conversation: ConversationId::new("c1"),
        customer: Customer { id: "noor".to_owned(), ..Customer::default() },
        attempt: 1,
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
    // It says that there is a session, and shows none.
    for body in [
        "",
        "{}",
        "<html>",
        r#"{"session":""}"#,
        r#"{"session":3}"#,
        &format!(r#"{{"session":"{long}"}}"#),
    ] {
        service.always(Reply::new(200, body));
        let OpenOutcome::Retry { reason, .. } = service.connector().open(&call()).await else {
            panic!("{body}")
        };
        assert!(reason.message.contains("without a session"), "{reason}");
    }
    for status in [400, 401, 403, 404, 410, 422, 451] {
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
async fn a_status_of_the_200s_means_taken_and_only_the_word_delivered_means_arrived() {
    let service = Service::start().await;
    let megabytes = format!(r#"{{"status":"delivered","padding":"{}"}}"#, "x".repeat(3 << 20));
    for (reply, expected) in [
        (Reply::new(200, r#"{"status":"delivered","message_id":"x1"}"#), delivered(Some("x1"))),
        (Reply::new(200, r#"{"status":"delivered"}"#), delivered(None)),
        (Reply::new(202, r#"{"status":"delivered","message_id":7}"#), delivered(None)),
        (Reply::new(202, r#"{"status":"sent","message_id":"x1"}"#), accepted(Some("x1"))),
        (Reply::new(200, r#"{"status":"sent","message_id":"x1"}"#), accepted(Some("x1"))),
        (Reply::new(200, r#"{"message_id":"x1"}"#), accepted(Some("x1"))),
        (Reply::new(200, r#"{"status":"DELIVERED"}"#), accepted(None)),
        (Reply::new(200, ""), accepted(None)),
        (Reply::new(202, ""), accepted(None)),
        (Reply::new(204, ""), accepted(None)),
        (Reply::new(200, "OK"), accepted(None)),
        (Reply::new(200, b"\xff\xfe\x00"), accepted(None)),
        (Reply::new(200, "[".repeat(60_000)), accepted(None)),
        (Reply::new(200, &megabytes), accepted(None)),
        (Reply::new(202, format!(r#"{{"message_id":"{}"}}"#, "x".repeat(513))), accepted(None)),
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
async fn a_web_page_is_no_answer_and_failed_is_no_success() {
    let service = Service::start().await;
    for status in [200, 202] {
        service.always(Reply::new(status, "\n<!doctype html><title>Back soon</title>"));
        let AttemptOutcome::Unknown { reason } = service.connector().forward(&message("m1")).await
        else {
            panic!("{status}")
        };
        assert!(reason.message.contains("not a connector"), "{reason}");
    }
    service.always(Reply::new(
        200,
        r#"{"status":"failed","reason":{"code":"ServerError","message":"no"}}"#,
    ));
    let reason = Reason::new(ReasonCode::ServerError, "no");
    assert_eq!(
        service.connector().forward(&message("m1")).await,
        AttemptOutcome::Rejected { reason }
    );
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
        for body in ["", "<html>", "{}", r#"{"reason":null}"#, r#"{"reason":{}}"#] {
            service.always(Reply::new(status, body));
            let AttemptOutcome::Rejected { reason } =
                service.connector().forward(&message("m1")).await
            else {
                panic!("{status} {body}")
            };
            assert_eq!(reason.code, fallback, "{status} {body}");
            assert!(reason.message.contains(&status.to_string()), "{reason}");
        }
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
async fn anything_else_was_not_taken_this_time() {
    let service = Service::start().await;
    for status in [300, 301, 302, 303, 304, 307, 308, 408, 425, 429, 500, 501, 503, 599, 600, 999] {
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
