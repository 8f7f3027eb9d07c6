//! What is wrong with a configuration or a request: all of it, one line each.

/// Problems reported in one run; the rest are only counted.
pub const PROBLEMS_MAX: usize = 20;

/// A place in a text: line and column, both from 1; a column counts characters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pos {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where in the text, when it is about a place.
    pub pos: Option<Pos>,
    /// The JSON path of the value, such as `routes[1].dropRate`; empty for the whole text.
    pub path: String,
    /// What came, what is allowed in parentheses, the way out.
    pub message: String,
}

impl Problem {
    /// The one line to show: `chaos-proxy: <source>:<line>:<col>: <path>: <message>`.
    fn line(&self, source: &str) -> String {
        let place = self.pos.map(|pos| format!(":{}:{}", pos.line, pos.column)).unwrap_or_default();
        let path = if self.path.is_empty() { "" } else { &format!(" {}:", self.path) };
        format!("chaos-proxy: {source}{place}:{path} {}", self.message)
    }
}

/// A collector: parsing goes on after a problem, so that all are told at once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problems {
    list: Vec<Problem>,
    omitted: usize,
}

impl Problems {
    /// Notes one problem; beyond `PROBLEMS_MAX` it is only counted.
    pub fn add(&mut self, problem: Problem) {
        if self.list.len() < PROBLEMS_MAX {
            self.list.push(problem);
        } else {
            self.omitted += 1;
        }
    }

    /// True when nothing was wrong.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The lines to show, each begun with the name of the source.
    pub fn lines(&self, source: &str) -> Vec<String> {
        let mut lines: Vec<String> = self.list.iter().map(|problem| problem.line(source)).collect();
        if self.omitted > 0 {
            lines.push(format!("chaos-proxy: {source}: and {} more problems", self.omitted));
        }
        lines
    }
}

/// `", did you mean \"x\"?"` for the nearest of the known words, or nothing when none is near.
pub fn did_you_mean<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let near = known.into_iter().map(|candidate| (distance(word, candidate), candidate)).min();
    match near {
        Some((far, candidate)) if far <= 1 + candidate.chars().count() / 4 => {
            format!(", did you mean {candidate:?}?")
        }
        _ => String::new(),
    }
}

/// Words longer than this are not compared: the table would grow with the input.
const WORD_MAX: usize = 64;

/// The Levenshtein distance, letters without case.
fn distance(left: &str, right: &str) -> usize {
    if left.len() > WORD_MAX {
        return usize::MAX;
    }
    let right: Vec<char> = right.to_lowercase().chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, l) in left.to_lowercase().chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, r) in right.iter().enumerate() {
            let replaced = diagonal + usize::from(l != *r);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(n: usize) -> Problem {
        let pos = Some(Pos { line: n, column: 1 });
        Problem { pos, path: "a".into(), message: "wrong (right)".into() }
    }

    #[test]
    fn lines_carry_place_and_path() {
        let mut problems = Problems::default();
        problems.add(problem(3));
        problems.add(Problem { pos: None, path: String::new(), message: "empty file".into() });
        let expected =
            ["chaos-proxy: c.json:3:1: a: wrong (right)", "chaos-proxy: c.json: empty file"];
        assert_eq!(problems.lines("c.json"), expected);
    }

    #[test]
    fn the_twenty_first_is_counted() {
        let mut problems = Problems::default();
        (0..PROBLEMS_MAX + 1).for_each(|n| problems.add(problem(n)));
        let lines = problems.lines("c");
        assert_eq!(lines.len(), PROBLEMS_MAX + 1);
        assert_eq!(lines[PROBLEMS_MAX], "chaos-proxy: c: and 1 more problems");
    }

    #[test]
    fn suggestions() {
        let known = ["latencyMs", "dropRate", "upstream"];
        assert_eq!(did_you_mean("latencyms", known), r#", did you mean "latencyMs"?"#);
        assert_eq!(did_you_mean("droprte", known), r#", did you mean "dropRate"?"#);
        assert_eq!(did_you_mean("zzz", known), "");
        assert_eq!(did_you_mean(&"x".repeat(WORD_MAX + 1), known), "");
        assert_eq!(did_you_mean("", []), "");
    }
}
