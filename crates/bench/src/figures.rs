//! Measured figures: medians with their spread, the machine they were taken on, as a table and as JSON.

use std::fmt::Write;
use std::fs;
use std::process::Command;

use anyhow::Context;
use serde_json::{Value, json};

use super::rig::Rig;

/// One measured quantity.
struct Figure {
    scenario: String,
    what: String,
    unit: &'static str,
    /// Sorted.
    values: Vec<f64>,
}

impl Figure {
    fn at(&self, part: f64) -> f64 {
        let last = self.values.len().saturating_sub(1);
        self.values
            .get((last as f64 * part).round() as usize)
            .copied()
            .unwrap_or(f64::NAN)
    }

    fn median(&self) -> f64 {
        self.at(0.5)
    }
}

/// All figures of a call.
pub struct Figures {
    machine: Vec<(&'static str, String)>,
    scenario: String,
    figures: Vec<Figure>,
}

impl Figures {
    /// None yet, on that machine.
    pub fn new(machine: Vec<(&'static str, String)>) -> Self {
        Figures {
            machine,
            scenario: String::new(),
            figures: Vec::new(),
        }
    }

    /// What follows belongs to this scenario.
    pub fn scenario(&mut self, name: &str) {
        self.scenario = name.to_owned();
    }

    /// Adds a figure with the values of all runs; says it at once.
    pub fn add(&mut self, what: &str, unit: &'static str, mut values: Vec<f64>) {
        values.sort_by(f64::total_cmp);
        let figure = Figure {
            scenario: self.scenario.clone(),
            what: what.to_owned(),
            unit,
            values,
        };
        println!("{what}: {} {unit}", short(figure.median()));
        self.figures.push(figure);
    }

    /// Adds the ratio of two series, run by run.
    pub fn ratio(&mut self, what: &str, over: &[f64], under: &[f64]) {
        let ratios = over.iter().zip(under).map(|(a, b)| a / b).collect();
        self.add(what, "x", ratios);
    }

    /// For people.
    pub fn table(&self) -> String {
        let mut text = String::new();
        for (name, value) in &self.machine {
            let _ = writeln!(text, "{name:<10} {value}");
        }
        let _ = writeln!(
            text,
            "\n{:<9} {:<52} {:>10} {:>10} {:>10} {:>10} {:>4}",
            "", "", "median", "min", "p99", "max", "n"
        );
        for figure in &self.figures {
            let [median, min, p99, max] = [0.5, 0.0, 0.99, 1.0].map(|part| short(figure.at(part)));
            let what = format!("{} ({})", figure.what, figure.unit);
            let n = figure.values.len();
            let _ = writeln!(
                text,
                "{:<9} {what:<52} {median:>10} {min:>10} {p99:>10} {max:>10} {n:>4}",
                figure.scenario
            );
        }
        text
    }

    /// For machines.
    pub fn json(&self) -> Value {
        let machine: serde_json::Map<String, Value> = self
            .machine
            .iter()
            .map(|(name, value)| ((*name).to_owned(), json!(value)))
            .collect();
        let figures: Vec<Value> = self
            .figures
            .iter()
            .map(|figure| {
                json!({
                    "scenario": figure.scenario, "what": figure.what, "unit": figure.unit, "median": figure.median(),
                    "min": figure.at(0.0), "p99": figure.at(0.99), "max": figure.at(1.0), "runs": figure.values.len(),
                })
            })
            .collect();
        json!({ "machine": machine, "figures": figures })
    }
}

fn short(value: f64) -> String {
    match value.abs() {
        size if size >= 1000.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.3}"),
    }
}

/// What was measured with what, and on what.
pub fn machine(rig: &Rig) -> anyhow::Result<Vec<(&'static str, String)>> {
    let said = |program: &str, arguments: &[&str]| -> anyhow::Result<String> {
        let output = Command::new(program)
            .args(arguments)
            .current_dir(queuectl_devkit::root())
            .output();
        let output = output.with_context(|| format!("cannot ask {program}"))?;
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let line = |file: &str, key: &str| {
        let text = fs::read_to_string(file).unwrap_or_default();
        let found = text.lines().find_map(|line| {
            line.strip_prefix(key)?
                .split_once(':')
                .map(|(_, value)| value.trim())
        });
        found.unwrap_or("unknown").to_owned()
    };
    let commit = said("git", &["describe", "--always", "--dirty"]).unwrap_or_else(|_| "unknown".to_owned());
    Ok(vec![
        ("date", said("date", &["-u", "+%Y-%m-%dT%H:%M:%SZ"])?),
        ("commit", commit),
        ("rustc", said("rustc", &["--version"])?),
        (
            "processor",
            format!("{}, {} cores", line("/proc/cpuinfo", "model name"), rig.cores),
        ),
        ("memory", line("/proc/meminfo", "MemTotal")),
        ("kernel", said("uname", &["-sr"])?),
        (
            "folder",
            said(
                "df",
                &["--output=fstype,source", &rig.folder().display().to_string()],
            )?
            .replace('\n', " "),
        ),
        ("runs", rig.runs.to_string()),
    ])
}
