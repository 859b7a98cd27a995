//! [`PublicUrl`]: where clients find this server, which may be below a path of a host that others share.

use std::fmt;
use std::sync::Arc;

/// Scheme, host, port and, behind a proxy that gives calgate a part of a host, a path; without a final slash. Everything
/// that says where something is (hrefs, redirects, texts) is made from it, and nothing from what a request says.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicUrl {
    text: Arc<str>,
    /// Where the path begins.
    path: usize,
}

impl PublicUrl {
    /// `text`: checked, and without a final slash.
    pub(super) fn new(text: &str) -> PublicUrl {
        let host = text.find("://").map_or(0, |at| at + 3);
        let path = text[host..].find('/').map_or(text.len(), |at| host + at);
        PublicUrl { text: text.into(), path }
    }

    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Scheme, host and port.
    pub fn origin(&self) -> &str {
        &self.text[..self.path]
    }

    /// What paths of ours begin with on the client's side: nothing, or `/` and one segment or more. It needs no escapes,
    /// neither in XML nor in a header.
    pub fn prefix(&self) -> &str {
        &self.text[self.path..]
    }

    /// The path inside this server of one that was sent. Proxies pass on a path as it came, or without the prefix: it is
    /// taken away where it is there. Clients that put a URL together double slashes: of those in front one is left.
    pub fn inside<'p>(&self, path: &'p str) -> &'p str {
        fn of_many(path: &str) -> &str {
            let many = path.len() - path.trim_start_matches('/').len();
            &path[many.saturating_sub(1)..]
        }
        let path = of_many(path);
        let rest = match self.prefix() {
            "" => return path,
            prefix => path.strip_prefix(prefix),
        };
        match rest {
            Some("") => "/",
            Some(rest) if rest.starts_with('/') => of_many(rest),
            _ => path,
        }
    }
}

impl fmt::Display for PublicUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
impl PublicUrl {
    pub fn example(text: &str) -> PublicUrl {
        PublicUrl::new(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_taken_away_where_it_is_there() {
        let check = |url: &str, sent: &str, expect: &str| {
            assert_eq!(PublicUrl::new(url).inside(sent), expect, "{url} {sent}");
        };
        let (plain, below) = ("https://example.org:8443", "https://example.org/our/cal");
        for path in ["/", "/dav/", "/our/cal/dav/", "/dav//anna/", "*", ""] {
            check(plain, path, path);
        }
        check(plain, "//dav/anna/", "/dav/anna/");
        check(plain, "///", "/");
        check(below, "/our/cal", "/");
        check(below, "/our/cal/", "/");
        check(below, "/our/cal/dav/anna/", "/dav/anna/");
        check(below, "/our/cal//dav", "/dav");
        check(below, "//dav/", "/dav/");
        check(below, "//our/cal/dav", "/dav");
        // Once: behind it may be a user of that name.
        check(below, "/our/cal/our/cal/dav", "/our/cal/dav");
        check(below, "/dav/anna/", "/dav/anna/");
        check(below, "/", "/");
        check(below, "/our/calendar/", "/our/calendar/");
        check(below, "/our/", "/our/");
        check(below, "*", "*");
    }

    #[test]
    fn a_url_has_an_origin_and_a_prefix() {
        let check = |text: &str, origin: &str, prefix: &str| {
            let url = PublicUrl::new(text);
            assert_eq!((url.origin(), url.prefix(), url.to_string().as_str()), (origin, prefix, text));
        };
        check("http://[::1]:5232", "http://[::1]:5232", "");
        check("https://example.org/a/b", "https://example.org", "/a/b");
    }
}
