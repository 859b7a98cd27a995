//! The servers that are measured, as child processes: calgate, the floors, Radicale, Xandikos.

use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use jiff::civil::Date;

use crate::data;
use crate::wire::{Connection, Request};

pub const USER: &str = "bench";
const PASSWORD: &str = "a-password-of-the-bench";

/// Bytes of memory by what they are, shared ones by their share.
#[derive(Clone, Copy)]
pub struct Memory {
    /// Heaps and stacks: what the kernel can not take back.
    pub anonymous: u64,
    /// Mapped pages of files: of the program and its libraries, and of a database that is mapped. They are the kernel's
    /// cache of these files, which it takes back when it needs room.
    pub files: u64,
}

/// A running server; dropped, it is killed.
pub struct Server {
    pub name: &'static str,
    /// Host and port.
    pub address: String,
    /// The header line that opens it, with its line end, or nothing.
    pub authorization: String,
    /// What stands before `CALENDAR/`.
    pub root: String,
    child: Child,
}

impl Server {
    /// CPU time used until now, of all threads, in steps of 10 ms.
    pub fn cpu(&self) -> Duration {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap_or_default();
        // After the name in parentheses: state is field 3, utime 14, stime 15, in hundredths of a second.
        let after = stat.rsplit_once(')').map_or("", |(_, after)| after);
        let ticks = after.split_whitespace().skip(11).take(2).filter_map(|n| n.parse::<u64>().ok()).sum::<u64>();
        Duration::from_millis(ticks * 10)
    }

    /// Memory that is this process's own share.
    pub fn memory(&self) -> Memory {
        let rollup = fs::read_to_string(format!("/proc/{}/smaps_rollup", self.child.id())).unwrap_or_default();
        let sum = |what| {
            let line = rollup.lines().find_map(|line| line.strip_prefix(what));
            line.and_then(|kib| kib.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) * 1024
        };
        Memory { anonymous: sum("Pss_Anon:"), files: sum("Pss_File:") + sum("Pss_Shmem:") }
    }

    pub fn path(&self, calendar: &str) -> String {
        format!("{}{calendar}/", self.root)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One of the floors: this very program, started again with `arguments`, which says its port when it is ready.
pub fn floor(name: &'static str, arguments: &[&str]) -> io::Result<Server> {
    let mut child =
        Command::new(std::env::current_exe()?).args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
    let mut line = String::new();
    if let Some(out) = child.stdout.take() {
        BufReader::new(out).read_line(&mut line)?;
    }
    Ok(Server {
        name,
        address: format!("127.0.0.1:{}", line.trim()),
        authorization: String::new(),
        root: "/".to_owned(),
        child,
    })
}

/// calgate with these local calendars, all of `members`, if there are any, in the unified calendar `every`.
pub fn calgate(binary: &Path, folder: &Path, calendars: &[String], members: &[String]) -> io::Result<Server> {
    let port = free_port()?;
    let config = folder.join("gateway.toml");
    run(Command::new(binary).arg("keygen").arg(folder.join("calgate.key")))?;
    let quoted = members.iter().map(|m| format!("{m:?}")).collect::<Vec<_>>().join(", ");
    let mut text = format!(
        "[server]\nlisten = \"127.0.0.1:{port}\"\npublic_url = \"http://127.0.0.1:{port}\"\nlog = \"warn\"\n\
         [limits]\nconnections_per_address = 5000\n[storage]\nurl = \"sqlite:calgate.db\"\n[secrets]\nkey_file = \"calgate.key\"\n\
         [[user]]\nname = \"{USER}\"\npassword = \"{}\"\nemail = \"anna@example.org\"\ntimezone = \"UTC\"\n",
        hashed(binary)?
    );
    for calendar in calendars {
        text += &format!("[[user.calendar]]\nname = \"{calendar}\"\n");
    }
    if let Some(first) = members.first() {
        text += &format!("[[user.unified]]\nname = \"every\"\nmembers = [{quoted}]\nwrite_to = \"{first}\"\n");
    }
    fs::write(&config, text)?;
    let log = fs::File::create(folder.join("calgate.log"))?;
    let child = Command::new(binary)
        .arg("--config")
        .arg(&config)
        .arg("serve")
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()?;
    started("calgate", child, port, format!("/dav/{USER}/"))
}

/// Takes a file into a calendar of the calgate that runs in `folder`.
pub fn import(binary: &Path, folder: &Path, calendar: &str, file: &Path) -> io::Result<()> {
    let target = format!("{USER}/{calendar}");
    run(Command::new(binary).arg("--config").arg(folder.join("gateway.toml")).args(["import", &target]).arg(file))
}

/// Radicale with these calendars; the objects are written into its folder, where it looks for them.
pub fn radicale(python: &Path, folder: &Path, calendars: &[(String, u32)], today: Date) -> io::Result<Server> {
    let port = free_port()?;
    let home = folder.join("radicale");
    let root = home.join("collections/collection-root").join(USER);
    for (name, count) in calendars {
        let calendar = root.join(name);
        fs::create_dir_all(&calendar)?;
        fs::write(calendar.join(".Radicale.props"), r#"{"tag": "VCALENDAR"}"#)?;
        for number in 0..*count {
            let item = data::item(name, number, today);
            fs::write(calendar.join(&item.name), &item.text)?;
        }
    }
    fs::write(home.join("users"), format!("{USER}:{PASSWORD}\n"))?;
    let config = home.join("config");
    fs::write(
        &config,
        format!(
            "[server]\nhosts = 127.0.0.1:{port}\n[auth]\ntype = htpasswd\nhtpasswd_filename = {home}/users\n\
             htpasswd_encryption = plain\n[storage]\nfilesystem_folder = {home}/collections\n[logging]\nlevel = error\n",
            home = home.display()
        ),
    )?;
    let child = Command::new(python)
        .args(["-m", "radicale", "--config"])
        .arg(&config)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(fs::File::create(folder.join("radicale.log"))?)
        .spawn()?;
    started("Radicale", child, port, format!("/{USER}/"))
}

/// Xandikos with these calendars. It keeps each in a bare git repository, which is filled in one commit.
pub fn xandikos(python: &Path, folder: &Path, calendars: &[(String, u32)], today: Date) -> io::Result<Server> {
    let port = free_port()?;
    let home = folder.join("xandikos");
    fs::create_dir_all(&home)?;
    let child = Command::new(python.with_file_name("xandikos"))
        .args(["serve", "--autocreate", "--defaults", "-l", "127.0.0.1", "--no-detect-systemd"])
        .args(["--current-user-principal", &format!("/{USER}/"), "-p", &port.to_string(), "-d"])
        .arg(home.join("data"))
        .arg("--state-dir")
        .arg(home.join("state"))
        .env("HOME", &home)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(fs::File::create(folder.join("xandikos.log"))?)
        .spawn()?;
    let mut server = started("Xandikos", child, port, format!("/{USER}/calendars/"))?;
    // It takes passwords only over TLS, so here it asks for none.
    server.authorization = String::new();
    for (name, count) in calendars {
        let made = Connection::new(&server.address).send(&Request::new("MKCALENDAR", server.path(name), "", ""))?;
        if made.status != 201 {
            return Err(io::Error::other(format!("Xandikos made no calendar: {}", made.status)));
        }
        let repository = home.join("data").join(USER).join("calendars").join(name);
        let mut git = Command::new("git")
            .arg("-C")
            .arg(&repository)
            .args(["fast-import", "--quiet"])
            .stdin(Stdio::piped())
            .spawn()?;
        let mut out = io::BufWriter::new(git.stdin.take().ok_or_else(|| io::Error::other("git takes no input"))?);
        let head = fs::read_to_string(repository.join(".git/HEAD"))
            .or_else(|_| fs::read_to_string(repository.join("HEAD")))?;
        let branch = head.trim().strip_prefix("ref: ").unwrap_or("refs/heads/master").to_owned();
        writeln!(out, "commit {branch}\ncommitter bench <bench@example.org> 1700000000 +0000\ndata 4\nfill")?;
        let known =
            Command::new("git").arg("-C").arg(&repository).args(["rev-parse", "-q", "--verify", &branch]).output()?;
        if known.status.success() {
            writeln!(out, "from {branch}^0")?;
        }
        for number in 0..*count {
            let item = data::item(name, number, today);
            writeln!(out, "M 644 inline {}\ndata {}\n{}", item.name, item.text.len(), item.text)?;
        }
        drop(out);
        if !git.wait()?.success() {
            return Err(io::Error::other("git took no objects"));
        }
        // Where it keeps the files beside their history, it looks at the files.
        if repository.join(".git").exists() {
            run(Command::new("git").arg("-C").arg(&repository).args(["reset", "-q", "--hard"]))?;
        }
    }
    Ok(server)
}

fn started(name: &'static str, mut child: Child, port: u16, root: String) -> io::Result<Server> {
    let give_up = Instant::now() + Duration::from_secs(60);
    let address = format!("127.0.0.1:{port}");
    while TcpStream::connect(&address).is_err() {
        if let Some(status) = child.try_wait()? {
            return Err(io::Error::other(format!("{name} ended at its start: {status}; see its log")));
        }
        if Instant::now() > give_up {
            let _ = child.kill();
            return Err(io::Error::other(format!("{name} does not answer")));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    let credentials = BASE64_STANDARD.encode(format!("{USER}:{PASSWORD}"));
    Ok(Server { name, address, authorization: format!("Authorization: Basic {credentials}\r\n"), root, child })
}

fn hashed(binary: &Path) -> io::Result<String> {
    let mut child = Command::new(binary)
        .args(["user", "hash", "--password-stdin"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    if let Some(mut input) = child.stdin.take() {
        writeln!(input, "{PASSWORD}")?;
    }
    let output = child.wait_with_output()?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn run(command: &mut Command) -> io::Result<()> {
    let output = command.stdin(Stdio::null()).output()?;
    if output.status.success() {
        return Ok(());
    }
    Err(io::Error::other(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr))))
}

fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// A folder for the run; removed when dropped.
pub struct Folder(pub PathBuf);

impl Folder {
    pub fn new() -> io::Result<Folder> {
        let path = std::env::temp_dir().join(format!("calgate-bench-{}", std::process::id()));
        fs::create_dir(&path)?;
        Ok(Folder(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
