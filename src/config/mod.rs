//! `gateway.toml` → [`Config`]. Every complaint has file, line, column, the line itself and a hint.
//!
//! `read.rs` has the keys, `values.rs` what may stand behind them, `walk.rs` gathers mistakes, `complaint.rs` shows them;
//! `limits.rs` is the section that bounds what a request may cost; `public_url.rs`, `network.rs` and `tls.rs` have the
//! values that do more than being there.

mod complaint;
mod limits;
mod network;
mod public_url;
mod read;
mod tls;
pub mod values;
mod walk;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use complaint::Complaint;
pub use limits::Limits;
pub use network::Network;
pub use public_url::PublicUrl;
pub use tls::{Tls, certified};
pub use walk::{Wrong, list_of, nearest};

use crate::ical::{Kind, Mask};
use crate::secrets::Secret;
use crate::store::accounts::Taken;
use crate::store::feeds::FeedKind;
use crate::store::grants::May;
use crate::store::scheduling::Who;

/// The whole configuration, checked.
#[derive(Clone)]
pub struct Config {
    pub server: Server,
    pub limits: Limits,
    pub storage: Storage,
    pub secrets: SecretsSection,
    pub sync: Sync,
    pub push: Push,
    pub users: Vec<User>,
}

#[derive(Clone)]
pub struct Server {
    /// Default `127.0.0.1:5232`.
    pub listen: SocketAddr,
    /// What clients type; hrefs and redirects are made from it, never from Host.
    pub public_url: PublicUrl,
    pub tls: Option<Tls>,
    /// Who may say on whose behalf a request comes.
    pub trusted_proxies: Vec<Network>,
    /// Their connections begin with a header of the PROXY protocol.
    pub proxy_protocol: bool,
    /// Default `calgate.pid` beside the configuration file; what `calgate reload` reads.
    pub pid_file: PathBuf,
    /// `trace` … `error`, or a filter as `RUST_LOG` takes it. Default `info`.
    pub log: String,
    pub log_format: LogFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    Text,
    Json,
}

#[derive(Clone)]
pub struct Storage {
    /// `sqlite:PATH` (relative to the configuration file) or `postgres://user@host/database`.
    pub url: String,
}

#[derive(Clone)]
pub struct SecretsSection {
    /// Default `calgate.key` beside the configuration file.
    pub key_file: PathBuf,
}

#[derive(Clone)]
pub struct Sync {
    /// Between two pulls of a calendar. Default 5 min.
    pub interval: Duration,
    /// How long a client's write waits for the upstream. Default 5 s.
    pub write_wait: Duration,
    pub upstream_away: UpstreamAway,
    /// After this long without a good pull a member's time is not known any more. Default 1 h.
    pub stale_after: Duration,
    pub stale: Stale,
    /// For how long a client that was away still hears what was deleted. Default 90 d.
    pub keep_deleted: Duration,
}

/// Telling clients that something changed (WebDAV-Push).
#[derive(Clone)]
pub struct Push {
    /// Default true.
    pub enabled: bool,
    /// Whether push services in private networks are reached too, and without TLS. Default false.
    pub private_networks: bool,
}

/// What a client hears when its write could not be sent in `write_wait`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpstreamAway {
    /// 201/204: kept here, sent later.
    Keep,
    /// 503 with Retry-After: not kept.
    Refuse,
}

/// What free/busy says of a member that was not read for longer than `stale_after`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stale {
    /// The whole window is BUSY-UNAVAILABLE.
    BusyUnavailable,
    /// 503.
    Error,
}

#[derive(Clone)]
pub struct User {
    /// `[a-z0-9][a-z0-9._-]{0,63}`.
    pub name: String,
    /// argon2id in PHC form.
    pub password: Option<String>,
    pub display_name: String,
    /// Lower case, the first preferred.
    pub addresses: Vec<String>,
    /// IANA. Default `UTC`.
    pub zone: String,
    /// Who may ask when this person has time.
    pub free_busy: Who,
    pub accounts: Vec<Account>,
    /// Local calendars.
    pub calendars: Vec<LocalCalendar>,
    pub unified: Vec<Unified>,
    /// What others may of the calendars.
    pub grants: Vec<Grant>,
    pub feeds: Vec<Feed>,
}

#[derive(Clone)]
pub struct Grant {
    /// The slug of the calendar.
    pub calendar: String,
    /// The name of another user of the file.
    pub to: String,
    pub may: May,
}

#[derive(Clone)]
pub struct Account {
    pub name: String,
    /// One of `provider::KINDS`.
    pub kind: String,
    pub url: String,
    pub login: String,
    pub password: Password,
    /// Empty: take all.
    pub calendars: Vec<Taken>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Password {
    /// `env:NAME` or `file:PATH` as written (PATH made absolute).
    Reference(String),
    /// `sealed`: given by `calgate account add`, sealed in the database.
    Sealed,
}

#[derive(Clone)]
pub struct LocalCalendar {
    pub slug: String,
    pub display_name: String,
    pub color: Option<String>,
    /// What may be put into it: one kind or more.
    pub components: Vec<Kind>,
}

#[derive(Clone)]
pub struct Unified {
    pub slug: String,
    pub display_name: String,
    pub color: Option<String>,
    /// In order: the first that has a UID shows it.
    pub members: Vec<Member>,
    /// The slug of the member that new objects go to.
    pub write_to: String,
}

#[derive(Clone)]
pub struct Member {
    pub slug: String,
    pub mask: Mask,
}

#[derive(Clone)]
pub struct Feed {
    pub calendar: String,
    pub kind: FeedKind,
    /// At least 22 characters. May be written as `env:` or `file:`; here it is read.
    pub token: Secret,
}

/// Reads and checks a file; every mistake in one run.
pub fn load(file: &Path) -> Result<Config, Vec<Complaint>> {
    check(&text_of(file)?, file, true)
}

/// Like [`load`], but does not look whether `env:` and `file:` references can be read, for commands that run beside a
/// server whose environment they do not share. Feeds whose token is elsewhere are left out: never apply the result.
pub fn load_beside(file: &Path) -> Result<Config, Vec<Complaint>> {
    check(&text_of(file)?, file, false)
}

/// Checks a text; `file` names it in complaints and is what paths are relative to.
pub fn parse(text: &str, file: &Path) -> Result<Config, Vec<Complaint>> {
    check(text, file, true)
}

/// What `env:NAME` or `file:PATH` refers to, without the line end behind it. The error never holds the secret.
pub fn read_reference(reference: &str) -> Result<Secret, String> {
    let (what, text) = if let Some(name) = reference.strip_prefix("env:") {
        match std::env::var(name) {
            Ok(text) => (format!("the environment variable {name}"), text),
            Err(std::env::VarError::NotPresent) => return Err(format!("the environment variable {name} is not set")),
            Err(_) => return Err(format!("the environment variable {name} is not UTF-8")),
        }
    } else if let Some(path) = reference.strip_prefix("file:") {
        match std::fs::read_to_string(path) {
            Ok(text) => (format!("the file {path}"), text),
            Err(e) => return Err(format!("the file {path} can not be read: {}", io_words(&e))),
        }
    } else {
        return Err("a password is referred to as env:NAME or file:PATH".to_owned());
    };
    let text = zeroize::Zeroizing::new(text);
    match text.trim_end_matches(['\r', '\n']) {
        "" => Err(format!("{what} is empty")),
        secret => Ok(Secret::new(secret)),
    }
}

/// An I/O error in our words.
pub fn io_words(e: &std::io::Error) -> String {
    match e.kind() {
        std::io::ErrorKind::NotFound => "it is not there".to_owned(),
        std::io::ErrorKind::PermissionDenied => "this user may not".to_owned(),
        std::io::ErrorKind::InvalidData => "it is not UTF-8".to_owned(),
        std::io::ErrorKind::IsADirectory => "it is a folder".to_owned(),
        _ => e.to_string(),
    }
}

fn text_of(file: &Path) -> Result<String, Vec<Complaint>> {
    /// Ten thousand users fit; a database given by mistake does not.
    const LARGEST: u64 = 16 << 20;
    let shown = file.display().to_string();
    let whole = |message: String, hint: &str| vec![Complaint::whole(&shown, message, hint)];
    let size = std::fs::metadata(file).map_or(0, |meta| meta.len());
    if size > LARGEST {
        return Err(whole(format!("the file has {size} bytes; this is no configuration"), ""));
    }
    std::fs::read_to_string(file).map_err(|e| {
        let hint = match e.kind() {
            std::io::ErrorKind::NotFound => "Name it with `--config FILE` or CALGATE_CONFIG, or make it: an empty file will do, every key has a default.",
            std::io::ErrorKind::InvalidData => "Save it as UTF-8.",
            _ => "",
        };
        whole(format!("the configuration can not be read: {}", io_words(&e)), hint)
    })
}

fn check(text: &str, file: &Path, follow: bool) -> Result<Config, Vec<Complaint>> {
    // Without a working folder, relative paths stay what they are.
    let absolute = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
    let dir = absolute.parent().unwrap_or(Path::new("")).to_owned();
    let mut walk = walk::Walk::new(text, file, dir, follow);
    let (root, errors) = toml::de::DeTable::parse_recoverable(text);
    for error in &errors {
        walk.syntax(error);
    }
    let config = read::config(&mut walk, &root);
    match walk.complaints() {
        none if none.is_empty() => Ok(config),
        complaints => Err(complaints),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = include_str!("../../gateway.toml");

    /// The example with every key taken into force.
    fn uncommented() -> String {
        let lines = EXAMPLE.lines().map(|line| match line.strip_prefix('#') {
            Some(key) if !key.is_empty() && !key.starts_with(' ') => key,
            _ => line,
        });
        lines.map(|line| format!("{line}\n")).collect()
    }

    fn shown(complaints: Vec<Complaint>) -> String {
        complaints.iter().map(|c| format!("{c}\n\n")).collect()
    }

    #[test]
    fn the_example_loads_as_it_is() {
        let config = parse(EXAMPLE, Path::new("/etc/calgate/gateway.toml")).unwrap_or_else(|c| panic!("{}", shown(c)));
        assert_eq!(config.server.public_url.as_str(), "http://127.0.0.1:5232");
        assert_eq!(config.storage.url, "sqlite:/etc/calgate/calgate.db");
        assert_eq!(config.limits, Limits::default());
        assert!(config.users.is_empty());
    }

    #[test]
    fn the_example_shows_every_key_with_its_default() {
        let plain = parse(EXAMPLE, Path::new("gateway.toml")).unwrap_or_else(|c| panic!("{}", shown(c)));
        let all = uncommented();
        for key in read::ALL.iter().flat_map(|keys| keys.iter()) {
            let there = all.lines().any(|line| {
                line.starts_with(&format!("{key} ="))
                    || line.contains(&format!("{{ {key} ="))
                    || line.contains(&format!(", {key} ="))
                    || line.starts_with('[') && line.trim_matches(['[', ']']).rsplit('.').next() == Some(key)
            });
            assert!(there, "gateway.toml does not show `{key}`");
        }
        // The certificate is an example, not a default, and is not there.
        let mut all = load_text_beside(&all).unwrap_or_else(|c| panic!("{}", shown(c)));
        let tls = all.server.tls.take().expect("the example shows TLS");
        assert!(tls.key.ends_with("privkey.pem"));
        let said = |c: &Config| {
            format!(
                "{} {} {:?} {:?} {:?} {:?} {} {:?} {} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {} {}",
                c.server.listen,
                c.server.public_url,
                c.limits,
                c.server.trusted_proxies,
                c.server.proxy_protocol,
                c.server.pid_file,
                c.server.log,
                c.server.log_format,
                c.storage.url,
                c.secrets.key_file,
                c.sync.interval,
                c.sync.write_wait,
                c.sync.upstream_away,
                c.sync.stale_after,
                c.sync.stale,
                c.sync.keep_deleted,
                c.push.enabled,
                c.push.private_networks
            )
        };
        assert_eq!(said(&all), said(&plain), "a default in gateway.toml is not the default");
        let user = &all.users[0];
        assert_eq!(user.addresses, ["anna@example.org", "a.muster@example.com"]);
        assert_eq!(user.accounts[0].calendars[0].slug, "team");
        assert_eq!(user.unified[0].members[1].mask, Mask::Busy);
        assert_eq!(user.unified[0].write_to, "team");
        assert_eq!(user.feeds[0].calendar, "all");
        assert_eq!((user.grants[0].calendar.as_str(), user.grants[0].to.as_str()), ("team", "bert"));
        assert_eq!(user.grants[0].may, May::Read);
    }

    /// Every text gives a configuration or complaints: places are inside the text, and no secret is shown.
    fn survives(text: &str) {
        let Err(complaints) = load_text_beside(text) else { return };
        for c in &complaints {
            let shown = c.paint(true);
            assert!(!shown.contains("not-for-eyes"), "a secret is shown:\n{shown}\n{text}");
            assert!(c.line >= 1 && c.line <= text.split('\n').count() && c.column >= 1, "{shown}");
            let length = c.text.chars().count();
            assert!(c.mark >= 1 && c.mark <= length + 1 && c.mark + c.width <= length.max(1) + 2, "{c:?}");
        }
    }

    /// The example with canaries for secrets.
    fn with_canaries() -> String {
        let text = uncommented().replace("Vq3xJ8mZpR5tKd0sYb7uLw2e", "not-for-eyes-Vq3xJ8mZpR5tKd0sYb7uLw2e");
        text.replace("password = \"sealed\"", "password = \"not-for-eyes\"").replace("Anna Muster", "Ännä 名前")
    }

    #[test]
    fn every_line_may_be_cut_or_missing() {
        let text = with_canaries();
        for (at, _) in text.char_indices() {
            survives(&text[..at]);
        }
        let lines: Vec<&str> = text.lines().collect();
        for gone in 0..lines.len() {
            let rest: Vec<&str> = lines.iter().enumerate().filter(|(n, _)| *n != gone).map(|(_, line)| *line).collect();
            survives(&rest.join("\r\n"));
        }
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(400))]

        #[test]
        fn slips_of_the_hand_are_complained_about(
            slips in proptest::collection::vec((proptest::prelude::any::<proptest::sample::Index>(), 0..12usize), 1..3),
        ) {
            let mut text: Vec<char> = with_canaries().chars().collect();
            for (at, what) in slips {
                let at = at.index(text.len());
                match ['"', '\'', '[', ']', '=', '{', '}', ' ', 'é', '\u{0}'].get(what) {
                    Some(typed) => text.insert(at, *typed),
                    None if what == 10 => drop(text.remove(at)),
                    None => text[at] = 'x',
                }
            }
            survives(&text.into_iter().collect::<String>());
        }
    }

    fn load_text_beside(text: &str) -> Result<Config, Vec<Complaint>> {
        check(text, Path::new("gateway.toml"), false)
    }
}
