//! The configuration and the commands: wrong files and their complaints, and the real binary on folders of its own.

use std::collections::HashSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use calgate::app::App;
use calgate::config::values;
use calgate::ids::Name;
use calgate::store::resources::{self, Version};
use calgate::store::{self, calendars};
use tracing::Level;

use crate::kit;

/// The complaints about each `fixtures/config/NAME.toml` are `NAME.expect`. `UPDATE=1` writes them.
#[test]
fn complaints_are_as_expected() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/config");
    let mut wrong = Vec::new();
    for file in files(&folder, "toml") {
        let text = std::fs::read_to_string(&file).unwrap();
        let shown = match calgate::config::parse(&text, &file) {
            Ok(_) => "no complaint\n".to_owned(),
            Err(complaints) => complaints.iter().map(|c| format!("{c}\n\n")).collect(),
        };
        let shown = shown.replace(&format!("{}/", folder.display()), "");
        assert!(!shown.contains("for-eyes") && !shown.contains("for/eyes"), "a secret is shown for {file:?}:\n{shown}");
        let expect = file.with_extension("expect");
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(&expect, &shown).unwrap();
        }
        if std::fs::read_to_string(&expect).unwrap_or_default() != shown {
            wrong.push(format!("{}:\n{shown}", file.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Each `fixtures/commands/NAME.session` is what a person types and sees, in an empty folder. `UPDATE=1` writes what is
/// seen. A line `$ …` is a command (`calgate`; or `write`, `remove`, `serve`, `until`, `get`, `stop`, see [`play`]); what comes on
/// standard error is marked with `!`, an exit code other than 0 with `=`.
#[test]
fn sessions_are_as_expected() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/commands");
    let mut wrong = Vec::new();
    for file in files(&folder, "session") {
        let expect = std::fs::read_to_string(&file).unwrap();
        let seen = play(&expect);
        assert!(!replies(&seen).contains("not-for-eyes"), "a secret is shown in {}:\n{seen}", file.display());
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(&file, &seen).unwrap();
        } else if seen != expect {
            wrong.push(format!("{} is now:\n{seen}", file.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Whoever reads the output may stop reading: that is no failure, and no panic.
#[test]
fn completions_are_for_every_shell_and_may_be_cut_off() {
    let folder = Folder::new();
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let (code, out, err) = folder.calgate(&format!("completions {shell}"), "");
        assert!(code == 0 && err.is_empty() && out.contains("app-password"), "{shell}: {code}\n{err}");
        let mut child = folder
            .command(&["completions", shell])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary was built");
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{shell}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn no_log_filter_lets_foreign_code_print_what_it_carries() {
    // Short names are beginnings of longer ones.
    for text in [
        "trace",
        "debug",
        "info,tokio_postgres=trace",
        "tokio_postgres::query=debug",
        "tokio=trace,t=trace,h=trace,r=trace,q=trace",
        "calgate=trace,hyper=trace,reqwest=trace,h2=debug,rustls=trace",
    ] {
        let filter = values::log_filter(text).expect("a filter");
        for target in [
            "tokio_postgres::query",
            "tokio_postgres::prepare",
            "postgres",
            "hyper::proto::h1::io",
            "hyper_util::client::legacy",
            "h2::codec::framed_write",
            "reqwest::connect",
            "rustls::client::hs",
            "tokio_rustls",
            "quick_xml",
            "tomorrow",
        ] {
            for level in [Level::INFO, Level::DEBUG, Level::TRACE] {
                assert!(!filter.would_enable(target, &level), "{target} at {level} under {text:?}");
            }
        }
    }
}

#[test]
fn a_log_filter_shows_what_it_asks_for_of_calgate() {
    let cases = [
        ("trace", "tokio_postgres::query", Level::WARN, true),
        ("trace", "calgate::sync", Level::TRACE, true),
        ("info", "calgate::sync", Level::INFO, true),
        ("info", "calgate::sync", Level::DEBUG, false),
        ("info,calgate::sync=debug", "calgate::sync::pull", Level::DEBUG, true),
        ("info,calgate::sync=debug", "calgate::web", Level::DEBUG, false),
        ("calgate::sync=debug", "calgate::web", Level::ERROR, false),
        ("calgate::sync=debug", "hyper", Level::ERROR, false),
        ("error", "hyper", Level::WARN, false),
        ("off", "calgate", Level::ERROR, false),
        ("warn,hyper=off", "hyper", Level::ERROR, false),
    ];
    for (text, target, level, shown) in cases {
        let filter = values::log_filter(text).expect("a filter");
        assert_eq!(filter.would_enable(target, &level), shown, "{target} at {level} under {text:?}");
    }
}

/// A password in a file is for this user's eyes.
#[test]
fn a_profile_with_a_password_is_for_nobody_elses_eyes() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new();
    folder.write("gateway.toml", "[[user]]\nname = \"anna\"\n");
    let (code, _, err) = folder.calgate("setup anna --app-password phone --mobileconfig anna.mobileconfig", "");
    assert_eq!(code, 0, "{err}");
    let file = folder.path.join("anna.mobileconfig");
    assert!(std::fs::read_to_string(&file).unwrap().contains("CalDAVPassword"));
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
}

/// An import that has to stop says what is in already, and goes on from there when it is given again.
#[test]
fn an_import_that_stops_half_way_says_so_and_loses_nothing() {
    let folder = Folder::new();
    folder.write("gateway.toml", "[[user]]\nname = \"anna\"\n[[user.calendar]]\nname = \"private\"\n");
    let events: String = (0..250)
        .map(|n| {
            format!("BEGIN:VEVENT\r\nUID:{n}\r\nDTSTAMP:20260101T000000Z\r\nDTSTART:20260601T090000Z\r\nEND:VEVENT\r\n")
        })
        .collect();
    folder.write(
        "old.ics",
        &format!("BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//test//EN\r\n{events}END:VCALENDAR\r\n"),
    );
    assert_eq!(folder.calgate("calendar list anna", "").0, 0);
    // As a disk that is full would.
    let db = rusqlite::Connection::open(folder.path.join("calgate.db")).unwrap();
    db.execute_batch(
        "CREATE TRIGGER full BEFORE INSERT ON resources WHEN (SELECT COUNT(*) FROM resources) >= 150
         BEGIN SELECT RAISE(ABORT, 'there is no room'); END",
    )
    .unwrap();
    let (code, out, err) = folder.calgate("import anna/private old.ics --set-aside rest.ics", "");
    assert_eq!((code, out.as_str()), (1, "anna/private: 100 new\n"), "{err}");
    assert!(err.contains("error: the rest was not taken: ") && err.contains("there is no room"), "{err}");
    assert!(!folder.path.join("rest.ics").exists());
    db.execute_batch("DROP TRIGGER full").unwrap();
    let (code, out, err) = folder.calgate("import anna/private old.ics --set-aside rest.ics", "");
    assert_eq!((code, out.as_str(), err.as_str()), (0, "anna/private: 150 new, 100 unchanged\n", ""));
}

/// The most that can be asked of the log, on either engine: what a client sends and holds is in none of it.
#[test]
fn no_log_level_shows_what_is_in_a_calendar() {
    let (sqlite, _kept) = kit::sqlite_url();
    for url in [Some(sqlite), kit::postgres_url()].into_iter().flatten() {
        let folder = Folder::new();
        let (code, hash, err) = folder.calgate("user hash --password-stdin", "not-for-eyes");
        assert_eq!(code, 0, "{err}");
        folder.write(
            "gateway.toml",
            &format!(
                "[server]\nlisten = \"127.0.0.1:0\"\nlog = \"trace\"\n[storage]\nurl = \"{url}\"\n\
                 [[user]]\nname = \"anna\"\npassword = \"{}\"\n[[user.calendar]]\nname = \"private\"\n",
                hash.trim()
            ),
        );
        let serving = Serving::start(&folder);
        // base64 of "anna:not-for-eyes"
        let login = "YW5uYTpub3QtZm9yLWV5ZXM=";
        let body = kit::event_text(
            "u1",
            "DTSTART:20260601T090000Z\nSUMMARY:not-for-eyes\nATTENDEE:mailto:not-for-eyes@example.org",
        );
        let answer = serving.ask(&format!(
            "PUT /dav/anna/private/u1.ics HTTP/1.1\r\nHost: x\r\nAuthorization: Basic {login}\r\nContent-Type: text/calendar\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        ));
        assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
        serving.stop();
        let log = std::fs::read_to_string(folder.path.join("log")).unwrap();
        assert!(log.contains("PUT /dav/anna/private/u1.ics 201"), "the log was kept:\n{log}");
        assert!(!log.contains("not-for-eyes") && !log.contains(login) && !log.contains("argon2"), "a secret:\n{log}");
    }
}

/// A backup is one moment of the database, also when writes never pause, and a restored copy takes no token for its own
/// that was given after it was made.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_is_whole_while_a_writer_goes_on_and_its_tokens_are_its_own() {
    let folder = Folder::new();
    let url = |file: &str| format!("sqlite:{}", folder.path.join(file).display());
    let app = kit::app(&url("calgate.db"), TWO_AND_ALL).await;
    let written = Arc::new(AtomicU32::new(0));
    let stop = Arc::new(AtomicBool::new(false));
    let writer = tokio::spawn({
        let (app, written, stop) = (app.clone(), written.clone(), stop.clone());
        async move {
            while !stop.load(Ordering::SeqCst) {
                save(&app, written.load(Ordering::SeqCst)).await;
                written.fetch_add(1, Ordering::SeqCst);
            }
        }
    });
    let until = async |count: u32| {
        while written.load(Ordering::SeqCst) < count {
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        }
    };
    until(100).await;
    let acknowledged = written.load(Ordering::SeqCst);
    let copy = folder.path.join("copy.db");
    app.store.backup(&copy).await.expect("a backup");
    until(written.load(Ordering::SeqCst) + 10).await;
    stop.store(true, Ordering::SeqCst);
    writer.await.expect("the writer went on");

    let db = rusqlite::Connection::open(&copy).expect("the copy opens");
    let sound: String = db.query_row("PRAGMA integrity_check", [], |row| row.get(0)).expect("a check");
    assert_eq!(sound, "ok");
    drop(db);
    let left: Vec<PathBuf> = std::fs::read_dir(&folder.path).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(left.iter().all(|f| !f.to_string_lossy().contains("part")), "{left:?}");

    let restored = kit::app(&url("copy.db"), TWO_AND_ALL).await;
    let (names, tokens) = seen(&restored).await;
    for n in 0..acknowledged {
        assert!(names[1].contains(&format!("{n}.ics")), "{n} was acknowledged before the backup");
    }
    assert_eq!(names[0].len(), names[1].len(), "the unified calendar shows what its member holds");
    // Made up to the number that the original has reached: its token would be one of ours but for the epoch.
    let (_, given) = seen(&app).await;
    for n in names[1].len() as u32..written.load(Ordering::SeqCst) {
        save(&restored, n).await;
    }
    let voided = restored.store.read(move |tx| {
        let calendars = calendars::every(tx)?;
        let number = |token: &str| token.rsplit(':').next().and_then(|n| n.parse::<i64>().ok()).expect("a token");
        let pairs = || calendars.iter().zip(&given);
        let reached = pairs().all(|(c, token)| c.seq.0 >= number(token));
        Ok::<_, store::Error>((reached, pairs().all(|(c, token)| c.read_token(token).is_none())))
    });
    assert_eq!(voided.await.unwrap(), (true, true), "the numbers are given again, and the tokens are not read");
    assert_eq!(tokens.iter().collect::<HashSet<_>>().len(), 3, "each calendar has an epoch of its own");
}

/// What can not be made leaves nothing behind.
#[tokio::test]
async fn a_backup_that_fails_leaves_no_file() {
    let folder = Folder::new();
    let app = kit::app(&format!("sqlite:{}", folder.path.join("calgate.db").display()), TWO_AND_ALL).await;
    let before = std::fs::read_dir(&folder.path).unwrap().count();
    std::fs::create_dir(folder.path.join("in the way")).unwrap();
    assert!(app.store.backup(&folder.path.join("in the way")).await.is_err());
    assert!(app.store.backup(&folder.path.join("not there/copy.db")).await.is_err());
    // Names that fit, where that of the unfinished copy, or of the journal beside it, does not.
    for length in 230..255 {
        assert!(app.store.backup(&folder.path.join("x".repeat(length))).await.is_err() || length < 250);
        let _ = std::fs::remove_file(folder.path.join("x".repeat(length)));
    }
    assert_eq!(std::fs::read_dir(&folder.path).unwrap().count(), before + 1);
}

const TWO_AND_ALL: &str = r#"
[[user]]
name = "anna"
[[user.calendar]]
name = "one"
[[user.calendar]]
name = "two"
[[user.unified]]
name = "all"
members = ["one", { calendar = "two", mask = "busy" }]
"#;

/// Saves the event `n` in the calendar `one`.
async fn save(app: &App, n: u32) {
    let object = kit::event(&format!("event-{n}"), "DTSTART:20260601T090000Z\nDTEND:20260601T100000Z");
    let saved = app.store.write(move |tx| {
        let calendars = calendars::every(tx)?;
        let one = calendars.iter().find(|c| c.slug == "one").expect("it is declared");
        let name = Name::new(&format!("{n}.ics")).expect("a name");
        resources::save(tx, one, &name, Version::Client(Some(&object)), kit::NOW)
    });
    saved.await.expect("a save");
}

/// The names of the resources and the sync tokens of the calendars `all`, `one`, `two`.
async fn seen(app: &App) -> (Vec<HashSet<String>>, Vec<String>) {
    let seen = app.store.read(|tx| {
        let mut seen = (Vec::new(), Vec::new());
        for calendar in calendars::every(tx)? {
            let listed = resources::list(tx, &calendar)?;
            seen.0.push(listed.iter().map(|l| l.name.as_str().to_owned()).collect());
            seen.1.push(calendar.token());
        }
        Ok::<_, store::Error>(seen)
    });
    seen.await.expect("a read")
}

/// What was answered, without what was typed.
fn replies(session: &str) -> String {
    session.lines().filter(|l| !l.starts_with(['$', '|'])).collect::<Vec<_>>().join("\n")
}

/// Types the commands of a session and gives the session as it is now.
fn play(session: &str) -> String {
    let folder = Folder::new();
    let upstreams = session.contains("UPSTREAM").then(Upstreams::start);
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut names = upstreams.as_ref().map(Upstreams::names).unwrap_or_default();
    names.push(("TAKEN", taken.local_addr().unwrap().to_string()));
    let meant = |text: &str| names.iter().fold(text.to_owned(), |text, (name, url)| text.replace(name, url));
    let mut seen = String::new();
    let mut serving: Option<Serving> = None;
    let mut lines = session.lines().peekable();
    while let Some(line) = lines.next() {
        let Some(typed) = line.strip_prefix("$ ") else {
            if line.starts_with('#') || line.is_empty() {
                seen += &format!("{line}\n");
            }
            continue;
        };
        seen += &format!("{line}\n");
        let (what, rest) = typed.split_once(' ').unwrap_or((typed, ""));
        let mut reply = |text: &str, mark: &str| {
            let text = names.iter().fold(text.to_owned(), |text, (name, url)| text.replace(url.as_str(), name));
            for line in steady(&text, &folder).lines() {
                seen += format!("{mark}{line}\n").trim_start_matches("\n");
            }
        };
        match what {
            "write" => {
                let mut text = String::new();
                while let Some(line) = lines.next_if(|l| l.starts_with('|')) {
                    reply(line, "");
                    text += &format!("{}\n", line[1..].strip_prefix(' ').unwrap_or(&line[1..]));
                }
                folder.write(rest, &meant(&text));
            }
            "remove" => std::fs::remove_file(folder.path.join(rest)).unwrap(),
            "calgate" => {
                let (arguments, input) = rest.split_once(" < ").unwrap_or((rest, ""));
                let (code, out, err) = folder.calgate(&meant(arguments), input);
                reply(&out, "");
                reply(&err, "! ");
                if code != 0 {
                    reply(&code.to_string(), "= ");
                }
            }
            // Asks again until the answer has the word and everything was read, and shows that answer.
            "until" => {
                let (word, arguments) = rest.split_once(" calgate ").expect("until WORD calgate …");
                let asked = (0..200).map(|_| {
                    std::thread::sleep(std::time::Duration::from_millis(50));
                    folder.calgate(arguments, "").1
                });
                let mut last = String::new();
                asked
                    .inspect(|out| last.clone_from(out))
                    .find(|out| out.contains(word) && !out.contains("not read yet"));
                reply(&last, "");
            }
            // Serves beside what follows, until `stop`.
            "serve" => reply(&serving.insert(Serving::start(&folder)).said, ""),
            "get" => reply(&serving.as_ref().expect("it was started").get(rest), ""),
            "stop" => {
                let code = serving.take().expect("it was started").stop();
                reply(&code.to_string(), "= ");
            }
            // As a crash would.
            "kill" => drop(serving.take().expect("it was started")),
            _ => panic!("a session does not know {what}"),
        }
    }
    if let Some(serving) = serving {
        serving.stop();
    }
    let log = std::fs::read_to_string(folder.path.join("log")).unwrap_or_default();
    assert!(!log.contains("not-for-eyes"), "a secret stands in the log:\n{log}");
    seen.lines().map(|l| format!("{}\n", l.trim_end())).collect()
}

/// A gateway that runs. Its log goes to the file `log`.
struct Serving {
    child: Child,
    /// What it said when it was ready.
    said: String,
    address: String,
}

impl Serving {
    fn start(folder: &Folder) -> Serving {
        let log = std::fs::File::create(folder.path.join("log")).unwrap();
        let mut child = folder.command(&["serve"]).stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let mut said = String::new();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        out.read_line(&mut said).unwrap();
        let address = said.split_whitespace().find(|word| word.starts_with("127.0.0.1:")).map(|a| a.trim_matches(','));
        let Some(address) = address.map(str::to_owned) else {
            let log = std::fs::read_to_string(folder.path.join("log")).unwrap();
            panic!("calgate did not serve: {said}{log}");
        };
        Serving { child, said, address }
    }

    /// The answer to a request that says `Connection: close`.
    fn ask(&self, request: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    /// Status and Location of an answer.
    fn get(&self, path: &str) -> String {
        let answer = self.ask(&format!("GET {path} HTTP/1.1\r\nHost: elsewhere\r\nConnection: close\r\n\r\n"));
        let head = answer.lines().take_while(|line| !line.is_empty());
        let told = head.filter(|line| line.starts_with("HTTP/") || line.to_lowercase().starts_with("location:"));
        told.map(|line| format!("{line}\n")).collect()
    }

    fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// Asks it to end, as a service manager would, and gives its exit code.
    fn stop(mut self) -> i32 {
        self.signal(rustix::process::Signal::TERM);
        for _ in 0..1500 {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code().unwrap_or(-1);
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        let _ = self.child.kill();
        panic!("calgate did not end on SIGTERM");
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What accounts are tried against: a CalDAV server, something that is none, and nobody.
struct Upstreams {
    caldav: standin::caldav::Server,
    web: TcpListener,
    _runtime: tokio::runtime::Runtime,
}

impl Upstreams {
    fn start() -> Upstreams {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let caldav = runtime.block_on(standin::caldav::Server::start());
        caldav.user("anna", "not-for-eyes").user("bert", "not-for-eyes");
        let team = caldav.calendar("anna", "team", |c| c.name = "Team Calendar".to_owned());
        caldav.calendar("anna", "holidays", |c| c.name = "Holidays".to_owned());
        for day in 1..=3 {
            let text = format!(
                "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//test//EN\r\nBEGIN:VEVENT\r\nUID:standup-{day}\r\n\
                 DTSTAMP:20260101T000000Z\r\nDTSTART:2026110{day}T090000Z\r\nDTEND:2026110{day}T091500Z\r\n\
                 SUMMARY:Stand-up\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
            );
            caldav.put(&team, &format!("standup-{day}.ics"), &text);
        }
        caldav.put(&team, "broken.ics", "BEGIN:VCALENDAR\r\nUID:broken-1\r\n");
        let web = TcpListener::bind("127.0.0.1:0").unwrap();
        let pages = web.try_clone().unwrap();
        std::thread::spawn(move || {
            for stream in pages.incoming().flatten() {
                page(stream);
            }
        });
        Upstreams { caldav, web, _runtime: runtime }
    }

    /// The names that sessions use, and their URLs.
    fn names(&self) -> Vec<(&'static str, String)> {
        // A port that was free a moment ago: nobody listens there.
        let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        vec![
            ("UPSTREAM", self.caldav.url()),
            ("WEBSITE", format!("http://{}", self.web.local_addr().unwrap())),
            ("NOBODY", format!("http://{closed}")),
        ]
    }
}

/// Answers any request with a web page.
fn page(mut stream: TcpStream) {
    let mut head = BufReader::new(stream.try_clone().unwrap());
    let mut line = String::new();
    while head.read_line(&mut line).is_ok_and(|read| read > 2) {
        line.clear();
    }
    let body = "<!doctype html><title>Welcome</title>";
    let length = body.len();
    let _ = write!(
        stream,
        "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    );
}

/// An output without what differs from run to run: folders, times, random texts.
fn steady(output: &str, folder: &Folder) -> String {
    let is_random = |word: &str| {
        let word = word.trim_matches(['"', ',']);
        let app_password = word.split('-').count() > 4 && word.split('-').all(|part| part.len() == 4);
        app_password || word.len() == 32 && word.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
    };
    let is_time = |word: &str| {
        let word = word.trim_matches(['"', ',']);
        word.len() >= 20 && word.starts_with("20") && word.ends_with('Z') && word.contains('T')
    };
    let mut text = String::new();
    for line in output.replace(&folder.path.display().to_string(), "HERE").lines() {
        let line = line.replace(env!("CARGO_PKG_VERSION"), "VERSION");
        let words: Vec<String> = (line.split(' '))
            .map(|word| match word.trim_matches(['"', ',']) {
                inner if is_random(word) => word.replace(inner, "RANDOM"),
                inner if is_time(word) => word.replace(inner, "TIME"),
                inner if is_place(inner) => word.replace(inner, "127.0.0.1:PORT"),
                inner if is_date(inner) => "DATE".to_owned(),
                inner if is_clock(inner) => "CLOCK".to_owned(),
                _ => word.to_owned(),
            })
            .collect();
        let line = without_number(&words.join(" "), "(process ");
        let line = without_number(&line, ", seq ");
        // A size depends on the schema.
        let line = match line.split_once(" bytes") {
            Some((before, "")) => {
                format!("{} SIZE bytes", before.trim_end_matches(|c: char| c.is_ascii_digit()).trim_end())
            }
            _ => line,
        };
        text += &format!("{}\n", line.trim_end());
    }
    text
}

/// The number behind `before` becomes `N`.
fn without_number(line: &str, before: &str) -> String {
    match line.split_once(before) {
        Some((start, rest)) => {
            format!("{start}{before}N{}", rest.trim_start_matches(|c: char| c.is_ascii_digit()))
        }
        None => line.to_owned(),
    }
}

fn is_place(word: &str) -> bool {
    word.strip_prefix("127.0.0.1:").is_some_and(|port| port.len() > 4 && port.bytes().all(|b| b.is_ascii_digit()))
}

fn is_date(word: &str) -> bool {
    word.len() == 10 && word.starts_with("20") && word.bytes().filter(|b| *b == b'-').count() == 2
}

fn is_clock(word: &str) -> bool {
    word.len() == 5 && word.as_bytes()[2] == b':' && word.bytes().filter(u8::is_ascii_digit).count() == 4
}

/// A folder of its own for one test, removed at the end.
struct Folder {
    path: PathBuf,
}

impl Folder {
    fn new() -> Folder {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("calgate-commands-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::SeqCst));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Folder { path }
    }

    fn write(&self, file: &str, text: &str) {
        std::fs::write(self.path.join(file), text).unwrap();
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_calgate"));
        command.args(arguments).current_dir(&self.path);
        // The width of help texts, and nothing of the machine that the tests run on.
        command.env_clear().env("COLUMNS", "120").env("RUST_BACKTRACE", "0");
        command
    }

    /// Runs it to its end: exit code, standard output, standard error.
    fn calgate(&self, arguments: &str, input: &str) -> (i32, String, String) {
        // A `_` in an argument is a space.
        let arguments: Vec<String> = arguments.split_whitespace().map(|word| word.replace('_', " ")).collect();
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let mut child = self
            .command(&arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary was built");
        // A command that takes no input may have ended already.
        let _ = child.stdin.take().unwrap().write_all(format!("{input}\n").as_bytes());
        let output = child.wait_with_output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("output is UTF-8");
        (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> = entries.filter(|f| f.extension().is_some_and(|e| e == extension)).collect();
    files.sort();
    assert!(!files.is_empty(), "no .{extension} in {}", folder.display());
    files
}
