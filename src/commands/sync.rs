//! `calgate sync`: reads the upstream calendars now, with a bar for each.

use std::io::IsTerminal;
use std::path::Path;
use std::sync::Arc;

use calgate::app::App;
use calgate::config::{list_of, nearest};
use calgate::ids::{AccountId, CalendarId};
use calgate::store::calendars::{Calendar, Source};
use calgate::store::{accounts, users};
use calgate::sync::pull::{self, Progress, Report};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use serde_json::json;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::{Done, Failure, Here, calendar, count, terminal};

/// Calendars that are read at one time.
const AT_ONCE: usize = 8;

/// Without --calendar, the list of calendars of every account is read too, so that new ones are found.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  calgate sync
  calgate sync --calendar anna/work --calendar anna/home")]
pub struct Arguments {
    /// Read only this calendar; may be given several times
    #[arg(long = "calendar", value_name = "USER/CALENDAR", value_parser = calendar::owner_and_slug)]
    calendars: Vec<(String, String)>,
    /// Print what was done as JSON, when all is done
    #[arg(long)]
    json: bool,
}

pub async fn run(config: &Path, arguments: Arguments) -> Done {
    let here = Here::open(config)?;
    let known = calendar::of(&here.store, here.store.read(users::list).await?).await?;
    let wanted = chosen(&arguments.calendars, &known)?;
    let accounts = match wanted.is_some() {
        true => Vec::new(),
        false => here.store.read(|tx| accounts::list(tx, None)).await?,
    };
    if wanted.is_none() && accounts.is_empty() {
        match arguments.json {
            true => terminal::say_json(&json!([])),
            false => terminal::say("there are no accounts to read; connect one with `calgate account add`"),
        }
        return Ok(());
    }
    let secrets = here.secrets().await?;
    let mut failed = 0;

    // Not applied: this works beside a server, and what is in force is for that to say.
    let app = Arc::new(App::beside(here.config, here.store, secrets, here.clock));

    let bars = Bars::new(arguments.json);
    let names: Vec<(AccountId, String)> =
        accounts.iter().map(|a| (a.id, format!("{}/{}", a.user_name, a.name))).collect();
    let found = side_by_side(names, |(id, name)| {
        let app = app.clone();
        async move { pull::discover(&app, id).await.map_err(|why| (name, why)) }
    });
    for result in found.await {
        if let Err((name, why)) = result {
            failed += 1;
            bars.line(&format!("{name}: {}", terminal::one_line(&why)));
        }
    }

    let wanted = match wanted {
        Some(wanted) => wanted,
        None => mirrors(&calendar::of(&app.store, app.store.read(users::list).await?).await?),
    };
    let done = side_by_side(wanted, |(id, name)| {
        let (app, bar) = (app.clone(), bars.bar(&name));
        async move {
            let result = pull::pull(&app, id, &bar).await;
            bar.end(&result);
            (name, result)
        }
    });
    let mut done = done.await;
    done.sort_by(|(a, _), (b, _)| a.cmp(b));
    failed += done.iter().filter(|(_, result)| result.is_err()).count();
    if arguments.json {
        terminal::say_json(&done.iter().map(|(name, result)| as_json(name, result)).collect());
    } else {
        bars.clear();
        for (name, result) in &done {
            terminal::say(format!("{name}: {}", words(result)));
        }
    }
    match failed {
        0 => Ok(()),
        _ => Err(Failure::new(format!("{} could not be read", count(failed, "calendar or account")), "")),
    }
}

/// The calendars that were named; `None`: all.
fn chosen(named: &[(String, String)], known: &[Calendar]) -> Result<Option<Vec<(CalendarId, String)>>, Failure> {
    if named.is_empty() {
        return Ok(None);
    }
    let mirrors = mirrors(known);
    let mut list = Vec::new();
    for (owner, slug) in named {
        let name = format!("{owner}/{slug}");
        if let Some(found) = mirrors.iter().find(|(_, n)| *n == name) {
            list.push(found.clone());
            continue;
        }
        if known.iter().any(|c| c.owner == *owner && c.slug == *slug) {
            return Err(Failure::new(
                format!("{name} is no upstream calendar"),
                "It is only here; it needs no reading.",
            ));
        }
        let names: Vec<&str> = mirrors.iter().map(|(_, name)| name.as_str()).collect();
        let hint = match nearest(&name, names.iter().copied()) {
            Some(near) => format!("Did you mean {near}?"),
            None if names.is_empty() => "There are none yet; connect an account with `calgate account add`.".to_owned(),
            None => format!("There are {}.", list_of(&names)),
        };
        return Err(Failure::new(format!("there is no calendar {name}"), hint));
    }
    Ok(Some(list))
}

fn mirrors(calendars: &[Calendar]) -> Vec<(CalendarId, String)> {
    let mirror = calendars.iter().filter(|c| matches!(c.source, Source::Mirror { .. }));
    mirror.map(|c| (c.id, format!("{}/{}", c.owner, c.slug))).collect()
}

/// Runs `work` on each item, some at a time; the results come in no order.
async fn side_by_side<T, R, F>(items: Vec<T>, work: impl Fn(T) -> F) -> Vec<R>
where
    F: Future<Output = R> + Send + 'static,
    R: Send + 'static,
{
    let free = Arc::new(Semaphore::new(AT_ONCE));
    let mut running = JoinSet::new();
    for item in items {
        let (free, work) = (free.clone(), work(item));
        running.spawn(async move {
            let _turn = free.acquire_owned().await;
            work.await
        });
    }
    running.join_all().await
}

fn words(result: &Result<Report, String>) -> String {
    let report = match result {
        Err(why) => return terminal::one_line(why),
        Ok(report) => report,
    };
    let parts: Vec<String> = [
        (report.changed, "changed"),
        (report.removed, "removed"),
        (report.set_aside, "could not be read, see `calgate explain`"),
    ]
    .into_iter()
    .filter(|(number, _)| *number > 0)
    .map(|(number, what)| format!("{number} {what}"))
    .collect();
    if parts.is_empty() { "nothing new".to_owned() } else { parts.join(", ") }
}

fn as_json(name: &str, result: &Result<Report, String>) -> serde_json::Value {
    match result {
        Ok(r) => json!({
            "calendar": name, "changed": r.changed, "removed": r.removed, "set_aside": r.set_aside, "error": null,
        }),
        Err(why) => json!({ "calendar": name, "error": why }),
    }
}

/// Bars while it runs, on a terminal and without --json.
struct Bars {
    terminal: Option<MultiProgress>,
}

impl Bars {
    fn new(quiet: bool) -> Bars {
        let terminal = (!quiet && std::io::stderr().is_terminal()).then(MultiProgress::new);
        Bars { terminal }
    }

    fn bar(&self, name: &str) -> Bar {
        let bar = self.terminal.as_ref().map(|bars| {
            let bar = bars.add(ProgressBar::new_spinner());
            bar.set_style(style("{spinner} {prefix:24} {pos} {msg}"));
            bar.set_prefix(name.to_owned());
            bar.enable_steady_tick(std::time::Duration::from_millis(120));
            bar
        });
        Bar { bar }
    }

    /// Takes the bars away: what came of them is said in lines.
    fn clear(&self) {
        if let Some(bars) = &self.terminal {
            // Fails only when the terminal is gone.
            let _ = bars.clear();
        }
    }

    /// A line above the bars.
    fn line(&self, line: &str) {
        match &self.terminal {
            Some(bars) => drop(bars.println(line)),
            None => eprintln!("{line}"),
        }
    }
}

struct Bar {
    bar: Option<ProgressBar>,
}

impl Bar {
    fn end(&self, result: &Result<Report, String>) {
        if let Some(bar) = &self.bar {
            bar.set_style(style("  {prefix:24} {msg}"));
            bar.finish_with_message(words(result));
        }
    }
}

impl Progress for Bar {
    fn step(&self, done: usize, total: Option<usize>) {
        let Some(bar) = &self.bar else { return };
        if let Some(total) = total
            && bar.length() != Some(total as u64)
        {
            bar.set_style(style("{spinner} {prefix:24} {wide_bar} {pos}/{len} {msg}"));
            bar.set_length(total as u64);
        }
        bar.set_position(done as u64);
    }
}

/// The templates above are constants; a wrong one shows the plain bar.
fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
