//! Programs for the wasm executor, as text.

use std::time::Duration;

/// What programs import, and `$print ADDRESS LENGTH`. Addresses below 64 are for calls.
const WASI: &str = r#"
  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_read" (func $fd_read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
  (import "wasi_snapshot_preview1" "args_get" (func $args_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "args_sizes_get" (func $args_sizes_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "environ_get" (func $environ_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "environ_sizes_get" (func $environ_sizes_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll_oneoff (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_open"
    (func $path_open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (memory (export "memory") 2)
  (data (i32.const 64) "hello\n")
  (data (i32.const 80) "here\n")
  (func $print (param $at i32) (param $bytes i32)
    (i32.store (i32.const 0) (local.get $at))
    (i32.store (i32.const 4) (local.get $bytes))
    (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8))))
  ;; Ends with the error of WASI as its status, if there is one.
  (func $check (param $error i32)
    (if (local.get $error) (then (call $proc_exit (local.get $error)))))
  ;; Prints what can be read from there.
  (func $copy (param $from i32)
    (loop $more
      (i32.store (i32.const 0) (i32.const 8192))
      (i32.store (i32.const 4) (i32.const 4096))
      (call $check (call $fd_read (local.get $from) (i32.const 0) (i32.const 1) (i32.const 8)))
      (if (i32.load (i32.const 8)) (then
        (call $print (i32.const 8192) (i32.load (i32.const 8)))
        (br $more)))))
  ;; Sleeps: one subscription, to the monotonic clock, relative.
  (func $sleep (param $nanoseconds i64)
    (i32.store (i32.const 1024 (; userdata ;)) (i32.const 1))
    (i32.store8 (i32.const 1032 (; clock ;)) (i32.const 0))
    (i32.store (i32.const 1040 (; monotonic ;)) (i32.const 1))
    (i64.store (i32.const 1048) (local.get $nanoseconds))
    (call $check (call $poll_oneoff (i32.const 1024) (i32.const 1280) (i32.const 1) (i32.const 8))))
  ;; Opens the file that the first argument names, below the first folder; says its number.
  (func $open (param $flags i32) (param $rights i64) (result i32)
    (local $name i32)
    (call $check (call $args_sizes_get (i32.const 16) (i32.const 20)))
    (call $check (call $args_get (i32.const 2048) (i32.const 4096)))
    (local.set $name (i32.load (i32.const 2052)))
    (call $check (call $path_open (i32.const 3) (i32.const 0) (local.get $name)
      (i32.sub (i32.add (i32.const 4095) (i32.load (i32.const 20))) (local.get $name))
      (local.get $flags) (local.get $rights) (i64.const 0) (i32.const 0) (i32.const 24)))
    (i32.load (i32.const 24)))
"#;

fn program(body: &str) -> String {
    format!("(module {WASI} (func (export \"_start\") {body}))")
}

pub fn hello() -> String {
    program("(call $print (i32.const 64) (i32.const 6))")
}

pub fn exit(status: u8) -> String {
    program(&format!("(call $proc_exit (i32.const {status})) unreachable"))
}

/// Prints arguments, environment and input, each word with a NUL behind it.
pub fn echo() -> String {
    program(
        "(drop (call $args_sizes_get (i32.const 16) (i32.const 20)))
         (drop (call $args_get (i32.const 2048) (i32.const 4096)))
         (call $print (i32.const 4096) (i32.load (i32.const 20)))
         (drop (call $environ_sizes_get (i32.const 16) (i32.const 20)))
         (drop (call $environ_get (i32.const 2048) (i32.const 4096)))
         (call $print (i32.const 4096) (i32.load (i32.const 20)))
         (call $copy (i32.const 0))",
    )
}

/// Says that it is there, and sleeps for an hour.
pub fn sleep() -> String {
    program(
        "(call $print (i32.const 80) (i32.const 5))
         (call $sleep (i64.const 3600000000000))",
    )
}

/// Sleeps for 20 ms.
pub fn nap() -> String {
    sleeps(Duration::from_millis(20))
}

pub fn sleeps(time: Duration) -> String {
    program(&format!("(call $sleep (i64.const {}))", time.as_nanos()))
}

/// Says that it is there, and computes for ever.
pub fn announced_loop() -> String {
    program("(call $print (i32.const 80) (i32.const 5)) (loop $l (br $l))")
}

/// Says that it is there, and prints the file that its argument names.
pub fn cat() -> String {
    program(
        "(call $print (i32.const 80) (i32.const 5)) (call $copy (call $open (i32.const 0) (i64.const 2 (; read ;))))",
    )
}

/// Makes the file that its argument names.
pub fn touch() -> String {
    program("(drop (call $open (i32.const 1 (; create ;)) (i64.const 64 (; write ;))))")
}

/// Prints this many KiB.
pub fn prints(kib: u32) -> String {
    program(&format!(
        "(local $left i32)
         (local.set $left (i32.const {kib}))
         (loop $more
           (call $print (i32.const 8192) (i32.const 1024))
           (br_if $more (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))"
    ))
}

/// Opens the file that its argument names, again and again.
pub fn opens() -> String {
    program("(loop $l (drop (call $open (i32.const 0) (i64.const 2))) (br $l))")
}

/// A component whose run ends well (0) or not (1).
pub fn component(result: u8) -> String {
    format!(
        r#"(component
             (core module $m (func (export "run") (result i32) i32.const {result}))
             (core instance $i (instantiate $m))
             (func $run (result (result)) (canon lift (core func $i "run")))
             (instance $run (export "run" (func $run)))
             (export "wasi:cli/run@0.2.0" (instance $run)))"#
    )
}

pub const LOOP: &str = r#"(module (func (export "_start") (loop $l (br $l))))"#;

/// Does not even come to its beginning.
pub const START_LOOP: &str = r#"(module (func $s (loop $l (br $l))) (start $s) (func (export "_start")))"#;

/// Takes memory, page by page, until it gets none, and then gives up.
pub const EATS: &str = r#"(module (memory 1) (func (export "_start")
    (loop $l (br_if $l (i32.ne (memory.grow (i32.const 1)) (i32.const -1)))) unreachable))"#;

/// Calls itself for ever.
pub const DEEP: &str = r#"(module (func $f (export "_start") (call $f) (call $f)))"#;

pub const ZERO: &str = r#"(module (func $divides (param i32) (result i32) (i32.div_u (i32.const 1) (local.get 0)))
    (func (export "_start") (drop (call $divides (i32.const 0)))))"#;
