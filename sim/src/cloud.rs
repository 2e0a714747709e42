//! What Genesys Cloud knows: receipts, customers' messages, and which conversations have ended.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::spells::Spells;

/// What Genesys knows.
pub(crate) struct Cloud {
    pub(crate) token: u64,
    /// Receipts of each message, as details show them.
    pub(crate) receipts: BTreeMap<String, Vec<Value>>,
    /// Each customer's messages in the order in which they came for the first time.
    pub(crate) inbound: Vec<Vec<u64>>,
    /// How often each customer's conversation has ended.
    ended: Vec<u32>,
    pub(crate) gone: BTreeSet<String>,
    /// Which kinds of call are in trouble.
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

    /// What Genesys calls the customer's conversation now.
    pub(crate) fn conversation(&self, customer: usize) -> String {
        format!("g-{customer}-{}", self.ended[customer])
    }

    /// The agent ends it.
    pub(crate) fn end(&mut self, customer: usize) {
        self.gone.insert(self.conversation(customer));
        self.ended[customer] += 1;
    }

    /// Whether a customer's message has come.
    pub(crate) fn has_heard(&self, customer: usize, number: u64) -> bool {
        self.inbound[customer].contains(&number)
    }
}
