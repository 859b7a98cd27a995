//! Texts of `gateway.toml` → values. Each says in words why it can not be taken, and what to write instead.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

use tracing_subscriber::filter::{LevelFilter, ParseError, Targets};

use super::PublicUrl;
use super::walk::{Wrong, list_of, nearest, quoted};
use crate::store::feeds::FeedKind;

/// The rule for names of users, accounts and calendars, as a person reads it.
const NAME_RULE: &str = "Use 1 to 64 of a-z, 0-9, '.', '_' and '-', with a letter or a digit first.";

/// A segment of URLs: `[a-z0-9][a-z0-9._-]{0,63}`.
pub fn name(text: &str) -> Result<String, Wrong> {
    if is_name(text) {
        return Ok(text.to_owned());
    }
    let lower = text.to_lowercase();
    let hint = match is_name(&lower) {
        true => format!("Write it in small letters: \"{lower}\"."),
        false => NAME_RULE.to_owned(),
    };
    let message =
        if text.is_empty() { "a name can not be empty".into() } else { format!("{} is not a name", quoted(text)) };
    Err(Wrong::new(message, hint))
}

/// The name of a user. `principals` is a word of our URLs.
pub fn user_name(text: &str) -> Result<String, Wrong> {
    if text == "principals" {
        return Err(Wrong::new("a user can not be named \"principals\"", "URLs need this word; choose another name."));
    }
    name(text)
}

pub fn is_name(text: &str) -> bool {
    let mut bytes = text.bytes();
    let first = bytes.next().is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    first && text.len() <= 64 && bytes.all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-'))
}

/// A text for people: one line, not empty, at most 255 characters.
pub fn title(text: &str) -> Result<String, Wrong> {
    let text = text.trim();
    if text.is_empty() || text.chars().count() > 255 || text.chars().any(char::is_control) {
        return Err(Wrong::new("this must be one line of 1 to 255 characters", ""));
    }
    Ok(text.to_owned())
}

/// `90s`, `5m`, `1h`, `1h30m`, `2d`: not below `from` and not above `to`.
pub fn duration(text: &str, from: Duration, to: Duration) -> Result<Duration, Wrong> {
    let read = seconds(text).ok_or_else(|| {
        Wrong::new(format!("{} is not a duration", quoted(text)), "Write it as \"90s\", \"5m\", \"1h30m\" or \"2d\".")
    })?;
    let read = Duration::from_secs(read);
    if read < from || read > to {
        let message = format!("this must be between {} and {}", written(from), written(to));
        return Err(Wrong::new(message, ""));
    }
    Ok(read)
}

fn seconds(text: &str) -> Option<u64> {
    let (mut total, mut number) = (0u64, String::new());
    for c in text.trim().chars() {
        match c {
            '0'..='9' => number.push(c),
            _ => {
                let unit = match c {
                    's' => 1,
                    'm' => 60,
                    'h' => 3600,
                    'd' => 86_400,
                    _ => return None,
                };
                total = total.checked_add(number.parse::<u64>().ok()?.checked_mul(unit)?)?;
                number.clear();
            }
        }
    }
    (number.is_empty() && !text.trim().is_empty()).then_some(total)
}

/// A duration as a person writes it: `1h30m`.
pub fn written(duration: Duration) -> String {
    let mut rest = duration.as_secs();
    let mut text = String::new();
    for (unit, length) in [("d", 86_400), ("h", 3600), ("m", 60), ("s", 1)] {
        if rest >= length {
            text.push_str(&format!("{}{unit}", rest / length));
            rest %= length;
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}

/// Bytes: `2 MiB`, `512 KiB`, `2097152`.
pub fn size(text: &str) -> Result<usize, Wrong> {
    bytes(text, 16 << 10..=256 << 20, "this must be between 16 KiB and 256 MiB").map(|bytes| bytes as usize)
}

/// What is kept on a disk, in bytes: from 1 MiB to 1 PiB.
pub fn storage(text: &str) -> Result<u64, Wrong> {
    bytes(text, 1 << 20..=1 << 50, "this must be between 1 MiB and 1 PiB")
}

fn bytes(text: &str, range: RangeInclusive<u64>, outside: &str) -> Result<u64, Wrong> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let unit = match text[digits..].trim() {
        "" | "B" => Some(1),
        "KiB" => Some(1 << 10),
        "MiB" => Some(1 << 20),
        "GiB" => Some(1 << 30),
        "TiB" => Some(1 << 40),
        "KB" | "kB" => Some(1_000),
        "MB" => Some(1_000_000),
        "GB" => Some(1_000_000_000),
        "TB" => Some(1_000_000_000_000),
        _ => None,
    };
    let bytes = text[..digits].parse::<u64>().ok().zip(unit).and_then(|(n, unit)| n.checked_mul(unit));
    match bytes {
        None => Err(Wrong::new(
            format!("{} is not a size", quoted(text)),
            "Write it as \"2 MiB\" or \"512 KiB\", or in bytes.",
        )),
        Some(bytes) if range.contains(&bytes) => Ok(bytes),
        Some(_) => Err(Wrong::new(outside, "")),
    }
}

/// `#RRGGBB` or `#RRGGBBAA`.
pub fn color(text: &str) -> Result<String, Wrong> {
    let digits = text.strip_prefix('#').unwrap_or("");
    if matches!(digits.len(), 6 | 8) && digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Ok(text.to_owned());
    }
    Err(Wrong::new(format!("{} is not a colour", quoted(text)), "Write it as \"#2E7D32\"."))
}

/// A mail address in lower case.
pub fn address(text: &str) -> Result<String, Wrong> {
    let text = text.trim();
    let bad = |hint: &str| Err(Wrong::new(format!("{} is not a mail address", quoted(text)), hint));
    if text.to_lowercase().starts_with("mailto:") {
        return bad("Write it without \"mailto:\".");
    }
    match text.split_once('@') {
        Some((local, host)) if !local.is_empty() && !host.is_empty() && !host.contains('@') => {
            match text.chars().any(|c| c.is_whitespace() || c.is_control() || "<>,;\"".contains(c)) {
                true => bad("Write the address alone, as \"anna@example.org\"."),
                false => Ok(text.to_lowercase()),
            }
        }
        _ => bad("Write it as \"anna@example.org\"."),
    }
}

/// The IANA name of a time zone.
pub fn zone(text: &str) -> Result<String, Wrong> {
    let zones = jiff::tz::db();
    if let Ok(zone) = zones.get(text)
        && let Some(name) = zone.iana_name()
    {
        return Ok(name.to_owned());
    }
    let known: Vec<String> = zones.available().map(|name| name.to_string()).collect();
    // A city alone, or an old slip: the last part is what people remember.
    let city = |name: &str| name.rsplit('/').next().unwrap_or(name).to_lowercase();
    let near = (known.iter().map(String::as_str).find(|name| city(name) == text.to_lowercase().replace(' ', "_")))
        .or_else(|| nearest(text, known.iter().map(String::as_str)));
    let hint = match near {
        Some(near) => format!("Did you mean \"{near}\"?"),
        None => "Use a name as \"Europe/Zurich\" or \"UTC\".".to_owned(),
    };
    Err(Wrong::new(format!("{} is not a time zone", quoted(text)), hint))
}

/// `127.0.0.1:5232`, `[::]:5232`.
pub fn listen(text: &str) -> Result<SocketAddr, Wrong> {
    text.parse().map_err(|_| {
        let hint = match text.rsplit_once(':') {
            Some(("localhost", port)) => format!("Write the address of this machine: \"127.0.0.1:{port}\"."),
            Some(("" | "*", port)) => format!("For every address of this machine write \"[::]:{port}\"."),
            _ => "Write an IP address and a port: \"127.0.0.1:5232\".".to_owned(),
        };
        Wrong::new(format!("{} is not an address to listen on", quoted(text)), hint)
    })
}

/// Scheme, host and port, without a final slash.
pub fn public_url(text: &str) -> Result<PublicUrl, Wrong> {
    /// What our own paths begin with: whether such a path still has its prefix could not be told.
    const OURS: [&str; 8] = ["dav", "feed", ".well-known", "index.php", "setup", "healthz", "readyz", "robots.txt"];
    let url = web_url(text)?;
    let origin = url.origin().ascii_serialization();
    if url.query().is_some() || url.fragment().is_some() {
        let hint = format!("Write \"{origin}\", or with a path behind it.");
        return Err(Wrong::new("public_url ends with its path: it has no \"?\" and no \"#\"", hint));
    }
    let path = url.path().trim_end_matches('/');
    let mut segments = path.split('/').skip(1);
    let plain = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~".contains(&b));
    if !segments.clone().all(plain) {
        let hint = "Its parts are made of letters, digits, '-', '.', '_' and '~': \"https://example.org/calendar\".";
        return Err(Wrong::new("public_url can not have this path", hint));
    }
    if let Some(first) = segments.next().filter(|s| OURS.contains(s)) {
        let hint = format!("calgate itself puts \"/{first}/\" behind public_url; write \"{origin}\", or another path.");
        return Err(Wrong::new(format!("the path of public_url can not begin with \"/{first}\""), hint));
    }
    Ok(PublicUrl::new(&format!("{origin}{path}")))
}

/// The address of an upstream server.
pub fn upstream_url(text: &str) -> Result<String, Wrong> {
    let url = web_url(text)?;
    if url.fragment().is_some() {
        return Err(Wrong::new("the URL of a server has no part behind a \"#\"", "Leave it out."));
    }
    Ok(url.to_string())
}

fn web_url(text: &str) -> Result<url::Url, Wrong> {
    let hint = "Write it as \"https://host\".";
    let url = match url::Url::parse(text) {
        Ok(url) => url,
        Err(url::ParseError::RelativeUrlWithoutBase) => {
            let hint = match text.starts_with('/') {
                // A path alone.
                true => format!("Write all of it, with the host: \"https://example.org{text}\"."),
                false => format!("Did you mean \"https://{text}\"?"),
            };
            return Err(Wrong::new("this is not a URL: it has no scheme", hint));
        }
        Err(e) => return Err(Wrong::new(format!("this is not a URL: {e}"), hint)),
    };
    // `localhost:5232` reads as a URL with the scheme `localhost`.
    if url.cannot_be_a_base() && !text.contains("//") {
        return Err(Wrong::new("this is not a URL: it has no scheme", format!("Did you mean \"http://{text}\"?")));
    }
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err(Wrong::new(format!("a URL with the scheme \"{}\" can not be used", url.scheme()), hint));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Wrong::new(
            "a login or password can not stand in the URL",
            "Give them with the keys `username` and `password`.",
        ));
    }
    Ok(url)
}

/// Code that is not ours says no more than this in the log. Below it database drivers print the parameters of their
/// queries, HTTP its headers and TLS its names: titles, passwords and tokens.
const FOREIGN_LOG: LevelFilter = LevelFilter::WARN;

/// Whether what logs under that name is a module of calgate.
fn is_ours(target: &str) -> bool {
    target == "calgate" || target.starts_with("calgate::")
}

/// What `text` asks for of calgate, and [`FOREIGN_LOG`] at most of all else: whatever `text` says, and whatever a
/// dependency that is new tomorrow has to tell.
pub fn log_filter(text: &str) -> Result<Targets, ParseError> {
    let asked: Targets = text.parse()?;
    // No filter has a default when the text names modules only: then nothing else is shown.
    let rest = asked.default_level().unwrap_or(LevelFilter::OFF);
    let mut shown = Targets::new().with_default(rest.min(FOREIGN_LOG)).with_target("calgate", rest);
    for (target, level) in asked.iter() {
        shown = shown.with_target(target, if is_ours(target) { level } else { level.min(FOREIGN_LOG) });
    }
    Ok(shown)
}

/// `trace` … `error`, or a filter as `RUST_LOG` takes it.
pub fn log(text: &str) -> Result<String, Wrong> {
    const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
    // A filter takes any word for the name of a module, and would log everything of it.
    let word = text.bytes().all(|b| b.is_ascii_alphanumeric());
    if word && !LEVELS.contains(&text.to_lowercase().as_str()) {
        let hint = match nearest(text, LEVELS) {
            Some(near) => format!("Did you mean \"{near}\"?"),
            None => format!("Use {}, or a filter as \"info,calgate::sync=debug\".", list_of(&LEVELS)),
        };
        return Err(Wrong::new(format!("{} is not a log level", quoted(text)), hint));
    }
    match text.parse::<Targets>() {
        Ok(targets) if !text.trim().is_empty() => {
            let foreign = |(target, level): &(&str, LevelFilter)| !is_ours(target) && *level > FOREIGN_LOG;
            match targets.iter().find(foreign) {
                None => Ok(text.to_owned()),
                Some((target, _)) => Err(Wrong::new(
                    format!("{} is no module of calgate, and says no more than \"warn\"", quoted(target)),
                    "Others print what they carry: passwords and events. Modules of calgate begin with calgate::.",
                )),
            }
        }
        _ => Err(Wrong::new(
            format!("{} is not a log filter", quoted(text)),
            "Write a level as \"info\", or levels of modules as \"info,calgate::sync=debug\".",
        )),
    }
}

/// One of a few words.
pub fn one_of<T: Copy>(text: &str, words: &[(&str, T)]) -> Result<T, Wrong> {
    if let Some((_, value)) = words.iter().find(|(word, _)| *word == text) {
        return Ok(*value);
    }
    let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
    let hint = match nearest(text, known.iter().copied()) {
        Some(near) => format!("Did you mean \"{near}\"?"),
        None => format!("Use {}.", known.iter().map(|w| format!("\"{w}\"")).collect::<Vec<_>>().join(" or ")),
    };
    Err(Wrong::new(format!("{} can not stand here", quoted(text)), hint))
}

/// `freebusy`, `busy` or `full`.
pub fn feed_kind(text: &str) -> Result<FeedKind, Wrong> {
    one_of(text, &FeedKind::ALL.map(|kind| (kind.name(), kind)))
}

/// The argon2id hash of a user's password. What is no hash at all may be the password itself: it is not repeated.
pub fn password_hash(text: &str) -> Result<String, Wrong> {
    let hint = "Make a hash with `calgate user hash` and write that.";
    if !text.starts_with('$') {
        return Err(Wrong::new("this looks like a plain password; a password is never written here as it is", hint));
    }
    crate::secrets::check_phc(text)
        .map_err(|why| Wrong::new(format!("this password hash can not be used: {why}"), hint))?;
    Ok(text.to_owned())
}

/// A feed's token: at least 22 characters that may stand in a URL, and not a pattern.
pub fn token(text: &str) -> Result<(), Wrong> {
    let hint = "Make one with `calgate keygen --token`.";
    let length = text.chars().count();
    if length < 22 {
        let message = format!("the token is too short: it has {length} characters and needs at least 22");
        return Err(Wrong::new(message, hint));
    }
    if length > 255 || !text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~".contains(&b)) {
        return Err(Wrong::new("a token may have a-z, A-Z, 0-9, '-', '.', '_' and '~', 255 at most", hint));
    }
    let distinct: std::collections::BTreeSet<char> = text.chars().collect();
    if distinct.len() < 8 {
        return Err(Wrong::new("the token can be guessed: it has too few different characters", hint));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check<T: std::fmt::Debug + PartialEq>(cases: &[(&str, Option<T>)], read: impl Fn(&str) -> Result<T, Wrong>) {
        for (text, expect) in cases {
            assert_eq!(read(text).ok().as_ref(), expect.as_ref(), "{text:?}");
        }
    }

    #[test]
    fn durations() {
        let day = Duration::from_secs(86_400);
        check(
            &[
                ("90s", Some(90)),
                ("5m", Some(300)),
                ("1h30m", Some(5400)),
                ("1d", Some(86_400)),
                ("0s", Some(0)),
                ("2d", None),
                ("5", None),
                ("m", None),
                ("", None),
                ("5 m", None),
                ("-5m", None),
                ("99999999999999999999s", None),
                ("9999999999999999d", None),
            ],
            |text| duration(text, Duration::ZERO, day).map(|d| d.as_secs()),
        );
        for text in ["0s", "90s", "1h30m", "2d", "1m30s"] {
            let read = Duration::from_secs(seconds(text).unwrap());
            assert_eq!(seconds(&written(read)), Some(read.as_secs()), "{text}");
        }
    }

    #[test]
    fn sizes() {
        check(
            &[
                ("2 MiB", Some(2 << 20)),
                ("512KiB", Some(512 << 10)),
                ("1000000", Some(1_000_000)),
                ("1 MB", Some(1_000_000)),
                ("1", None),
                ("1 GiB", None),
                ("MiB", None),
                ("2 mib", None),
                ("", None),
            ],
            size,
        );
    }

    #[test]
    fn urls() {
        check(
            &[
                ("https://cal.example.org", Some("https://cal.example.org".to_owned())),
                ("https://cal.example.org/", Some("https://cal.example.org".to_owned())),
                ("https://CAL.example.org:443/", Some("https://cal.example.org".to_owned())),
                ("http://[::1]:5232", Some("http://[::1]:5232".to_owned())),
                ("https://example.org/cal", Some("https://example.org/cal".to_owned())),
                ("https://example.org/Our.cal/x~1//", Some("https://example.org/Our.cal/x~1".to_owned())),
                ("https://example.org/a/../cal/", Some("https://example.org/cal".to_owned())),
                ("https://example.org/a//cal", None),
                ("https://example.org/a&b", None),
                ("https://example.org/caf\u{e9}", None),
                ("https://example.org/a%20b", None),
                ("https://example.org/cal?a", None),
                ("https://example.org/cal#a", None),
                ("https://cal.example.org/dav", None),
                ("https://cal.example.org/dav/anna/", None),
                ("https://cal.example.org/.well-known/caldav", None),
                ("https://cal.example.org/?a", None),
                ("cal.example.org", None),
                ("localhost:5232", None),
                ("ftp://cal.example.org", None),
                ("https://anna:pw@cal.example.org", None),
                ("https://", None),
            ],
            |text| public_url(text).map(|url| url.to_string()),
        );
    }

    #[test]
    fn addresses() {
        check(
            &[
                ("Anna@Example.org", Some("anna@example.org".to_owned())),
                ("mailto:anna@example.org", None),
                ("Anna <anna@example.org>", None),
                ("anna", None),
                ("@example.org", None),
                ("anna@", None),
                ("a@b@c", None),
            ],
            address,
        );
    }

    #[test]
    fn zones() {
        check(
            &[
                ("Europe/Zurich", Some("Europe/Zurich".to_owned())),
                ("UTC", Some("UTC".to_owned())),
                ("Zurich", None),
                ("Europe/Zürich", None),
                ("CEST", None),
                ("", None),
            ],
            zone,
        );
        assert_eq!(zone("zurich").unwrap_err().hint, "Did you mean \"Europe/Zurich\"?");
        assert_eq!(zone("new york").unwrap_err().hint, "Did you mean \"America/New_York\"?");
        assert_eq!(zone("Europe/Zürich").unwrap_err().hint, "Did you mean \"Europe/Zurich\"?");
    }

    #[test]
    fn log_filters() {
        check(
            &[
                ("info", Some("info".to_owned())),
                ("info,calgate::sync=debug", Some("info,calgate::sync=debug".to_owned())),
                ("inof", None),
                ("", None),
                ("info,calgate=loud", None),
                ("trace,hyper=off,rustls=warn", Some("trace,hyper=off,rustls=warn".to_owned())),
                ("info,tokio_postgres=debug", None),
                ("calgatekeeper=trace", None),
                ("info,cal=debug", None),
            ],
            log,
        );
    }

    #[test]
    fn names() {
        let long = "a".repeat(64);
        let too_long = "a".repeat(65);
        check(
            &[
                ("anna", Some("anna".to_owned())),
                ("0.work_x-y", Some("0.work_x-y".to_owned())),
                (&long, Some(long.clone())),
                (&too_long, None),
                ("", None),
                (".anna", None),
                ("Anna", None),
                ("anna/b", None),
                ("ännä", None),
                ("principals", None),
            ],
            user_name,
        );
    }
}
