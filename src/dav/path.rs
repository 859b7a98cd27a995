//! URL ↔ [`Target`]: the only place that builds or reads hrefs.
//!
//! ```text
//!   /   /dav/                  the root: where a client may begin
//!   /dav/principals/           every user's principal is below it
//!   /dav/principals/NAME/      the principal
//!   /dav/NAME/                 the home set (so `principals` is no user name)
//!   /dav/NAME/inbox/           the scheduling inbox, and outbox/ (so neither is a calendar's name)
//!   /dav/NAME/SLUG/            a calendar
//!   /dav/NAME/SLUG/FILE        a resource
//! ```
//!
//! In front of each stands the path of `public_url`, if it has one. A request has lost it before it comes here; nothing
//! makes an href without being told it, so it can not be forgotten.

use crate::config::PublicUrl;
use crate::ids::Name;

use crate::store::scheduling::{INBOX, OUTBOX};

/// What a URL means. That it exists is for the store to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// `/` or `/dav/`, as it was asked for: a client looks for its own URL in the answer.
    Root {
        bare: bool,
    },
    Principals,
    Principal {
        user: String,
    },
    Home {
        owner: String,
    },
    /// RFC 6638 2.2: always empty here.
    Inbox {
        owner: String,
    },
    /// RFC 6638 2.1: answers who asks when others have time.
    Outbox {
        owner: String,
    },
    Calendar {
        owner: String,
        slug: String,
    },
    Resource {
        owner: String,
        slug: String,
        name: Name,
    },
}

impl Target {
    /// Reads the path of a request as it was sent. Each segment is decoded once; a missing final slash, doubled slashes
    /// and characters that should have been escaped are tolerated (clients do all three).
    /// `None`: nothing of ours can be there (deeper than a resource, not UTF-8, a `%2F` or a control character inside a
    /// segment, `..`).
    pub fn read(path: &str) -> Option<Target> {
        let mut segments = path.split('/').filter(|s| !s.is_empty());
        match segments.next() {
            None => return Some(Target::Root { bare: true }),
            Some("dav") => {}
            Some(_) => return None,
        }
        let decoded: Vec<Name> = segments.by_ref().take(4).map(decode).collect::<Option<_>>()?;
        let text = |name: &Name| name.as_str().to_owned();
        Some(match decoded.as_slice() {
            [] => Target::Root { bare: false },
            [first] if first.as_str() == "principals" => Target::Principals,
            [first, user] if first.as_str() == "principals" => Target::Principal { user: text(user) },
            [first, ..] if first.as_str() == "principals" => return None,
            [owner] => Target::Home { owner: text(owner) },
            [owner, slug] if slug.as_str() == INBOX => Target::Inbox { owner: text(owner) },
            [owner, slug] if slug.as_str() == OUTBOX => Target::Outbox { owner: text(owner) },
            [owner, slug] => Target::Calendar { owner: text(owner), slug: text(slug) },
            [owner, slug, name] => Target::Resource { owner: text(owner), slug: text(slug), name: name.clone() },
            _ => return None,
        })
    }

    /// Reads an href of a request body, which may be an absolute URL: only its path counts, because our own address may
    /// be another one on the client's side of a proxy. For the same reason the prefix of `base` may be there or not.
    pub fn read_href(href: &str, base: &PublicUrl) -> Option<Target> {
        let href = href.trim();
        let path = match href.split_once("://") {
            Some((scheme, rest)) if scheme.bytes().all(|b| b.is_ascii_alphabetic()) => {
                rest.find('/').map_or("/", |at| &rest[at..])
            }
            _ => href,
        };
        if !path.starts_with('/') {
            return None;
        }
        let end = path.find(['?', '#']).unwrap_or(path.len());
        Target::read(base.inside(&path[..end]))
    }

    /// The href as we print it everywhere: a path with the prefix of `base`.
    pub fn href(&self, base: &PublicUrl) -> String {
        match self {
            Target::Root { bare: true } => format!("{}/", base.prefix()),
            Target::Root { bare: false } => format!("{}/dav/", base.prefix()),
            Target::Principals => principals(base),
            Target::Principal { user } => principal(base, user),
            Target::Home { owner } => home(base, owner),
            Target::Inbox { owner } => calendar(base, owner, INBOX),
            Target::Outbox { owner } => calendar(base, owner, OUTBOX),
            Target::Calendar { owner, slug } => calendar(base, owner, slug),
            Target::Resource { owner, slug, name } => resource(base, owner, slug, name.as_str()),
        }
    }

    /// The decoded path, with its final slash for collections: the key of dead properties.
    pub fn key(&self) -> String {
        match self {
            Target::Root { .. } => "/dav/".to_owned(),
            Target::Principals => "/dav/principals/".to_owned(),
            Target::Principal { user } => format!("/dav/principals/{user}/"),
            Target::Home { owner } => format!("/dav/{owner}/"),
            Target::Inbox { owner } => format!("/dav/{owner}/{INBOX}/"),
            Target::Outbox { owner } => format!("/dav/{owner}/{OUTBOX}/"),
            Target::Calendar { owner, slug } => format!("/dav/{owner}/{slug}/"),
            Target::Resource { owner, slug, name } => format!("/dav/{owner}/{slug}/{name}"),
        }
    }
}

/// What a path means that is none of ours but of another server's: people type what they knew there, and programs try
/// them before they were told anything (Nextcloud, SOGo, Baïkal, Davical and those made after Apple's).
pub fn elsewhere(path: &str) -> Option<Target> {
    let segments: Vec<&str> = path.split('/').filter(|s| !s.is_empty()).collect();
    let rest = match segments.as_slice() {
        ["remote.php", "dav" | "caldav" | "webdav", rest @ ..] | ["SOGo", "dav", rest @ ..] => rest,
        ["caldav" | "cal" | "caldav.php" | "dav.php", rest @ ..] => rest,
        rest @ ["principals" | "calendars", ..] => rest,
        _ => return None,
    };
    let ours = match rest {
        ["principals", "users" | "__uids__", rest @ ..] => format!("/dav/principals/{}", rest.join("/")),
        ["principals", ..] => format!("/dav/{}", rest.join("/")),
        ["calendars", "__uids__", rest @ ..] | ["calendars", rest @ ..] => format!("/dav/{}", rest.join("/")),
        [name, ..] if segments[0] != "remote.php" => format!("/dav/{name}/"),
        _ => "/dav/".to_owned(),
    };
    Target::read(&ours)
}

/// The href of the collection that holds the principals.
pub fn principals(base: &PublicUrl) -> String {
    format!("{}/dav/principals/", base.prefix())
}

/// The href of a user's principal.
pub fn principal(base: &PublicUrl, user: &str) -> String {
    let mut href = principals(base);
    encode(user, &mut href);
    href.push('/');
    href
}

/// The href of a user's home set.
pub fn home(base: &PublicUrl, owner: &str) -> String {
    let mut href = format!("{}/dav/", base.prefix());
    encode(owner, &mut href);
    href.push('/');
    href
}

/// The href of a calendar; a resource's is this with its encoded name behind it.
pub fn calendar(base: &PublicUrl, owner: &str, slug: &str) -> String {
    let mut href = home(base, owner);
    encode(slug, &mut href);
    href.push('/');
    href
}

/// The href of a resource.
pub fn resource(base: &PublicUrl, owner: &str, slug: &str, name: &str) -> String {
    let mut href = calendar(base, owner, slug);
    encode(name, &mut href);
    href
}

/// Percent-encodes one segment onto `out`. What RFC 3986 allows in a segment stays readable (vdirsyncer compares hrefs
/// as texts, and expects `@` and `~` as they are), but for `&` and `'`: so an href never needs XML escapes.
pub fn encode(segment: &str, out: &mut String) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    if segment.bytes().all(plain) {
        out.push_str(segment);
        return;
    }
    for b in segment.bytes() {
        if plain(b) {
            out.push(b as char);
        } else {
            out.push('%');
            out.push(HEX[usize::from(b >> 4)] as char);
            out.push(HEX[usize::from(b & 15)] as char);
        }
    }
}

/// A table, because listings ask it of every byte of every name.
static PLAIN: [bool; 256] = {
    let mut table = [false; 256];
    let mut at = 0;
    while at < 128 {
        table[at] = (at as u8).is_ascii_alphanumeric();
        at += 1;
    }
    let marks = b"-._~@:!$()*,;=+";
    let mut at = 0;
    while at < marks.len() {
        table[marks[at] as usize] = true;
        at += 1;
    }
    table
};

fn plain(b: u8) -> bool {
    PLAIN[usize::from(b)]
}

/// Decodes one segment, once. A `%` that begins no escape stands for itself: clients forget to encode it.
fn decode(segment: &str) -> Option<Name> {
    if !segment.contains('%') {
        return Name::new(segment);
    }
    let bytes: Vec<u8> = percent_encoding::percent_decode_str(segment).collect();
    Name::new(std::str::from_utf8(&bytes).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is sent, and what we print for it; `-` when nothing of ours can be there.
    fn check(table: &[(&str, &str)]) {
        let base = PublicUrl::example("https://cal.example.net");
        let below = PublicUrl::example("https://example.net/our/cal");
        for (sent, printed) in table {
            let read = Target::read_href(sent, &base).map_or("-".to_owned(), |t| t.href(&base));
            assert_eq!(&read, printed, "{sent}");
            // Below a path the same holds, with and without that path in what is sent.
            let printed_below = match *printed {
                "-" => "-".to_owned(),
                href => format!("/our/cal{href}"),
            };
            let sent_below = match sent.trim_start().strip_prefix('/') {
                Some(rest) => format!("/our/cal/{rest}"),
                None => (*sent).to_owned(),
            };
            for sent in [*sent, &sent_below] {
                let read = Target::read_href(sent, &below).map_or("-".to_owned(), |t| t.href(&below));
                assert_eq!(read, printed_below, "{sent}");
            }
            if *printed != "-" {
                assert_eq!(&Target::read(&read).unwrap().href(&base), printed, "printing is stable");
                assert_eq!(Target::read_href(&printed_below, &below).unwrap().href(&below), printed_below);
            }
        }
    }

    #[test]
    fn every_form_of_an_href_is_the_same_target() {
        check(&[
            ("/", "/"),
            ("/dav", "/dav/"),
            ("/dav/", "/dav/"),
            ("/dav/principals", "/dav/principals/"),
            ("/dav/principals/anna", "/dav/principals/anna/"),
            ("/dav/anna", "/dav/anna/"),
            ("/dav/anna/inbox", "/dav/anna/inbox/"),
            ("/dav/anna/outbox/", "/dav/anna/outbox/"),
            ("/dav/anna/work", "/dav/anna/work/"),
            ("//dav//anna//work//", "/dav/anna/work/"),
            ("/dav/anna/work/a.ics", "/dav/anna/work/a.ics"),
            ("https://cal.example.net:8443/dav/anna/work/a.ics", "/dav/anna/work/a.ics"),
            ("http://cal.example.net", "/"),
            ("/dav/anna/work/a.ics?x=1#y", "/dav/anna/work/a.ics"),
            ("/dav/anna/work/1@host~2.ics", "/dav/anna/work/1@host~2.ics"),
            ("/dav/anna/work/1%40host%7E2.ics", "/dav/anna/work/1@host~2.ics"),
            ("/dav/anna/work/a b.ics", "/dav/anna/work/a%20b.ics"),
            ("/dav/anna/work/a+b.ics", "/dav/anna/work/a+b.ics"),
            ("/dav/anna/work/a%2Bb.ics", "/dav/anna/work/a+b.ics"),
            ("/dav/anna/work/100%.ics", "/dav/anna/work/100%25.ics"),
            ("/dav/anna/work/a&b'c.ics", "/dav/anna/work/a%26b%27c.ics"),
            ("/dav/anna/work/f\u{fc}r.ics", "/dav/anna/work/f%C3%BCr.ics"),
            ("/dav/anna/work/f%c3%bcr.ics", "/dav/anna/work/f%C3%BCr.ics"),
            ("/dav/anna/work/%2561.ics", "/dav/anna/work/%2561.ics"),
            ("  /dav/anna/work/a.ics\n", "/dav/anna/work/a.ics"),
        ]);
    }

    #[test]
    fn paths_of_other_servers_lead_here() {
        let base = PublicUrl::example("https://cal.example.net");
        let check = |path: &str, expect: &str| {
            assert_eq!(elsewhere(path).map_or("-".to_owned(), |t| t.href(&base)), expect, "{path}");
        };
        for path in ["/remote.php/dav", "/remote.php/dav/", "/remote.php/webdav/", "/SOGo/dav/", "/caldav", "/cal/"] {
            check(path, "/dav/");
        }
        check("/remote.php/dav/calendars/anna/work/a%20b.ics", "/dav/anna/work/a%20b.ics");
        check("/remote.php/dav/principals/users/anna/", "/dav/principals/anna/");
        check("/remote.php/dav/files/anna", "/dav/");
        check("/SOGo/dav/anna/Calendar/personal/", "/dav/anna/");
        check("/dav.php/calendars/anna/", "/dav/anna/");
        check("/caldav.php/anna/home/", "/dav/anna/");
        check("/principals/", "/dav/principals/");
        check("/principals/anna/", "/dav/principals/anna/");
        check("/principals/__uids__/anna/", "/dav/principals/anna/");
        check("/calendars", "/dav/");
        check("/calendars/anna/", "/dav/anna/");
        check("/calendars/anna/work/", "/dav/anna/work/");
        check("/calendars/%2e%2e/", "-");
        check("/calendar/", "-");
        check("/dav/anna/", "-");
        check("/", "-");
    }

    #[test]
    fn what_can_not_be_ours_is_nothing() {
        check(&[
            ("", "-"),
            ("a.ics", "-"),
            ("mailto:anna@example.org", "-"),
            ("/caldav/anna/", "-"),
            ("/dav/anna/work/a/b", "-"),
            ("/dav/principals/anna/x", "-"),
            ("/dav/anna/work/a%2Fb.ics", "-"),
            ("/dav/anna/work/%2e%2e", "-"),
            ("/dav/../etc/passwd", "-"),
            ("/dav/anna/work/%00", "-"),
            ("/dav/anna/work/%ff", "-"),
            ("/dav/anna/work/%c0%af", "-"),
        ]);
    }
}
