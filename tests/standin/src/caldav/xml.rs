//! The XML of requests, read into a tree. Trusting: only our own client talks to a stand-in.

use quick_xml::events::Event;
use quick_xml::name::ResolveResult;
use quick_xml::reader::NsReader;

/// An element of a request.
#[derive(Debug, Default)]
pub struct Node {
    pub ns: String,
    pub name: String,
    pub text: String,
    pub attributes: Vec<(String, String)>,
    pub children: Vec<Node>,
}

impl Node {
    pub fn child(&self, name: &str) -> Option<&Node> {
        self.children.iter().find(|c| c.name == name)
    }

    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Node> {
        self.children.iter().filter(move |c| c.name == name)
    }
}

/// The root of a body; `None`: it is not XML.
pub fn parse(body: &str) -> Option<Node> {
    let mut reader = NsReader::from_str(body);
    reader.config_mut().expand_empty_elements = true;
    let mut open: Vec<Node> = Vec::new();
    loop {
        match reader.read_resolved_event().ok()? {
            (ns, Event::Start(start)) => {
                let ns = match ns {
                    ResolveResult::Bound(ns) => ns.as_ref().to_owned(),
                    _ => String::new(),
                };
                let attributes = start.attributes().flatten();
                let attributes = attributes.map(|a| (a.key.local_name().as_ref().to_owned(), a.value.into_owned()));
                let attributes = attributes.collect();
                open.push(Node { ns, name: start.local_name().as_ref().to_owned(), attributes, ..Node::default() });
            }
            (_, Event::End(_)) => {
                let node = open.pop()?;
                match open.last_mut() {
                    Some(parent) => parent.children.push(node),
                    None => return Some(node),
                }
            }
            (_, Event::Text(text)) => {
                if let Some(node) = open.last_mut() {
                    node.text.push_str(&text);
                }
            }
            (_, Event::GeneralRef(name)) => {
                let c = match name.resolve_char_ref().ok()? {
                    Some(c) => c,
                    None => match &*name {
                        "amp" => '&',
                        "lt" => '<',
                        "gt" => '>',
                        "quot" => '"',
                        "apos" => '\'',
                        _ => return None,
                    },
                };
                if let Some(node) = open.last_mut() {
                    node.text.push(c);
                }
            }
            (_, Event::Eof) => return None,
            _ => {}
        }
    }
}

pub fn escape(text: &str) -> String {
    quick_xml::escape::escape(text).replace('\r', "&#13;")
}
