//! Two lanes that write, one for what comes in and one for what is decided. Each commits whatever has gathered while the
//! last commit was on its way (group commit without a timer), and answers nobody before the commit has returned.

use std::future::Future;
use std::sync::Mutex;

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio_postgres::{Client, Config};

use super::accept::accept;
use super::append::{Step, append};
use super::link::{Error, Link};
use crate::{Arrival, StoreError, Stored};

/// The most that one commit takes.
const BATCH: usize = 512;
/// How many may wait before callers have to.
const QUEUE: usize = 4_096;
/// How often a batch is tried where another transaction is in its way.
const CONFLICTS: usize = 5;

/// Begins a transaction whose commit is on the disk when it returns, whatever the database's default is. A node that is
/// paused or cut off in the middle of one holds locks that others wait for: the database ends it after a while.
const BEGIN: &str = "begin; set local idle_in_transaction_session_timeout = '2s';
                     select set_config('synchronous_commit', 'on', true)
                     where current_setting('synchronous_commit') = 'off'";

/// What a lane writes.
pub(super) trait Job: Sized + Send + Sync + 'static {
    type Answer: Send + 'static;

    /// Writes all of it within the transaction, and answers each in order.
    fn write(
        client: &Client,
        batch: &[Self],
    ) -> impl Future<Output = Result<Vec<Self::Answer>, Error>> + Send;
}

impl Job for Arrival {
    type Answer = Stored;

    async fn write(client: &Client, batch: &[Self]) -> Result<Vec<Stored>, Error> {
        accept(client, batch).await
    }
}

impl Job for Step {
    type Answer = Option<bool>;

    async fn write(client: &Client, batch: &[Self]) -> Result<Vec<Option<bool>>, Error> {
        append(client, batch).await
    }
}

type Answer<J> = oneshot::Sender<Result<<J as Job>::Answer, StoreError>>;

enum Asked<J: Job> {
    Write(J, Answer<J>),
    /// Wants to know when all that came before is durable or refused.
    Settled(oneshot::Sender<()>),
}

pub(super) struct Lane<J: Job> {
    jobs: Mutex<Option<mpsc::Sender<Asked<J>>>>,
    task: Mutex<Option<JoinHandle<()>>>,
}

impl<J: Job> Lane<J> {
    pub(super) fn start(config: &Config) -> Self {
        let (jobs, queue) = mpsc::channel(QUEUE);
        let task = tokio::spawn(run(Link::new(config), queue));
        Self { jobs: Mutex::new(Some(jobs)), task: Mutex::new(Some(task)) }
    }

    pub(super) async fn ask(&self, job: J) -> Result<J::Answer, StoreError> {
        let (answer, answered) = oneshot::channel();
        self.put(Asked::Write(job, answer)).await?;
        answered.await.map_err(|_| closed())?
    }

    /// Waits until whatever was asked before is durable or refused.
    pub(super) async fn settled(&self) -> Result<(), StoreError> {
        let (answer, answered) = oneshot::channel();
        self.put(Asked::Settled(answer)).await?;
        answered.await.map_err(|_| closed())
    }

    async fn put(&self, asked: Asked<J>) -> Result<(), StoreError> {
        let jobs = self.jobs.lock().map_err(|_| closed())?.clone().ok_or_else(closed)?;
        jobs.send(asked).await.map_err(|_| closed())
    }

    /// Lets what is queued be committed, then ends the lane.
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

async fn run<J: Job>(link: Link, mut queue: mpsc::Receiver<Asked<J>>) {
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

async fn write<J: Job>(link: &Link, jobs: &[J], answers: Vec<Answer<J>>) {
    if jobs.is_empty() {
        return;
    }
    match commit(link, jobs).await {
        Ok(all) => tell(answers, all.into_iter().map(Ok)),
        Err(error) if error.is_of_the_data() => {
            // One of them cannot be written, ever: it must not keep the others from it.
            for (job, answer) in jobs.iter().zip(answers) {
                let one = commit(link, std::slice::from_ref(job)).await;
                let _ = answer
                    .send(one.map_err(refused).and_then(|mut all| all.pop().ok_or_else(closed)));
            }
        }
        Err(error) => {
            tracing::warn!(%error, "the database cannot write");
            let why = error.to_string();
            tell(answers, std::iter::repeat_with(|| Err(StoreError::Unavailable(why.clone()))));
        }
    }
}

/// Whoever asked may have gone; the commit stands all the same.
fn tell<T>(answers: Vec<oneshot::Sender<T>>, all: impl IntoIterator<Item = T>) {
    for (answer, one) in answers.into_iter().zip(all) {
        drop(answer.send(one));
    }
}

/// What the database does not take now, it may later; what it says of the data itself stays true.
fn refused(error: Error) -> StoreError {
    if error.is_of_the_data() { StoreError::Corrupt(error.to_string()) } else { error.into() }
}

async fn commit<J: Job>(link: &Link, jobs: &[J]) -> Result<Vec<J::Answer>, Error> {
    let mut tries = 1;
    loop {
        let done = transaction(link, async |client| J::write(client, jobs).await).await;
        match done {
            Err(error) if error.is_conflict() && tries < CONFLICTS => tries += 1,
            done => return done,
        }
    }
}

/// Runs `work` in a transaction of its own.
pub(super) async fn transaction<T>(
    link: &Link,
    work: impl AsyncFnOnce(&Client) -> Result<T, Error>,
) -> Result<T, Error> {
    link.alone(async |client| {
        client.batch_execute(BEGIN).await?;
        let done = work(&client).await?;
        client.batch_execute("commit").await?;
        Ok(done)
    })
    .await
}
