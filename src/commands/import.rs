//! `calgate import`: takes a whole file of events into a calendar.

use std::io::{IsTerminal, Read, Write};
use std::path::{Path, PathBuf};

use calgate::config::io_words;
use calgate::ical::object::{self, Parts};
use calgate::ical::{Object, jcal};
use calgate::store::Tx;
use calgate::store::calendars::{Calendar, Denied};
use calgate::store::users::Actor;
use calgate::sync::limits;
use calgate::sync::write::{self, Refusal, Taken};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use super::{Done, Failure, Here, calendar, count, new_file, terminal};

/// Objects that are written in one transaction: a server beside it gets its turn in between.
const AT_ONCE: usize = 100;

/// Each event, task and entry of the file is held against the same rules and limits as what a client writes. What can not
/// be taken is set aside and told with its line, and the rest is taken. A server may run meanwhile; it sends what goes to
/// another server.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  calgate import anna/private old.ics
  calgate import anna/private old.ics --dry-run
  calgate import anna/private old.ics --replace --set-aside rest.ics
  curl https://example.org/holidays.ics | calgate import anna/holidays -")]
pub struct Arguments {
    /// The calendar, as `calgate calendar list` shows it
    #[arg(value_name = "USER/CALENDAR", value_parser = calendar::owner_and_slug)]
    calendar: (String, String),
    /// iCalendar or jCal; "-" is standard input
    file: PathBuf,
    /// Take what the calendar has in another version, in its place
    #[arg(long)]
    replace: bool,
    /// Only say what would be done
    #[arg(long)]
    dry_run: bool,
    /// Write what could not be taken into this file
    #[arg(long, value_name = "FILE")]
    set_aside: Option<PathBuf>,
    /// Print what was done as JSON
    #[arg(long)]
    json: bool,
}

/// What was not taken.
struct Aside {
    /// Of the file; 0 where it is not known.
    line: usize,
    uid: String,
    reason: String,
    text: String,
}

#[derive(Default)]
struct Report {
    new: usize,
    replaced: usize,
    same: usize,
    kept: usize,
    repairs: usize,
    aside: Vec<Aside>,
}

/// The transaction of a dry run is taken back with what it found out.
enum End {
    Dry(Vec<Taken>),
    Refused(Refusal),
}

impl From<calgate::store::Error> for End {
    fn from(e: calgate::store::Error) -> End {
        End::Refused(e.into())
    }
}

pub async fn run(config: &Path, arguments: Arguments) -> Done {
    let here = Here::open(config)?;
    let target = calendar::find(&here, &arguments.calendar).await?;
    let user = here.user(&target.owner).await?;
    let name = format!("{}/{}", target.owner, target.slug);
    let octets = read(&arguments.file)?;
    let parts = split(&octets, &arguments.file)?;
    drop(octets);
    // What can go wrong with it does so before anything is taken.
    let mut rest = arguments.set_aside.as_deref().map(|file| new_file(file, false)).transpose()?;

    let mut report = Report { repairs: parts.repairs.len(), ..Report::default() };
    let mut left = parts.left.into_iter();
    let mut objects = Vec::with_capacity(parts.objects.len());
    for part in parts.objects {
        match part {
            Ok(object) if object.text().len() > here.config.limits.object => {
                let reason = format!(
                    "it has {} bytes, and `object` in [limits] is {}",
                    object.text().len(),
                    here.config.limits.object
                );
                report.aside.push(aside(&object, reason));
            }
            Ok(object) => match limits::check(&object, here.config.limits.attendees) {
                Ok(()) => objects.push(object),
                Err(exceeded) => report.aside.push(aside(&object, exceeded.to_string())),
            },
            Err(e) => {
                let (uid, text) = left.next().map(|l| (l.uid, l.text)).unwrap_or_default();
                report.aside.push(Aside { line: e.line, uid, reason: e.reason, text });
            }
        }
    }

    let bar = bar(&arguments, objects.len(), &name);
    let actor = Actor::of(&user);
    let mut stopped = None;
    while !objects.is_empty() && stopped.is_none() {
        let batch: Vec<Object> = objects.drain(..objects.len().min(AT_ONCE)).collect();
        match enter(&here, &actor, &target, batch.clone(), &arguments).await {
            Err(failure) => stopped = Some(failure),
            Ok(all) => {
                for (object, taken) in batch.iter().zip(all) {
                    match taken {
                        Taken::New => report.new += 1,
                        Taken::Replaced => report.replaced += 1,
                        Taken::Same => report.same += 1,
                        Taken::Kept => report.kept += 1,
                        Taken::Refused(refusal) => report.aside.push(aside(object, words(&refusal, &target))),
                    }
                }
                bar.inc(batch.len() as u64);
            }
        }
    }
    bar.finish_and_clear();
    report.aside.sort_by_key(|a| a.line);

    let texts: String = report.aside.iter().map(|a| a.text.as_str()).collect();
    let written = match (&arguments.set_aside, &mut rest) {
        (Some(path), Some(file)) if !texts.is_empty() && stopped.is_none() => file
            .write_all(texts.as_bytes())
            .map_err(|e| Failure::new(format!("{} can not be written: {}", path.display(), io_words(&e)), "")),
        (Some(path), _) => {
            let _ = std::fs::remove_file(path);
            Ok(())
        }
        (None, _) => Ok(()),
    };
    // Whatever became of the rest, this much was done.
    if stopped.is_none() || report.done() > 0 {
        show(&name, &report, &arguments);
    }
    if let Some(failure) = stopped {
        return Err(match failure {
            Failure::Said { what, .. } if report.done() > 0 => Failure::new(
                format!("the rest was not taken: {what}"),
                "Give the same command again: what is in already is passed over.",
            ),
            failure => failure,
        });
    }
    written?;
    match report.aside.len() {
        0 => Ok(()),
        number => Err(Failure::new(
            format!("{} not taken", if number == 1 { "1 was".to_owned() } else { format!("{number} were") }),
            match &arguments.set_aside {
                Some(file) => format!("They are in {}, to be mended and imported again.", file.display()),
                None => "Say --set-aside FILE to have them in a file of their own.".to_owned(),
            },
        )),
    }
}

impl Report {
    /// What was in already or is now.
    fn done(&self) -> usize {
        self.new + self.replaced + self.same + self.kept
    }
}

/// One batch; a dry run takes it back.
async fn enter(
    here: &Here,
    actor: &Actor,
    target: &Calendar,
    objects: Vec<Object>,
    arguments: &Arguments,
) -> Result<Vec<Taken>, Failure> {
    let (actor, owner, slug) = (actor.clone(), target.owner.clone(), target.slug.clone());
    let (replace, dry, now) = (arguments.replace, arguments.dry_run, here.clock.now());
    let room = write::Room::of(&here.config.limits);
    let entered = here.store.write(move |tx: &mut Tx<'_>| {
        let all = write::take(tx, &actor, (&owner, &slug), &objects, replace, room, now).map_err(End::Refused)?;
        if dry { Err(End::Dry(all)) } else { Ok(all) }
    });
    match entered.await {
        Ok(all) | Err(End::Dry(all)) => Ok(all),
        Err(End::Refused(Refusal::Store(e))) => Err(e.into()),
        Err(End::Refused(Refusal::Denied(denied))) => Err(Failure::new(denied.to_string(), "")),
        Err(End::Refused(other)) => Err(Failure::new(words(&other, target), "")),
    }
}

fn read(file: &Path) -> Result<Vec<u8>, Failure> {
    let read = if file == Path::new("-") {
        let mut octets = Vec::new();
        std::io::stdin().read_to_end(&mut octets).map(|_| octets)
    } else {
        std::fs::read(file)
    };
    read.map_err(|e| Failure::new(format!("{} can not be read: {}", called(file), io_words(&e)), ""))
}

/// What the file is called in a message.
fn called(file: &Path) -> String {
    if file == Path::new("-") { "standard input".to_owned() } else { file.display().to_string() }
}

fn split(octets: &[u8], file: &Path) -> Result<Parts, Failure> {
    let file = called(file);
    let wrong =
        |e: calgate::ical::Error, what: &str| Failure::new(format!("{file} is no {what}: {e}"), "Nothing was taken.");
    if octets.is_empty() {
        return Err(Failure::new(format!("{file} is empty"), "Nothing was taken."));
    }
    let begin = octets.strip_prefix("\u{feff}".as_bytes()).unwrap_or(octets).trim_ascii_start();
    // `["vcalendar"…` or a list of such; what else begins with a bracket is no calendar of either form.
    let is_json = begin.starts_with(b"[") && begin.iter().find(|b| !b" \t\r\n[".contains(b)) == Some(&b'"');
    if !is_json {
        // The tolerant reader passes over what stands around a calendar, and so over all of what is none.
        if !octets.to_ascii_uppercase().windows(15).any(|w| w == b"BEGIN:VCALENDAR") {
            return Err(Failure::new(format!("{file} is no calendar file"), "It has no BEGIN:VCALENDAR."));
        }
        return object::split_octets(octets).map_err(|e| wrong(e, "calendar file"));
    }
    let text = String::from_utf8_lossy(begin);
    let calendars = jcal::parse_stream(&text).map_err(|e| wrong(e, "jCal"))?;
    let printed: String = calendars.iter().map(calgate::ical::Component::print_new).collect();
    let mut parts = object::split(&printed).map_err(|e| wrong(e, "calendar file"))?;
    // Lines of the text that was made of it say nothing.
    parts.objects.iter_mut().filter_map(|o| o.as_mut().err()).for_each(|e| e.line = 0);
    Ok(parts)
}

fn aside(object: &Object, reason: String) -> Aside {
    Aside { line: 0, uid: object.uid().to_owned(), reason, text: object.calendar().print_new() }
}

fn words(refusal: &Refusal, target: &Calendar) -> String {
    match refusal {
        Refusal::Denied(Denied::ReadOnly(why)) => why.clone(),
        Refusal::Component => format!("{} does not take components of this kind", target.slug),
        Refusal::UidTaken { name } => format!("its UID is that of {name}"),
        Refusal::Full => format!("{} has as many objects as [limits] lets it have", target.slug),
        Refusal::NoStorage => format!("{} has as much in its calendars as [limits] lets one user have", target.owner),
        Refusal::Store(e) => e.to_string(),
        other => format!("it was refused: {other:?}"),
    }
}

fn bar(arguments: &Arguments, number: usize, name: &str) -> ProgressBar {
    if arguments.json || !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{spinner} {prefix} {wide_bar} {pos}/{len}");
    let bar = ProgressBar::new(number as u64).with_prefix(name.to_owned());
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar
}

fn show(name: &str, report: &Report, arguments: &Arguments) {
    let Report { new, replaced, same, kept, repairs, aside } = report;
    if arguments.json {
        let aside: Vec<_> = aside
            .iter()
            .map(|a| json!({ "line": (a.line > 0).then_some(a.line), "uid": a.uid, "reason": a.reason }))
            .collect();
        return terminal::say_json(&json!({
            "calendar": name, "dry_run": arguments.dry_run, "new": new, "replaced": replaced, "unchanged": same,
            "kept": kept, "repairs": repairs, "set_aside": aside,
        }));
    }
    let said = [
        (*new, "new"),
        (*replaced, "replaced"),
        (*same, "unchanged"),
        (*kept, "in another version"),
        (aside.len(), "set aside"),
    ];
    let said: Vec<String> =
        said.iter().filter(|(number, _)| *number > 0).map(|(number, what)| format!("{number} {what}")).collect();
    let said = if said.is_empty() { "there is nothing in the file".to_owned() } else { said.join(", ") };
    let dry = if arguments.dry_run { " (nothing was changed, this is a dry run)" } else { "" };
    terminal::say(format!("{name}: {said}{dry}"));
    if *kept > 0 {
        terminal::say("  What is here in another version was left as it is; --replace takes the file's.");
    }
    if *repairs > 0 {
        terminal::say(format!("  {} put right in reading.", count(*repairs, "line")));
    }
    for a in aside {
        let line = if a.line > 0 { format!("line {}: ", a.line) } else { String::new() };
        terminal::say(format!("  {line}{}", terminal::one_line(&a.uid)));
        terminal::say(format!("    {}", terminal::one_line(&a.reason)));
    }
}
