//! The pages of the dashboard: views as HTML.
//!
//! - `frame`: what is around every page. `parts`: what pages are made of, and the only way for a text of the queue into one.
//! - `ansi`: output of jobs with its colours. `chart`: charts as SVG. `assets`: the style sheet and the script.
//! - one file for each screen.
//!
//! This crate deliberately reads nothing and knows no requests: it is given views, and returns text. No page needs the script to be
//! read or used; it only keeps pages fresh. Templates are code (maud), so that a page with a field that is not there does not compile,
//! and everything is escaped that does not say otherwise.

mod ansi;
mod assets;
mod chart;
mod confirm;
mod dead;
mod events;
mod frame;
mod groups;
mod job;
mod jobs;
mod limits;
mod nodes;
mod operations;
mod overview;
mod parts;
mod problem;
mod queues;
mod schedules;

pub use self::ansi::Painter;
pub use self::assets::{Asset, asset};
pub use self::chart::Series;
pub use self::confirm::{Confirm, confirm};
pub use self::dead::{CausePage, causes, one_cause};
pub use self::events::{EventsPage, events};
pub use self::frame::{Frame, Section, render};
pub use self::groups::{GroupPage, groups, one_group};
pub use self::job::{JobPage, Printed, attempt_end, job, printed_chunk};
pub use self::jobs::{JobsPage, jobs, shell as in_shell};
pub use self::limits::{limits, one_limit};
pub use self::nodes::{NodePage, nodes, one_node};
pub use self::operations::{one_operation, operations};
pub use self::overview::{Charts, Overview, overview};
pub use self::parts::{Html, in_path, in_query};
pub use self::problem::problem;
pub use self::queues::{one_queue, queues};
pub use self::schedules::{SchedulePage, one_schedule, schedules};
