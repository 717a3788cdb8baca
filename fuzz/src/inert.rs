//! What every report promises, whatever a capture calls its threads: nothing in it does anything.

/// Elements of a page that coldcase writes. A name that got through would bring another, or a second script.
const ELEMENTS: &[&str] = &[
    "a", "b", "bdi", "body", "button", "canvas", "code", "dd", "details", "div", "dl", "dt", "em",
    "footer", "form", "h1", "h2", "h3", "h4", "head", "header", "html", "i", "input", "label",
    "li", "link", "main", "meta", "ol", "p", "path", "pre", "rect", "script", "section", "small",
    "span", "style", "summary", "svg", "table", "tbody", "td", "text", "tfoot", "th", "thead",
    "title", "tr", "ul", "!doctype",
];

/// A page: known elements only, no attribute that runs, and only the two scripts (data and code) that belong there.
pub fn html(page: &str) {
    let mut scripts = 0;
    let mut rest = page;
    while let Some(at) = rest.find('<') {
        rest = &rest[at + 1..];
        let inner = rest.strip_prefix('/').unwrap_or(rest);
        let length = inner.find(|c: char| !c.is_ascii_alphanumeric() && c != '!').unwrap_or(0);
        let name = inner[..length].to_ascii_lowercase();
        assert!(ELEMENTS.contains(&name.as_str()), "<{name}> stands in the page");
        let tag = without_values(rest);
        let runs = tag.to_ascii_lowercase().contains(" on");
        assert!(!runs, "<{tag}> runs something");
        if (name == "script" || name == "style") && !rest.starts_with('/') {
            scripts += u32::from(name == "script");
            let close = format!("</{name}");
            rest = &rest[rest.find(&close).unwrap_or(rest.len())..];
        }
    }
    assert!(scripts <= 2, "{scripts} scripts");
    unseen(page);
}

/// A tag up to its end, without what stands in quotes.
fn without_values(tag: &str) -> String {
    let mut quoted = false;
    let mut bare = String::new();
    for character in tag.chars() {
        match character {
            '"' => quoted = !quoted,
            '>' if !quoted => return bare,
            other if !quoted => bare.push(other),
            _ => {}
        }
    }
    panic!("a tag without an end: {bare}");
}

/// JSON that can be read.
pub fn json(text: &str) {
    let value: Result<serde_json::Value, _> = serde_json::from_str(text);
    assert!(value.is_ok(), "JSON that cannot be read");
    assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "a raw control character");
}

/// Markdown: no HTML but the folds, nothing that begins a link or a picture.
pub fn markdown(page: &str) {
    let own = ["<details><summary><b>", "</b></summary>", "</details>"];
    let left = own.iter().fold(page.to_owned(), |text, tag| text.replace(tag, ""));
    // "< 0.1 %" is none.
    let opens =
        |rest: &str| rest.starts_with(|c: char| !c.is_ascii_whitespace() && !c.is_ascii_digit());
    assert!(!left.split('<').skip(1).any(opens), "HTML in Markdown");
    for (at, _) in left.match_indices("](") {
        let before = &left[..at];
        let slashes = before.len() - before.trim_end_matches('\\').len();
        assert!(slashes % 2 == 1, "a link in Markdown");
    }
    assert!(!left.contains("://"), "an address in Markdown");
    unseen(&left);
}

/// Text for a terminal: no control characters.
pub fn plain(text: &str) {
    unseen(text);
}

/// No control characters but line ends, and nothing that turns the direction of reading around.
fn unseen(text: &str) {
    let turns = |c: char| matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}' | '\u{2067}');
    let unfit = text.chars().find(|&c| (c.is_control() && c != '\n') || turns(c));
    assert!(unfit.is_none(), "{unfit:?} in a text");
}
