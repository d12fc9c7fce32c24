//! Commands with places that each line or row of a file fills in.
//!
//! A command here is a program with its arguments, never a shell line: what is filled in is always a part of one argument,
//! so that nothing in a file becomes shell code.

use queuectl_core::{Command, JobSpec, Payload};

/// The place for a line.
const LINE: &str = "{}";

/// A program with its arguments and a place for a line.
#[derive(Debug)]
pub struct LineTemplate {
    words: Vec<String>,
}

impl LineTemplate {
    /// Reads the words of a command. Without `{}` the line becomes its last argument.
    ///
    /// # Errors
    /// The words are a shell line.
    pub fn new(mut words: Vec<String>) -> Result<LineTemplate, String> {
        refuse_shell_line(&words)?;
        if !words.iter().any(|word| word.contains(LINE)) {
            words.push(LINE.to_owned());
        }
        Ok(LineTemplate { words })
    }

    /// Returns the job of a line.
    pub fn fill(&self, line: &str) -> JobSpec {
        argv(self.words.iter().map(|word| word.replace(LINE, line)))
    }
}

/// A program with its arguments and places for columns: `{name}`. `{{` and `}}` stand for braces.
#[derive(Debug)]
pub struct RowTemplate {
    words: Vec<Vec<Part>>,
}

#[derive(Debug, PartialEq)]
enum Part {
    Text(String),
    /// The place of a column, from 0.
    Column(usize),
}

impl RowTemplate {
    /// Reads the words of a command, for a file with these columns.
    ///
    /// # Errors
    /// The words are a shell line, or name a column that the file does not have, or has twice.
    pub fn new(words: &[String], columns: &[String]) -> Result<RowTemplate, String> {
        refuse_shell_line(words)?;
        let words: Result<Vec<_>, _> = words.iter().map(|word| parts(word, columns)).collect();
        Ok(RowTemplate { words: words? })
    }

    /// Returns the job of a row, which has all columns.
    pub fn fill(&self, row: &[String]) -> JobSpec {
        let text = |part: &Part| match part {
            Part::Text(text) => text.clone(),
            Part::Column(place) => row.get(*place).cloned().unwrap_or_default(),
        };
        argv(self.words.iter().map(|parts| parts.iter().map(text).collect()))
    }
}

/// Reads the parts of one word.
fn parts(word: &str, columns: &[String]) -> Result<Vec<Part>, String> {
    let mut parts = Vec::new();
    let mut text = String::new();
    let mut rest = word;
    while let Some(at) = rest.find(['{', '}']) {
        text.push_str(&rest[..at]);
        let brace = &rest[at..=at];
        let after = &rest[at + 1..];
        if let Some(doubled) = after.strip_prefix(brace) {
            text.push_str(brace);
            rest = doubled;
            continue;
        }
        let named = (brace == "{").then(|| after.split_once('}')).flatten();
        let Some((name, behind)) = named else {
            return Err(format!(
                "{word:?} has a single {brace}; {{NAME}} stands for a column, and {{{{ and }}}} for braces"
            ));
        };
        parts.push(Part::Text(std::mem::take(&mut text)));
        parts.push(Part::Column(column(name, columns)?));
        rest = behind;
    }
    text.push_str(rest);
    parts.push(Part::Text(text));
    parts.retain(|part| *part != Part::Text(String::new()));
    Ok(parts)
}

fn column(name: &str, columns: &[String]) -> Result<usize, String> {
    let mut places = (0..columns.len()).filter(|place| columns[*place] == name);
    match (places.next(), places.next()) {
        (Some(place), None) => Ok(place),
        (Some(_), Some(_)) => Err(format!("the file has several columns '{name}'")),
        (None, _) => Err(format!(
            "the file has no column '{name}', only {}; braces that name none are written {{{{ and }}}}",
            columns.join(", ")
        )),
    }
}

fn refuse_shell_line(words: &[String]) -> Result<(), String> {
    match words {
        [line] if line.contains(char::is_whitespace) => Err(format!(
            "{line:?} is a shell line, into which nothing can be filled safely; give the program and its arguments as \
             words of their own, or: sh -c 'COMMAND \"$1\"' sh {{}}"
        )),
        _ => Ok(()),
    }
}

fn argv(words: impl Iterator<Item = String>) -> JobSpec {
    JobSpec {
        payload: Payload {
            command: Some(Command::Argv(words.collect())),
            ..Payload::default()
        },
        ..JobSpec::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owned(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    fn words(job: JobSpec) -> Vec<String> {
        match job.payload.command {
            Some(Command::Argv(words)) => words,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_line_is_one_argument_whatever_is_in_it() {
        let line = "a b'; rm -rf / \"$(x)\" {}";
        for (template, wanted) in [
            (&["rm", "--", "{}"][..], &["rm", "--", line][..]),
            (&["gzip"], &["gzip", line]),
            (&["cp", "{}", "{}.bak"], &["cp", line, &format!("{line}.bak")]),
            (&["awk", "{print}"], &["awk", "{print}", line]),
        ] {
            let template = LineTemplate::new(owned(template)).unwrap();
            assert_eq!(words(template.fill(line)), wanted);
        }
        let refused = LineTemplate::new(owned(&["cat {} | wc"])).unwrap_err();
        assert!(refused.contains("shell line"), "{refused}");
    }

    #[test]
    fn a_row_fills_in_its_columns() {
        let columns = owned(&["file", "size", "a b", "twice", "twice"]);
        let row = owned(&["x; y", "5", "", "1", "2"]);
        let fill = |template: &[&str]| {
            RowTemplate::new(&owned(template), &columns).map(|template| words(template.fill(&row)))
        };
        assert_eq!(
            fill(&["convert", "{file}", "{size}x{size}", "{a b}", "{{size}}", "}}"]).unwrap(),
            ["convert", "x; y", "5x5", "", "{size}", "}"]
        );
        assert_eq!(fill(&["true"]).unwrap(), ["true"]);
        for (template, wanted) in [
            (&["x", "{name}"][..], "no column 'name', only file, size"),
            (&["awk", "{print $1}"], "no column 'print $1'"),
            (&["x", "{}"], "no column ''"),
            (&["x", "{twice}"], "several columns 'twice'"),
            (&["x", "{file"], "single {"),
            (&["x", "file}"], "single }"),
            (&["x {file}"], "shell line"),
        ] {
            let said = fill(template).unwrap_err();
            assert!(said.contains(wanted), "{template:?}: {said}");
        }
    }
}
