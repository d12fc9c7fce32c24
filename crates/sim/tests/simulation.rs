//! Seeds that must pass, and controls: with a guard switched off, the checker must find out.

fn main() {}
