//! The modules of a crate, and which module uses which.
//!
//! Follows `mod` from the root file, so a file that no production build compiles is not looked at, and neither is what
//! is marked `#[cfg(test)]`. A name is followed through `use` to the module that defines it: going by way of a parent
//! that passes it on hides nothing. Method calls are not seen, because they name no module.

use std::collections::{BTreeMap, BTreeSet};

use super::tokens::{Token, tokens};

/// Longest chain of `use` that is followed.
const DEEPEST: usize = 12;

/// Names from the root of the crate to a module; empty for the root.
pub type Path = Vec<String>;

/// One mention of another module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mention {
    /// The module in which it stands.
    pub from: Path,
    /// The module that defines what is mentioned.
    pub to: Path,
    /// File and line.
    pub place: String,
    /// The path as it is written.
    pub written: String,
}

#[derive(Default)]
struct Module {
    children: BTreeSet<String>,
    items: BTreeSet<String>,
    /// What `use` calls by which name.
    names: BTreeMap<String, Path>,
    globs: Vec<Path>,
    /// Paths in use, with their place.
    paths: Vec<(Path, String)>,
}

/// The modules below one root file.
pub struct Modules(BTreeMap<Path, Module>);

impl Modules {
    /// Reads a crate from its root file, such as `crates/core/src/lib.rs`; `read` gives the text of a file that exists.
    pub fn read<'a>(root: &str, read: &impl Fn(&str) -> Option<&'a str>) -> Modules {
        let mut modules = Modules(BTreeMap::new());
        let folder = root.rsplit_once('/').map_or("", |(folder, _)| folder);
        modules.read_file(root, folder, Vec::new(), read);
        modules
    }

    /// Reads the file of one module; its children's files are in `folder`.
    fn read_file<'a>(
        &mut self,
        file: &str,
        folder: &str,
        path: Path,
        read: &impl Fn(&str) -> Option<&'a str>,
    ) {
        let Some(text) = read(file) else { return };
        let tokens = tokens(text);
        let mut parser = Parser {
            tokens: &tokens,
            at: 0,
            file,
            files: Vec::new(),
            modules: self,
        };
        parser.module(&path);
        for child in parser.files {
            let below = format!("{folder}/{}", child[path.len()..].join("/"));
            let files = [format!("{below}.rs"), format!("{below}/mod.rs")];
            for file in files {
                self.read_file(&file, &below, child.clone(), read);
            }
        }
    }

    /// Every mention of a module that is neither the same, nor above, nor below.
    pub fn mentions(&self) -> Vec<Mention> {
        let mut mentions = Vec::new();
        for (from, module) in &self.0 {
            for (path, place) in &module.paths {
                let Some((to, _)) = self.resolve(from, path, 0) else {
                    continue;
                };
                if !from.starts_with(&to) && !to.starts_with(from) {
                    mentions.push(Mention {
                        from: from.clone(),
                        to,
                        place: place.clone(),
                        written: path.join("::"),
                    });
                }
            }
        }
        mentions
    }

    /// The module that a path leads to, or that defines the item that it leads to, and whether it is the module itself.
    fn resolve(&self, from: &Path, path: &[String], depth: usize) -> Option<(Path, bool)> {
        if depth > DEEPEST {
            return None;
        }
        let mut here = from.clone();
        for (at, name) in path.iter().enumerate() {
            let module = self.0.get(&here)?;
            match name.as_str() {
                "crate" => here.clear(),
                "self" => {}
                "super" => {
                    here.pop()?;
                }
                _ if module.children.contains(name) => here.push(name.clone()),
                _ => match self.passed_on(&here, module, name, path, depth) {
                    Some((there, true)) => here = there,
                    Some((there, false)) => return Some((there, false)),
                    // The first name of a path is another crate's unless it is known; a later one is an item.
                    None if at == 0 && !module.items.contains(name) => return None,
                    None => return Some((here, false)),
                },
            }
        }
        Some((here, true))
    }

    /// Where a name leads that a module has by `use`.
    fn passed_on(
        &self,
        here: &Path,
        module: &Module,
        name: &String,
        looked_for: &[String],
        depth: usize,
    ) -> Option<(Path, bool)> {
        if let Some(path) = module.names.get(name)
            && path != looked_for
        {
            return self.resolve(here, path, depth + 1);
        }
        if module.items.contains(name) {
            return None;
        }
        module.globs.iter().find_map(|glob| {
            let (there, true) = self.resolve(here, glob, depth + 1)? else {
                return None;
            };
            let known = there != *here && self.0.get(&there)?.items.contains(name);
            known.then_some((there, false))
        })
    }
}

/// Reads the tokens of one file.
struct Parser<'a> {
    tokens: &'a [Token<'a>],
    at: usize,
    file: &'a str,
    /// The modules that have files of their own.
    files: Vec<Path>,
    modules: &'a mut Modules,
}

impl<'a> Parser<'a> {
    fn peek(&self, ahead: usize) -> &'a str {
        self.tokens.get(self.at + ahead).map_or("", |token| token.text)
    }

    fn place(&self) -> String {
        let line = self.tokens.get(self.at).map_or(0, |token| token.line);
        format!("{}:{line}", self.file)
    }

    /// Reads a module up to the brace that closes it, or to the end of the file.
    fn module(&mut self, path: &Path) {
        let mut module = self.modules.0.remove(path).unwrap_or_default();
        let mut depth = 0;
        while self.at < self.tokens.len() {
            let (word, next) = (self.peek(0), self.peek(1));
            match word {
                "#" if self.attribute() => {
                    // A file that is for tests as a whole.
                    if next == "!" {
                        self.at = self.tokens.len();
                    } else {
                        self.skip_item();
                    }
                    continue;
                }
                "#" => continue,
                "{" => depth += 1,
                "}" if depth == 0 => {
                    self.at += 1;
                    break;
                }
                "}" => depth -= 1,
                "mod" if matches!(self.peek(2), ";" | "{") => {
                    self.child(path, &mut module);
                    continue;
                }
                "use" => {
                    self.at += 1;
                    let place = self.place();
                    self.use_tree(&mut Vec::new(), &place, &mut module);
                    continue;
                }
                "fn" | "struct" | "enum" | "trait" | "type" | "const" | "static" | "union" if depth == 0 => {
                    module.items.insert(next.to_owned());
                }
                "!" if depth == 0 && self.at > 0 && self.tokens[self.at - 1].text == "macro_rules" => {
                    module.items.insert(next.to_owned());
                }
                "crate" | "super" | "self" if next == "::" => {
                    let place = self.place();
                    let path = self.path();
                    module.paths.push((path, place));
                    continue;
                }
                _ => {}
            }
            self.at += 1;
        }
        self.modules.0.insert(path.clone(), module);
    }

    fn child(&mut self, path: &Path, module: &mut Module) {
        let name = self.peek(1).to_owned();
        let inline = self.peek(2) == "{";
        self.at += 3;
        module.children.insert(name.clone());
        let mut child = path.clone();
        child.push(name);
        if inline {
            self.module(&child);
        } else {
            self.files.push(child);
        }
    }

    /// Passes over an attribute; whether what it belongs to is for tests alone.
    fn attribute(&mut self) -> bool {
        let mut words = Vec::new();
        let mut depth = 0;
        while self.at < self.tokens.len() {
            let word = self.peek(0);
            self.at += 1;
            match word {
                "[" => depth += 1,
                "]" => depth -= 1,
                _ => words.push(word),
            }
            if word == "]" && depth == 0 {
                break;
            }
        }
        words.contains(&"cfg")
            && words.contains(&"test")
            && !words.contains(&"not")
            && !words.contains(&"any")
    }

    /// Passes over an item, a field or a statement, with the attributes that are left before it.
    fn skip_item(&mut self) {
        while self.peek(0) == "#" {
            self.attribute();
        }
        let (mut depth, mut long) = (0, false);
        while self.at < self.tokens.len() {
            let word = self.peek(0);
            match word {
                // These end with a semicolon or a body, and may have commas before it.
                "fn" | "mod" | "impl" | "struct" | "enum" | "trait" | "use" if depth == 0 => long = true,
                "{" | "(" | "[" => depth += 1,
                // It was the last in what closes here.
                "}" | ")" | "]" if depth == 0 => return,
                "}" | ")" | "]" => depth -= 1,
                _ => {}
            }
            self.at += 1;
            let ends = match word {
                ";" => true,
                "," => !long,
                "}" => self.peek(0) != ";",
                _ => false,
            };
            if depth == 0 && ends {
                return;
            }
        }
    }

    /// Reads `a::b::c`.
    fn path(&mut self) -> Path {
        let mut path = vec![self.peek(0).to_owned()];
        self.at += 1;
        while self.peek(0) == "::" && self.peek(1).starts_with(|c: char| c.is_alphabetic() || c == '_') {
            path.push(self.peek(1).to_owned());
            self.at += 2;
        }
        path
    }

    /// Reads one branch of a `use` up to the comma, brace or semicolon after it.
    fn use_tree(&mut self, before: &mut Path, place: &str, module: &mut Module) {
        let length = before.len();
        while self.at < self.tokens.len() {
            match self.peek(0) {
                "{" => {
                    self.at += 1;
                    while !matches!(self.peek(0), "}" | "") {
                        let place = self.place();
                        self.use_tree(before, &place, module);
                        if self.peek(0) == "," {
                            self.at += 1;
                        }
                    }
                    self.at += 1;
                    before.truncate(length);
                    return;
                }
                "*" => {
                    self.at += 1;
                    module.globs.push(before.clone());
                    module.paths.push((before.clone(), place.to_owned()));
                    before.truncate(length);
                    return;
                }
                "," | "}" | ";" => {
                    if before.last().is_some_and(|last| last == "self") && before.len() > 1 {
                        before.pop();
                    }
                    self.named(before, None, place, module);
                    before.truncate(length);
                    return;
                }
                "as" => {
                    let name = self.peek(1).to_owned();
                    self.at += 2;
                    self.named(before, Some(name), place, module);
                    before.truncate(length);
                    return;
                }
                "::" => {}
                word => before.push(word.to_owned()),
            }
            self.at += 1;
        }
    }

    fn named(&self, path: &Path, name: Option<String>, place: &str, module: &mut Module) {
        let Some(name) = name.or_else(|| path.last().cloned()) else {
            return;
        };
        module.names.insert(name, path.clone());
        module.paths.push((path.clone(), place.to_owned()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What mentions what, in a crate of these files below `src/`.
    fn mentions(files: &[(&str, &str)]) -> Vec<String> {
        let read = |path: &str| {
            let below = path.strip_prefix("src/")?;
            files
                .iter()
                .find(|(name, _)| *name == below)
                .map(|(_, text)| *text)
        };
        let found = Modules::read("src/lib.rs", &read).mentions();
        let line = |mention: &Mention| {
            format!(
                "{} -> {} at {}",
                mention.from.join("::"),
                mention.to.join("::"),
                mention.place
            )
        };
        found.iter().map(line).collect()
    }

    #[test]
    fn every_spelling_of_a_path_is_found() {
        for text in [
            "use crate::b::X;",
            "use super::b::X;",
            "use crate::b;",
            "use super::b as c;",
            "use crate::{b::{X, Y as Z}};",
            "use super::{b::{self}};",
            "fn f() { crate::b::x(); }",
            "fn f(x: super::b::X) {}",
            "use crate::b::*;",
            "mod inner { use super::super::b::X; }",
        ] {
            let found = mentions(&[
                ("lib.rs", "mod a; mod b;"),
                ("a.rs", text),
                ("b.rs", "pub struct X;"),
            ]);
            assert!(!found.is_empty(), "{text}");
            for line in found {
                assert!(line.contains("-> b at src/a.rs:1"), "{text}: {line}");
            }
        }
    }

    #[test]
    fn a_name_is_followed_to_where_it_is_defined() {
        let lib = "mod a; mod b; pub use b::deep::X; use self::b::deep;";
        let rest = [("b/mod.rs", "pub mod deep;"), ("b/deep.rs", "pub struct X;")];
        for text in [
            "use crate::X;",
            "use super::X;",
            "use crate::deep::X;",
            "use crate::X as Y; ",
        ] {
            let files = [&[("lib.rs", lib), ("a.rs", text)], &rest[..]].concat();
            assert_eq!(mentions(&files), ["a -> b::deep at src/a.rs:1"], "{text}");
        }
        let globs = "mod a; mod b; pub use b::deep::*;";
        let files = [&[("lib.rs", globs), ("a.rs", "use crate::X;")], &rest[..]].concat();
        assert_eq!(mentions(&files), ["a -> b::deep at src/a.rs:1"]);
    }

    #[test]
    fn parents_children_and_other_crates_are_no_mentions() {
        let files = [
            ("lib.rs", "mod a; mod b; fn f() { a::g() }"),
            (
                "a/mod.rs",
                "mod inner; use inner::X; use std::fmt; use serde::{Serialize, de::Error}; const C: u8 = 1;",
            ),
            (
                "a/inner.rs",
                "use super::C; use crate::f; use self::own::Z; mod own { pub struct Z; }",
            ),
            (
                "b.rs",
                "/* crate::a */ // crate::a\nconst S: &str = \"crate::a\";",
            ),
        ];
        assert_eq!(mentions(&files), [""; 0]);
    }

    #[test]
    fn tests_are_left_out() {
        let hidden = [
            "#[cfg(test)]\nmod tests { use crate::b::X; }",
            "#[cfg(test)]\n#[cfg(unix)]\nmod tests;",
            "#[cfg(all(test, unix))] use crate::b::{X, Y};",
            "#[cfg(test)] fn f<A, B>(a: A) -> crate::b::X { crate::b::X }",
            "struct S { #[cfg(test)] x: crate::b::X, y: u8 }",
            "#![cfg(test)] use crate::b::X;",
        ];
        fn files(text: &str) -> [(&str, &str); 4] {
            let tests = ("a/tests.rs", "use crate::b::X;");
            [("lib.rs", "mod a; mod b;"), ("a.rs", text), tests, ("b.rs", "")]
        }
        for text in hidden {
            assert_eq!(mentions(&files(text)), [""; 0], "{text}");
        }
        for text in &hidden[..5] {
            let after = format!("{text}\nfn g() {{ crate::b::g() }}");
            assert_eq!(mentions(&files(&after)).len(), 1, "{text}");
        }
        for text in [
            "#[cfg(not(test))] use crate::b::X;",
            "#[cfg(unix)] use crate::b::X;",
        ] {
            assert_eq!(mentions(&files(text)).len(), 1, "{text}");
        }
    }
}
