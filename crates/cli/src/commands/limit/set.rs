//! `limit:set`: makes or changes a limit.

use anyhow::Result;
use clap::Args;
use queuectl_core::limits::{BUSY_STATUS, BUSY_WAIT, LIMIT_RUNNING, RATE_BURST};
use queuectl_core::range::Whole;
use queuectl_core::{LimitChange, LimitName, Rate, parse_duration, whole_ms};

use crate::context::Context;
use crate::exit::{Exit, Usage};
use crate::operator;
use crate::registry::Run;
use queuectl_frontend::limits::{allows, view};

/// Limit how many jobs run at a time, or how fast they start, across queues
#[derive(Debug, Args)]
#[command(after_help = "\
What is not given stays as it is. A job names its limits with `enqueue --limit NAME`, or `--limit NAME:KEY` for a limit \
that counts per key. Jobs that run are never stopped: a lower limit takes effect as they end. A rate counts starts, \
retries included. See docs/flow.md.

Examples:
  queuectl limit:set disk --running 4
  queuectl limit:set account --per-key --running 1
  queuectl limit:set api --rate 10/s --burst 10 --busy-status 75 --busy-wait 30s
  queuectl limit:set api --rate none --running 3")]
pub struct SetArgs {
    /// The limit
    name: LimitName,
    /// Most jobs of a key that run at a time; 0 lets none start, `none` any number
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = running)]
    running: Option<Running>,
    /// Count each KEY of NAME:KEY by itself; decided when the limit is made
    #[arg(long)]
    per_key: bool,
    /// Most starts in a length of time, such as 10/s or 100/10s; `none` for any number
    #[arg(long, value_name = "COUNT/TIME", allow_negative_numbers = true, value_parser = rate)]
    rate: Option<MaybeRate>,
    /// Starts that may come at once after a pause [default: 1]
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = burst)]
    burst: Option<u32>,
    /// An attempt that ends with this exit status makes its keys wait and does not count; `none` for no such status
    #[arg(long, value_name = "STATUS", allow_negative_numbers = true, value_parser = status)]
    busy_status: Option<Status>,
    /// How long they wait then
    #[arg(long, value_name = "DURATION", value_parser = wait, allow_hyphen_values = true)]
    busy_wait: Option<u64>,
}

/// A number, or none at all.
#[derive(Debug, Clone, Copy)]
struct Running(Option<u32>);

#[derive(Debug, Clone, Copy)]
struct MaybeRate(Option<Rate>);

#[derive(Debug, Clone, Copy)]
struct Status(Option<i32>);

fn within(range: Whole, text: &str, or_none: &str) -> Result<i64, String> {
    range
        .parse(text)
        .ok_or_else(|| format!("expected {range}{or_none}"))
}

fn running(text: &str) -> Result<Running, String> {
    if text == "none" {
        return Ok(Running(None));
    }
    Ok(Running(
        u32::try_from(within(LIMIT_RUNNING, text, " or none")?).ok(),
    ))
}

fn rate(text: &str) -> Result<MaybeRate, String> {
    match text {
        "none" => Ok(MaybeRate(None)),
        _ => Ok(MaybeRate(Some(text.parse()?))),
    }
}

fn burst(text: &str) -> Result<u32, String> {
    Ok(u32::try_from(within(RATE_BURST, text, "")?).unwrap_or(1))
}

fn status(text: &str) -> Result<Status, String> {
    if text == "none" {
        return Ok(Status(None));
    }
    Ok(Status(i32::try_from(within(BUSY_STATUS, text, " or none")?).ok()))
}

fn wait(text: &str) -> Result<u64, String> {
    let ms = whole_ms(parse_duration(text)?);
    match BUSY_WAIT.contains(ms) {
        true => Ok(ms),
        false => Err(format!("expected {BUSY_WAIT}")),
    }
}

impl Run for SetArgs {
    fn run(self, context: &Context) -> Result<Exit> {
        let change = LimitChange {
            running: self.running.map(|Running(running)| running),
            per_key: self.per_key,
            rate: self.rate.map(|MaybeRate(rate)| rate),
            burst: self.burst,
            busy_status: self.busy_status.map(|Status(status)| status),
            busy_wait_ms: self.busy_wait,
        };
        if change == LimitChange::default() {
            return Err(
                Usage::new("nothing is to be set; give --running, --rate or --busy-status")
                    .hint(format!("`queuectl limit:show {}` shows what is set", self.name))
                    .into(),
            );
        }
        let mut store = context.open_or_create()?;
        let now = store.now()?;
        store.act_as(operator::name());
        let limit = store.set_limit(&self.name, &change, now)?;
        let (running, waiting, keys) = match store.limit(&self.name)? {
            Some((_, keys)) => (
                keys.iter().map(|key| key.running).sum(),
                keys.iter().map(|key| key.waiting).sum(),
                keys.len() as u64,
            ),
            None => (0, 0, 0),
        };
        let view = view(&limit, running, waiting, keys);
        let line = format!("{}: {}", view.name, allows(&view));
        context.output.done(&view, &line);
        Ok(Exit::OK)
    }
}
