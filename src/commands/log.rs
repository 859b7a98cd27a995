//! The log: where it goes, what of it is shown, and what a panic says there.

use std::panic::PanicHookInfo;

use calgate::config::values::log_filter;
use calgate::config::{Config, LogFormat};
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
        if let Ok(targets) = log_filter(text) {
            // Fails only when the log itself is gone.
            let _ = self.0.modify(|filter| *filter = targets);
        }
    }
}

/// Logs go to standard error.
pub fn start(config: &Config) -> Result<Level, Failure> {
    let filter = log_filter(&config.server.log).map_err(|e| Failure::new(format!("[server] log: {e}"), ""))?;
    let (filter, level) = reload::Layer::new(filter);
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

    /// What is logged while `run` runs.
    fn logged(run: impl FnOnce()) -> String {
        let lines = Lines::default();
        let writer = lines.clone();
        let layer = fmt::layer().with_ansi(false).with_writer(move || writer.clone());
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), run);
        String::from_utf8(lines.0.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn a_panic_is_one_line_with_its_place_and_without_what_it_carried() {
        let title = String::from("canary ü");
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(tell_of_panic));
        let seen = logged(|| {
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
