//! What many who look at the dashboard share, read at most once in a while, so that a hundred of them cost what one does.

mod causes;
mod charts;

use std::sync::Arc;
use std::time::{Duration, Instant};

use queuectl_pages::Charts;
use queuectl_storage::{Store, StoreError};
use queuectl_views::{CauseView, StatusView};
use tokio::sync::Mutex;

use crate::problem::Problem;
use crate::stores::Stores;

/// How many times as long as reading took something is fresh at least.
const SHARE: u32 = 10;
/// How old each may be.
const STATUS: Duration = Duration::from_millis(500);
const CHARTS: Duration = Duration::from_secs(10);
const CAUSES: Duration = Duration::from_secs(5);

/// What is shared.
#[derive(Default)]
pub struct Shared {
    status: Kept<StatusView>,
    charts: Kept<Charts>,
    causes: Kept<(Vec<CauseView>, Option<usize>)>,
}

impl Shared {
    /// The queue as a whole.
    pub async fn status(&self, stores: &Stores) -> Result<Arc<StatusView>, Problem> {
        self.status.read(stores, STATUS, status).await
    }

    /// How the last hour went.
    pub async fn charts(&self, stores: &Stores) -> Result<Arc<Charts>, Problem> {
        self.charts.read(stores, CHARTS, charts::load).await
    }

    /// What the newest dead jobs died of, and how many were looked at if not all.
    pub async fn causes(&self, stores: &Stores) -> Result<Arc<(Vec<CauseView>, Option<usize>)>, Problem> {
        self.causes.read(stores, CAUSES, causes::newest).await
    }
}

/// Reads how the queue stands; how much room it takes is not shown.
fn status(store: &mut Store) -> Result<StatusView, StoreError> {
    let now = store.now()?;
    queuectl_frontend::status::load(store, None, now)
}

/// Something that was read, and until when it is fresh. Those who come while it is read wait for that.
struct Kept<T>(Mutex<Option<(Instant, Arc<T>)>>);

impl<T> Default for Kept<T> {
    fn default() -> Kept<T> {
        Kept(Mutex::new(None))
    }
}

impl<T: Send + 'static> Kept<T> {
    async fn read(
        &self,
        stores: &Stores,
        oldest: Duration,
        read: fn(&mut Store) -> Result<T, StoreError>,
    ) -> Result<Arc<T>, Problem> {
        let mut kept = self.0.lock().await;
        if let Some((until, value)) = kept.as_ref()
            && Instant::now() < *until
        {
            return Ok(Arc::clone(value));
        }
        let start = Instant::now();
        let value = Arc::new(stores.ask(read).await?);
        // What takes long is read less often.
        let until = Instant::now() + oldest.max(start.elapsed() * SHARE);
        *kept = Some((until, Arc::clone(&value)));
        Ok(value)
    }
}
