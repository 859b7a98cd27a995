//! A sheet: what was asked, made ready to be answered for many nodes. The inner loop of every multistatus is
//! [`Sheet::respond`], so what does not change from node to node is done before it.

use http::StatusCode;

use super::path;
use super::props::{DETAILS, Node, PRIVILEGES, PROPS, Prop, QUOTA, SCHEDULE_TAG, Scene, Set, find, is_reserved};
use super::request::{PropName, Wanted};
use super::response::{Ns, Tags, status_line, tags};
use super::xml::escape;
use crate::store::properties::Dead;

/// What was asked, made ready to be answered for many nodes.
pub struct Sheet {
    columns: Vec<Column>,
    /// Dead properties are wanted whatever their names are.
    all: bool,
    /// Only names are wanted.
    names: bool,
    minimal: bool,
    missing: Vec<usize>,
}

struct Column {
    name: PropName,
    tags: Tags,
    kind: ColumnKind,
    /// Whether it can be a dead one of a calendar, and of any other node.
    dead: [bool; 2],
}

enum ColumnKind {
    Live(&'static Prop),
    Dead,
    /// `calendar-data`, in a REPORT.
    Data,
}

/// What a REPORT gives as `calendar-data`.
pub enum Data<'a> {
    /// This is no REPORT, or the node has none.
    None,
    Text(&'a str),
    /// jCal.
    Json(&'a str),
    /// Why it can not be given as it was asked.
    Failed(StatusCode, &'static str),
}

impl Sheet {
    /// `report`: whether `calendar-data` is a column (RFC 4791 9.6: it is no property).
    pub fn new(wanted: Wanted, minimal: bool, report: bool) -> Sheet {
        let column = |name: PropName| {
            let kind = match find(&name) {
                Some(prop) => ColumnKind::Live(prop),
                None if report && Ns::of(&name.ns) == Some(Ns::CalDav) && name.name == "calendar-data" => {
                    ColumnKind::Data
                }
                None => ColumnKind::Dead,
            };
            let dead = [true, false].map(|on_calendar| could_be_dead(&kind, &name, on_calendar));
            Column { tags: tags(&name.ns, &name.name), kind, dead, name }
        };
        let rows = |every: bool| {
            PROPS
                .iter()
                .filter(move |p| every || p.allprop)
                .map(|p| PropName { ns: p.ns.uri().to_owned(), name: p.name.to_owned() })
        };
        let (names, all, list): (bool, bool, Vec<PropName>) = match wanted {
            Wanted::Named(list) => (false, false, list),
            Wanted::All(include) => {
                let mut list: Vec<PropName> = rows(false).collect();
                list.extend(include.into_iter().filter(|n| !find(n).is_some_and(|p| p.allprop)));
                (false, true, list)
            }
            Wanted::Names => (true, true, rows(true).collect()),
        };
        // With allprop and propname nothing that is not there was asked for by name.
        let minimal = minimal || all;
        Sheet { columns: list.into_iter().map(column).collect(), all, names, minimal, missing: Vec::new() }
    }

    /// Whether `calendar-data` is wanted.
    pub fn wants_data(&self) -> bool {
        self.columns.iter().any(|c| matches!(c.kind, ColumnKind::Data))
    }

    /// Whether dead properties of such a node have to be looked up.
    pub fn wants_dead(&self, on_calendar: bool) -> bool {
        let speaks = |c: &Column| on_calendar && matches!(c.kind, ColumnKind::Live(prop) if prop.language);
        self.all || self.columns.iter().any(|c| c.could_be_dead(on_calendar) || speaks(c))
    }

    /// Whether the access to resources has to be looked up.
    pub fn wants_access(&self) -> bool {
        let asks = |c: &Column| matches!(c.kind, ColumnKind::Live(p) if p.ns == Ns::Dav && p.name == PRIVILEGES);
        !self.names && self.columns.iter().any(asks)
    }

    /// Whether the schedule tags of resources have to be worked out, for which their bodies are needed.
    pub fn wants_schedule_tag(&self) -> bool {
        let asks = |c: &Column| matches!(c.kind, ColumnKind::Live(p) if p.ns == Ns::CalDav && p.name == SCHEDULE_TAG);
        !self.names && self.columns.iter().any(asks)
    }

    /// Whether sizes and dates of resources are told.
    pub fn wants_details(&self) -> bool {
        let asks = |c: &Column| matches!(c.kind, ColumnKind::Live(p) if p.ns == Ns::Dav && DETAILS.contains(&p.name));
        !self.names && self.columns.iter().any(asks)
    }

    /// Whether it has to be looked up how much is stored.
    pub fn wants_quota(&self) -> bool {
        let asks = |c: &Column| matches!(c.kind, ColumnKind::Live(p) if p.ns == Ns::Dav && QUOTA.contains(&p.name));
        self.columns.iter().any(asks)
    }

    /// Writes the response element of one node. `href` needs no escapes.
    pub fn respond(
        &mut self,
        scene: &Scene,
        href: (&str, &str),
        node: &Node<'_>,
        dead: &[Dead],
        data: &Data<'_>,
        out: &mut String,
    ) {
        out.push_str("<D:response><D:href>");
        out.push_str(href.0);
        path::encode(href.1, out);
        out.push_str("</D:href>");
        let start = out.len();
        out.push_str("<D:propstat><D:prop>");
        self.missing.clear();
        let mut found = 0;
        let on_calendar = matches!(node, Node::Calendar(_));
        for (at, column) in self.columns.iter().enumerate() {
            let kept = column.could_be_dead(on_calendar);
            // What a client calls a home is for itself to say; else it has the name of its owner.
            let own = kept && !self.names && matches!(node, Node::Home(_));
            let from = out.len();
            let there = match (&column.kind, data) {
                (ColumnKind::Live(_), _) if own && write_dead(dead, &column.name, out) => true,
                (ColumnKind::Live(prop), _) if write_live(scene, prop, &column.tags, node, self.names, out) => {
                    if on_calendar && prop.language {
                        speak(dead, column, from, out);
                    }
                    true
                }
                (ColumnKind::Data, Data::Text(text)) => {
                    out.push_str("<C:calendar-data>");
                    escape(text, out);
                    out.push_str("</C:calendar-data>");
                    true
                }
                (ColumnKind::Data, Data::Json(text)) => {
                    out.push_str("<C:calendar-data content-type=\"application/calendar+json\" version=\"2.0\">");
                    escape(text, out);
                    out.push_str("</C:calendar-data>");
                    true
                }
                _ => kept && write_dead(dead, &column.name, out),
            };
            if there {
                found += 1;
            } else if !matches!((&column.kind, data), (ColumnKind::Data, Data::Failed(..))) {
                self.missing.push(at);
            }
        }
        if self.all {
            let is_column = |d: &Dead| self.columns.iter().any(|c| c.name.name == d.name && c.name.ns == d.ns);
            // Of a calendar what has a row is live, and kept here for its language alone.
            let is_live =
                |d: &Dead| on_calendar && find(&PropName { ns: d.ns.clone(), name: d.name.clone() }).is_some();
            for one in dead.iter().filter(|d| !is_column(d) && !is_live(d)) {
                out.push_str(&if self.names { tags(&one.ns, &one.name).empty } else { one.xml.clone() });
                found += 1;
            }
        }
        // Written in one piece: this is where listings spend their time.
        out.push_str("</D:prop><D:status>HTTP/1.1 200 OK</D:status></D:propstat>");
        let tell = !self.minimal && !self.missing.is_empty();
        if found == 0 && tell {
            out.truncate(start);
        }
        if tell {
            out.push_str("<D:propstat><D:prop>");
            self.missing.iter().for_each(|at| out.push_str(&self.columns[*at].tags.empty));
            out.push_str("</D:prop>");
            status_line(StatusCode::NOT_FOUND, out);
            out.push_str("</D:propstat>");
        }
        if let Data::Failed(status, condition) = data {
            out.push_str("<D:propstat><D:prop><C:calendar-data/></D:prop>");
            status_line(*status, out);
            out.push_str("<D:error>");
            out.push_str(condition);
            out.push_str("</D:error></D:propstat>");
        }
        out.push_str("</D:response>\n");
    }
}

/// Writes a live property, or takes back what it began to write.
#[inline]
fn write_live(scene: &Scene, prop: &Prop, tags: &Tags, node: &Node<'_>, names: bool, out: &mut String) -> bool {
    let start = out.len();
    out.push_str(&tags.open);
    let inside = out.len();
    if !(prop.get)(scene, node, out) {
        out.truncate(start);
        return false;
    }
    if names || out.len() == inside {
        out.truncate(start);
        out.push_str(&tags.empty);
    } else {
        out.push_str(&tags.close);
    }
    true
}

fn write_dead(dead: &[Dead], name: &PropName, out: &mut String) -> bool {
    let found = dead.iter().find(|d| d.name == name.name && d.ns == name.ns);
    found.inspect(|d| out.push_str(&d.xml)).is_some()
}

/// Writes a live text, which stands in `out` from `from` on, as the element that set it in its language, if it is that text.
fn speak(dead: &[Dead], column: &Column, from: usize, out: &mut String) {
    let PropName { ns, name } = &column.name;
    let Some(kept) = dead.iter().find(|d| d.name == *name && d.ns == *ns) else { return };
    let text = out[from..].strip_prefix(&column.tags.open).and_then(|rest| rest.strip_suffix(&column.tags.close));
    if text.is_some_and(|text| kept.xml.ends_with(&format!(">{text}</{name}>"))) {
        out.truncate(from);
        out.push_str(&kept.xml);
    }
}

impl Column {
    /// What `wants_dead` and `respond` agree on.
    fn could_be_dead(&self, on_calendar: bool) -> bool {
        self.dead[usize::from(!on_calendar)]
    }
}

fn could_be_dead(kind: &ColumnKind, name: &PropName, on_calendar: bool) -> bool {
    match kind {
        ColumnKind::Live(prop) => matches!(prop.set, Set::Calendar(_) | Set::CalendarElement(_)) && !on_calendar,
        ColumnKind::Dead => !is_reserved(name),
        ColumnKind::Data => false,
    }
}
