//! The report of an attempt: what its task has put into tabs, as one page.

use std::fmt::Write as _;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The report of an attempt.
#[derive(Debug, Default)]
pub(crate) struct Report {
    tabs: Mutex<Tabs>,
    /// Which revision is written. Held by whoever writes: an earlier one never comes after a later one.
    pub(crate) written: tokio::sync::Mutex<u64>,
}

#[derive(Debug, Default)]
pub(crate) struct Tabs {
    /// By name, in the order in which they were made.
    all: Vec<(String, Vec<String>)>,
    /// Counts the changes.
    pub(crate) revision: u64,
}

impl Report {
    pub(crate) fn tabs(&self) -> MutexGuard<'_, Tabs> {
        self.tabs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tabs {
    /// The content of a tab, which is about to change.
    pub(crate) fn of(&mut self, name: &str) -> &mut Vec<String> {
        self.revision += 1;
        let at = self.all.iter().position(|(other, _)| other == name).unwrap_or_else(|| {
            self.all.push((name.to_owned(), Vec::new()));
            self.all.len() - 1
        });
        &mut self.all[at].1
    }

    /// The whole page.
    pub(crate) fn page(&self, task: &str) -> String {
        let (mut names, mut contents) = (String::new(), String::new());
        for (at, (name, content)) in self.all.iter().enumerate() {
            let checked = if at == 0 { " checked" } else { "" };
            let _ = write!(
                names,
                "<input type=\"radio\" name=\"spanwise-tab\" id=\"spanwise-tab-{at}\"{checked}><label for=\"spanwise-tab-{at}\">{}</label>",
                escaped(name)
            );
            let _ = write!(contents, "<section>{}</section>", content.join("\n"));
        }
        let mut rules = String::new();
        for at in 0..self.all.len() {
            let nth = at + 1;
            let _ = write!(rules, "#spanwise-tab-{at}:checked~main>section:nth-of-type({nth}){{display:block}}");
        }
        let head = format!("<meta charset=\"utf-8\"><title>{}</title><style>{STYLE}{rules}</style>", escaped(task));
        format!(
            "<!DOCTYPE html>\n<html>\n<head>{head}</head>\n<body>\n{names}\n<main>{contents}</main>\n</body>\n</html>\n"
        )
    }
}

/// Tabs without a script: a page may be shown where none may run.
const STYLE: &str = "body{font-family:system-ui,sans-serif;margin:1rem}body>input{position:absolute;opacity:0}body>label{display:inline-block;padding:.4rem .8rem;\
    cursor:pointer;border-bottom:2px solid transparent}body>input:checked+label{border-color:currentColor;font-weight:600}body>input:focus-visible+label{outline:2px \
    solid}main>section{display:none;padding-top:1rem}";

fn escaped(text: &str) -> String {
    text.chars().fold(String::new(), |mut escaped, character| {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            other => escaped.push(other),
        }
        escaped
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_has_its_tabs_in_their_order_and_names_that_are_no_html() {
        let mut tabs = Tabs::default();
        tabs.of("main").push("<p>one</p>".to_owned());
        tabs.of("<b> & \"x\"").push("<p>two</p>".to_owned());
        tabs.of("main").push("<p>three</p>".to_owned());
        let page = tabs.page("env.<task>");
        assert!(page.contains("<section><p>one</p>\n<p>three</p></section><section><p>two</p></section>"), "{page}");
        assert!(page.contains(">main</label>") && page.contains(">&lt;b&gt; &amp; &quot;x&quot;</label>"), "{page}");
        assert!(page.contains("<title>env.&lt;task&gt;</title>") && tabs.revision == 3, "{page}");
    }
}
