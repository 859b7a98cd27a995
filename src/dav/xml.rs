//! XML bodies → a tree of elements, under limits. `request.rs`, `principals.rs` and `share.rs` read the tree; nothing else does.
//!
//! quick-xml cuts the text; what it lets pass and a body must not have (a DTD, control characters, unbound prefixes, a
//! second root …) is refused here, so that what is not well-formed is always a 400 and never half understood.

use std::borrow::Cow;
use std::rc::Rc;

use bytes::Bytes;
use memchr::memchr;
use quick_xml::XmlVersion;
use quick_xml::events::{BytesStart, Event};

/// Elements within elements.
pub const MAX_DEPTH: usize = 64;
/// Attributes of one element, namespace declarations aside.
pub const MAX_ATTRIBUTES: usize = 64;
/// Namespace declarations of one element.
pub const MAX_NAMESPACES: usize = 64;
/// Namespace declarations that hold at one place: what each name may have to be looked up among.
pub const MAX_SCOPE: usize = 256;
/// Elements of one body: a multiget of as many hrefs as `[limits]` may allow has room.
pub const MAX_ELEMENTS: usize = 50_000;
/// Bytes of a namespace or a name, each: an unknown property is named again in every response.
pub const MAX_NAME: usize = 1024;

const XML_NS: &str = "http://www.w3.org/XML/1998/namespace";
const XMLNS_NS: &str = "http://www.w3.org/2000/xmlns/";

/// An element with what is in it.
#[derive(Debug)]
pub struct Element<'a> {
    /// The namespace; empty: none.
    pub ns: Rc<str>,
    pub name: &'a str,
    pub attributes: Vec<Attribute<'a>>,
    pub nodes: Vec<Node<'a>>,
}

#[derive(Debug)]
pub struct Attribute<'a> {
    pub ns: Rc<str>,
    pub name: &'a str,
    pub value: String,
}

#[derive(Debug)]
pub enum Node<'a> {
    Element(Element<'a>),
    Text(Cow<'a, str>),
}

impl<'a> Element<'a> {
    pub fn is(&self, ns: &str, name: &str) -> bool {
        self.name == name && &*self.ns == ns
    }

    pub fn children(&self) -> impl Iterator<Item = &Element<'a>> {
        self.nodes.iter().filter_map(|n| match n {
            Node::Element(e) => Some(e),
            Node::Text(_) => None,
        })
    }

    /// The first child of that name.
    pub fn child(&self, ns: &str, name: &str) -> Option<&Element<'a>> {
        self.children().find(|e| e.is(ns, name))
    }

    /// An attribute without a namespace.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|a| a.ns.is_empty() && a.name == name).map(|a| a.value.as_str())
    }

    /// The text directly in it.
    pub fn text(&self) -> Cow<'_, str> {
        let mut texts = self.nodes.iter().filter_map(|n| match n {
            Node::Text(t) => Some(t),
            Node::Element(_) => None,
        });
        match (texts.next(), texts.next()) {
            (None, _) => Cow::Borrowed(""),
            (Some(one), None) => Cow::Borrowed(one),
            (Some(one), Some(two)) => {
                let mut whole = format!("{one}{two}");
                texts.for_each(|t| whole.push_str(t));
                Cow::Owned(whole)
            }
        }
    }

    /// The element as XML that stands alone: with its own namespace declarations, and the `xml:lang` that holds for it
    /// (RFC 4918 4.3: the language belongs to a property's value).
    pub fn standalone(&self, lang: Option<&str>) -> String {
        let mut out = String::new();
        self.print(None, lang.filter(|_| self.lang().is_none()), &mut out);
        out
    }

    /// The value of `xml:lang` on this element itself.
    pub fn lang(&self) -> Option<&str> {
        self.attributes.iter().find(|a| &*a.ns == XML_NS && a.name == "lang").map(|a| a.value.as_str())
    }

    /// Elements have their namespace as the default one, said where it is another than around it (`outer`).
    fn print(&self, outer: Option<&str>, lang: Option<&str>, out: &mut String) {
        out.push('<');
        out.push_str(self.name);
        if outer != Some(&*self.ns) {
            out.push_str(" xmlns=\"");
            escape_attribute(&self.ns, out);
            out.push('"');
        }
        if let Some(lang) = lang {
            out.push_str(" xml:lang=\"");
            escape_attribute(lang, out);
            out.push('"');
        }
        for (at, attribute) in self.attributes.iter().enumerate() {
            if attribute.ns.is_empty() {
                out.push(' ');
            } else if &*attribute.ns == XML_NS {
                out.push_str(" xml:");
            } else {
                out.push_str(&format!(" xmlns:a{at}=\""));
                escape_attribute(&attribute.ns, out);
                out.push_str(&format!("\" a{at}:"));
            }
            out.push_str(attribute.name);
            out.push_str("=\"");
            escape_attribute(&attribute.value, out);
            out.push('"');
        }
        if self.nodes.is_empty() {
            out.push_str("/>");
            return;
        }
        out.push('>');
        for node in &self.nodes {
            match node {
                Node::Element(e) => e.print(Some(&self.ns), None, out),
                Node::Text(t) => escape(t, out),
            }
        }
        out.push_str("</");
        out.push_str(self.name);
        out.push('>');
    }
}

/// Bytes that are looked at together.
const BLOCK: usize = 16;

/// Escapes text for an element. CR becomes `&#13;`, because a parser would turn a bare CRLF into LF and the client would
/// not see the bytes that were stored; characters that XML can not hold become U+FFFD.
pub fn escape(text: &str, out: &mut String) {
    let mut rest = text;
    // Of calendar data most has nothing to escape but the CR of each line, which can be looked for much faster.
    if rest.len() > BLOCK && !rest.bytes().fold(false, |found, b| found | special(b) & (b != b'\r')) {
        out.reserve(rest.len() + rest.len() / 8);
        while let Some(at) = memchr(b'\r', rest.as_bytes()) {
            out.push_str(&rest[..at]);
            out.push_str("&#13;");
            rest = &rest[at + 1..];
        }
        out.push_str(rest);
        return;
    }
    while let Some(at) = first_special(rest.as_bytes()) {
        out.push_str(&rest[..at]);
        let mut width = 1;
        match rest.as_bytes()[at] {
            b'&' => out.push_str("&amp;"),
            b'<' => out.push_str("&lt;"),
            b'>' => out.push_str("&gt;"),
            b'\r' => out.push_str("&#13;"),
            // U+FFFE and U+FFFF are EF BF BE and EF BF BF; all other characters that begin so are fine.
            0xEF => {
                let character = rest[at..].chars().next().unwrap_or('\u{FFFD}');
                width = character.len_utf8();
                out.push(if matches!(character, '\u{FFFE}' | '\u{FFFF}') { '\u{FFFD}' } else { character });
            }
            _ => out.push('\u{FFFD}'),
        }
        rest = &rest[at + width..];
    }
    out.push_str(rest);
}

/// Escapes text for an attribute in double quotes; white space is kept from being normalised.
pub fn escape_attribute(text: &str, out: &mut String) {
    let from = out.len();
    escape(text, out);
    if out[from..].contains(['"', '\n', '\t']) {
        let again = out[from..].replace('"', "&quot;").replace('\n', "&#10;").replace('\t', "&#9;");
        out.truncate(from);
        out.push_str(&again);
    }
}

/// Where the first byte stands that can not be copied as it is. By blocks, which the compiler looks through all at once:
/// calendar data is escaped by the megabyte.
fn first_special(bytes: &[u8]) -> Option<usize> {
    let blocks = bytes.chunks_exact(BLOCK);
    let clean = blocks.take_while(|block| !block.iter().fold(false, |found, b| found | special(*b))).count();
    let from = clean * BLOCK;
    bytes[from..].iter().position(|b| special(*b)).map(|at| from + at)
}

#[inline]
fn special(b: u8) -> bool {
    // Without short cuts: they would be branches.
    (b < b' ') & (b != b'\t') & (b != b'\n') | (b == b'&') | (b == b'<') | (b == b'>') | (b == 0xEF)
}

/// A body in UTF-8. XML may come in UTF-16 (RFC 7303 3.2), which its first two bytes tell; a declaration has to say the
/// same, and is left out here.
pub fn utf8(body: &Bytes) -> Result<Bytes, String> {
    let (rest, unit): (_, fn([u8; 2]) -> u16) = match **body {
        [0xFF, 0xFE, ref rest @ ..] => (rest, u16::from_le_bytes),
        [0xFE, 0xFF, ref rest @ ..] => (rest, u16::from_be_bytes),
        _ => return Ok(body.clone()),
    };
    let broken = || "the body begins as UTF-16 and is none".to_owned();
    let (units, []) = rest.as_chunks::<2>() else { return Err(broken()) };
    let text: String =
        char::decode_utf16(units.iter().map(|pair| unit(*pair))).collect::<Result<_, _>>().map_err(|_| broken())?;
    let Some((declaration, rest)) = text.strip_prefix("<?xml").and_then(|rest| rest.split_once("?>")) else {
        return Ok(Bytes::from(text));
    };
    let declaration = declaration.to_ascii_lowercase();
    if declaration.contains("encoding") && !declaration.contains("utf-16") {
        return Err("the body is UTF-16 and says that it is something else".to_owned());
    }
    Ok(Bytes::from(rest.to_owned()))
}

/// Reads a body. The error is a sentence that says what is wrong with it.
pub fn parse(body: &[u8]) -> Result<Element<'_>, String> {
    let text = std::str::from_utf8(body).map_err(|_| "the body is not UTF-8".to_owned())?;
    let text = text.strip_prefix('\u{FEFF}').unwrap_or(text);
    if text.chars().any(|c| !is_char(c)) {
        return Err("the body has a character that XML does not allow".to_owned());
    }
    let mut reader = quick_xml::Reader::from_str(text);
    reader.config_mut().check_comments = true;
    let mut tree = Tree::default();
    let mut first = true;
    loop {
        match reader.read_event().map_err(|e| format!("the body is not well-formed XML: {e}"))? {
            Event::Start(start) => tree.open(&start, text)?,
            Event::Empty(start) => {
                tree.open(&start, text)?;
                tree.close();
            }
            // That it is the end of what was opened last was checked by the reader.
            Event::End(_) => tree.close(),
            Event::Text(t) => {
                if t.contains("]]>") {
                    return Err("`]]>` must be escaped outside of CDATA".to_owned());
                }
                tree.text(t.xml10_content())?;
            }
            Event::CData(t) => {
                if tree.open.is_empty() {
                    return Err("there is text outside of the root element".to_owned());
                }
                tree.text(t.xml10_content())?;
            }
            Event::GeneralRef(r) => tree.text(Cow::Owned(reference(&r)?.to_string()))?,
            Event::Decl(decl) => {
                if !first {
                    return Err("an XML declaration must come first".to_owned());
                }
                decl.version().map_err(|_| "the XML declaration names no version".to_owned())?;
                if let Some(encoding) = decl.encoding() {
                    let encoding = encoding.map_err(|e| format!("the XML declaration can not be read: {e}"))?;
                    if !["utf-8", "utf8", "us-ascii"].contains(&encoding.to_ascii_lowercase().as_str()) {
                        return Err(format!("the encoding {encoding} is not supported: send UTF-8"));
                    }
                }
            }
            Event::PI(pi) => {
                if !is_name(pi.target()) || pi.target().eq_ignore_ascii_case("xml") {
                    return Err("a processing instruction has a name that XML does not allow".to_owned());
                }
            }
            Event::Comment(_) => {}
            Event::DocType(_) => return Err("a document type declaration is not allowed here".to_owned()),
            Event::Eof => break,
        }
        first = false;
    }
    if !tree.open.is_empty() {
        return Err("the body ends before its elements do".to_owned());
    }
    tree.root.ok_or_else(|| "the body has no element".to_owned())
}

/// What is being read.
#[derive(Default)]
struct Tree<'a> {
    root: Option<Element<'a>>,
    open: Vec<Element<'a>>,
    /// Prefixes in scope with the depth that declared them; the empty prefix is the default namespace.
    scope: Vec<(usize, &'a str, Rc<str>)>,
    elements: usize,
}

impl<'a> Tree<'a> {
    fn open(&mut self, start: &BytesStart<'_>, text: &'a str) -> Result<(), String> {
        if self.root.is_some() {
            return Err("there is a second root element".to_owned());
        }
        self.elements += 1;
        if self.elements > MAX_ELEMENTS || self.open.len() == MAX_DEPTH {
            return Err(format!("the body has more than {MAX_ELEMENTS} elements or is deeper than {MAX_DEPTH}"));
        }
        let depth = self.open.len() + 1;
        if !spaced(start.attributes_raw()) {
            return Err("there must be a space between attributes".to_owned());
        }
        let mut attributes = Vec::new();
        let mut declared = 0;
        for attribute in start.attributes() {
            let attribute = attribute.map_err(|e| format!("the body is not well-formed XML: {e}"))?;
            if attribute.value.contains('<') {
                return Err("`<` must be escaped in an attribute".to_owned());
            }
            let value = attribute
                .normalized_value(XmlVersion::Implicit1_0)
                .map_err(|e| format!("an attribute can not be read: {e}"))?;
            if value.chars().any(|c| !is_char(c)) {
                return Err("an attribute has a character that XML does not allow".to_owned());
            }
            let (prefix, local) = split(borrow(text, attribute.key.0)?)?;
            if prefix == "xmlns" || (prefix.is_empty() && local == "xmlns") {
                declared += 1;
                let bound = if prefix.is_empty() { "" } else { local };
                self.scope.push((depth, bound, namespace(bound, &value)?));
                if self.scope.len() > MAX_SCOPE {
                    return Err(format!("more than {MAX_SCOPE} namespaces are declared within each other"));
                }
            } else {
                attributes.push((prefix, local, value.into_owned()));
            }
            if declared > MAX_NAMESPACES || attributes.len() > MAX_ATTRIBUTES {
                return Err(format!("an element has more than {MAX_ATTRIBUTES} attributes or namespaces"));
            }
        }
        let (prefix, name) = split(borrow(text, start.name().0)?)?;
        let ns = self.resolve(prefix)?;
        let attributes: Vec<Attribute<'a>> = attributes
            .into_iter()
            .map(|(prefix, name, value)| {
                // The default namespace is not for attributes.
                let ns = if prefix.is_empty() { Rc::from("") } else { self.resolve(prefix)? };
                Ok(Attribute { ns, name, value })
            })
            .collect::<Result<_, String>>()?;
        for (at, one) in attributes.iter().enumerate() {
            if attributes[..at].iter().any(|other| other.name == one.name && other.ns == one.ns) {
                return Err(format!("the attribute {} is there twice", one.name));
            }
        }
        self.open.push(Element { ns, name, attributes, nodes: Vec::new() });
        Ok(())
    }

    fn close(&mut self) {
        let depth = self.open.len();
        while self.scope.last().is_some_and(|(d, _, _)| *d == depth) {
            self.scope.pop();
        }
        let Some(element) = self.open.pop() else { return };
        match self.open.last_mut() {
            Some(parent) => parent.nodes.push(Node::Element(element)),
            None => self.root = Some(element),
        }
    }

    fn text(&mut self, text: Cow<'_, str>) -> Result<(), String> {
        match self.open.last_mut() {
            Some(element) => match element.nodes.last_mut() {
                Some(Node::Text(before)) => before.to_mut().push_str(&text),
                _ if text.is_empty() => {}
                _ => element.nodes.push(Node::Text(Cow::Owned(text.into_owned()))),
            },
            None if text.trim_matches([' ', '\t', '\r', '\n']).is_empty() => {}
            None => return Err("there is text outside of the root element".to_owned()),
        }
        Ok(())
    }

    fn resolve(&self, prefix: &str) -> Result<Rc<str>, String> {
        if prefix == "xml" {
            return Ok(Rc::from(XML_NS));
        }
        match self.scope.iter().rev().find(|(_, p, _)| *p == prefix) {
            Some((_, _, ns)) => Ok(ns.clone()),
            None if prefix.is_empty() => Ok(Rc::from("")),
            None => Err(format!("the namespace prefix {prefix} is not declared")),
        }
    }
}

/// Whether each attribute value is followed by white space or the end, which quick-xml does not ask for.
fn spaced(attributes: &str) -> bool {
    let mut rest = attributes;
    while let Some(open) = rest.find(['"', '\'']) {
        let quote = &rest[open..=open];
        let Some(close) = rest[open + 1..].find(quote) else { return true };
        rest = &rest[open + 1 + close + 1..];
        if !rest.is_empty() && !rest.starts_with([' ', '\t', '\r', '\n']) {
            return false;
        }
    }
    true
}

/// The very slice of `text` that `part` is, so that it lives as long as the body.
fn borrow<'a>(text: &'a str, part: &str) -> Result<&'a str, String> {
    let at = (part.as_ptr() as usize).wrapping_sub(text.as_ptr() as usize);
    text.get(at..at.wrapping_add(part.len())).ok_or_else(|| "a name can not be read".to_owned())
}

/// What a prefix is bound to, by the rules of "Namespaces in XML 1.0".
fn namespace(prefix: &str, uri: &str) -> Result<Rc<str>, String> {
    let wrong = match prefix {
        "" => uri == XML_NS || uri == XMLNS_NS,
        "xmlns" => true,
        "xml" => uri != XML_NS,
        _ => uri.is_empty() || uri == XML_NS || uri == XMLNS_NS,
    };
    if wrong {
        return Err(format!("the namespace prefix {prefix:?} can not be declared so"));
    }
    if uri.len() > MAX_NAME {
        return Err(format!("a namespace is longer than {MAX_NAME} bytes"));
    }
    Ok(Rc::from(uri))
}

/// `prefix:local`, both being names.
fn split(name: &str) -> Result<(&str, &str), String> {
    let (prefix, local) = name.split_once(':').unwrap_or(("", name));
    if !is_name(local) || !(prefix.is_empty() && !name.starts_with(':') || is_name(prefix)) {
        return Err("an element or attribute has a name that XML does not allow".to_owned());
    }
    if name.len() > MAX_NAME {
        return Err(format!("a name is longer than {MAX_NAME} bytes"));
    }
    Ok((prefix, local))
}

/// NCName, taken widely beyond ASCII: those characters need no escape, so they can not break an answer.
fn is_name(text: &str) -> bool {
    let part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.') || c >= '\u{80}';
    text.chars().all(part) && text.chars().next().is_some_and(|c| !matches!(c, '0'..='9' | '-' | '.'))
}

/// XML 1.0 2.2.
fn is_char(c: char) -> bool {
    !matches!(c, '\0'..='\u{8}' | '\u{B}' | '\u{C}' | '\u{E}'..='\u{1F}' | '\u{FFFE}' | '\u{FFFF}')
}

fn reference(r: &quick_xml::events::BytesRef<'_>) -> Result<char, String> {
    let wrong = || format!("&{}; is not a character that can be read", r.chars().take(32).collect::<String>());
    if let Some(c) = r.resolve_char_ref().map_err(|_| wrong())? {
        return Some(c).filter(|c| is_char(*c)).ok_or_else(wrong);
    }
    Ok(match &**r {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        // Without a DTD there are no others.
        _ => return Err(wrong()),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PIECES: &[&str] = &[
        "<a>",
        "</a>",
        "<b xmlns='urn:b'>",
        "</b>",
        "<p:c xmlns:p=\"urn:p&amp;\" p:x='1' y=\"&#13;&#10;'\">",
        "</p:c>",
        "<d/>",
        "text",
        " ",
        "\r\n",
        "&lt;",
        "&#x1F4C5;",
        "<![CDATA[<&]]>",
        "<!-- c -->",
        "<?pi x?>",
        "]]>",
        "&",
        "<",
        "\"",
        "xml:lang='de'",
        "<e xml:lang='de'>",
        "</e>",
        "\u{FFFD}",
        "\u{0}",
        "<!DOCTYPE a>",
        "<f xmlns=''>",
        "</f>",
    ];

    proptest! {
        /// Nothing makes the reader panic; what it reads, standing alone, is read again as the very same.
        #[test]
        fn what_stands_alone_says_the_same(pieces in proptest::collection::vec(proptest::sample::select(PIECES), 0..12)) {
            let body = format!("<r>{}</r>", pieces.concat());
            for body in [body, pieces.concat()] {
                if let Ok(read) = parse(body.as_bytes()) {
                    let alone = read.standalone(None);
                    let again = parse(alone.as_bytes()).map_err(TestCaseError::fail)?;
                    prop_assert_eq!(again.standalone(None), alone, "{}", body);
                }
            }
        }
    }

    #[test]
    fn utf_16_is_read_when_it_says_so() {
        let wide = |text: &str, mark: &[u8; 2]| {
            let unit = |u: u16| if *mark == [0xFF, 0xFE] { u.to_le_bytes() } else { u.to_be_bytes() };
            let bytes = text.encode_utf16().flat_map(unit);
            Bytes::from(mark.iter().copied().chain(bytes).collect::<Vec<u8>>())
        };
        let read = |body: Bytes| utf8(&body).and_then(|body| Ok(parse(&body)?.standalone(None)));
        for mark in [&[0xFF, 0xFE], &[0xFE, 0xFF]] {
            for declaration in ["", "<?xml version='1.0'?>", "<?xml version=\"1.0\" encoding=\"UTF-16\"?>"] {
                let body = wide(&format!("{declaration}<a>\u{fc}\u{1F4C5}</a>"), mark);
                assert_eq!(read(body).as_deref(), Ok("<a xmlns=\"\">\u{fc}\u{1F4C5}</a>"));
            }
            assert!(read(wide("<?xml version='1.0' encoding='utf-8'?><a/>", mark)).is_err());
            assert!(read(wide("<!DOCTYPE a><a/>", mark)).is_err());
            assert!(read(wide("<a/>", mark).slice(..9)).is_err());
        }
        let body = |text: &'static str| read(Bytes::from_static(text.as_bytes()));
        assert!(body("<?xml version='1.0' encoding='utf-16'?><a/>").is_err());
        assert!(body("<a/>").is_ok());
        assert!(read(Bytes::from_static(b"\xFF\xFE\x00\xD8")).is_err());
    }

    /// Each name is looked up among what is declared around it: that must stay little.
    #[test]
    fn namespaces_in_scope_are_bounded() {
        let open: String = (0..6)
            .map(|depth| {
                let declared: String = (0..60).map(|n| format!(" xmlns:p{depth}x{n}='urn:{n}'")).collect();
                format!("<a{declared}>")
            })
            .collect();
        assert!(parse(format!("{open}{}", "</a>".repeat(6)).as_bytes()).unwrap_err().contains("256"));
        let siblings = format!("<r>{}</r>", "<a xmlns:x='urn:x'/>".repeat(300));
        assert!(parse(siblings.as_bytes()).is_ok());
    }

    #[test]
    fn what_xml_can_not_hold_is_replaced_and_the_rest_is_escaped() {
        let check = |text: &str, element: &str, attribute: &str| {
            let (mut e, mut a) = (String::new(), String::new());
            escape(text, &mut e);
            escape_attribute(text, &mut a);
            assert_eq!((e.as_str(), a.as_str()), (element, attribute));
        };
        check("plain \u{fc}\u{1F4C5}", "plain \u{fc}\u{1F4C5}", "plain \u{fc}\u{1F4C5}");
        check("a<b>&c", "a&lt;b&gt;&amp;c", "a&lt;b&gt;&amp;c");
        check("\"x\"\r\n\t", "\"x\"&#13;\n\t", "&quot;x&quot;&#13;&#10;&#9;");
        check("\u{0}\u{8}\u{1b}", "\u{FFFD}\u{FFFD}\u{FFFD}", "\u{FFFD}\u{FFFD}\u{FFFD}");
        check("\u{FFFE}\u{FFFD}\u{F000}", "\u{FFFD}\u{FFFD}\u{F000}", "\u{FFFD}\u{FFFD}\u{F000}");
    }
}
