//! Reports about principals: RFC 3744 9, CalendarServer's search, and expand-property (RFC 3253 3.8).
//!
//! Who is found: oneself, and those one shares something with. Who else has a login here is nobody's business.

use super::path::Target;
use super::props::{self, Access, Node, Row, Scene};
use super::request::{self, PropName, Wanted};
use super::response::{self, Answer, Ns, bare_response, status_line, tags};
use super::sheet::{Data, Sheet};
use super::xml::{self, Element};
use super::{Asked, Error, acl, propfind, schedule};
use crate::config::Limits;
use crate::ids::Name;
use crate::store::calendars::{self, Calendar, Denied, Need, Source};
use crate::store::properties::Dead;
use crate::store::resources::Resource;
use crate::store::scheduling::Facts;
use crate::store::users::{self, User};
use crate::store::{Tx, grants, properties, resources, unified};

const DAV: &str = Ns::Dav.uri();
const CS: &str = Ns::CalendarServer.uri();

/// What can be searched by: `principal-search-property-set`.
const SEARCHED: [(&str, &str, &str); 3] = [
    ("D:displayname", "displayname", "Name"),
    ("CS:email-address-set", "email-address-set", "Mail address"),
    ("C:calendar-user-address-set", "calendar-user-address-set", "Calendar address"),
];
/// How deep expand-property follows hrefs, and how many it follows in one answer.
const DEEPEST: usize = 5;
const MOST_FOLLOWED: usize = 2000;
/// Octets of its answer, which is made as one piece: what is followed may lead to one and the same large thing each time.
const MOST_TOLD: usize = 8 << 20;

/// One of these reports.
enum Report {
    Expand(Vec<Expand>),
    Search {
        tests: Vec<Test>,
        any: bool,
        everywhere: bool,
        prop: Wanted,
    },
    /// CalendarServer's: every token must be found, in whatever there is to find it in.
    Tokens {
        tokens: Vec<String>,
        people: bool,
        limit: usize,
        prop: Wanted,
    },
    Match {
        property: Option<PropName>,
        prop: Wanted,
    },
    Acl {
        prop: Wanted,
    },
    Properties,
}

/// A property that is to be given, and of what its hrefs lead to, these.
struct Expand {
    name: PropName,
    inner: Vec<Expand>,
}

/// A text that some of these properties must have.
struct Test {
    names: Vec<String>,
    text: String,
    how: How,
}

#[derive(Clone, Copy)]
enum How {
    Contains,
    Equals,
    Starts,
    Ends,
}

impl How {
    fn of(element: &Element<'_>) -> How {
        match element.attribute("match-type") {
            Some("equals") => How::Equals,
            Some("starts-with") => How::Starts,
            Some("ends-with") => How::Ends,
            _ => How::Contains,
        }
    }

    /// Without regard to case (RFC 3744 9.4).
    fn holds(self, value: &str, text: &str) -> bool {
        let value = value.to_lowercase();
        match self {
            How::Contains => value.contains(text),
            How::Equals => value == text,
            How::Starts => value.starts_with(text),
            How::Ends => value.ends_with(text),
        }
    }
}

/// Whether a report is one of these.
pub fn has(name: &PropName) -> bool {
    let reports = [
        "expand-property",
        "principal-property-search",
        "principal-search-property-set",
        "principal-match",
        "acl-principal-prop-set",
    ];
    name.ns == DAV && reports.contains(&name.name.as_str())
        || name.ns == CS && name.name == "calendarserver-principal-search"
}

/// The reports that `node` answers, as `supported-report-set` lists them.
pub fn reports(scene: &Scene, node: &Node<'_>) -> Vec<&'static str> {
    let mut list = vec!["D:expand-property"];
    if matches!(node, Node::Root | Node::Principals | Node::Principal(_) | Node::Home(_)) {
        list.extend([
            "D:principal-match",
            "D:principal-property-search",
            "D:principal-search-property-set",
            "CS:calendarserver-principal-search",
        ]);
    }
    if acl::may_read_acl(scene, node) {
        list.push("D:acl-principal-prop-set");
    }
    list
}

pub async fn answer(asked: Asked<'_>) -> Result<Answer, Error> {
    let report = read(asked.body, &asked.limits)?;
    let scene = propfind::scene(&asked);
    let target = asked.target.clone();
    let minimal = request::Prefer::read(asked.headers);
    if let Report::Properties = report {
        // That there is something here is still for the store to say.
        asked.app.store.read(move |tx| there(tx, &scene, &target).map(|_| ())).await?;
        return Ok(response::xml(http::StatusCode::OK, search_properties()));
    }
    let body = asked.app.store.read(move |tx| run(tx, &scene, &target, report, minimal.minimal)).await?;
    Ok(propfind::with_preference(response::multistatus(body), minimal))
}

fn read(body: &[u8], limits: &Limits) -> Result<Report, Error> {
    let root = xml::parse(body).map_err(Error::bad)?;
    let prop = || Ok::<Wanted, Error>(request::wanted(&root, limits)?.unwrap_or(Wanted::Named(Vec::new())));
    Ok(match (&*root.ns, root.name) {
        (DAV, "expand-property") => Report::Expand(expand(&root, 0, &mut 0, limits)?),
        (DAV, "principal-property-search") => {
            let mut tests = Vec::new();
            for search in root.children().filter(|e| e.is(DAV, "property-search")) {
                let names = search.child(DAV, "prop").into_iter().flat_map(|p| p.children());
                let names = names.map(|e| e.name.to_owned()).collect();
                let of = search.child(DAV, "match");
                let of = of.ok_or_else(|| Error::bad("a DAV:property-search needs a DAV:match"))?;
                tests.push(Test { names, text: of.text().trim().to_lowercase(), how: How::of(of) });
            }
            if tests.is_empty() || tests.len() > limits.filters {
                return Err(Error::bad("a principal-property-search needs DAV:property-search, and not too many"));
            }
            let any = root.attribute("test") == Some("anyof");
            let everywhere = root.child(DAV, "apply-to-principal-collection-set").is_some();
            Report::Search { tests, any, everywhere, prop: prop()? }
        }
        (CS, "calendarserver-principal-search") => {
            let tokens = root.children().filter(|e| e.is(CS, "search-token")).map(|e| e.text().trim().to_lowercase());
            let tokens: Vec<String> = tokens.filter(|t| !t.is_empty()).take(limits.filters).collect();
            if tokens.is_empty() {
                return Err(Error::bad("a calendarserver-principal-search needs a CS:search-token"));
            }
            // There are no rooms, things and groups here.
            let people = matches!(root.attribute("context"), None | Some("user" | "attendee"));
            let limit = root.child(CS, "limit").and_then(|l| l.child(CS, "nresults"));
            let limit = limit.and_then(|n| n.text().trim().parse().ok()).unwrap_or(usize::MAX);
            Report::Tokens { tokens, people, limit, prop: prop()? }
        }
        (DAV, "principal-match") => {
            let property = root.child(DAV, "principal-property").and_then(|p| p.children().next()).map(PropName::of);
            if property.is_none() && root.child(DAV, "self").is_none() {
                return Err(Error::bad("a principal-match needs DAV:self or DAV:principal-property"));
            }
            Report::Match { property, prop: prop()? }
        }
        (DAV, "acl-principal-prop-set") => Report::Acl { prop: prop()? },
        _ => Report::Properties,
    })
}

fn expand(of: &Element<'_>, depth: usize, count: &mut usize, limits: &Limits) -> Result<Vec<Expand>, Error> {
    let mut list: Vec<Expand> = Vec::new();
    for property in of.children().filter(|e| e.is(DAV, "property")) {
        let name = property.attribute("name").ok_or_else(|| Error::bad("a DAV:property needs a name"))?;
        let ns = property.attribute("namespace").unwrap_or(DAV);
        let name = PropName { ns: ns.to_owned(), name: name.to_owned() };
        *count += 1;
        if *count > limits.properties {
            return Err(Error::bad(format!("ask for at most {} properties at once", limits.properties)));
        }
        if !is_name(&name.name) {
            return Err(Error::bad("a DAV:property has a name that no property can have"));
        }
        if depth == DEEPEST {
            return Err(Error::bad(format!("hrefs are followed over at most {DEEPEST} steps")));
        }
        if !list.iter().any(|one| one.name == name) {
            list.push(Expand { name, inner: expand(property, depth + 1, count, limits)? });
        }
    }
    Ok(list)
}

/// Whether an element can be called so: it is written into the answer as it came.
fn is_name(name: &str) -> bool {
    let first = name.chars().next().is_some_and(|c| c.is_alphabetic() || c == '_');
    first && name.len() <= xml::MAX_NAME && name.chars().all(|c| c.is_alphanumeric() || "_-.".contains(c))
}

fn run(tx: &mut Tx<'_>, scene: &Scene, target: &Target, report: Report, minimal: bool) -> Result<String, Error> {
    let mut out = String::new();
    response::open_root("D:multistatus", &mut out);
    let here = there(tx, scene, target)?;
    match report {
        Report::Expand(properties) => {
            let mut page = Page { scene, minimal, followed: 0, out: &mut out };
            page.expand(tx, target, &here, &properties)?;
        }
        Report::Search { tests, any, everywhere, prop } => {
            if everywhere || matches!(target, Target::Root { .. } | Target::Principals) {
                let found = |user: &User| {
                    let holds = |test: &Test| matches(scene, user, &test.names, |v| test.how.holds(v, &test.text));
                    if any { tests.iter().any(holds) } else { tests.iter().all(holds) }
                };
                list(tx, scene, prop, minimal, found, usize::MAX, &mut out)?;
            }
        }
        Report::Tokens { tokens, people, limit, prop } => {
            let all = SEARCHED.map(|(_, name, _)| name.to_owned());
            let found = |user: &User| {
                people && tokens.iter().all(|token| matches(scene, user, &all, |v| How::Contains.holds(v, token)))
            };
            list(tx, scene, prop, minimal, found, limit, &mut out)?;
        }
        Report::Match { property: None, prop } => {
            if matches!(here, There::Root | There::Principals | There::Principal(_)) {
                list(tx, scene, prop, minimal, |user| user.id == scene.actor.user, 1, &mut out)?;
            }
        }
        Report::Match { property: Some(name), prop } => matching(tx, scene, target, &name, prop, minimal, &mut out)?,
        Report::Acl { prop } => {
            if !acl::may_read_acl(scene, &here.node()) {
                let href = target.href(&scene.base);
                let condition = format!(
                    "<D:need-privileges><D:resource><D:href>{href}</D:href><D:privilege><D:read-acl/></D:privilege>\
                     </D:resource></D:need-privileges>"
                );
                return Err(Error::refused(condition, "who else may do what here is told to the owner alone"));
            }
            let granted = match &here {
                There::Calendar(calendar) | There::Resource(calendar, ..) => calendar.granted.clone(),
                _ => Vec::new(),
            };
            let found = |user: &User| user.id == scene.actor.user || granted.iter().any(|grant| grant.to == user.id);
            list(tx, scene, prop, minimal, found, usize::MAX, &mut out)?;
        }
        Report::Properties => {}
    }
    out.push_str("</D:multistatus>\n");
    Ok(out)
}

/// Oneself and those one is acquainted with, as far as they are `found`.
fn list(
    tx: &mut Tx<'_>,
    scene: &Scene,
    prop: Wanted,
    minimal: bool,
    found: impl Fn(&User) -> bool,
    limit: usize,
    out: &mut String,
) -> Result<(), Error> {
    let mut sheet = Sheet::new(prop, minimal, false);
    let mut known: Vec<User> = users::by_id(tx, scene.actor.user)?.into_iter().collect();
    known.extend(grants::acquainted(tx, scene.actor.user)?);
    for user in known.iter().filter(|user| found(user)).take(limit) {
        let target = Target::Principal { user: user.name.clone() };
        let dead = propfind::dead_at(tx, scene, &sheet, &target, false)?;
        sheet.respond(scene, (&target.href(&scene.base), ""), &Node::Principal(user), &dead, &Data::None, out);
    }
    Ok(())
}

/// Whether one of the searched properties of a user, by their names, has a value that `fits`.
fn matches(scene: &Scene, user: &User, names: &[String], fits: impl Fn(&str) -> bool) -> bool {
    names.iter().any(|name| match name.as_str() {
        "displayname" if user.display_name.is_empty() => fits(&user.name),
        "displayname" => fits(&user.display_name),
        "email-address-set" => user.addresses.iter().any(|address| fits(address)),
        "calendar-user-address-set" => {
            let principal = super::path::principal(&scene.base, &user.name);
            user.addresses.iter().any(|address| fits(address) || fits(&format!("mailto:{address}"))) || fits(&principal)
        }
        _ => false,
    })
}

/// RFC 3744 9.3: what is here and says in `name` that it is of who asks.
fn matching(
    tx: &mut Tx<'_>,
    scene: &Scene,
    target: &Target,
    name: &PropName,
    prop: Wanted,
    minimal: bool,
    out: &mut String,
) -> Result<(), Error> {
    let Target::Home { owner } = target else { return Ok(()) };
    let me = format!("<D:href>{}</D:href>", super::path::principal(&scene.base, &scene.actor.name));
    let mut sheet = Sheet::new(prop, minimal, false);
    for calendar in calendars::home(tx, &scene.actor, owner)? {
        let node = Node::Calendar(&calendar);
        let mut value = String::new();
        if props::find(name).is_some_and(|prop| (prop.get)(scene, &node, &mut value)) && value.contains(&me) {
            let target = Target::Calendar { owner: calendar.owner.clone(), slug: calendar.slug.clone() };
            let dead = propfind::dead_at(tx, scene, &sheet, &target, true)?;
            sheet.respond(scene, (&target.href(&scene.base), ""), &node, &dead, &Data::None, out);
        }
    }
    Ok(())
}

/// RFC 3744 9.5.
fn search_properties() -> String {
    let mut out = String::new();
    response::open_root("D:principal-search-property-set", &mut out);
    for (tag, _, says) in SEARCHED {
        out.push_str(&format!(
            "<D:principal-search-property><D:prop><{tag}/></D:prop><D:description xml:lang=\"en\">{says}</D:description>\
             </D:principal-search-property>\n"
        ));
    }
    out.push_str("</D:principal-search-property-set>\n");
    out
}

/// What a URL leads to.
enum There {
    Root,
    Principals,
    Principal(User),
    Home(User),
    Inbox(User, Facts),
    Outbox(User, Facts),
    Calendar(Calendar),
    Resource(Calendar, Resource, Access),
}

impl There {
    fn node(&self) -> Node<'_> {
        match self {
            There::Root => Node::Root,
            There::Principals => Node::Principals,
            There::Principal(user) => Node::Principal(user),
            There::Home(user) => Node::Home(user),
            There::Inbox(user, facts) => Node::Inbox(user, facts),
            There::Outbox(user, facts) => Node::Outbox(user, facts),
            There::Calendar(calendar) => Node::Calendar(calendar),
            There::Resource(calendar, resource, access) => Node::Resource(calendar, row(resource), *access),
        }
    }
}

fn row(resource: &Resource) -> Row<'_> {
    Row {
        name: resource.name.as_str(),
        etag: resource.etag.as_str(),
        size: resource.body.len() as i64,
        changed_at: resource.changed_at,
        schedule_tag: None,
    }
}

fn there(tx: &mut Tx<'_>, scene: &Scene, target: &Target) -> Result<There, Error> {
    Ok(match target {
        Target::Root { .. } => There::Root,
        Target::Principals => There::Principals,
        Target::Principal { user } => There::Principal(propfind::principal(tx, scene, user)?),
        Target::Home { owner } => {
            calendars::home(tx, &scene.actor, owner)?;
            There::Home(users::by_id(tx, scene.actor.user)?.ok_or_else(Error::not_found)?)
        }
        Target::Inbox { owner } => {
            let (user, facts) = schedule::of_own(tx, &scene.actor, owner)?;
            There::Inbox(user, facts)
        }
        Target::Outbox { owner } => {
            let (user, facts) = schedule::of_own(tx, &scene.actor, owner)?;
            There::Outbox(user, facts)
        }
        Target::Calendar { owner, slug } => {
            There::Calendar(calendars::open(tx, &scene.actor, owner, slug, Need::Read)?)
        }
        Target::Resource { owner, slug, name } => {
            let calendar = calendars::open(tx, &scene.actor, owner, slug, Need::Read)?;
            let resource = resources::get(tx, &calendar, name)?.ok_or_else(Error::not_found)?;
            let access = access(tx, &calendar, name)?;
            There::Resource(calendar, resource, access)
        }
    })
}

fn access(tx: &mut Tx<'_>, calendar: &Calendar, name: &Name) -> Result<Access, Denied> {
    let may_write = match calendar.source {
        Source::Unified { .. } => unified::is_writable(tx, calendar.id, name.as_str())?,
        _ => calendar.writable,
    };
    Ok(propfind::access(may_write))
}

/// An answer to expand-property.
struct Page<'a> {
    scene: &'a Scene,
    minimal: bool,
    followed: usize,
    out: &'a mut String,
}

impl Page<'_> {
    fn expand(&mut self, tx: &mut Tx<'_>, target: &Target, here: &There, wanted: &[Expand]) -> Result<(), Error> {
        self.followed += 1;
        if self.followed > MOST_FOLLOWED || self.out.len() > MOST_TOLD {
            let error = Error::new(http::StatusCode::INSUFFICIENT_STORAGE, "follow fewer hrefs at once");
            return Err(Error { condition: "<D:number-of-matches-within-limits/>".into(), ..error });
        }
        let node = here.node();
        self.out.push_str("<D:response><D:href>");
        self.out.push_str(&target.href(&self.scene.base));
        self.out.push_str("</D:href>");
        let start = self.out.len();
        self.out.push_str("<D:propstat><D:prop>");
        let (mut missing, mut found) = (String::new(), false);
        let mut dead: Option<Vec<Dead>> = None;
        for one in wanted {
            let tags = tags(&one.name.ns, &one.name.name);
            let mut value = String::new();
            if props::find(&one.name).is_some_and(|prop| (prop.get)(self.scene, &node, &mut value)) {
                found = true;
                self.out.push_str(&tags.open);
                match one.inner.is_empty() {
                    true => self.out.push_str(&value),
                    false => self.follow(tx, &value, &one.inner)?,
                }
                self.out.push_str(&tags.close);
                continue;
            }
            if dead.is_none() {
                dead = Some(properties::list(tx, self.scene.actor.user, &target.key())?);
            }
            let kept = dead.iter().flatten().find(|d| d.ns == one.name.ns && d.name == one.name.name);
            match kept.filter(|_| !props::is_reserved(&one.name)) {
                Some(kept) => {
                    found = true;
                    self.out.push_str(&kept.xml);
                }
                None => missing.push_str(&tags.empty),
            }
        }
        self.out.push_str("</D:prop>");
        status_line(http::StatusCode::OK, self.out);
        self.out.push_str("</D:propstat>");
        if !missing.is_empty() && !self.minimal {
            if !found {
                self.out.truncate(start);
            }
            self.out.push_str("<D:propstat><D:prop>");
            self.out.push_str(&missing);
            self.out.push_str("</D:prop>");
            status_line(http::StatusCode::NOT_FOUND, self.out);
            self.out.push_str("</D:propstat>");
        }
        self.out.push_str("</D:response>\n");
        Ok(())
    }

    /// Writes a value with each href that leads to something here replaced by what it leads to. `value` is XML of ours.
    fn follow(&mut self, tx: &mut Tx<'_>, value: &str, inner: &[Expand]) -> Result<(), Error> {
        let mut rest = value;
        while let Some(at) = rest.find("<D:href") {
            let Some(end) = rest[at..].find("</D:href>").map(|end| at + end + "</D:href>".len()) else { break };
            self.out.push_str(&rest[..at]);
            let element = &rest[at..end];
            rest = &rest[end..];
            let href = element.split_once('>').and_then(|(_, text)| text.strip_suffix("</D:href>")).unwrap_or("");
            let Some(target) = Target::read_href(href, &self.scene.base) else {
                self.out.push_str(element);
                continue;
            };
            match there(tx, self.scene, &target) {
                Ok(there) => self.expand(tx, &target, &there, inner)?,
                Err(e) if e.status == http::StatusCode::NOT_FOUND => {
                    bare_response(&target.href(&self.scene.base), http::StatusCode::NOT_FOUND, "", self.out);
                }
                Err(e) => return Err(e),
            }
        }
        self.out.push_str(rest);
        Ok(())
    }
}
