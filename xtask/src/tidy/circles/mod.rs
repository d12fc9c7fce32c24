//! No import circles inside a crate.
//!
//! Wherever a module has children, the children may use one another in one direction only. Each with all that is below
//! it counts as one: if something in `a/` uses something in `b/`, nothing in `b/` may use anything in `a/`. Parents and
//! their children may know each other.

mod modules;
mod tokens;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use self::modules::{Mention, Modules, Path};
use super::Violation;
use super::files::SourceFile;

/// Some mentions, first to second, of one module's children.
type Arrows = BTreeMap<(String, String), Vec<Mention>>;

/// Modules that use each other in a ring.
struct Circle {
    /// The module whose children they are.
    parent: Path,
    /// One arrow after the other, each with one of its mentions and how many there are.
    arrows: Vec<(Mention, usize)>,
}

/// Checks every crate.
pub fn check_all(files: &[SourceFile]) -> Vec<Violation> {
    let texts: BTreeMap<&str, &str> = files
        .iter()
        .map(|file| (file.path.as_str(), file.text.as_str()))
        .collect();
    let read = |path: &str| texts.get(path).copied();
    let mut violations = Vec::new();
    for root in texts.keys() {
        let file = root.rsplit_once("/src/");
        if let Some((folder, "lib.rs" | "main.rs")) = file {
            let circles = circles(Modules::read(root, &read).mentions());
            violations.extend(circles.iter().map(|circle| violation(folder, circle)));
        }
    }
    violations
}

fn violation(folder: &str, circle: &Circle) -> Violation {
    let depth = circle.parent.len();
    let names = circle
        .arrows
        .iter()
        .map(|(mention, _)| mention.from[depth].as_str());
    let place = [folder]
        .into_iter()
        .chain(circle.parent.iter().map(String::as_str))
        .collect::<Vec<_>>()
        .join("/");
    let mut advice = format!(
        "{} import each other; remove one direction:",
        names.collect::<Vec<_>>().join(", ")
    );
    for (
        Mention {
            to, place, written, ..
        },
        count,
    ) in &circle.arrows
    {
        let more = match count {
            1 => String::new(),
            _ => format!(" and {} more", count - 1),
        };
        advice.push_str(&format!("\n    {place} uses {} ({written}){more}", to.join("::")));
    }
    Violation::new(place, advice)
}

/// The circles that are there, such that there are none once one arrow of each is gone.
fn circles(mentions: Vec<Mention>) -> Vec<Circle> {
    let mut levels: BTreeMap<Path, Arrows> = BTreeMap::new();
    for mention in mentions {
        let common = mention
            .from
            .iter()
            .zip(&mention.to)
            .take_while(|(from, to)| from == to)
            .count();
        let arrow = (mention.from[common].clone(), mention.to[common].clone());
        let level = levels.entry(mention.from[..common].to_vec()).or_default();
        level.entry(arrow).or_default().push(mention);
    }
    let mut circles = Vec::new();
    for (parent, mut arrows) in levels {
        while let Some(ring) = shortest(&arrows) {
            let described = ring
                .iter()
                .map(|arrow| (arrows[arrow][0].clone(), arrows[arrow].len()));
            circles.push(Circle {
                parent: parent.clone(),
                arrows: described.collect(),
            });
            // The one with the fewest mentions is probably the one that runs the wrong way.
            if let Some(weakest) = ring.iter().min_by_key(|arrow| arrows[*arrow].len()) {
                arrows.remove(weakest);
            }
        }
    }
    circles
}

/// The shortest ring of arrows, if there is one.
fn shortest(arrows: &Arrows) -> Option<Vec<(String, String)>> {
    let starts: BTreeSet<&String> = arrows.keys().map(|(from, _)| from).collect();
    let rings = starts.into_iter().filter_map(|start| ring(arrows, start));
    rings.min_by_key(Vec::len)
}

/// The shortest ring through one module.
fn ring(arrows: &Arrows, start: &String) -> Option<Vec<(String, String)>> {
    let mut before: BTreeMap<&String, &String> = BTreeMap::new();
    let mut queue = VecDeque::from([start]);
    while let Some(here) = queue.pop_front() {
        for (from, to) in arrows.keys().filter(|(from, _)| from == here) {
            if to == start {
                let mut ring = vec![(from.clone(), to.clone())];
                let mut at = from;
                while at != start {
                    let previous = before[at];
                    ring.push((previous.clone(), at.clone()));
                    at = previous;
                }
                ring.reverse();
                return Some(ring);
            }
            if !before.contains_key(to) {
                before.insert(to, from);
                queue.push_back(to);
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mention(from: &str, to: &str) -> Mention {
        let path = |text: &str| text.split("::").map(str::to_owned).collect();
        Mention {
            from: path(from),
            to: path(to),
            place: format!("{from}:1"),
            written: to.to_owned(),
        }
    }

    fn found(arrows: &[(&str, &str)]) -> Vec<String> {
        let circles = circles(arrows.iter().map(|(from, to)| mention(from, to)).collect());
        circles
            .iter()
            .map(|circle| violation("x", circle).to_string())
            .collect()
    }

    #[test]
    fn one_direction_is_no_circle() {
        assert!(found(&[("a", "b"), ("a", "c"), ("b", "c"), ("a::x", "c::y")]).is_empty());
    }

    #[test]
    fn a_circle_is_named_with_its_imports() {
        assert_eq!(
            found(&[("a", "b"), ("b", "a"), ("b", "a")]),
            [
                "x: a, b import each other; remove one direction:\n    a:1 uses b (b)\n    b:1 uses a (a) and 1 more"
            ]
        );
    }

    #[test]
    fn what_is_below_counts_for_what_is_above() {
        assert_eq!(found(&[("a::x", "b::y"), ("b::z", "a::w")]).len(), 1);
        let inside = found(&[("a::x", "a::y"), ("a::y", "a::x"), ("a::x", "b")]);
        assert_eq!(inside.len(), 1);
        assert!(inside[0].starts_with("x/a: x, y import"), "{}", inside[0]);
    }

    #[test]
    fn long_circles_and_several_are_found() {
        assert_eq!(found(&[("a", "b"), ("b", "c"), ("c", "a")]).len(), 1);
        let two = [("a", "b"), ("b", "a"), ("b", "c"), ("c", "b"), ("d", "a")];
        assert_eq!(found(&two).len(), 2);
    }

    #[test]
    fn files_of_a_crate_are_read_from_its_root() {
        let file = |path: &str, text: &str| SourceFile {
            path: path.to_owned(),
            text: text.to_owned(),
        };
        let mut files = vec![
            file("crates/x/src/lib.rs", "mod a; mod b;"),
            file("crates/x/src/a.rs", "use crate::b::B; pub struct A;"),
            file("crates/x/src/b.rs", "pub struct B;"),
            file("crates/x/src/stray.rs", "use crate::a::A;"),
        ];
        assert!(check_all(&files).is_empty());
        files[2].text.push_str("fn f(_: super::a::A) {}");
        assert_eq!(check_all(&files).len(), 1);
    }
}
