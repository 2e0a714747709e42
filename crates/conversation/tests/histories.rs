//! Random histories: whatever the world does, in whatever order, with crashes in between, the
//! invariants hold.
//!
//! A failure is shrunk by proptest to the shortest list of [`Event`]s, and printed with the journal
//! they led to.

mod world;

use std::cell::Cell;
use std::time::Duration;

use conversation::{
    AfterFailure, CustomerLeft, DeliveredOn, HandshakeStart, InboundPolicy, NoticeKind, OnUnknown,
    Policy, SendReceipts,
};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use world::{Event, World, event};

/// Together the two tests run 200,000 histories.
const HISTORIES: u32 = 100_000;

fn policy() -> impl Strategy<Value = Policy> {
    let hold = (1_u64..60, 1_usize..5, any::<bool>(), any::<bool>());
    let delivery = (1_u64..400, 1_u64..2_000, 0_u64..40_000, any::<bool>(), 0_u8..3);
    let receipts = (0_u8..3, 0_u8..3, 1_u64..120, any::<bool>());
    (hold, delivery, receipts, 0_u8..8, any::<bool>()).prop_map(
        |(hold, delivery, receipts, notices, left)| {
            let mut policy = Policy::default();
            policy.hold.limit = Duration::from_secs(hold.0);
            policy.hold.max_messages = hold.1;
            policy.hold.start =
                if hold.2 { HandshakeStart::FirstInbound } else { HandshakeStart::FirstOutbound };
            policy.hold.inbound =
                if hold.3 { InboundPolicy::Forward } else { InboundPolicy::AfterHandshake };
            policy.delivery.give_up_after = Duration::from_secs(delivery.0);
            policy.delivery.retry_initial = Duration::from_millis(delivery.1);
            policy.delivery.retry_max = Duration::from_millis(delivery.2);
            policy.delivery.on_unknown =
                if delivery.3 { OnUnknown::Retry } else { OnUnknown::Fail };
            policy.delivery.after_failure =
                [AfterFailure::Continue, AfterFailure::FailRest, AfterFailure::Pause]
                    [usize::from(delivery.4)];
            policy.receipts.send = [SendReceipts::Final, SendReceipts::All, SendReceipts::Failures]
                [usize::from(receipts.0)];
            policy.receipts.delivered_on =
                [DeliveredOn::Auto, DeliveredOn::Accepted, DeliveredOn::Reported]
                    [usize::from(receipts.1)];
            policy.receipts.report_timeout = Duration::from_secs(receipts.2);
            policy.service_reports = receipts.3;
            let kinds = [NoticeKind::Held, NoticeKind::Expired, NoticeKind::Failed];
            policy.notices = kinds
                .into_iter()
                .enumerate()
                .filter(|(bit, _)| notices & (1 << bit) != 0)
                .map(|(_, k)| k)
                .collect();
            policy.on_customer_left =
                if left { CustomerLeft::Disconnect } else { CustomerLeft::Ignore };
            policy
        },
    )
}

#[test]
fn the_invariants_hold_under_the_default_policy() {
    explore(Just(Policy::default()));
}

#[test]
fn the_invariants_hold_under_any_policy() {
    explore(policy());
}

fn explore(policy: impl Strategy<Value = Policy>) {
    let config =
        ProptestConfig { cases: HISTORIES, failure_persistence: None, ..ProptestConfig::default() };
    let (mut runner, steps) = (TestRunner::new(config), Cell::new(0_u64));
    let history = (policy, prop::collection::vec(event(), 1..40));
    let explored = runner.run(&history, |(policy, events)| {
        steps.set(steps.get() + events.len() as u64);
        play(policy, &events)
    });
    if let Err(broken) = explored {
        panic!("{broken}");
    }
    println!("{HISTORIES} histories held, checked after each of their {} steps", steps.get());
}

fn play(policy: Policy, events: &[Event]) -> Result<(), TestCaseError> {
    let mut world = World::new(policy);
    for event in events {
        world.happens(*event);
        if let Err(what) = world.check() {
            return Err(TestCaseError::fail(format!(
                "{what}\nafter {event:?}, with this journal:\n{}",
                world.journal()
            )));
        }
    }
    // The faults stop: every accepted message must end, in bounded time.
    if let Err(what) = world.settle_down() {
        return Err(TestCaseError::fail(format!(
            "{what}\nafter the faults stopped, with this journal:\n{}",
            world.journal()
        )));
    }
    Ok(())
}
