//! The steps for each client. They stand in `docs/clients.md` and nowhere else; here they are read from it, with the
//! example's address and user turned into somebody's own.

use super::Place;

const CLIENTS_MD: &str = include_str!("../../../docs/clients.md");

/// Each client by the name that commands take, and its heading in `docs/clients.md`.
pub const CLIENTS: &[(&str, &str)] = &[
    ("apple", "Apple Calendar and Reminders (macOS)"),
    ("ios", "Apple Calendar and Reminders (iPhone, iPad)"),
    ("thunderbird", "Thunderbird"),
    ("davx5", "DAVx5 (Android)"),
    ("gnome", "GNOME (Online Accounts, Calendar)"),
    ("evolution", "Evolution"),
    ("korganizer", "KOrganizer and Merkuro (KDE)"),
    ("outlook", "Outlook with CalDav Synchronizer (Windows)"),
    ("outlook-feed", "Outlook and Outlook.com, without an add-in"),
    ("vdirsyncer", "vdirsyncer and pimsync"),
    ("khal", "khal"),
    ("home-assistant", "Home Assistant"),
    ("fantastical", "Fantastical and BusyCal"),
    ("onecalendar", "OneCalendar"),
    ("google", "Google Calendar (subscription)"),
];

/// What one person does to set up one client.
pub struct Guide {
    pub title: &'static str,
    pub setup: Vec<Block>,
    /// In sentences.
    pub works: Vec<String>,
    pub know: Vec<String>,
}

/// A part of a way, in the order it is walked.
#[derive(Debug, PartialEq, Eq)]
pub enum Block {
    Step {
        number: usize,
        text: String,
    },
    /// A file, as it is written.
    File(String),
}

/// `None`: there is no such client.
pub fn of(slug: &str, place: &Place) -> Option<Guide> {
    let (_, title) = CLIENTS.iter().find(|(known, _)| *known == slug)?;
    let section = section(CLIENTS_MD, &format!("## {title}"));
    let text = |heading: &str| place.fill(self::section(section, &format!("### {heading}")));
    let list = |heading: &str| text(heading).lines().filter_map(|l| l.strip_prefix("- ")).map(str::to_owned).collect();
    Some(Guide { title, setup: blocks(&text("Set up")), works: list("Works well"), know: list("Good to know") })
}

/// What stands under a heading, up to the next of the same depth or above it.
fn section<'t>(text: &'t str, heading: &str) -> &'t str {
    let depth = heading.find(' ').unwrap_or(0);
    let mut begin = None;
    let mut at = 0;
    let mut in_file = false;
    for line in text.split_inclusive('\n') {
        in_file ^= line.starts_with("```");
        let level = line.bytes().take_while(|b| *b == b'#').count();
        match begin {
            None if line.trim_end() == heading => begin = Some(at + line.len()),
            Some(begin) if !in_file && level > 0 && level <= depth => return &text[begin..at],
            _ => {}
        }
        at += line.len();
    }
    begin.map_or("", |begin| &text[begin..])
}

fn blocks(text: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut file: Option<String> = None;
    for line in text.lines() {
        match &mut file {
            Some(_) if line.starts_with("```") => blocks.extend(file.take().map(Block::File)),
            Some(file) => {
                file.push_str(line);
                file.push('\n');
            }
            None if line.starts_with("```") => file = Some(String::new()),
            None => {
                if let Some((number, text)) = line.split_once(". ")
                    && let Ok(number) = number.parse()
                {
                    blocks.push(Block::Step { number, text: text.to_owned() });
                }
            }
        }
    }
    blocks
}

/// How a piece of a sentence is meant.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mark {
    Plain,
    /// What is typed or read.
    Code,
    /// What is pressed.
    Strong,
}

fn pieces(text: &str) -> Vec<(Mark, &str)> {
    let mut pieces = Vec::new();
    for (n, outer) in text.split('`').enumerate() {
        if n % 2 == 1 {
            pieces.push((Mark::Code, outer));
            continue;
        }
        for (n, inner) in outer.split("**").enumerate() {
            pieces.push((if n % 2 == 1 { Mark::Strong } else { Mark::Plain }, inner));
        }
    }
    pieces.retain(|(_, text)| !text.is_empty());
    pieces
}

/// A sentence for a terminal: what is pressed in quotes, and what is typed too if its end could not be seen otherwise.
pub fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for (mark, text) in pieces(text) {
        let quote = match mark {
            Mark::Strong => "\"",
            Mark::Code if text.contains(' ') => "`",
            Mark::Code | Mark::Plain => "",
        };
        plain.extend([quote, text, quote]);
    }
    plain
}

/// A sentence for a page.
pub fn html(text: &str) -> String {
    let mut html = String::new();
    for (mark, text) in pieces(text) {
        let (open, close) = match mark {
            Mark::Plain => ("", ""),
            Mark::Code => ("<code>", "</code>"),
            Mark::Strong => ("<strong>", "</strong>"),
        };
        html.push_str(open);
        for c in text.chars() {
            match c {
                '&' => html.push_str("&amp;"),
                '<' => html.push_str("&lt;"),
                '>' => html.push_str("&gt;"),
                '"' => html.push_str("&quot;"),
                c => html.push(c),
            }
        }
        html.push_str(close);
    }
    html
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_client_has_its_steps_and_no_heading_is_forgotten() {
        let place = Place::new("bert", "https://calendar.example.net:8443/x");
        for (slug, title) in CLIENTS {
            let guide = of(slug, &place).expect("a client");
            let steps: Vec<usize> = (guide.setup.iter())
                .filter_map(|block| match block {
                    Block::Step { number, .. } => Some(*number),
                    Block::File(_) => None,
                })
                .collect();
            assert_eq!(steps, (1..=steps.len()).collect::<Vec<_>>(), "{slug}");
            assert!(steps.len() >= 2 && !guide.works.is_empty() && !guide.know.is_empty(), "{slug}: {title}");
            for block in &guide.setup {
                let (Block::Step { text, .. } | Block::File(text)) = block;
                assert!(!text.contains("cal.example.org") && !text.contains("anna"), "{slug}: {text}");
                assert!(text.matches('`').count() % 2 == 0 && text.matches("**").count() % 2 == 0, "{slug}: {text}");
            }
        }
        let headings: Vec<&str> = CLIENTS_MD.lines().filter_map(|line| line.strip_prefix("## ")).collect();
        let titles: Vec<&str> = CLIENTS.iter().map(|(_, title)| *title).collect();
        assert_eq!(headings, titles);
        assert!(of("nobody", &place).is_none());
    }

    #[test]
    fn the_file_for_vdirsyncer_is_whole() {
        let guide = of("vdirsyncer", &Place::new("bert", "http://127.0.0.1:5232")).expect("a client");
        let files: Vec<&String> = (guide.setup.iter())
            .filter_map(|block| match block {
                Block::File(text) => Some(text),
                Block::Step { .. } => None,
            })
            .collect();
        assert_eq!(files.len(), 1);
        assert!(files[0].contains("url = \"http://127.0.0.1:5232/dav/\"\nusername = \"bert\"\n"), "{}", files[0]);
    }

    #[test]
    fn sentences_are_for_a_page_or_a_terminal() {
        let check = |text: &str, plain_is: &str, html_is: &str| {
            assert_eq!((plain(text).as_str(), html(text).as_str()), (plain_is, html_is));
        };
        check("**Next**, then `a**<b`.", "\"Next\", then a**<b.", "<strong>Next</strong>, then <code>a**&lt;b</code>.");
        check("run `a b`", "run `a b`", "run <code>a b</code>");
        check("a & \"b\"", "a & \"b\"", "a &amp; &quot;b&quot;");
    }
}
