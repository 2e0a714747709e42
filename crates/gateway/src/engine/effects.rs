//! Starts what a turn has decided.

use conversation::{Effect, Owed};
use tokio_util::sync::CancellationToken;

use super::calls::{Call, Calls};
use super::driver::Driver;
use super::loaded::{LoadedConversation, is_call};
use super::terms::CallTerms;

impl LoadedConversation {
    /// Starts one effect. Its records are durable.
    pub(super) fn execute(
        &mut self,
        Driver { engine, id, guard, .. }: &Driver,
        effect: Effect,
        calls: &Calls,
    ) {
        let terms = CallTerms::new(engine, guard, self.decided, self.latest(&effect));
        if is_call(&effect) {
            self.begun.push((effect.clone(), terms.called_off()));
        }
        let call = Call {
            engine,
            integration: &self.integration,
            conversation: id,
            guard,
            customer: &self.customer,
        };
        match effect {
            Effect::Open { attempt, tries } => {
                // The close of the last session must not close this one.
                if let Some(closing) = self.closing.take() {
                    closing.cancel();
                }
                calls.push(call.open(attempt, tries, terms));
            }
            Effect::Forward { message, attempt, session } => {
                calls.push(call.forward(message, attempt, session, terms));
            }
            Effect::Typing { on, duration } => call.typing(on, duration),
            Effect::Close { by } => {
                call.close(by, self.closing.insert(CancellationToken::new()).clone());
            }
            Effect::TellRefused { message, reason, attempt } => {
                calls.push(call.tell_refused(message, reason, attempt, terms));
            }
            Effect::CustomerTyping => {
                if let Some(signals) = engine.signals(&self.integration.name) {
                    signals.customer_types(self.customer.clone());
                }
            }
            Effect::Post(
                Owed::Receipt { .. }
                | Owed::Inbound { .. }
                | Owed::Notice { .. }
                | Owed::Disconnect { .. },
            ) => {
                // It is in the outbox already.
                if let Some(signals) = engine.signals(&self.integration.name) {
                    signals.outbox_changed.notify_one();
                }
            }
        }
    }
}
