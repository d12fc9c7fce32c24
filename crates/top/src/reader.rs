//! The thread that reads the store: only what is on the screen, when it changed, and never more than a small part of the time.

use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use queuectl_core::Timestamp;
use queuectl_storage::{Location, OpenMode, Store, StoreError};
use queuectl_views::StateCounts;

use crate::snapshot::{Ask, Content, PageOf, Snapshot, What};
use crate::{pages, tabs};

/// Even if nothing changed, times grow old, and a node that died changes nothing.
const OLDEST: Duration = Duration::from_secs(5);
/// The reader rests this many times as long as a look took.
const SHARE: u32 = 25;

/// How long a look may take before another reader is started for the next question.
const SLOW: Duration = Duration::from_millis(300);
/// Most readers at a time; what is slower still has to be waited for.
const READERS: usize = 4;

/// Passes questions to a reader. One that looks for long, because a filter goes through many jobs or a server is slow, does not
/// hold up the next question: another reader takes that, and the slow one ends after its look.
pub struct Readers<Start: FnMut(Receiver<Ask>, Arc<()>)> {
    start: Start,
    asks: Sender<Ask>,
    /// One reference is with each reader.
    alive: Arc<()>,
    /// The question that has no answer, and since when.
    open: Option<(u64, Instant)>,
}

impl<Start: FnMut(Receiver<Ask>, Arc<()>)> Readers<Start> {
    /// Starts the first one.
    pub fn new(mut start: Start) -> Readers<Start> {
        let alive = Arc::new(());
        let (asks, asked) = mpsc::channel();
        start(asked, Arc::clone(&alive));
        Readers {
            start,
            asks,
            alive,
            open: None,
        }
    }

    /// Asks something else from now on.
    pub fn ask(&mut self, ask: Ask) {
        let is_slow = self.open.is_some_and(|(_, since)| since.elapsed() >= SLOW);
        if is_slow && Arc::strong_count(&self.alive) <= READERS {
            let (asks, asked) = mpsc::channel();
            (self.start)(asked, Arc::clone(&self.alive));
            self.asks = asks;
            self.open = None;
        }
        // A question that comes while an older one is open waits as long as that did.
        let since = self.open.map_or_else(Instant::now, |(_, since)| since);
        self.open = Some((ask.number, since));
        // A reader that is gone has told so.
        let _ = self.asks.send(ask);
    }

    /// Takes that a question was answered.
    pub fn answered(&mut self, number: u64) {
        if self.open.is_some_and(|(open, _)| open == number) {
            self.open = None;
        }
    }
}

/// What the reader says.
pub enum Said {
    /// The store is open.
    Opened,
    Found(Box<Snapshot>),
    /// It could not be opened or read; `number` is the question's.
    Failed {
        number: u64,
        error: StoreError,
    },
}

/// Reads for as long as questions can come. The first reader says whether the store can be opened at all; a later one tries
/// again.
pub fn read_for(
    location: &Location,
    every: Duration,
    is_first: bool,
    asks: &Receiver<Ask>,
    mut say: impl FnMut(Said),
) {
    let open = || Store::open(location, OpenMode::MustExist);
    let mut opened = open();
    if is_first {
        match opened {
            Ok(_) => say(Said::Opened),
            Err(error) => return say(Said::Failed { number: 0, error }),
        }
    }
    let Ok(mut ask) = asks.recv() else { return };
    let mut store = loop {
        match opened {
            Ok(store) => break store,
            Err(error) => {
                let number = ask.number;
                say(Said::Failed { number, error });
            }
        }
        match asks.recv_timeout(every) {
            Ok(newer) => ask = newer,
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        opened = open();
    };
    loop {
        // Only the newest question is of interest.
        while let Ok(newer) = asks.try_recv() {
            ask = newer;
        }
        let start = Instant::now();
        let marker = store.change_marker().ok();
        let found = store.now().and_then(|now| find(&mut store, &ask, now));
        say(match found {
            Ok(found) => Said::Found(Box::new(found)),
            Err(error) => Said::Failed {
                number: ask.number,
                error,
            },
        });
        let pause = every.max(start.elapsed() * SHARE);
        match wait(&mut store, asks, &ask, marker, pause) {
            Waited::Asked(newer) => ask = newer,
            Waited::Changed => {}
            Waited::Ended => return,
        }
    }
}

enum Waited {
    Asked(Ask),
    Changed,
    Ended,
}

/// Waits until there is a new question, or the old one has another answer.
fn wait(store: &mut Store, asks: &Receiver<Ask>, ask: &Ask, marker: Option<i64>, pause: Duration) -> Waited {
    let start = Instant::now();
    loop {
        match asks.recv_timeout(pause) {
            Ok(newer) => return Waited::Asked(newer),
            Err(RecvTimeoutError::Disconnected) => return Waited::Ended,
            Err(RecvTimeoutError::Timeout) => {}
        }
        // A running job prints into a file.
        let grows = matches!(ask.what, What::Page(PageOf::Logs(_)));
        let changed = marker.is_none() || store.change_marker().ok() != marker;
        if grows || changed || start.elapsed() >= OLDEST {
            return Waited::Changed;
        }
    }
}

/// Answers a question.
pub fn find(store: &mut Store, ask: &Ask, at: Timestamp) -> Result<Snapshot, StoreError> {
    let mut counts = StateCounts::default();
    for count in store.counts(None)? {
        counts.add(count.state, count.jobs);
    }
    let content = match &ask.what {
        What::Tab { tab, filter, place } => tabs::load(*tab, store, filter, *place, ask.rows, at)?,
        What::Page(of) => Content::Page(pages::load(store, of, at)?),
    };
    Ok(Snapshot {
        number: ask.number,
        at,
        counts,
        content,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::Place;
    use crate::tab::Tab;

    fn ask(number: u64) -> Ask {
        Ask {
            number,
            what: What::Tab {
                tab: Tab::Jobs,
                filter: String::new(),
                place: Place::Top,
            },
            rows: 1,
        }
    }

    #[test]
    fn a_slow_look_does_not_hold_up_the_next_question() {
        let mut started = Vec::new();
        let mut readers = Readers::new(|asks, alive| started.push((asks, alive)));
        readers.ask(ask(1));
        readers.answered(1);
        readers.ask(ask(2));
        readers.ask(ask(3));
        assert_eq!(Arc::strong_count(&readers.alive), 2, "a quick one is waited for");
        for number in 4..20 {
            let long_ago = Instant::now().checked_sub(SLOW).unwrap();
            readers.open = Some((number - 1, long_ago));
            readers.ask(ask(number));
        }
        drop(readers);
        let asked = started
            .iter()
            .map(|(asks, _)| asks.iter().map(|ask| ask.number).collect());
        let asked: Vec<Vec<u64>> = asked.collect();
        let last: Vec<u64> = (6..20).collect();
        assert_eq!(asked, [vec![1, 2, 3], vec![4], vec![5], last]);
    }
}
