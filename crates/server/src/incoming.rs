//! A body that is read as it comes, by a client that goes on sending: one that stands still, or sends a byte now and then, does not
//! keep the memory that its request has. Only the time counts for which the server waits for the client, not that in which it stores.

use std::time::Duration;

use axum::body::{Body, Bytes};
use http::StatusCode;
use http_body_util::BodyExt as _;
use tokio::time::{Instant, timeout};

use crate::problem::Problem;

/// How long a client may send nothing.
const SILENCE: Duration = Duration::from_secs(60);
/// How long a client may take, whatever it sends.
const WITHIN: Duration = Duration::from_secs(10 * 60);
/// How much more time it gets for each job, and for every 16 KiB of jobs.
const A_JOB: Duration = Duration::from_secs(1);
const BYTES_A_JOB: u64 = 16 * 1024;

/// The body of a request with many jobs.
pub struct Incoming {
    body: Body,
    /// For how long the client was waited for.
    waited: Duration,
    /// What it has sent in whole.
    jobs: u64,
    bytes: u64,
}

impl Incoming {
    pub fn new(body: Body) -> Incoming {
        Incoming {
            body,
            waited: Duration::ZERO,
            jobs: 0,
            bytes: 0,
        }
    }

    /// Says that a job was among what came, and how large it is.
    pub fn has(&mut self, bytes: usize) {
        self.jobs += 1;
        self.bytes += bytes as u64;
    }

    /// Waits for what comes next; none if that was all. `rest` is how much there is of a job that is not whole.
    pub async fn next(&mut self, rest: usize) -> Result<Option<Bytes>, Problem> {
        let earned = self.jobs + (self.bytes + rest as u64) / BYTES_A_JOB;
        let most = A_JOB.saturating_mul(u32::try_from(earned).unwrap_or(u32::MAX)) + WITHIN;
        let left = most.saturating_sub(self.waited);
        let begun = Instant::now();
        let frame = timeout(left.min(SILENCE), self.body.frame()).await;
        self.waited += begun.elapsed();
        match frame {
            Ok(None) => Ok(None),
            Ok(Some(Ok(frame))) => Ok(Some(frame.into_data().unwrap_or_default())),
            Ok(Some(Err(_))) => Err(broken("the connection was lost before the request was complete")),
            Err(_) if left <= SILENCE => Err(Problem::new(
                StatusCode::REQUEST_TIMEOUT,
                "slow",
                "the request takes too long: it has 10 minutes, and a second more for each job and for every 16 KiB",
            )),
            Err(_) => Err(broken("nothing came for 60 s")),
        }
    }
}

fn broken(what: &str) -> Problem {
    Problem::new(StatusCode::REQUEST_TIMEOUT, "broken_off", what)
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use futures_core::Stream;
    use tokio::sync::mpsc;

    use super::*;

    struct Pieces(mpsc::Receiver<Bytes>);

    impl Stream for Pieces {
        type Item = Result<Bytes, Infallible>;

        fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
            self.0.poll_recv(context).map(|piece| piece.map(Ok))
        }
    }

    /// Has a client send such a piece at such intervals, which is a whole job or not, and says why it was cut off, and when. None if
    /// it has sent that many.
    async fn sends(
        piece: usize,
        every: Duration,
        is_job: bool,
        most: usize,
    ) -> Option<(&'static str, Duration)> {
        let (sender, receiver) = mpsc::channel(1);
        tokio::spawn(async move {
            for _ in 0..most {
                tokio::time::sleep(every).await;
                if sender.send(vec![b'x'; piece].into()).await.is_err() {
                    return;
                }
            }
        });
        let begun = Instant::now();
        let mut incoming = Incoming::new(Body::from_stream(Pieces(receiver)));
        let mut rest = 0;
        loop {
            match incoming.next(rest).await {
                Ok(None) => return None,
                Ok(Some(bytes)) if is_job => incoming.has(bytes.len()),
                Ok(Some(bytes)) => rest += bytes.len(),
                Err(problem) => return Some((problem.code, begun.elapsed())),
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_sends_a_byte_now_and_then_is_cut_off_and_one_that_is_slow_is_not() {
        let second = Duration::from_secs(1);
        let (code, after) = sends(1, 50 * second, false, 1000).await.unwrap();
        assert_eq!((code, after), ("slow", WITHIN));
        let (code, after) = sends(100, 59 * second, true, 1000).await.unwrap();
        assert_eq!(code, "slow");
        assert!(after > WITHIN && after < WITHIN + 20 * second, "{after:?}");
        let (code, after) = sends(100, 61 * second, true, 1000).await.unwrap();
        assert_eq!((code, after), ("broken_off", SILENCE));
        // A job a second, or a large one over a slow line.
        assert_eq!(sends(100, second, true, 10_000).await, None);
        assert_eq!(sends(16 * 1024, second, false, 10_000).await, None);
        // The control: a little slower.
        let (code, _) = sends(15 * 1024, second, false, 20_000).await.unwrap();
        assert_eq!(code, "slow");
        assert_eq!(
            sends(100, 50 * second, true, 10).await,
            None,
            "a few jobs in between"
        );
    }
}
