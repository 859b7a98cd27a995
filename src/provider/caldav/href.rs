//! Hrefs: what a server writes, and whether two of them mean the same.
//!
//! A path is kept and sent back byte for byte as the server gave it. It is compared by its key: `%40` and `@` are one.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, percent_encode};

const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The path of an href: scheme, host, query and fragment dropped. A relative one is taken from `base`, the path of
/// the collection that was asked. `None`: there is nothing in it.
pub fn path(base: &str, href: &str) -> Option<String> {
    let href = href.trim();
    let href = href.split(['?', '#']).next().unwrap_or_default();
    if href.is_empty() {
        return None;
    }
    if let Some((_, rest)) = href.split_once("://").filter(|(scheme, _)| !scheme.contains('/')) {
        return Some(rest.find('/').map_or("/", |at| &rest[at..]).to_owned());
    }
    if href.starts_with('/') {
        return Some(href.to_owned());
    }
    let folder = base.rfind('/').map_or("/", |at| &base[..=at]);
    Some(format!("{folder}{href}"))
}

/// What is equal for two paths that mean the same: percent-encoding made one, the final slash dropped.
/// An encoded slash stays encoded, for it divides nothing.
pub fn key(path: &str) -> String {
    let mut key = String::with_capacity(path.len());
    for segment in path.trim_end_matches('/').split('/') {
        let bytes: Vec<u8> = percent_decode_str(segment).collect();
        key.extend(percent_encode(&bytes, UNRESERVED));
        key.push('/');
    }
    key.pop();
    key
}

/// Whether the object with this key is a member of the collection with that key: directly in it, and not by a detour.
pub fn is_member(collection: &str, object: &str) -> bool {
    let name = object.strip_prefix(collection).and_then(|rest| rest.strip_prefix('/'));
    name.is_some_and(|name| !name.is_empty() && !name.contains('/') && name != "." && name != "..")
}

/// Whether an href is the collection with the path `asked`: there, or at `answered`, where a redirect led.
pub fn is_itself(asked: &str, answered: &str, href: &str) -> bool {
    let Some(path) = path(answered, href) else { return false };
    let key = key(&path);
    key == self::key(asked) || key == self::key(answered)
}

/// The last segment, decoded: what a person would call a calendar without a name.
pub fn last_segment(path: &str) -> String {
    let last = path.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    percent_decode_str(last).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_href_becomes_a_path_without_changing_a_byte_of_it() {
        let check =
            |href: &str, expect: Option<&str>| assert_eq!(path("/cal/work/", href).as_deref(), expect, "{href}");
        check("/cal/work/a.ics", Some("/cal/work/a.ics"));
        check(" /cal/work/a%40b.ics\n", Some("/cal/work/a%40b.ics"));
        check("https://dav.example.com:8443/cal/a@b.ics", Some("/cal/a@b.ics"));
        check("https://dav.example.com", Some("/"));
        check("a.ics", Some("/cal/work/a.ics"));
        check("//cal/work/a.ics", Some("//cal/work/a.ics"));
        check("/cal/a.ics?x=1#y", Some("/cal/a.ics"));
        check("/cal/x://y", Some("/cal/x://y"));
        check("", None);
        check("  ", None);
    }

    #[test]
    fn paths_that_mean_the_same_have_one_key() {
        let check = |a: &str, b: &str, same: bool| assert_eq!(key(a) == key(b), same, "{a} {b}");
        check("/a/x%40y/", "/a/x@y", true);
        check("/a/%c3%a4.ics", "/a/%C3%A4.ics", true);
        check("/a/ä.ics", "/a/%C3%A4.ics", true);
        check("/a/b%20c", "/a/b c", true);
        check("/a/%7Eb", "/a/~b", true);
        check("/a/b%2Fc", "/a/b/c", false);
        check("/a/b%252F", "/a/b%2F", false);
        check("/a/B", "/a/b", false);
        check("/a/b+c", "/a/b%20c", false);
        check("/a/%", "/a/%25", true);
    }

    #[test]
    fn only_what_is_directly_in_a_collection_is_its_member() {
        let check =
            |object: &str, expect: bool| assert_eq!(is_member(&key("/cal/work/"), &key(object)), expect, "{object}");
        check("/cal/work/a.ics", true);
        check("/cal/work/a%2Fb.ics", true);
        check("/cal/work/", false);
        check("/cal/work/sub/a.ics", false);
        check("/cal/worker/a.ics", false);
        check("/cal/work/..", false);
        check("/cal/work/%2e%2e", false);
        check("/cal/work/../home/a.ics", false);
        check("/etc/passwd", false);
    }

    #[test]
    fn a_calendar_without_a_name_is_called_after_its_last_segment() {
        let check = |path: &str, expect: &str| assert_eq!(last_segment(path), expect);
        check("/cal/anna/Team%20A/", "Team A");
        check("/", "");
    }
}
