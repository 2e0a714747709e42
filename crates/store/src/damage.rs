//! Lists of what concerns many conversations leave damaged rows out, so that a damaged row costs
//! only its own conversation (I10). The log names each such row.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::{Chain, StoreError};

/// How many damaged rows a page leaves out. A page with more is refused as a whole: then more than
/// a few rows are damaged, and the caller must say so.
const MAX_DAMAGED: usize = 64;
/// The same row is logged once in this time.
const LOG_EVERY: Duration = Duration::from_mins(10);
/// How many damaged rows are remembered. With more, they are logged more often.
const MAX_REMEMBERED: usize = 1_024;

/// When each damaged row was logged last.
static LOGGED: Mutex<Option<HashMap<String, Instant>>> = Mutex::new(None);

/// How many rows to read for a page of `limit` rows that can be read.
pub(crate) fn most(limit: usize) -> i64 {
    i64::try_from(limit.saturating_add(MAX_DAMAGED)).unwrap_or(i64::MAX)
}

/// The first `limit` rows that can be read, among at most [`most`] rows.
pub(crate) fn readable<T>(
    rows: impl IntoIterator<Item = Result<T, StoreError>>,
    limit: usize,
) -> Result<Vec<T>, StoreError> {
    let (mut page, mut damaged) = (Vec::new(), 0);
    let mut rows = rows.into_iter();
    while page.len() < limit
        && let Some(row) = rows.next()
    {
        match row {
            Ok(row) => page.push(row),
            Err(error @ StoreError::Corrupt(_)) if damaged < MAX_DAMAGED => {
                damaged += 1;
                log(&error);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(page)
}

fn log(error: &StoreError) {
    let (row, now) = (Chain(error).to_string(), Instant::now());
    // Nothing panics while the lock is held, so the data is consistent.
    let mut logged = LOGGED.lock().unwrap_or_else(PoisonError::into_inner);
    let logged = logged.get_or_insert_default();
    if logged.get(&row).is_some_and(|last| now < *last + LOG_EVERY) {
        return;
    }
    if logged.len() >= MAX_REMEMBERED {
        logged.clear();
    }
    tracing::error!(
        error = row,
        "a damaged row is left out; `tidegate audit` names its conversation"
    );
    logged.insert(row, now);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(damaged: usize) -> Vec<Result<usize, StoreError>> {
        let bad = (0..damaged).map(|row| Err(StoreError::Corrupt(format!("row {row}").into())));
        bad.chain((0..10).map(Ok)).collect()
    }

    #[test]
    fn a_page_is_full_although_rows_are_damaged() {
        assert_eq!(readable(rows(MAX_DAMAGED), 3).expect("a page"), [0, 1, 2]);
        assert!(matches!(readable(rows(MAX_DAMAGED + 1), 3), Err(StoreError::Corrupt(_))));
    }

    #[test]
    fn a_store_that_does_not_answer_is_no_damage() {
        let rows = [Ok(1), Err(StoreError::Unavailable("it is away".into()))];
        assert!(matches!(readable(rows, 3), Err(StoreError::Unavailable(_))));
    }
}
