//! Multi-status bodies (RFC 4918 13) → responses, one at a time; and the few elements that requests are made of.
//!
//! An upstream is not trusted: depth, attributes and elements of one response are bounded, a DTD is refused, and a
//! body counts only when it is well-formed to its last byte. Unknown elements are kept or skipped, never refused.
//!
//! What is no character (a damaged byte, U+0000, a reference to one) is read as U+FFFD: one such byte in one title must not
//! hide a whole calendar. A text that must be exact is one without U+FFFD.

use quick_xml::XmlVersion;
use quick_xml::events::Event;
use quick_xml::name::ResolveResult;
use quick_xml::reader::NsReader;

pub const DAV: &str = "DAV:";
pub const CALDAV: &str = "urn:ietf:params:xml:ns:caldav";
pub const CALENDARSERVER: &str = "http://calendarserver.org/ns/";
pub const APPLE: &str = "http://apple.com/ns/ical/";

const DEPTH: usize = 64;
const ATTRIBUTES: usize = 64;
/// Of one response. A home with hundreds of privileges and reports stays far below.
const ELEMENTS: usize = 20_000;

/// Longest etag in bytes.
const ETAG: usize = 1024;

/// An element with the text directly in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Element {
    pub ns: String,
    pub name: String,
    pub attributes: Vec<(String, String)>,
    pub text: String,
    pub children: Vec<Element>,
}

impl Element {
    pub fn is(&self, ns: &str, name: &str) -> bool {
        self.ns == ns && self.name == name
    }

    /// The first child of that name.
    pub fn child(&self, ns: &str, name: &str) -> Option<&Element> {
        self.children.iter().find(|c| c.is(ns, name))
    }

    pub fn children<'a>(&'a self, ns: &'a str, name: &'a str) -> impl Iterator<Item = &'a Element> {
        self.children.iter().filter(move |c| c.is(ns, name))
    }

    /// Whether an element of that name is somewhere below.
    pub fn holds(&self, ns: &str, name: &str) -> bool {
        self.find(ns, name).is_some()
    }

    /// The first element of that name below, depth first.
    pub fn find(&self, ns: &str, name: &str) -> Option<&Element> {
        self.children.iter().find_map(|c| if c.is(ns, name) { Some(c) } else { c.find(ns, name) })
    }

    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }
}

/// One `DAV:response`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Response {
    /// As the server wrote it, white space around it aside.
    pub href: String,
    /// The status of the whole response; `None`: it has properties instead.
    pub status: Option<u16>,
    /// The properties the server has: those of propstats with a 2xx status.
    pub props: Vec<Element>,
}

impl Response {
    pub fn prop(&self, ns: &str, name: &str) -> Option<&Element> {
        self.props.iter().find(|p| p.is(ns, name))
    }

    /// The text of a property, white space around it aside; `None`: it is not there or empty.
    pub fn text(&self, ns: &str, name: &str) -> Option<&str> {
        self.prop(ns, name).map(|p| p.text.trim()).filter(|t| !t.is_empty())
    }

    /// The etag as [`crate::ids::Etag`] keeps it: without quotes when it is strong, as it came when it is weak.
    pub fn etag(&self) -> Option<String> {
        self.text(DAV, "getetag").map(etag).filter(|e| !e.is_empty())
    }
}

/// `"x"` → `x`; `W/"x"` stays. One too long to be sent back in a header is none: empty.
pub fn etag(raw: &str) -> String {
    let raw = raw.trim();
    if raw.len() > ETAG {
        return String::new();
    }
    raw.strip_prefix('"').and_then(|r| r.strip_suffix('"')).unwrap_or(raw).to_owned()
}

/// Reads a multi-status body, giving each response to `each`, and returns its `DAV:sync-token`.
/// What `each` was given counts only when this returns `Ok`: a body that ends early is an error at its end.
pub fn multistatus(body: &[u8], mut each: impl FnMut(Response)) -> Result<Option<String>, String> {
    let mut token = None;
    let root = walk(body, |element, depth| match depth {
        1 if element.is(DAV, "response") => {
            each(response(&element));
            None
        }
        1 if element.is(DAV, "sync-token") => {
            token = Some(element.text.trim().to_owned());
            None
        }
        1 => None,
        _ => Some(element),
    })?;
    if !root.is(DAV, "multistatus") {
        return Err(format!("it is a <{}> and not a multistatus", root.name));
    }
    Ok(token.filter(|t| !t.is_empty()))
}

/// Reads a small body whole: error bodies. A large one is refused unread.
pub fn document(body: &[u8]) -> Result<Element, String> {
    if body.len() > 64 << 10 {
        return Err("it is too large".to_owned());
    }
    walk(body, |element, _| Some(element))
}

/// Walks a document. `close` is given each element when it ends, with its depth (0: the root), and says
/// what is kept in its parent. Returns the root.
fn walk(body: &[u8], mut close: impl FnMut(Element, usize) -> Option<Element>) -> Result<Element, String> {
    let mut text = String::from_utf8_lossy(body);
    if text.contains('\0') {
        text = text.replace('\0', "\u{fffd}").into();
    }
    let mut reader = NsReader::from_str(text.trim_start_matches('\u{feff}'));
    reader.config_mut().expand_empty_elements = true;
    let mut open: Vec<Element> = Vec::new();
    let mut root = None;
    let mut elements = 0;
    loop {
        let (ns, event) = reader.read_resolved_event().map_err(|e| format!("it is not XML: {e}"))?;
        match event {
            Event::Start(start) => {
                if root.is_some() {
                    return Err("it has two roots".to_owned());
                }
                elements += 1;
                if open.len() >= DEPTH || elements > ELEMENTS {
                    return Err("its XML is too deep or too large".to_owned());
                }
                let ns = match ns {
                    ResolveResult::Bound(ns) => ns.as_ref().to_owned(),
                    _ => String::new(),
                };
                let mut element = Element { ns, name: start.local_name().as_ref().to_owned(), ..Element::default() };
                for attribute in start.attributes() {
                    let attribute = attribute.map_err(|e| format!("it is not XML: {e}"))?;
                    if element.attributes.len() >= ATTRIBUTES {
                        return Err("its XML has too many attributes".to_owned());
                    }
                    let value = attribute
                        .normalized_value(XmlVersion::Implicit1_0)
                        .map_err(|e| format!("it is not XML: {e}"))?;
                    element.attributes.push((attribute.key.local_name().as_ref().to_owned(), value.into_owned()));
                }
                open.push(element);
            }
            Event::End(_) => {
                let Some(element) = open.pop() else { return Err("it is not XML: an end without a start".to_owned()) };
                let depth = open.len();
                // The bound is for one response: what was closed at depth 1 is no longer held.
                elements = if depth <= 1 { 0 } else { elements };
                match open.last_mut() {
                    Some(parent) => parent.children.extend(close(element, depth)),
                    None => root = Some(element),
                }
            }
            Event::Text(text) => append(&mut open, &text.into_inner())?,
            Event::CData(data) => append(&mut open, &data.into_inner())?,
            Event::GeneralRef(name) => match name.resolve_char_ref() {
                Ok(Some(c)) => append(&mut open, c.encode_utf8(&mut [0; 4]))?,
                Ok(None) => append(&mut open, predefined(&name.into_inner())?)?,
                Err(_) => append(&mut open, "\u{fffd}")?,
            },
            Event::DocType(_) => return Err("it has a DTD".to_owned()),
            // Empty elements were asked to come as a start and an end.
            Event::Empty(_) | Event::Decl(_) | Event::PI(_) | Event::Comment(_) => {}
            Event::Eof => break,
        }
    }
    match (root, open.is_empty()) {
        (Some(root), true) => Ok(root),
        _ => Err("it ends in the middle".to_owned()),
    }
}

fn append(open: &mut [Element], text: &str) -> Result<(), String> {
    match open.last_mut() {
        Some(element) => element.text.push_str(text),
        None if text.trim().is_empty() => {}
        None => return Err("it has text outside its root".to_owned()),
    }
    Ok(())
}

fn predefined(name: &str) -> Result<&'static str, String> {
    match name {
        "lt" => Ok("<"),
        "gt" => Ok(">"),
        "amp" => Ok("&"),
        "quot" => Ok("\""),
        "apos" => Ok("'"),
        _ => Err("it uses an entity that XML does not define".to_owned()),
    }
}

fn response(element: &Element) -> Response {
    let status = |e: &Element| e.child(DAV, "status").and_then(|s| code(&s.text));
    let good = |e: &&Element| status(e).is_none_or(|code| (200..300).contains(&code));
    Response {
        href: element.child(DAV, "href").map(|h| h.text.trim().to_owned()).unwrap_or_default(),
        status: status(element),
        props: element
            .children(DAV, "propstat")
            .filter(good)
            .flat_map(|p| p.children(DAV, "prop"))
            .flat_map(|p| p.children.iter().cloned())
            .collect(),
    }
}

/// `HTTP/1.1 404 Not Found` → 404.
fn code(line: &str) -> Option<u16> {
    line.split_ascii_whitespace().nth(1)?.parse().ok()
}

/// Text for an element.
pub fn escape(text: &str) -> String {
    quick_xml::escape::escape(text).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each response on a line: href, status, names of the properties with their texts.
    fn outline(body: &str) -> String {
        let mut lines = Vec::new();
        let token = multistatus(body.as_bytes(), |r| {
            let props: Vec<String> = r.props.iter().map(|p| format!("{}={}", p.name, p.text.trim())).collect();
            let status = r.status.map(|s| s.to_string()).unwrap_or_default();
            lines.push([r.href, status, props.join(",")].join("|"));
        });
        match token {
            Ok(token) => {
                lines.extend(token.map(|t| format!("token {t}")));
                lines.join("\n")
            }
            Err(why) => format!("error: {why}"),
        }
    }

    #[test]
    fn a_multistatus_is_read_to_its_last_byte_or_not_at_all() {
        let check = |body: &str, expect: &str| assert_eq!(outline(body), expect, "{body}");
        let response = "<d:response><d:href> /a/1.ics </d:href><d:propstat><d:prop><d:getetag>&quot;1&quot;</d:getetag>\
             </d:prop><d:status>HTTP/1.1 200 OK</d:status></d:propstat><d:propstat><d:prop><d:displayname/></d:prop>\
             <d:status>HTTP/1.1 404 Not Found</d:status></d:propstat></d:response>";
        let gone = "<d:response><d:href>/a/2.ics</d:href><d:status>HTTP/1.1 404 Not Found</d:status></d:response>";
        let full =
            format!("<d:multistatus xmlns:d='DAV:'>{response}{gone}<d:sync-token>t1</d:sync-token></d:multistatus>");
        check(&full, "/a/1.ics||getetag=\"1\"\n/a/2.ics|404|\ntoken t1");
        check(&format!("\u{feff}<?xml version=\"1.0\"?>\n{full}\n<!-- end -->"), &outline(&full));
        for cut in ["</d:multistatus>", "</d:sync-token></d:multistatus>", "quot;</d:getetag>"] {
            let short = &full[..full.find(cut).unwrap()];
            assert!(outline(short).starts_with("error: "), "cut before {cut}");
        }
        check("", "error: it ends in the middle");
        check("<multistatus xmlns='DAV:'/>", "");
        check("<multistatus/>", "error: it is a <multistatus> and not a multistatus");
        check("<multistatus xmlns='DAV:'/><x/>", "error: it has two roots");
        check("<multistatus xmlns='DAV:'/>x", "error: it has text outside its root");
        check("<!DOCTYPE x [<!ENTITY a 'b'>]><multistatus xmlns='DAV:'/>", "error: it has a DTD");
        check("<multistatus xmlns='DAV:'>&nbsp;</multistatus>", "error: it uses an entity that XML does not define");
        check(&"<a>".repeat(100), "error: its XML is too deep or too large");
    }

    #[test]
    fn text_keeps_its_line_ends_its_cdata_and_its_references() {
        let check = |inner: &str, expect: &str| {
            let body = format!("<x>{inner}</x>");
            assert_eq!(document(body.as_bytes()).map(|e| e.text).as_deref(), Ok(expect), "{inner}");
        };
        check("a&#13;\nb", "a\r\nb");
        check("a\r\nb", "a\r\nb");
        check("<![CDATA[a < b & c]]> &lt;d&#x3e;", "a < b & c <d>");
        check("SUMMARY:Ä <!-- no --> ö", "SUMMARY:Ä  ö");
        check("a\0b&#0;c&#x0;d&#xd800;e", "a\u{fffd}b\u{fffd}c\u{fffd}d\u{fffd}e");
    }

    #[test]
    fn etags_lose_their_quotes_and_keep_their_weakness() {
        let check = |raw: &str, expect: &str| assert_eq!(etag(raw), expect);
        check("\"abc\"", "abc");
        check("W/\"abc\"", "W/\"abc\"");
        check("abc", "abc");
        check("\"\"", "");
        check("\"", "\"");
        check(&"x".repeat(1025), "");
    }
}
