//! `edit`: changes jobs that are stored, by options or in an editor.

mod in_editor;
mod options;
mod text;

use std::cell::RefCell;

use anyhow::Result;
use clap::Args;
use queuectl_core::{Clock as _, Job, JobEdit, JobSpec, SystemClock};

use self::in_editor::edit_in_editor;
use self::options::EditOptions;
use super::doing::{Doing, Editing};
use super::enqueue::validate::Validator;
use super::select::{ChangeArgs, selector};
use crate::context::Context;
use crate::exit::{Exit, Usage};
use crate::registry::Run;

/// Change jobs that do not run: what they run, where and when
#[derive(Debug, Args)]
#[command(after_help = "\
Without options, one job is opened as JSON in $VISUAL or $EDITOR; the text shows its secrets. It is checked when the editor \
ends, and refused if the job started or changed meanwhile; a text that was not taken stays in its file. Put options \
before the jobs or after them.

Jobs that are pending, scheduled, blocked or failed can be edited, and dead ones before they are retried. --env adds \
variables, --limit takes the place of all limits that the job names. An id, unique key, group and the jobs that it waits \
for do not change; see docs/selectors.md.

Examples:
  queuectl edit 12
  queuectl edit 12 --timeout 1h --env DEBUG=1
  queuectl edit --unset timeout --unset env.DEBUG queue=mail
  queuectl edit 'error~out of memory' state=dead --queue big --yes")]
pub struct EditArgs {
    #[command(flatten)]
    change: ChangeArgs,
    #[command(flatten)]
    options: EditOptions,
    /// Take a part away, so that its default counts: an option by its name, env.NAME for one variable, or label.KEY; repeatable
    #[arg(long, value_name = "PART", value_parser = unset)]
    unset: Vec<String>,
}

fn unset(text: &str) -> Result<String, String> {
    JobEdit::default().unset(text).map(|()| text.to_owned())
}

impl Run for EditArgs {
    fn run(self, context: &Context) -> Result<Exit> {
        let mut edit = JobEdit {
            set: self.options.into_spec()?,
            ..JobEdit::default()
        };
        for part in &self.unset {
            edit.unset(part).map_err(Usage::new)?;
        }
        if edit != JobEdit::default() {
            let described = edit.parts().join(", ");
            let command = ("edit", described);
            return edit_jobs(
                &self.change,
                &edit,
                command,
                ("change", "changed"),
                "changed",
                context,
            );
        }
        if self.change.dry_run {
            return Err(
                Usage::new("--dry-run needs options that say what to change, such as --priority 5")
                    .hint("in the editor, a text that stays as it is changes nothing")
                    .into(),
            );
        }
        let selector = selector(&self.change.jobs)?;
        match selector.picks() {
            [pick] if selector.is_by_name() && selector.filters().is_empty() => {
                let mut store = context.open()?;
                let job = store.picked(pick)?;
                edit_in_editor(&mut store, &job, context)
            }
            _ => Err(
                Usage::new("an editor takes one job, which is named by its id, its number or last")
                    .hint("say what to change by options, such as --priority 5; `queuectl edit --help`")
                    .into(),
            ),
        }
    }
}

/// Makes an edit to jobs and prints what became of them.
pub fn edit_jobs(
    change: &ChangeArgs,
    edit: &JobEdit,
    (kind, described): (&'static str, String),
    words: (&str, &str),
    result: &'static str,
    context: &Context,
) -> Result<Exit> {
    let validator = RefCell::new(Validator::new(context));
    let editing = Editing {
        kind,
        described,
        edit,
        editor: &|job| Ok(edit.apply(JobSpec::of(job.clone()))),
        check: &|job| {
            check(
                &edit.apply(JobSpec::of(job.clone())),
                job,
                &mut validator.borrow_mut(),
            )
        },
        words,
        result,
    };
    let mut store = context.open()?;
    let (exit, _) = change.act(&mut store, Doing::Edit(&editing), context)?;
    Ok(exit)
}

/// Asks the executor of a job whether it would run the edited job, if that runs something else.
fn check(spec: &JobSpec, job: &Job, validator: &mut Validator<'_>) -> Result<(), String> {
    let before = JobSpec::of(job.clone());
    if (&spec.payload, &spec.executor) == (&before.payload, &before.executor) {
        return Ok(());
    }
    let valid = spec.clone().validate(SystemClock.now());
    validator.check(&valid.map_err(|error| error.to_string())?)
}
