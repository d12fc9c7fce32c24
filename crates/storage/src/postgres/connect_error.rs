//! Why a server could not be connected to.
//!
//! What libpq itself has to say, of a connection that it could not make or that broke, has no SQLSTATE. It is in English
//! everywhere, since it is built in without translations, and is the only text that is looked at.

use diesel::ConnectionError;

use crate::error::{Problem, one_line};
use crate::location::server::Server;
use crate::sqlstate::problem;
use crate::{StoreError, libpq};

/// Why no connection could be made.
pub fn of_connection(error: &ConnectionError, server: &Server) -> StoreError {
    // The server let us in and went away at Diesel's first statements.
    if let ConnectionError::CouldntSetupConfiguration(error) = error {
        return StoreError::from(error);
    }
    let detail = one_line(&error.to_string());
    // Only what a server says begins with a severity, a colon and two spaces. libpq tells the SQLSTATE to those alone who
    // ask beforehand, so it is asked again.
    let said_by_server = error.to_string().contains(":  ");
    if said_by_server && let Some(state) = libpq::refusal(&server.conninfo()) {
        return match state.get(..2).unwrap_or_default() {
            // A parameter of the location that the server does not know, or with a value that it does not take.
            "22" | "42" if state != "42501" => StoreError::BadParameter(detail),
            _ => StoreError::Database {
                problem: problem(&state),
                detail,
            },
        };
    }
    let known = [
        ("invalid integer value", Problem::Refused),
        ("no password supplied", Problem::Denied),
        ("session is read-only", Problem::Standby),
        ("server is in hot standby mode", Problem::Standby),
        ("connection to server", Problem::Unreachable),
        ("could not translate host name", Problem::Unreachable),
        ("could not look up local user ID", Problem::Denied),
    ];
    match known.iter().find(|(text, _)| detail.contains(text)) {
        // libpq did not even try.
        None | Some((_, Problem::Refused)) => StoreError::BadParameter(detail),
        Some((_, problem)) => StoreError::Database {
            problem: *problem,
            detail,
        },
    }
}
