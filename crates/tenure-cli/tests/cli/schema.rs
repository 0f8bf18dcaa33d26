//! A small reader of JSON Schema: the words that our schemas use, and no other. A validator
//! from a library brings forty crates along for six words.

use serde_json::Value;

/// Says where `value` breaks `schema`.
pub(crate) fn check(schema: &Value, value: &Value) -> Result<(), String> {
    at(schema, "$", schema, value)
}

fn at(whole: &Value, place: &str, schema: &Value, value: &Value) -> Result<(), String> {
    let words = schema.as_object().expect("a schema is an object");
    for (word, rule) in words {
        let fits = match word.as_str() {
            "$schema" | "$id" | "$defs" | "title" | "description" | "format" => true,
            "$ref" => {
                let path = rule.as_str().and_then(|path| path.strip_prefix('#'));
                let there = path.and_then(|path| whole.pointer(path)).expect("a part of it");
                at(whole, place, there, value)?;
                true
            }
            "anyOf" => {
                let all = rule.as_array().expect("a list");
                all.iter().any(|one| at(whole, place, one, value).is_ok())
            }
            "type" => names(rule).any(|name| is_a(name, value)),
            "enum" => rule.as_array().expect("a list").contains(value),
            "minimum" => value.as_f64().is_none_or(|n| n >= rule.as_f64().expect("a number")),
            "maximum" => value.as_f64().is_none_or(|n| n <= rule.as_f64().expect("a number")),
            "required" => value
                .as_object()
                .is_none_or(|fields| names(rule).all(|name| fields.contains_key(name))),
            "additionalProperties" => {
                assert_eq!(rule, &Value::Bool(false), "{place}: no other rule is known");
                let known = words["properties"].as_object().expect("an object");
                value.as_object().is_none_or(|o| o.keys().all(|k| known.contains_key(k)))
            }
            "properties" => {
                for (name, inner) in rule.as_object().expect("an object") {
                    if let Some(field) = value.get(name) {
                        at(whole, &format!("{place}.{name}"), inner, field)?;
                    }
                }
                true
            }
            "items" => {
                for (n, item) in value.as_array().into_iter().flatten().enumerate() {
                    at(whole, &format!("{place}[{n}]"), rule, item)?;
                }
                true
            }
            other => panic!("{place}: the word {other:?} of JSON Schema is not known here"),
        };
        if !fits {
            return Err(format!("{place}: {value} breaks {word}: {rule}"));
        }
    }
    Ok(())
}

fn names(rule: &Value) -> impl Iterator<Item = &str> {
    let many = rule.as_array().map(Vec::as_slice).unwrap_or(std::slice::from_ref(rule));
    many.iter().map(|name| name.as_str().expect("a name"))
}

fn is_a(name: &str, value: &Value) -> bool {
    match name {
        "null" => value.is_null(),
        "string" => value.is_string(),
        "integer" => value.is_u64() || value.is_i64(),
        "array" => value.is_array(),
        "boolean" => value.is_boolean(),
        "object" => value.is_object(),
        other => panic!("the type {other:?} is not known here"),
    }
}

#[test]
fn it_finds_what_breaks_a_rule() {
    let schema = serde_json::json!({
        "type": "object", "required": ["a"], "additionalProperties": false,
        "properties": {
            "a": { "type": ["integer", "null"], "minimum": 1 },
            "b": { "type": "array", "items": { "enum": ["x"] } },
            "d": { "anyOf": [{ "type": "boolean" }, { "type": "null" }] },
        },
    });
    let good = [r#"{"a":1}"#, r#"{"a":null,"b":["x","x"]}"#, r#"{"a":1,"d":true}"#];
    let bad = [
        "[]",
        "{}",
        r#"{"a":0}"#,
        r#"{"a":"1"}"#,
        r#"{"a":1,"c":2}"#,
        r#"{"a":1,"b":["y"]}"#,
        r#"{"a":1,"d":2}"#,
    ];
    for (text, fits) in good.iter().map(|t| (t, true)).chain(bad.iter().map(|t| (t, false))) {
        let value = serde_json::from_str(text).expect("JSON");
        assert_eq!(check(&schema, &value).is_ok(), fits, "{text}");
    }
}
