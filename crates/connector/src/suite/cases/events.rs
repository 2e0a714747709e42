//! Judges all events that have come.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::suite::arrivals::{Arrival, ArrivalContent};
use crate::suite::stage::Stage;
use crate::suite::verdict::{Outcome, Stop, failed, not_claimed};

/// The fields that say what an event is about. A repetition may have another `time`.
const SAME: [&str; 6] = ["type", "message", "message_id", "conversation", "session", "customer"];

fn all(stage: &Stage) -> Result<Vec<Arrival>, Stop> {
    let list = stage.arrivals.so_far();
    if list.is_empty() { not_claimed("no event has come") } else { Ok(list) }
}

pub(super) fn are_signed(stage: &Stage) -> Outcome {
    for arrival in all(stage)? {
        if let ArrivalContent::NotSigned(why) = &arrival.content {
            return failed(format!("an event came, and {why}"), "a valid signature on each event");
        }
    }
    Ok(())
}

pub(super) fn are_well_formed(stage: &Stage) -> Outcome {
    for arrival in all(stage)? {
        if let ArrivalContent::Unreadable(why) = &arrival.content {
            return failed(format!("an event cannot be read: {why}"), "the fields of its `type`");
        }
    }
    Ok(())
}

pub(super) fn have_ids_of_their_own(stage: &Stage) -> Outcome {
    let mut known: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for arrival in all(stage)? {
        let (Some(id), ArrivalContent::Event(_, json)) = (arrival.id(), &arrival.content) else {
            continue;
        };
        let about: Vec<_> = SAME.iter().map(|field| json[*field].clone()).collect();
        match known.get(id) {
            Some(first) if *first != about => {
                return failed(
                    format!("two events of the types {} and {} have one `id`", first[0], about[0]),
                    "an `id` of its own for each event, and the same one only if it comes again",
                );
            }
            _ => known.insert(id.to_owned(), about),
        };
    }
    Ok(())
}
