//! Chooses what the writer does next.

use std::collections::VecDeque;

use tokio::sync::mpsc;

use super::job::WriterJob;
use crate::AppendPriority;

/// The most jobs that one commit takes. A larger batch gains nothing, and every caller in it waits
/// longer.
pub(super) const BATCH: usize = 512;
/// A commit takes at least this many low-priority appends, if that many wait, whatever else is
/// queued. So they never starve.
const MIN_LOW: usize = 64;
/// How many jobs may wait for the thread before callers must wait too.
pub(super) const QUEUE: usize = 4_096;

/// What waits for the next commit.
#[derive(Default)]
pub(super) struct Waiting {
    jobs: VecDeque<WriterJob>,
    /// Appends that no caller waits for.
    low: VecDeque<WriterJob>,
}

impl Waiting {
    /// Fills the next batch in order of arrival, except that lazy appends come after the other
    /// jobs. Blocks while nothing waits and the queue is empty. Returns false once the queue is
    /// also closed.
    pub(super) fn fill(
        &mut self,
        queue: &mut mpsc::Receiver<WriterJob>,
        batch: &mut Vec<WriterJob>,
    ) -> bool {
        if self.jobs.is_empty() && self.low.is_empty() {
            match queue.blocking_recv() {
                Some(job) => self.push(job),
                None => return false,
            }
        }
        while self.jobs.len() + self.low.len() < QUEUE
            && let Ok(job) = queue.try_recv()
        {
            self.push(job);
        }
        let low = self.low.len().min(MIN_LOW.max(BATCH.saturating_sub(self.jobs.len())));
        batch.extend(self.jobs.drain(..self.jobs.len().min(BATCH - low)));
        batch.extend(self.low.drain(..low));
        true
    }

    fn push(&mut self, job: WriterJob) {
        match job {
            WriterJob::Append(append, answer) if append.priority == AppendPriority::Low => {
                self.low.push_back(WriterJob::Append(append, answer));
            }
            WriterJob::Accept(..) | WriterJob::Append(..) | WriterJob::AcceptWithStep(..) => {
                self.jobs.push_back(job);
            }
            WriterJob::Look => {}
            // These come after all jobs that were requested before them, also after the lazy ones.
            WriterJob::Prune(..)
            | WriterJob::ForgetEvents(..)
            | WriterJob::Probe(_)
            | WriterJob::Work(..) => {
                self.jobs.append(&mut self.low);
                self.jobs.push_back(job);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use conversation::{ConversationId, IntegrationName};
    use jiff::Timestamp;
    use tokio::sync::oneshot;

    use super::*;
    use crate::Append;

    fn append(after: u64, priority: AppendPriority) -> WriterJob {
        let append = Append {
            conversation: ConversationId::new("c"),
            integration: IntegrationName::new("acme"),
            after,
            at: Timestamp::UNIX_EPOCH,
            records: vec![],
            taken: vec![],
            due: None,
            watched: None,
            standing: None,
            snapshot: None,
            priority,
        };
        WriterJob::Append(Box::new(append), oneshot::channel().0)
    }

    /// A number for each job: positive for an append, negative for a lazy append, 0 for a probe.
    fn told(jobs: &[WriterJob]) -> Vec<i64> {
        let told = jobs.iter().map(|job| match job {
            WriterJob::Append(append, _) => match append.priority {
                AppendPriority::Normal => append.after.cast_signed(),
                AppendPriority::Low => -append.after.cast_signed(),
            },
            _ => 0,
        });
        told.collect()
    }

    #[test]
    fn what_nobody_waits_for_lets_others_go_first_and_is_not_forgotten() {
        let (jobs, mut queue) = mpsc::channel(QUEUE);
        let send = |job| jobs.try_send(job).unwrap_or_else(|_| panic!("there is room"));
        for number in 1..=100 {
            send(append(number, AppendPriority::Low));
        }
        for number in 1..=600 {
            send(append(number, AppendPriority::Normal));
        }
        let (mut waiting, mut batch) = (Waiting::default(), Vec::new());
        assert!(waiting.fill(&mut queue, &mut batch));
        let first: Vec<i64> = (1..=448).chain((1..=64).map(|low| -low)).collect();
        assert_eq!(told(&batch), first);
        batch.clear();
        assert!(waiting.fill(&mut queue, &mut batch));
        assert_eq!(told(&batch), (449..=600).chain((65..=100).map(|low| -low)).collect::<Vec<_>>());
    }

    #[test]
    fn whoever_asks_whether_it_is_ready_comes_behind_all_that_was_asked_before() {
        let (jobs, mut queue) = mpsc::channel(QUEUE);
        let send = |job| jobs.try_send(job).unwrap_or_else(|_| panic!("there is room"));
        send(append(1, AppendPriority::Low));
        send(append(2, AppendPriority::Normal));
        send(WriterJob::Probe(oneshot::channel().0));
        send(append(3, AppendPriority::Normal));
        let (mut waiting, mut batch) = (Waiting::default(), Vec::new());
        assert!(waiting.fill(&mut queue, &mut batch));
        assert_eq!(told(&batch), [2, -1, 0, 3]);
        drop(jobs);
        batch.clear();
        assert!(!waiting.fill(&mut queue, &mut batch), "nothing is left, and nothing will come");
    }
}
