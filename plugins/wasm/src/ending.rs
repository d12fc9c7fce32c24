//! From the way a program ended to the outcome of its run, and the words for it.

use std::fmt::Write as _;

use queuectl_plugin_api::{Outcome, RunHandle};
use wasmtime::{Trap, WasmBacktrace};
use wasmtime_wasi::{I32Exit, ResourceTableError};

use crate::allowance::{OPEN_FILES, Refused};
use crate::payload::Plan;

/// The program could not be set up, or ended while it was.
pub fn of_start(error: &wasmtime::Error, plan: &Plan, refused: &Refused) -> Outcome {
    if error.is::<I32Exit>() || error.is::<Trap>() {
        return outcome(error, plan, refused);
    }
    match refused.in_words(plan.memory) {
        Some(why) => Outcome::failed(why),
        // The module is valid and linked, so what is missing is the worker's: memory or address space.
        None => Outcome::system_failure(format!("the program cannot be set up: {error:#}")),
    }
}

/// The program ran and did not return. Where it trapped goes into its output.
pub fn of_run(error: &wasmtime::Error, plan: &Plan, refused: &Refused, handle: &RunHandle) -> Outcome {
    if let Some(trace) = error.downcast_ref::<WasmBacktrace>()
        && !error.is::<I32Exit>()
    {
        handle.error_output(trace_in_words(trace).as_bytes());
    }
    outcome(error, plan, refused)
}

fn outcome(error: &wasmtime::Error, plan: &Plan, refused: &Refused) -> Outcome {
    let why_memory = || match refused.in_words(plan.memory) {
        Some(why) => format!(" ({why})"),
        None => String::new(),
    };
    if let Some(I32Exit(status)) = error.downcast_ref() {
        return match status {
            0 => Outcome::succeeded().with_exit_code(0),
            _ => Outcome::failed(format!("exit status {status}{}", why_memory())).with_exit_code(*status),
        };
    }
    match error.downcast_ref::<Trap>() {
        Some(Trap::OutOfFuel) => Outcome::failed(format!(
            "out of fuel: it used all of its {} units; raise payload.fuel if it should do more",
            plan.fuel.unwrap_or_default()
        )),
        Some(Trap::StackOverflow) => Outcome::failed("trap: stack overflow: its calls are nested too deeply"),
        Some(Trap::UnreachableCodeReached) => Outcome::failed(format!(
            "trap: unreachable: it gave up, by a panic or abort, say{}",
            why_memory()
        )),
        Some(trap) => Outcome::failed(format!("trap: {}{}", words(*trap), why_memory())),
        None if matches!(error.downcast_ref(), Some(ResourceTableError::Full)) => Outcome::failed(format!(
            "too many open files: it may have {OPEN_FILES} open beside its dirs"
        )),
        // What wraps the root cause is the trace, which is in the output.
        None => Outcome::failed(format!("{}{}", error.root_cause(), why_memory())),
    }
}

/// The trap, without saying that it is one.
fn words(trap: Trap) -> String {
    let text = trap.to_string();
    text.strip_prefix("wasm trap: ").unwrap_or(&text).to_owned()
}

fn trace_in_words(trace: &WasmBacktrace) -> String {
    let mut text = "the program failed, innermost function first:\n".to_owned();
    for frame in trace.frames() {
        let name = frame
            .func_name()
            .map_or_else(|| format!("function {}", frame.func_index()), str::to_owned);
        // Writing into a text does not fail.
        let _ = writeln!(text, "  in {name}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Chosen;
    use crate::size::Size;

    fn of(error: wasmtime::Error) -> Outcome {
        let request = serde_json::json!({"payload": {"module": "/a", "fuel": 5}});
        let chosen = Chosen {
            max_memory: Size(1 << 20),
            ..Chosen::default()
        };
        let plan = serde_json::from_value(request).map(|request| Plan::new(&request, &chosen));
        let plan = plan.expect("it is valid").expect("it is valid");
        outcome(&error, &plan, &Refused::default())
    }

    #[test]
    fn every_end_has_its_words() {
        assert_eq!(of(I32Exit(0).into()), Outcome::succeeded().with_exit_code(0));
        assert_eq!(
            of(I32Exit(3).into()),
            Outcome::failed("exit status 3").with_exit_code(3)
        );
        let fuel = "out of fuel: it used all of its 5 units; raise payload.fuel if it should do more";
        assert_eq!(of(Trap::OutOfFuel.into()), Outcome::failed(fuel));
        let zero = "trap: integer divide by zero";
        assert_eq!(of(Trap::IntegerDivisionByZero.into()), Outcome::failed(zero));
        assert_eq!(of(wasmtime::Error::msg("odd")), Outcome::failed("odd"));
    }
}
