//! Keeps the timelines short: the failed parts first, then the newest.

use crate::model::{MAX_MESSAGES, MAX_STEPS, Step, StepKind};

/// The steps in the order of time, and how many were left out.
pub(crate) fn limited(mut steps: Vec<Step>) -> (Vec<Step>, usize) {
    steps.sort_by_key(|step| (step.at, step.kind));
    keep(steps, MAX_STEPS, |step| match step.kind {
        // The rest makes no sense without the beginning and the end. There are few.
        StepKind::Received | StepKind::Settled | StepKind::Receipt => 0,
        _ if step.failed => 1,
        _ => 2,
    })
}

/// The messages in the order in which they came, and how many were left out.
pub(crate) fn limited_messages<T>(
    messages: Vec<T>,
    is_failed: impl Fn(&T) -> bool,
) -> (Vec<T>, usize) {
    keep(messages, MAX_MESSAGES, |message| u8::from(!is_failed(message)))
}

/// The `most` items with the lowest rank, the later ones first, in their order.
fn keep<T>(items: Vec<T>, most: usize, rank: impl Fn(&T) -> u8) -> (Vec<T>, usize) {
    let left_out = items.len().saturating_sub(most);
    if left_out == 0 {
        return (items, 0);
    }
    let mut places: Vec<usize> = (0..items.len()).collect();
    places.sort_by_key(|place| (rank(&items[*place]), std::cmp::Reverse(*place)));
    let mut kept = vec![false; items.len()];
    places.into_iter().take(most).for_each(|place| kept[place] = true);
    let items = items.into_iter().zip(kept).filter_map(|(item, kept)| kept.then_some(item));
    (items.collect(), left_out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_failed_ones_stay_and_then_the_newest() {
        let (kept, left_out) = keep((0..10).collect(), 4, |item| u8::from(*item != 2));
        assert_eq!((kept, left_out), (vec![2, 7, 8, 9], 6));
        let (kept, left_out) = keep(vec![1, 2], 2, |_| 0);
        assert_eq!((kept, left_out), (vec![1, 2], 0));
    }
}
