//! One run of a program: what it is given, how much it may take, and what it comes to.
//!
//! A program is given its arguments, its environment, its input and the folders that the job names. It has clocks and
//! random numbers, and nothing else: no network, no other files, nothing of the worker's environment.

use queuectl_plugin_api::{Outcome, RunHandle};
use wasmtime::{InstancePre, ResourceLimiter, Store};
use wasmtime_wasi::p1::WasiP1Ctx;
use wasmtime_wasi::p2::bindings::CommandPre;
use wasmtime_wasi::p2::pipe::MemoryInputPipe;
use wasmtime_wasi::{FsPerms, I32Exit, WasiCtx, WasiCtxView, WasiView};

use crate::allowance::{OPEN_FILES, Refused};
use crate::ending;
use crate::output::Stream;
use crate::payload::Plan;

/// Most elements in all tables of a program together: functions that it can call indirectly, mostly.
const TABLE_ELEMENTS: usize = 1 << 20;

/// A program that is compiled and linked.
#[derive(Clone)]
pub enum Program {
    /// A module for WASI preview 1.
    Module(InstancePre<State>),
    /// A component for WASI preview 2.
    Component(CommandPre<State>),
}

/// What belongs to one run of a program.
pub struct State {
    /// What WASI gives it.
    pub wasi: WasiP1Ctx,
    limits: Limits,
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        self.wasi.ctx()
    }
}

impl State {
    /// Opens the folders that the plan names, so it may have to wait for a disk.
    pub fn new(plan: &Plan, run: &[(&str, String)], handle: &RunHandle) -> Result<State, Outcome> {
        let mut wasi = WasiCtx::builder();
        wasi.args(&plan.argv)
            .envs(&plan.env)
            .envs(run)
            .stdin(MemoryInputPipe::new(plan.stdin.clone()))
            .stdout(Stream::Out(handle.clone()))
            .stderr(Stream::Err(handle.clone()))
            .allow_tcp(false)
            .allow_udp(false)
            .allow_ip_name_lookup(false);
        for dir in &plan.dirs {
            let permissions = if dir.read_only {
                FsPerms::ReadOnly
            } else {
                FsPerms::ReadWrite
            };
            wasi.preopened_dir(&dir.host, &dir.guest, permissions)
                .map_err(|error| {
                    Outcome::failed(format!(
                        "cannot open the folder {}: {error:#}",
                        dir.host.display()
                    ))
                })?;
        }
        let mut wasi = wasi.build_p1();
        // Standard streams and the folders count, too.
        wasi.ctx().table.set_max_capacity(OPEN_FILES + plan.dirs.len());
        let limits = Limits {
            memory: plan.memory,
            taken: 0,
            elements: 0,
            refused: Refused::default(),
        };
        Ok(State { wasi, limits })
    }
}

/// Counts what a program takes, over all its memories and tables.
struct Limits {
    memory: u64,
    taken: usize,
    elements: usize,
    refused: Refused,
}

impl ResourceLimiter for Limits {
    fn memory_growing(&mut self, now: usize, wanted: usize, _most: Option<usize>) -> wasmtime::Result<bool> {
        let taken = self.taken.saturating_add(wanted.saturating_sub(now));
        let fits = taken as u64 <= self.memory;
        if fits {
            self.taken = taken;
        } else {
            // The program is told, as the standard says, and may go on with what it has. If it fails, this is why.
            self.refused.set(taken);
        }
        Ok(fits)
    }

    fn table_growing(&mut self, now: usize, wanted: usize, _most: Option<usize>) -> wasmtime::Result<bool> {
        let elements = self.elements.saturating_add(wanted.saturating_sub(now));
        let fits = elements <= TABLE_ELEMENTS;
        if fits {
            self.elements = elements;
        }
        Ok(fits)
    }
}

/// Runs a program to its end. Dropping this future stops it.
pub async fn run(program: &Program, state: State, plan: &Plan, handle: &RunHandle) -> Outcome {
    let refused = state.limits.refused.clone();
    let engine = match program {
        Program::Module(module) => module.module().engine(),
        Program::Component(component) => component.engine(),
    };
    let mut store = Store::new(engine, state);
    store.limiter(|state| &mut state.limits);
    store.set_epoch_deadline(1);
    store.epoch_deadline_async_yield_and_update(1);
    if let Some(fuel) = plan.fuel
        && let Err(error) = store.set_fuel(fuel)
    {
        return Outcome::system_failure(format!("the engine counts no fuel: {error:#}"));
    }
    let ended = call(program, &mut store).await;
    if let (Some(fuel), Ok(left)) = (plan.fuel, store.get_fuel()) {
        handle.event("fuel", &format!("used {} of {fuel}", fuel - left));
    }
    match ended {
        Ok(()) => Outcome::succeeded().with_exit_code(0),
        Err(Ended::Start(error)) => ending::of_start(&error, plan, &refused),
        Err(Ended::Run(error)) => ending::of_run(&error, plan, &refused, handle),
    }
}

/// Where a program came to its end, other than by returning.
enum Ended {
    Start(wasmtime::Error),
    Run(wasmtime::Error),
}

async fn call(program: &Program, store: &mut Store<State>) -> Result<(), Ended> {
    match program {
        Program::Module(module) => {
            let instance = module
                .instantiate_async(&mut *store)
                .await
                .map_err(Ended::Start)?;
            let main = instance.get_typed_func::<(), ()>(&mut *store, "_start");
            main.map_err(Ended::Run)?
                .call_async(&mut *store, ())
                .await
                .map_err(Ended::Run)
        }
        Program::Component(component) => {
            let command = component
                .instantiate_async(&mut *store)
                .await
                .map_err(Ended::Start)?;
            let ended = command
                .wasi_cli_run()
                .call_run(&mut *store)
                .await
                .map_err(Ended::Run)?;
            // A component that fails without a status of its own.
            ended.map_err(|()| Ended::Run(I32Exit(1).into()))
        }
    }
}
