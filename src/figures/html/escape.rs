//! Text of users inside HTML, which must never become part of the page.

use serde::Serialize;

/// The text as HTML shows it, between tags or in a quoted attribute.
pub(super) fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            // HTML has no other control characters.
            c if c.is_control() && c != '\n' && c != '\t' => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}

/// The value as JSON that can be inside a `script` element: nothing in it ends the element or begins a comment.
pub(super) fn script_json(value: &impl Serialize) -> String {
    let json = serde_json::to_string(value).expect("all keys are strings and all numbers are finite");
    // These can only be inside of strings, where the escape means the same.
    json.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn nothing_ends_an_attribute_or_an_element() {
        assert_eq!(
            escaped("</td><b a=\"1\" b='2'>&amp;\u{0}"),
            "&lt;/td&gt;&lt;b a=&quot;1&quot; b=&#39;2&#39;&gt;&amp;amp;\u{fffd}"
        );
        assert_eq!(script_json(&"</script><!-- &"), r#""\u003c/script\u003e\u003c!-- \u0026""#);
    }

    proptest! {
        #[test]
        fn json_in_a_script_reads_back(text: String) {
            let json = script_json(&text);
            prop_assert!(!json.contains(['<', '>', '&']));
            prop_assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
        }
    }
}
