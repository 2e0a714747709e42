//! The order in which one turn handles agents' messages that wait together.
//!
//! An idle conversation forwards the first message that it gets. If several wait in the inbox, that
//! must be the one that Genesys wrote first (I3), whichever node received it first.

use conversation::Input;
use jiff::Timestamp;

/// Reorders agents' messages among themselves by the time at which Genesys wrote them. Everything
/// else keeps its place. A message without a time sorts after all messages that came before it. It
/// also sorts after `last`, the latest time of a message that the conversation has accepted.
pub(super) fn by_time(inputs: &mut [Input], last: Timestamp) {
    let (mut places, mut messages, mut latest) = (Vec::new(), Vec::new(), last);
    for (place, input) in inputs.iter().enumerate() {
        if let Input::AgentMessage { time, .. } = input {
            let time = time.unwrap_or(latest);
            latest = latest.max(time);
            places.push(place);
            messages.push((time, place));
        }
    }
    if messages.is_sorted() {
        return;
    }
    messages.sort_unstable();
    let sorted: Vec<Input> = messages.into_iter().map(|(_, place)| inputs[place].clone()).collect();
    for (place, input) in places.into_iter().zip(sorted) {
        inputs[place] = input;
    }
}

#[cfg(test)]
mod tests {
    use conversation::MessageId;

    use super::*;

    fn message(id: &str, second: Option<i64>) -> Input {
        Input::AgentMessage {
            message: MessageId::new(id),
            time: second.map(|second| Timestamp::from_second(second).expect("in range")),
            received: Timestamp::UNIX_EPOCH,
            unsuited: None,
            genesys: None,
            offer: None,
        }
    }

    fn sorted(inputs: Vec<Input>, last: i64) -> Vec<String> {
        let mut inputs = inputs;
        by_time(&mut inputs, Timestamp::from_second(last).expect("in range"));
        let name = |input: Input| match input {
            Input::AgentMessage { message, .. } => message.to_string(),
            other => format!("{other:?}"),
        };
        inputs.into_iter().map(name).collect()
    }

    #[test]
    fn messages_change_places_and_nothing_else_does() {
        let inputs = vec![
            Input::Recovered,
            message("third", Some(30)),
            Input::CustomerTyping,
            message("first", Some(10)),
            message("second", Some(10)),
            Input::Tick,
        ];
        assert_eq!(
            sorted(inputs, 0),
            ["Recovered", "first", "CustomerTyping", "second", "third", "Tick"]
        );
    }

    #[test]
    fn a_message_without_a_time_is_behind_all_that_came_before_it() {
        let inputs =
            || vec![message("untimed", None), message("late", Some(10)), message("next", Some(30))];
        assert_eq!(sorted(inputs(), 20), ["late", "untimed", "next"], "20 was accepted before");
        assert_eq!(sorted(inputs(), 0), ["untimed", "late", "next"], "nothing was");
    }
}
