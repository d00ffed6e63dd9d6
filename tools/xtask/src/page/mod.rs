//! What pages that are written have in common: text that cannot break out, drawings, and one look. A page needs nothing
//! beside itself.

use std::fmt::{self, Display, Write};

/// The look of all pages, in light and dark.
pub const STYLE: &str = include_str!("style.css");

/// Adds to a page, as `format!` writes it.
macro_rules! put {
    ($out:expr, $($text:tt)*) => {{
        // A string takes everything.
        let _ = std::fmt::Write::write_fmt(&mut *$out, format_args!($($text)*));
    }};
}
pub(crate) use put;

/// Width of a drawing.
pub const WIDTH: f64 = 1040.0;

/// Text of others, for HTML and for attributes: no markup of its own, no control characters.
pub struct Escaped<'a>(pub &'a str);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            match character {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                '\n' => f.write_char('\n')?,
                _ if character.is_control() => f.write_char('\u{fffd}')?,
                _ => f.write_char(character)?,
            }
        }
        Ok(())
    }
}

/// Begins a drawing of `height` that says `about` to who cannot see it.
pub fn begin(out: &mut String, height: f64, about: &str) {
    put!(
        out,
        "<svg viewBox=\"0 0 {WIDTH:.0} {height:.0}\" role=\"img\" aria-label=\"{}\">\n",
        Escaped(about)
    );
}

/// Begins a page of this title, with a style of its own besides the one of all.
pub fn head(out: &mut String, title: &str, style: &str) {
    let title = Escaped(title);
    put!(
        out,
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n\
         <meta name=\"viewport\" content=\"width=device-width\"/>\n<title>{title}</title>\n\
         <style>\n{STYLE}{style}</style>\n</head>\n<body>\n<main>\n"
    );
}

/// Adds a paragraph that is less important.
pub fn note(out: &mut String, html: &str) {
    put!(out, "<p class=\"note\">{html}</p>\n");
}

/// Adds an entry of a legend.
pub fn key(out: &mut String, class: &str, strength: f64, label: &str) {
    put!(
        out,
        "<span><svg class=\"key\" viewBox=\"0 0 16 12\"><rect class=\"{class}\" width=\"16\" height=\"12\" \
         fill-opacity=\"{strength}\"/></svg>{label}</span>\n"
    );
}

#[cfg(test)]
pub mod tests {
    use std::collections::BTreeMap;

    /// Checks that all elements are closed in order, that attributes are quoted, and that nothing comes from
    /// elsewhere; how often each element occurs.
    pub fn elements(html: &str) -> BTreeMap<String, usize> {
        let mut open: Vec<String> = Vec::new();
        let mut count = BTreeMap::new();
        let body = html.strip_prefix("<!DOCTYPE html>\n").unwrap();
        for piece in body.split('<').skip(1) {
            let (tag, text) = piece.split_once('>').expect("an end of the tag");
            let in_style = open.last().is_some_and(|tag| tag == "style") || tag == "style";
            assert!(in_style || !text.contains('>'), "{piece}");
            if let Some(name) = tag.strip_prefix('/') {
                assert_eq!(open.pop().as_deref(), Some(name));
                continue;
            }
            let name = tag.split([' ', '/']).next().unwrap().to_owned();
            assert_eq!(tag.matches('"').count() % 2, 0, "{tag}");
            assert!(!tag.contains("href") && !tag.contains("src="), "{tag}");
            *count.entry(name.clone()).or_insert(0) += 1;
            if !tag.ends_with('/') {
                open.push(name);
            }
        }
        assert!(open.is_empty(), "{open:?}");
        assert!(
            !html.contains("url(") && !html.contains("@import") && !count.contains_key("script")
        );
        count
    }
}
