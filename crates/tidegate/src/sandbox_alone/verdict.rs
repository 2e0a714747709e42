//! The verdict on a middleware, for people and for programs.

use std::fmt::Write;

use sandbox::{ReceiptFault, RefusedCall, Verdict, WebhookFault};
use serde_json::{Value, json};

/// Rows of one kind; the rest is only counted.
const MAX_ROWS: usize = 20;

/// One row: about what, what was wrong, and when.
type Row = [String; 3];

/// One kind of fault.
struct Kind {
    name: &'static str,
    rows: Vec<Row>,
}

/// How many faults the middleware has.
pub(super) fn count(verdict: &Verdict) -> usize {
    kinds(verdict).iter().map(|kind| kind.rows.len()).sum()
}

/// `{"passed": …, "faults": …, "verdict": …}`, on one line.
pub(super) fn json(verdict: &Verdict) -> String {
    let faults: serde_json::Map<String, Value> = kinds(verdict)
        .into_iter()
        .map(|kind| (kind.name.to_owned(), kind.rows.len().into()))
        .collect();
    let passed = count(verdict) == 0;
    format!("{}\n", json!({"passed": passed, "faults": faults, "verdict": verdict}))
}

/// A table with a row for each fault.
pub(super) fn table(verdict: &Verdict) -> String {
    let count = count(verdict);
    let (to, from) = (verdict.messages, verdict.inbound);
    let mut out = format!("{to} messages went to the middleware, {from} came from it.\n");
    if count == 0 {
        out.push_str("It did nothing wrong.\n");
        return out;
    }
    let kinds = kinds(verdict);
    let rows: Vec<[String; 4]> = kinds
        .into_iter()
        .flat_map(|kind| {
            let over = kind.rows.len().saturating_sub(MAX_ROWS);
            let rest = (over > 0).then(|| {
                [kind.name.to_owned(), format!("and {over} more"), String::new(), String::new()]
            });
            let rows = kind.rows.into_iter().take(MAX_ROWS);
            rows.map(move |[about, what, when]| [kind.name.to_owned(), about, what, when])
                .chain(rest)
        })
        .collect();
    let head = ["FAULT", "MESSAGE OR PATH", "WHAT", "WHEN"].map(str::to_owned);
    let width = |column: usize| {
        rows.iter().chain([&head]).map(|row| row[column].chars().count()).max().unwrap_or(0)
    };
    let widths = [width(0), width(1), width(2)];
    out.push('\n');
    for [fault, about, what, when] in [&head].into_iter().chain(&rows) {
        let [a, b, c] = widths;
        let line = format!("{fault:a$}  {about:b$}  {what:c$}  {when}");
        // Cannot fail: it is a string.
        let _ = writeln!(out, "{}", line.trim_end());
    }
    let _ = writeln!(out, "\n{count} faults");
    out
}

/// What counts against the middleware. That a webhook got no answer may be anybody's doing.
fn kinds(verdict: &Verdict) -> Vec<Kind> {
    let receipts = |name, faults: &[ReceiptFault]| Kind {
        name,
        rows: faults.iter().map(of_receipt).collect(),
    };
    let calls =
        |name, calls: &[RefusedCall]| Kind { name, rows: calls.iter().map(of_call).collect() };
    let open = |id: &String| [id.clone(), String::new(), String::new()];
    let kinds = vec![
        Kind {
            name: "no final receipt",
            rows: verdict.without_final_receipt.iter().map(open).collect(),
        },
        receipts("receipt after the final one", &verdict.receipts_after_final),
        receipts("receipt takes an earlier one back", &verdict.receipts_backwards),
        receipts("receipt names another customer", &verdict.wrong_customer),
        receipts("receipt for an unknown message", &verdict.unknown_ids),
        Kind {
            name: "webhook answer is no 2xx",
            rows: verdict.webhook_not_2xx.iter().map(of_webhook).collect(),
        },
        calls("request over the limit", &verdict.rate_limited),
        calls("invalid request", &verdict.invalid_bodies),
    ];
    kinds.into_iter().filter(|kind| !kind.rows.is_empty()).collect()
}

fn of_receipt(fault: &ReceiptFault) -> Row {
    [fault.message.clone(), fault.status.clone(), fault.at.clone()]
}

fn of_webhook(fault: &WebhookFault) -> Row {
    let status = fault.status.map_or_else(|| "no answer".to_owned(), |status| status.to_string());
    [fault.message.clone(), format!("{status}, attempt {}", fault.attempt), fault.at.clone()]
}

fn of_call(call: &RefusedCall) -> Row {
    [call.path.clone(), call.reason.clone().unwrap_or_default(), call.at.clone()]
}
