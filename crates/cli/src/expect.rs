//! Comparing findings with what is expected of them.
//!
//! An expectation is a part of the findings: keys that it does not name may be anything. Where a value need not be
//! exact, an object with one `$` key says how far it may go:
//!
//! ```json
//! {"duration_ms": {"$between": [8780, 8800]}, "grade": {"$at_least": "strong"},
//!  "user_stack": {"$some": {"function": {"$contains": "insert"}}}, "windows": {"$length": 2}}
//! ```

use coldcase_analyze::findings::Grade;
use serde_json::{Map, Value};

/// Every difference, each with the path of its key.
pub fn differences(expected: &Value, found: &Value) -> Vec<String> {
    let mut differences = Vec::new();
    compare("", expected, found, &mut differences);
    differences
}

fn compare(path: &str, expected: &Value, found: &Value, out: &mut Vec<String>) {
    match (expected, found) {
        (Value::Object(expected), _) if expected.keys().any(|key| key.starts_with('$')) => {
            for (operator, value) in expected {
                if !fits(operator, value, found) {
                    out.push(format!(
                        "{path}: expected {operator} {value}, found {}",
                        short(found)
                    ));
                }
            }
        }
        (Value::Object(expected), Value::Object(found)) => compare_keys(path, expected, found, out),
        (Value::Array(expected), Value::Array(found)) if expected.len() == found.len() => {
            for (index, (expected, found)) in expected.iter().zip(found).enumerate() {
                compare(&format!("{path}[{index}]"), expected, found, out);
            }
        }
        _ if expected == found => {}
        _ => out.push(format!("{path}: expected {}, found {}", short(expected), short(found))),
    }
}

fn compare_keys(
    path: &str,
    expected: &Map<String, Value>,
    found: &Map<String, Value>,
    out: &mut Vec<String>,
) {
    for (key, expected) in expected {
        let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        match found.get(key) {
            Some(found) => compare(&path, expected, found, out),
            None => {
                out.push(format!("{path}: expected {}, but there is no such key", short(expected)))
            }
        }
    }
}

fn fits(operator: &str, value: &Value, found: &Value) -> bool {
    let number = |value: &Value| value.as_f64();
    match operator {
        "$at_least" => match (grade(value), grade(found)) {
            (Some(expected), Some(found)) => found <= expected,
            _ => number(found).zip(number(value)).is_some_and(|(found, least)| found >= least),
        },
        "$at_most" => match (grade(value), grade(found)) {
            (Some(expected), Some(found)) => found >= expected,
            _ => number(found).zip(number(value)).is_some_and(|(found, most)| found <= most),
        },
        "$between" => {
            let range = value.as_array().filter(|range| range.len() == 2);
            let range = range.and_then(|range| number(&range[0]).zip(number(&range[1])));
            number(found)
                .zip(range)
                .is_some_and(|(found, (low, high))| low <= found && found <= high)
        }
        "$contains" => {
            found.as_str().zip(value.as_str()).is_some_and(|(text, part)| text.contains(part))
        }
        "$one_of" => value.as_array().is_some_and(|list| list.contains(found)),
        "$length" => found.as_array().is_some_and(|list| Some(list.len() as u64) == value.as_u64()),
        "$some" => found
            .as_array()
            .is_some_and(|list| list.iter().any(|item| differences(value, item).is_empty())),
        "$none" => found
            .as_array()
            .is_some_and(|list| list.iter().all(|item| !differences(value, item).is_empty())),
        _ => false,
    }
}

/// Grades are ordered, the surest first.
fn grade(value: &Value) -> Option<Grade> {
    value.as_str().and_then(Grade::from_word)
}

fn short(value: &Value) -> String {
    const LONGEST: usize = 160;
    let text = value.to_string();
    match text.char_indices().nth(LONGEST) {
        Some((at, _)) => format!("{} ...", &text[..at]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn keys_that_are_not_expected_may_be_anything() {
        let found = json!({"cause": "mmap_lock", "grade": "strong", "more": [1, 2]});
        assert_eq!(differences(&json!({"cause": "mmap_lock"}), &found), Vec::<String>::new());
        assert_eq!(
            differences(&json!({"cause": "futex", "none": 1}), &found),
            [
                "cause: expected \"futex\", found \"mmap_lock\"",
                "none: expected 1, but there is no such key"
            ]
        );
    }

    #[test]
    fn operators_say_how_far_a_value_may_go() {
        let found =
            json!({"grade": "strong", "ms": 12.5, "list": [{"f": "a::insert"}, {"f": "main"}]});
        for (expected, fits) in [
            (json!({"grade": {"$at_least": "strong"}}), true),
            (json!({"grade": {"$at_least": "proven"}}), false),
            (json!({"grade": {"$at_most": "circumstantial"}}), false),
            (json!({"ms": {"$between": [12, 13]}}), true),
            (json!({"ms": {"$between": [13, 14]}}), false),
            (json!({"ms": {"$at_least": 13}}), false),
            (json!({"list": {"$some": {"f": {"$contains": "insert"}}}}), true),
            (json!({"list": {"$none": {"f": "main"}}}), false),
            (json!({"list": {"$length": 3}}), false),
            (json!({"grade": {"$one_of": ["proven", "strong"]}}), true),
            (json!({"ms": {"$misspelt": 1}}), false),
            (json!({"ms": null}), false),
        ] {
            assert_eq!(differences(&expected, &found).is_empty(), fits, "{expected}");
        }
    }
}
