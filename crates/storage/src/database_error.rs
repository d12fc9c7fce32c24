//! What an error of Diesel or rusqlite means, from whichever database it comes.

use diesel::result::{ConnectionError, DatabaseErrorKind, Error as DieselError};

use crate::StoreError;
use crate::error::{Problem, one_line};
use crate::sqlstate;

impl From<DieselError> for StoreError {
    fn from(error: DieselError) -> Self {
        StoreError::from(&error)
    }
}

impl From<&DieselError> for StoreError {
    fn from(error: &DieselError) -> Self {
        // A failed rollback hides what made it necessary; the cause is what matters.
        let error = match error {
            DieselError::RollbackErrorOnCommit { commit_error, .. } => commit_error,
            error => error,
        };
        if let DieselError::DatabaseError(kind, info) = error
            && *kind != DatabaseErrorKind::ClosedConnection
            && let Some(error) = sqlstate::of_statement(info.as_ref())
        {
            return error;
        }
        let detail = match error {
            DieselError::DatabaseError(_, info) => one_line(info.message()),
            other => other.to_string(),
        };
        let problem = match error {
            DieselError::DatabaseError(DatabaseErrorKind::ClosedConnection, _)
            | DieselError::BrokenTransactionManager => Problem::Unreachable,
            // What libpq cannot even send went nowhere; in what words it says so depends on how the connection broke.
            DieselError::DatabaseError(DatabaseErrorKind::UnableToSendCommand, _) => {
                match Problem::from_message(&detail) {
                    Problem::Other => Problem::Unreachable,
                    problem => problem,
                }
            }
            // Whatever a table has rules for.
            DieselError::DatabaseError(
                DatabaseErrorKind::UniqueViolation
                | DatabaseErrorKind::CheckViolation
                | DatabaseErrorKind::NotNullViolation
                | DatabaseErrorKind::ForeignKeyViolation,
                _,
            ) => Problem::Refused,
            _ => Problem::from_message(&detail),
        };
        StoreError::Database { problem, detail }
    }
}

impl From<ConnectionError> for StoreError {
    fn from(error: ConnectionError) -> Self {
        let detail = one_line(&error.to_string());
        let problem = Problem::from_message(&detail);
        StoreError::Database { problem, detail }
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        let detail = error.to_string();
        StoreError::Database {
            problem: Problem::from_message(&detail),
            detail,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_that_broke_in_any_words_is_an_outage() {
        let failed = |kind, message: &str| {
            let message: Box<dyn diesel::result::DatabaseErrorInformation + Send + Sync> =
                Box::new(message.to_owned());
            StoreError::from(DieselError::DatabaseError(kind, message))
        };
        let tls = "WARNING:  terminated\nSSL error: unexpected eof while reading";
        assert!(failed(DatabaseErrorKind::Unknown, tls).is_outage());
        assert!(failed(DatabaseErrorKind::UnableToSendCommand, "words to come").is_outage());
        let locked = failed(DatabaseErrorKind::UnableToSendCommand, "database is locked");
        assert_eq!(locked.problem(), Some(Problem::Busy));
        assert!(!failed(DatabaseErrorKind::Unknown, "division by zero").is_outage());
    }
}
