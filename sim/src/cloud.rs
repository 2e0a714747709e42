//! The state of Genesys Cloud: receipts, customers' messages, and which conversations have ended.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::spells::Spells;

/// The state of Genesys Cloud.
pub(crate) struct Cloud {
    pub(crate) token: u64,
    /// The receipts of each message, as its details show them.
    pub(crate) receipts: BTreeMap<String, Vec<Value>>,
    /// Each customer's messages, in the order in which they came for the first time.
    pub(crate) inbound: Vec<Vec<u64>>,
    /// How often each customer's conversation has ended.
    ended: Vec<u32>,
    pub(crate) gone: BTreeSet<String>,
    /// The kinds of call that have a lasting fault.
    pub(crate) spells: Spells,
}

impl Cloud {
    pub(crate) fn new(customers: usize) -> Self {
        Self {
            token: 1,
            receipts: BTreeMap::new(),
            inbound: vec![Vec::new(); customers],
            ended: vec![0; customers],
            gone: BTreeSet::new(),
            spells: Spells::default(),
        }
    }

    /// The current id of the customer's conversation.
    pub(crate) fn conversation(&self, customer: usize) -> String {
        format!("g-{customer}-{}", self.ended[customer])
    }

    /// The agent ends the customer's conversation.
    pub(crate) fn end(&mut self, customer: usize) {
        self.gone.insert(self.conversation(customer));
        self.ended[customer] += 1;
    }

    /// Whether a customer's message has come.
    pub(crate) fn has_heard(&self, customer: usize, number: u64) -> bool {
        self.inbound[customer].contains(&number)
    }
}
