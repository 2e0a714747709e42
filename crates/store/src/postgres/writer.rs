//! Two lanes that write, one for arrivals and one for steps. Each commits all jobs that arrived
//! during its last commit (group commit without a timer). It answers no job before the commit has
//! returned.

use std::future::Future;
use std::sync::Mutex;

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio_postgres::{Client, Config};

use super::accept::accept;
use super::alive::TaskHealth;
use super::append::{TokenedAppend, append};
use super::link::{Error, PgConnection};
use crate::mistake::{self, Mistake};
use crate::{Acceptance, Arrival, Cause, Chain, StoreError, failpoint};

/// The most jobs that one commit takes.
const BATCH: usize = 512;
/// How many jobs may wait before callers must wait too.
const QUEUE: usize = 4_096;
/// How often a batch is tried if it conflicts with another transaction.
const CONFLICTS: usize = 5;

/// Begins a transaction whose commit is on disk when it returns, whatever the database's default
/// is. A node that is paused or cut off during a transaction holds locks that other nodes wait for.
/// So the database ends a transaction that is idle for 2 s.
const BEGIN: &str = "begin; set local idle_in_transaction_session_timeout = '2s';
                     select set_config('synchronous_commit', 'on', true)
                     where current_setting('synchronous_commit') = 'off'";

/// What a lane writes.
pub(super) trait Job: Sized + Send + Sync + 'static {
    type Answer: Send + 'static;

    /// The lane's name, in the log and for failpoints.
    const LANE: &'static str;

    /// Writes the batch within the caller's transaction. Returns the answers in the order of the
    /// jobs.
    fn write(
        client: &Client,
        batch: &[Self],
    ) -> impl Future<Output = Result<Vec<Self::Answer>, Error>> + Send;
}

impl Job for Arrival {
    type Answer = Acceptance;
    const LANE: &'static str = "arrivals";

    async fn write(client: &Client, batch: &[Self]) -> Result<Vec<Acceptance>, Error> {
        accept(client, batch).await
    }
}

impl Job for TokenedAppend {
    type Answer = Option<bool>;
    const LANE: &'static str = "steps";

    async fn write(client: &Client, batch: &[Self]) -> Result<Vec<Option<bool>>, Error> {
        append(client, batch).await
    }
}

type Answer<J> = oneshot::Sender<Result<<J as Job>::Answer, StoreError>>;

enum Asked<J: Job> {
    Write(J, Answer<J>),
    /// Answered once all earlier requests are durable or refused.
    Settled(oneshot::Sender<()>),
}

pub(super) struct Lane<J: Job> {
    jobs: Mutex<Option<mpsc::Sender<Asked<J>>>>,
    task: Mutex<Option<JoinHandle<()>>>,
}

impl<J: Job> Lane<J> {
    pub(super) fn start(config: &Config, alive: &TaskHealth) -> Self {
        let (jobs, queue) = mpsc::channel(QUEUE);
        let task = alive.spawn(J::LANE, run(PgConnection::new(config), queue));
        Self { jobs: Mutex::new(Some(jobs)), task: Mutex::new(Some(task)) }
    }

    pub(super) async fn ask(&self, job: J) -> Result<J::Answer, StoreError> {
        let (answer, answered) = oneshot::channel();
        self.put(Asked::Write(job, answer)).await?;
        answered.await.map_err(|_| closed())?
    }

    /// Waits until all earlier requests are durable or refused.
    pub(super) async fn settled(&self) -> Result<(), StoreError> {
        let (answer, answered) = oneshot::channel();
        self.put(Asked::Settled(answer)).await?;
        answered.await.map_err(|_| closed())
    }

    async fn put(&self, asked: Asked<J>) -> Result<(), StoreError> {
        let jobs = self.jobs.lock().map_err(|_| closed())?.clone().ok_or_else(closed)?;
        jobs.send(asked).await.map_err(|_| closed())
    }

    /// Commits what is queued, then ends the lane.
    pub(super) async fn stop(&self) {
        if let Ok(mut jobs) = self.jobs.lock() {
            jobs.take();
        }
        let task = self.task.lock().ok().and_then(|mut task| task.take());
        if let Some(task) = task {
            let _ = task.await;
        }
    }
}

fn closed() -> StoreError {
    StoreError::Unavailable("it is closed".into())
}

async fn run<J: Job>(link: PgConnection, mut queue: mpsc::Receiver<Asked<J>>) {
    let mut asked = Vec::with_capacity(BATCH);
    while queue.recv_many(&mut asked, BATCH).await > 0 {
        let (mut jobs, mut answers, mut settled) = (Vec::new(), Vec::new(), Vec::new());
        for asked in asked.drain(..) {
            match asked {
                Asked::Write(job, answer) => {
                    jobs.push(job);
                    answers.push(answer);
                }
                Asked::Settled(answer) => settled.push(answer),
            }
        }
        write(&link, &jobs, answers).await;
        for answer in settled {
            let _ = answer.send(());
        }
    }
}

async fn write<J: Job>(link: &PgConnection, jobs: &[J], answers: Vec<Answer<J>>) {
    if jobs.is_empty() {
        return;
    }
    failpoint::reached(J::LANE);
    match commit(link, jobs).await {
        Ok(all) => tell(answers, all.into_iter().map(Ok)),
        Err(error) if error.is_of_the_data() => {
            // One of the jobs can never be written. It must not block the others, so each is
            // written alone.
            for (job, answer) in jobs.iter().zip(answers) {
                let one = commit(link, std::slice::from_ref(job)).await;
                let _ = answer
                    .send(one.map_err(refused).and_then(|mut all| all.pop().ok_or_else(closed)));
            }
        }
        Err(error) => {
            tracing::warn!(error = %Chain(&error), "the database cannot write");
            let why = Cause::from(error);
            tell(answers, std::iter::repeat_with(|| Err(StoreError::Unavailable(why.clone()))));
        }
    }
}

/// Answers the callers. If a caller has gone, the commit is still valid.
fn tell<T>(answers: Vec<oneshot::Sender<T>>, all: impl IntoIterator<Item = T>) {
    for (answer, one) in answers.into_iter().zip(all) {
        drop(answer.send(one));
    }
}

/// Classifies the error of one job. An error about the data is permanent; after any other, the
/// database may take the write later.
fn refused(error: Error) -> StoreError {
    if error.is_of_the_data() { StoreError::Corrupt(error.into()) } else { error.into() }
}

async fn commit<J: Job>(link: &PgConnection, jobs: &[J]) -> Result<Vec<J::Answer>, Error> {
    let mut tries = 1;
    loop {
        let done = transaction(link, async |client| J::write(client, jobs).await).await;
        match done {
            Err(error) if error.is_conflict() && tries < CONFLICTS => tries += 1,
            done => return done,
        }
    }
}

/// Runs `work` in its own transaction.
pub(super) async fn transaction<T>(
    link: &PgConnection,
    work: impl AsyncFnOnce(&Client) -> Result<T, Error>,
) -> Result<T, Error> {
    link.alone(async |client| {
        let sql = mistake::sql(Mistake::NotSynced, BEGIN, "= 'off'", "= 'never'");
        client.batch_execute(&sql).await?;
        let done = work(&client).await?;
        client.batch_execute("commit").await?;
        Ok(done)
    })
    .await
}
