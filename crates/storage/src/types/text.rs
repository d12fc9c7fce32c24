//! Text as it is found in the store. SQLite takes any bytes for text, and a flipped bit makes some that are none: a row with
//! such a text must not keep the others from being read.

use diesel::backend::Backend as AnyBackend;
use diesel::deserialize::{self, FromSql, FromSqlRow, Queryable};
use diesel::pg::Pg;
use diesel::sql_types::{Nullable, Text};
use diesel::sqlite::Sqlite;

/// A text, with replacement characters for what is none.
#[derive(Debug, Clone, PartialEq, Eq, FromSqlRow)]
pub struct Words {
    pub text: String,
    pub is_damaged: bool,
}

impl FromSql<Text, Pg> for Words {
    fn from_sql(value: <Pg as AnyBackend>::RawValue<'_>) -> deserialize::Result<Self> {
        // A server of that encoding has no other.
        let text = <String as FromSql<Text, Pg>>::from_sql(value)?;
        let is_damaged = false;
        Ok(Words { text, is_damaged })
    }
}

impl FromSql<Text, Sqlite> for Words {
    fn from_sql(mut value: <Sqlite as AnyBackend>::RawValue<'_>) -> deserialize::Result<Self> {
        let bytes = value.read_blob();
        Ok(match std::str::from_utf8(bytes) {
            Ok(text) => Words {
                text: text.to_owned(),
                is_damaged: false,
            },
            Err(_) => Words {
                text: String::from_utf8_lossy(bytes).into_owned(),
                is_damaged: true,
            },
        })
    }
}

impl From<Words> for String {
    fn from(words: Words) -> String {
        words.text
    }
}

/// A text that may be absent.
pub struct MaybeWords(Option<Words>);

impl<DB: AnyBackend> Queryable<Nullable<Text>, DB> for MaybeWords
where
    Words: FromSql<Text, DB>,
{
    type Row = Option<Words>;
    fn build(row: Self::Row) -> deserialize::Result<Self> {
        Ok(MaybeWords(row))
    }
}

impl From<MaybeWords> for Option<String> {
    fn from(words: MaybeWords) -> Option<String> {
        words.0.map(String::from)
    }
}

/// A text that is of use only as a whole: empty if it is damaged.
pub struct WholeWords(Words);

impl<DB: AnyBackend> Queryable<Text, DB> for WholeWords
where
    Words: FromSql<Text, DB>,
{
    type Row = Words;
    fn build(row: Self::Row) -> deserialize::Result<Self> {
        Ok(WholeWords(row))
    }
}

impl From<WholeWords> for String {
    fn from(WholeWords(words): WholeWords) -> String {
        match words.is_damaged {
            true => String::new(),
            false => words.text,
        }
    }
}

/// Text as PostgreSQL can store it: it has no character with the number 0.
pub fn storable(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}
