//! `cargo run --release --bin demo`: two CalDAV servers with calendars that are alive today, and calgate before them.
//!
//! Everything is on 127.0.0.1 and in a temporary folder; Ctrl-C ends it and leaves nothing behind.

use std::fmt::Write as _;
use std::io::{IsTerminal, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use calgate::app::App;
use calgate::clock::Clock;
use calgate::config;
use calgate::secrets::{self, Secret, Secrets};
use calgate::store::calendars::{self, Source};
use calgate::store::{self, accounts};
use indicatif::{ProgressBar, ProgressStyle};
use jiff::{ToSpan, Zoned};
use standin::caldav::Server;
use tokio::sync::{oneshot, watch};

/// Where calgate listens when nobody else does.
const PORT: u16 = 5232;
const USER: &str = "anna";
const PASSWORD: &str = "demo";

#[tokio::main]
async fn main() -> std::process::ExitCode {
    match run().await {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("demo: {why}");
            std::process::ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), String> {
    let interrupt = interrupted()?;
    tokio::pin!(interrupt);
    let today = Zoned::now().date();
    let office = Upstream::start("office", "anna.muster", "office-secret").await;
    office.fill("meetings", "Meetings", "#1565C0FF", include_str!("../../../fixtures/ical/demo/meetings.ics"), today);
    office.fill("travel", "Travel", "#6A1B9AFF", include_str!("../../../fixtures/ical/demo/travel.ics"), today);
    let home = Upstream::start("home", "anna", "home-secret").await;
    home.fill("family", "Family", "#2E7D32FF", include_str!("../../../fixtures/ical/demo/family.ics"), today);

    let folder = Folder::make()?;
    let gateway = Gateway::start(&folder, &office, &home).await?;
    let synced = tokio::select! {
        synced = first_sync(&gateway.app, office.objects() + home.objects()) => synced,
        () = &mut interrupt => Ok(false),
    };
    if let Ok(true) = synced {
        print!("{}", greeting(&gateway, &office, &home, &folder.0));
        let upstreams = [&office, &home];
        tokio::select! {
            () = tell_of_writes(&upstreams) => {}
            () = &mut interrupt => {}
        }
    }
    println!("\nEnding, and removing {}", folder.0.display());
    gateway.stop().await;
    synced.map(drop)
}

/// Ends with the first Ctrl-C or SIGTERM.
fn interrupted() -> Result<impl Future<Output = ()>, String> {
    use tokio::signal::unix::{SignalKind, signal};
    let listen = |kind| signal(kind).map_err(|e| format!("signals can not be heard: {e}"));
    let (mut interrupt, mut terminate) = (listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?);
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

/// A CalDAV server that somebody else might run.
struct Upstream {
    name: &'static str,
    user: &'static str,
    password: &'static str,
    server: Server,
}

impl Upstream {
    async fn start(name: &'static str, user: &'static str, password: &'static str) -> Upstream {
        let server = Server::start().await;
        server.user(user, password);
        Upstream { name, user, password, server }
    }

    fn fill(&self, slug: &str, name: &str, color: &str, template: &str, today: jiff::civil::Date) {
        let path = self.server.calendar(self.user, slug, |c| {
            c.name = name.to_owned();
            c.color = color.to_owned();
        });
        for (name, text) in standin::calendars::objects(template, today) {
            self.server.put(&path, &name, &text);
        }
    }

    fn objects(&self) -> usize {
        self.server.calendars().iter().map(|path| self.server.objects(path).len()).sum()
    }
}

/// A folder that is gone when this is.
struct Folder(PathBuf);

impl Folder {
    fn make() -> Result<Folder, String> {
        let path = std::env::temp_dir().join(format!("calgate-demo-{}", std::process::id()));
        let made = std::fs::DirBuilder::new().mode(0o700).create(&path);
        made.map_err(|e| format!("{} can not be made: {e}", path.display()))?;
        Ok(Folder(path))
    }

    /// Writes a file that only we can read, and gives its path.
    fn write(&self, name: &str, text: &str) -> Result<PathBuf, String> {
        let path = self.0.join(name);
        let file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        let written = file.and_then(|mut file| file.write_all(text.as_bytes()));
        written.map(|()| path.clone()).map_err(|e| format!("{} can not be written: {e}", path.display()))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // It is in the system's temporary folder: what we can not remove, the system will.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// calgate, in this process, as `calgate serve` runs it.
struct Gateway {
    app: Arc<App>,
    url: String,
    tokens: Tokens,
    stop: watch::Sender<bool>,
    server: tokio::task::JoinHandle<Result<(), String>>,
    jobs: tokio::task::JoinHandle<()>,
}

/// Secrets of the feeds.
struct Tokens {
    free_busy: String,
    colleagues: String,
}

impl Gateway {
    async fn start(folder: &Folder, office: &Upstream, home: &Upstream) -> Result<Gateway, String> {
        let tokens = Tokens { free_busy: secrets::new_token(), colleagues: secrets::new_token() };
        let url = format!("http://127.0.0.1:{}", free_port()?);
        let hash = tokio::task::spawn_blocking(|| secrets::hash_password(&Secret::new(PASSWORD)));
        let hash = hash.await.map_err(|e| format!("the password can not be hashed: {e}"))?;
        for upstream in [office, home] {
            folder.write(&format!("{}.password", upstream.name), upstream.password)?;
        }
        let text = gateway_toml(&url, &hash, &tokens, office, home);
        let file = folder.write("gateway.toml", &text)?;
        let config = config::parse(&text, &file).map_err(|complaints| {
            let words: Vec<String> = complaints.iter().map(|c| c.to_string()).collect();
            format!("the configuration is wrong:\n{}", words.join("\n"))
        })?;
        let app = App::open(config, Secrets::ephemeral(), Clock::system()).await?;
        let (stop, stopped) = watch::channel(false);
        let (ready, listening) = oneshot::channel();
        let jobs = tokio::spawn(calgate::sync::jobs::run(app.clone(), stopped.clone()));
        let server = tokio::spawn(calgate::web::server::run(app.clone(), stopped, ready));
        match listening.await {
            Ok(_) => Ok(Gateway { app, url, tokens, stop, server, jobs }),
            Err(_) => {
                let why = server.await.map_err(|e| e.to_string()).and_then(|ended| ended);
                Err(why.err().unwrap_or_else(|| "the gateway ended before it began".to_owned()))
            }
        }
    }

    async fn stop(self) {
        // Nobody listens any more when both have ended by themselves.
        let _ = self.stop.send(true);
        let _ = self.server.await;
        let _ = self.jobs.await;
    }
}

/// The usual port, or another when it is taken.
fn free_port() -> Result<u16, String> {
    let bound = TcpListener::bind(("127.0.0.1", PORT)).or_else(|_| TcpListener::bind(("127.0.0.1", 0)));
    let port = bound.and_then(|listener| listener.local_addr()).map(|address| address.port());
    port.map_err(|e| format!("127.0.0.1 has no free port: {e}"))
}

fn gateway_toml(url: &str, hash: &str, tokens: &Tokens, office: &Upstream, home: &Upstream) -> String {
    let listen = url.trim_start_matches("http://");
    let (office_url, home_url) = (office.server.url(), home.server.url());
    let (office_user, home_user) = (office.user, home.user);
    let Tokens { free_busy, colleagues } = tokens;
    format!(
        r##"# The configuration of the demo. Every key there is, explained: gateway.toml in the sources.

[server]
listen = "{listen}"
public_url = "{url}"

[storage]
url = "sqlite:calgate.db"

[sync]
interval = "5s"

[[user]]
name = "{USER}"
# The password is "{PASSWORD}".
password = "{hash}"
display_name = "Anna Muster"
email = ["anna@office.example", "anna@home.example"]
timezone = "Europe/Berlin"

[[user.account]]
name = "office"
kind = "caldav"
url = "{office_url}/"
username = "{office_user}"
password = "file:office.password"

[[user.account.calendar]]
remote = "Meetings"
name = "meetings"

[[user.account.calendar]]
remote = "Travel"
name = "travel"

[[user.account]]
name = "home"
kind = "caldav"
url = "{home_url}/"
username = "{home_user}"
password = "file:home.password"

[[user.account.calendar]]
remote = "Family"
name = "family"

# Everything in one calendar; what is new in it goes to the office.
[[user.unified]]
name = "all"
display_name = "All my time"
color = "#C62828"
members = ["meetings", "travel", "family"]
write_to = "meetings"

# What colleagues may see: that the family has me, not for what.
[[user.unified]]
name = "colleagues"
display_name = "For colleagues"
color = "#546E7A"
members = ["meetings", "travel", {{ calendar = "family", mask = "busy" }}]
write_to = "meetings"

[[user.feed]]
calendar = "all"
kind = "freebusy"
token = "{free_busy}"

[[user.feed]]
calendar = "colleagues"
kind = "full"
token = "{colleagues}"
"##
    )
}

/// Waits until every calendar was read once, with a bar. True: they were.
async fn first_sync(app: &App, objects: usize) -> Result<bool, String> {
    let style = ProgressStyle::with_template("{spinner} reading the upstream calendars  [{bar:30}] {pos}/{len} events");
    let bar = ProgressBar::new(objects as u64).with_style(style.expect("the template is right").progress_chars("=> "));
    let begun = Instant::now();
    loop {
        let (read, of, seen) = state(app).await.map_err(|e| e.to_string())?;
        bar.set_position(seen);
        if of == 3 && read == of {
            bar.finish_and_clear();
            println!("{seen} events of {of} calendars on two servers read in {:.1} s", begun.elapsed().as_secs_f32());
            return Ok(true);
        }
        if begun.elapsed() > Duration::from_secs(60) {
            bar.abandon();
            let trouble = trouble(app).await.map_err(|e| e.to_string())?;
            return Err(format!("the first sync did not end within a minute {trouble}"));
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Mirrors that were read whole, mirrors there are, and objects in them.
async fn state(app: &App) -> store::Result<(usize, usize, u64)> {
    app.store
        .read(|tx| {
            let (mut read, mut of, mut seen) = (0, 0, 0);
            for calendar in calendars::every(tx)? {
                if matches!(calendar.source, Source::Mirror { .. }) {
                    of += 1;
                    read += usize::from(calendar.pulled_at.is_some());
                    seen += store::resources::list(tx, &calendar)?.len() as u64;
                }
            }
            Ok((read, of, seen))
        })
        .await
}

async fn trouble(app: &App) -> store::Result<String> {
    app.store
        .read(|tx| {
            let accounts =
                accounts::list(tx, None)?.into_iter().filter_map(|a| Some(format!("{}: {}", a.name, a.error?)));
            let calendars = calendars::every(tx)?.into_iter().filter_map(|c| Some(format!("{}: {}", c.slug, c.error?)));
            Ok(accounts.chain(calendars).collect::<Vec<_>>().join("; "))
        })
        .await
}

/// Prints each write that reaches an upstream: proof that the gateway passes things on.
async fn tell_of_writes(upstreams: &[&Upstream]) {
    loop {
        for upstream in upstreams {
            let log = upstream.server.log();
            upstream.server.clear_log();
            for entry in log.iter().filter(|entry| matches!(entry.method.as_str(), "PUT" | "DELETE")) {
                println!("  → the {} server got {} {} ({})", upstream.name, entry.method, entry.path, entry.status);
            }
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

fn greeting(gateway: &Gateway, office: &Upstream, home: &Upstream, folder: &Path) -> String {
    let bold = |text: &str| match std::io::stdout().is_terminal() {
        true => format!("\x1b[1m{text}\x1b[0m"),
        false => text.to_owned(),
    };
    let url = &gateway.url;
    let login = format!("{USER}:{PASSWORD}");
    let dav = format!("{url}/dav/{USER}");
    let utc = |at: &Zoned| at.with_time_zone(jiff::tz::TimeZone::UTC).strftime("%Y%m%dT%H%M%SZ").to_string();
    let now = Zoned::now();
    let soon = now.checked_add(1.hour()).unwrap_or_else(|_| now.clone());
    let week = now.checked_add(7.days()).unwrap_or_else(|_| now.clone());
    let (from, to) = (utc(&now), utc(&week));
    let mut out = String::new();
    let mut say = |line: &str| writeln!(out, "{line}").expect("a string takes everything");
    say("");
    say(&bold("calgate is running"));
    say(&format!("  CalDAV URL   {url}/"));
    say(&format!("  user         {USER}"));
    say(&format!("  password     {PASSWORD}"));
    say("");
    say(&bold("Try it: each of these works as pasted"));
    say("  # the calendars: three mirrors, \"all\" over them, and \"colleagues\", where the family is only busy");
    say(&format!("  curl -s -u {login} -X PROPFIND -H 'Depth: 1' {dav}/ | grep -o 'displayname>[^<][^<]*'"));
    say("");
    say("  # what the unified calendar holds in the next seven days; on the next working day an hour is booked twice");
    say(&format!("  curl -s -u {login} -X REPORT -H 'Depth: 1' -H 'Content-Type: application/xml' {dav}/all/ \\"));
    say(&format!("    -d '{}' | grep -o 'SUMMARY:[^&]*'", query(&from, &to)));
    say("");
    say("  # a new event in it goes to the office");
    say(&format!("  printf '{}' | \\", event(&utc(&soon))));
    say(&format!("    curl -s -i -u {login} -T - -H 'Content-Type: text/calendar' {dav}/all/hello.ics"));
    say("");
    say("  # the same event, asked of the office server itself");
    say(&format!(
        "  curl -s -u {}:{} -X PROPFIND -H 'Depth: 1' -d '{LIST}' \\\n    {}/calendars/{}/meetings/ | grep -o '[^>/]*.ics'",
        office.user,
        office.password,
        office.server.url(),
        office.user
    ));
    say("");
    say("  # when Anna is busy, for booking pages: no titles, no login, one secret address");
    say(&format!("  curl -s {url}/feed/{}.ifb | grep 'FREEBUSY;' | head", gateway.tokens.free_busy));
    say("");
    say("  # what her colleagues may see: work with its titles, the family as \"Busy\"");
    say(&format!("  curl -s {url}/feed/{}.ics | grep SUMMARY | sort | uniq -c", gateway.tokens.colleagues));
    say("");
    say(&bold("Add it to a calendar program"));
    say("  Thunderbird     New Calendar > On the Network; user name and location as above; choose \"All my time\"");
    say("  Apple Calendar  Settings > Accounts > + > Other CalDAV Account > Manual; server address as above");
    say("  DAVx5           + > Login with URL and user name; from a telephone, listen on an address it can reach");
    say(&format!("  others          {url}/setup/ in a browser has the steps for each, and a code to scan"));
    say("");
    say(&bold("With your own accounts"));
    say(&format!("  This demo's configuration is {}", folder.join("gateway.toml").display()));
    say("  Read it; it goes away with the demo. README.md, \"Your own calendars\", has the steps to one of your own,");
    say(
        "  with a server as https://caldav.icloud.com/ (and an app-specific password), or https://cloud.example.org/remote.php/dav/.",
    );
    say("");
    say(&format!(
        "  The upstreams here: {} ({}) and {} ({})",
        office.server.url(),
        office.name,
        home.server.url(),
        home.name
    ));
    say("  Writes that reach them are shown below. Ctrl-C ends everything.");
    say("");
    out
}

const LIST: &str = r#"<propfind xmlns="DAV:"><prop><getetag/></prop></propfind>"#;

fn query(from: &str, to: &str) -> String {
    format!(
        "<c:calendar-query xmlns:d=\"DAV:\" xmlns:c=\"urn:ietf:params:xml:ns:caldav\"><d:prop><c:calendar-data/></d:prop>\
         <c:filter><c:comp-filter name=\"VCALENDAR\"><c:comp-filter name=\"VEVENT\">\
         <c:time-range start=\"{from}\" end=\"{to}\"/></c:comp-filter></c:comp-filter></c:filter></c:calendar-query>"
    )
}

/// For `printf`, with its escapes.
fn event(start: &str) -> String {
    format!(
        "BEGIN:VCALENDAR\\r\\nVERSION:2.0\\r\\nPRODID:-//me//EN\\r\\nBEGIN:VEVENT\\r\\nUID:hello-demo\\r\\nDTSTAMP:{start}\\r\\n\
         DTSTART:{start}\\r\\nDURATION:PT30M\\r\\nSUMMARY:Hello from curl\\r\\nEND:VEVENT\\r\\nEND:VCALENDAR\\r\\n"
    )
}
