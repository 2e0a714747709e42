//! Sessions: handshakes that end and that do not end, lost sessions, and customers who leave.

use std::time::Duration;

use conversation::{
    AttemptOutcome, ClosedBy, Conversation, CustomerLeft, Effect, Fate, Ignored, Input, MessageId,
    NoticeKind, OpenOutcome, Owed, Policy, PostResult, Reason, ReasonCode, Record, SessionId, Step,
};
use jiff::Timestamp;

/// A conversation, and everything that it has decided so far.
struct Scene {
    policy: Policy,
    now: Timestamp,
    conversation: Conversation,
    records: Vec<Record>,
    effects: Vec<Effect>,
}

impl Scene {
    fn new(policy: Policy) -> Self {
        let now = "2026-11-20T09:00:00Z".parse().expect("a time");
        let (conversation, records, effects) = (Conversation::default(), Vec::new(), Vec::new());
        Self { policy, now, conversation, records, effects }
    }

    /// Genesys knows the customer, who wrote and was answered. The call that requests a session is
    /// open.
    fn asking() -> Self {
        let mut scene = Self::new(Policy::default());
        scene.knows_genesys();
        scene
    }

    fn knows_genesys(&mut self) {
        self.take(Input::CustomerMessage {
            message: MessageId::new("hello"),
            text: None,
            tap: None,
        });
        self.posts_words("hello");
    }

    /// The same, with the session `s-1` open.
    fn open() -> Self {
        let mut scene = Self::asking();
        scene.opens(1, "s-1");
        scene
    }

    fn take(&mut self, input: Input) -> Step {
        let step = self.conversation.handle(&self.policy, self.now, input);
        self.records.extend(step.records.iter().cloned());
        self.effects.extend(step.effects.iter().cloned());
        step
    }

    fn posts_words(&mut self, message: &str) -> Step {
        let result = PostResult::Posted { genesys_id: None };
        self.take(Input::InboundDone {
            message: MessageId::new(message),
            result,
            genesys: Some("g".into()),
        })
    }

    fn writes(&mut self, message: &str) -> Step {
        self.take(Input::AgentMessage {
            message: MessageId::new(message),
            time: Some(self.now),
            received: self.now,
            unsuited: None,
            genesys: Some("g".into()),
            offer: None,
        })
    }

    fn open_ended(&mut self, attempt: u32, outcome: OpenOutcome) -> Step {
        self.take(Input::OpenEnded { attempt, outcome })
    }

    fn opens(&mut self, attempt: u32, session: &str) -> Step {
        self.open_ended(attempt, OpenOutcome::Opened(SessionId::new(session)))
    }

    fn fails(&mut self, attempt: u32, why: &str) -> Step {
        let reason = Reason::new(ReasonCode::ServerError, why);
        self.open_ended(attempt, OpenOutcome::Retry { reason, after: None })
    }

    fn ends(&mut self, message: &str, attempt: u32, outcome: AttemptOutcome) -> Step {
        self.take(Input::AttemptEnded { message: MessageId::new(message), attempt, outcome })
    }

    fn leaves(&mut self, session: Option<&str>) -> Step {
        self.take(Input::SessionClosed { session: session.map(SessionId::new), reason: None })
    }

    fn loses(&mut self, session: Option<&str>) -> Step {
        self.take(Input::SessionLost { session: session.map(SessionId::new) })
    }

    fn passes(&mut self, seconds: u64) {
        let until = self.now.checked_add(Duration::from_secs(seconds)).expect("in range");
        while let Some(due) =
            self.conversation.next_wakeup(&self.policy).filter(|due| *due <= until)
        {
            self.now = due;
            self.take(Input::Tick);
        }
        self.now = until;
    }

    fn fate(&self, message: &str) -> Option<&Fate> {
        self.records.iter().find_map(|record| match record {
            Record::Settled { message: m, fate, .. } if m.as_str() == message => Some(fate),
            _ => None,
        })
    }

    fn reason(&self, message: &str) -> &Reason {
        match self.fate(message) {
            Some(Fate::Failed { reason }) => reason,
            other => panic!("{message} has not failed: {other:?}"),
        }
    }

    /// The calls for a session so far, each with its attempt and the try number that the chat
    /// service gets.
    fn opened(&self) -> Vec<(u32, u32)> {
        let open = |effect: &Effect| match effect {
            Effect::Open { attempt, tries } => Some((*attempt, *tries)),
            _ => None,
        };
        self.effects.iter().filter_map(open).collect()
    }

    fn forwarded(&self) -> Vec<(&str, &str)> {
        fn forward(effect: &Effect) -> Option<(&str, &str)> {
            let Effect::Forward { message, session, .. } = effect else { return None };
            Some((message.as_str(), session.as_str()))
        }
        self.effects.iter().filter_map(forward).collect()
    }

    fn disconnects(&self) -> usize {
        self.effects
            .iter()
            .filter(|effect| matches!(effect, Effect::Post(Owed::Disconnect { .. })))
            .count()
    }
}

/// Something that happens in a scene.
type Doing = fn(&mut Scene);

fn delivered() -> AttemptOutcome {
    AttemptOutcome::Delivered { service_id: None }
}

fn not_taken() -> AttemptOutcome {
    AttemptOutcome::NotTaken {
        reason: Reason::new(ReasonCode::ServerError, "it answered 503"),
        after: None,
    }
}

#[test]
fn a_customer_who_leaves_in_any_phase_of_the_handshake_ends_it() {
    let phases: [(&str, Doing); 3] = [
        ("calling", |_| {}),
        ("pending", |scene| drop(scene.open_ended(1, OpenOutcome::Pending))),
        ("retrying", |scene| drop(scene.fails(1, "connection refused"))),
    ];
    for (phase, comes_to) in phases {
        for session in [None, Some("one-that-is-not-known")] {
            let mut scene = Scene::asking();
            comes_to(&mut scene);
            scene.writes("m-1");
            scene.writes("m-2");
            scene.leaves(session);
            for message in ["m-1", "m-2"] {
                let reason = scene.reason(message);
                assert_eq!(reason.code, ReasonCode::InvalidDestination, "{phase}");
                assert!(reason.message.contains("left the chat"), "{phase}: {reason}");
            }
            assert_eq!(scene.disconnects(), 1, "{phase}");
            let calls = scene.opened().len();
            scene.passes(3_600);
            assert_eq!(
                scene.opened().len(),
                calls,
                "{phase}: the service is not asked for a session"
            );
            assert_eq!(scene.forwarded(), [], "{phase}");
        }
    }
}

#[test]
fn the_services_own_reason_is_the_reason() {
    let mut scene = Scene::asking();
    scene.writes("m-1");
    let reason = Reason::new(ReasonCode::RecipientOptedOut, "Noor closed the window.");
    scene.take(Input::SessionClosed { session: None, reason: Some(reason.clone()) });
    assert_eq!(scene.reason("m-1"), &reason);
}

#[test]
fn the_session_of_a_call_that_was_under_way_when_they_left_is_closed_again() {
    let mut scene = Scene::asking();
    scene.writes("m-1");
    scene.leaves(None);
    let late = scene.opens(1, "too-late");
    assert_eq!(late.effects, [Effect::Close { by: ClosedBy::Service }]);
    assert_eq!(late.ignored, Some(Ignored::StaleAnswer));
    // Once the customer is back, there is another handshake, and the service may confuse the late
    // session with that of the new handshake.
    let mut scene = Scene::asking();
    scene.leaves(None);
    let result = PostResult::Posted { genesys_id: None };
    scene.take(Input::DisconnectDone { result });
    scene.take(Input::CustomerMessage { message: MessageId::new("back"), text: None, tap: None });
    scene.writes("m-1");
    let late = scene.opens(1, "too-late");
    assert_eq!((late.records, late.effects), (vec![], vec![]), "neither used nor closed");
    scene.opens(2, "s-2");
    assert_eq!(scene.forwarded(), [("m-1", "s-2")]);
}

#[test]
fn a_customer_who_leaves_an_open_session_leaves_nothing_behind() {
    let mut scene = Scene::open();
    scene.writes("m-1");
    scene.writes("m-2");
    scene.leaves(Some("s-1"));
    assert!(scene.reason("m-2").message.contains("left the chat"));
    assert_eq!(scene.fate("m-1"), None, "its attempt is open: the answer decides");
    assert_eq!(scene.disconnects(), 1);
    scene.ends("m-1", 1, delivered());
    assert_eq!(scene.fate("m-1"), Some(&Fate::Delivered));
    assert_eq!(scene.opened(), [(1, 1)], "no other session is asked for");
}

#[test]
fn an_attempt_that_was_open_when_they_left_is_the_last_one() {
    let unknown = AttemptOutcome::Unknown {
        reason: Reason::new(ReasonCode::ServerError, "the connection broke"),
    };
    for (outcome, says) in [
        (not_taken(), "left the chat"),
        (AttemptOutcome::SessionGone, "left the chat"),
        (unknown, "it may have arrived: the connection broke"),
    ] {
        let mut scene = Scene::open();
        scene.writes("m-1");
        scene.leaves(None);
        scene.ends("m-1", 1, outcome.clone());
        assert!(scene.reason("m-1").message.contains(says), "{outcome:?}: {}", scene.reason("m-1"));
        scene.passes(3_600);
        assert_eq!(scene.forwarded().len(), 1, "{outcome:?}");
    }
}

#[test]
fn what_is_said_about_another_session_is_passed_over() {
    let mut scene = Scene::open();
    scene.writes("m-1");
    for step in [scene.leaves(Some("s-0")), scene.loses(Some("s-0"))] {
        assert_eq!((step.records, step.ignored), (vec![], Some(Ignored::StrayedSession)));
    }
}

#[test]
fn a_customer_leaves_once() {
    let mut scene = Scene::asking();
    scene.leaves(None);
    scene.take(Input::DisconnectDone { result: PostResult::Posted { genesys_id: None } });
    assert_eq!(scene.leaves(None).ignored, Some(Ignored::StrayedSession));
    assert_eq!(scene.disconnects(), 1);
    // Nor after the agent's side has ended the chat: the event is the echo of our own `close`.
    let mut scene = Scene::open();
    scene.take(Input::GenesysEnded { id: "g".into() });
    assert_eq!(scene.leaves(None).ignored, Some(Ignored::StrayedSession));
    assert_eq!(scene.disconnects(), 0);
}

#[test]
fn a_customer_who_leaves_before_anybody_asked_for_a_session_is_disconnected() {
    let mut policy = Policy::default();
    policy.hold.start = conversation::HandshakeStart::FirstOutbound;
    let mut scene = Scene::new(policy);
    scene.knows_genesys();
    scene.leaves(None);
    assert_eq!((scene.disconnects(), scene.opened()), (1, vec![]));
}

#[test]
fn what_the_agent_writes_until_genesys_has_ended_the_chat_fails_at_once() {
    let mut scene = Scene::asking();
    scene.leaves(None);
    scene.writes("m-1");
    assert!(scene.reason("m-1").message.contains("left the chat"));
    // Once Genesys has confirmed the disconnect, an agent's message starts another handshake.
    scene.take(Input::DisconnectDone { result: PostResult::Posted { genesys_id: None } });
    scene.writes("m-2");
    assert_eq!(scene.opened().last(), Some(&(2, 1)));
}

#[test]
fn a_customers_new_message_starts_again() {
    let mut scene = Scene::asking();
    scene.leaves(None);
    scene.take(Input::CustomerMessage { message: MessageId::new("back"), text: None, tap: None });
    scene.writes("m-1");
    assert_eq!(scene.fate("m-1"), None);
    scene.opens(2, "s-2");
    assert_eq!(scene.forwarded(), [("m-1", "s-2")]);
}

#[test]
fn a_refused_customer_is_disconnected_after_their_words_and_the_notes() {
    let refused = Reason::new(ReasonCode::RecipientOptedOut, "blocked");
    let refusals = [
        Input::SessionRefused { reason: refused.clone() },
        Input::OpenEnded { attempt: 1, outcome: OpenOutcome::Refused(refused.clone()) },
    ];
    for refusal in refusals {
        let mut scene =
            Scene::new(Policy { notices: [NoticeKind::Failed].into(), ..Policy::default() });
        scene.take(Input::CustomerMessage {
            message: MessageId::new("hello"),
            text: None,
            tap: None,
        });
        scene.writes("m-1");
        scene.take(refusal.clone());
        assert_eq!(scene.reason("m-1"), &refused);
        assert_eq!(scene.disconnects(), 0, "not before the words");
        scene.posts_words("hello");
        assert_eq!(scene.disconnects(), 0, "not before the note");
        let result = PostResult::Posted { genesys_id: None };
        scene.take(Input::NoticeDone {
            message: MessageId::new("m-1"),
            notice: NoticeKind::Failed,
            result,
        });
        assert_eq!(scene.disconnects(), 1);
    }
}

#[test]
fn nobody_is_disconnected_where_leaving_is_ignored() {
    for input in [
        Input::SessionClosed { session: None, reason: None },
        Input::SessionRefused { reason: Reason::new(ReasonCode::InvalidDestination, "no") },
    ] {
        let mut scene =
            Scene::new(Policy { on_customer_left: CustomerLeft::Ignore, ..Policy::default() });
        scene.knows_genesys();
        scene.writes("m-1");
        scene.take(input);
        assert!(scene.fate("m-1").is_some_and(Fate::is_failed), "what was held still fails");
        assert_eq!(scene.disconnects(), 0);
        scene.writes("m-2");
        assert_eq!(scene.opened().last(), Some(&(2, 1)), "the chat goes on");
    }
}

#[test]
fn a_wrong_secret_fails_the_messages_and_disconnects_nobody() {
    let mut scene = Scene::asking();
    scene.writes("m-1");
    let reason = Reason::new(ReasonCode::GeneralError, "401");
    scene.open_ended(1, OpenOutcome::Unauthorized(reason.clone()));
    assert_eq!((scene.reason("m-1"), scene.disconnects()), (&reason, 0));
}

#[test]
fn a_lost_session_is_asked_for_again_and_the_chat_goes_on() {
    let mut scene = Scene::open();
    let lost = scene.loses(None);
    assert_eq!(
        lost.effects,
        [Effect::Open { attempt: 2, tries: 1 }],
        "at once, whether or not somebody waits for it"
    );
    scene.writes("m-1");
    scene.opens(2, "s-2");
    assert_eq!(scene.forwarded(), [("m-1", "s-2")]);
    assert_eq!(scene.disconnects(), 0);
}

#[test]
fn what_waits_keeps_its_place_when_the_session_is_lost() {
    let mut scene = Scene::open();
    scene.writes("m-1");
    scene.writes("m-2");
    scene.loses(Some("s-1"));
    scene.opens(2, "s-2");
    assert_eq!(scene.forwarded(), [("m-1", "s-1")], "its answer is waited for");
    let unknown = AttemptOutcome::Unknown {
        reason: Reason::new(ReasonCode::ServerError, "the connection broke"),
    };
    scene.ends("m-1", 1, unknown);
    scene.passes(60);
    scene.ends("m-1", 2, delivered());
    assert_eq!(scene.forwarded(), [("m-1", "s-1"), ("m-1", "s-2"), ("m-2", "s-2")]);
}

#[test]
fn a_restarted_service_says_so_and_is_asked_at_once() {
    let mut scene = Scene::asking();
    scene.open_ended(1, OpenOutcome::Pending);
    assert_eq!(scene.loses(None).effects, [Effect::Open { attempt: 2, tries: 2 }]);
    scene.fails(2, "connection refused");
    assert_eq!(scene.loses(None).effects, [Effect::Open { attempt: 3, tries: 3 }]);
}

#[test]
fn a_handshake_that_does_not_end_is_asked_about_within_seconds() {
    let mut scene = Scene::asking();
    scene.writes("m-1");
    scene.open_ended(1, OpenOutcome::Pending);
    scene.passes(4);
    assert_eq!(scene.opened().len(), 1);
    scene.passes(1);
    assert_eq!(scene.opened(), [(1, 1), (2, 2)]);
    for attempt in 2..=4 {
        scene.open_ended(attempt, OpenOutcome::Pending);
        scene.passes(10);
    }
    assert_eq!(scene.opened()[..4], [(1, 1), (2, 2), (3, 3), (4, 4)], "until the hold runs out");
}

#[test]
fn each_handshake_counts_its_own_tries() {
    let mut scene = Scene::asking();
    scene.fails(1, "503");
    scene.passes(5);
    scene.opens(2, "s-1");
    for handshake in 3..=6 {
        scene.writes("m-1");
        scene.loses(None);
        scene.passes(15);
        scene.opens(handshake, &format!("s-{handshake}"));
    }
    assert_eq!(scene.opened(), [(1, 1), (2, 2), (3, 1), (4, 1), (5, 1), (6, 1)]);
}

#[test]
fn a_resend_goes_as_soon_as_the_session_is_open() {
    let mut scene = Scene::open();
    scene.writes("m-1");
    // It fails for a while, so that its pauses grow.
    let mut attempt = 1;
    while attempt < 6 {
        scene.ends("m-1", attempt, not_taken());
        while scene.forwarded().len() == usize::try_from(attempt).expect("small") {
            scene.passes(1);
        }
        attempt += 1;
    }
    scene.ends("m-1", attempt, AttemptOutcome::SessionGone);
    let opened = scene.opens(2, "s-2");
    let message = MessageId::new("m-1");
    let session = SessionId::new("s-2");
    assert_eq!(opened.effects, [Effect::Forward { message, attempt: attempt + 1, session }]);
}

#[test]
fn a_new_session_ends_our_own_pause_and_not_the_services() {
    let mut scene = Scene::open();
    scene.writes("m-1");
    scene.ends("m-1", 1, not_taken());
    scene.loses(None);
    scene.opens(2, "s-2");
    assert_eq!(scene.forwarded().last(), Some(&("m-1", "s-2")), "at once");
    let reason = Reason::new(ReasonCode::RateLimited, "429");
    scene.ends("m-1", 2, AttemptOutcome::NotTaken { reason, after: Some(Duration::from_secs(25)) });
    scene.loses(None);
    scene.passes(15);
    scene.opens(3, "s-3");
    assert_eq!(scene.forwarded().len(), 2);
    scene.passes(10);
    assert_eq!(scene.forwarded().last(), Some(&("m-1", "s-3")), "when the service said");
}

#[test]
fn a_service_that_loses_every_session_is_left_alone_more_and_more() {
    let mut scene = Scene::open();
    scene.writes("m-1");
    let mut pauses = Vec::new();
    for loss in 1..8 {
        let (calls, before) = (scene.opened().len(), scene.now);
        scene.ends("m-1", loss, AttemptOutcome::SessionGone);
        while scene.opened().len() == calls {
            let due = scene.conversation.next_wakeup(&scene.policy).expect("it wants to go on");
            scene.now = due;
            scene.take(Input::Tick);
        }
        pauses.push(scene.now.duration_since(before));
        scene.opens(loss + 1, &format!("s-{}", loss + 1));
        assert_eq!(
            scene.forwarded().len(),
            usize::try_from(loss).expect("small") + 1,
            "then at once"
        );
    }
    assert!(pauses[0].is_zero(), "the first loss is an accident: {pauses:?}");
    assert!(pauses[1..].iter().all(|pause| pause.as_millis() >= 500), "{pauses:?}");
    assert!(
        pauses[1..].iter().all(|pause| pause.as_secs() <= 15),
        "half of the hold is left: {pauses:?}"
    );
    assert!(pauses.iter().max().is_some_and(|most| most.as_secs() >= 3), "they grow: {pauses:?}");
    // A delivered message shows that sessions work again.
    scene.ends("m-1", 8, delivered());
    scene.writes("m-2");
    let calls = scene.opened().len();
    scene.ends("m-2", 1, AttemptOutcome::SessionGone);
    assert_eq!(scene.opened().len(), calls + 1, "at once again");
}

#[test]
fn an_expired_message_tells_what_went_wrong_last() {
    let causes: [(Doing, &str); 4] = [
        (
            |scene| drop(scene.fails(1, "the chat service cannot be reached: connection refused")),
            "connection refused",
        ),
        (
            |scene| drop(scene.open_ended(1, OpenOutcome::Pending)),
            "answered that its handshake goes on",
        ),
        (|_| {}, "did not answer"),
        (
            |scene| {
                scene.opens(1, "s-1");
                scene.loses(None);
                scene.fails(2, "the chat service answered 503");
            },
            "answered 503",
        ),
    ];
    for (happens, says) in causes {
        let mut scene = Scene::asking();
        happens(&mut scene);
        scene.writes("m-1");
        scene.policy.delivery.retry_initial = Duration::from_mins(1);
        scene.policy.delivery.retry_max = Duration::from_mins(1);
        scene.passes(4);
        // Calls that are made meanwhile get no answer.
        scene.passes(60);
        let reason = scene.reason("m-1");
        assert_eq!(reason.code, ReasonCode::MessageExpired);
        assert!(
            reason.message.starts_with("the customer's chat session was not ready in time; "),
            "{reason}"
        );
        assert!(reason.message.contains(says), "{says}: {reason}");
    }
}

#[test]
fn a_message_that_expires_behind_another_tells_why_that_one_does_not_go() {
    let mut scene = Scene::open();
    scene.writes("m-1");
    scene.writes("m-2");
    scene.policy.delivery.retry_initial = Duration::from_mins(4);
    scene.policy.delivery.retry_max = Duration::from_mins(4);
    scene.ends("m-1", 1, not_taken());
    scene.passes(241);
    scene.passes(60);
    let reason = scene.reason("m-2");
    assert_eq!(reason.code, ReasonCode::MessageExpired);
    assert!(reason.message.contains("behind other messages"), "{reason}");
    assert!(reason.message.contains("it answered 503"), "{reason}");
}

#[test]
fn a_state_of_an_older_version_is_read() {
    let older = r#"{"arrivals":1,"session":{"session":"opening","attempt":3,"tries":2,
        "until":"2026-11-20T09:00:30Z","phase":{"phase":"pending"}},"handshakes":3,"hold_until":null,
        "waiting":[],"attempt":null,"unreported":[],"paused":false,"ending":false,"inbound":[],"owed":[],"genesys":null}"#;
    let mut scene = Scene::new(Policy::default());
    scene.conversation = serde_json::from_str(older).expect("it can be read");
    scene.opens(3, "s-1");
    for record in [
        r#"{"kind":"customer_left"}"#,
        r#"{"kind":"handshake_pending","attempt":1}"#,
        r#"{"kind":"session_closed","cause":"service","hold_until":"2026-11-20T09:00:30Z"}"#,
    ] {
        serde_json::from_str::<Record>(record).expect("it can be read");
    }
    serde_json::from_str::<Input>(r#"{"input":"session_closed","session":null}"#)
        .expect("it can be read");
}
