//! What operators read, for histories that the real state machine makes, and for damaged ones.

mod agent_messages;
mod conversations;
mod customer_messages;
mod hostile;
mod random;
mod story;
