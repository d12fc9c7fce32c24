//! What an error of a server means, by its SQLSTATE: its words are in the server's language.
//!
//! What libpq itself has to say has no SQLSTATE; see `postgres::connect_error`.

use diesel::result::DatabaseErrorInformation;

use crate::error::{Problem, one_line};
use crate::{StoreError, libpq};

/// How a session of another client, and a database of another encoding, give themselves away; see `open::SESSION`.
const POOLED: &str = "session_of_another_client";
const ENCODING: &str = "encoding_of_the_database_";

/// The problem of a SQLSTATE.
pub fn problem(state: &str) -> Problem {
    match state {
        "25006" => Problem::Standby,
        "26000" | "42P05" => Problem::Pooled,
        "3D000" | "3F000" | "42P01" | "42883" => Problem::Gone,
        "42501" => Problem::Denied,
        "53100" => Problem::DiskFull,
        "40003" | "25P03" => Problem::Unreachable,
        "55006" | "55P03" | "57014" => Problem::Busy,
        "P0001" => Problem::Refused,
        "XX001" | "XX002" => Problem::Corrupt,
        _ => match state.get(..2).unwrap_or_default() {
            "08" | "57" => Problem::Unreachable,
            "28" => Problem::Denied,
            "40" => Problem::Busy,
            "53" => Problem::Overloaded,
            "58" => Problem::Io,
            // The value is to blame, or how large it is, or a rule that somebody gave the table.
            "21" | "22" | "23" | "44" | "54" => Problem::Refused,
            _ => Problem::Other,
        },
    }
}

/// What a statement's error is; none if it does not come from a server.
pub fn of_statement(info: &(dyn DatabaseErrorInformation + Send + Sync)) -> Option<StoreError> {
    let state = libpq::sqlstate(info)?;
    let detail = one_line(info.message());
    // In whatever language: a cast names what it could not read.
    if let Some((_, rest)) = detail.split_once(ENCODING) {
        let name = |c: &char| c.is_ascii_alphanumeric() || *c == '_';
        let encoding = rest.chars().take_while(name).collect();
        return Some(StoreError::Encoding(encoding));
    }
    let problem = match detail.contains(POOLED) {
        true => Problem::Pooled,
        false => problem(&state),
    };
    let detail = format!("{detail}; SQLSTATE {state}");
    Some(StoreError::Database { problem, detail })
}

#[cfg(test)]
mod tests {
    use diesel::prelude::*;
    use diesel::result::Error as DieselError;

    use super::*;

    #[test]
    fn a_code_means_something_by_itself_or_by_its_class() {
        for (state, expected) in [
            ("25006", Problem::Standby),
            ("55P03", Problem::Busy),
            ("57014", Problem::Busy),
            ("57P01", Problem::Unreachable),
            ("40P01", Problem::Busy),
            ("42501", Problem::Denied),
            ("28P01", Problem::Denied),
            ("53100", Problem::DiskFull),
            ("53300", Problem::Overloaded),
            ("58030", Problem::Io),
            ("XX001", Problem::Corrupt),
            ("22021", Problem::Refused),
            ("42601", Problem::Other),
            ("", Problem::Other),
        ] {
            assert_eq!(problem(state), expected, "{state}");
        }
    }

    /// A server in German, French or Russian says the same by its codes.
    #[test]
    fn words_in_any_language_do_not_matter() {
        let Ok(url) = std::env::var("QUEUECTL_TEST_POSTGRES") else {
            queuectl_testkit::skipped(
                "sqlstate::words_in_any_language_do_not_matter",
                "no PostgreSQL server",
            );
            return;
        };
        let mut conn = PgConnection::establish(&url).unwrap();
        let mut raised = |state: &str, words: &str| {
            let sql = format!("DO $$ BEGIN RAISE EXCEPTION '{words}' USING ERRCODE = '{state}'; END $$");
            let error = diesel::sql_query(sql).execute(&mut conn).unwrap_err();
            StoreError::from(error).problem()
        };
        for (state, words, expected) in [
            (
                "55P03",
                "Anfrage wegen Zeitüberschreitung bei Sperre storniert",
                Problem::Busy,
            ),
            (
                "25006",
                "kann CREATE TABLE nicht in einer Read-only-Transaktion ausführen",
                Problem::Standby,
            ),
            ("42501", "droit refusé pour la table jobs", Problem::Denied),
            ("53100", "не удалось расширить файл", Problem::DiskFull),
            // English words of another meaning do not matter either.
            (
                "22023",
                "permission denied, deadlock detected, disk is full",
                Problem::Refused,
            ),
        ] {
            assert_eq!(raised(state, words), Some(expected), "{words}");
        }
        // What is no error of a server has no code.
        let text: Box<dyn DatabaseErrorInformation + Send + Sync> = Box::new("55P03".to_owned());
        assert!(of_statement(text.as_ref()).is_none());
        let not_found = StoreError::from(DieselError::NotFound);
        assert_eq!(not_found.problem(), Some(Problem::Other));
    }
}
