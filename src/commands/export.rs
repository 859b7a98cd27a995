//! `calgate export`: a whole calendar as one file.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use calgate::export::{self, Ask};
use calgate::ical::Window;
use calgate::ical::file::Form;
use calgate::store::calendars::{self, Need};
use calgate::store::shape;
use calgate::store::users::Actor;
use jiff::tz::TimeZone;

use super::{Done, Failure, Here, calendar};

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
    let mut output: Box<dyn Write + Send> = match &arguments.output {
        Some(file) => match File::create_new(file) {
            Ok(file) => Box::new(BufWriter::new(file)),
            Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {
                return Err(Failure::new(format!("{} is there already", file.display()), "Name a new file."));
            }
            Err(e) => return Err(Failure::new(format!("{} could not be made: {e}", file.display()), "")),
        },
        None => Box::new(BufWriter::new(std::io::stdout())),
    };
    let written = here.store.read(move |tx| {
        let actor = Actor::of(&user);
        let calendar = calendars::open(tx, &actor, &target.owner, &target.slug, Need::Read).map_err(End::Denied)?;
        if shape::is_filling(tx, calendar.id)? {
            return Err(End::Filling);
        }
        let mut failed = None;
        export::write(tx, &calendar, &ask, &mut |text| match output.write_all(text.as_bytes()) {
            Ok(()) => true,
            Err(e) => failed.replace(e).is_some(),
        })
        .map_err(End::Export)?;
        match failed.map_or_else(|| output.flush(), Err) {
            Ok(()) => Ok(()),
            Err(e) => Err(End::Output(e)),
        }
    });
    match written.await {
        Ok(()) => Ok(()),
        // Whoever reads it may have read enough and be gone.
        Err(End::Output(e)) if e.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        Err(End::Output(e)) => Err(Failure::new(format!("the output could not be written: {e}"), "")),
        Err(End::Export(export::Error::TooMany)) => {
            Err(Failure::new("there are too many instances to expand at once", "Ask for a shorter time."))
        }
        Err(End::Export(export::Error::Store(e))) => Err(e.into()),
        Err(End::Denied(denied)) => Err(Failure::new(denied.to_string(), "")),
        Err(End::Filling) => Err(Failure::new(
            "another calendar has become part of this one, and is not all there yet",
            "Try again in a moment. It is filled while `calgate serve` runs.",
        )),
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
