//! The keys of `gateway.toml`: what each section may hold, its defaults, and what must fit together.

use std::collections::HashSet;
use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use toml::Spanned;

use super::walk::{Item, Section, Walk, Wrong, list_of, nearest, quoted};
use super::{
    Account, Config, Feed, Grant, LocalCalendar, LogFormat, Member, Network, Password, PublicUrl, Push, SecretsSection,
    Server, Stale, Storage, Sync, Tls, Unified, UpstreamAway, User, limits, values,
};
use crate::ical::{Kind, Mask};
use crate::provider;
use crate::secrets::Secret;
use crate::store::accounts::Taken;
use crate::store::grants::May;
use crate::store::scheduling::{RESERVED, Who};

const ROOT: &[&str] = &["server", "limits", "storage", "secrets", "sync", "push", "user"];
const SERVER: &[&str] =
    &["listen", "public_url", "tls", "trusted_proxies", "proxy_protocol", "pid_file", "log", "log_format"];
const TLS: &[&str] = &["certificate", "key"];
const STORAGE: &[&str] = &["url"];
const SECRETS: &[&str] = &["key_file"];
const SYNC: &[&str] = &["interval", "write_wait", "upstream_away", "stale_after", "stale", "keep_deleted"];
const PUSH: &[&str] = &["enabled", "private_networks"];
const USER: &[&str] = &[
    "name",
    "password",
    "display_name",
    "email",
    "timezone",
    "free_busy",
    "account",
    "calendar",
    "unified",
    "grant",
    "feed",
];
const ACCOUNT: &[&str] = &["name", "kind", "url", "username", "password", "calendar"];
const TAKEN: &[&str] = &["remote", "name", "display_name", "color"];
const LOCAL: &[&str] = &["name", "display_name", "color", "components"];
const UNIFIED: &[&str] = &["name", "display_name", "color", "members", "write_to"];
const MEMBER: &[&str] = &["calendar", "mask"];
const GRANT: &[&str] = &["calendar", "to", "may"];
const FEED: &[&str] = &["calendar", "kind", "token"];

/// The first is the default.
const MAY: [(&str, May); 4] = [("read", May::Read), ("write", May::Write), ("title", May::Title), ("busy", May::Busy)];

/// Every key there is, for the test that the example shows them all.
#[cfg(test)]
pub(super) const ALL: &[&[&str]] = &[
    ROOT,
    SERVER,
    limits::KEYS,
    TLS,
    STORAGE,
    SECRETS,
    SYNC,
    PUSH,
    USER,
    ACCOUNT,
    TAKEN,
    LOCAL,
    UNIFIED,
    MEMBER,
    GRANT,
    FEED,
];

/// Reads the whole file. The result counts only if nothing was complained about.
pub(super) fn config<'t>(walk: &mut Walk<'t>, root: &'t Spanned<toml::de::DeTable<'t>>) -> Config {
    let root = walk.root(root, "the file", ROOT);
    let section = walk.table(&root, "storage", "[storage]", STORAGE);
    let storage = storage(walk, &section);
    let section = walk.table(&root, "secrets", "[secrets]", SECRETS);
    let key_file = path(walk, &section, "key_file").unwrap_or_else(|| walk.dir.join("calgate.key"));
    let section = walk.table(&root, "server", "[server]", SERVER);
    let server = server(walk, &section);
    let section = walk.table(&root, "limits", "[limits]", limits::KEYS);
    let limits = limits::read(walk, &section);
    let section = walk.table(&root, "sync", "[sync]", SYNC);
    let sync = sync(walk, &section);
    let section = walk.table(&root, "push", "[push]", PUSH);
    let push = Push {
        enabled: walk.yes_or_no(&section, "enabled").unwrap_or(true),
        private_networks: walk.yes_or_no(&section, "private_networks").unwrap_or(false),
    };

    let mut users: Vec<User> = Vec::new();
    let (mut names, mut tokens, mut granted) = (HashSet::new(), HashSet::new(), Vec::new());
    for section in walk.tables(&root, "user", "[[user]]", USER) {
        let Some(user) = user(walk, &section, &mut tokens, &mut granted) else { continue };
        let (at, user) = (user.span(), user.into_inner());
        if !names.insert(user.name.clone()) {
            let message = format!("the user \"{}\" is declared twice", user.name);
            walk.complain(at, Wrong::new(message, "Keep one of them, or give this one another name."));
        }
        users.push(user);
    }
    grantees(walk, granted, &users);
    Config { server, limits, storage, secrets: SecretsSection { key_file }, sync, push, users }
}

fn server<'t>(walk: &mut Walk<'t>, section: &Section<'t>) -> Server {
    let tls = section.has("tls").then(|| {
        let section = walk.table(section, "tls", "tls = { certificate = \"…\", key = \"…\" }", TLS);
        let certificate = pem(walk, &section, "certificate", "CERTIFICATE");
        let key = pem(walk, &section, "key", "PRIVATE KEY");
        let tls = Tls { certificate, key };
        // Of what was complained about already no more is said.
        if walk.follow
            && !tls.certificate.as_os_str().is_empty()
            && !tls.key.as_os_str().is_empty()
            && let Err(why) = tls.read()
        {
            let hint =
                "Name the certificate and the key that were made together; the certificate comes first in its file.";
            walk.complain(section.at.clone(), Wrong::new(why, hint));
        }
        tls
    });
    let written = walk.text(section, "listen", values::listen);
    let at = written.as_ref().map_or(section.at.clone(), Spanned::span);
    let listen = written.map_or_else(|| ([127, 0, 0, 1], 5232).into(), Spanned::into_inner);
    walk.hide_if(section, "public_url", |text| text.contains('@'));
    let public_url = match walk.text(section, "public_url", values::public_url) {
        Some(url) => url.into_inner(),
        None if section.has("public_url") => PublicUrl::new(""),
        None => {
            if listen.ip().is_unspecified() {
                let hint = "Say with `public_url` what clients type: \"https://calendar.example.org\".";
                walk.complain(at, Wrong::new("with this address, `public_url` can not be guessed", hint));
            }
            PublicUrl::new(&format!("{}://{listen}", if tls.is_some() { "https" } else { "http" }))
        }
    };
    let trusted_proxies: Vec<Network> =
        walk.texts(section, "trusted_proxies", Network::read).into_iter().map(Spanned::into_inner).collect();
    let proxy_protocol = walk.yes_or_no(section, "proxy_protocol").unwrap_or(false);
    if proxy_protocol && trusted_proxies.is_empty() && !walk.broken {
        let at = walk.place_of(section, "proxy_protocol");
        let hint = "Say with `trusted_proxies` from which addresses such connections come.";
        walk.complain(at, Wrong::new("without `trusted_proxies` nobody may speak the PROXY protocol", hint));
    }
    Server {
        listen,
        public_url,
        tls,
        trusted_proxies,
        proxy_protocol,
        pid_file: path(walk, section, "pid_file").unwrap_or_else(|| walk.dir.join("calgate.pid")),
        log: walk.text(section, "log", values::log).map_or_else(|| "info".to_owned(), Spanned::into_inner),
        log_format: one_of(walk, section, "log_format", &[("text", LogFormat::Text), ("json", LogFormat::Json)]),
    }
}

fn storage<'t>(walk: &mut Walk<'t>, section: &Section<'t>) -> Storage {
    let dir = walk.dir.clone();
    let follow = walk.follow;
    let read = |text: &str| match is_reference(text) {
        false => storage_url(text, &dir),
        true => {
            let reference = reference(text, &dir, follow)?;
            if !follow && reference.starts_with("env:") && super::read_reference(&reference).is_err() {
                // Without the database no command can do anything, whatever else it does not follow.
                return Err(Wrong::new(
                    format!("{text} is not set"),
                    "Set it in this shell as it is set for the server.",
                ));
            }
            let url = super::read_reference(&reference).map_err(|why| Wrong::new(why, ""))?;
            storage_url(url.reveal(), &dir)
                .map_err(|_| Wrong::new("what this refers to is not the URL of a database", ""))
        }
    };
    // A PostgreSQL URL may hold a password.
    walk.hide_if(section, "url", |text| text.contains('@'));
    match walk.text(section, "url", read) {
        Some(url) => Storage { url: url.into_inner() },
        None => Storage { url: format!("sqlite:{}", walk.dir.join("calgate.db").display()) },
    }
}

fn storage_url(text: &str, dir: &std::path::Path) -> Result<String, Wrong> {
    let hint = "Write \"sqlite:PATH\" or \"postgres://user@host/database\".";
    if text == "sqlite::memory:" {
        return Ok(text.to_owned());
    }
    if let Some(path) = text.strip_prefix("sqlite:") {
        let path = path.strip_prefix("//").unwrap_or(path);
        return match path.is_empty() {
            true => Err(Wrong::new("the path of the database is missing", hint)),
            false => Ok(format!("sqlite:{}", dir.join(path).display())),
        };
    }
    if text.starts_with("postgres://") || text.starts_with("postgresql://") {
        return match url::Url::parse(text) {
            Ok(url) if url.path().len() > 1 => Ok(text.to_owned()),
            Ok(_) => Err(Wrong::new("the name of the database is missing", hint)),
            Err(e) => Err(Wrong::new(format!("this is not the URL of a database: {e}"), hint)),
        };
    }
    Err(Wrong::new("this is not the URL of a database", hint))
}

fn sync<'t>(walk: &mut Walk<'t>, section: &Section<'t>) -> Sync {
    let seconds = Duration::from_secs;
    let mut duration = |key: &str, default: u64, from: u64, to: u64| match walk
        .text(section, key, |text| values::duration(text, seconds(from), seconds(to)))
    {
        Some(read) => (read.span(), read.into_inner()),
        None => (section.at.clone(), seconds(default)),
    };
    let (_, interval) = duration("interval", 300, 1, 7 * 86_400);
    let (_, write_wait) = duration("write_wait", 5, 0, 60);
    let (at, stale_after) = duration("stale_after", 3600, 1, 30 * 86_400);
    let (_, keep_deleted) = duration("keep_deleted", 90 * 86_400, 86_400, 3650 * 86_400);
    if stale_after < interval {
        let message = format!("`stale_after` is shorter than `interval` ({})", values::written(interval));
        let hint = "Between two pulls every calendar would count as not known; make it at least twice as long.";
        walk.complain(at, Wrong::new(message, hint));
    }
    Sync {
        interval,
        write_wait,
        upstream_away: one_of(
            walk,
            section,
            "upstream_away",
            &[("keep", UpstreamAway::Keep), ("refuse", UpstreamAway::Refuse)],
        ),
        stale_after,
        keep_deleted,
        stale: one_of(walk, section, "stale", &[("busy-unavailable", Stale::BusyUnavailable), ("error", Stale::Error)]),
    }
}

/// A user with the place of the name. `None`: no good name; everything else was looked at all the same.
fn user<'t>(
    walk: &mut Walk<'t>,
    section: &Section<'t>,
    tokens: &mut HashSet<String>,
    granted: &mut Vec<Spanned<String>>,
) -> Option<Spanned<User>> {
    let name = walk.needed(section, "name", "Give the user a name: name = \"anna\".", values::user_name);
    walk.hide_if(section, "password", |_| true);
    let password = walk.text(section, "password", values::password_hash).map(Spanned::into_inner);
    let display_name = walk.text(section, "display_name", values::title).map(Spanned::into_inner);
    let addresses = walk.texts(section, "email", values::address).into_iter().map(Spanned::into_inner).collect();
    let zone = walk.text(section, "timezone", values::zone).map_or_else(|| "UTC".to_owned(), Spanned::into_inner);

    let free_busy =
        one_of(walk, section, "free_busy", &[("users", Who::Users), ("grants", Who::Grants), ("nobody", Who::Nobody)]);

    let mut slugs = Slugs::default();
    let accounts = accounts(walk, section, &mut slugs);
    let calendars = locals(walk, section, &mut slugs);
    let unified = unified(walk, section, &mut slugs);
    let grants = grants(walk, section, name.as_ref().map(|name| name.get_ref().as_str()), &slugs, granted);
    let feeds = feeds(walk, section, &slugs, tokens);

    let name = name?;
    let at = name.span();
    let name = name.into_inner();
    let display_name = display_name.unwrap_or_else(|| name.clone());
    let user =
        User { name, password, display_name, addresses, zone, free_busy, accounts, calendars, unified, grants, feeds };
    Some(Spanned::new(at, user))
}

/// The calendars of one user by slug.
#[derive(Default)]
struct Slugs {
    /// Slug, and whether the calendar is unified.
    named: Vec<(String, bool)>,
    /// Some account gives all its calendars, or part of the file could not be read: others may be there.
    open: bool,
}

impl Slugs {
    fn add(&mut self, walk: &mut Walk<'_>, slug: &Spanned<String>, unified: bool) {
        if RESERVED.contains(&slug.get_ref().as_str()) {
            let slug = (slug.span(), slug.get_ref());
            let message = format!("a calendar can not be named \"{}\"", slug.1);
            let hint = format!(
                "Scheduling has its place there. One that had this name before is \"{}-calendar\" now: use that.",
                slug.1
            );
            walk.complain(slug.0, Wrong::new(message, hint));
        }
        if self.named.iter().any(|(other, _)| other == slug.get_ref()) {
            let message = format!("this user has two calendars named \"{}\"", slug.get_ref());
            walk.complain(
                slug.span(),
                Wrong::new(message, "Each needs a name of its own: it is the calendar's place in URLs."),
            );
        } else {
            self.named.push((slug.get_ref().clone(), unified));
        }
    }

    fn names(&self, unified_too: bool) -> Vec<&str> {
        self.named.iter().filter(|(_, unified)| unified_too || !unified).map(|(slug, _)| slug.as_str()).collect()
    }

    /// Complains when `slug` can not be one of these.
    fn look_up(&self, walk: &mut Walk<'_>, slug: &str, at: Range<usize>, unified_too: bool) {
        let known = self.names(unified_too);
        if self.open || walk.broken || known.contains(&slug) {
            return;
        }
        // Not looked up in the database: a file is right or wrong by itself, on every machine.
        const UNDECLARED: &str = "Only what is declared can be named: declare a calendar that a client made as \
            [[user.calendar]] with its name, and an account of `calgate account add` as [[user.account]] with its name \
            and password = \"sealed\"; both keep what they hold.";
        let hint = match nearest(slug, known.iter().copied()) {
            Some(near) => format!("Did you mean \"{near}\"?"),
            None if known.is_empty() => format!("This user has no calendars yet. {UNDECLARED}"),
            None => format!("This user has {}. {UNDECLARED}", list_of(&known)),
        };
        walk.complain(at, Wrong::new(format!("this user has no calendar \"{slug}\""), hint));
    }
}

fn accounts<'t>(walk: &mut Walk<'t>, user: &Section<'t>, slugs: &mut Slugs) -> Vec<Account> {
    let mut accounts: Vec<Account> = Vec::new();
    for section in walk.tables(user, "account", "[[user.account]]", ACCOUNT) {
        let name = walk.needed(&section, "name", "Give the account a name: name = \"work\".", values::name);
        if let Some(name) = &name
            && accounts.iter().any(|a| a.name == *name.get_ref())
        {
            let message = format!("this user has two accounts named \"{}\"", name.get_ref());
            walk.complain(name.span(), Wrong::new(message, "Give this one another name."));
        }
        let kinds: Vec<(&str, usize)> = provider::KINDS.iter().enumerate().map(|(n, (kind, _))| (*kind, n)).collect();
        let kind = walk.text(&section, "kind", |text| values::one_of(text, &kinds));
        let kind = provider::KINDS[kind.map_or(0, Spanned::into_inner)].0.to_owned();
        walk.hide_if(&section, "url", |text| text.contains('@'));
        let url =
            walk.needed(&section, "url", "Write the address of the server: url = \"https://…\".", values::upstream_url);
        let login = walk.needed(&section, "username", "Write the login at that server.", values::title);
        let password = account_password(walk, &section);
        let calendars = taken(walk, &section, slugs);
        if let (Some(name), Some(url), Some(login), Some(password)) = (name, url, login, password) {
            let (name, url, login) = (name.into_inner(), url.into_inner(), login.into_inner());
            accounts.push(Account { name, kind, url, login, password, calendars });
        }
    }
    accounts
}

fn account_password<'t>(walk: &mut Walk<'t>, section: &Section<'t>) -> Option<Password> {
    const HINT: &str = "Write \"env:NAME\", \"file:PATH\", or \"sealed\" and give it with `calgate account add`.";
    walk.hide_if(section, "password", |text| text != "sealed" && !is_reference(text));
    let (dir, follow) = (walk.dir.clone(), walk.follow);
    let password = walk.needed(section, "password", HINT, |text| match text {
        "sealed" => Ok(Password::Sealed),
        text if is_reference(text) => reference(text, &dir, follow).map(Password::Reference),
        _ => Err(Wrong::new("this looks like a plain password; a password is never written here as it is", HINT)),
    });
    password.map(Spanned::into_inner)
}

fn taken<'t>(walk: &mut Walk<'t>, account: &Section<'t>, slugs: &mut Slugs) -> Vec<Taken> {
    slugs.open |= !account.has("calendar");
    let mut list = Vec::new();
    for section in walk.tables(account, "calendar", "[[user.account.calendar]]", TAKEN) {
        let hint = "Write its name as that server shows it, or the last part of its address.";
        let remote = walk.needed(&section, "remote", hint, values::title).map(Spanned::into_inner);
        let slug = match remote.as_deref().filter(|remote| values::is_name(remote)) {
            Some(remote) if !section.has("name") => Some(Spanned::new(section.at.clone(), remote.to_owned())),
            _ => walk.needed(&section, "name", "Name it as it shall stand in URLs: name = \"work\".", values::name),
        };
        let display_name = walk.text(&section, "display_name", values::title).map(Spanned::into_inner);
        let color = walk.text(&section, "color", values::color).map(Spanned::into_inner);
        match &slug {
            Some(slug) => slugs.add(walk, slug, false),
            None => slugs.open = true,
        }
        if let (Some(remote), Some(slug)) = (remote, slug) {
            if list.iter().any(|taken: &Taken| taken.remote == remote) {
                let message = format!("{} is taken already", quoted(&remote));
                let at = walk.place_of(&section, "remote");
                walk.complain(at, Wrong::new(message, "Keep it once, under one name."));
            }
            list.push(Taken { remote, slug: slug.into_inner(), display_name, color });
        }
    }
    list
}

fn locals<'t>(walk: &mut Walk<'t>, user: &Section<'t>, slugs: &mut Slugs) -> Vec<LocalCalendar> {
    let mut list = Vec::new();
    for section in walk.tables(user, "calendar", "[[user.calendar]]", LOCAL) {
        let hint = "Name it as it shall stand in URLs: name = \"private\".";
        let slug = walk.needed(&section, "name", hint, values::name);
        let display_name = walk.text(&section, "display_name", values::title).map(Spanned::into_inner);
        let color = walk.text(&section, "color", values::color).map(Spanned::into_inner);
        let components = components(walk, &section);
        let Some(slug) = slug else {
            slugs.open = true;
            continue;
        };
        slugs.add(walk, &slug, false);
        let slug = slug.into_inner();
        let display_name = display_name.unwrap_or_else(|| slug.clone());
        list.push(LocalCalendar { display_name, slug, color, components });
    }
    list
}

/// What may be put into a calendar; everything where it is not said.
fn components<'t>(walk: &mut Walk<'t>, section: &Section<'t>) -> Vec<Kind> {
    const HINT: &str = "Write components = [\"VEVENT\"] for events alone, or [\"VTODO\"] for tasks.";
    const KINDS: [(&str, Kind); 3] = [("VEVENT", Kind::Event), ("VTODO", Kind::Todo), ("VJOURNAL", Kind::Journal)];
    let all = || KINDS.map(|(_, kind)| kind).to_vec();
    let Some(items) = walk.items(section, "components", "a component", &[]) else { return all() };
    let mut kinds = Vec::new();
    if items.is_empty() {
        let at = walk.place_of(section, "components");
        walk.complain(at, Wrong::new("nothing could be put into this calendar", HINT));
    }
    for item in items {
        match item {
            Item::Text(text) => match values::one_of(text.get_ref(), &KINDS) {
                Ok(kind) if kinds.contains(&kind) => {
                    walk.complain(
                        text.span(),
                        Wrong::new(format!("{} is there already", text.get_ref()), "Keep it once."),
                    );
                }
                Ok(kind) => kinds.push(kind),
                Err(wrong) => walk.complain(text.span(), wrong),
            },
            Item::Table(table) => walk.complain(table.at, Wrong::new("a component is a text", HINT)),
        }
    }
    kinds
}

fn unified<'t>(walk: &mut Walk<'t>, user: &Section<'t>, slugs: &mut Slugs) -> Vec<Unified> {
    let sections = walk.tables(user, "unified", "[[user.unified]]", UNIFIED);
    // All their names first: one that is made of another is then told as such.
    let mut names = Vec::new();
    for section in &sections {
        let hint = "Name it as it shall stand in URLs: name = \"all\".";
        let slug = walk.needed(section, "name", hint, values::name);
        if let Some(slug) = &slug {
            slugs.add(walk, slug, true);
        }
        names.push(slug);
    }
    let mut list = Vec::new();
    for (section, slug) in sections.iter().zip(names) {
        let members = members(walk, section, slugs);
        let write_to = write_to(walk, section, &members, slugs);
        let display_name = walk.text(section, "display_name", values::title).map(Spanned::into_inner);
        let color = walk.text(section, "color", values::color).map(Spanned::into_inner);
        let (Some(slug), Some(write_to)) = (slug, write_to) else { continue };
        let slug = slug.into_inner();
        let display_name = display_name.unwrap_or_else(|| slug.clone());
        list.push(Unified { display_name, slug, color, members, write_to });
    }
    list
}

fn members<'t>(walk: &mut Walk<'t>, section: &Section<'t>, slugs: &Slugs) -> Vec<Member> {
    const FULL: &str = "Write members = [\"work\", { calendar = \"home\", mask = \"busy\" }].";
    const MASKS: [(&str, Mask); 3] = [("full", Mask::Full), ("title", Mask::Title), ("busy", Mask::Busy)];
    if !section.has("members") {
        walk.missing(section, "members", FULL);
    }
    let mut members: Vec<Member> = Vec::new();
    let Some(items) = walk.items(section, "members", "a member", MEMBER) else { return members };
    if items.is_empty() {
        let at = walk.place_of(section, "members");
        walk.complain(at, Wrong::new("a unified calendar needs at least one member", FULL));
    }
    for item in items {
        let (at, slug, mask) = match item {
            Item::Text(text) => match values::name(text.get_ref()) {
                Ok(slug) => (text.span(), Some(slug), Mask::Full),
                Err(wrong) => {
                    walk.complain(text.span(), wrong);
                    continue;
                }
            },
            Item::Table(table) => {
                let slug = walk.needed(&table, "calendar", FULL, values::name);
                let mask = walk.text(&table, "mask", |text| values::one_of(text, &MASKS));
                let at = slug.as_ref().map_or(table.at.clone(), Spanned::span);
                (at, slug.map(Spanned::into_inner), mask.map_or(Mask::Full, Spanned::into_inner))
            }
        };
        let Some(slug) = slug else { continue };
        if members.iter().any(|m| m.slug == slug) {
            walk.complain(at, Wrong::new(format!("\"{slug}\" is a member already"), "Keep it once."));
        } else if slugs.named.iter().any(|(name, unified)| *unified && *name == slug) {
            let hint = "Name the calendars that it is made of.";
            walk.complain(at, Wrong::new(format!("\"{slug}\" is a unified calendar and can not be a member"), hint));
        } else {
            slugs.look_up(walk, &slug, at, false);
            members.push(Member { slug, mask });
        }
    }
    members
}

/// The member that takes new objects; when none is named, the first that shows everything.
fn write_to<'t>(walk: &mut Walk<'t>, section: &Section<'t>, members: &[Member], slugs: &Slugs) -> Option<String> {
    let open: Vec<&str> = members.iter().filter(|m| m.mask == Mask::Full).map(|m| m.slug.as_str()).collect();
    let Some(written) = walk.text(section, "write_to", values::name) else {
        if open.is_empty() && !members.is_empty() && !section.has("write_to") {
            let hint = "Leave one member without a mask: new objects go to it.";
            walk.missing(section, "write_to", hint);
        }
        return open.first().map(|slug| (*slug).to_owned());
    };
    let at = written.span();
    let slug = written.into_inner();
    let wrong = match members.iter().find(|m| m.slug == slug) {
        Some(member) if member.mask == Mask::Full => return Some(slug),
        Some(member) => Wrong::new(
            format!("`write_to` is \"{slug}\", which is masked ({})", member.mask.name()),
            "Take away its mask, or write to a member that shows everything.",
        ),
        None => Wrong::new(
            format!("`write_to` is \"{slug}\", which is no member"),
            match nearest(&slug, open.iter().copied()) {
                _ if slugs.names(false).contains(&slug.as_str()) => "Put it among the `members`.".to_owned(),
                Some(near) => format!("Did you mean \"{near}\"?"),
                None if open.is_empty() => String::new(),
                None => format!("The members that can be written to are {}.", list_of(&open)),
            },
        ),
    };
    if !walk.broken {
        walk.complain(at, wrong);
    }
    None
}

/// What `user` grants; each name that it is granted to is put into `granted`, to be looked up when all users are known.
fn grants<'t>(
    walk: &mut Walk<'t>,
    section: &Section<'t>,
    user: Option<&str>,
    slugs: &Slugs,
    granted: &mut Vec<Spanned<String>>,
) -> Vec<Grant> {
    const TO: &str = "Name a user of this file: to = \"bert\".";
    let mut grants: Vec<Grant> = Vec::new();
    for section in walk.tables(section, "grant", "[[user.grant]]", GRANT) {
        let calendar = walk.needed(&section, "calendar", "Name the calendar that is shared.", values::name);
        if let Some(calendar) = &calendar {
            slugs.look_up(walk, calendar.get_ref(), calendar.span(), true);
        }
        let may = one_of(walk, &section, "may", &MAY);
        if !section.has("to") {
            walk.missing(&section, "to", TO);
        }
        for to in walk.texts(&section, "to", values::user_name) {
            let calendar = calendar.as_ref().map(|calendar| calendar.get_ref().clone());
            if user == Some(to.get_ref()) {
                let message = "a calendar can not be shared with its owner";
                walk.complain(to.span(), Wrong::new(message, "Name another user, or take this one away."));
            } else if calendar
                .as_ref()
                .is_some_and(|c| grants.iter().any(|g| g.calendar == *c && g.to == *to.get_ref()))
            {
                let message = format!("this calendar is shared with \"{}\" already", to.get_ref());
                walk.complain(to.span(), Wrong::new(message, "Keep one of the two."));
            } else {
                grants.extend(calendar.map(|calendar| Grant { calendar, to: to.get_ref().clone(), may }));
                granted.push(to);
            }
        }
    }
    grants
}

/// Complains about names that are no users of the file.
fn grantees(walk: &mut Walk<'_>, granted: Vec<Spanned<String>>, users: &[User]) {
    for to in granted {
        let known: Vec<&str> = users.iter().map(|user| user.name.as_str()).collect();
        if walk.broken || known.contains(&to.get_ref().as_str()) {
            continue;
        }
        // Not looked up in the database: a file is right or wrong by itself, on every machine.
        let hint = match nearest(to.get_ref(), known.iter().copied()) {
            Some(near) => format!("Did you mean \"{near}\"?"),
            None => "Only users of this file can be named here; for one made by `calgate user add` there is \
                     `calgate grant add`."
                .to_owned(),
        };
        walk.complain(to.span(), Wrong::new(format!("there is no user \"{}\" in this file", to.get_ref()), hint));
    }
}

fn feeds<'t>(walk: &mut Walk<'t>, user: &Section<'t>, slugs: &Slugs, tokens: &mut HashSet<String>) -> Vec<Feed> {
    let mut feeds = Vec::new();
    for section in walk.tables(user, "feed", "[[user.feed]]", FEED) {
        let calendar = walk.needed(&section, "calendar", "Name the calendar that the feed shows.", values::name);
        if let Some(calendar) = &calendar {
            slugs.look_up(walk, calendar.get_ref(), calendar.span(), true);
        }
        let hint = "Write kind = \"freebusy\", \"busy\" or \"full\".";
        let kind = walk.needed(&section, "kind", hint, values::feed_kind);
        let token = feed_token(walk, &section, tokens);
        if let (Some(calendar), Some(kind), Some(token)) = (calendar, kind, token) {
            feeds.push(Feed { calendar: calendar.into_inner(), kind: kind.into_inner(), token });
        }
    }
    feeds
}

/// `None` also for a token that is elsewhere and was not looked at.
fn feed_token<'t>(walk: &mut Walk<'t>, section: &Section<'t>, tokens: &mut HashSet<String>) -> Option<Secret> {
    walk.hide_if(section, "token", |text| !is_reference(text));
    let (dir, follow) = (walk.dir.clone(), walk.follow);
    let token = walk.needed(section, "token", "Make one with `calgate keygen --token`.", |text| {
        if !is_reference(text) {
            values::token(text)?;
            return Ok(Some(Secret::new(text)));
        }
        let reference = reference(text, &dir, follow)?;
        if !follow {
            return Ok(None);
        }
        let token = super::read_reference(&reference).map_err(|why| Wrong::new(why, ""))?;
        values::token(token.reveal())?;
        Ok(Some(token))
    })?;
    let at = token.span();
    let token = token.into_inner()?;
    if !tokens.insert(token.reveal().to_owned()) {
        let hint = "Each feed needs its own: make one with `calgate keygen --token`.";
        walk.complain(at, Wrong::new("another feed has this token", hint));
    }
    Some(token)
}

fn is_reference(text: &str) -> bool {
    text.starts_with("env:") || text.starts_with("file:")
}

/// `env:NAME` or `file:PATH`, with PATH made absolute; with `follow`, only if it can be read now.
fn reference(text: &str, dir: &std::path::Path, follow: bool) -> Result<String, Wrong> {
    if let Some(name) = text.strip_prefix("env:") {
        let clean = !name.starts_with(|c: char| c.is_ascii_digit())
            && !name.is_empty()
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        if !clean {
            return Err(Wrong::new(
                format!("{} is not the name of an environment variable", quoted(name)),
                "Use letters, digits and '_'.",
            ));
        }
        return match follow {
            false => Ok(text.to_owned()),
            true => super::read_reference(text)
                .map(|_| text.to_owned())
                .map_err(|why| Wrong::new(why, "Set it where the server is started, or use \"file:PATH\".")),
        };
    }
    let path = text.strip_prefix("file:").unwrap_or(text);
    if path.is_empty() {
        return Err(Wrong::new("the path of the file is missing", "Write \"file:PATH\"."));
    }
    let reference = format!("file:{}", dir.join(path).display());
    if follow {
        super::read_reference(&reference).map_err(|why| {
            // The path as it was written is easier to find again than the absolute one.
            let why = why.replace(&reference["file:".len()..], path);
            Wrong::new(why, "Paths begin at the folder of the configuration file.")
        })?;
    }
    Ok(reference)
}

fn path<'t>(walk: &mut Walk<'t>, section: &Section<'t>, key: &str) -> Option<PathBuf> {
    let dir = walk.dir.clone();
    let read = |text: &str| match text.is_empty() {
        true => Err(Wrong::new("the path is empty", "")),
        false => Ok(dir.join(text)),
    };
    walk.text(section, key, read).map(Spanned::into_inner)
}

/// The path of a PEM file that is there and holds a `what`.
fn pem<'t>(walk: &mut Walk<'t>, section: &Section<'t>, key: &str, what: &str) -> PathBuf {
    let (dir, follow) = (walk.dir.clone(), walk.follow);
    let hint = "Write tls = { certificate = \"fullchain.pem\", key = \"privkey.pem\" }.";
    let read = walk.needed(section, key, hint, |text| {
        let path = dir.join(text);
        if !follow {
            return Ok(path);
        }
        match std::fs::read_to_string(&path) {
            Ok(pem) if pem.contains("-----BEGIN ") && pem.contains(&format!("{what}-----")) => Ok(path),
            Ok(_) => Err(Wrong::new(format!("there is no {what} in {text}"), "A file in PEM form is needed.")),
            Err(e) => Err(Wrong::new(
                format!("{text} can not be read: {}", super::io_words(&e)),
                "Paths begin at the folder of the configuration file.",
            )),
        }
    });
    read.map(Spanned::into_inner).unwrap_or_default()
}

/// One of a few words; the first is the default.
fn one_of<'t, T: Copy>(walk: &mut Walk<'t>, section: &Section<'t>, key: &str, words: &[(&str, T)]) -> T {
    walk.text(section, key, |text| values::one_of(text, words)).map_or(words[0].1, Spanned::into_inner)
}
