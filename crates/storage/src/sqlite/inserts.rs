//! New rows, several per statement.
//!
//! Much of what an `INSERT` costs is the statement's own: beginning and ending it, opening its tables, the table of
//! `AUTOINCREMENT`. Sixteen rows at once pay that once. There are two statements for each table, one for [`MANY`] rows and
//! one for a single row; both are prepared once.

use std::marker::PhantomData;

use diesel::prelude::*;
use diesel::query_builder::{AstPass, QueryFragment, QueryId};
use diesel::serialize::ToSql;
use diesel::sql_types::{BigInt, Binary, Double, HasSqlType, Integer, Nullable, SmallInt, Text};
use diesel::sqlite::{Sqlite, SqliteConnection};
use queuectl_core::Timestamp;

use crate::checksum::JobContent;
use crate::columns::{Value, given};
use crate::types::jobs::{First, NewJob};

/// Rows of the larger statement.
const MANY: usize = 16;

/// A row to be inserted.
pub trait Row {
    /// The table and its columns.
    const INTO: &'static str;
    /// Stands for the row's type, without its lifetimes.
    type Id: 'static;
    /// Gives the values in the order of the columns.
    fn values<'b>(&'b self, values: &mut Values<'_, '_, 'b>) -> QueryResult<()>;
}

/// Takes the values of a row.
pub struct Values<'o, 'a, 'b> {
    out: &'o mut AstPass<'a, 'b, Sqlite>,
    before: &'static str,
}

impl<'b> Values<'_, '_, 'b> {
    fn add<T, V: ToSql<T, Sqlite>>(&mut self, value: &'b V) -> QueryResult<()>
    where
        Sqlite: HasSqlType<T>,
    {
        self.out.push_sql(std::mem::replace(&mut self.before, ", "));
        self.out.push_bind_param::<T, V>(value)
    }
}

struct Insert<'r, R, const N: usize>(&'r [R; N]);

impl<R: Row, const N: usize> QueryId for Insert<'_, R, N> {
    type QueryId = (PhantomData<R::Id>, [(); N]);
    const HAS_STATIC_QUERY_ID: bool = true;
}

impl<R: Row, const N: usize> QueryFragment<Sqlite> for Insert<'_, R, N> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Sqlite>) -> QueryResult<()> {
        out.push_sql("INSERT INTO ");
        out.push_sql(R::INTO);
        for (place, row) in self.0.iter().enumerate() {
            let before = if place == 0 { " VALUES (" } else { "), (" };
            row.values(&mut Values {
                out: &mut out,
                before,
            })?;
        }
        out.push_sql(")");
        Ok(())
    }
}

impl<R, const N: usize> RunQueryDsl<SqliteConnection> for Insert<'_, R, N> {}

/// Inserts rows in their order. `each` is told how many went in after every statement. An error says how many of the rows
/// had gone in before; of those of its own statement, none did.
pub fn insert<R: Row>(
    conn: &mut SqliteConnection,
    rows: &[R],
    mut each: impl FnMut(&mut SqliteConnection, usize) -> QueryResult<()>,
) -> Result<(), (usize, diesel::result::Error)> {
    let (many, rest) = rows.as_chunks::<MANY>();
    let mut done = 0;
    for rows in many {
        let result = Insert(rows).execute(conn).and_then(|_| each(conn, MANY));
        result.map_err(|error| (done, error))?;
        done += MANY;
    }
    for row in rest {
        let result = Insert(std::array::from_ref(row)).execute(conn);
        result
            .and_then(|_| each(conn, 1))
            .map_err(|error| (done, error))?;
        done += 1;
    }
    Ok(())
}

/// Inserts one row.
pub fn insert_one<R: Row>(conn: &mut SqliteConnection, row: &R) -> QueryResult<()> {
    Insert(std::array::from_ref(row)).execute(conn).map(drop)
}

/// Declares a row: its table, and its columns with their types.
macro_rules! rows {
    ($($(#[$doc:meta])* $name:ident into $table:literal { $($field:ident: $rust:ty as $sql:ty),* $(,)? })*) => {
        $(
            $(#[$doc])*
            #[derive(Debug)]
            pub struct $name<'a> {
                $(pub $field: $rust,)*
            }

            impl Row for $name<'_> {
                const INTO: &'static str = concat!($table, " (", rows!(@columns $($field),*), ")");
                type Id = $name<'static>;
                fn values<'b>(&'b self, values: &mut Values<'_, '_, 'b>) -> QueryResult<()> {
                    $(values.add::<$sql, _>(&self.$field)?;)*
                    Ok(())
                }
            }
        )*
    };
    (@columns $first:ident $(, $other:ident)*) => {
        concat!(stringify!($first) $(, ", ", stringify!($other))*)
    };
}

macro_rules! job_row {
    ($($(#[$doc:meta])* $name:ident: $type:ty, $sql:ty, ($($read:meta)?), $since:literal, $core:tt;)*) => {
        rows! {
            /// A job. What is not here has its default.
            JobRow into "jobs" {
                $($name: <$type as Value>::Lent<'a> as $sql,)*
                state: i16 as SmallInt,
                due_at: Option<i64> as Nullable<BigInt>,
                created_at: i64 as BigInt,
                updated_at: i64 as BigInt,
                attempts: i32 as Integer,
                fence: i64 as BigInt,
                system_failures: i32 as Integer,
                cancel_requested: i32 as Integer,
                gates: i32 as Integer,
                waits: i32 as Integer,
                sum: i32 as Integer,
            }
        }

        rows! {
            /// A job under a number that is reserved for it, with a key or without.
            KeyedRow into "jobs" {
                id: i64 as BigInt,
                $($name: <$type as Value>::Lent<'a> as $sql,)*
                state: i16 as SmallInt,
                due_at: Option<i64> as Nullable<BigInt>,
                created_at: i64 as BigInt,
                updated_at: i64 as BigInt,
                attempts: i32 as Integer,
                fence: i64 as BigInt,
                system_failures: i32 as Integer,
                cancel_requested: i32 as Integer,
                gates: i32 as Integer,
                sum: i32 as Integer,
                follows: Option<i64> as Nullable<BigInt>,
            }
        }

        impl<'a> KeyedRow<'a> {
            /// A new job.
            pub fn new(new: &NewJob<'_>, job: &JobContent<'a>, now: Timestamp) -> KeyedRow<'a> {
                KeyedRow {
                    id: new.id,
                    $($name: job.$name,)*
                    state: new.state.code(),
                    due_at: new.due_at.map(|due| due.0),
                    created_at: now.0,
                    updated_at: now.0,
                    attempts: 0,
                    fence: 0,
                    system_failures: 0,
                    cancel_requested: 0,
                    gates: new.gates.code(),
                    sum: job.sum(),
                    follows: new.follows,
                }
            }
        }

        impl<'a> JobRow<'a> {
            /// A new job.
            pub fn new(
                job: &JobContent<'a>,
                first: &First,
                now: Timestamp,
            ) -> JobRow<'a> {
                JobRow {
                    $($name: job.$name,)*
                    state: first.state.code(),
                    due_at: first.due_at.map(|due| due.0),
                    created_at: now.0,
                    updated_at: now.0,
                    attempts: 0,
                    fence: 0,
                    system_failures: 0,
                    cancel_requested: 0,
                    gates: first.gates.code(),
                    waits: first.waits.code(),
                    sum: job.sum(),
                }
            }
        }
    };
}
given!(job_row);

rows! {
    /// What a job runs.
    PayloadRow into "payloads" {
        job_id: i64 as BigInt,
        payload: &'a str as Text,
    }

    /// An ended attempt.
    AttemptRow into "attempts" {
        job_id: i64 as BigInt,
        fence: i64 as BigInt,
        attempt: i32 as Integer,
        node_id: i64 as BigInt,
        worker: i32 as Integer,
        outcome: i16 as SmallInt,
        exit_code: Option<i32> as Nullable<Integer>,
        signal: Option<i32> as Nullable<Integer>,
        message: &'a str as Text,
        started_at: i64 as BigInt,
        finished_at: i64 as BigInt,
        output_bytes: i64 as BigInt,
        sum: i32 as Integer,
    }

    /// What an attempt printed.
    OutputRow into "outputs" {
        job_id: i64 as BigInt,
        fence: i64 as BigInt,
        head: &'a [u8] as Binary,
        tail: &'a [u8] as Binary,
        marks: Option<&'a [u8]> as Nullable<Binary>,
    }
}
