//! Text to a tree of nodes, by way of the events of the YAML parser. JSON goes the same way.

use std::collections::BTreeMap;
use std::rc::Rc;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Span, Tag};

use super::node::{Entry, Node, Value, quoted};
use super::outline::{self, Outline};
use super::source::whole;
use super::value::Found;
use super::{DEPTH_MAX, NODES_MAX, syntax, top};
use crate::problem::{Pos, Problem};

/// The tree of `text`, or none when it breaks off; what is wrong is added to `found`.
pub(super) fn tree(text: &str, found: &mut Found) -> Option<Rc<Node>> {
    let outline = outline::of(text, None);
    if let Some(pos) = outline.too_deep {
        found.push(stop(pos, too_deep()));
        return None;
    }
    if let Some(pos) = outline.too_many {
        found.push(stop(pos, too_many()));
        return None;
    }
    let mut builder = Builder::new(&outline, found);
    for event in Parser::new_from_str(outline.rewritten.as_deref().unwrap_or(text)) {
        let taken = match event {
            Ok((event, span)) => builder.take(event, span),
            Err(error) => {
                let pos = builder.place(*error.marker());
                Err(syntax::problem(error.info(), pos, text, &outline))
            }
        };
        if let Err(problem) = taken {
            builder.found.push(problem);
            return None;
        }
    }
    builder.finish()
}

/// A problem after which nothing more is read; the path would only say how deep it is.
fn stop(pos: Pos, message: String) -> Problem {
    Problem { pos: Some(pos), path: String::new(), message }
}

fn too_deep() -> String {
    format!("nested too deeply (at most {DEPTH_MAX} levels)")
}

fn too_many() -> String {
    format!("too many values (at most {NODES_MAX}, aliases counted as what they stand for)")
}

/// A path with the elements of a bare list called `routes`, as everywhere.
pub(super) fn join(path: &str, key: &str) -> String {
    let plain = (1..=64).contains(&key.len())
        && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    match (plain, path.is_empty()) {
        (true, true) => key.to_owned(),
        (true, false) => format!("{path}.{key}"),
        (false, _) => format!("{path}[{}]", quoted(key)),
    }
}

/// A list or an object that is not yet closed.
struct Frame {
    pos: Pos,
    anchor: usize,
    size: usize,
    height: usize,
    parts: Parts,
}

enum Parts {
    List(Vec<Rc<Node>>),
    Object { entries: Vec<Entry>, places: BTreeMap<Rc<str>, Pos>, key: NextKey },
}

/// The key of the value that comes next.
enum NextKey {
    /// The next node is a key.
    Awaited,
    /// The next node belongs to it.
    Read(Rc<str>, Pos),
    /// The next node belongs to a key that was refused.
    Refused,
}

struct Builder<'a> {
    outline: &'a Outline,
    found: &'a mut Found,
    frames: Vec<Frame>,
    /// Finished nodes by the number of their anchor.
    anchors: Vec<Option<Rc<Node>>>,
    nodes: usize,
    documents: usize,
    root: Option<Rc<Node>>,
}

type Taken = Result<(), Problem>;

impl<'a> Builder<'a> {
    fn new(outline: &'a Outline, found: &'a mut Found) -> Builder<'a> {
        let (frames, anchors) = (Vec::new(), Vec::new());
        Builder { outline, found, frames, anchors, nodes: 0, documents: 0, root: None }
    }

    fn finish(self) -> Option<Rc<Node>> {
        if self.root.is_none() {
            self.found.push(whole(format!("an empty file ({})", top::ALLOWED)));
        }
        self.root
    }

    fn place(&self, marker: Marker) -> Pos {
        self.outline.original(Pos { line: marker.line(), column: marker.col() + 1 })
    }

    /// The path of the value that is being read.
    fn path(&self) -> String {
        let bare_list = matches!(self.frames.first(), Some(Frame { parts: Parts::List(_), .. }));
        let start = if bare_list { "routes".to_owned() } else { String::new() };
        self.frames.iter().fold(start, |path, frame| match &frame.parts {
            Parts::List(list) => format!("{path}[{}]", list.len()),
            Parts::Object { key: NextKey::Read(key, _), .. } => join(&path, key),
            Parts::Object { .. } => path,
        })
    }

    fn problem(&self, pos: Pos, message: String) -> Problem {
        Problem { pos: Some(pos), path: self.path(), message }
    }

    fn take(&mut self, event: Event<'_>, span: Span) -> Taken {
        let pos = self.place(span.start);
        match event {
            Event::DocumentStart(_) => self.begin_document(pos),
            Event::Scalar(text, style, anchor, tag) => {
                let value = self.scalar(&text, style, tag.as_deref(), pos);
                self.count(1, 0, pos)?;
                self.attach(Rc::new(Node::leaf(Some(pos), value)), anchor, pos);
                Ok(())
            }
            Event::SequenceStart(anchor, tag) => {
                self.begin(Parts::List(Vec::new()), anchor, tag.as_deref(), pos)
            }
            Event::MappingStart(anchor, tag) => {
                let key = NextKey::Awaited;
                let object = Parts::Object { entries: Vec::new(), places: BTreeMap::new(), key };
                self.begin(object, anchor, tag.as_deref(), pos)
            }
            Event::SequenceEnd | Event::MappingEnd => {
                self.end();
                Ok(())
            }
            Event::Alias(anchor) => self.alias(anchor, pos),
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Ok(()),
        }
    }

    fn begin_document(&mut self, pos: Pos) -> Taken {
        self.documents += 1;
        match self.documents {
            1 => Ok(()),
            _ => Err(self.problem(pos, "a second document (one document)".into())),
        }
    }

    /// Counts nodes that are to stand where the reading is, before they are made.
    fn count(&mut self, size: usize, height: usize, pos: Pos) -> Taken {
        self.nodes += size;
        if self.nodes > NODES_MAX {
            return Err(stop(pos, too_many()));
        }
        if self.frames.len() + height > DEPTH_MAX {
            return Err(stop(pos, too_deep()));
        }
        Ok(())
    }

    fn scalar(&mut self, text: &str, style: ScalarStyle, tag: Option<&Tag>, pos: Pos) -> Value {
        let is_text = tag.is_some_and(|tag| tag.is_yaml_core_schema() && tag.suffix == "str");
        if !is_text {
            self.refuse_tag(tag, pos);
        }
        match style {
            ScalarStyle::Plain if !is_text => Value::plain(text),
            _ => Value::Text(text.into()),
        }
    }

    fn refuse_tag(&mut self, tag: Option<&Tag>, pos: Pos) {
        if let Some(tag) = tag {
            let core = tag.is_yaml_core_schema();
            let handle = if core { "!!" } else { &tag.handle };
            let written = quoted(&format!("{handle}{}", tag.suffix));
            self.found.push(self.problem(pos, format!("the tag {written} (no tag, or !!str)")));
        }
    }

    fn begin(&mut self, parts: Parts, anchor: usize, tag: Option<&Tag>, pos: Pos) -> Taken {
        self.refuse_tag(tag, pos);
        self.count(1, 1, pos)?;
        self.frames.push(Frame { pos, anchor, size: 1, height: 1, parts });
        Ok(())
    }

    fn end(&mut self) {
        let Some(frame) = self.frames.pop() else { return };
        let Frame { pos, anchor, size, height, parts } = frame;
        let value = match parts {
            Parts::List(list) => Value::List(list),
            Parts::Object { entries, .. } => Value::Object(entries),
        };
        self.attach(Rc::new(Node { pos: Some(pos), value, size, height }), anchor, pos);
    }

    fn alias(&mut self, anchor: usize, pos: Pos) -> Taken {
        let Some(node) = self.anchors.get(anchor).cloned().flatten() else {
            let message = "an alias inside of what it stands for (an alias of something before it)";
            return Err(self.problem(pos, message.into()));
        };
        self.count(node.size, node.height, pos)?;
        self.attach(node, 0, pos);
        Ok(())
    }

    /// Puts a finished node where the reading is: in a list, as a key, as the value of a key.
    fn attach(&mut self, node: Rc<Node>, anchor: usize, pos: Pos) {
        if anchor > 0 {
            self.anchors.resize(self.anchors.len().max(anchor + 1), None); // they count from 1
            self.anchors[anchor] = Some(Rc::clone(&node));
        }
        let Some(frame) = self.frames.last_mut() else {
            self.root = Some(node);
            return;
        };
        frame.size += node.size;
        frame.height = frame.height.max(node.height + 1);
        match &mut frame.parts {
            Parts::List(list) => list.push(node),
            Parts::Object { entries, key, .. } => match std::mem::replace(key, NextKey::Awaited) {
                NextKey::Awaited => self.key(&node, pos),
                NextKey::Refused => {}
                NextKey::Read(key, at) => entries.push(Entry { key, key_pos: Some(at), node }),
            },
        }
    }

    fn key(&mut self, node: &Node, pos: Pos) {
        let path = self.path();
        let Some(Frame { parts: Parts::Object { places, key, .. }, .. }) = self.frames.last_mut()
        else {
            return;
        };
        let Value::Text(name) = &node.value else {
            *key = NextKey::Refused;
            let way_out = match &node.value {
                Value::Null | Value::Bool(_) | Value::Number(_) => ", put it in quotes",
                Value::Text(_) | Value::List(_) | Value::Object(_) => "",
            };
            let message = format!("{} as a key (a text{way_out})", node.value.what());
            self.found.push(Problem { pos: Some(pos), path, message });
            return;
        };
        if let Some(first) = places.get(name) {
            *key = NextKey::Refused;
            let Pos { line, column } = first;
            let message =
                format!("duplicate key {} (once, it is at {line}:{column})", quoted(name));
            self.found.push(Problem { pos: Some(pos), path: join(&path, name), message });
            return;
        }
        places.insert(Rc::clone(name), pos);
        *key = NextKey::Read(Rc::clone(name), pos);
    }
}

#[cfg(test)]
#[path = "text_tests.rs"]
mod tests;
