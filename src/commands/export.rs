//! `calgate export`: a whole calendar as one file.

use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use calgate::config::io_words;
use calgate::export::{self, Ask, Export};
use calgate::ical::Window;
use calgate::ical::file::Form;
use calgate::store::calendars::{self, Calendar, Denied, Need};
use calgate::store::shape;
use calgate::store::users::Actor;
use jiff::tz::TimeZone;

use super::{Done, Failure, Here, calendar, new_file};

#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  calgate export anna/all > all.ics
  calgate export anna/work --output work.ics
  calgate export anna/work --from 2026-01-01 --to 2027-01-01 --expand --json")]
pub struct Arguments {
    /// The calendar, as `calgate calendar list` shows it
    #[arg(value_name = "USER/CALENDAR", value_parser = calendar::owner_and_slug)]
    calendar: (String, String),
    /// Only what takes place from then on: 2026-06-01 or 2026-06-01T08:30:00+02:00
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// Only what takes place before
    #[arg(long, value_name = "TIME")]
    to: Option<String>,
    /// Each instance by itself, without rules; needs --from and --to
    #[arg(long, requires = "from", requires = "to")]
    expand: bool,
    /// jCal instead of iCalendar
    #[arg(long)]
    json: bool,
    /// Write into this new file instead of standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Why nothing more is written.
enum End {
    Export(export::Error),
    Denied(calendars::Denied),
    Output(std::io::Error),
    /// Not all that belongs into the calendar is in it yet.
    Filling,
}

impl From<calgate::store::Error> for End {
    fn from(e: calgate::store::Error) -> End {
        End::Export(e.into())
    }
}

pub async fn run(config: &Path, arguments: Arguments) -> Done {
    let here = Here::open(config)?;
    let target = calendar::find(&here, &arguments.calendar).await?;
    let user = here.user(&target.owner).await?;
    let window = window(&arguments, &target.time_zone())?;
    let form = if arguments.json { Form::Json } else { Form::Text };
    let limits = &here.config.limits;
    let (most, octets) = (limits.expansion(), limits.expanded);
    let ask = Ask { form, window, expand: arguments.expand, limits: most, octets };
    let mut output: Box<dyn Write> = match &arguments.output {
        Some(file) => Box::new(BufWriter::new(new_file(file, false)?)),
        None => Box::new(BufWriter::new(std::io::stdout())),
    };
    let ended = match write(&here, target, &Actor::of(&user), &ask, &mut output).await {
        Ok(()) => return Ok(()),
        Err(ended) => ended,
    };
    if let Some(file) = &arguments.output {
        // Half a calendar looks like one.
        let _ = std::fs::remove_file(file);
    }
    match ended {
        // Whoever reads it may have read enough and be gone.
        End::Output(e) if e.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        End::Output(e) => Err(Failure::new(format!("the output can not be written: {}", io_words(&e)), "")),
        End::Export(export::Error::TooMany) => {
            Err(Failure::new("there are too many instances to expand at once", "Ask for a shorter time."))
        }
        End::Export(export::Error::Store(e)) => Err(e.into()),
        End::Denied(denied) => Err(Failure::new(denied.to_string(), "")),
        End::Filling => Err(Failure::new(
            "another calendar has become part of this one, and is not all there yet",
            "Try again in a moment. It is filled while `calgate serve` runs.",
        )),
    }
}

/// Writes the file piece by piece, each by a look of its own: whoever reads it may be slow.
async fn write(here: &Here, target: Calendar, actor: &Actor, ask: &Ask, output: &mut dyn Write) -> Result<(), End> {
    let mut export = Export::of(ask, export::head(&target), target.changed_at);
    let mut made_of = None;
    loop {
        let (actor, owner, slug, epoch) = (actor.clone(), target.owner.clone(), target.slug.clone(), target.epoch);
        let read = here.store.read(move |tx| {
            let calendar = calendars::open(tx, &actor, &owner, &slug, Need::Read).map_err(End::Denied)?;
            if calendar.epoch != epoch {
                return Err(End::Denied(Denied::Missing));
            }
            let whole = shape::whole(tx, calendar.id)?.ok_or(End::Filling)?;
            if *made_of.get_or_insert_with(|| whole.clone()) != whole {
                return Err(End::Denied(Denied::Missing));
            }
            let mut piece = String::new();
            let last = export.next(tx, &calendar, None, &mut piece).map_err(End::Export)?;
            if last {
                piece.push_str(export.close());
            }
            Ok(((export, made_of), piece, last))
        });
        let (back, piece, last) = read.await?;
        output.write_all(piece.as_bytes()).map_err(End::Output)?;
        if last {
            return output.flush().map_err(End::Output);
        }
        (export, made_of) = back;
    }
}

fn window(arguments: &Arguments, zone: &TimeZone) -> Result<Option<Window>, Failure> {
    let read = |name: &str, text: &Option<String>| match text {
        None => Ok(None),
        Some(text) => export::instant(text, zone).map(Some).ok_or_else(|| {
            Failure::new(
                format!("--{name} is not a time"),
                "Write 2026-06-01, 20260601T083000Z or 2026-06-01T08:30:00+02:00.",
            )
        }),
    };
    let (from, to) = (read("from", &arguments.from)?, read("to", &arguments.to)?);
    export::window(from, to).map_err(|why| Failure::new(why, ""))
}
