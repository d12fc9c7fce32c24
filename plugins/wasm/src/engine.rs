//! The engine that compiles and runs, in two kinds, and the thread that lets running programs be interrupted.
//!
//! A program runs as a task. At every tick of the clock a program in a loop hands its thread back to the runtime, so
//! that others run, too, and a run that must stop is dropped where it is. The clock ticks only while something runs.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use queuectl_plugin_api::Error;
use wasmtime::{Config, Engine};

/// How long a program in a loop keeps its thread.
const TICK: Duration = Duration::from_millis(10);

/// Stack for a program's calls, in bytes. The program's own data structures are in its memory, not here.
const STACK: usize = 1 << 20;

/// Two engines: counting fuel makes code slower, so only programs with a limit are compiled for it.
#[derive(Default)]
pub struct Engines {
    plain: OnceLock<Engine>,
    fueled: OnceLock<Engine>,
    clock: Clock,
}

impl Engines {
    /// The engine that counts fuel or does not.
    pub fn get(&self, fueled: bool) -> Result<&Engine, Error> {
        let place = if fueled { &self.fueled } else { &self.plain };
        if let Some(engine) = place.get() {
            return Ok(engine);
        }
        let mut config = Config::new();
        config
            .epoch_interruption(true)
            .consume_fuel(fueled)
            .max_wasm_stack(STACK)
            // The rest is for host functions that the program calls.
            .async_stack_size(2 * STACK);
        let engine = Engine::new(&config)
            .map_err(|error| Error::new(format!("the engine does not start: {error:#}")))?;
        Ok(place.get_or_init(|| engine))
    }

    /// The clock ticks until the guard is dropped.
    pub fn tick(self: &Arc<Self>) -> Result<Ticking, Error> {
        let mut state = self.clock.lock();
        if !state.started {
            let engines = Arc::clone(self);
            let thread = std::thread::Builder::new().name("wasm-clock".to_owned());
            thread.spawn(move || engines.run_clock()).map_err(|error| {
                Error::new(format!(
                    "cannot start the thread that interrupts programs: {error}"
                ))
            })?;
            state.started = true;
        }
        state.running += 1;
        if state.running == 1 {
            self.clock.changed.notify_one();
        }
        Ok(Ticking(Arc::clone(self)))
    }

    /// Ends the clock's thread, once nothing runs.
    pub fn shut_down(&self) {
        self.clock.lock().over = true;
        self.clock.changed.notify_one();
    }

    fn run_clock(&self) {
        let mut state = self.clock.lock();
        loop {
            if state.running == 0 {
                if state.over {
                    return;
                }
                state = self
                    .clock
                    .changed
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            let waited = self.clock.changed.wait_timeout(state, TICK);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
            for engine in [&self.plain, &self.fueled].into_iter().filter_map(OnceLock::get) {
                engine.increment_epoch();
            }
        }
    }
}

#[derive(Default)]
struct Clock {
    state: Mutex<ClockState>,
    changed: Condvar,
}

#[derive(Default)]
struct ClockState {
    started: bool,
    running: usize,
    over: bool,
}

impl Clock {
    fn lock(&self) -> MutexGuard<'_, ClockState> {
        // Numbers only; nothing is left half done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A program runs, so the clock ticks.
pub struct Ticking(Arc<Engines>);

impl Drop for Ticking {
    fn drop(&mut self) {
        self.0.clock.lock().running -= 1;
    }
}
