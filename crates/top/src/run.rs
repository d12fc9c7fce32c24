//! Starts the threads, and passes between them and the terminal what happens and what is to be done.

use std::io;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::Duration;

use crossterm::event::{self, KeyEventKind};
use queuectl_storage::{Location, StoreError};

use crate::app::{App, Effect, Event};
use crate::draw::{self, Theme};
use crate::reader::{Readers, Said};
use crate::snapshot::clean;
use crate::terminal::{self, Screen};
use crate::{actor, reader};

/// How to show which queue.
pub struct Options {
    /// The queue.
    pub location: Location,
    /// Whether nothing can be changed.
    pub readonly: bool,
    /// Least time between two looks at the queue.
    pub interval: Duration,
    /// Whether to use colours.
    pub colours: bool,
    /// Who pauses a queue.
    pub operator: String,
}

/// Why the view cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum TopError {
    /// Standard input or output is not a terminal, or a terminal that cannot be drawn on.
    #[error("top needs a terminal for input and output")]
    NoTerminal,
    /// The queue cannot be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The terminal failed.
    #[error("cannot use the terminal: {0}")]
    Terminal(io::Error),
    /// A part of the view ended by a panic.
    #[error("the part that {0} ended unexpectedly")]
    Died(&'static str),
}

/// What the threads tell the one that draws.
enum Message {
    Event(Event),
    Opened,
    Unopened(StoreError),
    /// A signal that ends programs came, or the terminal is gone.
    End,
    Died(&'static str),
}

/// Shows the queue until the user quits.
///
/// # Errors
/// [`TopError`]; the terminal is as it was.
pub fn run(options: Options) -> Result<(), TopError> {
    if !terminal::is_there() {
        return Err(TopError::NoTerminal);
    }
    let Options {
        location, interval, ..
    } = options;
    let (tell, messages) = mpsc::channel();
    let (acts, acted) = mpsc::channel();
    let name = clean(&location.to_string());
    let place = location.clone();
    let to_readers = tell.clone();
    let mut is_first = true;
    let mut readers = Readers::new(move |asked, alive| {
        let place = place.clone();
        let is_first = std::mem::take(&mut is_first);
        spawn("reads the queue", &to_readers, move |tell| {
            let _alive = alive;
            reader::read_for(&place, interval, is_first, &asked, |said| {
                // The view ends when this fails, and so does this thread.
                let _ = tell.send(message(said));
            });
        });
    });
    match messages.recv() {
        Ok(Message::Opened) => {}
        Ok(Message::Unopened(error)) => return Err(error.into()),
        _ => return Err(TopError::Died("reads the queue")),
    }
    let operator = options.operator;
    spawn("changes the queue", &tell, move |tell| {
        actor::act_for(&location, &operator, &acted, |report| {
            let _ = tell.send(Message::Event(Event::Done(report)));
        });
    });
    let mut screen = Screen::take().map_err(TopError::Terminal)?;
    signals(&tell).map_err(TopError::Terminal)?;
    spawn("reads the keys", &tell, keys);
    let size = screen.terminal.size().map_err(TopError::Terminal)?;
    let mut app = App::new(name, options.readonly, (size.width, size.height));
    let theme = Theme {
        colours: options.colours,
    };
    let first = app.ask();
    let mut effects = vec![first];
    loop {
        for effect in effects.drain(..) {
            // A thread that is gone has told so.
            match effect {
                Effect::Ask(ask) => readers.ask(ask),
                Effect::Act(act) => drop(acts.send(act)),
                Effect::Copy(text) => screen.copy(text).map_err(TopError::Terminal)?,
                Effect::Quit => return Ok(()),
            }
        }
        if terminal::is_ours() {
            let drawn = screen.terminal.draw(|frame| draw::draw(frame, &app, theme));
            drawn.map_err(TopError::Terminal)?;
        }
        for message in next(&messages) {
            match message {
                Message::Event(event) => {
                    match &event {
                        Event::Found(found) => readers.answered(found.number),
                        Event::Failed(number, _) => readers.answered(*number),
                        _ => {}
                    }
                    effects.extend(app.update(event));
                }
                Message::End => return Ok(()),
                Message::Died(what) => return Err(TopError::Died(what)),
                Message::Unopened(error) => return Err(error.into()),
                Message::Opened => {}
            }
        }
    }
}

fn message(said: Said) -> Message {
    match said {
        Said::Opened => Message::Opened,
        Said::Found(found) => Message::Event(Event::Found(found)),
        Said::Failed { number: 0, error } => Message::Unopened(error),
        Said::Failed { number, error } => {
            let text = clean(&error.to_string());
            Message::Event(Event::Failed(number, text))
        }
    }
}

/// Events that are taken before the next frame.
const AT_ONCE: usize = 100;

/// Waits for a message, and returns it with those that came meanwhile, so that keys that repeat do not wait for frames.
fn next(messages: &Receiver<Message>) -> Vec<Message> {
    let mut found: Vec<Message> = messages.recv().into_iter().collect();
    found.extend(messages.try_iter().take(AT_ONCE));
    found
}

/// Starts a thread that tells if it ends by a panic.
fn spawn(what: &'static str, tell: &Sender<Message>, body: impl FnOnce(&Sender<Message>) + Send + 'static) {
    struct Watch(&'static str, Sender<Message>);
    impl Drop for Watch {
        fn drop(&mut self) {
            if thread::panicking() {
                let _ = self.1.send(Message::Died(self.0));
            }
        }
    }
    let watch = Watch(what, tell.clone());
    thread::spawn(move || body(&watch.1));
}

/// Reads keys for as long as there is a terminal.
fn keys(tell: &Sender<Message>) {
    loop {
        let message = match event::read() {
            Ok(event::Event::Key(key)) if key.kind != KeyEventKind::Release => {
                Message::Event(Event::Key(key))
            }
            Ok(event::Event::Paste(text)) => Message::Event(Event::Paste(text)),
            Ok(event::Event::Resize(width, height)) => Message::Event(Event::Resize(width, height)),
            Ok(_) => continue,
            Err(_) => Message::End,
        };
        let is_end = matches!(message, Message::End);
        if tell.send(message).is_err() || is_end {
            return;
        }
    }
}

/// Has signals that end programs end this one in order.
#[cfg(unix)]
fn signals(tell: &Sender<Message>) -> io::Result<()> {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};

    let mut signals = signal_hook::iterator::Signals::new([SIGHUP, SIGINT, SIGQUIT, SIGTERM])?;
    spawn("hears signals", tell, move |tell| {
        for _ in signals.forever() {
            let _ = tell.send(Message::End);
        }
    });
    Ok(())
}

/// On Windows a key is all that asks a program in a terminal to end.
#[cfg(windows)]
fn signals(_: &Sender<Message>) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_panics_is_missed() {
        let (tell, messages) = mpsc::channel();
        spawn("is well", &tell, |tell| drop(tell.send(Message::Opened)));
        assert!(matches!(messages.recv(), Ok(Message::Opened)));
        spawn("breaks", &tell, |_| panic!("on purpose"));
        assert!(matches!(messages.recv(), Ok(Message::Died("breaks"))));
        drop(tell);
        assert!(messages.recv().is_err(), "one that ends in order says nothing");
    }
}
