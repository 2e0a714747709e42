//! `tidegate demo --script`.

use tempfile::TempDir;

use super::ended;
use crate::support::{audit, tidegate};

#[tokio::test]
async fn the_demo_plays_its_scenes_and_its_store_can_be_audited() {
    let dir = TempDir::new().expect("a folder");
    let store = format!("sqlite:{}", dir.path().join("demo.db").display());
    let mut command = tidegate();
    command.args(["demo", "--script", "--store", &store]);
    let (code, transcript, errors) = ended(command);
    assert_eq!((code, errors.as_str()), (0, ""), "{transcript}");
    // In this order, with anything in between.
    let scenes = [
        "Scene one",
        "writes “Where is my parcel?”",
        "writes “Good morning, Noor.”",
        "✓   sent       “Good morning, Noor.”",
        "the session is open",
        "reads  “Good morning, Noor.”",
        "reads  “I am looking at your order now.”",
        "reads  “It arrives tomorrow.”",
        "✓✓  delivered  “Good morning, Noor.”",
        "exactly one final receipt for it, and it says Delivered",
        "Scene two",
        "the cards are delivered",
        "Genesys gets the tap on “In the evening”",
        "Scene three",
        "✓   sent       “How can I help?”",
        "✗   failed     “How can I help?” (MessageExpired: ",
        "exactly one final receipt for it, and it says Failed",
        "its normalizedReceipts name MessageExpired",
        "errorInfo: \"Message delivery failed with the following payload: [MessageExpired - ",
        "the conversation's errorInfo names MessageExpired",
        "the customer never saw it",
        "All scenes held.",
    ];
    let mut rest = transcript.as_str();
    for step in scenes {
        let (_, after) =
            rest.split_once(step).unwrap_or_else(|| panic!("in its place: {step}\n{transcript}"));
        rest = after;
    }
    assert!(rest.contains(&format!("tidegate audit --store {store}")), "{rest}");
    // Every line of a scene begins with the time.
    let times: Vec<f64> = transcript
        .lines()
        .filter_map(|line| line.trim_start().split_once("s  ")?.0.parse().ok())
        .collect();
    assert!(times.len() > 30 && times.is_sorted(), "{times:?}");
    assert!(*times.last().expect("some") < 25.0, "{times:?}");

    let (code, report) = audit(&store);
    assert_eq!(code, Some(0), "{report}");
    assert!(report.starts_with("2 conversations, 8 messages, "), "{report}");
    assert!(report.contains("; 0 messages open, 0 receipts owed"), "{report}");
}
