//! The log: where it goes, what of it is shown, and what a panic says there.

use std::panic::PanicHookInfo;

use calgate::config::values::{FOREIGN_LOG, log_target_is_ours};
use calgate::config::{Config, LogFormat};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Registry, fmt, reload};

use super::Failure;

/// Changes what is shown while the server runs.
pub struct Level(reload::Handle<Targets, Registry>);

impl Level {
    /// `text` is a `[server] log` that was checked.
    pub fn set(&self, text: &str) {
        if let Ok(targets) = filter(text) {
            // Fails only when the log itself is gone.
            let _ = self.0.modify(|filter| *filter = targets);
        }
    }
}

/// Logs go to standard error.
pub fn start(config: &Config) -> Result<Level, Failure> {
    let (filter, level) = reload::Layer::new(filter(&config.server.log)?);
    let lines = match config.server.log_format {
        LogFormat::Text => {
            let ansi = super::terminal::colour(&std::io::stderr());
            fmt::layer().with_writer(std::io::stderr).with_ansi(ansi).boxed()
        }
        LogFormat::Json => fmt::layer().json().flatten_event(true).with_writer(std::io::stderr).boxed(),
    };
    let started = tracing_subscriber::registry().with(lines.with_filter(filter)).try_init();
    started.map_err(|e| Failure::new(format!("the log can not be started: {e}"), ""))?;
    Ok(Level(level))
}

/// What `text` asks for of calgate, and [`FOREIGN_LOG`] at most of all else, whatever `text` says and whatever a
/// dependency that is new tomorrow has to tell.
fn filter(text: &str) -> Result<Targets, Failure> {
    let asked: Targets = text.parse().map_err(|e| Failure::new(format!("[server] log: {e}"), ""))?;
    // No filter has a default when the text names modules only: then nothing else is shown.
    let rest = asked.default_level().unwrap_or(LevelFilter::OFF);
    let mut shown = Targets::new().with_default(rest.min(FOREIGN_LOG)).with_target("calgate", rest);
    for (target, level) in asked.iter() {
        shown = shown.with_target(target, if log_target_is_ours(target) { level } else { level.min(FOREIGN_LOG) });
    }
    Ok(shown)
}

/// From here on a panic is one line: in the log when there is one, else on standard error.
pub fn catch_panics() {
    std::panic::set_hook(Box::new(tell_of_panic));
}

/// Words are repeated only when they stand so in the source: others may hold what is in a calendar, as those of a text
/// that was cut in the middle of a character.
fn tell_of_panic(panic: &PanicHookInfo<'_>) {
    let what = panic.payload().downcast_ref::<&'static str>().copied().unwrap_or("a panic");
    let place = panic.location().map_or_else(|| "an unknown place".to_owned(), ToString::to_string);
    let thread = std::thread::current().name().unwrap_or("unnamed").to_owned();
    if tracing::dispatcher::has_been_set() {
        tracing::error!(place, thread, "a defect of calgate at {place}: {what}");
    } else {
        eprintln!("error: a defect of calgate at {place}: {what}");
        eprintln!("hint: Report it with this line.");
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// What is logged under the filter `text` while `run` runs.
    fn logged(text: &str, run: impl FnOnce()) -> String {
        let lines = Lines::default();
        let writer = lines.clone();
        let filter = filter(text).unwrap_or_else(|_| panic!("{text:?} is a filter"));
        let layer = fmt::layer().with_ansi(false).with_writer(move || writer.clone()).with_filter(filter);
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), run);
        String::from_utf8(lines.0.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn no_filter_lets_foreign_code_print_what_it_carries() {
        for text in [
            "trace",
            "debug",
            "info,tokio_postgres=trace",
            "tokio_postgres::query=debug",
            "tokio=trace,t=trace,h=trace,r=trace",
            "calgate=trace,hyper=trace,reqwest=trace,h2=debug,rustls=trace",
        ] {
            let seen = logged(text, || {
                tracing::debug!(target: "tokio_postgres::query", "with parameters: canary");
                tracing::trace!(target: "tokio_postgres::prepare", "canary");
                tracing::info!(target: "postgres", "canary");
                tracing::trace!(target: "hyper::proto::h1::io", "canary");
                tracing::debug!(target: "h2::codec::framed_write", "canary");
                tracing::trace!(target: "reqwest::connect", "canary");
                tracing::debug!(target: "rustls::client::hs", "canary");
                tracing::info!(target: "tomorrow", "canary");
            });
            assert_eq!(seen, "", "under {text:?}");
        }
    }

    /// The driver speaks through the `log` crate, whose records are asked for by name and level.
    #[test]
    fn the_filter_answers_for_records_of_the_log_crate() {
        use tracing::Level;
        let cases = [
            ("trace", "tokio_postgres::query", Level::DEBUG, false),
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
            let filter = filter(text).unwrap_or_else(|_| panic!("{text:?} is a filter"));
            assert_eq!(filter.would_enable(target, &level), shown, "{target} at {level} under {text:?}");
        }
    }

    #[test]
    fn a_panic_is_one_line_with_its_place_and_without_what_it_carried() {
        let title = String::from("canary ü");
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(tell_of_panic));
        let seen = logged("info", || {
            let _ = std::panic::catch_unwind(|| panic!("a word of the source"));
            let _ = std::panic::catch_unwind(|| title[..8].len());
        });
        std::panic::set_hook(before);
        let lines: Vec<&str> = seen.lines().collect();
        let [plain, cut] = lines[..] else { panic!("not two lines:\n{seen}") };
        let here = file!();
        assert!(plain.contains("ERROR") && plain.contains("a word of the source"), "{plain}");
        assert!(plain.contains(&format!("place=\"{here}:")), "{plain}");
        assert!(cut.contains(here) && !cut.contains("canary"), "{cut}");
    }
}
