//! `docs/exporters.md` and the examples say the same.

use std::path::Path;

/// A row of the page's table of vendors.
pub(crate) struct Vendor {
    pub(crate) name: String,
    /// `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT`
    pub(crate) endpoint: String,
    /// `OTEL_EXPORTER_OTLP_HEADERS`
    pub(crate) variable: String,
    /// What the vendor then sees: `name: value`.
    pub(crate) header: String,
}

fn examples() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn page() -> String {
    std::fs::read_to_string(examples().join("../docs/exporters.md")).unwrap()
}

/// The rows of the table whose first column is `vendor`.
pub(crate) fn vendors() -> Vec<Vendor> {
    let page = page();
    let rows = page.lines().skip_while(|line| !line.starts_with("| vendor ")).skip(2);
    let rows = rows.take_while(|line| line.starts_with('|'));
    let vendor = |row: &str| {
        let cells: Vec<_> =
            row.trim_matches('|').split('|').map(|cell| cell.trim().trim_matches('`').to_owned()).collect();
        let [name, endpoint, variable, header] = <[String; 4]>::try_from(cells).unwrap();
        Vendor { name, endpoint, variable, header }
    };
    rows.map(vendor).collect()
}

/// The code between the fences of a language.
fn snippets(page: &str, language: &str) -> Vec<String> {
    let fence = format!("```{language}\n");
    let parts = page.split(&fence).skip(1);
    parts.map(|part| part.split("```").next().unwrap().to_owned()).collect()
}

/// Text without its indentation.
fn plain(text: &str) -> String {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("\n")
}

#[test]
fn every_snippet_of_the_page_stands_in_an_example() {
    let files = std::fs::read_dir(examples().join("src/bin")).unwrap().map(|entry| entry.unwrap().path());
    let files = files.chain([examples().join("src/telemetry.rs"), examples().join("src/json_lines.rs")]);
    let sources: Vec<_> = files.map(|path| plain(&std::fs::read_to_string(path).unwrap())).collect();
    let snippets = snippets(&page(), "rust");
    assert!(snippets.len() >= 6, "the page has {} snippets", snippets.len());
    for snippet in snippets {
        assert!(sources.iter().any(|source| source.contains(&plain(&snippet))), "no example has:\n{snippet}");
    }
}

#[test]
fn every_example_that_the_page_names_is_there() {
    let page = page();
    let named: Vec<_> = page.split("--bin ").skip(1).filter_map(|rest| rest.split([' ', '`', '\n']).next()).collect();
    assert!(!named.is_empty());
    for name in named {
        assert!(examples().join("src/bin").join(format!("{name}.rs")).exists(), "{name}");
    }
}
