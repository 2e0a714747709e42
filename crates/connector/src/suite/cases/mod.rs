//! The cases, in one table: name, needs, and why each matters.

mod bodies;
mod content;
mod events;
mod kill;
mod messages;
mod repetition;
mod reports;
mod sessions;
mod signatures;
mod typing;

use std::future::ready;

use super::case::{Case, Need, Phase};

/// The cases that run at the same time.
const TOGETHER: &[Case] = &[
    Case {
        name: "check-answered",
        needs: &[],
        why: "`tidegate check` shows by this call that the address and the secret are right",
        phase: Phase::Together,
        run: |stage| Box::pin(bodies::check_is_answered(stage)),
    },
    Case {
        name: "session-opens",
        needs: &[],
        why: "without a session every message to the customer expires",
        phase: Phase::Together,
        run: |stage| Box::pin(sessions::opens(stage)),
    },
    Case {
        name: "session-opens-once",
        needs: &[],
        why: "the gateway repeats `open` after 5 s, and the customer would be greeted twice",
        phase: Phase::Together,
        run: |stage| Box::pin(sessions::opens_once(stage)),
    },
    Case {
        name: "session-unknown",
        needs: &[],
        why: "only a 409 makes the gateway open a session and send the message again",
        phase: Phase::Together,
        run: |stage| Box::pin(sessions::unknown_is_refused(stage)),
    },
    Case {
        name: "session-old",
        needs: &[],
        why: "a message for an earlier session may reach another person, or be lost",
        phase: Phase::Together,
        run: |stage| Box::pin(sessions::old_is_refused(stage)),
    },
    Case {
        name: "session-closed",
        needs: &[],
        why: "a message into a closed chat is marked as delivered, although it is never read",
        phase: Phase::Together,
        run: |stage| Box::pin(sessions::closed_is_refused(stage)),
    },
    Case {
        name: "signature-wrong",
        needs: &[],
        why: "anyone who finds the address could write to customers in the agent's name",
        phase: Phase::Together,
        run: |stage| Box::pin(signatures::of_others(stage)),
    },
    Case {
        name: "signature-old",
        needs: &[],
        why: "a recorded call could be played again",
        phase: Phase::Together,
        run: |stage| Box::pin(signatures::too_old(stage)),
    },
    Case {
        name: "signature-missing",
        needs: &[],
        why: "anyone who finds the address could write to customers in the agent's name",
        phase: Phase::Together,
        run: |stage| Box::pin(signatures::missing(stage)),
    },
    Case {
        name: "view-private",
        needs: &[Need::View],
        why: "anyone who finds the address could read what agents write",
        phase: Phase::Together,
        run: |stage| Box::pin(signatures::view_is_private(stage)),
    },
    Case {
        name: "answer-in-time",
        needs: &[],
        why: "the outcome of an attempt without an answer is unknown, and the next message waits",
        phase: Phase::Together,
        run: |stage| Box::pin(messages::answered_in_time(stage)),
    },
    Case {
        name: "answer-understood",
        needs: &[],
        why: "the gateway takes an answer that it does not understand for a lost one",
        phase: Phase::Together,
        run: |stage| Box::pin(messages::answer_is_understood(stage)),
    },
    Case {
        name: "text-unchanged",
        needs: &[Need::View],
        why: "the agent does not learn that the customer reads something else",
        phase: Phase::Together,
        run: |stage| Box::pin(messages::text_is_unchanged(stage)),
    },
    Case {
        name: "text-longest",
        needs: &[Need::MaxText],
        why: "the gateway sends texts of up to `max_text` characters",
        phase: Phase::Together,
        run: |stage| Box::pin(messages::longest_text_is_taken(stage)),
    },
    Case {
        name: "order-kept",
        needs: &[Need::View],
        why: "answers in another order mean something else",
        phase: Phase::Together,
        run: |stage| Box::pin(messages::order_is_kept(stage)),
    },
    Case {
        name: "key-repeated",
        needs: &[Need::Idempotent],
        why: "after a lost answer the gateway sends the message again",
        phase: Phase::Together,
        run: |stage| Box::pin(repetition::same_key_same_answer(stage)),
    },
    Case {
        name: "key-concurrent",
        needs: &[Need::Idempotent, Need::View],
        why: "an attempt that timed out may still be in work when the next one comes",
        phase: Phase::Together,
        run: |stage| Box::pin(repetition::concurrent_key_once(stage)),
    },
    Case {
        name: "report-follows",
        needs: &[Need::ReportsDelivery],
        why: "without the report the agent's final receipt is Sent, after an hour",
        phase: Phase::Together,
        run: |stage| Box::pin(reports::report_follows(stage)),
    },
    Case {
        name: "typing-off",
        needs: &[Need::Typing, Need::View],
        why: "the customer waits for an answer that is not being written",
        phase: Phase::Together,
        run: |stage| Box::pin(typing::goes_off(stage)),
    },
    Case {
        name: "typing-expires",
        needs: &[Need::Typing, Need::View],
        why: "`off` is sent once and may be lost",
        phase: Phase::Together,
        run: |stage| Box::pin(typing::expires(stage)),
    },
    Case {
        name: "media-kept",
        needs: &[Need::Media, Need::View],
        why: "the agent's file is marked as delivered, and the customer never sees it",
        phase: Phase::Together,
        run: |stage| Box::pin(content::media_is_kept(stage)),
    },
    Case {
        name: "content-unclaimed",
        needs: &[],
        why: "if the configuration claims too much, a picture is marked as delivered and not seen",
        phase: Phase::Together,
        run: |stage| Box::pin(content::unclaimed_is_refused(stage)),
    },
    Case {
        name: "fields-unknown",
        needs: &[],
        why: "a later gateway may send more fields",
        phase: Phase::Together,
        run: |stage| Box::pin(bodies::unknown_fields_are_ignored(stage)),
    },
    Case {
        name: "json-broken",
        needs: &[],
        why: "after a 5xx or a hang the gateway sends the same body again, for minutes",
        phase: Phase::Together,
        run: |stage| Box::pin(bodies::broken_json_is_refused(stage)),
    },
    Case {
        name: "refusal-told",
        needs: &[],
        why: "after any other answer the gateway repeats the call for a day",
        phase: Phase::Together,
        run: |stage| Box::pin(bodies::refusal_is_taken(stage)),
    },
];

/// The cases that come after them.
const LATER: &[Case] = &[
    Case {
        name: "report-repeated",
        needs: &[Need::ReportsDelivery],
        why: "a gateway that restarts would never learn what became of the message",
        phase: Phase::Away,
        run: |stage| Box::pin(reports::report_comes_again(stage)),
    },
    Case {
        name: "session-repeated",
        needs: &[],
        why: "a gateway that restarts would never learn that the session is open",
        phase: Phase::Away,
        run: |stage| Box::pin(reports::opened_comes_again(stage)),
    },
    Case {
        name: "kill-message",
        needs: &[Need::Process, Need::View],
        why: "the gateway never sends an answered message again",
        phase: Phase::Kill,
        run: |stage| Box::pin(kill::messages_are_kept(stage)),
    },
    Case {
        name: "kill-session",
        needs: &[Need::Process],
        why: "the gateway opens a new session only if it learns that the old one is gone",
        phase: Phase::Kill,
        run: |stage| Box::pin(kill::session_is_told(stage)),
    },
    Case {
        name: "kill-key",
        needs: &[Need::Process, Need::Idempotent, Need::View],
        why: "if the answer was lost in the crash, the gateway sends the message again",
        phase: Phase::Kill,
        run: |stage| Box::pin(kill::key_is_remembered(stage)),
    },
    Case {
        name: "kill-report",
        needs: &[Need::Process, Need::ReportsDelivery],
        why: "without the report the agent's final receipt is Sent, after an hour",
        phase: Phase::Kill,
        run: |stage| Box::pin(kill::report_is_kept(stage)),
    },
    Case {
        name: "events-signed",
        needs: &[],
        why: "the gateway takes no event without a valid signature",
        phase: Phase::Events,
        run: |stage| Box::pin(ready(events::are_signed(stage))),
    },
    Case {
        name: "events-readable",
        needs: &[],
        why: "the gateway ignores an event that it cannot read",
        phase: Phase::Events,
        run: |stage| Box::pin(ready(events::are_well_formed(stage))),
    },
    Case {
        name: "events-ids",
        needs: &[],
        why: "the gateway drops an event whose `id` it knows",
        phase: Phase::Events,
        run: |stage| Box::pin(ready(events::have_ids_of_their_own(stage))),
    },
];

/// All cases, in the order in which their results are shown.
pub(super) fn all() -> impl Iterator<Item = &'static Case> {
    TOGETHER.iter().chain(LATER)
}
