//! What a look at the state of the process found changed.

/// What was found changed.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// What is as before again, or could be.
    pub(crate) mended: Vec<String>,
    /// What cannot be put back.
    pub(crate) lost: Vec<String>,
}

impl Changes {
    pub fn is_empty(&self) -> bool {
        self.mended.is_empty() && self.lost.is_empty()
    }

    /// All of it, in words.
    pub fn words(&self) -> String {
        let all: Vec<&str> = self.lost.iter().chain(&self.mended).map(String::as_str).collect();
        all.join(", ")
    }

    /// Notes that something changed unless it is `same`, which was or could be put back.
    pub fn note_unless(&mut self, same: bool, what: &str) {
        if !same {
            self.note(what, true);
        }
    }

    pub fn note(&mut self, what: impl Into<String>, put_back: bool) {
        if put_back {
            self.mended.push(what.into());
        } else {
            self.lost.push(what.into());
        }
    }
}
