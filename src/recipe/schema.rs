//! The JSON Schema of recipes (draft 2020-12), for editors that complete and check: made from the [vocabulary].
//!
//! It accepts every recipe that is right, and refuses most that are not; what only a whole recipe shows (a base that is not
//! there, two images of one name) it cannot tell.

use serde_json::{Map, Value, json};

use super::vocabulary::{self, Key, Kind, Table, Text};

/// The schema.
pub fn schema() -> Value {
    let mut definitions = Map::new();
    for table in vocabulary::TABLES.iter().filter(|table| table.name != vocabulary::RECIPE.name) {
        definitions.insert(table.name.to_owned(), of_table(table));
    }
    for text in vocabulary::TEXTS {
        definitions.insert(format!("text-{}", text.name), of_text(text));
    }
    let Value::Object(recipe) = of_table(&vocabulary::RECIPE) else { return Value::Null };
    let mut schema = Map::new();
    schema.insert("$schema".to_owned(), json!("https://json-schema.org/draft/2020-12/schema"));
    schema.insert("title".to_owned(), json!("lapstrake recipe"));
    schema.extend(recipe);
    schema.insert("$defs".to_owned(), Value::Object(definitions));
    Value::Object(schema)
}

fn of_table(table: &Table) -> Value {
    let properties: Map<String, Value> = table.keys().map(|key| (key.name.to_owned(), of_key(key))).collect();
    let required: Vec<&str> = table.keys().filter(|key| key.required).map(|key| key.name).collect();
    let others = match table.variants {
        Some(variant) => reference(variant.name),
        None => Value::Bool(false),
    };
    let mut schema = json!({
        "type": "object",
        "description": table.doc,
        "properties": properties,
        "additionalProperties": others,
    });
    if !required.is_empty()
        && let Value::Object(schema) = &mut schema
    {
        schema.insert("required".to_owned(), json!(required));
    }
    schema
}

fn of_key(key: &Key) -> Value {
    let mut schema = of_kind(&key.kind);
    if let Value::Object(schema) = &mut schema {
        schema.insert("description".to_owned(), json!(key.doc));
    }
    schema
}

fn of_text(text: &Text) -> Value {
    let mut schema =
        json!({ "type": "string", "description": format!("Expected: {}.", text.is), "examples": text.examples });
    if let (Some(pattern), Value::Object(schema)) = (text.pattern, &mut schema) {
        schema.insert("pattern".to_owned(), json!(pattern));
    }
    schema
}

fn of_kind(kind: &Kind) -> Value {
    match kind {
        Kind::Boolean => json!({ "type": "boolean" }),
        Kind::False => json!({ "const": false }),
        Kind::Integer { min, max } => json!({ "type": "integer", "minimum": min, "maximum": max }),
        Kind::Text(text) => reference(&format!("text-{}", text.name)),
        Kind::Word(words) => {
            let each: Vec<Value> =
                words.iter().map(|word| json!({ "const": word.word, "description": word.doc })).collect();
            json!({ "oneOf": each })
        }
        // Readers of TOML hand dates on as strings, or as something of their own: nothing is said of them.
        Kind::Date => json!({}),
        Kind::List(item) => json!({ "type": "array", "items": of_kind(item) }),
        Kind::Table(table) => reference(table.name),
        Kind::Map { key, value } => json!({
            "type": "object",
            "propertyNames": reference(&format!("text-{}", key.name)),
            "additionalProperties": of_kind(value),
        }),
        Kind::Any(kinds) => json!({ "anyOf": kinds.iter().map(of_kind).collect::<Vec<_>>() }),
    }
}

fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/$defs/{name}") })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::tests::{DESIGN, good_recipes};

    /// As much of a validator as this schema needs (JSON Schema core and validation, 2020-12).
    fn check(root: &Value, schema: &Value, value: &toml::Value) -> Result<(), String> {
        let fail = |what: &str| Err(format!("{value}: {what} in {schema}"));
        let Some(object) = schema.as_object() else {
            return if schema == &json!(true) { Ok(()) } else { fail("nothing is allowed") };
        };
        for (keyword, rule) in object {
            match keyword.as_str() {
                "$ref" => {
                    let name = rule.as_str().unwrap().strip_prefix("#/$defs/").unwrap();
                    check(root, root["$defs"].get(name).unwrap(), value)?;
                }
                "type" => {
                    let right = match rule.as_str().unwrap() {
                        "object" => value.is_table(),
                        "array" => value.is_array(),
                        "string" => value.is_str(),
                        "integer" => value.is_integer(),
                        "boolean" => value.is_bool(),
                        other => panic!("{other}"),
                    };
                    if !right {
                        return fail("type");
                    }
                }
                "const" => {
                    let same = match rule {
                        Value::Bool(rule) => value.as_bool() == Some(*rule),
                        Value::String(rule) => value.as_str() == Some(rule),
                        other => panic!("{other}"),
                    };
                    if !same {
                        return fail("const");
                    }
                }
                "minimum" | "maximum" => {
                    let (rule, number) = (rule.as_i64().unwrap(), value.as_integer().unwrap_or_default());
                    if if keyword == "minimum" { number < rule } else { number > rule } {
                        return fail(keyword);
                    }
                }
                "pattern" => {
                    if !regex::Regex::new(rule.as_str().unwrap()).unwrap().is_match(value.as_str().unwrap_or_default())
                    {
                        return fail("pattern");
                    }
                }
                "items" => {
                    for item in value.as_array().into_iter().flatten() {
                        check(root, rule, item)?;
                    }
                }
                "anyOf" | "oneOf" => {
                    let count = rule.as_array().unwrap().iter().filter(|rule| check(root, rule, value).is_ok()).count();
                    if count == 0 || (keyword == "oneOf" && count > 1) {
                        return fail(keyword);
                    }
                }
                "required" => {
                    for key in rule.as_array().unwrap() {
                        if value.as_table().is_some_and(|table| !table.contains_key(key.as_str().unwrap())) {
                            return fail("required");
                        }
                    }
                }
                "propertyNames" => {
                    for key in value.as_table().into_iter().flat_map(|table| table.keys()) {
                        check(root, rule, &toml::Value::String(key.clone()))?;
                    }
                }
                "additionalProperties" => {
                    for (key, value) in value.as_table().into_iter().flatten() {
                        match object.get("properties").and_then(|known| known.get(key)) {
                            Some(known) => check(root, known, value)?,
                            None => check(root, rule, value).map_err(|error| format!("{key}: {error}"))?,
                        }
                    }
                }
                "properties" | "description" | "examples" | "$schema" | "title" | "$defs" => {}
                other => panic!("{other} is not understood here"),
            }
        }
        Ok(())
    }

    #[test]
    fn every_good_recipe_fits() {
        let schema = schema();
        for (name, text) in good_recipes() {
            let value = toml::Value::Table(text.parse().unwrap());
            assert_eq!(check(&schema, &schema, &value), Ok(()), "{name}");
        }
    }

    #[test]
    fn what_is_misspelt_does_not_fit() {
        let schema = schema();
        for (right, wrong) in [
            ("[defaults]", "[default]"),
            ("uid = 10001", "uid = \"10001\""),
            ("copy  =", "copies ="),
            ("workdir    = \"/app\"", "workdir = \"app\""),
            ("\"0755\"", "\"0o755\""),
            ("publish = false", "publish = 0"),
            ("ports      = [8080]", "ports = true"),
            ("\"linux/arm64\"", "\"windows/amd64\""),
        ] {
            assert!(DESIGN.contains(right), "{right}");
            let value = toml::Value::Table(DESIGN.replace(right, wrong).parse().unwrap());
            assert!(check(&schema, &schema, &value).is_err(), "{wrong}");
        }
    }

    #[test]
    fn every_property_is_described() {
        fn described(value: &Value) {
            if let Some(properties) = value.get("properties").and_then(Value::as_object) {
                for (name, property) in properties {
                    assert!(property.get("description").is_some(), "{name}");
                }
            }
            for (_, inner) in value.as_object().into_iter().flatten() {
                described(inner);
            }
        }
        described(&schema());
    }
}
