//! The dashboard: pages for people, made by `queuectl_pages` of the views that the API answers with.
//!
//! Reading goes through the same threads as the API's, with the same limits, and costs no full count or scan: lists end after some
//! rows, and what is dear is shared by all who look (`glance`). Changes are plain forms, answered with the page to look at next;
//! the guard lets only forms of the dashboard itself through. `mass` changes many jobs, `acts` one thing; the other files show.

mod acts;
mod answer;
mod dead;
mod groups;
mod jobs;
mod lists;
mod live;
mod mass;
mod operations;
mod overview;
mod queues;
mod schedules;

use axum::routing::{get, post};

pub use self::answer::lost;
use crate::route::{GET, NOTHING, OPERATE, POST, READ, Route, route};

/// The routes of the dashboard.
pub static ROUTES: &[Route] = &[
    route(GET, "/", READ, || get(overview::overview)),
    route(GET, "/static/{file}", NOTHING, || get(answer::asset)),
    route(GET, "/live", READ, || get(live::changes)),
    route(GET, "/jobs", READ, || get(jobs::list)),
    route(GET, "/jobs/{job}", READ, || get(jobs::show)),
    route(GET, "/jobs/{job}/live", READ, || get(live::output)),
    route(POST, "/jobs/{job}/{change}", OPERATE, || post(acts::job)),
    route(GET, "/change", READ, || get(mass::ask)),
    route(POST, "/change", OPERATE, || post(mass::change)),
    route(GET, "/queues", READ, || get(queues::list)),
    route(GET, "/queues/{queue}", READ, || get(queues::show)),
    route(POST, "/queues/{queue}/pause", OPERATE, || post(queues::pause)),
    route(POST, "/queues/{queue}/resume", OPERATE, || post(queues::resume)),
    route(GET, "/dead", READ, || get(dead::causes)),
    route(GET, "/dead/{cause}", READ, || get(dead::show)),
    route(GET, "/dead/{cause}/retry", READ, || get(dead::ask)),
    route(POST, "/dead/{cause}/retry", OPERATE, || post(dead::retry)),
    route(GET, "/limits", READ, || get(lists::limits)),
    route(GET, "/limits/{limit}", READ, || get(lists::limit)),
    route(GET, "/schedules", READ, || get(schedules::list)),
    route(GET, "/schedules/{schedule}", READ, || get(schedules::show)),
    route(POST, "/schedules/{schedule}/run", OPERATE, || {
        post(schedules::run)
    }),
    route(POST, "/schedules/{schedule}/pause", OPERATE, || {
        post(schedules::pause)
    }),
    route(POST, "/schedules/{schedule}/resume", OPERATE, || {
        post(schedules::resume)
    }),
    route(GET, "/groups", READ, || get(groups::list)),
    route(GET, "/groups/{group}", READ, || get(groups::show)),
    route(GET, "/groups/{group}/retry", READ, || get(groups::ask_retry)),
    route(POST, "/groups/{group}/retry", OPERATE, || post(groups::retry)),
    route(GET, "/groups/{group}/cancel", READ, || get(groups::ask_cancel)),
    route(POST, "/groups/{group}/cancel", OPERATE, || post(groups::cancel)),
    route(GET, "/nodes", READ, || get(lists::nodes)),
    route(GET, "/nodes/{node}", READ, || get(lists::node)),
    route(GET, "/operations", READ, || get(operations::list)),
    route(GET, "/operations/{operation}", READ, || get(operations::show)),
    route(POST, "/operations/{operation}/undo", OPERATE, || {
        post(operations::undo)
    }),
    route(GET, "/events", READ, || get(lists::events)),
];
